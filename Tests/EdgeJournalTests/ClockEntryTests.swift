import EdgeJournal
import EvidenceLog
import JournalFixtures
import RecordingModel
import StorageIO
import Testing

@Suite("Clock entries in the journal")
struct ClockEntryTests {
    private func fix(_ boot: String, at milliseconds: Int64, _ unix: Int64, _ source: ClockSource = .gps) -> ClockRecord {
        ClockRecord(
            bootID: boot, bootMilliseconds: milliseconds, wall: WallEstimate(unixMilliseconds: unix, source: source, uncertaintyMilliseconds: 5), reason: .fix)
    }

    @Test func `A fix re-dates what its boot recorded before and after it, and nothing else`() throws {
        let bench = try JournalBench()
        let journal = try bench.open()
        defer { journal.close() }
        let first = try bench.record(journal, JournalBench.gate)
        try journal.flush()
        let offset: Int64 = 86_400_000
        let now = bench.clocks.now()
        try journal.record(fix(bench.clocks.bootID, at: now.bootMilliseconds, now.wall.unixMilliseconds + offset))
        let second = try bench.record(journal, JournalBench.gate)
        try journal.flush()
        let rows = try journal.segments(limit: 10)
        #expect(rows.map(\.startUnixMilliseconds) == [first, second].map { $0.startUnixMilliseconds + offset })
        #expect(rows.map(\.recordedStartUnixMilliseconds) == [first, second].map(\.startUnixMilliseconds))
        #expect(rows.allSatisfy { $0.isTimeCorrected })
        #expect(try journal.segments(fromUnixMilliseconds: first.startUnixMilliseconds + offset - 1, limit: 10).count == 2)
        #expect(try journal.segments(toUnixMilliseconds: second.endUnixMilliseconds, limit: 10).isEmpty)

        try journal.record(fix("another boot", at: 0, 5_000))
        #expect(try journal.segments(limit: 10) == rows)
        #expect(try journal.check(deep: true).findings == [])
        journal.close()
        #expect(try bench.reader.rebuildIndex().changedRows == 0)
        #expect(try bench.reader.segments(limit: 10) == rows, "a rebuilt index says the same")
    }

    @Test func `A worse clock does not correct a better one`() throws {
        let bench = try JournalBench()
        let journal = try bench.open()
        defer { journal.close() }
        let segment = try bench.record(journal, JournalBench.gate)
        try journal.record(fix(bench.clocks.bootID, at: 0, 5_000, .rtc))
        try journal.flush()
        #expect(try journal.segments(limit: 1).map(\.startUnixMilliseconds) == [segment.startUnixMilliseconds])
    }

    @Test func `The boots since a trusted clock are told in order, with that one before them`() throws {
        let bench = try JournalBench()
        for ordinal in 0..<3 {
            let journal = try bench.open()
            try bench.record(journal, JournalBench.gate)
            journal.close()
            bench.clocks.reboot(as: "boot-later-\(ordinal)", afterMilliseconds: 60_000)
        }
        let journal = try bench.open()
        defer { journal.close() }
        let boots = try journal.bootsSinceTrustedClock()
        // The clocks of this bench are always ntp's: the newest boot before this one is trusted, and ends the list.
        #expect(boots.map(\.bootID) == ["boot-later-1"])
        let boot = try #require(boots.first)
        #expect(boot.isTrusted)
        #expect(boot.lastBootMilliseconds > boot.firstBootMilliseconds)
        #expect(boot.lastWall.unixMilliseconds - boot.firstWall.unixMilliseconds == boot.lastBootMilliseconds - boot.firstBootMilliseconds)
        // A recorder that starts again within a boot knows what the one before recorded in it.
        try bench.record(journal, JournalBench.gate)
        journal.close()
        let again = try bench.open()
        defer { again.close() }
        #expect(try again.bootsSinceTrustedClock().map(\.bootID) == ["boot-later-1", bench.clocks.bootID])
    }
}
