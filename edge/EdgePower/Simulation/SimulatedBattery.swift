import RecordingModel

/// A battery with its charge controller: what goes in and comes out, its volts, and the cut-off.
package struct SimulatedBattery: Hashable, Sendable {
    package enum Chemistry: String, Hashable, Sendable, CaseIterable {
        case lifepo4
        case leadAcid = "lead-acid"

        /// Percent and volts at rest, for 12 V. LiFePO4 is so flat that the controller's 12.0 V mean a tenth of the charge.
        var curve: [(percent: Double, volts: Double)] {
            switch self {
            case .lifepo4:
                [(0, 10), (10, 12), (14, 12.5), (17, 12.8), (20, 12.9), (30, 13), (40, 13.1), (70, 13.2), (90, 13.3), (99, 13.4), (100, 13.6)]
            case .leadAcid:
                [
                    (0, 10.5), (10, 11.31), (20, 11.58), (30, 11.75), (40, 11.9), (50, 12.06), (60, 12.2), (70, 12.32), (80, 12.42), (90, 12.5), (100, 12.7),
                ]
            }
        }
    }

    package var chemistry: Chemistry
    package var capacityWattHours: Double
    package private(set) var wattHours: Double
    package var chargeEfficiency = 0.95
    /// Nil: the cold does not matter.
    package var noChargeBelowCelsius: Double?
    package var ohms = 0.03

    package init(chemistry: Chemistry, capacityWattHours: Double, percent: Double, noChargeBelowCelsius: Double?) {
        self.chemistry = chemistry
        self.capacityWattHours = capacityWattHours
        self.noChargeBelowCelsius = noChargeBelowCelsius
        wattHours = capacityWattHours * percent / 100
    }

    package var percent: Double { wattHours / capacityWattHours * 100 }

    package func volts(netWatts: Double) -> Double {
        let curve = chemistry.curve
        let above = curve.firstIndex { $0.percent >= percent } ?? curve.count - 1
        guard above > 0 else { return curve[0].volts }
        let (a, b) = (curve[above - 1], curve[above])
        let rest = a.volts + (b.volts - a.volts) * min(1, (percent - a.percent) / (b.percent - a.percent))
        return rest + netWatts / rest * ohms
    }

    struct Flow {
        /// What the panel gave in the end, and what of it was refused.
        var panelWatts: Double
        var spilledWatts: Double
        var netWatts: Double
        var isLimited: Bool
        var isBlocked: Bool
    }

    /// Seconds of harvest and load. The sun feeds the load first.
    mutating func pass(seconds: Double, harvestWatts: Double, loadWatts: Double, celsius: Double) -> Flow {
        let surplus = harvestWatts - loadWatts
        let hours = seconds / 3_600
        guard surplus > 0 else {
            wattHours = max(0, wattHours + surplus * hours)
            return Flow(panelWatts: harvestWatts, spilledWatts: 0, netWatts: surplus, isLimited: false, isBlocked: false)
        }
        if let least = noChargeBelowCelsius, celsius < least {
            return Flow(panelWatts: loadWatts, spilledWatts: surplus, netWatts: 0, isLimited: false, isBlocked: true)
        }
        let taken = min(surplus, max(0, (capacityWattHours - wattHours) / hours / chargeEfficiency))
        wattHours = min(capacityWattHours, wattHours + taken * chargeEfficiency * hours)
        return Flow(panelWatts: loadWatts + taken, spilledWatts: surplus - taken, netWatts: taken, isLimited: surplus - taken > 0.01, isBlocked: false)
    }
}
