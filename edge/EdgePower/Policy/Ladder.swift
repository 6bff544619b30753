import RecordingModel

/// The ladder of states as the battery alone tells it, and the pace at which a node follows: a value over time, without
/// clocks or hardware. Times are of the boot clock, milliseconds.
struct Ladder: Sendable {
    static let order: [PowerState] = [.surplus, .full, .reduced, .sparse, .hibernate, .halt]

    private let settings: PowerSettings
    /// Where the battery's percentage stands, with hysteresis and without pace. Never below hibernate.
    private(set) var rung: PowerState
    /// What the node does.
    private(set) var state: PowerState
    /// When it began to; the minimum pace counts from here.
    private(set) var since: Int64
    private var demand = Demand()
    private var rungDemand = Demand()
    private(set) var chargingSince: Int64?
    /// Net watts into the battery, smoothed over a quarter of an hour: a passing cloud ends no surplus.
    private var smoothedWatts: (value: Double, at: Int64)?
    private var hasStarted: Bool

    /// What asks for the lowest states at once, and why.
    enum Emergency: Hashable, Sendable {
        case secondsToCutoff(Double), volts(Double), percent(Double), batteryLow
    }

    init(_ settings: PowerSettings, startingAt now: Int64, resuming state: PowerState?) {
        self.settings = settings
        self.state = state ?? .reduced
        // A halted node that runs again waits for the sun like a hibernating one.
        if self.state == .halt { self.state = .hibernate }
        rung = self.state
        since = now
        hasStarted = state != nil
    }

    /// What readings have asked for without a break, and since when: one that is out of line changes nothing.
    private struct Demand: Sendable {
        /// For each state in the order: since when for it or a lower one; and since when for a higher one than now.
        private var lowSince = [Int64?](repeating: nil, count: 6)
        private var highSince: Int64?

        mutating func take(_ wanted: Int, own: Int, at now: Int64) {
            for rank in lowSince.indices { lowSince[rank] = rank <= wanted ? lowSince[rank] ?? now : nil }
            highSince = wanted < own ? highSince ?? now : nil
        }
        func hasReached(_ rank: Int, for milliseconds: Int64, at now: Int64) -> Bool { lowSince[rank].map { now - $0 >= milliseconds } ?? false }
        func isForMore(for milliseconds: Int64, at now: Int64) -> Bool { highSince.map { now - $0 >= milliseconds } ?? false }
        mutating func forgetMore() { highSince = nil }
    }

    private var confirmMilliseconds: Int64 { Int64(settings.confirmSeconds) * 1_000 }

    static func rank(_ state: PowerState) -> Int { order.firstIndex(of: state) ?? 2 }
    static func lower(_ a: PowerState, _ b: PowerState) -> PowerState { rank(a) > rank(b) ? a : b }

    /// At most one state away from where the battery stands.
    static func within(_ wish: PowerState, oneOf rung: PowerState) -> PowerState {
        order[max(0, max(rank(rung) - 1, min(rank(rung) + 1, rank(wish))))]
    }

    /// Takes one estimate in. `wish` is the planner's, nil without one. `offSeconds` is how long a hibernating node has been off,
    /// by the wall clock.
    mutating func take(_ estimate: EnergyEstimate, at now: Int64, offSeconds: Double, wish: PowerState?) -> Emergency? {
        followCharge(estimate, now)
        let (danger, lowest) = emergency(estimate)
        let stands = settle(estimate, now, offSeconds)
        var target = wish.map { Self.within($0, oneOf: stands) } ?? stands
        // A plan starts no sleeping node, and makes no surplus where the readings show none.
        if stands == .hibernate || estimate.isExternalPowerPresent { target = stands }
        if target == .surplus && stands != .surplus { target = .full }
        // What is being thrown away need not be saved.
        if stands == .surplus && wish == .full && estimate.isHarvestLimited { target = .surplus }
        if let lowest { target = Self.lower(target, lowest) }
        move(towards: target, now)
        return danger
    }

    /// Down by one, for want of readings.
    mutating func stepDownBlind(to lowest: PowerState, at now: Int64) {
        state = Self.lower(state, lowest)
        rung = Self.lower(rung, state)
        since = now
        forgetDemands()
    }

    /// A sleeping node that never hears its sensors again has to try.
    mutating func wakeBlind(at now: Int64) {
        (state, rung, since) = (.sparse, .sparse, now)
        forgetDemands()
    }

    /// What is shown has changed: the next change keeps its distance from this one.
    mutating func restartPace(at now: Int64) { since = max(since, now) }

    /// Readings have come to an end: what they asked for has no hold any more.
    mutating func forgetDemands() {
        (demand, rungDemand) = (Demand(), Demand())
        chargingSince = nil
        smoothedWatts = nil
    }

    // MARK: the rung

    private mutating func followCharge(_ estimate: EnergyEstimate, _ now: Int64) {
        guard let watts = estimate.batteryWatts else { return chargingSince = nil }
        chargingSince = watts > 0 ? chargingSince ?? now : nil
        guard let before = smoothedWatts else { return smoothedWatts = (watts, now) }
        let share = min(1, Double(now - before.at) / 900_000)
        smoothedWatts = (before.value + (watts - before.value) * share, now)
    }

    /// Where this one reading puts the battery; the rung itself follows once that is confirmed.
    private mutating func settle(_ estimate: EnergyEstimate, _ now: Int64, _ offSeconds: Double) -> PowerState {
        let stands = self.stands(estimate, now, offSeconds)
        let (wanted, own) = (Self.rank(stands), Self.rank(rung))
        rungDemand.take(wanted, own: own, at: now)
        if !hasStarted || rungDemand.isForMore(for: confirmMilliseconds, at: now) {
            rung = stands
        } else if let low = [4, 3, 2, 1].first(where: { $0 > own && rungDemand.hasReached($0, for: confirmMilliseconds, at: now) }) {
            rung = Self.order[low]
        }
        return stands
    }

    private func stands(_ estimate: EnergyEstimate, _ now: Int64, _ offSeconds: Double) -> PowerState {
        if estimate.isExternalPowerPresent { return (estimate.batteryPercent ?? 100) >= settings.full.leavePercent ? .surplus : .full }
        guard let percent = estimate.batteryPercent else { return rung }
        let more = estimate.batteryConfidence == .low ? settings.lowConfidencePercent : 0
        guard hasStarted else {
            // Nothing is known of before: as if the battery had been filling.
            return percent >= settings.reduced.leavePercent + more ? .full : percent >= settings.sparse.leavePercent + more ? .reduced
                : percent >= settings.hibernate.leavePercent + more ? .sparse : percent > settings.hibernate.enterPercent ? .sparse : .hibernate
        }
        let mayWake =
            chargingSince.map { now - $0 >= Int64(settings.dawnSeconds) * 1_000 } ?? false && offSeconds >= Double(settings.minimumOffSeconds)
        let hasSurplus = isSurplus(estimate, percent, more)
        let boundaries = [settings.full, settings.reduced, settings.sparse, settings.hibernate]
        var index = min(Self.rank(rung), 4)
        let before = index
        while index < 4, percent <= boundaries[index].enterPercent || (index == 0 && !hasSurplus) { index += 1 }
        if index == before {
            while index > 0 {
                if index == 4 && !mayWake { break }
                if index == 1 ? !hasSurplus : percent < min(boundaries[index - 1].leavePercent + more, 100) { break }
                index -= 1
            }
        }
        return Self.order[index]
    }

    /// Surplus is reached where harvest is thrown away or the battery is as good as full and fills; it is kept while the battery
    /// does not empty.
    private func isSurplus(_ estimate: EnergyEstimate, _ percent: Double, _ more: Double) -> Bool {
        guard percent > settings.full.enterPercent else { return false }
        if estimate.isHarvestLimited { return true }
        let net = smoothedWatts?.value ?? 0
        if rung == .surplus { return net >= 0 }
        return percent >= min(settings.full.leavePercent + more, 100) && net > 0
    }

    /// Danger comes before percentages: a gauge may be wrong by 15 points, and the controller cuts by volts.
    private func emergency(_ estimate: EnergyEstimate) -> (Emergency?, PowerState?) {
        if estimate.isExternalPowerPresent { return (nil, nil) }
        let isFilling = (estimate.batteryWatts ?? 0) > 0
        var found: (Emergency?, PowerState?) = (nil, nil)
        func note(_ emergency: Emergency, _ state: PowerState) {
            if found.1 == nil || Self.rank(state) > Self.rank(found.1 ?? .surplus) { found = (emergency, state) }
        }
        if let cutoff = settings.cutoffVolts, let volts = estimate.batteryVolts {
            if volts <= cutoff + PowerSettings.haltMarginVolts && !isFilling {
                note(.volts(volts), .halt)
            } else if volts <= cutoff + PowerSettings.cutoffMarginVolts {
                note(.volts(volts), .hibernate)
            }
        }
        if isFilling { return found }
        if estimate.isBatteryLow { note(.batteryLow, .halt) }
        if let percent = estimate.batteryPercent, percent <= settings.cutoffPercent { note(.percent(percent), .halt) }
        // A sleeping node hardly draws: what its last minutes awake would come to says nothing.
        if let seconds = secondsToCutoff(estimate), state != .hibernate {
            if seconds < settings.haltSecondsToCutoff {
                note(.secondsToCutoff(seconds), .halt)
            } else if seconds < settings.hibernateSecondsToCutoff {
                note(.secondsToCutoff(seconds), .hibernate)
            }
        }
        return found
    }

    private func secondsToCutoff(_ estimate: EnergyEstimate) -> Double? {
        if let seconds = estimate.secondsToEmpty { return seconds }
        guard let percent = estimate.batteryPercent, let watts = estimate.batteryWatts, watts < 0, let capacity = settings.capacityWattHours else { return nil }
        return max(0, percent - settings.cutoffPercent) / 100 * capacity / -watts * 3_600
    }

    // MARK: the pace

    private mutating func move(towards target: PowerState, _ now: Int64) {
        guard hasStarted else {
            (state, since, hasStarted) = (target, now, true)
            return
        }
        let (wanted, own) = (Self.rank(target), Self.rank(state))
        demand.take(wanted, own: own, at: now)
        // The lowest states come at once.
        if let urgent = [5, 4].first(where: { $0 > own && demand.hasReached($0, for: confirmMilliseconds, at: now) }) { return enter(Self.order[urgent], now) }
        guard now - since >= Int64(settings.dwellSeconds) * 1_000 else { return }
        // A demand for hibernation that is not confirmed yet is at least one for a step down.
        if wanted > own, own < 3, demand.hasReached(own + 1, for: confirmMilliseconds, at: now) {
            enter(Self.order[own + 1], now)
        } else if wanted < own, demand.isForMore(for: confirmMilliseconds, at: now) {
            enter(Self.order[own - 1], now)
        }
    }

    private mutating func enter(_ next: PowerState, _ now: Int64) {
        (state, since) = (next, now)
        demand.forgetMore()
    }
}
