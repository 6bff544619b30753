import EdgeJournal
import EvidenceLog
import RecordingModel
import StorageIO
import SystemPackage
import Testing

@Suite("Giving footage up")
struct RetentionTests {
    /// Three fragments of a test segment and its side file are about 1.2 kB.
    private func limits(low: Int64, high: Int64, days: Int? = nil) -> StorageLimits {
        StorageLimits(reserveBytes: 1_000, lowBytes: low, highBytes: high, keepDays: days)
    }

    private func removals(_ entries: [LogEntry]) -> [(kind: String, record: RemovalRecord)] {
        entries.compactMap {
            switch $0.body {
            case .released(let record): ("released", record)
            case .evicted(let record): ("evicted", record)
            default: nil
            }
        }
    }

    private func sealed(_ bench: JournalBench, _ stream: StreamID?) throws -> SequenceRanges {
        let names = try RealStorage().list(bench.path(try #require(stream), "").removingLastComponent().appending(try #require(stream).kind.rawValue))
        return SequenceRanges(names.filter { $0.hasSuffix(".mp4") && !$0.contains(".open.") }.compactMap { SegmentFiles.sequence(ofName: $0) })
    }

    @Test func `Nothing goes while there is space, and afterwards what the hub holds goes first, oldest first`() throws {
        let bench = try JournalBench()
        let disk = SmallDisk(bench.directory, totalBytes: 100_000)
        let journal = try bench.open(disk, limits: limits(low: 1_000, high: 1_500))
        defer { journal.close() }
        var segments: [SegmentRecord] = []
        for _ in 0..<10 { segments.append(try bench.record(journal, JournalBench.gate, through: disk)) }
        try journal.flush()
        #expect(try sealed(bench, JournalBench.gate).count == 10)
        try journal.recordStatement([1], held: [segments[0].stream: SequenceRanges([4, 5, 6, 7])], logSize: journal.logSize)
        #expect(segments[0].bytes > 350, "two of them are what is asked below")
        disk.fill(try disk.space(bench.directory).availableBytes - 1_800)
        journal.keepSpaceNow()
        let gone = removals(try bench.followed(journal))
        #expect(gone.map(\.kind) == ["released"])
        #expect(gone.first?.record.sequences == SequenceRanges([4, 5]), "the oldest that the hub holds")
        #expect(gone.first?.record.reason == .space)
        #expect(try sealed(bench, JournalBench.gate).contains(0), "what only this node has stays")
        let removed = try #require(gone.first?.record.sequences)
        #expect(try sealed(bench, JournalBench.gate) == SequenceRanges(closed: 0...9).subtracting(removed))
        #expect(try journal.holdings()[segments[0].stream] == SequenceRanges(closed: 0...9).subtracting(removed))
        #expect(try journal.check(deep: true).findings == [])
    }

    @Test func `Footage that nobody else has goes last, without an event before with one, and pinned never`() throws {
        let bench = try JournalBench()
        let disk = SmallDisk(bench.directory, totalBytes: 1_000_000)
        let journal = try bench.open(disk, limits: limits(low: 2_000, high: 3_000))
        defer { journal.close() }
        var segments: [SegmentRecord] = []
        for ordinal in 0..<6 {
            let segment = try bench.record(journal, JournalBench.gate, through: disk)
            segments.append(segment)
            guard ordinal == 0 else { continue }
            try journal.deliver(
                EventRecord(
                    camera: segment.stream.camera, source: .webhook, bootID: segment.bootID, startBootMilliseconds: segment.startBootMilliseconds + 100,
                    startWall: segment.startWall, durationMilliseconds: 500, score: 90, label: "door"))
        }
        try journal.flush()
        let stream = segments[0].stream
        try bench.reader.setPins([Pin(stream: stream, sequences: SequenceRanges([1]), reason: "case 7", setUnixMilliseconds: 0)])
        func free(_ bytes: Int64) throws {
            disk.fill(0)
            disk.fill(try disk.space(bench.directory).availableBytes - bytes)
            journal.keepSpaceNow()
        }
        try free(2_900)
        #expect(try sealed(bench, stream) == SequenceRanges([0, 1, 5]), "1 is pinned, and 0 has an event")
        try free(2_900)
        try free(2_900)
        #expect(removals(try bench.followed(journal)).allSatisfy { $0.kind == "evicted" })
        #expect(try sealed(bench, stream) == SequenceRanges([1]))
        #expect(journal.diskState.mayRecord)
        try free(500)
        #expect(journal.refusal?.cause == .diskFull)
        #expect(try #require(journal.diskState.problem).contains("unpin"))
        disk.fill(0)
        journal.keepSpaceNow()
        #expect(journal.refusal == nil, "it goes on by itself")
        #expect(try journal.check(deep: true).findings == [])
    }

    @Test func `Footage goes by age only where the clock is set, and only when its own time is known`() throws {
        let bench = try JournalBench()
        let disk = SmallDisk(bench.directory, totalBytes: 1_000_000)
        let journal = try bench.open(disk, limits: limits(low: 10, high: 20, days: 2))
        defer { journal.close() }
        try bench.record(journal, JournalBench.gate, through: disk)
        bench.clocks.advance(milliseconds: 86_400_000)
        try bench.record(journal, JournalBench.gate, through: disk)
        try journal.flush()
        bench.clocks.advance(milliseconds: 86_400_000 + 60_000)
        journal.keepSpaceNow()
        let gone = removals(try bench.followed(journal))
        #expect(gone.map(\.record.reason) == [.age])
        #expect(gone.first?.record.sequences == SequenceRanges([0]))
    }

    @Test func `A cut after the entry and before the file is gone is finished by the next start`() throws {
        let bench = try JournalBench()
        let disk = SmallDisk(bench.directory, totalBytes: 1_000_000)
        let first = try bench.open(disk, limits: limits(low: 2_000, high: 3_000))
        for _ in 0..<4 { try bench.record(first, JournalBench.gate, through: disk) }
        try first.flush()
        disk.refuseUnlink(true)
        disk.fill(1_000_000 - 6_000)
        first.keepSpaceNow()
        #expect(first.failure != nil, "what cannot be unlinked must not be given up without end")
        #expect(try sealed(bench, JournalBench.gate).count == 4)
        first.close()
        disk.refuseUnlink(false)
        disk.fill(0)
        let second = try bench.open(disk)
        defer { second.close() }
        let gone = removals(try bench.followed(second)).reduce(SequenceRanges()) { $0.union($1.record.sequences) }
        #expect(!gone.isEmpty)
        #expect(try sealed(bench, JournalBench.gate) == SequenceRanges(closed: 0...3).subtracting(gone))
        #expect(try second.check(deep: true).findings == [])
    }

    @Test func `A file that vanished becomes an entry when somebody asks for it`() throws {
        let bench = try JournalBench()
        let journal = try bench.open()
        defer { journal.close() }
        let record = try bench.record(journal, JournalBench.gate)
        try journal.flush()
        try RealStorage().remove(bench.path(record.stream, SegmentFiles.sealedName(0)))
        #expect(try journal.segmentFile(record.id) == nil)
        try journal.flush()
        #expect(removals(try bench.followed(journal)).map(\.record.reason) == [.missing])
        #expect(try journal.unsynced(limit: 10).isEmpty)
    }

    @Test(arguments: [1 << 20, 64 << 20, 1 << 30, 1 << 37, 1 << 42])
    func `The marks leave room on any disk`(total: Int64) {
        let marks = StorageLimits().marks(totalBytes: total)
        #expect(0 < marks.reserveBytes && marks.reserveBytes < marks.lowBytes && marks.lowBytes <= marks.highBytes)
        #expect(marks.highBytes < total / 5)
        #expect(marks.bytesToFree(availableBytes: marks.lowBytes) == 0)
        #expect(marks.bytesToFree(availableBytes: marks.lowBytes - 1) > 0)
        #expect(marks.isFull(availableBytes: marks.reserveBytes - 1))
    }
}
