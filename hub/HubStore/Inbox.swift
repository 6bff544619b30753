import Crypto
import RecordingModel
import StorageIO
import Synchronization
import SystemPackage

/// A segment on its way in: whose, and what it will be. Two nodes that send the same bytes do not meet in one file.
struct PartialKey: Hashable, Sendable {
    var node: NodeID
    var sha256: ContentHash
    var fileName: String { "\(node).\(sha256)" }
}

/// A segment that is whole and has the hash it should have, waiting to be synced with others. It keeps its file open, so
/// that a write-back that failed meanwhile is told to its own sync.
package final class SealedFile: @unchecked Sendable {
    // Sendable because whoever sealed it hands it over as a whole.
    let key: PartialKey
    let path: FilePath
    let file: any AppendingFile

    init(key: PartialKey, path: FilePath, file: any AppendingFile) {
        self.key = key
        self.path = path
        self.file = file
    }
}

/// Segments on their way in, kept by content hash: a partial survives the connection, the session and the process.
/// Writing and hashing happen outside the lock: many nodes at once, one thread at a time for each node.
final class Inbox: Sendable {
    /// A file that is being written, with the hash of what is in it.
    private final class Open: @unchecked Sendable {
        // Sendable because it is out of the table while a thread uses it.
        let file: any AppendingFile
        var hasher: SHA256
        var usedAt: UInt64 = 0

        init(file: any AppendingFile, hasher: SHA256) {
            self.file = file
            self.hasher = hasher
        }
    }
    private struct State {
        var open: [PartialKey: Open] = [:]
        /// What lies in the folder, so that nobody has to list it.
        var waiting: [NodeID: Set<ContentHash>] = [:]
        /// Whole, and on the way to the blobs.
        var sealed: Set<PartialKey> = []
        /// Files whose sync failed and that could not be removed either. They must go before their bytes come again.
        var condemned: Set<PartialKey> = []
        var counter: UInt64 = 0
        var releases: UInt64 = 0
    }
    private let folder: FilePath
    private let storage: any StorageIO
    /// Open files kept at most; the least recently used one is closed, its bytes stay and are read again.
    private let openLimit: Int
    private let state: Mutex<State>

    init(folder: FilePath, storage: any StorageIO, openLimit: Int) throws {
        self.folder = folder
        self.storage = storage
        self.openLimit = openLimit
        var waiting: [NodeID: Set<ContentHash>] = [:]
        for name in try storage.list(folder) {
            let parts = name.split(separator: ".").map(String.init)
            if parts.count == 2, let node = NodeID(parts[0]), let hash = ContentHash(parts[1]) { waiting[node, default: []].insert(hash) }
        }
        state = Mutex(State(waiting: waiting))
    }

    /// Hashes of the node's partial segments.
    func hashes(of node: NodeID) -> Set<ContentHash> { state.withLock { $0.waiting[node] ?? [] } }

    /// Whether these bytes wait for a sync: what comes for them must wait for it too.
    func isSealed(_ key: PartialKey) -> Bool { state.withLock { $0.sealed.contains(key) } }

    /// Rises with every release.
    var releases: UInt64 { state.withLock { $0.releases } }

    /// Bytes that are here.
    func length(_ key: PartialKey) throws -> Int64 {
        try clear(key)
        if let known = state.withLock({ $0.open[key] }) { return known.file.length }
        return try storage.size(path(key)) ?? 0
    }

    func append(_ bytes: ArraySlice<UInt8>, to key: PartialKey) throws {
        let entry = try take(key)
        do {
            try bytes.withUnsafeBytes {
                try entry.file.append($0)
                entry.hasher.update(bufferPointer: $0)
            }
        } catch {
            // The length on disk is unknown now; the next use reads it afresh.
            try? entry.file.close()
            throw error
        }
        state.withLock { state in
            state.counter += 1
            entry.usedAt = state.counter
            state.open[key] = entry
        }
    }

    /// Compares the whole file with its name. Nil, and the file gone, when it is something else.
    func seal(_ key: PartialKey) throws -> SealedFile? {
        let entry = try take(key)
        _ = state.withLock { $0.waiting[key.node]?.remove(key.sha256) }
        guard ContentHash(Array(entry.hasher.finalize())) == key.sha256 else {
            try entry.file.close()
            try storage.remove(path(key))
            return nil
        }
        _ = state.withLock { $0.sealed.insert(key) }
        return SealedFile(key: key, path: path(key), file: entry.file)
    }

    /// The sealed file was dealt with, well or badly: its bytes may come again.
    func release(_ sealed: SealedFile) {
        try? sealed.file.close()
        state.withLock { state in
            state.sealed.remove(sealed.key)
            state.releases += 1
        }
    }

    /// A failed sync is final: the next one would succeed on pages that never reached the disk.
    func condemn(_ sealed: SealedFile) {
        _ = state.withLock { $0.condemned.insert(sealed.key) }
        try? clear(sealed.key)
    }

    private func path(_ key: PartialKey) -> FilePath { folder.appending(key.fileName) }

    /// Removes a condemned file.
    private func clear(_ key: PartialKey) throws {
        guard state.withLock({ $0.condemned.contains(key) }) else { return }
        try storage.remove(path(key))
        _ = state.withLock { $0.condemned.remove(key) }
    }

    /// Takes the open file out of the table, opening and hashing what is on disk when it is not open.
    private func take(_ key: PartialKey) throws -> Open {
        try clear(key)
        let (known, surplus) = state.withLock { state -> (Open?, Open?) in
            if let entry = state.open.removeValue(forKey: key) { return (entry, nil) }
            guard state.open.count >= openLimit, let oldest = state.open.min(by: { $0.value.usedAt < $1.value.usedAt })?.key else { return (nil, nil) }
            return (nil, state.open.removeValue(forKey: oldest))
        }
        if let known { return known }
        try surplus?.file.close()
        let file = try storage.openForAppending(path(key))
        _ = state.withLock { $0.waiting[key.node, default: []].insert(key.sha256) }
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
        return Open(file: file, hasher: hasher)
    }
}
