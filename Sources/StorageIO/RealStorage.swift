import CSyncFS
import SystemPackage

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// The disk of this machine.
package struct RealStorage: StorageIO {
    private let anchor: DirectoryAnchor?

    package init() { anchor = nil }

    /// Looks up everything below this folder from the folder as it is now, whatever is mounted there later.
    /// - Throws: `StorageError` when it cannot be opened.
    package init(anchoredAt folder: FilePath) throws { anchor = try DirectoryAnchor(folder) }

    package func verifyInPlace() throws { try anchor?.verifyInPlace() }

    /// For the `*at` calls: below the anchor its descriptor and the rest, elsewhere the path itself.
    private func place(_ path: FilePath) -> (directory: Int32, name: String) {
        if let anchor, let name = anchor.name(of: path) { return (anchor.descriptor, name) }
        return (AT_FDCWD, path.isEmpty ? "." : path.string)
    }

    package func makeDirectory(_ path: FilePath) throws {
        let (directory, name) = place(path)
        guard mkdirat(directory, name, 0o700) != 0 else { return }
        switch errno {
        case EEXIST: return
        case ENOENT where path != path.removingLastComponent() && !path.removingLastComponent().isEmpty:
            try makeDirectory(path.removingLastComponent())
            if mkdirat(directory, name, 0o700) != 0, errno != EEXIST { throw failure("mkdir", path) }
        default: throw failure("mkdir", path)
        }
    }

    package func openForAppending(_ path: FilePath) throws -> any AppendingFile {
        try DescriptorFile(path, place(path), flags: O_WRONLY | O_APPEND | O_CREAT)
    }

    package func openForReading(_ path: FilePath) throws -> any ReadingFile {
        try DescriptorFile(path, place(path), flags: O_RDONLY)
    }

    package func rename(_ path: FilePath, to target: FilePath) throws {
        let (from, to) = (place(path), place(target))
        if renameat(from.directory, from.name, to.directory, to.name) != 0 { throw failure("rename", path) }
    }

    package func syncDirectory(_ path: FilePath) throws {
        let descriptor = try openDirectory(path)
        defer { close(descriptor) }
        if fsync(descriptor) != 0 { throw failure("sync directory", path) }
    }

    fileprivate func openDirectory(_ path: FilePath) throws -> Int32 {
        let (directory, name) = place(path)
        let descriptor = openat(directory, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw failure("open directory", path) }
        return descriptor
    }

    package func remove(_ path: FilePath) throws {
        let (directory, name) = place(path)
        if unlinkat(directory, name, 0) != 0, errno != ENOENT { throw failure("unlink", path) }
    }

    package func allocate(_ path: FilePath, bytes: Int64) throws {
        let (directory, name) = place(path)
        let descriptor = openat(directory, name, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else { throw failure("open", path) }
        defer { close(descriptor) }
        // It answers with the error and leaves `errno` alone.
        let result = posix_fallocate(descriptor, 0, off_t(bytes))
        if result != 0 { throw StorageError(operation: "allocate", path: path, errno: Errno(rawValue: result)) }
        if fsync(descriptor) != 0 { throw failure("sync", path) }
    }

    package func removeDirectory(_ path: FilePath) throws {
        let (directory, name) = place(path)
        if unlinkat(directory, name, AT_REMOVEDIR) != 0, errno != ENOENT { throw failure("remove directory", path) }
    }

    package func list(_ path: FilePath) throws -> [String] {
        let descriptor: Int32
        do { descriptor = try openDirectory(path) } catch let error as StorageError where error.errno == .noSuchFileOrDirectory { return [] }
        guard let directory = fdopendir(descriptor) else {
            let error = failure("list", path)
            close(descriptor)
            throw error
        }
        defer { closedir(directory) }
        var names: [String] = []
        errno = 0
        while let entry = readdir(directory) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != ".", name != ".." { names.append(name) }
            errno = 0
        }
        // A listing that broke off would make files look as if they were gone.
        if errno != 0 { throw failure("list", path) }
        return names.sorted()
    }

    package func size(_ path: FilePath) throws -> Int64? {
        let (directory, name) = place(path)
        var information = stat()
        if fstatat(directory, name, &information, 0) != 0 {
            if errno == ENOENT { return nil }
            throw failure("stat", path)
        }
        return Int64(information.st_size)
    }

    package func space(_ path: FilePath) throws -> DiskSpace {
        var information = statvfs()
        let isAnchor = anchor?.name(of: path) == "."
        let result = isAnchor ? fstatvfs(anchor?.descriptor ?? -1, &information) : statvfs(path.string, &information)
        if result != 0 { throw failure("statvfs", path) }
        let block = Int64(information.f_frsize)
        return DiskSpace(totalBytes: Int64(information.f_blocks) * block, availableBytes: Int64(information.f_bavail) * block)
    }
}

extension RealStorage {
    package func fileSystem(of path: FilePath) throws -> (any FileSystemSync)? {
        MountedFileSystem(path, try openDirectory(path))
    }
}

/// The one owner of a folder's descriptor, through which its file system is synced.
private final class MountedFileSystem: FileSystemSync {
    private let path: FilePath
    private let descriptor: Int32

    init(_ path: FilePath, _ descriptor: Int32) {
        self.path = path
        self.descriptor = descriptor
    }

    deinit { close(descriptor) }

    func syncAll() throws {
        if syncfs(descriptor) != 0 { throw failure("sync file system", path) }
    }
}

private func failure(_ operation: String, _ path: FilePath) -> StorageError {
    StorageError(operation: operation, path: path, errno: Errno(rawValue: errno))
}

/// The one owner of a descriptor. Sendable because it never changes after opening, and `pread` moves no offset;
/// appending changes `length` and is for one thread at a time, which `AppendingFile` demands.
private final class DescriptorFile: AppendingFile, ReadingFile, @unchecked Sendable {
    private let path: FilePath
    private var descriptor: Int32
    private(set) var length: Int64

    init(_ path: FilePath, _ place: (directory: Int32, name: String), flags: Int32) throws {
        self.path = path
        descriptor = openat(place.directory, place.name, flags | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else { throw failure("open", path) }
        var information = stat()
        guard fstat(descriptor, &information) == 0 else {
            let error = failure("stat", path)
            Glibc.close(descriptor)
            throw error
        }
        length = Int64(information.st_size)
    }

    deinit { if descriptor >= 0 { Glibc.close(descriptor) } }

    func append(_ bytes: UnsafeRawBufferPointer) throws {
        var rest = bytes[...]
        while !rest.isEmpty {
            let written = write(descriptor, UnsafeRawBufferPointer(rebasing: rest).baseAddress, rest.count)
            if written < 0 {
                if errno == EINTR { continue }
                throw failure("write", path)
            }
            length += Int64(written)
            rest = rest.dropFirst(written)
        }
    }

    func sync() throws {
        if fdatasync(descriptor) != 0 { throw failure("sync", path) }
    }

    func truncate(to length: Int64) throws {
        if ftruncate(descriptor, off_t(length)) != 0 { throw failure("truncate", path) }
        self.length = length
    }

    func forget() { posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED) }

    func close() throws {
        let closing = descriptor
        descriptor = -1
        if closing >= 0, Glibc.close(closing) != 0 { throw failure("close", path) }
    }

    func read(at offset: Int64, into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        while true {
            let got = pread(descriptor, buffer.baseAddress, buffer.count, off_t(offset))
            if got >= 0 { return got }
            if errno != EINTR { throw failure("read", path) }
        }
    }
}
