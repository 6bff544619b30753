import RecordingModel

/// A state of charge that was counted, and by how many points it may be off.
package struct EnergyCount: Hashable, Sendable, Codable {
    package var percent: Double
    package var driftPoints: Double

    package init(percent: Double, driftPoints: Double) {
        self.percent = percent
        self.driftPoints = driftPoints
    }
}

/// Counts the energy that goes into a battery and out of it, from where its state was known last. A count drifts: by a part of
/// what went through, and with time. Beyond `driftPointsMax` it says nothing any more.
struct EnergyCounter: Sendable {
    static let driftPointsMax = 40.0
    /// A count this good is worth as much as a fuel gauge.
    static let driftPointsGood = 15.0
    /// Sensors are off by a few percent of what they measure, and efficiency is assumed.
    static let driftPerPointCounted = 0.05
    /// Self-discharge and the sensor's own zero.
    static let driftPointsPerHour = 0.1
    /// While nobody measured, anything may have been drawn.
    static let driftPointsPerHourUnseen = 5.0
    /// Full is where the voltage stood for this long with little current.
    static let fullMilliseconds: Int64 = 300_000

    private let battery: BatterySettings
    private(set) var count: EnergyCount?
    private var lastMilliseconds: Int64?
    private var lastWatts: Double?
    private var fullSinceMilliseconds: Int64?

    init(battery: BatterySettings) { self.battery = battery }

    /// Taken over from before a restart: what happened in between is not known.
    mutating func restore(_ count: EnergyCount, atBootMilliseconds: Int64) {
        guard count.percent.isFinite, count.driftPoints.isFinite, (0...100).contains(count.percent), count.driftPoints >= 0 else { return }
        self.count = count
        lastMilliseconds = atBootMilliseconds
        lastWatts = nil
    }

    /// Something better knows.
    mutating func anchor(percent: Double, driftPoints: Double) {
        count = EnergyCount(percent: min(100, max(0, percent)), driftPoints: driftPoints)
    }

    /// - Parameters:
    ///   - watts: into the battery.
    ///   - volts: nil where the voltage is not measured.
    mutating func take(watts: Double, volts: Double?, atBootMilliseconds now: Int64) {
        guard battery.capacityWattHours > 0 else { return }
        defer {
            lastMilliseconds = now
            lastWatts = watts
        }
        if var counted = count, let last = lastMilliseconds, now > last {
            let hours = Double(now - last) / 3_600_000
            if now - last <= PowerReading.staleMilliseconds, let lastWatts {
                let mean = (watts + lastWatts) / 2
                let points = mean * hours * (mean > 0 ? battery.chargeEfficiency : 1) / battery.capacityWattHours * 100
                counted.percent = min(100, max(0, counted.percent + points))
                counted.driftPoints += abs(points) * Self.driftPerPointCounted + hours * Self.driftPointsPerHour
            } else {
                counted.driftPoints += hours * Self.driftPointsPerHourUnseen
            }
            count = counted.driftPoints <= Self.driftPointsMax ? counted : nil
        }
        anchorAtEnds(watts: watts, volts: volts, now: now)
    }

    private mutating func anchorAtEnds(watts: Double, volts: Double?, now: Int64) {
        guard let volts, let fullVolts = battery.fullVolts else { return }
        // Less than a twenty-fifth of the capacity in an hour at full voltage: it takes no more.
        if volts >= fullVolts, watts >= 0, watts <= battery.capacityWattHours * 0.04 {
            let since = fullSinceMilliseconds ?? now
            fullSinceMilliseconds = since
            if now - since >= Self.fullMilliseconds { anchor(percent: 100, driftPoints: 2) }
        } else {
            fullSinceMilliseconds = nil
        }
        // The voltage falls steeply at the end: there even LiFePO4 tells.
        if volts <= battery.cutoffVolts, watts <= 0, (count?.percent ?? 100) > battery.percentAtCutoff + 5 {
            anchor(percent: battery.percentAtCutoff, driftPoints: 10)
        }
    }
}
