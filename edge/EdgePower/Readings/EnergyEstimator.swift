import RecordingModel

/// What all readings say together. Trusts a shunt before a fuel gauge, before counted energy, before voltage; drops what no
/// device can mean; and forgets what is older than 60 s.
package struct EnergyEstimator: Sendable {
    /// Of quantities and sources together; a node has a handful of sources.
    static let readingsMax = 1_024
    /// As good as at rest: a current that would take a hundred hours to empty the battery, for ten minutes.
    static let restHours = 100.0
    static let restMilliseconds: Int64 = 600_000

    private struct Key: Hashable {
        var quantity: PowerQuantity
        var source: String
    }

    private let battery: BatterySettings
    private var newest: [Key: PowerReading] = [:]
    private var counter: EnergyCounter
    private var restingSinceMilliseconds: Int64?
    private var lastCountedMilliseconds: Int64?
    /// Numbers that were dropped because no device can mean them.
    package private(set) var implausibleCount = 0

    package init(battery: BatterySettings) {
        self.battery = battery
        counter = EnergyCounter(battery: battery)
    }

    package var readings: [PowerReading] {
        newest.values.sorted { ($0.source, $0.quantity.rawValue) < ($1.source, $1.quantity.rawValue) }
    }

    package var counted: EnergyCount? { counter.count }

    package mutating func restore(_ count: EnergyCount, atBootMilliseconds: Int64) { counter.restore(count, atBootMilliseconds: atBootMilliseconds) }

    package mutating func take(_ readings: [PowerReading]) {
        var moment: Int64?
        for var reading in readings {
            guard let value = Self.plausible(reading.quantity, reading.value) else {
                implausibleCount += 1
                continue
            }
            reading.value = value
            let key = Key(quantity: reading.quantity, source: reading.source)
            if let known = newest[key], known.bootMilliseconds > reading.bootMilliseconds { continue }
            guard newest[key] != nil || newest.count < Self.readingsMax else { continue }
            newest[key] = reading
            moment = max(moment ?? .min, reading.bootMilliseconds)
        }
        if let moment { count(at: moment) }
    }

    /// Nil when nothing was read within the last 60 s.
    package func estimate(atBootMilliseconds now: Int64) -> EnergyEstimate? {
        guard let newestMilliseconds = newest.values.lazy.filter({ !$0.isStale(at: now) }).map(\.bootMilliseconds).max() else { return nil }
        let volts = best(.batteryVolts, at: now)?.value
        let percent = percent(at: now)
        let watts = batteryWatts(at: now)
        let isExternal = isAny(.isExternalPowerPresent, at: now)
        return EnergyEstimate(
            bootMilliseconds: newestMilliseconds, batteryPercent: percent?.percent, batteryConfidence: percent?.confidence ?? .low,
            batteryBasis: percent?.basis ?? "", batteryVolts: volts, batteryWatts: watts, batteryCelsius: best(.batteryCelsius, at: now)?.value,
            panelWatts: sum(.panelWatts, at: now), loadWatts: loadWatts(at: now),
            secondsToEmpty: isExternal ? nil : secondsToEmpty(percent: percent?.percent, watts: watts, at: now),
            isHarvestLimited: isAny(.isHarvestLimited, at: now), isChargeBlocked: isChargeBlocked(percent: percent?.percent, at: now),
            isExternalPowerPresent: isExternal, isUnderVoltage: isAny(.isUnderVoltage, at: now),
            isBatteryLow: isAny(.isBatteryLow, at: now) || isNearCutoff(volts))
    }

    // MARK: - What readings say

    /// The most trusted fresh one; of equals the newest, and of those the first by name.
    private func best(_ quantity: PowerQuantity, at now: Int64) -> PowerReading? {
        newest.values.filter { $0.quantity == quantity && !$0.isStale(at: now) }
            .max { ($0.confidence, $0.bootMilliseconds, $1.source) < ($1.confidence, $1.bootMilliseconds, $0.source) }
    }

    private func isAny(_ quantity: PowerQuantity, at now: Int64) -> Bool {
        newest.values.contains { $0.quantity == quantity && $0.value == 1 && !$0.isStale(at: now) }
    }

    /// Of every charger: each has a panel of its own.
    private func sum(_ quantity: PowerQuantity, at now: Int64) -> Double? {
        let values = newest.values.filter { $0.quantity == quantity && !$0.isStale(at: now) }.map(\.value)
        return values.isEmpty ? nil : values.reduce(0, +)
    }

    private func loadWatts(at now: Int64) -> Double? {
        if let watts = best(.loadWatts, at: now) { return watts.value }
        guard let amperes = best(.loadAmperes, at: now) else { return nil }
        return (best(.loadVolts, at: now) ?? best(.batteryVolts, at: now)).map { $0.value * amperes.value }
    }

    private func batteryWatts(at now: Int64) -> Double? {
        if let amperes = best(.batteryAmperes, at: now)?.value {
            let volts = best(.batteryVolts, at: now)?.value ?? (battery.nominalVolts > 0 ? battery.nominalVolts : nil)
            return volts.map { $0 * amperes }
        }
        guard let panel = sum(.panelWatts, at: now), let load = loadWatts(at: now) else { return nil }
        return panel - load
    }

    private func percent(at now: Int64) -> (percent: Double, confidence: PowerConfidence, basis: String)? {
        let told = best(.batteryPercent, at: now)
        if let told, told.confidence == .high { return (told.value, .high, "shunt") }
        if let told, told.confidence == .medium { return (told.value, .medium, "gauge") }
        if let count = counter.count, isCurrentKnown(at: now) {
            return (count.percent, count.driftPoints <= EnergyCounter.driftPointsGood ? .medium : .low, "counted")
        }
        // A controller's own guess goes by voltage too, and for LiFePO4 it is 100 % until the steep end.
        if battery.chemistry == .lifepo4 { return nil }
        if let volts = best(.batteryVolts, at: now)?.value, let percent = battery.restPercent(volts: volts) {
            return (percent, isAtRest(at: now) ? .medium : .low, "voltage")
        }
        return told.map { ($0.value, .low, "voltage") }
    }

    private func isCurrentKnown(at now: Int64) -> Bool { batteryWatts(at: now) != nil }

    private func isAtRest(at now: Int64) -> Bool {
        isCurrentKnown(at: now) && restingSinceMilliseconds.map { now - $0 >= Self.restMilliseconds } ?? false
    }

    private func isNearCutoff(_ volts: Double?) -> Bool {
        guard let volts, let warning = battery.warningVolts else { return false }
        return volts <= warning
    }

    private func secondsToEmpty(percent: Double?, watts: Double?, at now: Int64) -> Double? {
        // Half a watt is below what sensors tell from nothing.
        if let watts, watts > -0.5 { return nil }
        if isAny(.isCharging, at: now), watts == nil { return nil }
        if let told = best(.secondsToEmpty, at: now) { return told.value }
        guard let percent, let watts, battery.capacityWattHours > 0 else { return nil }
        let usable = max(0, percent - battery.percentAtCutoff) / 100 * battery.capacityWattHours
        return usable / -watts * 3_600
    }

    /// The sun shines or a charger is there, the battery is not full, and nothing goes in because it is too cold.
    private func isChargeBlocked(percent: Double?, at now: Int64) -> Bool {
        if isAny(.isChargeBlocked, at: now) { return true }
        guard let limit = battery.chargeBlockedBelowCelsius, let celsius = best(.batteryCelsius, at: now)?.value, celsius < limit else { return false }
        guard (percent ?? 0) < 95, let amperes = best(.batteryAmperes, at: now)?.value, amperes < 0.1 else { return false }
        let panelVolts = best(.panelVolts, at: now)?.value ?? 0
        let batteryVolts = best(.batteryVolts, at: now)?.value ?? battery.nominalVolts
        return (sum(.panelWatts, at: now) ?? 0) >= 1 || panelVolts > batteryVolts + 2 || isAny(.isExternalPowerPresent, at: now) || isAny(.isCharging, at: now)
    }

    // MARK: - Counting

    private mutating func count(at now: Int64) {
        // What comes late was counted over already.
        if let last = lastCountedMilliseconds {
            guard now >= last else { return }
            if now - last > PowerReading.staleMilliseconds { restingSinceMilliseconds = nil }
        }
        lastCountedMilliseconds = now
        guard let watts = batteryWatts(at: now) else {
            restingSinceMilliseconds = nil
            return
        }
        let volts = best(.batteryVolts, at: now)?.value
        counter.take(watts: watts, volts: volts, atBootMilliseconds: now)
        let isIdle = abs(watts) <= max(0.5, battery.capacityWattHours / Self.restHours)
        restingSinceMilliseconds = isIdle ? restingSinceMilliseconds ?? now : nil

        if let told = best(.batteryPercent, at: now), told.confidence > .low {
            counter.anchor(percent: told.value, driftPoints: told.confidence == .high ? 2 : 8)
        } else if let volts, let percent = battery.restPercent(volts: volts) {
            if isAtRest(at: now) {
                counter.anchor(percent: percent, driftPoints: 8)
            } else if counter.count == nil, watts <= 0, battery.capacityWattHours > 0 {
                // Under load the voltage is lower than at rest: a cautious begin.
                counter.anchor(percent: percent, driftPoints: 30)
            }
        }
    }

    // MARK: - Limits

    /// The value within what its device can mean; nil beyond. Gauges are known to say 101 %.
    static func plausible(_ quantity: PowerQuantity, _ value: Double) -> Double? {
        guard value.isFinite, range(quantity).contains(value) else { return nil }
        return quantity == .batteryPercent ? min(100, value) : value
    }

    private static func range(_ quantity: PowerQuantity) -> ClosedRange<Double> {
        switch quantity {
        case .batteryVolts, .panelVolts, .loadVolts: 0...1_000
        case .batteryAmperes, .panelAmperes, .loadAmperes: -2_000...2_000
        case .batteryPercent: 0...105
        case .batteryCelsius, .boardCelsius: -60...125
        case .batteryHealthPercent: 0...150
        case .panelWatts, .loadWatts: -100...100_000
        case .panelWattHoursToday: 0...2_000_000
        case .boardVolts: 0...60
        case .secondsToEmpty: 0...315_360_000
        case .consumedAmpereHours: -100_000...100_000
        case .isCharging, .isExternalPowerPresent, .isBatteryLow, .isUnderVoltage, .isHarvestLimited, .isChargeBlocked, .isLoadCut: 0...1
        }
    }
}
