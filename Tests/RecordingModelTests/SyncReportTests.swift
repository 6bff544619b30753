import Foundation
import RecordingModel
import Testing

@Suite struct SyncReportTests {
    private static let now: Int64 = 1_795_300_000_000
    private static let hour: Int64 = 3_600_000

    /// A node that has been watched for a week, with contacts of the last days.
    private func inputs(source: ClockSource = .ntp) -> SyncReport.Inputs {
        var inputs = SyncReport.Inputs(now: WallEstimate(unixMilliseconds: Self.now, source: source, uncertaintyMilliseconds: 10))
        inputs.observedSinceUnixMilliseconds = Self.now - 30 * 86_400_000
        inputs.backlog = [.init(footageClass: .main, segments: 600, bytes: 1_000_000_000, durationMilliseconds: 36_000_000, oldestUnixMilliseconds: Self.now - 40 * Self.hour)]
        inputs.recorded = .init(bytes: 500_000_000, milliseconds: 86_400_000)
        return inputs
    }

    /// - Parameter hoursAgo: when it ended.
    private func contact(hoursAgo: Int64, hours: Int64, bytesPerSecond: Int64, busyShare: Double = 1) -> ContactRecord {
        let length = hours * Self.hour
        let busy = Int64(Double(length) * busyShare)
        return ContactRecord(
            startUnixMilliseconds: Self.now - hoursAgo * Self.hour - length, endUnixMilliseconds: Self.now - hoursAgo * Self.hour, connectedMilliseconds: length,
            busyMilliseconds: busy, acknowledgedBytes: busy / 1_000 * bytesPerSecond)
    }

    /// Four hours a day, every day of the week.
    private func daily(bytesPerSecond: Int64) -> [ContactRecord] { (0..<7).reversed().map { contact(hoursAgo: $0 * 24 + 2, hours: 4, bytesPerSecond: bytesPerSecond) } }

    @Test("A steady node: the range is one figure, and it is backlog over what the link carries beyond what is recorded")
    func steady() {
        var inputs = inputs()
        inputs.contacts = daily(bytesPerSecond: 100_000)
        let report = SyncReport(inputs)
        #expect(report.throughput == .init(lowBytesPerSecond: 100_000, medianBytesPerSecond: 100_000, highBytesPerSecond: 100_000, contacts: 7))
        #expect(report.contactSecondsLastDay == 14_400 && report.contactSecondsLast7Days == 7 * 14_400 && report.observedSeconds == 7 * 86_400)
        #expect(report.recordedBytesPerDay == 500_000_000)
        // 4 h at 100 kB/s are 1.44 GB a day; 0.94 GB of them work the backlog of 1 GB off.
        let estimate = report.estimate()
        #expect(estimate.kind == .range)
        #expect(abs((estimate.optimisticSeconds ?? 0) - 91_915) <= 1 && estimate.optimisticSeconds == estimate.pessimisticSeconds)
        #expect(estimate.words == "25.5 h")
        #expect(estimate.basis == "1.0 GB wait; the link carries 100.0 kB a second while in contact (7 contacts), 4.0 h of contact a day, 500.0 MB recorded a day")
    }

    @Test("Links and days that vary make a range, and its far end may be never")
    func range() {
        var inputs = inputs()
        inputs.contacts = (0..<7).reversed().map { contact(hoursAgo: $0 * 24 + 2, hours: 4, bytesPerSecond: 60_000 + 20_000 * (6 - $0)) }
        var estimate = SyncReport(inputs).estimate()
        #expect(estimate.kind == .range)
        #expect(estimate.pessimisticSeconds ?? 0 > estimate.optimisticSeconds ?? .max)
        inputs.recorded = .init(bytes: 2_000_000_000, milliseconds: 86_400_000)
        estimate = SyncReport(inputs).estimate()
        #expect(estimate.kind == .range && estimate.optimisticSeconds != nil && estimate.pessimisticSeconds == nil)
        #expect(estimate.words.hasSuffix(", or never at this rate"))
    }

    @Test("As much recorded as the link carries is never; a little less a day is not", arguments: [(1_440_000_000, SyncEstimate.Kind.never), (1_430_000_000, .range)] as [(Int64, SyncEstimate.Kind)])
    func never(recorded: Int64, kind: SyncEstimate.Kind) {
        var inputs = inputs()
        inputs.contacts = daily(bytesPerSecond: 100_000)
        inputs.recorded = .init(bytes: recorded, milliseconds: 86_400_000)
        #expect(SyncReport(inputs).estimate().kind == kind)
    }

    @Test("A node that is in contact all day and idle most of it is not 'never': only busy time counts as throughput")
    func idleLink() {
        var inputs = inputs()
        inputs.contacts = [contact(hoursAgo: 0, hours: 24, bytesPerSecond: 1_000_000, busyShare: 0.01)]
        inputs.recorded = .init(bytes: 864_000_000, milliseconds: 86_400_000)
        inputs.observedSinceUnixMilliseconds = Self.now - 24 * Self.hour
        inputs.backlog[0].bytes = 2_000_000
        let estimate = SyncReport(inputs).estimate()
        #expect(estimate.kind == .range && estimate.pessimisticSeconds ?? .max < 5, "\(estimate)")
    }

    @Test("Without any contact nothing is foretold, and contacts of a fortnight ago are none")
    func noContact() {
        var inputs = inputs()
        #expect(SyncReport(inputs).estimate().kind == .unknown)
        #expect(SyncReport(inputs).estimate().basis.contains("no contact has carried"))
        inputs.contacts = [contact(hoursAgo: 14 * 24, hours: 4, bytesPerSecond: 100_000)]
        let report = SyncReport(inputs)
        #expect(report.throughput == nil && report.contactSecondsLast7Days == 0 && report.estimate().kind == .unknown)
    }

    @Test("Nothing recorded: the estimate is backlog over link, and nothing is ever overwritten")
    func noRecording() {
        var inputs = inputs()
        inputs.contacts = daily(bytesPerSecond: 100_000)
        inputs.recorded = nil
        inputs.disk = .init(availableBytes: 5_000_000_000, lowMarkBytes: 1_000_000_000, releasableBytes: 0)
        let report = SyncReport(inputs)
        #expect(report.recordedBytesPerDay == nil && report.secondsUntilOverwrite() == nil)
        #expect(report.estimate().optimisticSeconds == 60_000)
        inputs.backlog = []
        #expect(SyncReport(inputs).estimate().kind == .nothingWaits)
    }

    @Test("Until footage is overwritten: free space above the mark and what may be released, at the rate of recording")
    func overwriting() {
        var inputs = inputs()
        inputs.disk = .init(availableBytes: 1_500_000_000, lowMarkBytes: 1_000_000_000, releasableBytes: 500_000_000)
        let report = SyncReport(inputs)
        #expect(report.secondsUntilOverwrite() == 172_800)
        #expect(report.secondsUntilOverwrite(darkSeconds: 86_400) == 86_400)
        #expect(report.secondsUntilOverwrite(darkSeconds: 30 * 86_400) == 0)
        inputs.disk = .init(availableBytes: 900_000_000, lowMarkBytes: 1_000_000_000, releasableBytes: 0)
        #expect(SyncReport(inputs).secondsUntilOverwrite() == 0)
    }

    @Test("A node that went dark is said to have more to send with every hour")
    func ageing() {
        var inputs = inputs()
        inputs.contacts = daily(bytesPerSecond: 100_000)
        let report = SyncReport(inputs)
        let (fresh, aged) = (report.estimate(), report.estimate(darkSeconds: 2 * 86_400))
        #expect((aged.optimisticSeconds ?? 0) == (fresh.optimisticSeconds ?? 0) * 2 || abs((aged.optimisticSeconds ?? 0) - 2 * (fresh.optimisticSeconds ?? 0)) <= 1)
        #expect(aged.basis.hasPrefix("2.0 GB wait"))
        inputs.backlog = []
        #expect(SyncReport(inputs).estimate(darkSeconds: 3_600).kind == .range)
    }

    @Test("A young node's contact time is judged by the time that it was watched")
    func young() {
        var inputs = inputs()
        inputs.observedSinceUnixMilliseconds = Self.now - 2 * Self.hour
        inputs.contacts = [contact(hoursAgo: 0, hours: 1, bytesPerSecond: 100_000)]
        let report = SyncReport(inputs)
        let (worse, better) = report.contactSecondsPerDay
        #expect(worse == 43_200 && better == 43_200)
        inputs.recorded = .init(bytes: 1_000_000, milliseconds: 59_999)
        #expect(SyncReport(inputs).recordedBytesPerDay == nil)
    }

    @Test("With an unset clock durations still count, earlier boots do not, and the basis says so")
    func unsetClock() {
        var inputs = SyncReport.Inputs(now: WallEstimate(unixMilliseconds: 10 * Self.hour, source: .none, uncertaintyMilliseconds: WallEstimate.unsetUncertaintyMilliseconds))
        inputs.observedSinceUnixMilliseconds = 0
        inputs.backlog = self.inputs().backlog
        inputs.contacts = [
            // Of an earlier boot, whose clock was right.
            contact(hoursAgo: 5, hours: 1, bytesPerSecond: 1),
            ContactRecord(startUnixMilliseconds: 5 * Self.hour, endUnixMilliseconds: 6 * Self.hour, connectedMilliseconds: Self.hour, busyMilliseconds: Self.hour, acknowledgedBytes: 360_000_000),
        ]
        let report = SyncReport(inputs)
        #expect(!report.isClockSet && report.throughput?.contacts == 1 && report.throughput?.medianBytesPerSecond == 100_000 && report.contactSecondsLastDay == 3_600)
        #expect(report.estimate().basis.hasSuffix("the node's clock is not set"))
    }

    @Test("Figures that cannot be are refused, and any hostile ones are computed with and do not trap")
    func hostile() throws {
        var inputs = inputs()
        inputs.contacts = daily(bytesPerSecond: 100_000)
        let good = SyncReport(inputs)
        #expect(good.isPlausible)
        var bad = good
        bad.backlog[0].bytes = -1
        #expect(!bad.isPlausible)
        bad = good
        bad.recordedBytesPerDay = .max
        #expect(!bad.isPlausible)
        bad = good
        bad.contactSecondsLastDay = Plausibility.magnitudeMax
        bad.recordedBytesPerDay = Plausibility.magnitudeMax
        bad.bytesUntilOverwrite = Plausibility.magnitudeMax
        bad.backlog[0].bytes = Plausibility.magnitudeMax
        bad.throughput?.highBytesPerSecond = Plausibility.magnitudeMax
        #expect(bad.isPlausible)
        _ = bad.estimate(darkSeconds: Plausibility.magnitudeMax)
        _ = bad.secondsUntilOverwrite(darkSeconds: Plausibility.magnitudeMax)
        bad.recordedBytesPerDay = 1
        bad.throughput?.lowBytesPerSecond = 0
        _ = bad.estimate()
        #expect(try JSONDecoder().decode(SyncReport.self, from: JSONEncoder().encode(good)) == good)
    }

    @Test("A node's status of the version before, without a report, still decodes")
    func olderStatus() throws {
        let text = #"{"software":"a","bootID":"b","uptimeMilliseconds":1,"clock":{"unixMilliseconds":1,"source":"ntp","uncertaintyMilliseconds":1},"cameras":[]}"#
        #expect(try JSONDecoder().decode(NodeStatus.self, from: Data(text.utf8)).sync == nil)
    }

    @Test("Amounts read as people write them", arguments: [(999, "999 B"), (1_000, "1.0 kB"), (38_249_000, "38.2 MB"), (999_960_000, "1.0 GB"), (2_000_000_000_000_000_000, "2000.0 PB")] as [(Int64, String)])
    func amounts(bytes: Int64, words: String) { #expect(AmountText.bytes(bytes) == words) }
}
