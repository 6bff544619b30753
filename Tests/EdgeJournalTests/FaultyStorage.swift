import RecordingModel
import StorageIO
import Synchronization
import SystemPackage

/// A disk that dies: from the N-th changing call on everything that changes something fails, as if the process were
/// gone. With `losesUnsynced` it also forgets, at that moment, what was appended and not synced, as a power cut does.
/// With an `undoing` seed it also undoes renames, creations and removals whose folders were not synced: in each folder
/// a random number of the last ones.
final class FaultyStorage: StorageIO {
    private struct State {
        var operations = 0
        var diesAt: Int
        var isDead = false
        var calls: [(operation: String, path: FilePath)] = []
        /// Length up to which each file that was written to is synced.
        var synced: [String: Int64] = [:]
        /// Changes of names that no sync of their folder has made durable, in order.
        var names: [NameChange] = []
    }
    private enum NameChange {
        case created(FilePath)
        case renamed(FilePath, to: FilePath, over: [UInt8]?)
        case removed(FilePath, content: [UInt8])

        var path: FilePath {
            switch self {
            case .created(let path), .renamed(let path, _, _), .removed(let path, _): path
            }
        }
    }
    private let real = RealStorage()
    private let state: Mutex<State>
    private let losesUnsynced: Bool
    private let seed: UInt64?

    init(diesAt: Int = .max, losesUnsynced: Bool = false, undoing seed: UInt64? = nil) {
        self.seed = seed
        state = Mutex(State(diesAt: diesAt))
        self.losesUnsynced = losesUnsynced
    }

    var operations: Int { state.withLock { $0.operations } }
    var isDead: Bool { state.withLock { $0.isDead } }
    /// What was done, in order, as `operation last-path-component`.
    var journal: [String] { state.withLock { $0.calls.map { "\($0.operation) \($0.path.lastComponent?.string ?? "")" } } }

    var lastCall: String { state.withLock { $0.calls.last.map { "\($0.operation) \($0.path)" } ?? "" } }

    /// Counts a call.
    /// - Returns: false when this is the call at which the disk dies. It throws when the disk is dead already.
    fileprivate func step(_ operation: String, _ path: FilePath) throws -> Bool {
        let isDying = try state.withLock { state in
            if state.isDead { throw StorageError(operation: operation, path: path, errno: .ioError) }
            state.operations += 1
            state.calls.append((operation, path))
            if state.operations >= state.diesAt { state.isDead = true }
            return state.isDead
        }
        if isDying, losesUnsynced { try forget() }
        if isDying, let seed { undo(seed) }
        return !isDying
    }

    fileprivate func wrote(_ path: FilePath, from length: Int64) { state.withLock { if $0.synced[path.string] == nil { $0.synced[path.string] = length } } }
    fileprivate func synced(_ path: FilePath, _ length: Int64) { state.withLock { $0.synced[path.string] = length } }

    /// Cuts every file back to what was synced.
    private func forget() throws {
        for (path, length) in state.withLock({ $0.synced }) where (try real.size(FilePath(path)) ?? 0) > length {
            let file = try real.openForAppending(FilePath(path))
            try file.truncate(to: length)
            try file.close()
        }
    }

    /// What cannot be undone any more lay in a folder that is gone.
    private func undo(_ seed: UInt64) {
        var random = SeededGenerator(state: seed)
        var kept: [String: Int] = [:]
        let names = state.withLock { $0.names }
        for folder in Set(names.map { $0.path.removingLastComponent().string }).sorted() {
            kept[folder] = Int.random(in: 0...names.filter { $0.path.removingLastComponent().string == folder }.count, using: &random)
        }
        var lost: [NameChange] = []
        for change in names {
            let folder = change.path.removingLastComponent().string
            kept[folder, default: 0] -= 1
            if kept[folder, default: 0] < 0 { lost.append(change) }
        }
        for change in lost.reversed() {
            switch change {
            case .created(let path): JournalBench.removeAll(path)
            case .renamed(let path, let target, let content):
                try? real.rename(target, to: path)
                if let content { write(content, to: target) }
            case .removed(let path, let content): write(content, to: path)
            }
        }
    }

    private func write(_ content: [UInt8], to path: FilePath) {
        guard let file = try? real.openForAppending(path) else { return }
        try? file.append(content)
        try? file.close()
    }

    private func content(_ path: FilePath) throws -> [UInt8]? {
        guard seed != nil, try real.size(path) != nil else { return nil }
        let bytes = try real.read(path)
        return Array(bytes.prefix(Int(state.withLock { $0.synced[path.string] } ?? Int64(bytes.count))))
    }

    private func changed(_ change: NameChange) { if seed != nil { state.withLock { $0.names.append(change) } } }

    private func guarded(_ operation: String, _ path: FilePath) throws {
        if try !step(operation, path) { throw StorageError(operation: operation, path: path, errno: .ioError) }
    }

    func makeDirectory(_ path: FilePath) throws {
        try guarded("makeDirectory", path)
        var missing: [FilePath] = []
        var folder = path
        while try real.size(folder) == nil {
            missing.append(folder)
            folder.removeLastComponent()
        }
        try real.makeDirectory(path)
        for folder in missing.reversed() { changed(.created(folder)) }
    }
    func openForAppending(_ path: FilePath) throws -> any AppendingFile {
        try guarded("open", path)
        if try real.size(path) == nil { changed(.created(path)) }
        return FaultyFile(file: try real.openForAppending(path), path: path, storage: self)
    }
    func openForReading(_ path: FilePath) throws -> any ReadingFile { try real.openForReading(path) }
    func rename(_ path: FilePath, to target: FilePath) throws {
        try guarded("rename", path)
        changed(.renamed(path, to: target, over: try content(target)))
        try real.rename(path, to: target)
        state.withLock { state in
            if let length = state.synced.removeValue(forKey: path.string) { state.synced[target.string] = length }
        }
    }
    func syncDirectory(_ path: FilePath) throws {
        try guarded("syncDirectory", path)
        try real.syncDirectory(path)
        state.withLock { $0.names.removeAll { $0.path.removingLastComponent() == path } }
    }
    func remove(_ path: FilePath) throws {
        try guarded("remove", path)
        if let content = try content(path) { changed(.removed(path, content: content)) }
        try real.remove(path)
        state.withLock { $0.synced[path.string] = nil }
    }
    func list(_ path: FilePath) throws -> [String] { try real.list(path) }
    func size(_ path: FilePath) throws -> Int64? { try real.size(path) }
    func space(_ path: FilePath) throws -> DiskSpace { try real.space(path) }
}

private final class FaultyFile: AppendingFile {
    let file: any AppendingFile
    let path: FilePath
    let storage: FaultyStorage

    init(file: any AppendingFile, path: FilePath, storage: FaultyStorage) {
        self.file = file
        self.path = path
        self.storage = storage
    }

    var length: Int64 { file.length }

    /// The append at which the disk dies leaves half of its bytes.
    func append(_ bytes: UnsafeRawBufferPointer) throws {
        storage.wrote(path, from: file.length)
        let isWhole = try storage.step("append", path)
        try file.append(isWhole ? bytes : UnsafeRawBufferPointer(rebasing: bytes.prefix(bytes.count / 2)))
        if !isWhole { throw StorageError(operation: "append", path: path, errno: .ioError) }
    }
    func sync() throws {
        guard try storage.step("sync", path) else { throw StorageError(operation: "sync", path: path, errno: .ioError) }
        try file.sync()
        storage.synced(path, file.length)
    }
    func truncate(to length: Int64) throws {
        guard try storage.step("truncate", path) else { throw StorageError(operation: "truncate", path: path, errno: .ioError) }
        try file.truncate(to: length)
        storage.synced(path, length)
    }
    func close() throws { try file.close() }
}
