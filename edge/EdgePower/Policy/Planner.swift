import RecordingModel

/// Spends the energy of the next days by value per watt hour. A state is affordable now if everything of higher value per
/// watt hour in the whole horizon stays affordable with it, on cautious harvest. So with less energy the answer is never a
/// higher state: the same spending that less energy bears, more bears too.
struct Planner: Sendable {
    struct Plan: Hashable, Sendable {
        var wish: PowerState
        /// With what the node draws in this state, on middling harvest.
        var percentAtSunrise: Double?
        var hoursToHibernation: Double?
        /// Until the battery of a sleeping node may have what it takes to work again, with luck; nil beyond the horizon.
        var hoursToRecovery: Double?
    }

    struct Inputs: Sendable {
        var percent: Double
        var current: PowerState
        /// By half hours from now.
        var harvest: HarvestModel.Expectation
        var isNight: [Bool]
        var slotsToSunrise: Int?
    }

    let settings: PowerSettings
    let capacityWattHours: Double
    private let slotHours = 0.5

    /// What stands in the way of flapping between two plans: a higher state must be affordable with so much less.
    private let upwardPercent = 2.0

    func plan(_ inputs: Inputs, loads: PowerSettings.Loads) -> Plan {
        var plan = Plan(wish: .sparse)
        for state in [PowerState.full, .reduced] {
            let isHigher = Ladder.rank(state) < Ladder.rank(inputs.current)
            if isAffordable(state, percent: inputs.percent - (isHigher ? upwardPercent : 0), inputs, loads) {
                plan.wish = state
                break
            }
        }
        // More is spent only of what would be thrown away today in any case.
        if plan.wish == .full, fills(inputs, loads) { plan.wish = .surplus }
        forecast(&plan, inputs, loads)
        return plan
    }

    private func isAffordable(_ state: PowerState, percent: Double, _ inputs: Inputs, _ loads: PowerSettings.Loads) -> Bool {
        func factor(_ slot: Int) -> Double { inputs.isNight[slot] ? settings.values.nightFactor : 1 }
        let reducedWorth = worth(from: .sparse, to: .reduced, loads)
        let fullWorth = worth(from: .reduced, to: .full, loads)
        let own = (state == .full ? fullWorth : reducedWorth) * factor(0)
        // To be there at all, in sparse recording, comes before everything: also through a bad spell.
        return lasts(percent, inputs.harvest.lean, endPercent: settings.reservePercent) { $0 == 0 ? loads.watts(state) : loads.sparseWatts }
            && lasts(percent, inputs.harvest.cautious, endPercent: settings.planEndPercent) { slot in
                if slot == 0 { return loads.watts(state) }
                if fullWorth * factor(slot) > own { return loads.fullWatts }
                return reducedWorth * factor(slot) > own ? loads.reducedWatts : loads.sparseWatts
            }
    }

    /// Whether the battery stays above the reserve, and ends above what the days beyond the horizon are to begin with.
    private func lasts(_ percent: Double, _ harvest: [Double], endPercent: Double, _ watts: (Int) -> Double) -> Bool {
        var stored = (percent - settings.reservePercent) / 100 * capacityWattHours
        let most = (100 - settings.reservePercent) / 100 * capacityWattHours
        for slot in harvest.indices {
            stored += change(harvest[slot] - watts(slot))
            if stored < 0 { return false }
            // From a full battery on, what is spent now is not missing any more.
            if stored >= most { return true }
        }
        return stored >= (endPercent - settings.reservePercent) / 100 * capacityWattHours
    }

    /// Whether the battery is full within half a day although everything is on, on cautious harvest.
    private func fills(_ inputs: Inputs, _ loads: PowerSettings.Loads) -> Bool {
        var stored = inputs.percent / 100 * capacityWattHours
        for slot in 0..<min(24, inputs.harvest.cautious.count) {
            stored += change(inputs.harvest.cautious[slot] - loads.surplusWatts)
            if stored >= capacityWattHours { return true }
        }
        return false
    }

    /// Value for a watt hour more.
    private func worth(from lower: PowerState, to higher: PowerState, _ loads: PowerSettings.Loads) -> Double {
        let watts = loads.watts(higher) - loads.watts(lower)
        return watts > 0 ? (value(higher) - value(lower)) / watts : .infinity
    }

    private func value(_ state: PowerState) -> Double {
        switch state {
        case .surplus, .full: settings.values.full
        case .reduced, .blind: settings.values.reduced
        case .sparse: settings.values.sparse
        case .hibernate, .halt: 0
        }
    }

    private func change(_ watts: Double) -> Double { (watts > 0 ? watts * settings.chargeEfficiency : watts) * slotHours }

    private func forecast(_ plan: inout Plan, _ inputs: Inputs, _ loads: PowerSettings.Loads) {
        let isAsleep = Ladder.rank(inputs.current) >= Ladder.rank(.hibernate)
        let watts = loads.watts(isAsleep ? .hibernate : plan.wish)
        let harvest = isAsleep ? inputs.harvest.hopeful : inputs.harvest.middle
        var stored = inputs.percent / 100 * capacityWattHours
        for slot in harvest.indices {
            if slot == inputs.slotsToSunrise { plan.percentAtSunrise = stored / capacityWattHours * 100 }
            stored = max(0, min(capacityWattHours, stored + change(harvest[slot] - watts)))
            let percent = stored / capacityWattHours * 100
            let hours = Double(slot + 1) * slotHours
            if !isAsleep && plan.hoursToHibernation == nil && percent <= settings.hibernate.enterPercent { plan.hoursToHibernation = hours }
            if isAsleep && plan.hoursToRecovery == nil && percent >= settings.hibernate.leavePercent { plan.hoursToRecovery = hours }
        }
    }
}
