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

    /// How many of the first bytes of kind and payload are not the bytes that a frame carries, as far as `head` tells.
    static func headByteCount(_ head: some Collection<UInt8>) -> Int {
        guard head.first == dataKind else { return 1 }
        // Kind, length of the stream's name, the name, sequence, offset.
        return head.dropFirst().first.map { 18 + Int($0) } ?? 2
    }

    /// Decodes kind and payload, whose checksum has been compared.
    static func decode(_ body: ArraySlice<UInt8>) throws(FrameFault) -> Frame {
        let count = min(headByteCount(body), body.count)
        return try decode(head: body.prefix(count), rest: Array(body.dropFirst(count)))
    }

    /// - Parameter head: so much of it as `headByteCount` says.
    static func decode(head: ArraySlice<UInt8>, rest: [UInt8]) throws(FrameFault) -> Frame {
        switch head.first {
        case nil: throw .malformed
        case 1?: return .entries(rest)
        case dataKind?:
            var reader = ByteReader(head.dropFirst())
            guard let segment = reader.segment(), let offset = reader.integer(8), offset <= UInt64(Int64.max) else { throw .malformed }
            return .data(segment: segment, offset: Int64(offset), bytes: rest)
        case 3?:
            var reader = ByteReader(rest[...])
            guard let segment = reader.segment(), let length = reader.integer(8), length <= UInt64(Int64.max),
                reader.rest.count == ContentHash.byteCount, let hash = ContentHash(reader.rest)
            else { throw .malformed }
            return .end(segment: segment, length: Int64(length), sha256: hash)
        case let kind?: throw .unknownKind(kind)
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

/// Cuts a stream of bytes into frames, however the bytes arrive. The bytes of a frame are copied once, to where they
/// stay. Whoever appends takes the whole frames out (`next`) before more comes.
package struct FrameParser: Sendable {
    /// Bytes for which room is made before any has come, at most. Once so many are there, room is made for the whole frame.
    private static let reservedBytesMax = 16 << 10

    /// Of the frame that is coming: its length, once it is whole; kind and what names the bytes; the bytes; the checksum.
    private var length: [UInt8] = []
    private var declared = 0
    private var head: [UInt8] = []
    private var rest: [UInt8] = []
    private var sum: [UInt8] = []
    private var running = CRC32C.Running()
    private var whole: ArraySlice<Frame> = []
    private var fault: FrameFault?

    package init() {}

    package mutating func append(_ bytes: some Collection<UInt8>) {
        if bytes.withContiguousStorageIfAvailable({ append(UnsafeRawBufferPointer($0)) }) == nil { Array(bytes).withUnsafeBytes { append($0) } }
    }

    package mutating func append(_ bytes: UnsafeRawBufferPointer) {
        var position = 0
        func piece(_ wanted: Int) -> UnsafeRawBufferPointer {
            let end = position + min(wanted, bytes.count - position)
            defer { position = end }
            return UnsafeRawBufferPointer(rebasing: bytes[position..<end])
        }
        while position < bytes.count, fault == nil {
            if length.count < 4 {
                length += piece(4 - length.count)
                if length.count == 4 { begin() }
            } else if head.count < headCount {
                let piece = piece(headCount - head.count)
                running.update(piece)
                head += piece
                if head.count == headCount { rest.reserveCapacity(min(declared - head.count, Self.reservedBytesMax)) }
            } else if head.count + rest.count < declared {
                let piece = piece(declared - head.count - rest.count)
                running.update(piece)
                if rest.count + piece.count > rest.capacity { rest.reserveCapacity(declared - head.count) }
                rest.append(contentsOf: piece)
            } else {
                sum += piece(4 - sum.count)
                if sum.count == 4 { end() }
            }
        }
    }

    private var headCount: Int { min(FrameCoding.headByteCount(head), declared) }

    private mutating func begin() {
        declared = length.reduce(0) { $0 << 8 | Int($1) }
        if declared == 0 || declared > FrameCoding.payloadByteLimit { fault = .tooLarge(bytes: declared) }
    }

    private mutating func end() {
        guard running.checksum == sum.reduce(UInt32(0), { $0 << 8 | UInt32($1) }) else {
            fault = .wrongChecksum
            return
        }
        do { whole.append(try FrameCoding.decode(head: head[...], rest: rest)) } catch { fault = error }
        (length, declared, head, rest, sum, running) = ([], 0, [], [], [], CRC32C.Running())
    }

    /// The next whole frame, or nil until more bytes come. After a fault nothing that follows can be trusted.
    package mutating func next() throws(FrameFault) -> Frame? {
        if let frame = whole.popFirst() {
            // A slice keeps what was taken out of it until it is another one.
            if whole.isEmpty { whole = [] }
            return frame
        }
        if let fault { throw fault }
        return nil
    }

    /// Bytes of a frame that has begun and not ended.
    package var pendingBytes: Int { length.count + head.count + rest.count + sum.count }
}
