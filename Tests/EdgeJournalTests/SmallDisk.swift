import StorageIO
import Synchronization
import SystemPackage

/// The real disk, looking as small as a test wants: free is what its files leave of a made-up size.
final class SmallDisk: StorageIO {
    private let real = RealStorage()
    private let root: FilePath
    private let state: Mutex<(totalBytes: Int64, others: Int64, refusesUnlink: Bool)>

    init(_ root: FilePath, totalBytes: Int64) {
        self.root = root
        state = Mutex((totalBytes, 0, false))
    }

    /// Bytes that somebody else has put on the disk.
    func fill(_ bytes: Int64) { state.withLock { $0.others = bytes } }
    func refuseUnlink(_ refuses: Bool) { state.withLock { $0.refusesUnlink = refuses } }

    private func used(_ path: FilePath) throws -> Int64 {
        let names = (try? real.list(path)) ?? []
        guard names.isEmpty else { return try names.reduce(0) { try $0 + used(path.appending($1)) } }
        return path.lastComponent?.string.hasPrefix("index.") == true ? 0 : try real.size(path) ?? 0
    }

    func space(_ path: FilePath) throws -> DiskSpace {
        let (total, others) = state.withLock { ($0.totalBytes, $0.others) }
        return DiskSpace(totalBytes: total, availableBytes: max(0, total - others - (try used(root.appending("segments")))))
    }

    func makeDirectory(_ path: FilePath) throws { try real.makeDirectory(path) }
    func openForAppending(_ path: FilePath) throws -> any AppendingFile { try real.openForAppending(path) }
    func openForReading(_ path: FilePath) throws -> any ReadingFile { try real.openForReading(path) }
    func rename(_ path: FilePath, to target: FilePath) throws { try real.rename(path, to: target) }
    func syncDirectory(_ path: FilePath) throws { try real.syncDirectory(path) }
    func remove(_ path: FilePath) throws {
        if state.withLock({ $0.refusesUnlink }), path.string.hasSuffix(".mp4") { throw StorageError(operation: "unlink", path: path, errno: .readOnlyFileSystem) }
        try real.remove(path)
    }
    func list(_ path: FilePath) throws -> [String] { try real.list(path) }
    func size(_ path: FilePath) throws -> Int64? { try real.size(path) }
}
