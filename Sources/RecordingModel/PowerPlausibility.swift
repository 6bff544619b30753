extension EnergyEstimate {
    /// Wider than any battery or panel of a site; JSON has no infinities.
    package var isPlausible: Bool {
        func isWithin(_ value: Double?, _ range: ClosedRange<Double>) -> Bool { value.map(range.contains) ?? true }
        return Plausibility.isCount(bootMilliseconds) && Plausibility.isText(batteryBasis) && isWithin(batteryPercent, 0...100)
            && isWithin(batteryVolts, -1_000...1_000) && isWithin(batteryWatts, -1e6...1e6) && isWithin(batteryCelsius, -273...1_000)
            && isWithin(panelWatts, -1e6...1e6) && isWithin(loadWatts, -1e6...1e6) && isWithin(secondsToEmpty, 0...Double(Plausibility.magnitudeMax))
    }
}

extension PowerRecord {
    package var isPlausible: Bool {
        Plausibility.isText(reason) && (estimate?.isPlausible ?? true) && (darkUntilUnixMilliseconds.map(Plausibility.isCount) ?? true)
    }
}

extension PowerReport {
    package var isPlausible: Bool {
        func isCount(_ value: Int64?) -> Bool { value.map(Plausibility.isCount) ?? true }
        func isWithin(_ value: Double?, _ range: ClosedRange<Double>) -> Bool { value.map(range.contains) ?? true }
        return Plausibility.isText(reason) && (estimate?.isPlausible ?? true) && isCount(sinceUnixMilliseconds) && isCount(readingAgeMilliseconds)
            && isCount(nextSunriseUnixMilliseconds) && isCount(darkUntilUnixMilliseconds) && isWithin(forecastPercentAtSunrise, 0...100)
            && isWithin(hoursToHibernation, 0...1e6) && alerts.count <= Self.alertsMax
            && alerts.allSatisfy { Plausibility.isText($0.kind) && Plausibility.isText($0.sentence) && isCount($0.sinceUnixMilliseconds) }
    }
}
