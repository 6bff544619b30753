import EdgeJournal
import EvidenceLog
import FoundationEssentials
import JournalFixtures
import RecordingModel
import StorageIO
import SystemPackage
import Testing

@Suite("What capture left, and the time until it records again")
struct StartTests {
    let bench: JournalBench
    let real = RealStorage()
    init() throws { bench = try JournalBench() }

    /// What `SegmentWriter` does with a file in its way.
    private func putAside(_ stream: StreamID, _ sequence: UInt64, at milliseconds: Int64, dataOnly: Bool = false) throws {
        for name in [SegmentFiles.openName(sequence), SegmentFiles.sideName(sequence)].prefix(dataOnly ? 1 : 2) {
            try real.rename(bench.path(stream, name), to: bench.path(stream, "\(name).aside-\(milliseconds)"))
        }
    }

    @Test("adopts files that were put aside, after the open ones, and accounts for the time between", arguments: [false, true])
    func asides(dataOnly: Bool) throws {
        let gate = try #require(JournalBench.gate)
        var journal = try bench.open()
        try bench.record(journal, gate)
        journal.close()
        bench.clocks.advance(milliseconds: 400)
        let first = try bench.write(gate, 1)
        bench.clocks.advance(milliseconds: 7_000)
        try putAside(gate, 1, at: 500, dataOnly: dataOnly)
        // Where a cut undid the second rename, no successor was made either.
        let later = dataOnly ? [] : [try bench.write(gate, 1), try bench.write(gate, 2, fragments: 2)]
        bench.clocks.advance(milliseconds: 20_000)
        #expect(try bench.reader.check(deep: false).findings.contains(.openFile(path: bench.path(gate, "0000000001.open.mp4.aside-500").string)))
        journal = try bench.open()
        defer { journal.close() }
        let entries = try bench.followed(journal)
        let segments = entries.compactMap(\.segment)
        #expect(segments.map(\.sequence) == Array(0..<UInt64(2 + later.count)))
        #expect(segments.dropFirst().map(\.sha256) == later.map(\.record.sha256) + [first.record.sha256])
        #expect(entries.compactMap(\.recovered).filter(\.sealed).count == 1 + later.count)
        #expect(try journal.check(deep: true).findings == [])
        #expect(try real.list(bench.path(gate, "")).count == 2 * segments.count)
        if dataOnly { expectTiled(entries, "aside") }
    }

    @Test("adopts an open file whose number is in use, and keeps the side file of the sealed one")
    func numberInUse() throws {
        let gate = try #require(JournalBench.gate)
        var journal = try bench.open()
        let stale = try bench.write(gate, 0, fragments: 2)
        try putAside(gate, 0, at: 3)
        bench.clocks.advance(milliseconds: 5_000)
        for _ in 0..<2 { try bench.record(journal, gate) }
        journal.close()
        let content = try real.read(bench.path(gate, SegmentFiles.openName(0) + ".aside-3"))
        try real.replace(bench.path(gate, SegmentFiles.openName(0)), with: content)
        let open = try bench.write(gate, 2)
        journal = try bench.open()
        defer { journal.close() }
        let segments = try bench.followed(journal).compactMap(\.segment)
        #expect(segments.map(\.sequence) == [0, 1, 2, 3, 4])
        #expect(segments.map(\.sha256).suffix(3) == [open.record.sha256, stale.record.sha256, stale.record.sha256])
        #expect(try journal.check(deep: true).findings == [])
    }

    @Test("leaves no time unsaid when the disk is slow at the start", arguments: [false, true])
    func slowStart(reboots: Bool) throws {
        var journal = try bench.open()
        for stream in [JournalBench.gate, JournalBench.gate, JournalBench.yard] { try bench.record(journal, stream) }
        journal.close()
        if reboots { bench.clocks.reboot(as: "boot-2", afterMilliseconds: 9_000) } else { bench.clocks.advance(milliseconds: 9_000) }
        let clocks = bench.clocks
        journal = try bench.open(FlakyStorage(onSync: { clocks.advance(milliseconds: 2_500) }))
        defer { journal.close() }
        clocks.advance(milliseconds: 750)
        var camera = try TestCamera(JournalBench.gate, startingOn: clocks)
        for _ in 0..<3 {
            let (closed, _) = try camera.begin(journal, bench)
            clocks.advance(milliseconds: 6_000)
            try journal.deliver(closed)
            try journal.flush()
        }
        let entries = try bench.followed(journal).filter { $0.segment?.stream == JournalBench.gate || $0.gap?.stream == JournalBench.gate }
        expectTiled(entries, "slow start")
        let starting = entries.compactMap(\.gap).filter { $0.cause == .starting }
        #expect(starting.count == 1 && (starting.first?.durationMilliseconds ?? 0) > 2_500)
        let down = entries.compactMap(\.gap).filter { $0.cause == .stopped }
        #expect(down.count == 1 && (down.first?.durationMilliseconds ?? 0) > 9_000 + 4 * 2_500)
    }

    @Test("says no time twice when capture's first gap begins before the start had ended")
    func overlappingStart() throws {
        var journal = try bench.open()
        try bench.record(journal, JournalBench.gate)
        journal.close()
        let early = bench.clocks.now()
        bench.clocks.advance(milliseconds: 3_000)
        journal = try bench.open()
        defer { journal.close() }
        bench.clocks.advance(milliseconds: 1_000)
        try journal.deliver(GapRecord(
            stream: try #require(JournalBench.gate), bootID: bench.clocks.bootID, startBootMilliseconds: early.bootMilliseconds, startWall: early.wall,
            durationMilliseconds: 4_000, cause: .starting, detail: "waiting"))
        try bench.record(journal, JournalBench.gate)
        try journal.flush()
        expectTiled(try bench.followed(journal), "overlap")
    }

    @Test("a damaged duration in a side file ends what is proven", arguments: [Int64.max, Int64.max / 2, 8_100_000_000, -1] as [Int64])
    func damagedDuration(ticks: Int64) throws {
        try bench.open().close()
        let gate = try #require(JournalBench.gate)
        let closed = try bench.write(gate, 0, fragments: 3)
        var side = try real.read(FilePath(closed.sidePath))
        for record in [1, 2] {
            let field = side.count - (3 - record) * FragmentRecord.recordBytes + 48
            for byte in 0..<8 { side[field + byte] = UInt8(truncatingIfNeeded: ticks >> Int64(8 * (7 - byte))) }
        }
        try real.replace(FilePath(closed.sidePath), with: side)
        let journal = try bench.open()
        defer { journal.close() }
        #expect(try bench.followed(journal).compactMap(\.segment).map(\.fragmentCount) == [1])
        #expect(try journal.check(deep: true).findings == [])
    }

    @Test("writes no entry with a number that cannot be")
    func implausible() throws {
        let gate = try #require(JournalBench.gate)
        let journal = try bench.open()
        defer { journal.close() }
        var gap = try bench.gap(gate, milliseconds: 10)
        gap.durationMilliseconds = -5
        gap.startWall.unixMilliseconds = -1
        gap.detail = String(repeating: "ä", count: 4_000)
        try journal.deliver(gap)
        var closed = try bench.write(gate, 0)
        closed.record.endBootMilliseconds = closed.record.startBootMilliseconds - 1
        #expect(throws: JournalError.implausible(closed.record.id)) { try journal.deliver(closed) }
        try journal.flush()
        #expect(try bench.followed(journal).compactMap(\.gap).map(\.durationMilliseconds) == [0])
        #expect(journal.logSize == 4 && journal.failure == nil)
    }
}
