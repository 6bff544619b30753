import EvidenceLog
import FoundationEssentials
import RecordingModel
import StorageIO
import SystemPackage

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// The content of `fieldpost-node.json`: which node and which log the folder belongs to.
struct DirectoryIdentity: Codable, Hashable, Sendable {
    static let currentFormat = 1
    var format = Self.currentFormat
    /// 16 random bytes in hex: two disks of one node are told apart by it.
    var directory: String
    var node: NodeID
    var log: LogID

    /// Nil when the file is missing.
    static func read(_ files: JournalFiles, _ storage: any StorageIO) throws -> DirectoryIdentity? {
        guard try storage.size(files.identity) != nil else { return nil }
        let bytes = try storage.read(files.identity, limitBytes: 1 << 16)
        struct Version: Decodable { var format: Int }
        do {
            let version = try JSONDecoder().decode(Version.self, from: Data(bytes)).format
            guard version == currentFormat else { throw JournalError.unknownFormat(directory: files.root.string, version: version) }
            return try JSONDecoder().decode(DirectoryIdentity.self, from: Data(bytes))
        } catch let error as DecodingError {
            throw JournalError.unreadable(file: files.identity.string, reason: "\(error)")
        }
    }

    func write(_ files: JournalFiles, _ storage: any StorageIO) throws {
        try storage.replace(files.identity, with: try encodeSorted(self) + [UInt8(ascii: "\n")])
    }

    /// Opens the folder for this node, or makes it one when it is empty.
    ///
    /// A folder that holds anything but what another part of the node may have put there first is refused: it may be
    /// the mount point of a disk that did not come up, or somebody's files.
    static func open(_ files: JournalFiles, node: NodeID, storage: any StorageIO, random: inout any RandomNumberGenerator & Sendable) throws -> DirectoryIdentity {
        if let identity = try read(files, storage) {
            guard identity.node == node else { throw JournalError.otherNode(directory: files.root.string, found: identity.node.keyHash.fingerprint) }
            return identity
        }
        try refuseForeign(files, storage)
        let identity = DirectoryIdentity(directory: randomHex(using: &random), node: node, log: try randomLogID(using: &random))
        try identity.write(files, storage)
        return identity
    }

    private static func refuseForeign(_ files: JournalFiles, _ storage: any StorageIO) throws {
        let harmless: Set = ["lock", "lost+found", "keys", "identity", "fieldpost-node.json.new"]
        if let stranger = try storage.list(files.root).first(where: { !harmless.contains($0) }) {
            throw JournalError.foreignDirectory(directory: files.root.string, example: stranger)
        }
    }

    /// See `Journal.prepare`.
    static func prepare(_ files: JournalFiles, storage: any StorageIO, node: () throws -> NodeID) throws {
        if try read(files, storage) == nil { try refuseForeign(files, storage) }
        var random: any RandomNumberGenerator & Sendable = SystemRandomNumberGenerator()
        _ = try open(files, node: try node(), storage: storage, random: &random)
    }
}

extension Journal {
    /// Makes an empty folder the data directory of a node; one that is it already stays as it is.
    /// - Parameter node: asked for only when the folder is empty or a node's; it may put the node's key there.
    /// - Throws: `JournalError` for a folder of another node, or with somebody's files in it.
    package static func prepare(dataDirectory: FilePath, storage: any StorageIO, node: () throws -> NodeID) throws {
        try DirectoryIdentity.prepare(JournalFiles(root: dataDirectory), storage: storage, node: node)
    }
}

func randomBytes(_ count: Int, using random: inout any RandomNumberGenerator & Sendable) -> [UInt8] {
    (0..<count).map { _ in UInt8(truncatingIfNeeded: random.next()) }
}

private func randomHex(using random: inout any RandomNumberGenerator & Sendable) -> String {
    Hex.encode(randomBytes(16, using: &random))
}

func randomLogID(using random: inout any RandomNumberGenerator & Sendable) throws -> LogID {
    guard let log = LogID(randomHex(using: &random)) else { throw JournalError.failed(reason: "no log id could be made") }
    return log
}

/// JSON with its keys in one order, so that equal values are equal bytes.
func encodeSorted(_ value: some Encodable) throws -> [UInt8] {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    return Array(try encoder.encode(value))
}

/// Removes a file of the index, which SQLite and not `StorageIO` writes. A missing file is no error.
func unlinkFile(_ path: FilePath) -> Bool {
    Glibc.unlink(path.string) == 0 || errno == ENOENT
}
