import SystemPackage

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// The exclusive right to write in a data directory (flock). It ends with this value or with the process, so a
/// killed process leaves nothing to clean up.
package final class DirectoryLock: Sendable {
    private let descriptor: Int32

    /// - Parameter heldSentence: what to say when another process has it
    package init(_ path: FilePath, heldSentence: String) throws {
        descriptor = open(path.string, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else { throw StorageError(operation: "open", path: path, errno: Errno(rawValue: errno)) }
        // Where this throws, deinit closes.
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            let reason = errno
            throw reason == EWOULDBLOCK ? DirectoryIsLocked(description: heldSentence) : StorageError(operation: "lock", path: path, errno: Errno(rawValue: reason))
        }
    }

    deinit { if descriptor >= 0 { close(descriptor) } }

    /// Whether some process holds the lock at this path.
    package static func isHeld(_ path: FilePath) -> Bool {
        let descriptor = open(path.string, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        return flock(descriptor, LOCK_SH | LOCK_NB) != 0
    }
}

package struct DirectoryIsLocked: Error, CustomStringConvertible, Sendable {
    package let description: String
}
