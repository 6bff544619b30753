import Crypto
import EvidenceLog
import Foundation
@testable import HubIngest
import HubStore
import Logging
import LogFixtures
import NIOCore
import RecordingModel
import StorageIO
import SyncProtocol
import SystemPackage
import TestSupport

/// A node with its whole log and footage in memory, which joins a hub and pushes through the hub's own code.
struct PushedNode: Sendable {
    static let now: Int64 = 1_700_000_500_000
    static let secret = ContentHash.sha256([7])

    let name: String
    let sample: SampleLog
    let contents: [SegmentID: [UInt8]]

    /// Two key epochs: [key boot 0 1 gap] [2 key] [3 4]; segment 4 has the bytes of segment 0.
    init(seed: UInt64 = 1, name: String = "north") throws {
        self.name = name
        var generator = SeededNumbers(seed: seed)
        var sample = try SampleLog()
        var contents: [SegmentID: [UInt8]] = [:]
        func segment(_ sequence: UInt64, same other: UInt64? = nil) throws {
            var bytes = (0..<3_000).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
            if let other { bytes = try contents.first { $0.key.sequence == other }.orThrow("a segment").value }
            var record = try SegmentRecord.sample(sequence: sequence, bytes: Int64(bytes.count), sha256: .sha256(bytes))
            record.startWall = Moment.sample(milliseconds: Self.start(sequence)).wall
            contents[record.id] = bytes
            try sample.append(.segment(record))
        }
        try sample.append(.boot(BootRecord(software: "test", previousStopWasClean: true)))
        try segment(0)
        try segment(1)
        try sample.append(.gap(Self.gap()))
        try sample.seal()
        try segment(2)
        try sample.handOver()
        try segment(3)
        try segment(4, same: 0)
        try sample.seal()
        self.sample = sample
        self.contents = contents
    }

    /// 0 and 1 touch, a gap of 60 s follows 1, and nobody speaks of the 30 s before 4.
    static func start(_ sequence: UInt64) -> Int64 { [0, 60_000, 180_000, 240_000, 330_000][Int(sequence)] }

    static func gap() throws -> GapRecord {
        GapRecord(
            stream: try StreamID("gate/main").orThrow("a stream"), bootID: "boot", startBootMilliseconds: 120_000,
            startWall: Moment.sample(milliseconds: 120_000).wall, durationMilliseconds: 60_000, cause: .cameraLost, detail: "the camera closed the connection")
    }

    var node: NodeID { sample.node }
    var log: LogID { sample.log }
    var segments: [SegmentID] { contents.keys.sorted() }

    func join(_ store: HubStore) throws {
        if try store.nodeState(node) != nil { return }
        let secret = name == "north" ? Self.secret : ContentHash.sha256(Array(name.utf8))
        try? store.addJoinToken(secretHash: secret, name: name, expiresUnixSeconds: Self.now / 1000 + 600)
        guard case .enrolled = try store.enrol(node, secretHash: secret, nowUnixMilliseconds: Self.now) else { throw FixtureError(what: "joining") }
    }

    @discardableResult
    func greet(_ store: HubStore, session: UInt64) throws -> HelloReply {
        let checkpoint = try sample.checkpoints.last.orThrow("a checkpoint")
        return try store.hello(
            HelloRequest(
                session: session, status: NodeStatus(software: "test", bootID: "boot", uptimeMilliseconds: 1, clock: Moment.sample(milliseconds: 0).wall, disk: nil, cameras: []),
                log: log, logSize: checkpoint.checkpoint.size, checkpoint: checkpoint, holdings: [], backlog: Backlog(), statementLogSize: nil, statementGeneration: nil),
            from: node, nowUnixMilliseconds: Self.now)
    }

    /// One contact: hello, then one push with the entries and bytes that the hub lacks, in frames of 1,000 bytes.
    @discardableResult
    func contact(_ store: HubStore, session: UInt64, only wanted: Set<UInt64>? = nil, cutAfterFrames: Int = .max) throws -> PushReply {
        let hello = try greet(store, session: session)
        let sessions = Sessions()
        sessions.raise(node, to: session)
        // Its clock stands still: groups are written here and nowhere else.
        let committer = GroupCommitter(store: store, nowMilliseconds: { 0 })
        let push = try PushSession(
            writer: IngestWriter(store: store, committer: committer), sessions: sessions, node: node, log: log, number: session, clock: { Self.now })
        defer {
            // Nothing is left to a timer when the push ends early.
            committer.writeNow()
            push.close()
        }
        for frame in try frames(beyond: hello, store, wanted).prefix(cutAfterFrames) {
            guard try push.receive(ByteBuffer(bytes: FrameCoding.encode(frame))) else { continue }
            taking: while true {
                switch try push.take() {
                case .more: break taking
                case .waits: committer.writeNow()
                case .ended(let problem): throw problem
                }
            }
        }
        try push.end()
        committer.writeNow()
        try push.ticket.result()
        return try push.finish(grant: HubStore.grant)
    }

    private func frames(beyond hello: HelloReply, _ store: HubStore, _ wanted: Set<UInt64>?) throws -> [Frame] {
        var frames: [Frame] = []
        for index in sample.batches.indices where sample.batches[index].upperBound > Int(hello.logSize) {
            let (lines, start, checkpoint) = sample.batch(index)
            frames.append(.entries(try EntryBatch(start: start, lines: lines, checkpoint: checkpoint).encoded()))
        }
        let held = try hello.statement.verified(by: store.hubKey).orThrow("a statement").heldByStream
        for segment in segments where held[segment.stream]?.contains(segment.sequence) != true && wanted?.contains(segment.sequence) ?? true {
            let bytes = contents[segment] ?? []
            var offset = Int(hello.partials.first { $0.segment == segment }?.offset ?? 0)
            while offset < bytes.count {
                let piece = Array(bytes[offset...].prefix(1_000))
                frames.append(.data(segment: segment, offset: Int64(offset), bytes: piece))
                offset += piece.count
            }
            frames.append(.end(segment: segment, length: Int64(bytes.count), sha256: .sha256(bytes)))
        }
        return frames
    }
}

/// A hub's data directory, opened as often as a test likes.
struct StoreFolder: Sendable {
    let directory: TemporaryDirectory
    let signer: NoteSigner

    /// - Parameter other: a folder whose hub this one is of too.
    init(ofSameHubAs other: StoreFolder? = nil) throws {
        directory = try TemporaryDirectory("store")
        signer = try other?.signer ?? NoteSigner(name: "fieldpost.hub/test", algorithm: .cosignature).orThrow("a signer")
    }

    func open(_ storage: any StorageIO = RealStorage()) throws -> HubStore {
        try HubStore(
            dataDirectory: FilePath(directory.path), hub: HubID(keyHash: .sha256([1])), signer: signer, generation: 1, storage: storage,
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    }

    var partials: [String] { files(under: directory.path("partials")) }

    func blob(_ hash: ContentHash) -> [UInt8]? {
        let name = hash.hex
        let path = directory.path("blobs/\(name.prefix(2))/\(name)")
        return FileManager.default.contents(atPath: path).map(Array.init)
    }

    /// What a statement claims that is not there, byte for byte.
    func lies(in store: HubStore, of node: PushedNode) throws -> [SegmentID] {
        guard let statement = try? store.statement(for: node.node, log: node.log, nowUnixMilliseconds: PushedNode.now),
            let held = statement.verified(by: store.hubKey)?.heldByStream
        else { return [] }
        return node.segments.filter { held[$0.stream]?.contains($0.sequence) == true && blob(.sha256(node.contents[$0] ?? [])) != node.contents[$0] }
    }

    /// Lines of a node's log as they lie on disk.
    func lines(of node: PushedNode) -> [[UInt8]] {
        let path = directory.path("logs/\(node.node)/\(node.log)/" + LogFolder.entryFileName(first: 0))
        return FileManager.default.contents(atPath: path).map { LogFolder.lines(in: Array($0)).lines } ?? []
    }
}
