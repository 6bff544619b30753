import EdgeJournal
import EvidenceLog
import JournalFixtures
import RecordingModel
import StorageIO
import SystemPackage
import Testing

@Suite("Small copies outlive their footage")
struct ReductionTests {
    private static let dayMilliseconds: Int64 = 86_400_000
    private static let proxy = StreamID("gate/proxy")

    private let bench: JournalBench
    init() throws { bench = try JournalBench() }

    /// A segment, and beside it a proxy that begins when it does.
    private func recordBoth(_ journal: Journal, _ disk: SmallDisk) throws -> SegmentRecord {
        let start = bench.clocks.now()
        let stream = try #require(Self.proxy)
        let main = try bench.record(journal, JournalBench.gate, through: disk)
        try journal.deliver(bench.write(stream, journal.nextSequence(for: stream), fragments: 1, through: disk, at: start))
        return main
    }

    private func evicted(_ journal: Journal) throws -> [RemovalRecord] {
        try bench.followed(journal).compactMap { if case .evicted(let record) = $0.body { record } else { nil } }
    }

    private func event(_ journal: Journal, in segment: SegmentRecord) throws {
        try journal.deliver(
            EventRecord(
                camera: segment.stream.camera, source: .webhook, bootID: segment.bootID, startBootMilliseconds: segment.startBootMilliseconds + 100,
                startWall: segment.startWall, durationMilliseconds: 500, score: 90, label: "door"))
    }

    private func free(_ bytes: Int64, _ disk: SmallDisk, _ journal: Journal) throws {
        disk.fill(0)
        disk.fill(try disk.space(bench.directory).availableBytes - bytes)
        journal.keepSpaceNow()
    }

    @Test func `A full disk gives up footage before its proxies, and proxies before footage with an event`() throws {
        let disk = SmallDisk(bench.directory, totalBytes: 1_000_000)
        let journal = try bench.open(disk, limits: StorageLimits(reserveBytes: 1_000, lowBytes: 2_000, highBytes: 2_050))
        defer { journal.close() }
        let first = try recordBoth(journal, disk)
        try event(journal, in: first)
        for _ in 0..<5 { try bench.record(journal, JournalBench.gate, through: disk) }
        try journal.flush()
        let without = SequenceRanges(closed: 1...5)
        var order: [String] = []
        for _ in 0..<8 {
            try free(2_900, disk, journal)
            order = try evicted(journal).flatMap { record in record.sequences.ranges.flatMap { $0.map { "\(record.stream.kind) \($0)" } } }
            if order.count == 7 { break }
        }
        #expect(order.prefix(5) == without.ranges.flatMap { $0.map { "main \($0)" } }.prefix(5))
        #expect(Set(order.suffix(2)) == ["main 0", "proxy 0"])
    }

    @Test func `Small things that have become a quarter of what waits go before new footage`() throws {
        let disk = SmallDisk(bench.directory, totalBytes: 1_000_000)
        let journal = try bench.open(disk, limits: StorageLimits(reserveBytes: 1_000, lowBytes: 2_000, highBytes: 2_050))
        defer { journal.close() }
        for _ in 0..<3 { _ = try recordBoth(journal, disk) }
        try journal.flush()
        try free(2_900, disk, journal)
        #expect(try evicted(journal).map(\.stream) == [Self.proxy], "a proxy here is a third of its footage and more")
    }

    @Test func `Footage is reduced to the camera's own small stream where that was recorded all the while, in segments of its own`() throws {
        let disk = SmallDisk(bench.directory, totalBytes: 1_000_000)
        let journal = try bench.open(disk, limits: StorageLimits(reserveBytes: 1_000, lowBytes: 10, highBytes: 20, reduceAfterDays: 2))
        defer { journal.close() }
        let now = bench.clocks.now()
        try journal.record(ClockRecord(bootID: bench.clocks.bootID, bootMilliseconds: now.bootMilliseconds, wall: now.wall, reason: .fix))
        let stream = try #require(Self.proxy)
        // Segments of 6 s; the small stream's of 10 s begin 2 s after the first.
        let start = bench.clocks.now()
        let mains = try (0..<5).map { _ in try bench.record(journal, JournalBench.gate, through: disk) }
        for number in 0..<2 as Range<Int64> {
            let boot = start.bootMilliseconds + 2_000 + number * 10_000
            let moment = Moment(bootNanoseconds: boot * 1_000_000, wall: start.wall(atBootMilliseconds: boot))
            try journal.deliver(bench.write(stream, journal.nextSequence(for: stream), fragments: 5, through: disk, at: moment))
        }
        try journal.flush()
        bench.clocks.advance(milliseconds: 2 * Self.dayMilliseconds + 60_000)
        journal.keepSpaceNow()
        // 0 to 2 s are in no small copy, and neither is what follows after 22 s.
        #expect(try evicted(journal).map(\.sequences) == [SequenceRanges(mains[1...2].map(\.sequence))])
        #expect(try journal.check(deep: true).findings == [])
    }

    @Test func `Old footage that the hub lacks goes where a smaller copy stays; pinned, with an event, without a copy or young it stays`() throws {
        let disk = SmallDisk(bench.directory, totalBytes: 1_000_000)
        let journal = try bench.open(disk, limits: StorageLimits(reserveBytes: 1_000, lowBytes: 10, highBytes: 20, reduceAfterDays: 2))
        defer { journal.close() }
        let now = bench.clocks.now()
        try journal.record(ClockRecord(bootID: bench.clocks.bootID, bootMilliseconds: now.bootMilliseconds, wall: now.wall, reason: .fix))
        let reduced = try recordBoth(journal, disk)
        let pinned = try recordBoth(journal, disk)
        let eventful = try recordBoth(journal, disk)
        try event(journal, in: eventful)
        let alone = try bench.record(journal, JournalBench.gate, through: disk)
        try bench.reader.setPins([Pin(stream: pinned.stream, sequences: SequenceRanges([pinned.sequence]), reason: "case 7", setUnixMilliseconds: 0)])
        bench.clocks.advance(milliseconds: Self.dayMilliseconds)
        let young = try recordBoth(journal, disk)
        try journal.flush()
        bench.clocks.advance(milliseconds: Self.dayMilliseconds + 60_000)
        journal.keepSpaceNow()
        let gone = try evicted(journal)
        #expect(gone.map(\.reason) == [.reduced])
        #expect(gone.first?.stream == JournalBench.gate)
        #expect(gone.first?.sequences == SequenceRanges([reduced.sequence]))
        #expect(try journal.holdings()[alone.stream] == SequenceRanges([pinned.sequence, eventful.sequence, alone.sequence, young.sequence]))
        #expect(try bench.followed(journal).compactMap(\.segment).contains { $0.id == reduced.id && $0.sha256 == reduced.sha256 }, "its entry and hash stay")
        #expect(try journal.check(deep: true).findings == [])
    }
}
