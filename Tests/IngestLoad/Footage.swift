import Crypto
import EvidenceLog
import LogFixtures
import NIOCore
import NodeIdentity
import RecordingModel
import SyncProtocol

/// A node that never was: its key, its log, and what it sends, encoded beforehand so that sending costs little.
struct SimulatedNode: Sendable {
    let identity: IdentityKey
    let requests: [LoadRequest]
}

/// One request in full: header, then the body in pieces.
struct LoadRequest: Sendable {
    enum Kind: Sendable { case hello, push, put }
    var kind: Kind
    var head: [UInt8]
    var body: [ByteBuffer]
    var segments = 0

    static func make(_ kind: Kind, _ method: String, _ path: String, _ headers: [String], _ body: [ByteBuffer], segments: Int = 0) -> LoadRequest {
        let length = body.reduce(0) { $0 + $1.readableBytes }
        let lines = ["\(method) \(path) HTTP/1.1", "Host: hub", "Content-Length: \(length)"] + headers
        return LoadRequest(kind: kind, head: Array((lines.joined(separator: "\r\n") + "\r\n\r\n").utf8), body: body, segments: segments)
    }
}

struct Footage: Sendable {
    var segments: Int
    var segmentBytes: Int
    var pushBytes: Int
    /// Payload of a data frame: what a node takes on a fast link.
    static let frameBytes = 64 << 10
    /// Segments whose entries come in one batch.
    private static let batchSegments = 1_000

    /// Random once; every segment begins with its own number, so that no two are the same.
    private let random: [UInt8]

    init(segments: Int, segmentBytes: Int, pushBytes: Int) {
        self.segments = segments
        self.segmentBytes = segmentBytes
        self.pushBytes = pushBytes
        var generator = SeededNumbers(seed: 7)
        random = (0..<segmentBytes / 8).flatMap { _ in withUnsafeBytes(of: generator.next()) { Array($0) } } + [UInt8](repeating: 1, count: segmentBytes % 8)
    }

    private func content(_ node: Int, _ sequence: Int) -> [UInt8] {
        var bytes = random
        withUnsafeBytes(of: (UInt64(node), UInt64(sequence))) { bytes.replaceSubrange(0..<16, with: $0) }
        return bytes
    }

    /// Plain PUTs of the same files.
    func puts(node: Int) throws -> SimulatedNode {
        SimulatedNode(
            identity: try IdentityKey(commonName: "node \(node)"),
            requests: (0..<segments).map { sequence in
                let bytes = content(node, sequence)
                let name = ContentHash.sha256(bytes).hex
                return .make(.put, "PUT", "/\(name.prefix(2))/\(name)", [], [ByteBuffer(bytes: bytes)], segments: 1)
            })
    }

    /// A hello, and pushes of at most `pushBytes`: the entries first, then each segment in frames.
    func pushes(node: Int) throws -> SimulatedNode {
        let identity = try IdentityKey(commonName: "node \(node)")
        var sample = try SampleLog(identity: P256.Signing.PrivateKey(pemRepresentation: identity.privateKeyPEM))
        var frames: [[ByteBuffer]] = []
        for sequence in 0..<segments {
            let bytes = content(node, sequence)
            let record = try SegmentRecord.sample(sequence: UInt64(sequence), bytes: Int64(bytes.count), sha256: .sha256(bytes))
            try sample.append(.segment(record))
            var pieces: [ByteBuffer] = []
            for offset in stride(from: 0, to: bytes.count, by: Self.frameBytes) {
                let part = Array(bytes[offset..<min(offset + Self.frameBytes, bytes.count)])
                pieces.append(ByteBuffer(bytes: FrameCoding.encode(.data(segment: record.id, offset: Int64(offset), bytes: part))))
            }
            pieces.append(ByteBuffer(bytes: FrameCoding.encode(.end(segment: record.id, length: Int64(bytes.count), sha256: record.sha256))))
            frames.append(pieces)
            if sequence % Self.batchSegments == Self.batchSegments - 1, sequence < segments - 1 { try sample.seal() }
        }
        let checkpoint = try sample.seal()
        let hello = HelloRequest(
            session: 1,
            status: NodeStatus(
                software: "load", bootID: "boot", uptimeMilliseconds: 1, clock: Moment.sample(milliseconds: 0).wall, disk: nil, cameras: []),
            log: sample.log, logSize: checkpoint.checkpoint.size, checkpoint: checkpoint, holdings: [], backlog: Backlog(), statementLogSize: nil,
            statementGeneration: nil)
        var requests = [
            LoadRequest.make(.hello, "POST", SyncRoutes.hello, ["Content-Type: \(SyncRoutes.messageType)"], [ByteBuffer(bytes: try MessageCoding.encode(hello))])
        ]
        var body = try sample.batches.indices.map { index in
            let (lines, start, signed) = sample.batch(index)
            return ByteBuffer(bytes: FrameCoding.encode(.entries(try EntryBatch(start: start, lines: lines, checkpoint: signed).encoded())))
        }
        var inBody = 0
        func flush() {
            guard !body.isEmpty else { return }
            requests.append(
                .make(
                    .push, "POST", SyncRoutes.push,
                    ["Content-Type: \(SyncRoutes.framesType)", "\(SyncRoutes.logHeader): \(sample.log)", "\(SyncRoutes.sessionHeader): 1"], body, segments: inBody))
            body = []
            inBody = 0
        }
        for pieces in frames {
            body += pieces
            inBody += 1
            if body.reduce(0, { $0 + $1.readableBytes }) + segmentBytes > pushBytes { flush() }
        }
        flush()
        return SimulatedNode(identity: identity, requests: requests)
    }
}
