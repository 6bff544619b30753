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
/// Writes come from one thread at a time (`HubIngest` has one queue for them); reads from anywhere.
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
    let inbox: Mutex<Inbox>
    /// Held ranges per node and log, loaded at first use and kept up at each commit.
    let heldCache = Mutex<[LogKey: [StreamID: SequenceRanges]]>([:])

    struct LogKey: Hashable {
        var node: NodeID
        var log: LogID
    }

    /// Opens the store, making what is missing. Files beyond what the catalogue claims were never acknowledged,
    /// and are cut off when the next batch comes.
    package init(dataDirectory: FilePath, hub: HubID, signer: NoteSigner, generation: UInt64, storage: any StorageIO, logger: Logger) throws {
        root = dataDirectory
        self.hub = hub
        self.signer = signer
        hubKey = signer.verifier
        self.generation = generation
        self.storage = storage
        self.logger = logger
        for folder in ["blobs", "partials", "logs"] { try storage.makeDirectory(dataDirectory.appending(folder)) }
        var configuration = Configuration()
        configuration.busyMode = .timeout(5)
        configuration.maximumReaderCount = 4
        configuration.prepareDatabase { try $0.execute(sql: "PRAGMA synchronous = FULL") }
        catalogue = try DatabasePool(path: dataDirectory.appending("catalogue.sqlite").string, configuration: configuration)
        var migrator = DatabaseMigrator()
        Self.registerMigrations(&migrator)
        Accounts.registerMigrations(&migrator)
        try migrator.migrate(catalogue)
        inbox = Mutex(try Inbox(folder: dataDirectory.appending("partials"), storage: storage))
    }

    func logFolder(_ node: NodeID, _ log: LogID) -> FilePath {
        root.appending("logs").appending(node.description).appending(log.description)
    }

    /// Two levels of folders, so that none grows beyond what a directory listing bears.
    func blobPath(_ hash: ContentHash) -> FilePath {
        let name = hash.hex
        return root.appending("blobs").appending(String(name.prefix(2))).appending(String(name.dropFirst(2).prefix(2))).appending(name)
    }

    /// A held segment's bytes; nil when there is no such blob.
    package func blob(_ hash: ContentHash) async throws -> (any ReadingFile)? {
        let path = blobPath(hash)
        guard try storage.size(path) != nil else { return nil }
        return try storage.openForReading(path)
    }
}

extension HubStore {
    static func registerMigrations(_ migrator: inout DatabaseMigrator) {
        migrator.registerMigration("store-1") { db in
            try db.execute(
                sql: """
                    CREATE TABLE nodes (
                        id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, state TEXT NOT NULL, enrolled_ms INTEGER NOT NULL,
                        session INTEGER NOT NULL DEFAULT 0, current_log TEXT, last_contact_ms INTEGER, status TEXT, clock_offset_ms INTEGER,
                        held_segments INTEGER NOT NULL DEFAULT 0, held_bytes INTEGER NOT NULL DEFAULT 0, held_ms INTEGER NOT NULL DEFAULT 0
                    ) WITHOUT ROWID;
                    CREATE TABLE join_tokens (
                        secret_hash TEXT PRIMARY KEY, name TEXT NOT NULL, expires_s INTEGER NOT NULL, used_by TEXT, used_ms INTEGER
                    ) WITHOUT ROWID;
                    CREATE TABLE logs (
                        node TEXT NOT NULL, log TEXT NOT NULL, verifier TEXT NOT NULL, entry_bytes INTEGER NOT NULL, checkpoint_bytes INTEGER NOT NULL,
                        PRIMARY KEY (node, log)
                    ) WITHOUT ROWID;
                    CREATE TABLE forks (node TEXT NOT NULL, log TEXT NOT NULL, seen_ms INTEGER NOT NULL, checkpoint TEXT NOT NULL);
                    CREATE TABLE segments (
                        node TEXT NOT NULL, log TEXT NOT NULL, camera TEXT NOT NULL, kind TEXT NOT NULL, sequence INTEGER NOT NULL,
                        log_index INTEGER NOT NULL, start_ms INTEGER NOT NULL, end_ms INTEGER NOT NULL, bytes INTEGER NOT NULL,
                        sha256 TEXT NOT NULL, held INTEGER NOT NULL DEFAULT 0, record TEXT NOT NULL,
                        PRIMARY KEY (node, log, camera, kind, sequence)
                    ) WITHOUT ROWID;
                    CREATE INDEX segments_by_time ON segments (node, camera, kind, end_ms);
                    CREATE INDEX segments_by_hash ON segments (sha256);
                    CREATE INDEX segments_by_sequence ON segments (node, camera, kind, sequence);
                    CREATE TABLE cameras (
                        node TEXT NOT NULL, camera TEXT NOT NULL, newest_ms INTEGER NOT NULL, newest_held_ms INTEGER,
                        PRIMARY KEY (node, camera)
                    ) WITHOUT ROWID;
                    CREATE INDEX segments_missing ON segments (node, bytes) WHERE held = 0;
                    CREATE TABLE gaps (
                        node TEXT NOT NULL, log TEXT NOT NULL, log_index INTEGER NOT NULL, camera TEXT NOT NULL, kind TEXT NOT NULL,
                        start_ms INTEGER NOT NULL, end_ms INTEGER NOT NULL, cause TEXT NOT NULL, detail TEXT NOT NULL,
                        PRIMARY KEY (node, log, log_index)
                    ) WITHOUT ROWID;
                    CREATE INDEX gaps_by_time ON gaps (node, camera, kind, end_ms);
                    """)
        }
    }

    func json(_ value: some Encodable) throws -> String { String(decoding: try MessageCoding.json(value), as: UTF8.self) }

    static func decode<Value: Decodable>(_ type: Value.Type, _ text: String) throws -> Value {
        try JSONDecoder().decode(type, from: Data(text.utf8))
    }
}
