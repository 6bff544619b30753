import RecordingModel

/// What travels in a push. On the wire: length 4 (of kind and payload), kind 1, payload, CRC-32C 4 over kind and
/// payload; integers big-endian.
package enum Frame: Hashable, Sendable {
    /// Log lines and the checkpoint they lead to, compressed as a whole (`EntryBatch`).
    case entries([UInt8])
    /// Bytes of a segment's stored file.
    case data(segment: SegmentID, offset: Int64, bytes: [UInt8])
    /// The file is complete.
    case end(segment: SegmentID, length: Int64, sha256: ContentHash)
}

package enum FrameFault: Error, Hashable, Sendable, CustomStringConvertible {
    case tooLarge(bytes: Int)
    case wrongChecksum
    case unknownKind(UInt8)
    case malformed

    package var description: String {
        switch self {
        case .tooLarge(let bytes): "a frame declares \(bytes) bytes, at most \(FrameCoding.payloadByteLimit) are taken"
        case .wrongChecksum: "a frame's checksum does not match its bytes"
        case .unknownKind(let kind): "frame kind \(kind) is not known"
        case .malformed: "a frame's fields do not fill its length"
        }
    }
}

package enum FrameCoding {
    /// Largest payload with its kind; the largest entry batch is below it.
    package static let payloadByteLimit = 4 << 20
    package static let overheadBytes = 9
    static let dataKind: UInt8 = 2

    package static func encode(_ frame: Frame) -> [UInt8] {
        var body: [UInt8] = []
        switch frame {
        case .entries(let batch):
            body.reserveCapacity(batch.count + 1)
            body.append(1)
            body += batch
        case .data(let segment, let offset, let bytes):
            body.reserveCapacity(bytes.count + 64)
            body.append(dataKind)
            append(segment, to: &body)
            append(UInt64(bitPattern: offset), to: &body)
            body += bytes
        case .end(let segment, let length, let sha256):
            body.append(3)
            append(segment, to: &body)
            append(UInt64(bitPattern: length), to: &body)
            body += sha256.bytes
        }
        return wrap(body)
    }

    /// Length before, checksum behind.
    static func wrap(_ body: [UInt8]) -> [UInt8] {
        var wire: [UInt8] = []
        wire.reserveCapacity(body.count + 8)
        append(UInt32(body.count), to: &wire)
        wire += body
        append(body.withUnsafeBytes { CRC32C.checksum($0) }, to: &wire)
        return wire
    }

    /// Decodes kind and payload, whose checksum has been compared.
    static func decode(_ body: ArraySlice<UInt8>) throws(FrameFault) -> Frame {
        guard let kind = body.first else { throw .malformed }
        var reader = ByteReader(body.dropFirst())
        switch kind {
        case 1:
            return .entries(Array(body.dropFirst()))
        case dataKind:
            guard let segment = reader.segment(), let offset = reader.integer(8), offset <= UInt64(Int64.max) else { throw .malformed }
            return .data(segment: segment, offset: Int64(offset), bytes: Array(reader.rest))
        case 3:
            guard let segment = reader.segment(), let length = reader.integer(8), length <= UInt64(Int64.max),
                reader.rest.count == ContentHash.byteCount, let hash = ContentHash(reader.rest)
            else { throw .malformed }
            return .end(segment: segment, length: Int64(length), sha256: hash)
        default:
            throw .unknownKind(kind)
        }
    }

    private static func append(_ segment: SegmentID, to body: inout [UInt8]) {
        let name = Array(segment.stream.description.utf8)
        body.append(UInt8(name.count))
        body += name
        append(segment.sequence, to: &body)
    }

    static func append(_ value: some FixedWidthInteger, to bytes: inout [UInt8]) {
        withUnsafeBytes(of: value.bigEndian) { bytes += Array($0) }
    }
}

struct ByteReader {
    private(set) var rest: ArraySlice<UInt8>
    init(_ bytes: ArraySlice<UInt8>) { rest = bytes }

    mutating func integer(_ count: Int) -> UInt64? {
        guard rest.count >= count else { return nil }
        defer { rest = rest.dropFirst(count) }
        return rest.prefix(count).reduce(0) { $0 << 8 | UInt64($1) }
    }

    mutating func bytes(_ count: Int) -> ArraySlice<UInt8>? {
        guard count >= 0, rest.count >= count else { return nil }
        defer { rest = rest.dropFirst(count) }
        return rest.prefix(count)
    }

    mutating func segment() -> SegmentID? {
        guard let length = integer(1), let name = bytes(Int(length)), let stream = StreamID(String(decoding: name, as: UTF8.self)),
            let sequence = integer(8)
        else { return nil }
        return SegmentID(stream: stream, sequence: sequence)
    }
}

/// Cuts a stream of bytes into frames, however the bytes arrive. Keeps at most one frame's bytes.
package struct FrameParser: Sendable {
    private var buffer: [UInt8] = []
    private var consumed = 0

    package init() {}

    package mutating func append(_ bytes: some Collection<UInt8>) {
        if consumed > 0 {
            buffer.removeSubrange(0..<consumed)
            consumed = 0
        }
        buffer += bytes
    }

    /// The next whole frame, or nil until more bytes come. After a fault nothing that follows can be trusted.
    package mutating func next() throws(FrameFault) -> Frame? {
        let available = buffer.count - consumed
        guard available >= 4 else { return nil }
        let length = buffer[consumed..<consumed + 4].reduce(0) { $0 << 8 | Int($1) }
        guard length > 0, length <= FrameCoding.payloadByteLimit else { throw .tooLarge(bytes: length) }
        guard available >= length + 8 else { return nil }
        let body = buffer[consumed + 4..<consumed + 4 + length]
        let stored = buffer[consumed + 4 + length..<consumed + 8 + length].reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
        guard body.withUnsafeBytes({ CRC32C.checksum($0) }) == stored else { throw .wrongChecksum }
        let frame = try FrameCoding.decode(body)
        consumed += length + 8
        return frame
    }

    /// Bytes of a frame that has begun and not ended.
    package var pendingBytes: Int { buffer.count - consumed }
}
