import Foundation
import StorageIO
import Synchronization
import SystemPackage

/// A disk that refuses some changing calls and, at a power cut, forgets all that was not made durable:
/// - bytes appended since the last sync that succeeded; after one that failed, a later success on the same file makes
///   nothing durable, as on Linux, where the pages are marked clean although they never reached the disk;
/// - files, folders and new names whose folder was not synced.
final class FailingStorage: StorageIO {
    private struct State {
        var calls: [String] = []
        var failing: Range<Int>
        var failed: [String] = []
        var isForgiven = false
        /// Durable length of each file that was written to, and whether a sync of it has failed.
        var durable: [String: Int64] = [:]
        var poisoned: Set<String> = []
        /// Names that a power cut takes away again.
        var unnamed: Set<String> = []
    }
    private let real = RealStorage()
    private let root: String
    private let state: Mutex<State>
    private let isVictim: @Sendable (_ call: String) -> Bool

    private let syncsAsOne: Bool

    /// - Parameters:
    ///   - failing: the numbers, from 0, of the calls that fail, counted over those that `isVictim` picks.
    ///   - syncsAsOne: whether its file system can be synced as a whole.
    init(root: String, failing: Range<Int> = 0..<0, syncsAsOne: Bool = false, isVictim: @escaping @Sendable (_ call: String) -> Bool = { _ in true }) {
        self.root = root
        self.isVictim = isVictim
        self.syncsAsOne = syncsAsOne
        state = Mutex(State(failing: failing))
    }

    /// What was refused, as `operation path-below-the-root`.
    var failed: [String] { state.withLock { $0.failed } }
    var calls: Int { state.withLock { $0.calls.count } }

    func forgive() { state.withLock { $0.isForgiven = true } }

    /// The power goes: only what is durable stays. Use nothing that was opened through this any more.
    func cutPower() throws {
        let (durable, unnamed) = state.withLock { ($0.durable, $0.unnamed) }
        for (path, length) in durable where (try real.size(FilePath(path)) ?? 0) > length {
            let file = try real.openForAppending(FilePath(path))
            try file.truncate(to: length)
            try file.close()
        }
        for path in unnamed where try real.size(FilePath(path)) != nil { try FileManager.default.removeItem(atPath: path) }
    }

    fileprivate func isRefused(_ operation: String, _ path: FilePath) -> Bool {
        let call = "\(operation) \(path.string.hasPrefix(root) ? String(path.string.dropFirst(root.utf8.count + 1)) : path.string)"
        guard isVictim(call) else { return false }
        return state.withLock { state in
            state.calls.append(call)
            guard !state.isForgiven, state.failing.contains(state.calls.count - 1) else { return false }
            state.failed.append(call)
            return true
        }
    }

    private func guarded(_ operation: String, _ path: FilePath) throws {
        if isRefused(operation, path) { throw StorageError(operation: operation, path: path, errno: .ioError) }
    }

    fileprivate func appended(to path: FilePath, from length: Int64) { state.withLock { if $0.durable[path.string] == nil { $0.durable[path.string] = length } } }
    fileprivate func syncFailed(_ path: FilePath) { state.withLock { _ = $0.poisoned.insert(path.string) } }
    fileprivate func synced(_ path: FilePath, _ length: Int64) { state.withLock { if !$0.poisoned.contains(path.string) { $0.durable[path.string] = length } } }
    fileprivate func truncated(_ path: FilePath, to length: Int64) {
        state.withLock { state in
            guard let durable = state.durable[path.string], length <= durable else { return }
            // The pages in doubt are gone, and what comes is written anew.
            state.durable[path.string] = length
            state.poisoned.remove(path.string)
        }
    }

    func makeDirectory(_ path: FilePath) throws {
        try guarded("makeDirectory", path)
        var above = path
        while above.string.utf8.count > root.utf8.count, try real.size(above) == nil {
            // SQLite syncs the root itself when it makes its journal.
            if above.removingLastComponent().string != root { state.withLock { [above] in _ = $0.unnamed.insert(above.string) } }
            above = above.removingLastComponent()
        }
        try real.makeDirectory(path)
    }

    func openForAppending(_ path: FilePath) throws -> any AppendingFile {
        try guarded("open", path)
        if try real.size(path) == nil { state.withLock { _ = $0.unnamed.insert(path.string) } }
        return FailingFile(file: try real.openForAppending(path), path: path, storage: self)
    }

    func openForReading(_ path: FilePath) throws -> any ReadingFile { try real.openForReading(path) }

    func rename(_ path: FilePath, to target: FilePath) throws {
        try guarded("rename", path)
        let isReplacing = try real.size(target) != nil
        try real.rename(path, to: target)
        state.withLock { state in
            state.durable[target.string] = state.durable.removeValue(forKey: path.string)
            state.poisoned.remove(target.string)
            if state.poisoned.remove(path.string) != nil { state.poisoned.insert(target.string) }
            state.unnamed.remove(path.string)
            if !isReplacing { state.unnamed.insert(target.string) }
        }
    }

    func syncDirectory(_ path: FilePath) throws {
        try guarded("syncDirectory", path)
        try real.syncDirectory(path)
        state.withLock { state in state.unnamed = state.unnamed.filter { FilePath($0).removingLastComponent() != path } }
    }

    func fileSystem(of path: FilePath) throws -> (any FileSystemSync)? { syncsAsOne ? FailingFileSystem(storage: self, path: path) : nil }

    fileprivate func syncAll(_ path: FilePath) throws {
        try guarded("syncAll", path)
        try state.withLock { state in
            for name in state.durable.keys where !state.poisoned.contains(name) { state.durable[name] = try real.size(FilePath(name)) ?? 0 }
            state.unnamed = []
        }
    }

    func remove(_ path: FilePath) throws {
        try guarded("remove", path)
        try real.remove(path)
        state.withLock { state in
            state.durable[path.string] = nil
            state.poisoned.remove(path.string)
            state.unnamed.remove(path.string)
        }
    }

    func list(_ path: FilePath) throws -> [String] { try real.list(path) }
    func size(_ path: FilePath) throws -> Int64? { try real.size(path) }
    func space(_ path: FilePath) throws -> DiskSpace { try real.space(path) }
}

private final class FailingFileSystem: FileSystemSync {
    private let storage: FailingStorage
    private let path: FilePath

    init(storage: FailingStorage, path: FilePath) {
        self.storage = storage
        self.path = path
    }

    func syncAll() throws { try storage.syncAll(path) }
}

private final class FailingFile: AppendingFile {
    let file: any AppendingFile
    let path: FilePath
    let storage: FailingStorage

    init(file: any AppendingFile, path: FilePath, storage: FailingStorage) {
        self.file = file
        self.path = path
        self.storage = storage
    }

    var length: Int64 { file.length }

    /// An append that fails leaves half of its bytes.
    func append(_ bytes: UnsafeRawBufferPointer) throws {
        storage.appended(to: path, from: file.length)
        guard storage.isRefused("append", path) else { return try file.append(bytes) }
        try file.append(UnsafeRawBufferPointer(rebasing: bytes.prefix(bytes.count / 2)))
        throw StorageError(operation: "append", path: path, errno: .noSpace)
    }

    func sync() throws {
        if storage.isRefused("sync", path) {
            storage.syncFailed(path)
            throw StorageError(operation: "sync", path: path, errno: .ioError)
        }
        try file.sync()
        storage.synced(path, file.length)
    }

    func truncate(to length: Int64) throws {
        if storage.isRefused("truncate", path) { throw StorageError(operation: "truncate", path: path, errno: .ioError) }
        try file.truncate(to: length)
        storage.truncated(path, to: length)
    }

    func close() throws { try file.close() }
}
