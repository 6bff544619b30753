import EdgePower
import FoundationEssentials
import RecordingModel
import Testing

@Suite("The planner and the signs of wear")
struct PlannerTests {
    static let site = PowerSite(latitudeDegrees: 40.5, longitudeDegrees: 0)
    static let panel = SolarPanel(watts: 60, tiltDegrees: 45)

    static func settings(_ change: (inout PowerSettings) -> Void = { _ in }) -> PowerSettings {
        PolicyRun.settings {
            $0.site = site
            $0.panel = panel
            change(&$0)
        }
    }

    /// Days of a panel that gives a share of the clear sky, as a true clock has it.
    static func days(_ count: Int, into run: inout PolicyRun, percent: Double, share: Double, _ change: (inout EnergyEstimate) -> Void = { _ in }) {
        for minute in 0..<(count * 1_440) {
            let clear = panel.clearSkyWatts(unixMilliseconds: PolicyRun.startUnix + run.boot, site: site)
            run.run(seconds: 60, step: 60) {
                $0.batteryPercent = percent
                $0.panelWatts = clear * share
                $0.batteryWatts = clear * share - 6 - Double(minute % 7) * 0.01
                $0.batteryVolts = 13 + Double(minute % 5) * 0.001
                $0.loadWatts = 6
                change(&$0)
            }
        }
    }

    @Test func `Dark days are learned: the same battery affords less after them, and the sentence says why`() throws {
        var bright = PolicyRun(Self.settings())
        Self.days(8, into: &bright, percent: 62, share: 0.95)
        var dark = PolicyRun(Self.settings())
        Self.days(8, into: &dark, percent: 62, share: 0.25)
        #expect(rank(bright.state ?? .halt) < rank(dark.state ?? .surplus))
        let reason = dark.policy.memory.reason
        #expect(reason.contains("62 % battery"), "\(reason)")
        let (good, bad) = (try #require(bright.decision?.report), try #require(dark.decision?.report))
        let goodRise = try #require(good.nextSunriseUnixMilliseconds)
        #expect(goodRise - (PolicyRun.startUnix + bright.boot) < 86_400_000 && SunPosition(unixMilliseconds: goodRise, site: Self.site).elevationDegrees > -0.9)
        #expect(try #require(good.forecastPercentAtSunrise) < 62 && bad.forecastPercentAtSunrise != nil)

        // What was learned survives a restart.
        let memory = try JSONDecoder().decode(PowerMemory.self, from: JSONEncoder().encode(dark.policy.memory))
        #expect(memory == dark.policy.memory)
        var again = PolicyRun(Self.settings(), resuming: memory)
        again.boot = dark.boot
        Self.days(1, into: &again, percent: 62, share: 0.25)
        #expect(again.state == dark.state)
    }

    @Test func `A plan is at most one state from where the battery stands, and never wakes a sleeping node`() {
        var run = PolicyRun(Self.settings())
        Self.days(4, into: &run, percent: 96, share: 0.02)
        #expect(rank(run.state ?? .halt) <= rank(.reduced))
        Self.days(1, into: &run, percent: 30, share: 1)
        #expect(rank(run.state ?? .surplus) >= rank(.reduced))
        Self.days(1, into: &run, percent: 11.5, share: 0)
        #expect(rank(run.state ?? .surplus) >= rank(.hibernate))
        let until = run.changes.last { $0.record.state == .hibernate }?.record.darkUntilUnixMilliseconds
        #expect(until != nil)
    }

    @Test func `A node that goes to sleep at night names a time after sunrise, and without a clock a fixed one`() throws {
        for uncertainty: Int64 in [1_000, 86_400_000] {
            var run = PolicyRun(Self.settings())
            run.uncertainty = uncertainty
            run.run(seconds: 600) { $0.batteryPercent = 20; $0.batteryWatts = -2 }
            run.run(seconds: 30) { $0.batteryPercent = 11; $0.batteryWatts = -2 }
            #expect(run.state == .hibernate)
            let now = PolicyRun.startUnix + run.boot
            let until = try #require(run.decision?.directives.sleepUntilUnixMilliseconds)
            let rise = try #require(SunTimes.nextRise(afterUnixMilliseconds: now, site: Self.site))
            if uncertainty == 1_000 { #expect(until >= rise + 3_500_000) } else { #expect(abs(until - now - 3 * 3_600_000) < 60_000) }
        }
    }

    private func alerts(_ run: PolicyRun) -> [String] { run.decision?.report.alerts.map(\.kind) ?? [] }

    @Test func `A panel that gives nothing or too little is a sign, one that has nothing to fill is not`() {
        var healthy = PolicyRun(Self.settings())
        Self.days(4, into: &healthy, percent: 60, share: 0.9)
        #expect(alerts(healthy).isEmpty)
        var weak = PolicyRun(Self.settings())
        Self.days(4, into: &weak, percent: 60, share: 0.1)
        #expect(alerts(weak) == ["panel-weak"])
        #expect(weak.decision?.report.alerts.first?.sentence.contains("20 % of a clear sky") == true)
        #expect(weak.decision?.report.alerts.first?.sinceUnixMilliseconds != nil)
        var stolen = PolicyRun(Self.settings())
        stolen.boot = 11 * 3_600_000
        stolen.run(seconds: 4_000, step: 20) { $0.batteryPercent = 60; $0.panelWatts = 0; $0.batteryWatts = -6 }
        #expect(alerts(stolen) == ["panel-weak"])
        var full = PolicyRun(Self.settings())
        full.boot = 11 * 3_600_000
        full.run(seconds: 4_000, step: 20) { $0.batteryPercent = 100; $0.panelWatts = 0; $0.batteryWatts = -6 }
        #expect(alerts(full).isEmpty)
    }

    @Test func `Cold, under-voltage, an aged battery and a clock against the sun are signs`() {
        var cold = PolicyRun(Self.settings { $0.noChargeBelowCelsius = 0 })
        cold.boot = 12 * 3_600_000
        cold.run(seconds: 60) { $0.batteryPercent = 60; $0.batteryWatts = -6; $0.batteryCelsius = -4; $0.isUnderVoltage = true }
        #expect(alerts(cold) == ["charge-blocked", "under-voltage"])
        cold.run(seconds: 60) { $0.batteryPercent = 60; $0.batteryWatts = -6; $0.batteryCelsius = 4 }
        #expect(alerts(cold).isEmpty)

        for (wattHours, isAged): (Double, Bool) in [(500, false), (250, true)] {
            var battery = PolicyRun(PolicyRun.settings())
            for _ in 0..<3 {
                battery.run(seconds: 600, step: 60) { $0.batteryPercent = 95; $0.batteryWatts = -0.001 }
                // 60 points of the battery in 20 hours.
                for percent in stride(from: 95.0, to: 35, by: -0.05) {
                    battery.run(seconds: 60, step: 60) { $0.batteryPercent = percent; $0.batteryWatts = -wattHours * 0.03 }
                }
            }
            #expect(alerts(battery) == (isAged ? ["battery-aged"] : []), "\(wattHours) Wh")
        }

        var clock = PolicyRun(Self.settings())
        clock.wallOffset = 3 * 3_600_000
        Self.days(4, into: &clock, percent: 60, share: 0.95)
        #expect(alerts(clock).contains("clock-and-sun"))
        let sentence = clock.decision?.report.alerts.first { $0.kind == "clock-and-sun" }?.sentence ?? ""
        #expect(sentence.contains("clock"), "\(sentence)")
    }
}
