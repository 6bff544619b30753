import SystemPackage

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

package enum MountPoint {
    /// Whether the folder lies on another file system than `/`.
    package static func isOnOwnDisk(_ path: FilePath) throws -> Bool {
        func device(_ path: String) throws -> UInt64 {
            var information = stat()
            guard stat(path, &information) == 0 else { throw StorageError(operation: "find", path: FilePath(path), errno: Errno(rawValue: errno)) }
            return UInt64(information.st_dev)
        }
        return try device(path.string) != device("/")
    }
}
