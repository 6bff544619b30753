import EdgeJournal
import EvidenceLog
import JournalFixtures
import Logging
import RecordingModel
import StorageIO
import SystemPackage
import Testing

@Suite("The journal")
struct JournalTests {
    let bench: JournalBench
    init() throws { bench = try JournalBench() }

    @Test("begins a log with an attested key, a boot and the configuration")
    func begins() throws {
        let journal = try bench.open()
        defer { journal.close() }
        let entries = try bench.followed(journal)
        #expect(entries.map(\.body.kind) == ["key", "boot", "config"])
        #expect(entries[1].body == .boot(BootRecord(software: "test 1", previousStopWasClean: true)))
        #expect(try journal.check(deep: true).isClean)
    }

    @Test("turns closed segments and gaps into entries, files and rows that agree")
    func records() throws {
        let journal = try bench.open()
        defer { journal.close() }
        let first = try bench.record(journal, JournalBench.gate)
        try journal.deliver(try bench.gap(JournalBench.gate, milliseconds: 500))
        let second = try bench.record(journal, JournalBench.gate, run: 1)
        let other = try bench.record(journal, JournalBench.yard)
        #expect(journal.nextSequence(for: second.stream) == 2 && journal.nextRun(for: second.stream) == 2)
        _ = try journal.checkpointNow()
        let entries = try bench.followed(journal)
        #expect(entries.compactMap(\.segment) == [first, second, other])
        #expect(entries.compactMap(\.gap).map(\.cause) == [.cameraSilent])
        let rows = try journal.segments(of: JournalBench.gate, including: [.gaps], limit: 10)
        #expect(rows.map(\.startUnixMilliseconds) == [first.startUnixMilliseconds, first.endUnixMilliseconds, second.startUnixMilliseconds])
        #expect(rows[1].kind == .gap(.cameraSilent))
        let status = try journal.status()
        #expect(status.segments == 3 && status.bytes == first.bytes + second.bytes + other.bytes && status.logSize == 7)
        #expect(status.backlog == Backlog(segments: 3, bytes: status.bytes, durationMilliseconds: 18_000))
        #expect(status.newest[first.stream]?.sequence == 1 && status.lastCheckpoint?.size == 3)
        let file = try #require(try journal.segmentFile(second.id))
        #expect(file.record == second)
        #expect(ContentHash.sha256(try file.file.read(at: 0, count: Int(file.file.length))) == second.sha256)
        #expect(try journal.segmentFile(SegmentID(stream: first.stream, sequence: 9)) == nil)
        #expect(try journal.check(deep: true).isClean)
    }

    @Test("writes in the order of the design: rename, folder, log, and only then says so")
    func order() throws {
        let storage = FaultyStorage()
        let journal = try bench.open(storage)
        defer { journal.close() }
        try bench.record(journal, JournalBench.gate)
        try journal.flush()
        let before = storage.journal.count
        try bench.record(journal, JournalBench.gate)
        try journal.flush()
        #expect(Array(storage.journal[before...]) == [
            "rename 0000000001.open.mp4", "syncDirectory main", "append entries-000000000000.jsonl", "sync entries-000000000000.jsonl",
        ])
    }

    @Test("commits what waits together with one sync of the log")
    func groupCommit() throws {
        let storage = FaultyStorage()
        let journal = try bench.open(storage)
        defer { journal.close() }
        let gaps = try (0..<60).map { _ in try bench.gap(JournalBench.gate, milliseconds: 10) }
        let before = storage.operations
        for gap in gaps { try journal.deliver(gap) }
        try journal.flush()
        #expect(storage.operations - before < 120, "every gap had its own sync")
        #expect(try journal.status().logSize == 63)
    }

    @Test("refuses a segment out of order, and anything after it was closed")
    func refusals() throws {
        let journal = try bench.open()
        let gate = try #require(JournalBench.gate)
        let wrong = try bench.write(gate, 5)
        #expect(throws: JournalError.unexpectedSequence(wrong.record.id, expected: 0)) { try journal.deliver(wrong) }
        journal.close()
        journal.close()
        #expect(throws: JournalError.closed) { try journal.deliver(try bench.gap(gate, milliseconds: 1)) }
        #expect(throws: JournalError.closed) { try journal.checkpointNow() }
    }

    @Test("keeps the hub's statement: what it covers is no backlog, and a smaller one takes that back")
    func statements() throws {
        var journal = try bench.open()
        let records = try (0..<5).map { _ in try bench.record(journal, JournalBench.gate) }
        try journal.flush()
        let stream = records[0].stream
        #expect(try journal.waiting(limit: 10).map(\.record) == records)
        try journal.recordStatement([1, 2], held: [stream: SequenceRanges([0, 1, 3])], logSize: 8)
        #expect(try journal.waiting(limit: 10).map(\.record.sequence) == [2, 4])
        #expect(try journal.waiting(excluding: { $0 == records[2].id }, limit: 10).map(\.record.sequence) == [4])
        #expect(try journal.status().backlog.segments == 2)
        try journal.recordStatement([3], held: [stream: SequenceRanges([0])], logSize: 8)
        #expect(try journal.waiting(limit: 2).map(\.record.sequence) == [1, 2])
        #expect(try journal.check(deep: false).isClean)
        journal.close()
        journal = try bench.open()
        defer { journal.close() }
        #expect(journal.latestStatement() == JournalStatement(encoded: [3], held: [stream: SequenceRanges([0])], logSize: 8))
        #expect(try journal.waiting(limit: 10).map(\.record.sequence) == [1, 2, 3, 4])
    }

    @Test("A statement covers nothing that comes later in the log than it speaks of, whatever it lists, now or when it is recorded")
    func beyondStatement() throws {
        let bench = try JournalBench()
        let journal = try bench.open()
        defer { journal.close() }
        let first = try bench.record(journal, JournalBench.gate)
        try journal.flush()
        let size = journal.logSize
        for _ in 0..<2 { try bench.record(journal, JournalBench.gate) }
        try journal.flush()
        try journal.recordStatement([1], held: [first.stream: SequenceRanges(closed: 0...1_000)], logSize: size)
        for _ in 0..<2 { try bench.record(journal, JournalBench.gate) }
        try journal.flush()
        #expect(try journal.waiting(limit: 10).map(\.record.sequence) == [1, 2, 3, 4])
        #expect(journal.latestStatement()?.held == [first.stream: SequenceRanges([0])])
    }

    @Test("offers what was begun first, then what has an event, then the rest by age; each once, and not what is left out")
    func waiting() throws {
        let journal = try bench.open()
        defer { journal.close() }
        let records = try (0..<6).map { _ in try bench.record(journal, JournalBench.gate) }
        let third = records[3]
        try journal.deliver(
            EventRecord(
                camera: third.stream.camera, source: .webhook, bootID: third.bootID, startBootMilliseconds: third.startBootMilliseconds + 100,
                startWall: third.startWall, durationMilliseconds: 100, score: 90, label: "door"))
        try journal.flush()
        let all = try journal.waiting(begun: [records[4].id, records[1].id], excluding: [records[1].id].contains, limit: 10)
        #expect(all.map(\.record.sequence) == [4, 3, 0, 2, 5] && all.map(\.hasEvent) == [false, true, false, false, false])
        #expect(try journal.waiting(begun: [records[4].id], limit: 2).map(\.record.sequence) == [4, 3])
        try journal.recordStatement([1], held: [third.stream: SequenceRanges([3, 4])], logSize: 8)
        #expect(try journal.waiting(begun: [records[4].id], limit: 2).map(\.record.sequence) == [0, 1])
    }

    @Test("tells whoever listens that something was sealed, once for several")
    func changes() async throws {
        let journal = try bench.open()
        var changes = journal.changes.makeAsyncIterator()
        for _ in 0..<3 { try bench.record(journal, JournalBench.gate) }
        try journal.flush()
        #expect(await changes.next() != nil)
        journal.close()
        #expect(await changes.next() == nil)
        var late = journal.changes.makeAsyncIterator()
        #expect(await late.next() == nil)
    }

    @Test("stores a checkpoint when 500 entries or a minute have passed, not before")
    func checkpoints() throws {
        let journal = try bench.open()
        defer { journal.close() }
        try journal.deliver(try bench.gap(JournalBench.gate, milliseconds: 1))
        try journal.flush()
        journal.tick()
        #expect(try journal.status().lastCheckpoint?.size == 3)
        bench.clocks.advance(milliseconds: 60_000)
        journal.tick()
        #expect(try journal.status().lastCheckpoint?.size == 4)
        for _ in 0..<520 { try journal.deliver(try bench.gap(JournalBench.gate, milliseconds: 1)) }
        try journal.flush()
        let last = try #require(try journal.status().lastCheckpoint)
        #expect(last.size >= 504)
        #expect(try journal.frontier(at: 4) != journal.frontier(at: last.size))
        #expect(try journal.frontier(at: last.size) == last.root)
        #expect(throws: JournalError.beyondLog(size: 524, asked: 600)) { try journal.frontier(at: 600) }
        #expect(throws: JournalError.beyondLog(size: 524, asked: 600)) { try journal.batch(from: 600, limitBytes: 1) }
    }

    @Test("goes on in a new file when a sync of the log fails once, and loses nothing")
    func failedSync() throws {
        let storage = FlakyStorage()
        let journal = try bench.open(storage)
        defer { journal.close() }
        try bench.record(journal, JournalBench.gate)
        try journal.flush()
        storage.failNextSync(of: "entries-")
        try bench.record(journal, JournalBench.gate)
        try journal.flush()
        try bench.record(journal, JournalBench.gate)
        _ = try journal.checkpointNow()
        #expect(try RealStorage().list(bench.logFolder()).filter { $0.hasPrefix("entries-") }.count == 2)
        #expect(try bench.followed(journal).compactMap(\.segment).map(\.sequence) == [0, 1, 2])
        #expect(try journal.check(deep: true).isClean)
    }
}
