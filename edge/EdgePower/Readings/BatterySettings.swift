/// What the node is told of its battery.
package struct BatterySettings: Hashable, Sendable {
    package enum Chemistry: String, Sendable, CaseIterable, Hashable {
        case leadAcid = "lead-acid"
        case lifepo4
        case liIon = "li-ion"
        case none
    }

    package var chemistry: Chemistry
    /// 0: not known. Then nothing is counted, and no time to empty follows from the draw.
    package var capacityWattHours: Double
    package var nominalVolts: Double
    /// Where the controller cuts the loads off.
    package var cutoffVolts: Double

    /// - Parameters:
    ///   - nominalVolts: nil for one 12 V battery of the chemistry; one cell for lithium-ion.
    ///   - cutoffVolts: nil for what controllers do by default: 11.1 V for lead-acid, 12.0 V for LiFePO4, 3.3 V a lithium-ion cell, in
    ///     proportion to the nominal voltage.
    package init(chemistry: Chemistry, capacityWattHours: Double = 0, nominalVolts: Double? = nil, cutoffVolts: Double? = nil) {
        self.chemistry = chemistry
        self.capacityWattHours = capacityWattHours
        let typical = chemistry.typicalVolts
        self.nominalVolts = nominalVolts ?? typical.nominal
        self.cutoffVolts = cutoffVolts ?? (typical.nominal > 0 ? typical.cutoff * self.nominalVolts / typical.nominal : 0)
    }

    /// Nothing is known of a battery, or there is none.
    package static let unknown = BatterySettings(chemistry: .none)

    package var problems: [String] {
        guard chemistry != .none else { return [] }
        var problems: [String] = []
        if !(capacityWattHours >= 0 && capacityWattHours <= 1_000_000) {
            problems.append("the battery's capacity is \(capacityWattHours) Wh; it must be from 0 (not known) to 1000000")
        }
        if !(nominalVolts >= 1 && nominalVolts <= 1_000) {
            problems.append("the battery's nominal voltage is \(nominalVolts) V; it must be from 1 to 1000")
        } else if !(cutoffVolts > nominalVolts * 0.5 && cutoffVolts < nominalVolts * 1.1) {
            problems.append("the battery's cut-off is \(cutoffVolts) V; it must be between half of its \(nominalVolts) V and a tenth above")
        }
        return problems
    }

    /// The share of the capacity that lies below the cut-off and cannot be had, 0 to 100.
    var percentAtCutoff: Double { restPercent(volts: cutoffVolts) ?? 0 }

    /// The state of charge of a battery that rests. Nil where voltage tells nothing: LiFePO4 holds 13.2 V from 90 to 30 %.
    func restPercent(volts: Double) -> Double? {
        guard chemistry == .leadAcid, nominalVolts > 0 else { return nil }
        let volts = volts * 12 / nominalVolts
        let table = Self.leadAcidRest
        guard let first = table.first, let last = table.last else { return nil }
        if volts >= first.volts { return first.percent }
        if volts <= last.volts { return last.percent }
        for (upper, lower) in zip(table, table.dropFirst()) where volts >= lower.volts {
            return lower.percent + (volts - lower.volts) / (upper.volts - lower.volts) * (upper.percent - lower.percent)
        }
        return nil
    }

    /// At a voltage like this with little current flowing in, the battery is full.
    var fullVolts: Double? {
        switch chemistry {
        case .leadAcid: nominalVolts * 13.6 / 12
        case .lifepo4: nominalVolts * 13.8 / 12.8
        case .liIon: nominalVolts * 4.15 / 3.7
        case .none: nil
        }
    }

    /// Within this of the cut-off nothing may be recorded: 0.3 V on a 12 V battery.
    var warningVolts: Double? { chemistry == .none ? nil : cutoffVolts + 0.3 * nominalVolts / chemistry.typicalVolts.twelveVolts }

    /// Below it the battery takes no charge; nil where it does.
    var chargeBlockedBelowCelsius: Double? { chemistry == .lifepo4 || chemistry == .liIon ? 0 : nil }

    /// How much of what goes in comes out again (lead-acid 0.85, lithium 0.97; usual figures of makers).
    var chargeEfficiency: Double { chemistry == .leadAcid ? 0.85 : 0.97 }

    /// Open-circuit voltage of a 12 V lead-acid battery at 25 °C after hours of rest (makers' tables).
    private static let leadAcidRest: [(volts: Double, percent: Double)] = [
        (12.7, 100), (12.5, 90), (12.42, 80), (12.32, 70), (12.20, 60), (12.06, 50), (11.9, 40), (11.75, 30), (11.58, 20), (11.31, 10), (10.5, 0),
    ]
}

extension BatterySettings.Chemistry {
    /// - twelveVolts: what a battery of the 12 V class has by name.
    fileprivate var typicalVolts: (nominal: Double, cutoff: Double, twelveVolts: Double) {
        switch self {
        case .leadAcid: (12, 11.1, 12)
        case .lifepo4: (12.8, 12.0, 12.8)
        case .liIon: (3.7, 3.3, 11.1)
        case .none: (0, 0, 12)
        }
    }
}
