import EdgeJournal
import EvidenceLog
import JournalFixtures
import RecordingModel
import StorageIO
import Testing

/// Accounts for its time as capture does: footage, and before it a gap for what was not recorded.
struct TestCamera {
    let stream: StreamID
    private var accountedUntil: Moment

    init(_ stream: StreamID?, startingOn clocks: TestClocks) throws {
        self.stream = try #require(stream)
        accountedUntil = clocks.now()
    }

    /// Tells the time since the last footage, and begins a segment at this moment. Its file is written.
    mutating func begin(_ journal: Journal, _ bench: JournalBench, through storage: any StorageIO = RealStorage()) throws -> (ClosedSegment, GapRecord?) {
        let now = bench.clocks.now()
        var gap: GapRecord?
        if now.bootMilliseconds > accountedUntil.bootMilliseconds {
            let told = GapRecord(
                stream: stream, bootID: bench.clocks.bootID, startBootMilliseconds: accountedUntil.bootMilliseconds, startWall: accountedUntil.wall,
                durationMilliseconds: now.bootMilliseconds - accountedUntil.bootMilliseconds, cause: .cameraSilent, detail: "no packets")
            try journal.deliver(told)
            gap = told
        }
        // A commit may move slow clocks on another thread, but never back.
        let closed = try bench.write(stream, journal.nextSequence(for: stream), run: journal.nextRun(for: stream), through: storage, at: now)
        accountedUntil = Moment(
            bootNanoseconds: closed.record.endBootMilliseconds * 1_000_000, wall: now.wall(atBootMilliseconds: closed.record.endBootMilliseconds))
        return (closed, gap)
    }
}

/// Footage and gaps of every stream follow one another without a hole and without an overlap.
func expectTiled(_ entries: [LogEntry], _ context: Comment) {
    var spans: [StreamID: [(start: Int64, end: Int64)]] = [:]
    for entry in entries {
        if let record = entry.segment { spans[record.stream, default: []].append((record.startUnixMilliseconds, record.endUnixMilliseconds)) }
        if let gap = entry.gap { spans[gap.stream, default: []].append((gap.startWall.unixMilliseconds, gap.endUnixMilliseconds)) }
    }
    for (stream, unordered) in spans {
        let ordered = unordered.sorted { ($0.start, $0.end) < ($1.start, $1.end) }
        for (one, next) in zip(ordered, ordered.dropFirst()) where one.end != next.start {
            Issue.record("\(stream) goes from \(one) to \(next); \(context)")
        }
    }
}
