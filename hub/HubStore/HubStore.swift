import EvidenceLog
import FoundationEssentials
import GRDB
import Logging
import RecordingModel
import StorageIO
import Synchronization
import SyncProtocol
import SystemPackage

/// The hub's memory: logs, blobs and the catalogue.
///
///     blobs/ab/cd/<sha256>     whole segments, named by their content
///     partials/<node>.<sha256> segments on their way
///     logs/<node>/<log>/       entries.jsonl and checkpoints.txt: the truth; the catalogue is made from them
///     catalogue.sqlite         what is where (WAL, synchronous = FULL)
///
/// Nothing that a client sends becomes a path: names on disk are hashes and ids that were parsed as such.
/// Groups are written one at a time, a node's partial segments by one thread at a time; reads come from anywhere.
package final class HubStore: Sendable {
    package let catalogue: DatabasePool
    /// The hub's public key for statements and cosignatures.
    package let hubKey: NoteKey
    package let hub: HubID
    package let generation: UInt64

    let signer: NoteSigner
    let storage: any StorageIO
    let root: FilePath
    let logger: Logger
    let inbox: Inbox
    /// Taken while a group is written.
    let writing = Mutex<Void>(())
    let fileSystem: (any FileSystemSync)?
    /// Held ranges per node and log, loaded at first use and kept up at each commit.
    let heldCache = Mutex<[LogKey: [StreamID: SequenceRanges]]>([:])
    /// One for each log that a node has come with since the start.
    let wantsCache = Mutex<[LogKey: WantsCache]>([:])

    let statementCache = Mutex<[LogKey: (statement: HoldingsStatement, signed: SignedStatement)]>([:])

    /// Of the last node that asked; 56 bytes a segment.
    let footageCache = Mutex<(node: NodeID, heldSegments: Int64, items: [ReconcileItem])?>(nil)

    struct LogKey: Hashable {
        var node: NodeID
        var log: LogID
    }

    /// Opens the store, making what is missing. Files beyond what the catalogue claims were never acknowledged,
    /// and are cut off when the next batch comes.
    /// - Parameter partialsOpenMax: files of segments on their way in that are kept open; one a node spares reading them again.
    package init(dataDirectory: FilePath, hub: HubID, signer: NoteSigner, generation: UInt64, storage: any StorageIO, partialsOpenMax: Int = 64, logger: Logger) throws {
        root = dataDirectory
        self.hub = hub
        self.signer = signer
        hubKey = signer.verifier
        self.generation = generation
        self.storage = storage
        self.logger = logger
        for folder in ["blobs", "partials", "logs"] { try storage.makeDirectory(dataDirectory.appending(folder)) }
        // What is synced below them is not there without their own names.
        try storage.syncDirectory(dataDirectory)
        var configuration = Configuration()
        configuration.busyMode = .timeout(5)
        configuration.maximumReaderCount = 4
        configuration.prepareDatabase { try $0.execute(sql: "PRAGMA synchronous = FULL") }
        catalogue = try DatabasePool(path: dataDirectory.appending("catalogue.sqlite").string, configuration: configuration)
        var migrator = DatabaseMigrator()
        Self.registerMigrations(&migrator)
        Accounts.registerMigrations(&migrator)
        migrator.registerMigration("blobs-1") { [root] _ in try Self.moveBlobsUp(below: root, storage) }
        try migrator.migrate(catalogue)
        fileSystem = try storage.fileSystem(of: dataDirectory)
        inbox = try Inbox(folder: dataDirectory.appending("partials"), storage: storage, openLimit: partialsOpenMax)
        try catalogueAnew()
    }

    func logFolder(_ node: NodeID, _ log: LogID) -> FilePath {
        root.appending("logs").appending(node.description).appending(log.description)
    }

    /// 256 folders: ten million segments are 40,000 in each, and a segment needs no folder of its own, as it did with 65,536 of them.
    func blobPath(_ hash: ContentHash) -> FilePath {
        let name = hash.hex
        return root.appending("blobs").appending(String(name.prefix(2))).appending(name)
    }

    /// Until November 2026 there was a second level of folders. Goes on where it was cut off.
    private static func moveBlobsUp(below root: FilePath, _ storage: any StorageIO) throws {
        let blobs = root.appending("blobs")
        for first in try storage.list(blobs) where first.count == 2 {
            let folder = blobs.appending(first)
            for second in try storage.list(folder) where second.count == 2 {
                let deeper = folder.appending(second)
                for name in try storage.list(deeper) { try storage.rename(deeper.appending(name), to: folder.appending(name)) }
                try storage.syncDirectory(folder)
                try storage.removeDirectory(deeper)
            }
        }
    }

    /// A held segment's bytes; nil when there is no such blob.
    package func blob(_ hash: ContentHash) async throws -> (any ReadingFile)? {
        let path = blobPath(hash)
        guard try storage.size(path) != nil else { return nil }
        return try storage.openForReading(path)
    }
}

extension HubStore {
    static func json(_ value: some Encodable) throws -> String { String(decoding: try MessageCoding.json(value), as: UTF8.self) }
    func json(_ value: some Encodable) throws -> String { try Self.json(value) }

    static func decode<Value: Decodable>(_ type: Value.Type, _ text: String) throws -> Value {
        try JSONDecoder().decode(type, from: Data(text.utf8))
    }
}
