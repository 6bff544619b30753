import EvidenceLog
import Foundation
@testable import HubIngest
import HubStore
import LogFixtures
import RecordingModel
import SyncProtocol

/// A node's log that a test tells entry by entry, pushed through the hub's own code.
struct ToldLog {
    static let now: Int64 = 1_795_300_000_000
    private(set) var sample: SampleLog
    private var pushed = 0
    let camera: CameraID
    var stream: StreamID { StreamID(camera: camera, kind: .main) }
    var node: NodeID { sample.node }

    init() throws {
        sample = try SampleLog()
        camera = try CameraID("gate").orThrow("a camera")
    }

    static func wall(_ milliseconds: Int64, _ source: ClockSource, _ uncertainty: Int64 = 20) -> WallEstimate {
        WallEstimate(unixMilliseconds: milliseconds, source: source, uncertaintyMilliseconds: uncertainty)
    }

    /// - Parameter boot: the boot that writes, at a moment of its clock.
    mutating func tell(_ body: EntryBody, in boot: String = "b", at milliseconds: Int64 = 0, wall: WallEstimate = ToldLog.wall(0, .none)) throws {
        try sample.append(line: LogEntry(bootID: boot, at: Moment(bootNanoseconds: milliseconds * 1_000_000, wall: wall), body: body).encoded())
    }

    static func bytes(_ sequence: UInt64, _ kind: StreamKind = .main) -> [UInt8] { Array("\(kind == .main ? "footage" : kind.rawValue) \(sequence)".utf8) }

    /// A minute of footage.
    mutating func tellSegment(_ sequence: UInt64, boot: String, at start: Int64, wall: WallEstimate, writtenIn writer: String? = nil) throws {
        var record = try SegmentRecord.sample(sequence: sequence, bytes: Int64(Self.bytes(sequence).count), sha256: .sha256(Self.bytes(sequence)))
        record.bootID = boot
        record.startBootMilliseconds = start
        record.endBootMilliseconds = start + 60_000
        record.startWall = wall
        try tell(.segment(record), in: writer ?? boot, at: start + 60_000, wall: wall)
    }

    /// What was made of minutes of footage of boot `a`.
    mutating func tellMade(_ kind: StreamKind, _ sequence: UInt64, of sources: ClosedRange<UInt64>, sourceKind: StreamKind? = nil, wallStart: Int64, lateMilliseconds: Int64 = 0) throws {
        let bytes = Self.bytes(sequence, kind)
        var record = try SegmentRecord.sample(sequence: sequence, bytes: Int64(bytes.count), sha256: .sha256(bytes))
        record.stream = StreamID(camera: camera, kind: kind)
        record.bootID = "a"
        record.startBootMilliseconds = Int64(sources.lowerBound) * 60_000 + lateMilliseconds
        record.endBootMilliseconds = Int64(sources.upperBound + 1) * 60_000
        record.startWall = Self.wall(wallStart + record.startBootMilliseconds, .ntp)
        record.made = MadeRecord(
            kind: kind == .proxy ? .transcoded : .thumbnails, encoder: "none", settings: "none", sources: SequenceRanges(closed: sources), sourceKind: sourceKind, sourceSHA256: .zero)
        try tell(.segment(record), in: "a", at: record.endBootMilliseconds, wall: record.startWall)
    }

    /// What was recorded of the camera's own small stream in boot `a`, from and to a second.
    mutating func tellSubStream(_ sequence: UInt64, _ seconds: Range<Int64>, wallStart: Int64) throws {
        let bytes = Self.bytes(sequence, .proxy)
        var record = try SegmentRecord.sample(sequence: sequence, bytes: Int64(bytes.count), sha256: .sha256(bytes))
        record.stream = StreamID(camera: camera, kind: .proxy)
        record.bootID = "a"
        (record.startBootMilliseconds, record.endBootMilliseconds) = (seconds.lowerBound * 1_000, seconds.upperBound * 1_000)
        record.startWall = Self.wall(wallStart + record.startBootMilliseconds, .ntp)
        try tell(.segment(record), in: "a", at: record.endBootMilliseconds, wall: record.startWall)
    }

    mutating func tellClock(_ boot: String, at milliseconds: Int64, _ wall: WallEstimate, _ reason: ClockRecord.Reason = .fix, in writer: String = "b") throws {
        try tell(.clock(ClockRecord(bootID: boot, bootMilliseconds: milliseconds, wall: wall, reason: reason)), in: writer)
    }

    mutating func tellRemoval(_ ranges: String, _ reason: RemovalRecord.Reason, released: Bool = false) throws {
        let removal = RemovalRecord(stream: stream, sequences: try SequenceRanges(ranges).orThrow("ranges"), bytes: 1, durationMilliseconds: 1, reason: reason)
        try tell(released ? .released(removal) : .evicted(removal))
    }

    /// Sends what was told since the last time.
    mutating func push(_ store: HubStore) throws {
        if try store.nodeState(node) == nil {
            try store.addJoinToken(secretHash: .sha256([9]), name: "north", expiresUnixSeconds: Self.now / 1000 + 60)
            guard case .enrolled = try store.enrol(node, secretHash: .sha256([9]), nowUnixMilliseconds: Self.now) else { throw FixtureError(what: "joining") }
        }
        let checkpoint = try sample.seal()
        _ = try store.hello(
            HelloRequest(
                session: UInt64(pushed + 1), status: NodeStatus(software: "test", bootID: "b", uptimeMilliseconds: 1, clock: Self.wall(0, .none), disk: nil, cameras: []),
                log: sample.log, logSize: checkpoint.checkpoint.size, checkpoint: checkpoint, holdings: [], backlog: Backlog(), statementLogSize: nil,
                statementGeneration: nil), from: node, nowUnixMilliseconds: Self.now)
        for index in pushed..<sample.batches.count {
            let (lines, start, signed) = sample.batch(index)
            var machine = HubPushMachine(verifier: try store.verifier(node, sample.log))
            let frame = Frame.entries(try EntryBatch(start: start, lines: lines, checkpoint: signed).encoded())
            guard case .storeEntries(let batch, let entries, let verifier) = try machine.receive(frame, state: { _ in nil }) else { throw FixtureError(what: "a batch was not taken") }
            try store.storeEntries(batch, entries: entries, verifier: verifier, nowUnixMilliseconds: Self.now)
        }
        pushed = sample.batches.count
    }

    func deliver(_ sequence: UInt64, to store: HubStore, kind: StreamKind = .main) throws {
        let bytes = Self.bytes(sequence, kind)
        let stream = StreamID(camera: camera, kind: kind)
        try store.appendPartial(bytes[...], to: .sha256(bytes), node: node, at: 0)
        let stored = HubStore.StoredSegment(segment: SegmentID(stream: stream, sequence: sequence), sha256: .sha256(bytes), bytes: Int64(bytes.count))
        guard try store.commit(stored, node: node, log: sample.log) else { throw FixtureError(what: "a segment was not taken") }
    }

    func timeline(_ store: HubStore, from: Int64, to: Int64) async throws -> CameraTimeline {
        try await store.timeline(node: node, camera: camera, from: from, to: to, nowUnixMilliseconds: Self.now).orThrow("a timeline")
    }
}
