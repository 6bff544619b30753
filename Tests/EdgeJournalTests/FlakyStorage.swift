import RecordingModel
import StorageIO
import Synchronization
import SystemPackage

/// A real disk on which one sync fails when it is told to, and on which something may pass with each.
final class FlakyStorage: StorageIO {
    private let real = RealStorage()
    private let prefix = Mutex<String?>(nil)
    fileprivate let onSync: @Sendable () -> Void

    init(onSync: @escaping @Sendable () -> Void = {}) { self.onSync = onSync }

    /// The next sync of a file whose name begins so fails.
    func failNextSync(of name: String) { prefix.withLock { $0 = name } }

    fileprivate func takesFailure(_ path: FilePath) -> Bool {
        prefix.withLock { prefix in
            guard let wanted = prefix, path.lastComponent?.string.hasPrefix(wanted) == true else { return false }
            prefix = nil
            return true
        }
    }

    func makeDirectory(_ path: FilePath) throws { try real.makeDirectory(path) }
    func openForAppending(_ path: FilePath) throws -> any AppendingFile { FlakyFile(file: try real.openForAppending(path), path: path, storage: self) }
    func openForReading(_ path: FilePath) throws -> any ReadingFile { try real.openForReading(path) }
    func rename(_ path: FilePath, to target: FilePath) throws { try real.rename(path, to: target) }
    func syncDirectory(_ path: FilePath) throws {
        onSync()
        try real.syncDirectory(path)
    }
    func remove(_ path: FilePath) throws { try real.remove(path) }
    func list(_ path: FilePath) throws -> [String] { try real.list(path) }
    func size(_ path: FilePath) throws -> Int64? { try real.size(path) }
    func space(_ path: FilePath) throws -> DiskSpace { try real.space(path) }
}

private final class FlakyFile: AppendingFile {
    let file: any AppendingFile
    let path: FilePath
    let storage: FlakyStorage
    init(file: any AppendingFile, path: FilePath, storage: FlakyStorage) {
        self.file = file
        self.path = path
        self.storage = storage
    }
    var length: Int64 { file.length }
    func append(_ bytes: UnsafeRawBufferPointer) throws { try file.append(bytes) }
    func sync() throws {
        if storage.takesFailure(path) { throw StorageError(operation: "sync", path: path, errno: .ioError) }
        storage.onSync()
        try file.sync()
    }
    func truncate(to length: Int64) throws { try file.truncate(to: length) }
    func close() throws { try file.close() }
}
