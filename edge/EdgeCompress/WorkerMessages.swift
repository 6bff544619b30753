import RecordingModel

/// What node and worker say to each other over their socket pair. A message is a length (4 bytes, big-endian, of what
/// follows), a kind (1 byte) and its fields, big-endian; texts and bytes behind a length of 4 bytes. Both sides refuse
/// what is longer than it may be before they read it. The node is asked for the source's bytes: the worker has no file.
package enum WorkerBounds {
    /// A fragment of 8 MiB and its box.
    static let messageBytesMax = 9 << 20
    /// At once, of the source.
    static let readBytesMax = 256 << 10
    package static let duesMax = 256
    static let optionsMax = 16
    /// No picture of this field is larger.
    static let sidePixelsMax = 8192
    static let textBytesMax = 1024
}

/// Pictures wanted of a segment, each from the first key frame at or after a time of its media timeline.
package struct ThumbnailJob: Hashable, Sendable {
    package var sourceBytes: Int64
    /// Rising; at most `WorkerBounds.duesMax`.
    package var dueTicks90k: [Int64]
    /// Of the longer side, to begin with.
    package var sidePixels: Int
    package var bytesMax: Int

    package init(sourceBytes: Int64, dueTicks90k: [Int64], sidePixels: Int = 320, bytesMax: Int) {
        self.sourceBytes = sourceBytes
        self.dueTicks90k = dueTicks90k
        self.sidePixels = sidePixels
        self.bytesMax = bytesMax
    }
}

/// A small stream wanted of a segment.
package struct ProxyJob: Hashable, Sendable {
    package var sourceBytes: Int64
    /// FFmpeg's name of the encoder, and its options in pairs.
    package var encoder: String
    package var options: [[String]]
    /// 0 where an option sets the quality; so are peak and buffer then.
    package var bitsPerSecond: Int
    package var peakBitsPerSecond: Int
    package var bufferBits: Int
    /// Of the longer side; a smaller source keeps its size.
    package var sidePixels: Int
    /// More are left out, unless all are wanted; what stays has the source's times.
    package var framesPerSecondMax: Int
    package var keepsEveryPicture: Bool
    /// Nothing is encoded: the key frames are copied.
    package var copiesKeyFrames: Bool
    package var groupSeconds: Int
    package var threads: Int

    package init(
        sourceBytes: Int64, encoder: String, options: [[String]], bitsPerSecond: Int, peakBitsPerSecond: Int, bufferBits: Int, sidePixels: Int,
        framesPerSecondMax: Int, keepsEveryPicture: Bool = false, copiesKeyFrames: Bool = false, groupSeconds: Int = 10, threads: Int = 1
    ) {
        self.sourceBytes = sourceBytes
        self.encoder = encoder
        self.options = options
        self.bitsPerSecond = bitsPerSecond
        self.peakBitsPerSecond = peakBitsPerSecond
        self.bufferBits = bufferBits
        self.sidePixels = sidePixels
        self.framesPerSecondMax = framesPerSecondMax
        self.keepsEveryPicture = keepsEveryPicture
        self.copiesKeyFrames = copiesKeyFrames
        self.groupSeconds = groupSeconds
        self.threads = threads
    }
}

package enum WorkerJob: Hashable, Sendable {
    case thumbnails(ThumbnailJob)
    case proxy(ProxyJob)
    /// Encodes a generated picture, to see whether the encoder works here; nothing but what it took comes back.
    case trial(ProxyJob)

    var sourceBytes: Int64 {
        switch self {
        case .thumbnails(let job): job.sourceBytes
        case .proxy(let job), .trial(let job): job.sourceBytes
        }
    }
}

enum WorkerRequest: Hashable, Sendable {
    case job(WorkerJob)
    /// What was asked for, or less at the end of the source.
    case bytes([UInt8])
    /// The disk failed.
    case unreadable
}

/// One JPEG picture and when its key frame is shown, on the source's media timeline.
package struct ThumbnailImage: Hashable, Sendable {
    package var ticks90k: Int64
    package var widthPixels: Int
    package var heightPixels: Int
    package var jpeg: [UInt8]

    package init(ticks90k: Int64, widthPixels: Int, heightPixels: Int, jpeg: [UInt8]) {
        self.ticks90k = ticks90k
        self.widthPixels = widthPixels
        self.heightPixels = heightPixels
        self.jpeg = jpeg
    }
}

/// What begins a proxy's file.
package struct ProxyHeader: Hashable, Sendable {
    package var initBytes: [UInt8]
    package var codecs: String
    package var widthPixels: Int
    package var heightPixels: Int
    /// Of the first picture.
    package var startTicks90k: Int64
    /// As `MadeRecord.sourcePacketsSHA256`.
    package var sourcePacketsSHA256: ContentHash
    /// The source's, as it came; 0 where there is none.
    package var soundBitsPerSecond = 0
    /// False where the sound alone would have taken more than half of the rate, and is left out.
    package var isSoundCopied = false
}

/// What a job took.
package struct WorkerFigures: Hashable, Sendable {
    package var pictures: Int
    /// Packets or pictures that were damaged and left out.
    package var damaged: Int
    package var cpuMilliseconds: Int64
}

package enum WorkerAnswer: Hashable, Sendable {
    /// Confined, and how, one line.
    case ready(String)
    case read(offset: Int64, count: Int)
    case image(ThumbnailImage)
    case header(ProxyHeader)
    case fragment([UInt8], frames: Int, durationTicks90k: Int64)
    case done(WorkerFigures)
    /// The source cannot be decoded, or the encoder is missing; one sentence. The worker goes on.
    case failed(String)
}

/// A message that no worker, or no node, sends.
struct MalformedMessage: Error, CustomStringConvertible {
    let description: String
}

// MARK: Bytes

struct MessageWriter {
    private(set) var bytes: [UInt8]
    init(kind: UInt8) { bytes = [0, 0, 0, 0, kind] }

    mutating func put(_ value: Int64) { for shift in stride(from: 56, through: 0, by: -8) { bytes.append(UInt8(truncatingIfNeeded: value >> Int64(shift))) } }
    mutating func put(_ value: Int) { put(Int64(value)) }
    mutating func put(_ content: [UInt8]) {
        for shift in stride(from: 24, through: 0, by: -8) { bytes.append(UInt8(truncatingIfNeeded: content.count >> shift)) }
        bytes += content
    }
    mutating func put(_ text: String) { put(Array(text.utf8.prefix(WorkerBounds.textBytesMax))) }

    /// With its length.
    var message: [UInt8] {
        var result = bytes
        let count = bytes.count - 4
        for index in 0..<4 { result[index] = UInt8(truncatingIfNeeded: count >> (24 - 8 * index)) }
        return result
    }
}

struct MessageReader {
    private let bytes: [UInt8]
    private var position = 1
    let kind: UInt8

    /// - Parameter bytes: without the length.
    init(_ bytes: [UInt8]) throws {
        guard let first = bytes.first else { throw MalformedMessage(description: "a message without a kind") }
        self.bytes = bytes
        kind = first
    }

    mutating func number(_ range: ClosedRange<Int64> = 0...(1 << 56)) throws -> Int64 {
        guard bytes.count - position >= 8 else { throw MalformedMessage(description: "a message ends within a number") }
        let value = bytes[position..<(position + 8)].reduce(Int64(0)) { $0 << 8 | Int64($1) }
        position += 8
        guard range.contains(value) else { throw MalformedMessage(description: "\(value) where \(range) is expected") }
        return value
    }
    mutating func count(_ range: ClosedRange<Int64>) throws -> Int { Int(try number(range)) }

    mutating func content(limit: Int = WorkerBounds.messageBytesMax) throws -> [UInt8] {
        guard bytes.count - position >= 4 else { throw MalformedMessage(description: "a message ends within a length") }
        let count = bytes[position..<(position + 4)].reduce(0) { $0 << 8 | Int($1) }
        position += 4
        guard count <= limit, bytes.count - position >= count else { throw MalformedMessage(description: "a length of \(count)") }
        defer { position += count }
        return Array(bytes[position..<(position + count)])
    }

    /// Printable, whatever came.
    mutating func text() throws -> String {
        let text = String(decoding: try content(limit: WorkerBounds.textBytesMax), as: UTF8.self)
        return String(String.UnicodeScalarView(text.unicodeScalars.map { $0.value < 0x20 || $0.value == 0x7F ? " " : $0 }))
    }

    func end() throws {
        guard position == bytes.count else { throw MalformedMessage(description: "\(bytes.count - position) bytes too many") }
    }
}

extension WorkerRequest {
    var message: [UInt8] {
        switch self {
        case .job(.thumbnails(let job)):
            var writer = MessageWriter(kind: 1)
            writer.put(job.sourceBytes)
            writer.put(job.sidePixels)
            writer.put(job.bytesMax)
            writer.put(job.dueTicks90k.count)
            for due in job.dueTicks90k { writer.put(due) }
            return writer.message
        case .job(.proxy(let job)): return Self.message(job, kind: 2)
        case .job(.trial(let job)): return Self.message(job, kind: 5)
        case .bytes(let bytes):
            var writer = MessageWriter(kind: 3)
            writer.put(bytes)
            return writer.message
        case .unreadable: return MessageWriter(kind: 4).message
        }
    }

    private static func message(_ job: ProxyJob, kind: UInt8) -> [UInt8] {
        var writer = MessageWriter(kind: kind)
        writer.put(job.sourceBytes)
        writer.put(job.encoder)
        for value in [job.bitsPerSecond, job.peakBitsPerSecond, job.bufferBits, job.sidePixels, job.framesPerSecondMax, job.groupSeconds, job.threads] { writer.put(value) }
        writer.put(job.copiesKeyFrames ? 2 : job.keepsEveryPicture ? 1 : 0)
        writer.put(job.options.count)
        for option in job.options { for text in option.prefix(2) { writer.put(text) } }
        return writer.message
    }

    private static func job(_ reader: inout MessageReader) throws -> ProxyJob {
        let (source, encoder) = (try reader.number(), try reader.text())
        let (rate, peak, buffer) = (try reader.count(0...1_000_000_000), try reader.count(0...1_000_000_000), try reader.count(0...1_000_000_000))
        let (side, frames, group, threads) = (try reader.count(16...Int64(WorkerBounds.sidePixelsMax)), try reader.count(1...240), try reader.count(1...60), try reader.count(1...16))
        let pictures = try reader.count(0...2)
        let count = try reader.count(0...Int64(WorkerBounds.optionsMax))
        let options = try (0..<count).map { _ in [try reader.text(), try reader.text()] }
        return ProxyJob(
            sourceBytes: source, encoder: encoder, options: options, bitsPerSecond: rate, peakBitsPerSecond: peak, bufferBits: buffer, sidePixels: side,
            framesPerSecondMax: frames, keepsEveryPicture: pictures == 1, copiesKeyFrames: pictures == 2, groupSeconds: group, threads: threads)
    }

    init(_ bytes: [UInt8]) throws {
        var reader = try MessageReader(bytes)
        switch reader.kind {
        case 1:
            let (source, side, limit) = (try reader.number(), try reader.count(16...4096), try reader.count(256...(1 << 20)))
            let count = try reader.count(0...Int64(WorkerBounds.duesMax))
            self = .job(.thumbnails(ThumbnailJob(sourceBytes: source, dueTicks90k: try (0..<count).map { _ in try reader.number() }, sidePixels: side, bytesMax: limit)))
        case 2: self = .job(.proxy(try Self.job(&reader)))
        case 5: self = .job(.trial(try Self.job(&reader)))
        case 3: self = .bytes(try reader.content(limit: WorkerBounds.readBytesMax))
        case 4: self = .unreadable
        default: throw MalformedMessage(description: "a request of kind \(reader.kind)")
        }
        try reader.end()
    }
}

extension WorkerAnswer {
    package var message: [UInt8] {
        switch self {
        case .ready(let text):
            var writer = MessageWriter(kind: 16)
            writer.put(text)
            return writer.message
        case .read(let offset, let count):
            var writer = MessageWriter(kind: 17)
            writer.put(offset)
            writer.put(count)
            return writer.message
        case .image(let image):
            var writer = MessageWriter(kind: 18)
            writer.put(image.ticks90k)
            writer.put(image.widthPixels)
            writer.put(image.heightPixels)
            writer.put(image.jpeg)
            return writer.message
        case .header(let header):
            var writer = MessageWriter(kind: 19)
            writer.put(header.startTicks90k)
            writer.put(header.widthPixels)
            writer.put(header.heightPixels)
            writer.put(header.sourcePacketsSHA256.bytes)
            writer.put(header.codecs)
            writer.put(header.initBytes)
            writer.put(header.soundBitsPerSecond)
            writer.put(header.isSoundCopied ? 1 : 0)
            return writer.message
        case .fragment(let bytes, let frames, let duration):
            var writer = MessageWriter(kind: 20)
            writer.put(frames)
            writer.put(duration)
            writer.put(bytes)
            return writer.message
        case .done(let figures):
            var writer = MessageWriter(kind: 21)
            writer.put(figures.pictures)
            writer.put(figures.damaged)
            writer.put(figures.cpuMilliseconds)
            return writer.message
        case .failed(let reason):
            var writer = MessageWriter(kind: 22)
            writer.put(reason)
            return writer.message
        }
    }

    init(_ bytes: [UInt8]) throws {
        var reader = try MessageReader(bytes)
        switch reader.kind {
        case 16: self = .ready(try reader.text())
        case 17: self = .read(offset: try reader.number(), count: try reader.count(1...Int64(WorkerBounds.readBytesMax)))
        case 18:
            let (ticks, width, height) = (try reader.number(), try reader.count(1...8192), try reader.count(1...8192))
            self = .image(ThumbnailImage(ticks90k: ticks, widthPixels: width, heightPixels: height, jpeg: try reader.content()))
        case 19:
            let (start, width, height) = (try reader.number(), try reader.count(1...8192), try reader.count(1...8192))
            guard let packets = ContentHash(try reader.content(limit: ContentHash.byteCount)) else { throw MalformedMessage(description: "a header without the hash of its source") }
            let codecs = try reader.text()
            let initBytes = try reader.content(limit: 64 << 10)
            self = .header(
                ProxyHeader(
                    initBytes: initBytes, codecs: codecs, widthPixels: width, heightPixels: height, startTicks90k: start, sourcePacketsSHA256: packets,
                    soundBitsPerSecond: try reader.count(0...1_000_000_000), isSoundCopied: try reader.count(0...1) == 1))
        case 20:
            let (frames, duration) = (try reader.count(1...30_000), try reader.number(0...(1 << 40)))
            self = .fragment(try reader.content(), frames: frames, durationTicks90k: duration)
        case 21: self = .done(WorkerFigures(pictures: try reader.count(0...(1 << 31)), damaged: try reader.count(0...(1 << 31)), cpuMilliseconds: try reader.number()))
        case 22: self = .failed(try reader.text())
        default: throw MalformedMessage(description: "an answer of kind \(reader.kind)")
        }
        try reader.end()
    }
}
