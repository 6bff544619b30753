import LogFixtures
import StorageIO
import Synchronization
import SystemPackage

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// A disk that dies: from the N-th changing call on everything that changes something fails, as if the process were
/// gone. With `losesUnsynced` it also forgets, at that moment, what was appended and not synced, as a power cut does.
///
/// With a `cutting` seed it does what disks really do with what no sync has made durable:
/// - contents: of each file the blocks (512 bytes or 4 KiB) that were appended after the last sync are kept or lost one by
///   one, so writes are dropped, torn and reordered; a lost block before a kept one reads as zeros; a truncation may be undone;
/// - names: in each folder a random number of the last creations, renames and removals is undone. A file that went into
///   another folder is there for good once that one is synced.
///
/// With `failNext` one call fails and the disk lives on. A sync that failed has lost what it should have made durable: the
/// next one succeeds, as on Linux, and changes nothing.
package final class FaultyStorage: StorageIO {
    private struct State {
        var operations = 0
        var diesAt: Int
        var isDead = false
        var failure: (operation: Int, errno: Errno)?
        /// Files of which a sync failed.
        var poisoned: Set<String> = []
        var calls: [(operation: String, path: FilePath)] = []
        /// Files that were changed since their last sync.
        var unsynced: [String: Unsynced] = [:]
        /// Changes of names that no sync of their folder has made durable, in order.
        var names: [NameChange] = []
    }
    /// What is durable of a file: its first `length` bytes as they are now, and then `tail`, which was truncated away.
    private struct Unsynced {
        var length: Int64
        var tail: [UInt8] = []
    }
    private struct NameChange {
        enum Change {
            case created(FilePath)
            case renamed(FilePath, to: FilePath, over: [UInt8]?)
            case removed(FilePath, content: [UInt8])
        }
        /// The folder whose sync makes it durable, as text: comparing paths took more time than the disk.
        var folder: String
        var change: Change

        init(_ change: Change) {
            self.change = change
            let path =
                switch change {
                case .created(let path), .renamed(_, let path, _), .removed(let path, _): path.string
                }
            folder = String(path[..<(path.lastIndex(of: "/") ?? path.startIndex)])
        }
    }
    private let real = RealStorage()
    /// Held during each call: a cut happens between two calls, whatever threads make them.
    private let state: Mutex<State>
    private let losesUnsynced: Bool
    private let seed: UInt64?
    private let spaceOf: (@Sendable () throws -> DiskSpace)?

    /// - Parameter space: what the disk says of its space, instead of the truth.
    package init(diesAt: Int = .max, losesUnsynced: Bool = false, cutting seed: UInt64? = nil, space: (@Sendable () throws -> DiskSpace)? = nil) {
        self.seed = seed
        spaceOf = space
        state = Mutex(State(diesAt: diesAt))
        self.losesUnsynced = losesUnsynced
    }

    package var operations: Int { state.withLock { $0.operations } }
    package var isDead: Bool { state.withLock { $0.isDead } }
    /// What was done, in order, as `operation last-path-component`.
    package var journal: [String] { state.withLock { $0.calls.map { "\($0.operation) \($0.path.lastComponent?.string ?? "")" } } }

    package var lastCall: String { state.withLock { $0.calls.last.map { "\($0.operation) \($0.path)" } ?? "" } }

    /// The power goes now, if it has not gone before.
    package func cutPower() {
        state.withLock { state in
            guard !state.isDead else { return }
            state.isDead = true
            cut(&state)
        }
    }

    /// The power goes at the changing call after so many others.
    package func cutPower(after calls: Int) { state.withLock { $0.diesAt = $0.operations + calls + 1 } }

    /// The changing call after so many others fails, and does only a part of what it should.
    package func failNext(after calls: Int, _ errno: Errno) { state.withLock { $0.failure = ($0.operations + calls + 1, errno) } }
    package func failNoMore() { state.withLock { $0.failure = nil } }

    /// Counts a call and makes it, unless the disk is dead. At the call at which it dies only `partly` is done.
    private func call(_ operation: String, _ path: FilePath, partly: (inout State) throws -> Void = { _ in }, _ whole: (inout State) throws -> Void) throws {
        try state.withLock { state in
            if state.isDead { throw StorageError(operation: operation, path: path, errno: .ioError) }
            state.operations += 1
            state.calls.append((operation, path))
            if let failure = state.failure, state.operations >= failure.operation {
                state.failure = nil
                if operation == "sync" { state.poisoned.insert(path.string) }
                try partly(&state)
                throw StorageError(operation: operation, path: path, errno: failure.errno)
            }
            guard state.operations >= state.diesAt else { return try whole(&state) }
            state.isDead = true
            try partly(&state)
            cut(&state)
            throw StorageError(operation: operation, path: path, errno: .ioError)
        }
    }

    private func cut(_ state: inout State) {
        guard losesUnsynced || seed != nil else { return }
        var random = SeededNumbers(seed: seed ?? 0)
        for (path, unsynced) in state.unsynced.sorted(by: { $0.key < $1.key }) {
            guard let bytes = try? real.read(FilePath(path)) else { continue }
            let kept = seed == nil ? Self.durable(bytes, unsynced) : Self.remains(of: bytes, unsynced, &random)
            put(kept, in: FilePath(path))
        }
        if seed != nil { undo(state.names, &random) }
    }

    private static func durable(_ bytes: [UInt8], _ unsynced: Unsynced) -> [UInt8] { bytes.prefix(Int(unsynced.length)) + unsynced.tail }

    private static func remains(of bytes: [UInt8], _ unsynced: Unsynced, _ random: inout SeededNumbers) -> [UInt8] {
        let base = min(Int(unsynced.length), bytes.count)
        let fate = Int.random(in: 0..<6, using: &random)
        if fate == 0 || (!unsynced.tail.isEmpty && Bool.random(using: &random)) { return durable(bytes, unsynced) }
        if fate == 1 { return bytes }
        let end = Bool.random(using: &random) ? bytes.count : Int.random(in: base...bytes.count, using: &random)
        var kept = Array(bytes[..<end])
        let block = Bool.random(using: &random) ? 512 : 4_096
        var start = base
        while start < end {
            let next = min(end, (start / block + 1) * block)
            if Bool.random(using: &random) { for index in start..<next { kept[index] = 0 } }
            start = next
        }
        return kept
    }

    private func put(_ content: [UInt8], in path: FilePath) {
        guard let file = try? real.openForAppending(path) else { return }
        try? file.truncate(to: 0)
        try? file.append(content)
        try? file.close()
    }

    /// What cannot be undone any more lay in a folder that is gone.
    private func undo(_ names: [NameChange], _ random: inout SeededNumbers) {
        var kept: [String: Int] = [:]
        for folder in Set(names.map(\.folder)).sorted() {
            kept[folder] = Int.random(in: 0...names.count(where: { $0.folder == folder }), using: &random)
        }
        var lost: [NameChange.Change] = []
        for name in names {
            kept[name.folder, default: 0] -= 1
            if kept[name.folder, default: 0] < 0 { lost.append(name.change) }
        }
        for change in lost.reversed() {
            switch change {
            case .created(let path): removeAll(path)
            case .renamed(let path, let target, let content):
                try? real.rename(target, to: path)
                if let content { put(content, in: target) }
            case .removed(let path, let content): put(content, in: path)
            }
        }
    }

    /// What a cut would leave of the file now, at the least.
    private func durableContent(_ path: FilePath, _ state: State) throws -> [UInt8]? {
        guard seed != nil, try real.size(path) != nil else { return nil }
        let bytes = try real.read(path)
        return state.unsynced[path.string].map { Self.durable(bytes, $0) } ?? bytes
    }

    package func makeDirectory(_ path: FilePath) throws {
        try call("makeDirectory", path) { state in
            // As text: without optimisation paths took more time than the disk.
            var missing: [String] = []
            var folder = path.string[...]
            while access(String(folder), F_OK) != 0, let slash = folder.lastIndex(of: "/") {
                missing.append(String(folder))
                folder = folder[..<slash]
            }
            guard !missing.isEmpty else { return }
            try real.makeDirectory(path)
            for folder in missing.reversed() { state.names.append(NameChange(.created(FilePath(folder)))) }
        }
    }
    package func openForAppending(_ path: FilePath) throws -> any AppendingFile {
        try call("open", path) { state in
            guard try real.size(path) == nil else { return }
            try real.openForAppending(path).close()
            state.names.append(NameChange(.created(path)))
        }
        return FaultyFile(file: try real.openForAppending(path), path: path, storage: self)
    }
    package func openForReading(_ path: FilePath) throws -> any ReadingFile { try real.openForReading(path) }
    package func rename(_ path: FilePath, to target: FilePath) throws {
        try call("rename", path) { state in
            state.names.append(NameChange(.renamed(path, to: target, over: try durableContent(target, state))))
            try real.rename(path, to: target)
            state.unsynced[target.string] = state.unsynced.removeValue(forKey: path.string)
            state.poisoned.remove(target.string)
            if state.poisoned.remove(path.string) != nil { state.poisoned.insert(target.string) }
        }
    }
    package func syncDirectory(_ path: FilePath) throws {
        try call("syncDirectory", path) { state in
            try real.syncDirectory(path)
            let folder = path.string
            state.names.removeAll { $0.folder == folder }
        }
    }
    package func remove(_ path: FilePath) throws {
        try call("remove", path) { state in
            if let content = try durableContent(path, state) { state.names.append(NameChange(.removed(path, content: content))) }
            try real.remove(path)
            state.unsynced[path.string] = nil
            state.poisoned.remove(path.string)
        }
    }
    package func list(_ path: FilePath) throws -> [String] { try real.list(path) }
    package func size(_ path: FilePath) throws -> Int64? { try real.size(path) }
    package func space(_ path: FilePath) throws -> DiskSpace { try spaceOf?() ?? real.space(path) }

    /// The append at which the disk dies leaves half of its bytes for the cut to choose from.
    fileprivate func append(_ bytes: UnsafeRawBufferPointer, to file: any AppendingFile, _ path: FilePath) throws {
        let half = UnsafeRawBufferPointer(rebasing: bytes.prefix(bytes.count / 2))
        func add(_ bytes: UnsafeRawBufferPointer, _ state: inout State) throws {
            if state.unsynced[path.string] == nil { state.unsynced[path.string] = Unsynced(length: file.length) }
            try file.append(bytes)
        }
        try call("append", path, partly: { try add(half, &$0) }) { try add(bytes, &$0) }
    }
    fileprivate func sync(_ file: any AppendingFile, _ path: FilePath) throws {
        try call("sync", path) { state in
            try file.sync()
            if !state.poisoned.contains(path.string) { state.unsynced[path.string] = nil }
        }
    }
    fileprivate func truncate(_ file: any AppendingFile, _ path: FilePath, to length: Int64) throws {
        try call("truncate", path) { state in
            var unsynced = state.unsynced[path.string] ?? Unsynced(length: file.length)
            if length < unsynced.length {
                unsynced.tail = try real.read(path)[Int(length)..<Int(unsynced.length)] + unsynced.tail
                unsynced.length = length
            }
            try file.truncate(to: length)
            state.unsynced[path.string] = unsynced
            // What is appended from here on is dirty anew.
            if length <= unsynced.length { state.poisoned.remove(path.string) }
        }
    }
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
    func append(_ bytes: UnsafeRawBufferPointer) throws { try storage.append(bytes, to: file, path) }
    func sync() throws { try storage.sync(file, path) }
    func truncate(to length: Int64) throws { try storage.truncate(file, path, to: length) }
    func close() throws { try file.close() }
}
