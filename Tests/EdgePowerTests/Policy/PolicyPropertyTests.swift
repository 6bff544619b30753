import EdgePower
import RecordingModel
import Testing

@Suite("Properties of the power policy")
struct PolicyPropertyTests {
    private static func planned() -> PowerSettings {
        PolicyRun.settings {
            $0.site = PowerSite(latitudeDegrees: 40.5, longitudeDegrees: 0)
            $0.panel = SolarPanel(watts: 60, tiltDegrees: 45)
        }
    }

    /// A battery that is drawn from and charged at random, with sensors that fall silent.
    private struct Walk {
        var random: Seeded
        var percent: Double
        var watts = 0.0
        var silentSeconds = 0

        init(_ seed: UInt64) {
            random = Seeded(seed)
            percent = random.unit() * 100
        }

        mutating func next(boot: Int64, stepSeconds: Int) -> EnergyEstimate? {
            if random.unit() < 0.01 { watts = random.unit() * 80 - 40 }
            if random.unit() < 0.002 { percent = random.unit() * 100 }
            percent = max(2, min(100, percent + watts * Double(stepSeconds) / 3_600 / 512 * 100 * 20))
            if random.unit() < 0.001 { silentSeconds = Int(random.unit() * 1_800) }
            silentSeconds -= stepSeconds
            if silentSeconds > 0 { return nil }
            return EnergyEstimate(
                bootMilliseconds: boot, batteryPercent: percent, batteryConfidence: .high, batteryBasis: "shunt", batteryVolts: 11.6 + percent / 50 + random.unit() * 0.01,
                batteryWatts: watts, panelWatts: max(0, watts), isHarvestLimited: percent >= 100, isExternalPowerPresent: random.unit() < 0.0005)
        }
    }

    @Test(arguments: 1...12) func `No state changes faster than its dwell, and never by more than one state up`(seed: UInt64) {
        for settings in [PolicyRun.settings(), Self.planned()] {
            var run = PolicyRun(settings)
            var walk = Walk(seed)
            for _ in 0..<17_280 {
                run.decide(walk.next(boot: run.boot, stepSeconds: 5))
                run.boot += 5_000
            }
            #expect(run.changes.count > 10, "the walk is lively")
            for (before, after) in zip(run.changes, run.changes.dropFirst()) {
                let (from, to) = (before.record.state, after.record.state)
                #expect(after.record.from == from && from != to)
                if to == .hibernate || to == .halt || to == .blind { continue }
                #expect(after.at - before.at >= 300_000, "seed \(seed): \(from) to \(to) after \((after.at - before.at) / 1_000) s")
                if from != .blind { #expect(rank(from) - rank(to) <= 1, "seed \(seed): \(from) to \(to)") }
            }
        }
    }

    @Test(arguments: 1...12) func `Less energy never means a higher state`(seed: UInt64) {
        for settings in [PolicyRun.settings(), Self.planned()] {
            var run = PolicyRun(settings)
            var walk = Walk(seed)
            for step in 0..<2_880 {
                let estimate = walk.next(boot: run.boot, stepSeconds: 30)
                run.decide(estimate)
                run.boot += 30_000
                guard step % 60 == 59, let estimate, let percent = estimate.batteryPercent else { continue }
                var (rich, poor) = (run, run)
                let less = percent * walk.random.unit()
                for _ in 0..<60 {
                    for isPoor in [false, true] {
                        var value = estimate
                        value.bootMilliseconds = rich.boot
                        value.batteryVolts = nil
                        if isPoor { value.batteryPercent = less }
                        if isPoor { poor.decide(value) } else { rich.decide(value) }
                    }
                    if let high = rich.state, let low = poor.state, high != .blind, low != .blind {
                        #expect(rank(low) >= rank(high), "seed \(seed): \(less) % gives \(low), \(percent) % gives \(high)")
                    }
                    rich.boot += 30_000
                    poor.boot += 30_000
                }
            }
        }
    }
}
