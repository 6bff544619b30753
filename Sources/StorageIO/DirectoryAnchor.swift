import SystemPackage

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// A folder held open. What is named below it is looked up from there and not from the root of the system, so that
/// nothing lands on the disk below when the one that carries the folder is unmounted.
final class DirectoryAnchor: Sendable {
    let path: FilePath
    let descriptor: Int32
    private let device: UInt64
    private let node: UInt64

    init(_ path: FilePath) throws {
        self.path = path.lexicallyNormalized()
        descriptor = open(path.string, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw StorageError(operation: "open directory", path: path, errno: Errno(rawValue: errno)) }
        var information = stat()
        guard fstat(descriptor, &information) == 0 else {
            let error = StorageError(operation: "stat", path: path, errno: Errno(rawValue: errno))
            close(descriptor)
            throw error
        }
        device = UInt64(information.st_dev)
        node = UInt64(information.st_ino)
    }

    deinit { close(descriptor) }

    /// - Throws: when the path leads to another folder, or nowhere.
    func verifyInPlace() throws {
        var information = stat()
        guard stat(path.string, &information) == 0 else { throw StorageError(operation: "find the data directory", path: path, errno: Errno(rawValue: errno)) }
        guard UInt64(information.st_dev) == device, UInt64(information.st_ino) == node else { throw DirectoryWasExchanged(path: path.string) }
    }

    /// The name from here; nil for a path that lies elsewhere.
    func name(of other: FilePath) -> String? {
        guard other.starts(with: path) else { return nil }
        var rest = other
        guard rest.removePrefix(path) else { return nil }
        return rest.isEmpty ? "." : rest.string
    }
}

/// Another folder is where the storage's own one was: its disk was unmounted or exchanged.
package struct DirectoryWasExchanged: Error, CustomStringConvertible, Sendable {
    package let path: String
    package var description: String { "\(path) is not the folder any more that it was: its disk was unmounted or exchanged; mount it again" }
}
