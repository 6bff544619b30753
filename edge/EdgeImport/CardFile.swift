import Crypto
import RecordingModel
import StorageIO
import SystemPackage

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// The card or the file on it cannot be read: no fault of the node's own disk.
package struct CardReadFailure: Error, CustomStringConvertible {
    package let description: String
}

/// Opens for reading and nothing else, and without leaving a time of access behind where the system lets us.
func openOnCard(_ path: FilePath, flags: Int32 = 0) -> Int32 {
    // Linux's O_NOATIME, which Swift's module hides; refused with EPERM to who does not own the file.
    let noAccessTime: Int32 = 0o1_000_000
    return path.withPlatformString { name in
        let quiet = open(name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | noAccessTime | flags)
        return quiet >= 0 || errno != EPERM ? quiet : open(name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | flags)
    }
}

/// A file on a card. What the card cannot read any more counts as zeros, so that the rest can be had; how much that is
/// is told. One thread at a time.
final class CardFile: ReadingFile, @unchecked Sendable {
    // Safe as unchecked: it is made, used and dropped within one worker; `ReadingFile` asks for the word.
    static let blockBytes: Int64 = 4_096
    /// So many unreadable ones in a row are a dead stretch: from there on only the first block of each is tried.
    static let stretchBlocks: UInt64 = 256
    static let deadBlocksInARow = 1_024
    static let goneSentence = "the card cannot be read any more; put it in again, and import it once more: what is imported already is left out"

    let length: Int64
    private let name: String
    private let readAt: (Int64, UnsafeMutableRawBufferPointer) throws -> Int
    private var unreadableBlocks = SequenceRanges()
    private var unreadableInARow = 0
    private let forgetCache: () -> Void
    private let close: () -> Void
    /// Bytes that were asked for beyond those that came from the card itself.
    var unreadableBytes: Int64 {
        unreadableBlocks.ranges.reduce(0) { $0 + min(Int64($1.upperBound + 1) * Self.blockBytes, length) - Int64($1.lowerBound) * Self.blockBytes }
    }

    convenience init(_ path: FilePath, name: String) throws {
        let descriptor = openOnCard(path)
        guard descriptor >= 0 else { throw CardReadFailure(description: "it cannot be opened: \(Errno(rawValue: errno))") }
        var information = stat()
        guard fstat(descriptor, &information) == 0, information.st_mode & S_IFMT == S_IFREG else {
            Glibc.close(descriptor)
            throw CardReadFailure(description: "it is no file any more")
        }
        posix_fadvise(descriptor, 0, 0, POSIX_FADV_SEQUENTIAL)
        self.init(
            name: name, length: Int64(information.st_size),
            read: { offset, buffer in
                while true {
                    let count = pread(descriptor, buffer.baseAddress, buffer.count, off_t(offset))
                    if count >= 0 { return count }
                    if errno != EINTR { throw CardReadFailure(description: "\(Errno(rawValue: errno))") }
                }
            }, forgetCache: { posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED) }, close: { Glibc.close(descriptor) })
    }

    init(
        name: String, length: Int64, read: @escaping (Int64, UnsafeMutableRawBufferPointer) throws -> Int, forgetCache: @escaping () -> Void = {},
        close: @escaping () -> Void = {}
    ) {
        self.name = name
        self.length = length
        readAt = read
        self.forgetCache = forgetCache
        self.close = close
    }

    deinit { close() }

    /// The file is done with. A card's gigabytes would push out of memory what the node works with.
    func forget() { forgetCache() }

    func read(at offset: Int64, into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        // A file that grows meanwhile is as long as it was.
        let count = Int(max(0, min(Int64(buffer.count), length - offset)))
        let wanted = UnsafeMutableRawBufferPointer(rebasing: buffer[0..<count])
        guard count > 0 else { return 0 }
        if let got = try? readAt(offset, wanted) {
            guard got > 0 else { throw CardReadFailure(description: "it became shorter while it was read") }
            unreadableInARow = 0
            return got
        }
        // Block by block, to lose no more than the card has lost.
        var done = 0
        while done < count {
            let block = (offset + Int64(done)) / Self.blockBytes
            let piece = UnsafeMutableRawBufferPointer(rebasing: wanted[done..<min(count, done + Int((block + 1) * Self.blockBytes - offset - Int64(done)))])
            if !unreadableBlocks.contains(UInt64(block)) {
                if let got = try? readAt(offset + Int64(done), piece), got > 0 {
                    unreadableInARow = 0
                    done += got
                    continue
                }
                noteUnreadable(UInt64(block))
            }
            for index in piece.indices { piece[index] = 0 }
            done += piece.count
        }
        return count
    }

    private func noteUnreadable(_ block: UInt64) {
        unreadableInARow += 1
        unreadableBlocks.insert(block)
        guard unreadableInARow >= Self.deadBlocksInARow, length > 0 else { return }
        let last = min(block / Self.stretchBlocks * Self.stretchBlocks + Self.stretchBlocks, UInt64((length - 1) / Self.blockBytes) + 1) - 1
        unreadableBlocks.insert(block...max(block, last))
    }

    /// A card that was pulled out answers like a dead one. What it kept of the file would be taken for all there is.
    private func requireCard() throws {
        guard unreadableInARow >= Self.deadBlocksInARow else { return }
        let first = UnsafeMutableRawBufferPointer.allocate(byteCount: Int(Self.blockBytes), alignment: 4_096)
        defer { first.deallocate() }
        forgetCache()
        for block in stride(from: 0, to: length, by: Int(max(Self.blockBytes, length / 64 / Self.blockBytes * Self.blockBytes))) {
            let piece = UnsafeMutableRawBufferPointer(rebasing: first[0..<Int(min(Self.blockBytes, length - block))])
            if let got = try? readAt(block, piece), got > 0 { return }
        }
        throw CardReadFailure(description: Self.goneSentence)
    }

    /// Hash of the whole file, the unreadable as zeros.
    func sha256(buffer: UnsafeMutableRawBufferPointer, progress: (Int64) -> Void) throws -> ContentHash {
        var hash = SHA256()
        var offset: Int64 = 0
        while offset < length {
            let count = try read(at: offset, into: buffer)
            guard count > 0 else { break }
            hash.update(bufferPointer: UnsafeRawBufferPointer(rebasing: buffer[0..<count]))
            offset += Int64(count)
            progress(Int64(count))
        }
        try requireCard()
        return ContentHash(Array(hash.finalize())) ?? .zero
    }
}
