import SystemPackage

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

package enum MountPoint {
    /// Whether the folder lies on another file system than `/`.
    package static func isOnOwnDisk(_ path: FilePath) throws -> Bool { try !areOnSameDisk(path, FilePath("/")) }

    /// Whether both lie on one file system.
    package static func areOnSameDisk(_ one: FilePath, _ other: FilePath) throws -> Bool { try device(one) == device(other) }

    private static func device(_ path: FilePath) throws -> UInt64 {
        var information = stat()
        guard stat(path.string, &information) == 0 else { throw StorageError(operation: "find", path: path, errno: Errno(rawValue: errno)) }
        return UInt64(information.st_dev)
    }
}
