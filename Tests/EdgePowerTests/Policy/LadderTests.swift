import EdgePower
import RecordingModel
import Testing

@Suite("The ladder of power states")
struct LadderTests {
    @Test func `The defaults are sound, and what is not sound is named`() {
        #expect(PowerSettings().problems.isEmpty)
        let wrong = PolicyRun.settings {
            $0.reduced = .init(enterPercent: 55, leavePercent: 60)
            $0.dwellSeconds = 100
            $0.site = PowerSite(latitudeDegrees: 100, longitudeDegrees: 0)
            $0.dawnSeconds = 0
        }
        #expect(wrong.problems.count == 4 && wrong.problems.allSatisfy { $0.count > 20 }, "\(wrong.problems)")
    }

    @Test func `A battery that empties goes down the ladder a state at a time, and up with hysteresis`() {
        var run = PolicyRun()
        for percent in stride(from: 90.0, through: 14, by: -1) {
            run.run(seconds: 1_200, step: 5) { $0.batteryPercent = percent; $0.batteryWatts = -6 }
        }
        #expect(run.changes.map(\.record.state) == [.full, .reduced, .sparse])
        run.run(seconds: 60) { $0.batteryPercent = 12; $0.batteryWatts = -2 }
        #expect(run.state == .hibernate)
        for percent in stride(from: 12.0, through: 99, by: 1) {
            run.run(seconds: 1_200, step: 5) { $0.batteryPercent = percent; $0.batteryWatts = 30 }
        }
        #expect(run.changes.dropFirst(4).map(\.record.state) == [.sparse, .reduced, .full, .surplus])
        let percents = run.changes.compactMap(\.record.estimate?.batteryPercent)
        #expect(percents == [90, 55, 35, 12, 25, 45, 70, 93])
        #expect(run.changes[1].record.reason == "Reduced: 55 % battery")
    }

    @Test func `A fall from full to empty takes one state each dwell, and hibernation at once`() {
        var run = PolicyRun()
        run.run(seconds: 600) { $0.batteryPercent = 80; $0.batteryWatts = -6 }
        let fell = run.boot
        run.run(seconds: 700) { $0.batteryPercent = 20; $0.batteryWatts = -6 }
        #expect(run.changes.map(\.record.state) == [.full, .reduced, .sparse])
        #expect(run.changes[1].at - fell == 12_000, "a reading is confirmed for 12 s")
        #expect(run.changes[2].at - run.changes[1].at == 300_000)
        let empty = run.boot
        run.run(seconds: 30) { $0.batteryPercent = 11.5; $0.batteryWatts = -6; $0.secondsToEmpty = 800 }
        #expect(run.state == .hibernate && run.changes[3].at - empty == 12_000)
        #expect(run.changes[3].record.darkUntilUnixMilliseconds == run.decision?.directives.sleepUntilUnixMilliseconds)
        #expect(run.decision?.directives.sleepUntilUnixMilliseconds != nil && run.decision?.directives.mustHalt == false)
    }

    @Test func `One reading out of line changes nothing`() {
        var run = PolicyRun()
        run.run(seconds: 600) { $0.batteryPercent = 80; $0.batteryWatts = -6 }
        for _ in 0..<50 {
            run.run(seconds: 11) { $0.batteryPercent = 5; $0.batteryVolts = 11.9; $0.batteryWatts = -6; $0.isBatteryLow = true }
            run.run(seconds: 1) { $0.batteryPercent = 80; $0.batteryWatts = -6 }
        }
        #expect(run.changes.count == 1 && run.state == .full)
    }

    @Test func `Time to the cut-off and volts count as much as the percentage`() {
        var time = PolicyRun()
        time.run(seconds: 400) { $0.batteryPercent = 60; $0.batteryWatts = -6 }
        time.run(seconds: 20) { $0.batteryPercent = 60; $0.batteryWatts = -6; $0.secondsToEmpty = 890 }
        #expect(time.state == .hibernate && time.changes.last?.record.reason == "Hibernating: 14 minutes to the controller's cut-off")
        time.run(seconds: 20) { $0.batteryPercent = 60; $0.batteryVolts = 12.1; $0.batteryWatts = -6 }
        #expect(time.state == .halt && time.decision?.directives.mustHalt == true)
        var volts = PolicyRun()
        volts.run(seconds: 400) { $0.batteryPercent = 60; $0.batteryVolts = 13; $0.batteryWatts = -6 }
        volts.run(seconds: 20) { $0.batteryPercent = 60; $0.batteryVolts = 12.29; $0.batteryWatts = -6 }
        #expect(volts.state == .hibernate)
        #expect(volts.changes.last?.record.reason == "Hibernating: the battery is at 12.3 V, the controller cuts off at 12.0 V")
        var low = PolicyRun()
        low.run(seconds: 400) { $0.batteryPercent = 60; $0.batteryWatts = -6 }
        low.run(seconds: 20) { $0.batteryPercent = 60; $0.batteryWatts = -6; $0.isBatteryLow = true }
        #expect(low.state == .halt)
    }

    @Test func `A node wakes only when charge has flowed for ten minutes, and not twice for one cloud`() throws {
        var asleep = PolicyRun()
        asleep.run(seconds: 400) { $0.batteryPercent = 15; $0.batteryWatts = -2 }
        asleep.run(seconds: 30) { $0.batteryPercent = 11; $0.batteryWatts = -2 }
        #expect(asleep.state == .hibernate)
        let memory = asleep.policy.memory
        #expect(memory.state == .hibernate && memory.darkUntilUnixMilliseconds != nil)

        var run = PolicyRun(resuming: memory)
        run.boot = 4 * 3_600_000
        run.policy = PowerPolicy(PolicyRun.settings(), startingAt: PolicyRun.moment(run.boot), resuming: memory)
        run.run(seconds: 590) { $0.batteryPercent = 40; $0.batteryWatts = 5 }
        #expect(run.state == .hibernate && run.decision?.directives.sleepUntilUnixMilliseconds == nil, "it stays awake while it looks")
        run.run(seconds: 10) { $0.batteryPercent = 40; $0.batteryWatts = -1 }
        run.run(seconds: 590) { $0.batteryPercent = 40; $0.batteryWatts = 5 }
        #expect(run.state == .hibernate, "the charge was interrupted")
        run.run(seconds: 40) { $0.batteryPercent = 40; $0.batteryWatts = 5 }
        #expect(run.state == .sparse && run.changes.count == 1)
    }

    @Test func `A woken node that does not charge sleeps again, and says until when`() throws {
        var run = PolicyRun(resuming: PowerMemory(state: .halt, sinceUnixMilliseconds: PolicyRun.startUnix - 7_200_000, reason: ""))
        run.run(seconds: 60) { $0.batteryPercent = 40; $0.batteryWatts = -3 }
        #expect(run.state == .hibernate && run.decision?.directives.sleepUntilUnixMilliseconds == nil)
        run.run(seconds: 30) { $0.batteryPercent = 40; $0.batteryWatts = -3 }
        let until = try #require(run.decision?.directives.sleepUntilUnixMilliseconds)
        #expect(abs(until - (PolicyRun.startUnix + run.boot + 3 * 3_600_000)) < 60_000)
        #expect(run.decision?.report.darkUntilUnixMilliseconds == until)
    }

    @Test func `Without readings a node is blind after a minute, holds, and takes one step down after ten more`() {
        var run = PolicyRun()
        run.run(seconds: 600) { $0.batteryPercent = 80; $0.batteryWatts = -6 }
        run.silence(seconds: 59)
        #expect(run.state == .full)
        run.silence(seconds: 5)
        #expect(run.state == .blind && run.decision?.directives.otherCameras == .full && run.decision?.directives.heartbeatSeconds == 300)
        #expect(run.decision?.report.alerts.map(\.kind) == ["no-readings"])
        #expect(run.changes.last?.record.reason.hasPrefix("Blind: no valid reading for 61 s, the battery was last known at 80 %") == true)
        run.silence(seconds: 601)
        #expect(run.state == .blind && run.decision?.directives.otherCameras == .keyFrames)
        run.silence(seconds: 86_400, step: 60)
        #expect(run.decision?.directives.otherCameras == .keyFrames, "one step, and no more")
        run.run(seconds: 11) { $0.batteryPercent = 80; $0.batteryWatts = -6 }
        #expect(run.state == .blind)
        run.run(seconds: 5) { $0.batteryPercent = 80; $0.batteryWatts = -6 }
        #expect(run.state != .blind && run.decision?.report.alerts.isEmpty == true)
    }

    @Test func `A blind node that was low is sparse at once, and one that sleeps tries again after a day`() {
        var low = PolicyRun()
        low.run(seconds: 600) { $0.batteryPercent = 30; $0.batteryWatts = -2 }
        let before = low.decision?.directives.priorityCameras
        low.silence(seconds: 70)
        #expect(low.state == .blind && low.decision?.directives.otherCameras == .off && before == .sparse(recordSeconds: 60, everySeconds: 600))
        var asleep = PolicyRun(resuming: PowerMemory(state: .hibernate, sinceUnixMilliseconds: PolicyRun.startUnix, reason: "", lastPercent: 11))
        asleep.silence(seconds: 3_600, step: 10)
        #expect(asleep.decision?.directives.priorityCameras == .off)
        asleep.silence(seconds: 86_400, step: 60)
        #expect(asleep.decision?.directives.priorityCameras == .sparse(recordSeconds: 60, everySeconds: 600))
    }

    @Test func `A stale estimate and a sensor that hangs are no readings`() {
        var stale = PolicyRun()
        stale.run(seconds: 400) { $0.batteryPercent = 80; $0.batteryWatts = -6 }
        stale.run(seconds: 120) { $0.batteryPercent = 80; $0.bootMilliseconds = 400_000 }
        #expect(stale.state == .blind)
        var frozen = PolicyRun()
        frozen.run(seconds: 3_500, step: 10) { $0.batteryPercent = 80; $0.batteryVolts = 13.2; $0.batteryWatts = -6 }
        #expect(frozen.state == .full)
        frozen.run(seconds: 300, step: 10) { $0.batteryPercent = 80; $0.batteryVolts = 13.2; $0.batteryWatts = -6 }
        #expect(frozen.state == .blind)
    }

    @Test func `Outside power lifts every restriction`() {
        var run = PolicyRun()
        run.run(seconds: 400) { $0.batteryPercent = 11; $0.batteryWatts = -2; $0.isBatteryLow = true }
        #expect(rank(run.state ?? .full) >= 4)
        run.run(seconds: 3_000) { $0.batteryPercent = 11; $0.isExternalPowerPresent = true; $0.isBatteryLow = true }
        #expect(run.state == .full && run.decision?.directives.reason == "Full: outside power is there")
    }

    @Test func `A percentage of low confidence must rise further before it is believed`() {
        for (confidence, expected): (PowerConfidence, PowerState) in [(.high, .full), (.low, .reduced)] {
            var run = PolicyRun()
            run.run(seconds: 400) { $0.batteryPercent = 60; $0.batteryWatts = 1; $0.batteryConfidence = confidence }
            run.run(seconds: 400) { $0.batteryPercent = 72; $0.batteryWatts = 1; $0.batteryConfidence = confidence }
            #expect(run.state == expected)
        }
    }
}
