@testable import EdgeJournal
import EvidenceLog
import Foundation
import JournalFixtures
import RecordingModel
import Testing

@Suite struct BacklogTests {
    @Test("The backlog by class adds up to the whole, each segment in the class in which it is sent")
    func classes() throws {
        let bench = try JournalBench()
        let journal = try bench.open()
        for _ in 0..<3 { try bench.record(journal, JournalBench.gate) }
        let start = bench.clocks.now()
        try bench.record(journal, JournalBench.gate)
        try journal.deliver(EventRecord(
            camera: #require(CameraID("gate")), source: .manual, bootID: bench.clocks.bootID, startBootMilliseconds: start.bootMilliseconds + 1_000,
            startWall: start.wall, durationMilliseconds: 500, score: 50, label: "gate opened"))
        for _ in 0..<2 { try bench.record(journal, StreamID("yard/proxy")) }
        try journal.flush()
        var backlog = try journal.backlogByClass(now: bench.clocks.now().wall)
        var counts: [Int] { backlog.classes.map(\.segments) }
        #expect(backlog.classes.map(\.footageClass) == SyncReport.FootageClass.allCases && counts == [0, 1, 2, 3])
        let total = try journal.status().backlog
        #expect(backlog.classes.reduce(0) { $0 + $1.bytes } == total.bytes && backlog.classes.reduce(0) { $0 + $1.durationMilliseconds } == total.durationMilliseconds)
        #expect(backlog.classes[1].oldestUnixMilliseconds == start.wall.unixMilliseconds && backlog.releasableBytes == 0)
        let recorded = try #require(backlog.recorded)
        #expect(recorded.bytes == total.bytes && recorded.milliseconds == 36_000)
        // What the hub holds waits no more, and may be released.
        let gate = try #require(JournalBench.gate)
        try journal.recordStatement([], held: [gate: SequenceRanges(closed: 0...3)], logSize: journal.logSize)
        backlog = try journal.backlogByClass(now: bench.clocks.now().wall)
        #expect(counts == [0, 0, 2, 0] && backlog.releasableBytes > 0 && backlog.recorded?.bytes == total.bytes)
        let reader = try bench.reader
        #expect(try reader.backlogByClass(now: bench.clocks.now().wall).classes == backlog.classes)
        journal.close()
    }

    @Test("172,800 segments that wait are counted by class, and it takes how long")
    func large() throws {
        let index = try JournalIndex.inMemory()
        let count = 172_800
        let log = try #require(LogID(String(repeating: "0f", count: 16)))
        func wall(_ milliseconds: Int64) -> WallEstimate { WallEstimate(unixMilliseconds: milliseconds, source: .ntp, uncertaintyMilliseconds: 10) }
        func append(_ bodies: [EntryBody], from first: Int) throws {
            let updates = bodies.enumerated().map { number, body in
                IndexUpdate(index: UInt64(first + number), entry: LogEntry(bootID: "boot", at: Moment(bootNanoseconds: 0, wall: wall(0)), body: body), held: [:])
            }
            try index.append(updates, reaching: JournalIndex.Extent(log: log, size: UInt64(first + bodies.count), root: .zero))
        }
        /// Eight cameras with three streams, a segment every half second.
        func segment(_ number: Int) throws -> EntryBody {
            let start = Int64(number) * 500
            return .segment(SegmentRecord(
                stream: try #require(StreamID("c\(number % 8)/\(["main", "proxy", "thumbs"][number / 8 % 3])")), sequence: UInt64(number / 24), run: 0, bootID: "boot",
                startBootMilliseconds: start, endBootMilliseconds: start + 60_000, startWall: wall(start), bytes: 1_900_000, sha256: .zero, fragmentRoot: .zero,
                fragmentCount: 30, initBytes: 800, initSHA256: .zero, codecs: "avc1.42c01e", widthPixels: 640, heightPixels: 360, mediaStartTicks90k: 0,
                mediaDurationTicks90k: 5_400_000, frames: 900, drops: 0, end: .length, configVersion: "c1"))
        }
        for first in stride(from: 0, to: count, by: 10_000) { try append(try (first..<min(first + 10_000, count)).map(segment), from: first) }
        let clock = ContinuousClock()
        func median(_ work: () throws -> Void) rethrows -> Duration { try (0..<5).map { _ in try clock.measure(work) }.sorted()[2] }
        let now = Int64(count) * 500
        let plain = try median { _ = try index.backlogByClass(nowUnixMilliseconds: now) }
        #expect(try index.backlogByClass(nowUnixMilliseconds: now).classes.map(\.segments) == [count / 3, 0, count / 3, count / 3])
        let camera = try #require(CameraID("c1"))
        try append(
            (0..<1_000).map {
                .event(EventRecord(camera: camera, source: .manual, bootID: "boot", startBootMilliseconds: Int64($0) * 80_000, startWall: wall(0), durationMilliseconds: 0, score: 1, label: "x"))
            }, from: count)
        let withEvents = try median { _ = try index.backlogByClass(nowUnixMilliseconds: now) }
        #expect(try index.backlogByClass(nowUnixMilliseconds: now).classes[1].segments > 1_000)
        print("backlog of \(count) segments by class: \(plain), with 1,000 events \(withEvents)")
    }

    @Test("What waits is handed out in the order in which it is sent, however much older footage there is")
    func smallThingsFirst() throws {
        let bench = try JournalBench()
        let journal = try bench.open()
        defer { journal.close() }
        for _ in 0..<20 { try bench.record(journal, JournalBench.gate) }
        for _ in 0..<3 { try bench.record(journal, StreamID("yard/proxy")) }
        for _ in 0..<2 { try bench.record(journal, StreamID("gate/thumbs")) }
        try journal.flush()
        #expect(try journal.waiting(limit: 6).map(\.record.stream.kind) == [.thumbs, .thumbs, .proxy, .proxy, .proxy, .main])
        #expect(try journal.waiting(kinds: [.main], limit: 2).map(\.record.sequence) == [0, 1])
        #expect(try journal.waiting(kinds: [.thumbs], limit: 6).map(\.record.sequence) == [0, 1])
        #expect(try journal.waiting(limit: 100).count == 25)
    }
}
