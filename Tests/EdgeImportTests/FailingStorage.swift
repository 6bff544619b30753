import StorageIO
import Synchronization
import SystemPackage

/// The real disk until its n-th write, sync, rename or making of a folder; from there on every one of them fails.
final class FailingStorage: StorageIO {
    private let real = RealStorage()
    private let left: Atomic<Int>

    init(failAt call: Int) { left = Atomic(call) }

    fileprivate func count(_ operation: String, _ path: FilePath) throws {
        guard left.subtract(1, ordering: .relaxed).newValue > 0 else { throw StorageError(operation: operation, path: path, errno: .ioError) }
    }

    func makeDirectory(_ path: FilePath) throws {
        try count("mkdir", path)
        try real.makeDirectory(path)
    }
    func openForAppending(_ path: FilePath) throws -> any AppendingFile { File(try real.openForAppending(path), path, self) }
    func openForReading(_ path: FilePath) throws -> any ReadingFile { try real.openForReading(path) }
    func rename(_ path: FilePath, to target: FilePath) throws {
        try count("rename", path)
        try real.rename(path, to: target)
    }
    func syncDirectory(_ path: FilePath) throws {
        try count("sync", path)
        try real.syncDirectory(path)
    }
    func remove(_ path: FilePath) throws { try real.remove(path) }
    func removeDirectory(_ path: FilePath) throws { try real.removeDirectory(path) }
    func list(_ path: FilePath) throws -> [String] { try real.list(path) }
    func size(_ path: FilePath) throws -> Int64? { try real.size(path) }
    func space(_ path: FilePath) throws -> DiskSpace { try real.space(path) }

    private final class File: AppendingFile {
        private let real: any AppendingFile
        private let path: FilePath
        private let owner: FailingStorage

        init(_ real: any AppendingFile, _ path: FilePath, _ owner: FailingStorage) {
            self.real = real
            self.path = path
            self.owner = owner
        }

        var length: Int64 { real.length }
        func append(_ bytes: UnsafeRawBufferPointer) throws {
            try owner.count("write", path)
            try real.append(bytes)
        }
        func sync() throws {
            try owner.count("sync", path)
            try real.sync()
        }
        func truncate(to length: Int64) throws { try real.truncate(to: length) }
        func close() throws { try real.close() }
    }
}
