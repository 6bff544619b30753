import Crypto
import EvidenceLog
import Glibc
import NIOCore
import RecordingModel
import SystemPackage

/// Writes segments one after another into one MP4: the first one's init, then everybody's fragments, unchanged but
/// for their start times. A segment's bytes are hashed as they arrive, and count only when the hash is right.
struct JoinedFile {
    private static let headerBytesMax = 4 << 20
    private static let fragmentBytesMax = 256 << 20

    let path: String
    let initSHA256: ContentHash
    private let descriptor: SystemPackage.FileDescriptor
    private var partPath: FilePath { FilePath(path + ".part") }
    private var length: Int64 = 0
    private var timescales: [UInt32: UInt32] = [:]
    private var clock = JoinClock()
    private(set) var initBytes: Int64 = 0
    private(set) var parts: [FootageProof.Part] = []

    init(path: String, initSHA256: ContentHash) throws {
        self.path = path
        self.initSHA256 = initSHA256
        do {
            descriptor = try SystemPackage.FileDescriptor.open(
                FilePath(path + ".part"), .readWrite, options: [.create, .truncate], permissions: [.ownerReadWrite, .groupRead])
        } catch {
            throw Failure("The file \(path).part cannot be written: \(error).")
        }
    }

    /// Takes a segment. `download` hands over its bytes in order; nothing of it stays if they are not the right ones.
    mutating func append(_ record: SegmentRecord, download: (_ take: (ByteBuffer) throws -> Void) async throws -> Void) async throws {
        let start = length
        var header: [UInt8] = []
        var hasher = SHA256()
        var received: Int64 = 0
        var position = start
        guard record.initBytes > 0, record.initBytes <= Self.headerBytesMax, record.bytes > record.initBytes else {
            throw Failure("Segment \(record.id) has an impossible length in the hub's list.")
        }
        try await download { chunk in
            received += Int64(chunk.readableBytes)
            guard received <= record.bytes else { throw Failure("The hub sent more than segment \(record.id) has.") }
            var bytes = chunk.readableBytesView
            chunk.withUnsafeReadableBytes { hasher.update(bufferPointer: $0) }
            let missing = Int(record.initBytes) - header.count
            if missing > 0 {
                header += bytes.prefix(missing)
                bytes = bytes.dropFirst(missing)
                // The first header of a file is its own; later ones are the same and are only checked.
                if header.count == Int(record.initBytes), start == 0 { position += try write(header, at: 0) }
            }
            if !bytes.isEmpty { position += try write(Array(bytes), at: position) }
        }
        guard received == record.bytes, ContentHash(Array(hasher.finalize())) == record.sha256 else {
            throw Failure("Segment \(record.id) did not arrive as the node recorded it: its SHA-256 differs.")
        }
        guard ContentHash.sha256(header) == record.initSHA256, record.initSHA256 == initSHA256 else {
            throw Failure("Segment \(record.id) begins with another header than its log entry says.")
        }
        if start == 0 {
            initBytes = record.initBytes
            timescales = try InitSegment.timescales(header)
        }
        length = position
        try place(record, from: start == 0 ? initBytes : start)
    }

    private func write(_ bytes: [UInt8], at offset: Int64) throws -> Int64 {
        do {
            return Int64(try descriptor.writeAll(toAbsoluteOffset: offset, bytes))
        } catch {
            throw Failure("The file \(path).part cannot be written: \(error).")
        }
    }

    /// Shifts the times of the fragments just written, and notes what a verifier needs to undo it.
    private mutating func place(_ record: SegmentRecord, from start: Int64) throws {
        let file = MediaFile(descriptor: descriptor)
        let layout = try FragmentLayout.scan(file, start..<length)
        var shifts: [UInt32: Int64]?
        var fragments: [FootageProof.Fragment] = []
        for piece in layout {
            guard piece.count <= Self.fragmentBytesMax else { throw MediaFault.malformed }
            var bytes = try file.read(at: piece.lowerBound, count: piece.count)
            fragments.append(.init(length: Int64(piece.count), sha256: .sha256(bytes)))
            guard let moof = try Box.list(bytes, 0..<bytes.count).first(where: { $0.type == "moof" }) else { continue }
            if shifts == nil {
                shifts = clock.shifts(for: record, first: try FragmentTimes(bytes, moof: moof), timescales: timescales)
            }
            try FragmentTimes.shift(&bytes, moof: moof, by: shifts ?? [:])
            _ = try write(Array(bytes[moof.start..<moof.end]), at: piece.lowerBound + Int64(moof.start))
        }
        // The list of fragments helps to say where damage is; it is worth keeping only where the log proves it.
        let isProven = FootageProof.Part.root(of: fragments) == record.fragmentRoot
        parts.append(FootageProof.Part(
            segment: record.id, sha256: record.sha256, offset: start, length: length - start,
            trackShifts: FootageProof.Part.named(shifts ?? [:]), fragments: isProven ? fragments : []))
    }

    /// Gives the file its name, once all of it is on the disk.
    func finish() throws {
        try descriptor.closeAfter {
            guard fsync(descriptor.rawValue) == 0 else { throw Failure("The file \(path).part could not be saved to the disk.") }
        }
        guard rename(partPath.string, path) == 0 else { throw Failure("The file \(path).part could not be renamed to \(path).") }
    }

    func discard() {
        try? descriptor.close()
        unlink(partPath.string)
    }
}

/// Where each fragment lies: the boxes up to and with one `mdat`.
enum FragmentLayout {
    static func scan(_ file: MediaFile, _ range: Range<Int64>) throws -> [Range<Int64>] {
        var pieces: [Range<Int64>] = []
        var start = range.lowerBound
        var offset = range.lowerBound
        while offset < range.upperBound {
            let available = Int(min(16, range.upperBound - offset))
            let header = try file.read(at: offset, count: available)
            guard header.count >= 8 else { throw MediaFault.malformed }
            var length = Int64(BigEndian.u32(header, 0))
            if length == 1, header.count == 16 { length = Int64(clamping: BigEndian.u64(header, 8)) }
            guard length >= 8, length <= range.upperBound - offset else { throw MediaFault.malformed }
            offset += length
            if BigEndian.type(header, 4) == "mdat" {
                pieces.append(start..<offset)
                start = offset
            }
        }
        if start < offset { pieces.append(start..<offset) }
        return pieces
    }
}
