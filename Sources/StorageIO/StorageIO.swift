import SystemPackage

/// The seam to disk. Everything that must survive a power cut goes through it, so that a test can forget,
/// tear or refuse what a real disk would. All calls block; call them from threads that may.
package protocol StorageIO: Sendable {
    /// Makes the folder and the ones above it; a folder that is there is no error.
    func makeDirectory(_ path: FilePath) throws
    /// Opens for appending; makes the file (mode 0600) when it is missing.
    func openForAppending(_ path: FilePath) throws -> any AppendingFile
    func openForReading(_ path: FilePath) throws -> any ReadingFile
    func rename(_ path: FilePath, to target: FilePath) throws
    /// Makes renames, creations and removals in the folder durable.
    func syncDirectory(_ path: FilePath) throws
    /// Removing what is not there is no error.
    func remove(_ path: FilePath) throws
    /// Names in the folder, sorted, without `.` and `..`; empty for a folder that is missing.
    func list(_ path: FilePath) throws -> [String]
    /// Nil when there is no such file.
    func size(_ path: FilePath) throws -> Int64?
    func space(_ path: FilePath) throws -> DiskSpace
    /// Makes a file that holds this much space, whatever is in it. A disk that only a test knows need not.
    func allocate(_ path: FilePath, bytes: Int64) throws
    /// Removes an empty folder. One that is left behind does no harm.
    func removeDirectory(_ path: FilePath) throws
    /// Throws when the folder that this storage was opened for is not where its path leads any more: a disk was
    /// unmounted or exchanged.
    func verifyInPlace() throws
    /// The file system that holds this folder, to make durable as a whole; nil where that cannot be had. It is opened
    /// before the first write, because a failed write-back is told only to who was there when it failed.
    func fileSystem(of path: FilePath) throws -> (any FileSystemSync)?
}

/// A file system whose every write, rename and creation can be made durable in one go: for hundreds of small files a
/// tenth of the time that syncing each takes.
package protocol FileSystemSync: AnyObject, Sendable {
    /// A failure may be another file's: ask each file then. It is told once.
    func syncAll() throws
}

extension StorageIO {
    package func allocate(_ path: FilePath, bytes: Int64) throws {}
    package func removeDirectory(_ path: FilePath) throws {}
    package func verifyInPlace() throws {}
    package func fileSystem(of path: FilePath) throws -> (any FileSystemSync)? { nil }
}

package struct DiskSpace: Sendable, Hashable {
    package var totalBytes: Int64
    package var availableBytes: Int64
    package init(totalBytes: Int64, availableBytes: Int64) {
        self.totalBytes = totalBytes
        self.availableBytes = availableBytes
    }
}

/// A file that only grows. Owned by one thread at a time.
package protocol AppendingFile: AnyObject {
    var length: Int64 { get }
    /// Appends all bytes; after a failure the length of the file is unknown and it must be given up.
    func append(_ bytes: UnsafeRawBufferPointer) throws
    /// Makes what was appended durable (fdatasync). A failure is final: a second try proves nothing.
    func sync() throws
    /// Cuts the file back; used by recovery only.
    func truncate(to length: Int64) throws
    /// Nobody will read soon what was synced: it need not stay in memory.
    func forget()
    func close() throws
}

extension AppendingFile {
    package func forget() {}
}

package protocol ReadingFile: AnyObject, Sendable {
    var length: Int64 { get }
    /// Reads up to `buffer.count` bytes at `offset`; 0 at the end.
    func read(at offset: Int64, into buffer: UnsafeMutableRawBufferPointer) throws -> Int
}

/// A failed call to the disk: what was tried, on what, and the system's answer.
package struct StorageError: Error, CustomStringConvertible, Sendable {
    package var operation: String
    package var path: String
    package var errno: Errno

    package init(operation: String, path: FilePath, errno: Errno) {
        self.operation = operation
        self.path = path.string
        self.errno = errno
    }

    package var description: String { "\(operation) \(path): \(errno)" }
    package var isNoSpace: Bool { errno == .noSpace || errno == .diskQuotaExceeded }
}

extension AppendingFile {
    package func append(_ bytes: [UInt8]) throws { try bytes.withUnsafeBytes { try append($0) } }
}

extension StorageIO {
    /// The whole file, refused above `limitBytes`.
    package func read(_ path: FilePath, limitBytes: Int = 64 << 20) throws -> [UInt8] {
        let file = try openForReading(path)
        guard file.length <= limitBytes else { throw StorageError(operation: "read (over \(limitBytes) bytes)", path: path, errno: .fileTooLarge) }
        return try file.read(at: 0, count: Int(file.length))
    }

    /// Replaces the file as a whole: after a cut there is the old content or the new, never a part.
    package func replace(_ path: FilePath, with bytes: [UInt8]) throws {
        let temporary = FilePath(path.string + ".new")
        try remove(temporary)
        let file = try openForAppending(temporary)
        try file.append(bytes)
        try file.sync()
        try file.close()
        try rename(temporary, to: path)
        try syncDirectory(path.removingLastComponent())
    }
}

extension ReadingFile {
    package func read(at offset: Int64, count: Int) throws -> [UInt8] {
        try [UInt8](unsafeUninitializedCapacity: max(0, count)) { buffer, initialized in
            while initialized < count {
                let rest = UnsafeMutableRawBufferPointer(rebasing: UnsafeMutableRawBufferPointer(buffer)[initialized..<count])
                let got = try read(at: offset + Int64(initialized), into: rest)
                if got == 0 { break }
                initialized += got
            }
        }
    }
}
