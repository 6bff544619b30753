import EvidenceLog
import RecordingModel

/// A record of a bundle's file.
package struct BundleRecord: Hashable, Sendable {
    package enum Content: Hashable, Sendable {
        /// The compressed batch, not looked into.
        case entries([UInt8])
        case data(segment: SegmentID, offset: Int64, count: Int)
        case end(segment: SegmentID, length: Int64, sha256: ContentHash)
        case mark(BundleMark)
    }
    package var content: Content
    /// As it stands in the file; empty where it was passed over unread.
    package var wire: [UInt8]
    package var wireBytes: Int
}

/// Why a file cannot be read further. What is before counts.
package struct BundleBreak: Error, Hashable, Sendable, CustomStringConvertible {
    package enum Reason: Hashable, Sendable {
        /// The file ends within a record: writing was cut.
        case torn
        case damaged
        case unreadable(String)
    }
    package var reason: Reason
    /// Of the first byte that does not count.
    package var offset: Int64

    package var description: String {
        switch reason {
        case .torn: "it ends within a record, at byte \(offset)"
        case .damaged: "it is damaged from byte \(offset) on"
        case .unreadable(let why): "it cannot be read from byte \(offset) on: \(why)"
        }
    }
}

/// Goes through one file of a bundle, record by record, with one of them in memory. Nothing of the file is trusted: a length
/// is compared with its limit before it is read, and a record counts only with its checksum.
package struct BundleReader {
    private let length: Int64
    private let read: (_ offset: Int64, _ count: Int) throws -> [UInt8]
    /// Where the next record begins.
    package private(set) var offset: Int64

    /// Enough for the length, the kind and what names the bytes of a segment.
    private static let headBytes = 80

    /// - Parameter read: gives up to `count` bytes at an offset.
    package init(length: Int64, from offset: Int64 = Int64(BundleHeader.byteCount), read: @escaping (_ offset: Int64, _ count: Int) throws -> [UInt8]) {
        self.length = length
        self.offset = offset
        self.read = read
    }

    /// The next record; nil at the end of the file.
    /// - Parameter isWanted: asked for footage only; what is not wanted is passed over, and its checksum not compared.
    package mutating func next(isWanted: (_ segment: SegmentID, _ offset: Int64, _ count: Int) -> Bool = { _, _, _ in true }) throws(BundleBreak) -> BundleRecord? {
        guard offset < length else { return nil }
        let head = try bytes(at: offset, count: min(Self.headBytes, Int(clamping: length - offset)))
        guard head.count >= 4 else { throw broken(.torn) }
        let count = head[0..<4].reduce(0) { $0 << 8 | Int($1) }
        guard count > 0, count <= FrameCoding.payloadByteLimit else { throw broken(.damaged) }
        let wireBytes = count + 8
        guard offset + Int64(wireBytes) <= length else { throw broken(.torn) }
        if let footage = Self.footage(head[4...], count: count), !isWanted(footage.segment, footage.offset, footage.count) {
            offset += Int64(wireBytes)
            return BundleRecord(content: .data(segment: footage.segment, offset: footage.offset, count: footage.count), wire: [], wireBytes: wireBytes)
        }
        let wire = wireBytes <= head.count ? Array(head[..<wireBytes]) : try bytes(at: offset, count: wireBytes)
        guard wire.count == wireBytes else { throw broken(.torn) }
        let body = wire[4..<4 + count]
        let sum = wire[(4 + count)...].reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
        guard body.withUnsafeBytes({ CRC32C.checksum($0) }) == sum, let content = Self.content(body) else { throw broken(.damaged) }
        offset += Int64(wireBytes)
        return BundleRecord(content: content, wire: wire, wireBytes: wireBytes)
    }

    private func broken(_ reason: BundleBreak.Reason) -> BundleBreak { BundleBreak(reason: reason, offset: offset) }

    private func bytes(at offset: Int64, count: Int) throws(BundleBreak) -> [UInt8] {
        do { return try read(offset, count) } catch { throw broken(.unreadable("\(error)")) }
    }

    private static func footage(_ head: ArraySlice<UInt8>, count: Int) -> (segment: SegmentID, offset: Int64, count: Int)? {
        guard head.first == FrameCoding.dataKind else { return nil }
        var reader = ByteReader(head.dropFirst())
        let before = reader.rest.count
        guard let segment = reader.segment(), let offset = reader.integer(8), offset <= UInt64(Int64.max) else { return nil }
        return (segment, Int64(offset), count - 1 - (before - reader.rest.count))
    }

    private static func content(_ body: ArraySlice<UInt8>) -> BundleRecord.Content? {
        switch body.first {
        case FrameCoding.dataKind:
            return footage(body, count: body.count).map { .data(segment: $0.segment, offset: $0.offset, count: $0.count) }
        case BundleMark.planKind, BundleMark.endKind:
            return BundleMark(decoding: body).map { .mark($0) }
        default:
            switch try? FrameCoding.decode(body) {
            case .entries(let batch)?: return .entries(batch)
            case .end(let segment, let length, let sha256)?: return .end(segment: segment, length: length, sha256: sha256)
            default: return nil
            }
        }
    }
}

/// What the records of a bundle amount to, as far as they were read.
package struct BundleContents: Sendable {
    package private(set) var records: UInt64 = 0
    /// Of the records, over all files.
    package private(set) var bytes: Int64 = 0
    /// Where the entries lead to; nil while there are none.
    package private(set) var entriesEnd: UInt64?
    /// Segments that are there as a whole.
    package private(set) var whole: [StreamID: SequenceRanges] = [:]
    package private(set) var wholeSegments = 0
    package private(set) var wholeBytes: Int64 = 0
    /// The segment whose end has not come, and how many of its bytes have.
    package private(set) var begun: (segment: SegmentID, bytes: Int64)?
    package private(set) var plannedSegments: UInt64?
    /// The checkpoint of the end; nil while the bundle is not whole.
    package private(set) var end: SignedCheckpoint?

    package init() {}

    /// False for an end that does not fit what is before it, and for entries that do not follow one another: the record then
    /// counts as damage.
    package mutating func take(_ record: BundleRecord) -> Bool {
        guard end == nil else { return false }
        switch record.content {
        case .entries(let encoded):
            guard let batch = EntryBatch(decoding: encoded), entriesEnd.map({ $0 == batch.start }) ?? true else { return false }
            entriesEnd = batch.start + UInt64(batch.lines.count)
        case .data(let segment, let offset, let count):
            let (sum, overflow) = offset.addingReportingOverflow(Int64(count))
            guard !overflow else { return false }
            begun = (segment, sum)
        case .end(let segment, let length, _):
            guard wholeSegments < BundleLimits.segmentsMax else { return false }
            whole[segment.stream, default: SequenceRanges()].insert(segment.sequence)
            wholeSegments += 1
            wholeBytes = Int64(clamping: UInt64(wholeBytes) + UInt64(length))
            if begun?.segment == segment { begun = nil }
        case .mark(.plan(let segments, _)): plannedSegments = segments
        case .mark(.end(let records, let bytes, let checkpoint)):
            guard records == self.records, bytes == self.bytes, checkpoint.checkpoint.size == entriesEnd ?? checkpoint.checkpoint.size else { return false }
            end = checkpoint
        }
        records += 1
        bytes += Int64(record.wireBytes)
        return true
    }

    package func has(_ segment: SegmentID) -> Bool { whole[segment.stream]?.contains(segment.sequence) == true }
}
