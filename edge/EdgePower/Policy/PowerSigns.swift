import RecordingModel

/// What ails a power system, seen in its own readings over days. Kept across restarts. Times are of the wall clock.
package struct PowerSigns: Hashable, Sendable, Codable {
    /// When each alert that stands began.
    private var since: [String: Int64] = [:]
    private var day = Day(number: .min)
    private var weakDays = 0
    private var clockOffDays = 0
    private var clockOffMinutes = 0.0
    private var deadPanelSince: Int64?
    private var nightPanelSince: Int64?
    private var discharge: Discharge?
    private var capacitiesWattHours: [Double] = []
    private var newest: Int64?

    private struct Day: Hashable, Sendable, Codable {
        /// Solar days since 1970 at the site.
        var number: Int64
        var seconds = 0.0
        var measuredJoules = 0.0
        var clearJoules = 0.0
        /// Joules times seconds since the day began: their centre is the noon.
        var measuredMoment = 0.0
        var clearMoment = 0.0
        var isThrottled = false
    }

    private struct Discharge: Hashable, Sendable, Codable {
        var fromPercent: Double
        var wattHours: Double
        var newest: Int64
    }

    package static let weakRatio = 0.2
    package static let deadPanelElevationDegrees = 20.0
    package static let clockOffMinutesMax = 60.0
    package static let agedShare = 0.7
    private static let capacitiesMax = 5

    package init() {}

    /// The sun as it should be at this moment; nil without a site and panel, or without a clock to trust.
    struct Sky {
        var elevationDegrees: Double
        var clearWatts: Double
        var panelWattsRated: Double
        var longitudeDegrees: Double
    }

    mutating func take(unixMilliseconds now: Int64, estimate: EnergyEstimate?, sky: Sky?, isThrottled: Bool, settings: PowerSettings) {
        let seconds = Double(max(0, min(now - (newest ?? now), 120_000))) / 1_000
        newest = now
        guard let estimate else { return }
        set("under-voltage", estimate.isUnderVoltage, now)
        if let celsius = estimate.batteryCelsius, let least = settings.noChargeBelowCelsius, let sky {
            set("charge-blocked", estimate.isChargeBlocked || (celsius < least && sky.elevationDegrees > 10), now)
        } else {
            set("charge-blocked", estimate.isChargeBlocked, now)
        }
        followDischarge(estimate, now, seconds, settings)
        guard let sky, let panelWatts = estimate.panelWatts else { return }
        followDay(panelWatts, sky, now, seconds, isThrottled || estimate.isHarvestLimited)
        let isDead = panelWatts <= 0.001 * sky.panelWattsRated && sky.elevationDegrees > Self.deadPanelElevationDegrees && !isThrottled
        deadPanelSince = isDead ? deadPanelSince ?? now : nil
        let isNightSun = panelWatts > 0.05 * sky.panelWattsRated && sky.elevationDegrees < -8
        nightPanelSince = isNightSun ? nightPanelSince ?? now : nil
        set("panel-weak", weakDays >= 2 || deadPanelSince.map { now - $0 >= 3_600_000 } ?? false, now)
        set("clock-and-sun", clockOffDays >= 2 || nightPanelSince.map { now - $0 >= 600_000 } ?? false, now)
    }

    mutating func setBlind(_ isBlind: Bool, at now: Int64) { set("no-readings", isBlind, now) }

    private mutating func set(_ kind: String, _ stands: Bool, _ now: Int64) { since[kind] = stands ? since[kind] ?? now : nil }

    private mutating func followDay(_ watts: Double, _ sky: Sky, _ now: Int64, _ seconds: Double, _ isThrottled: Bool) {
        // Solar midnight parts the days, or a site in the far east would have its noon in two of them.
        let solar = now + Int64(sky.longitudeDegrees * 240_000)
        let number = solar / 86_400_000
        if number != day.number {
            if number > day.number && day.number != .min { close(day) }
            day = Day(number: number)
        }
        let ofDay = Double(solar % 86_400_000) / 1_000
        day.seconds += seconds
        day.measuredJoules += max(0, watts) * seconds
        day.clearJoules += sky.clearWatts * seconds
        day.measuredMoment += max(0, watts) * seconds * ofDay
        day.clearMoment += sky.clearWatts * seconds * ofDay
        if isThrottled { day.isThrottled = true }
    }

    /// A day counts if its sun was seen, and if the panel could give what it had.
    private mutating func close(_ day: Day) {
        guard day.seconds >= 0.8 * 86_400, day.clearJoules > 0, !day.isThrottled else { return }
        let ratio = day.measuredJoules / day.clearJoules
        weakDays = ratio < Self.weakRatio ? min(weakDays + 1, 1_000) : 0
        // Only a clear day has its centre at noon.
        guard ratio > 0.6 else { return }
        let minutes = (day.measuredMoment / day.measuredJoules - day.clearMoment / day.clearJoules) / 60
        clockOffDays = abs(minutes) > Self.clockOffMinutesMax ? min(clockOffDays + 1, 1_000) : 0
        clockOffMinutes = minutes
    }

    /// From above 90 % to below 40 %: what came out says what the whole battery holds.
    private mutating func followDischarge(_ estimate: EnergyEstimate, _ now: Int64, _ seconds: Double, _ settings: PowerSettings) {
        guard estimate.batteryConfidence >= .medium, let percent = estimate.batteryPercent, let watts = estimate.batteryWatts else { return discharge = nil }
        if percent >= 90 { discharge = Discharge(fromPercent: percent, wattHours: 0, newest: now) }
        guard var run = discharge else { return }
        // A gap in the readings leaves the sum without meaning.
        guard now - run.newest <= 120_000 else { return discharge = nil }
        // What flows in comes out again only in part.
        run.wattHours -= (watts > 0 ? watts * settings.chargeEfficiency : watts) * seconds / 3_600
        run.newest = now
        discharge = run
        guard percent <= 40 else { return }
        capacitiesWattHours.append(run.wattHours / (run.fromPercent - percent) * 100)
        if capacitiesWattHours.count > Self.capacitiesMax { capacitiesWattHours.removeFirst() }
        discharge = nil
        guard let nominal = settings.capacityWattHours, capacitiesWattHours.count >= 2 else { return }
        set("battery-aged", capacity < Self.agedShare * nominal, now)
    }

    private var capacity: Double { capacitiesWattHours.sorted()[capacitiesWattHours.count / 2] }

    func alerts(_ settings: PowerSettings, noReadingsSeconds: Int64?) -> [PowerReport.Alert] {
        since.sorted { $0.key < $1.key }.prefix(PowerReport.alertsMax).map { kind, start in
            PowerReport.Alert(kind: kind, sentence: sentence(kind, settings, noReadingsSeconds), sinceUnixMilliseconds: start)
        }
    }

    private func sentence(_ kind: String, _ settings: PowerSettings, _ noReadingsSeconds: Int64?) -> String {
        switch kind {
        case "panel-weak":
            if weakDays >= 2 {
                return "For \(weakDays) days the panel has given less than \(Int(Self.weakRatio * 100)) % of a clear sky's harvest: look for snow, dirt, shade, a loose cable or theft, unless it was very dark weather."
            }
            return "The panel gives nothing although the sun stands above \(Int(Self.deadPanelElevationDegrees))°: look for snow, a cover, a loose cable, a blown fuse or theft."
        case "charge-blocked": return "There is sun, but the battery may not be charged: it is too cold, or the charger reports a fault. It empties until that ends; insulate or heat it."
        case "under-voltage": return "The board's supply drops below what it needs: a thin or long cable, a weak converter or an empty battery. Recording may stop without warning; check the supply."
        case "battery-aged":
            let seen = capacitiesWattHours.isEmpty ? 0 : Int(capacity.rounded())
            return "Between known states of charge the battery held \(seen) Wh where \(Int(settings.capacityWattHours ?? 0)) Wh are configured: it has aged, or the configured capacity is wrong. Plan to replace it."
        case "clock-and-sun":
            if clockOffDays >= 2 {
                return "The panel's noon lies \(Int(abs(clockOffMinutes).rounded())) minutes \(clockOffMinutes > 0 ? "after" : "before") the sun's by this clock, on \(clockOffDays) clear days: the clock is wrong, or the site's longitude, or half the day is in shade."
            }
            return "The panel gives power while by this clock and site it is night: the clock is wrong, or the site's longitude."
        default: return "No valid power reading for \(noReadingsSeconds.map { "\($0) s" } ?? "a while"): check the cable and the configuration of the power source."
        }
    }
}
