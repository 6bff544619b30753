import EdgeJournal
import EvidenceLog
import JournalFixtures
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

    private func fix(_ bench: JournalBench, _ reason: ClockRecord.Reason = .fix) -> ClockRecord {
        let now = bench.clocks.now()
        return ClockRecord(bootID: bench.clocks.bootID, bootMilliseconds: now.bootMilliseconds, wall: now.wall, reason: reason)
    }

    private static let dayMilliseconds: Int64 = 86_400_000

    @Test func `Footage goes by age when its own time is known, and what is pinned stays`() throws {
        let bench = try JournalBench()
        let disk = SmallDisk(bench.directory, totalBytes: 1_000_000)
        let journal = try bench.open(disk, limits: limits(low: 10, high: 20, days: 2))
        defer { journal.close() }
        try journal.record(fix(bench))
        let pinned = try bench.record(journal, JournalBench.gate, through: disk)
        try bench.record(journal, JournalBench.gate, through: disk)
        try bench.reader.setPins([Pin(stream: pinned.stream, sequences: SequenceRanges([0]), reason: "case 7", setUnixMilliseconds: 0)])
        bench.clocks.advance(milliseconds: Self.dayMilliseconds)
        try bench.record(journal, JournalBench.gate, through: disk)
        try journal.flush()
        bench.clocks.advance(milliseconds: Self.dayMilliseconds + 60_000)
        journal.keepSpaceNow()
        let gone = removals(try bench.followed(journal))
        #expect(gone.map(\.record.reason) == [.age])
        #expect(gone.first?.record.sequences == SequenceRanges([1]))
    }

    @Test func `However many old segments are pinned, those after them still go`() throws {
        let bench = try JournalBench()
        let disk = SmallDisk(bench.directory, totalBytes: 100_000_000)
        let journal = try bench.open(disk, limits: limits(low: 10, high: 20, days: 1))
        defer { journal.close() }
        try journal.record(fix(bench))
        let first = try bench.record(journal, JournalBench.gate, through: disk)
        for _ in 0..<100 { try bench.record(journal, JournalBench.gate, through: disk) }
        try journal.flush()
        try bench.reader.setPins([Pin(stream: first.stream, sequences: SequenceRanges(closed: 0...79), reason: "case 7", setUnixMilliseconds: 0)])
        bench.clocks.advance(milliseconds: 2 * Self.dayMilliseconds)
        journal.keepSpaceNow()
        #expect(removals(try bench.followed(journal)).reduce(SequenceRanges()) { $0.union($1.record.sequences) } == SequenceRanges(closed: 80...100))
    }

    @Test func `A battery clock that says another decade removes nothing`() throws {
        let bench = try JournalBench()
        let disk = SmallDisk(bench.directory, totalBytes: 1_000_000)
        let first = try bench.open(disk, limits: limits(low: 10, high: 20, days: 30))
        try bench.record(first, JournalBench.gate, through: disk)
        first.close()
        bench.clocks.reboot(as: "boot-2", afterMilliseconds: 60_000)
        bench.clocks.set(.rtc, uncertaintyMilliseconds: 60_000, movedByMilliseconds: 15 * 365 * Self.dayMilliseconds)
        let second = try bench.open(disk, limits: limits(low: 10, high: 20, days: 30))
        defer { second.close() }
        bench.clocks.advance(milliseconds: 3_600_000)
        second.keepSpaceNow()
        #expect(try sealed(bench, JournalBench.gate) == SequenceRanges([0]))
    }

    @Test func `When a clock that was months late is set, what it dated wrongly is re-dated before anything is called old`() throws {
        let bench = try JournalBench()
        let disk = SmallDisk(bench.directory, totalBytes: 1_000_000)
        bench.clocks.set(.rtc, uncertaintyMilliseconds: 60_000)
        let journal = try bench.open(disk, limits: limits(low: 10, high: 20, days: 30))
        defer { journal.close() }
        try bench.record(journal, JournalBench.gate, through: disk)
        try journal.flush()
        bench.clocks.advance(milliseconds: 3_600_000)
        bench.clocks.set(.ntp, uncertaintyMilliseconds: 10, movedByMilliseconds: 60 * Self.dayMilliseconds)
        journal.keepSpaceNow()
        bench.clocks.advance(milliseconds: 5_000)
        journal.keepSpaceNow()
        try journal.record(fix(bench))
        journal.keepSpaceNow()
        bench.clocks.advance(milliseconds: 120_000)
        journal.keepSpaceNow()
        #expect(try sealed(bench, JournalBench.gate) == SequenceRanges([0]), "it is an hour old")
        bench.clocks.advance(milliseconds: 31 * Self.dayMilliseconds)
        journal.keepSpaceNow()
        #expect(try sealed(bench, JournalBench.gate).isEmpty)
    }

    @Test func `An import that waits for room gets what the hub holds, and nothing else`() throws {
        let bench = try JournalBench()
        let disk = SmallDisk(bench.directory, totalBytes: 100_000)
        let journal = try bench.open(disk, limits: limits(low: 1_000, high: 1_500))
        defer { journal.close() }
        let first = try bench.record(journal, JournalBench.gate, through: disk)
        for _ in 0..<5 { try bench.record(journal, JournalBench.gate, through: disk) }
        // A statement licenses only what it covers of the durable log.
        try journal.flush()
        try journal.recordStatement([1], held: [first.stream: SequenceRanges([1, 3])], logSize: journal.logSize)
        let imports = bench.directory.appending(ImportManifest.folderName)
        try RealStorage().makeDirectory(imports)
        try RealStorage().replace(imports.appending(ImportManifest.wantedName), with: Array("99999".utf8))
        journal.keepSpaceNow()
        #expect(try sealed(bench, first.stream).count == 6, "nobody is importing: it was left behind")
        let lock = try DirectoryLock(imports.appending(ImportManifest.lockName), heldSentence: "")
        withExtendedLifetime(lock) { journal.keepSpaceNow() }
        #expect(try sealed(bench, first.stream) == SequenceRanges([0, 2, 4, 5]))
        #expect(removals(try bench.followed(journal)).map(\.kind) == ["released"])
        #expect(journal.failure == nil && journal.diskState.mayRecord)
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
        #expect(try journal.waiting(limit: 10).isEmpty)
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
