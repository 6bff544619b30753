import SystemPackage

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// The disk of this machine.
package struct RealStorage: StorageIO {
    package init() {}

    package func makeDirectory(_ path: FilePath) throws {
        guard mkdir(path.string, 0o700) != 0 else { return }
        switch errno {
        case EEXIST: return
        case ENOENT where path != path.removingLastComponent() && !path.removingLastComponent().isEmpty:
            try makeDirectory(path.removingLastComponent())
            if mkdir(path.string, 0o700) != 0, errno != EEXIST { throw failure("mkdir", path) }
        default: throw failure("mkdir", path)
        }
    }

    package func openForAppending(_ path: FilePath) throws -> any AppendingFile {
        try DescriptorFile(path, flags: O_WRONLY | O_APPEND | O_CREAT)
    }

    package func openForReading(_ path: FilePath) throws -> any ReadingFile {
        try DescriptorFile(path, flags: O_RDONLY)
    }

    package func rename(_ path: FilePath, to target: FilePath) throws {
        if Glibc.rename(path.string, target.string) != 0 { throw failure("rename", path) }
    }

    package func syncDirectory(_ path: FilePath) throws {
        let descriptor = open(path.isEmpty ? "." : path.string, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw failure("open directory", path) }
        defer { close(descriptor) }
        if fsync(descriptor) != 0 { throw failure("sync directory", path) }
    }

    package func remove(_ path: FilePath) throws {
        if unlink(path.string) != 0, errno != ENOENT { throw failure("unlink", path) }
    }

    package func list(_ path: FilePath) throws -> [String] {
        guard let directory = opendir(path.string) else {
            if errno == ENOENT { return [] }
            throw failure("list", path)
        }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names.sorted()
    }

    package func size(_ path: FilePath) throws -> Int64? {
        var information = stat()
        if stat(path.string, &information) != 0 {
            if errno == ENOENT { return nil }
            throw failure("stat", path)
        }
        return Int64(information.st_size)
    }

    package func space(_ path: FilePath) throws -> DiskSpace {
        var information = statvfs()
        if statvfs(path.string, &information) != 0 { throw failure("statvfs", path) }
        let block = Int64(information.f_frsize)
        return DiskSpace(totalBytes: Int64(information.f_blocks) * block, availableBytes: Int64(information.f_bavail) * block)
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

    init(_ path: FilePath, flags: Int32) throws {
        self.path = path
        descriptor = open(path.string, flags | O_CLOEXEC | O_NOFOLLOW, 0o600)
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
