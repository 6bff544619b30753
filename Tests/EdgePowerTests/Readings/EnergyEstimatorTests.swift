@testable import EdgePower
import RecordingModel
import Testing

@Suite("What readings say together")
struct EnergyEstimatorTests {
    private let lifepo4 = BatterySettings(chemistry: .lifepo4, capacityWattHours: 512)
    private let leadAcid = BatterySettings(chemistry: .leadAcid, capacityWattHours: 600)

    private func reading(_ quantity: PowerQuantity, _ value: Double, at seconds: Double = 0, from source: String = "a", _ confidence: PowerConfidence = .high) -> PowerReading {
        PowerReading(quantity, value, bootMilliseconds: Int64(seconds * 1_000), source: source, confidence: confidence)
    }

    /// One reading of current and voltage every ten seconds.
    private func run(_ estimator: inout EnergyEstimator, from start: Double, hours: Double, amperes: Double, volts: Double?) -> Double {
        var seconds = start
        while seconds <= start + hours * 3_600 {
            estimator.take([reading(.batteryAmperes, amperes, at: seconds, .medium)] + (volts.map { [reading(.batteryVolts, $0, at: seconds)] } ?? []))
            seconds += 10
        }
        return seconds - 10
    }

    @Test func `Sixty seconds of silence are no estimate, and never the last value`() {
        var estimator = EnergyEstimator(battery: lifepo4)
        #expect(estimator.estimate(atBootMilliseconds: 0) == nil)
        estimator.take([reading(.batteryPercent, 80)])
        #expect(estimator.estimate(atBootMilliseconds: 60_000)?.batteryPercent == 80)
        #expect(estimator.estimate(atBootMilliseconds: 60_001) == nil)
        // Another source that goes on speaking does not keep it alive.
        estimator.take([reading(.panelWatts, 10, at: 61, from: "b")])
        let estimate = estimator.estimate(atBootMilliseconds: 61_000)
        #expect(estimate?.panelWatts == 10 && estimate?.batteryPercent == nil && estimate?.bootMilliseconds == 61_000)
    }

    @Test func `A shunt is trusted before a gauge, before counted energy, before voltage`() {
        var estimator = EnergyEstimator(battery: leadAcid)
        estimator.take([reading(.batteryVolts, 12.2), reading(.batteryAmperes, -2)])
        #expect(estimator.estimate(atBootMilliseconds: 0)?.batteryBasis == "counted", "begun from the voltage")
        var onlyVolts = EnergyEstimator(battery: leadAcid)
        onlyVolts.take([reading(.batteryVolts, 12.2)])
        let voltage = onlyVolts.estimate(atBootMilliseconds: 0)
        #expect(voltage?.batteryBasis == "voltage" && abs((voltage?.batteryPercent ?? 0) - 60) < 0.001 && voltage?.batteryConfidence == .low)
        estimator.take([reading(.batteryPercent, 55, from: "gauge", .medium)])
        #expect(estimator.estimate(atBootMilliseconds: 0)?.batteryBasis == "gauge")
        estimator.take([reading(.batteryPercent, 50, from: "shunt", .high), reading(.batteryPercent, 100, from: "epever", .low)])
        let estimate = estimator.estimate(atBootMilliseconds: 0)
        #expect(estimate?.batteryBasis == "shunt" && estimate?.batteryPercent == 50 && estimate?.batteryConfidence == .high)
    }

    @Test func `Counted energy follows the current within its drift, and goes on where the shunt fell silent`() throws {
        var estimator = EnergyEstimator(battery: lifepo4)
        estimator.take([reading(.batteryPercent, 80, from: "shunt")])
        // 512 Wh; 2 A at 12.8 V for 5 h are 128 Wh, a quarter.
        let end = run(&estimator, from: 0, hours: 5, amperes: -2, volts: 12.8)
        let estimate = try #require(estimator.estimate(atBootMilliseconds: Int64(end * 1_000)))
        #expect(estimate.batteryBasis == "counted" && estimate.batteryConfidence == .medium)
        #expect(abs((estimate.batteryPercent ?? 0) - 55) < 0.5)
        let count = try #require(estimator.counted)
        #expect(count.driftPoints > 2 && count.driftPoints < 6)
        // 55 % of 512 Wh at 25.6 W.
        #expect(abs((estimate.secondsToEmpty ?? 0) - 0.55 * 512 / 25.6 * 3_600) < 400)
    }

    @Test func `A count that nobody could check for long says nothing, and full charge anchors it again`() throws {
        var estimator = EnergyEstimator(battery: lifepo4)
        estimator.take([reading(.batteryPercent, 80, from: "shunt"), reading(.batteryAmperes, -1), reading(.batteryVolts, 13)])
        // Nine hours unseen: 5 points each.
        estimator.take([reading(.batteryAmperes, -1, at: 9 * 3_600), reading(.batteryVolts, 13, at: 9 * 3_600)])
        #expect(estimator.counted == nil)
        #expect(estimator.estimate(atBootMilliseconds: 9 * 3_600_000)?.batteryPercent == nil)
        let end = run(&estimator, from: 10 * 3_600, hours: 0.1, amperes: 0.5, volts: 14.2)
        let estimate = try #require(estimator.estimate(atBootMilliseconds: Int64(end * 1_000)))
        #expect(estimate.batteryPercent == 100 && estimate.batteryBasis == "counted" && estimate.batteryConfidence == .medium)
    }

    @Test func `A count is taken over a restart, and what happened in between widens it`() throws {
        var estimator = EnergyEstimator(battery: lifepo4)
        estimator.restore(EnergyCount(percent: 70, driftPoints: 4), atBootMilliseconds: 0)
        estimator.take([reading(.batteryAmperes, -1, at: 3_600), reading(.batteryVolts, 13, at: 3_600)])
        #expect(estimator.counted == EnergyCount(percent: 70, driftPoints: 9))
        estimator.restore(EnergyCount(percent: .nan, driftPoints: 0), atBootMilliseconds: 0)
        #expect(estimator.counted?.percent == 70)
    }

    @Test func `Voltage is no gauge for LiFePO4, but warns of the cut-off`() {
        var estimator = EnergyEstimator(battery: lifepo4)
        estimator.take([reading(.batteryVolts, 13.2), reading(.batteryPercent, 100, from: "epever", .low)])
        let estimate = estimator.estimate(atBootMilliseconds: 0)
        #expect(estimate?.batteryPercent == nil && estimate?.isBatteryLow == false)
        estimator.take([reading(.batteryVolts, 12.25, at: 1)])
        #expect(estimator.estimate(atBootMilliseconds: 1_000)?.isBatteryLow == true)
    }

    @Test func `Lead-acid is read from the table while it rests, with more trust than under load`() {
        let rest = BatterySettings(chemistry: .leadAcid)
        for (volts, percent) in [(12.8, 100.0), (12.7, 100), (12.5, 90), (12.06, 50), (11.98, 45), (11.31, 10), (10.5, 0), (9, 0)] {
            var estimator = EnergyEstimator(battery: rest)
            estimator.take([reading(.batteryVolts, volts)])
            #expect(abs((estimator.estimate(atBootMilliseconds: 0)?.batteryPercent ?? -1) - percent) < 0.001, "\(volts) V")
            let twice = BatterySettings(chemistry: .leadAcid, nominalVolts: 24)
            var estimator24 = EnergyEstimator(battery: twice)
            estimator24.take([reading(.batteryVolts, volts * 2)])
            #expect(abs((estimator24.estimate(atBootMilliseconds: 0)?.batteryPercent ?? -1) - percent) < 0.001, "\(volts * 2) V")
        }
        var estimator = EnergyEstimator(battery: rest)
        let end = run(&estimator, from: 0, hours: 0.2, amperes: -0.02, volts: 12.5)
        let estimate = estimator.estimate(atBootMilliseconds: Int64(end * 1_000))
        #expect(estimate?.batteryPercent == 90 && estimate?.batteryConfidence == .medium)
    }

    @Test func `Sun without charge in the cold is said to be blocked, for lithium`() {
        for battery in [lifepo4, leadAcid] {
            var estimator = EnergyEstimator(battery: battery)
            estimator.take([
                reading(.batteryCelsius, -6), reading(.panelVolts, 19), reading(.batteryVolts, 13), reading(.batteryAmperes, -0.4), reading(.batteryPercent, 40),
            ])
            #expect(estimator.estimate(atBootMilliseconds: 0)?.isChargeBlocked == (battery.chemistry == .lifepo4))
        }
        func isBlocked(_ readings: [PowerReading]) -> Bool? {
            var estimator = EnergyEstimator(battery: lifepo4)
            estimator.take(readings)
            return estimator.estimate(atBootMilliseconds: 0)?.isChargeBlocked
        }
        let cold = [reading(.batteryCelsius, -6), reading(.batteryVolts, 13), reading(.batteryPercent, 40)]
        #expect(isBlocked(cold + [reading(.batteryAmperes, -0.4), reading(.panelVolts, 2)]) == false, "night")
        #expect(isBlocked(cold + [reading(.batteryAmperes, 2), reading(.panelVolts, 19)]) == false, "it charges")
        #expect(isBlocked(cold + [reading(.batteryAmperes, 0), reading(.isExternalPowerPresent, 1)]) == true, "a charger that does not charge")
        #expect(isBlocked([reading(.batteryCelsius, 4), reading(.batteryAmperes, 0), reading(.panelVolts, 19)]) == false, "warm enough")
        #expect(isBlocked([reading(.isChargeBlocked, 1)]) == true, "the charger says so itself")
    }

    @Test func `What no device can mean is dropped and counted`() {
        var estimator = EnergyEstimator(battery: lifepo4)
        estimator.take([
            reading(.batteryPercent, 500), reading(.panelWatts, 1e9), reading(.batteryVolts, .nan), reading(.batteryAmperes, .infinity), reading(.batteryCelsius, -300),
            reading(.isCharging, 7), reading(.batteryPercent, 101, from: "gauge", .medium),
        ])
        #expect(estimator.implausibleCount == 6)
        #expect(estimator.readings.map(\.value) == [100])
        // An earlier reading that comes late does not replace a newer one.
        estimator.take([reading(.batteryPercent, 70, at: 10, from: "gauge", .medium), reading(.batteryPercent, 90, at: 5, from: "gauge", .medium)])
        #expect(estimator.readings.map(\.value) == [70])
    }

    @Test func `Time to empty is the gauge's own, or that of the draw down to the cut-off, and none while charging`() throws {
        var estimator = EnergyEstimator(battery: leadAcid)
        estimator.take([reading(.batteryPercent, 50), reading(.batteryVolts, 12), reading(.batteryAmperes, -5)])
        // 11.1 V is 7.4 % of the table.
        let unusable = (11.1 - 10.5) / (11.31 - 10.5) * 10
        let drawn = try #require(estimator.estimate(atBootMilliseconds: 0)?.secondsToEmpty)
        #expect(abs(drawn - (50 - unusable) / 100 * 600 / 60 * 3_600) < 1)
        estimator.take([reading(.secondsToEmpty, 1_234)])
        #expect(estimator.estimate(atBootMilliseconds: 0)?.secondsToEmpty == 1_234)
        estimator.take([reading(.isExternalPowerPresent, 1, from: "ups")])
        #expect(estimator.estimate(atBootMilliseconds: 0)?.secondsToEmpty == nil)
        estimator.take([reading(.isExternalPowerPresent, 0, from: "ups"), reading(.batteryAmperes, 3, at: 1)])
        #expect(estimator.estimate(atBootMilliseconds: 1_000)?.secondsToEmpty == nil)
    }

    @Test func `Panels of several chargers add up`() {
        var estimator = EnergyEstimator(battery: lifepo4)
        estimator.take([reading(.panelWatts, 30, from: "east"), reading(.panelWatts, 12, from: "west"), reading(.loadAmperes, 2), reading(.batteryVolts, 13)])
        let estimate = estimator.estimate(atBootMilliseconds: 0)
        #expect(estimate?.panelWatts == 42 && estimate?.loadWatts == 26 && estimate?.batteryWatts == 16)
    }

    /// Whatever comes, an estimate's numbers are finite and within their bounds, and memory is.
    @Test(arguments: 0..<6 as Range<UInt64>)
    func `No readings lead out of bounds`(seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        var estimator = EnergyEstimator(battery: [lifepo4, leadAcid, .unknown][Int(seed % 3)])
        var now: Int64 = 0
        for _ in 0..<2_000 {
            now += Int64.random(in: 0...90_000, using: &random)
            let quantity = PowerQuantity.allCases.randomElement(using: &random) ?? .batteryVolts
            let value = [Double.random(in: -20...120, using: &random), .random(in: -1e12...1e12, using: &random), .nan, -.infinity, 0, 1].randomElement(using: &random) ?? 0
            let reading = PowerReading(
                quantity, value, bootMilliseconds: now - Int64.random(in: 0...120_000, using: &random), source: "s\(UInt64.random(in: 0...9_999, using: &random))",
                confidence: PowerConfidence.allCases.randomElement(using: &random) ?? .low)
            estimator.take([reading])
            guard let estimate = estimator.estimate(atBootMilliseconds: now) else { continue }
            #expect(estimate.batteryPercent.map { (0...100).contains($0) } ?? true, "seed \(seed)")
            for number in [estimate.batteryVolts, estimate.batteryWatts, estimate.panelWatts, estimate.loadWatts, estimate.secondsToEmpty, estimate.batteryCelsius] {
                #expect(number.map(\.isFinite) ?? true, "seed \(seed)")
            }
            #expect(estimate.secondsToEmpty.map { $0 >= 0 } ?? true && now - estimate.bootMilliseconds <= 60_000, "seed \(seed)")
        }
        #expect(estimator.readings.count <= 1_024)
    }

    @Test func `A battery's settings are checked`() {
        #expect(BatterySettings(chemistry: .lifepo4, capacityWattHours: 512).problems.isEmpty && BatterySettings.unknown.problems.isEmpty)
        #expect(BatterySettings(chemistry: .leadAcid, nominalVolts: 24).cutoffVolts == 22.2)
        #expect(BatterySettings(chemistry: .lifepo4, capacityWattHours: -1).problems.count == 1)
        #expect(BatterySettings(chemistry: .liIon, capacityWattHours: .nan).problems.count == 1)
        #expect(BatterySettings(chemistry: .leadAcid, nominalVolts: 12, cutoffVolts: 3).problems.count == 1)
    }
}
