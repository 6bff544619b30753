import RecordingModel

/// Why a state is as it is, as a person would say it.
extension PowerPolicy {
    func reason(for estimate: EnergyEstimate?, _ danger: Ladder.Emergency?, _ boot: Int64) -> String {
        if isBlind {
            let last = lastPercent.map { "the battery was last known at \(whole($0)) %" } ?? "the battery's charge was never known"
            return "Blind: no valid reading for \((boot - (lastValid ?? started)) / 1_000) s, \(last); \(name(ladder.state).lowercased()) until readings return"
        }
        let name = name(ladder.state)
        if estimate?.isExternalPowerPresent == true && Ladder.rank(ladder.state) <= Ladder.rank(.full) { return "\(name): outside power is there" }
        if let danger, Ladder.rank(ladder.state) >= Ladder.rank(.hibernate) { return "\(name): \(words(danger))" }
        let battery = estimate?.batteryPercent.map { "\(whole($0)) % battery" } ?? "the battery's charge is not known"
        var parts = [battery]
        if estimate?.batteryConfidence == .low, estimate?.batteryPercent != nil { parts[0] += " (by \(estimate?.batteryBasis.isEmpty == false ? estimate?.batteryBasis ?? "" : "estimate"), uncertain)" }
        switch ladder.state {
        case .surplus: parts.append("and more sun than is used")
        case .hibernate, .halt: break
        default:
            if let share = expectedShare, plan != nil {
                parts.append(share < 0.4 ? "cloudy days expected (\(whole(share * 100)) % of a clear sky)" : "\(whole(share * 100)) % of a clear sky expected")
            }
        }
        let byPlan = plan.map { Ladder.within($0.wish, oneOf: ladder.rung) != ladder.rung && ladder.state != ladder.rung } ?? false
        let direction = Ladder.rank(ladder.state) < Ladder.rank(ladder.rung) ? "the plan affords more" : "the plan saves for later"
        if byPlan { parts.append(direction) }
        return "\(name): \(parts.joined(separator: ", "))"
    }

    private func words(_ danger: Ladder.Emergency) -> String {
        switch danger {
        case .secondsToCutoff(let seconds): "\(max(0, Int(seconds / 60))) minutes to the controller's cut-off"
        case .volts(let volts): "the battery is at \(tenths(volts)) V, the controller cuts off at \(tenths(settings.cutoffVolts ?? 0)) V"
        case .percent(let percent): "\(whole(percent)) % battery, cut-off at \(whole(settings.cutoffPercent)) %"
        case .batteryLow: "the supply says that its battery is nearly empty"
        }
    }

    private func name(_ state: PowerState) -> String {
        switch state {
        case .surplus: "Surplus"
        case .full: "Full"
        case .reduced: "Reduced"
        case .sparse: "Sparse"
        case .hibernate: "Hibernating"
        case .halt: "Halted"
        case .blind: "Blind"
        }
    }

    private func whole(_ value: Double) -> Int { Int(max(-1e6, min(1e6, value)).rounded()) }
    private func tenths(_ value: Double) -> String {
        let tenths = whole(value * 10)
        return "\(tenths / 10).\(abs(tenths % 10))"
    }
}
