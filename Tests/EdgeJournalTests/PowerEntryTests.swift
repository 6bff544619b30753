import EdgeJournal
import EvidenceLog
import JournalFixtures
import RecordingModel
import Testing

@Suite("Changes of the power state in the journal")
struct PowerEntryTests {
    private func change(_ from: PowerState?, _ state: PowerState, _ reason: String, percent: Double? = 31) -> PowerRecord {
        PowerRecord(
            from: from, state: state, reason: reason,
            estimate: EnergyEstimate(bootMilliseconds: 1, batteryPercent: percent, batteryConfidence: .high, batteryBasis: "shunt", batteryVolts: 12.6), darkUntilUnixMilliseconds: nil)
    }

    @Test("A change is an entry of the log with its readings, durable at once, listed in words, and the same after the index was made anew")
    func recorded() throws {
        let bench = try JournalBench()
        let journal = try bench.open()
        try journal.record(change(nil, .full, "Full: 72 % battery"))
        bench.clocks.advance(milliseconds: 60_000)
        try bench.record(journal, JournalBench.gate)
        try journal.record(change(.full, .reduced, "Reduced: 54 % battery"))
        let told = try bench.followed(journal).compactMap { if case .power(let record) = $0.body { record } else { nil } }
        #expect(told == [change(nil, .full, "Full: 72 % battery"), change(.full, .reduced, "Reduced: 54 % battery")])
        #expect(throws: JournalError.implausiblePower) { try journal.record(change(.full, .sparse, "x", percent: .infinity)) }
        #expect(throws: JournalError.implausiblePower) { try journal.record(change(.full, .sparse, String(repeating: "x", count: 2_000))) }
        let rows = try bench.reader.powerChanges(limit: 10)
        #expect(rows.rows.map(\.state) == [.full, .reduced] && rows.rows.map(\.reason) == ["Full: 72 % battery", "Reduced: 54 % battery"] && !rows.isCut)
        #expect(rows.rows[1].unixMilliseconds - rows.rows[0].unixMilliseconds >= 60_000)
        let newest = try bench.reader.powerChanges(limit: 1)
        #expect(newest.rows.map(\.state) == [.reduced] && newest.isCut)
        #expect(try bench.reader.powerChanges(toUnixMilliseconds: rows.rows[1].unixMilliseconds, limit: 10).rows.map(\.state) == [.full])
        #expect(try journal.check(deep: true).isClean)
        journal.close()
        #expect(try bench.reader.check(deep: true).isClean)
    }

    @Test("A clock that is known later moves a change with everything else of its boot")
    func redated() throws {
        let bench = try JournalBench()
        let journal = try bench.open()
        try journal.record(change(nil, .full, "Full"))
        let before = try #require(try bench.reader.powerChanges(limit: 1).rows.first)
        var wall = bench.clocks.now().wall
        wall.unixMilliseconds += 7_200_000
        (wall.source, wall.uncertaintyMilliseconds) = (.ntp, 10)
        try journal.record(ClockRecord(bootID: bench.clocks.bootID, bootMilliseconds: bench.clocks.now().bootMilliseconds, wall: wall, reason: .fix))
        let after = try #require(try bench.reader.powerChanges(limit: 1).rows.first)
        #expect(after.recordedUnixMilliseconds == before.unixMilliseconds)
        #expect(after.unixMilliseconds == before.unixMilliseconds || after.isTimeCorrected)
        #expect(try journal.check(deep: true).isClean)
        journal.close()
    }
}
