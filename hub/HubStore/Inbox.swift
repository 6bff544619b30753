import Crypto
import RecordingModel
import StorageIO
import SystemPackage

/// A segment on its way in: whose, and what it will be. Two nodes that send the same bytes do not meet in one file.
struct PartialKey: Hashable, Sendable {
    var node: NodeID
    var sha256: ContentHash
    var fileName: String { "\(node).\(sha256)" }
}

/// Segments on their way in, kept by content hash: a partial survives the connection, the session and the process.
struct Inbox: ~Copyable {
    /// Open files kept at most; the least recently used one is closed, its bytes stay.
    static let openLimit = 64

    private struct Open {
        var file: any AppendingFile
        var hasher: SHA256
        var usedAt: UInt64
    }
    private let folder: FilePath
    private let storage: any StorageIO
    private var open: [PartialKey: Open] = [:]
    /// What lies in the folder, so that nobody has to list it.
    private var waiting: [NodeID: Set<ContentHash>] = [:]
    /// Files whose sync failed and that could not be removed either. They must go before their bytes come again.
    private var condemned: Set<PartialKey> = []
    private var counter: UInt64 = 0

    init(folder: FilePath, storage: any StorageIO) throws {
        self.folder = folder
        self.storage = storage
        for name in try storage.list(folder) {
            let parts = name.split(separator: ".").map(String.init)
            if parts.count == 2, let node = NodeID(parts[0]), let hash = ContentHash(parts[1]) { waiting[node, default: []].insert(hash) }
        }
    }

    /// Hashes of the node's partial segments.
    func hashes(of node: NodeID) -> Set<ContentHash> { waiting[node] ?? [] }

    func path(_ key: PartialKey) -> FilePath { folder.appending(key.fileName) }

    /// Removes a condemned file.
    private mutating func clear(_ key: PartialKey) throws {
        guard condemned.contains(key) else { return }
        try storage.remove(path(key))
        condemned.remove(key)
    }

    /// Bytes that are here.
    mutating func length(_ key: PartialKey) throws -> Int64 {
        try clear(key)
        if let known = open[key] { return known.file.length }
        return try storage.size(path(key)) ?? 0
    }

    mutating func append(_ bytes: ArraySlice<UInt8>, to key: PartialKey) throws {
        var entry = try take(key)
        do {
            try bytes.withUnsafeBytes {
                try entry.file.append($0)
                entry.hasher.update(bufferPointer: $0)
            }
            open[key] = entry
        } catch {
            // The length on disk is unknown now; the next use reads it afresh.
            try? entry.file.close()
            throw error
        }
    }

    /// Compares the whole file with its name and syncs it. False, and the file gone, when it is something else.
    /// The caller moves the file away at once.
    mutating func finish(_ key: PartialKey) throws -> Bool {
        let entry = try take(key)
        waiting[key.node]?.remove(key.sha256)
        guard ContentHash(Array(entry.hasher.finalize())) == key.sha256 else {
            try entry.file.close()
            try storage.remove(path(key))
            return false
        }
        do {
            try entry.file.sync()
        } catch {
            // A failed sync is final: the next one would succeed on pages that never reached the disk.
            try? entry.file.close()
            condemned.insert(key)
            try? clear(key)
            throw error
        }
        try entry.file.close()
        return true
    }

    /// Takes the open file out of the table, opening and hashing what is on disk when it is not open.
    private mutating func take(_ key: PartialKey) throws -> Open {
        counter += 1
        try clear(key)
        if var entry = open.removeValue(forKey: key) {
            entry.usedAt = counter
            return entry
        }
        if open.count >= Self.openLimit, let oldest = open.min(by: { $0.value.usedAt < $1.value.usedAt })?.key {
            try open.removeValue(forKey: oldest)?.file.close()
        }
        let file = try storage.openForAppending(path(key))
        waiting[key.node, default: []].insert(key.sha256)
        var hasher = SHA256()
        if file.length > 0 {
            let reader = try storage.openForReading(path(key))
            var offset: Int64 = 0
            while offset < file.length {
                let piece = try reader.read(at: offset, count: Int(min(1 << 20, file.length - offset)))
                guard !piece.isEmpty else { break }
                hasher.update(data: piece)
                offset += Int64(piece.count)
            }
        }
        return Open(file: file, hasher: hasher, usedAt: counter)
    }
}
