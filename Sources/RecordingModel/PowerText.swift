extension PowerState {
    /// As its reasons begin: "Reduced: 31 % battery".
    package var word: String {
        switch self {
        case .surplus: "Surplus"
        case .full: "Full"
        case .reduced: "Reduced"
        case .sparse: "Sparse"
        case .hibernate: "Hibernate"
        case .halt: "Halt"
        case .blind: "Blind"
        }
    }

    /// `S2 Reduced`
    package var name: String { "\(code) \(word)" }
}

extension EnergyEstimate {
    /// `31 % (shunt), 12.6 V, -4.2 W, 21 °C`; what is not known is left out.
    package var batteryWords: String {
        let flags = [
            isExternalPowerPresent ? "outside supply" : nil, isHarvestLimited ? "full, harvest thrown away" : nil, isChargeBlocked ? "charge blocked" : nil,
            isUnderVoltage ? "under-voltage" : nil, isBatteryLow ? "low" : nil,
        ]
        let words =
            [
                batteryPercent.map { "\(AmountText.number($0, decimals: 0)) %\(batteryBasis.isEmpty ? "" : " (\(batteryBasis))")" },
                batteryVolts.map { "\(AmountText.number($0)) V" }, batteryWatts.map { "\(AmountText.number($0)) W" }, batteryCelsius.map { "\(AmountText.number($0, decimals: 0)) \u{b0}C" },
            ] + flags
        let known = words.compactMap(\.self)
        return known.isEmpty ? "not known" : known.joined(separator: ", ")
    }

    /// `panel 34 W, load 8.2 W`
    package var flowWords: String? {
        let words = [panelWatts.map { "panel \(AmountText.number($0)) W" }, loadWatts.map { "load \(AmountText.number($0)) W" }].compactMap(\.self)
        return words.isEmpty ? nil : words.joined(separator: ", ")
    }
}

extension PowerReport {
    package struct Line: Hashable, Sendable {
        package var name: String
        package var text: String
    }

    /// What a maintainer asks first, a line each; what is not known is left out.
    /// - Parameter time: how the reader's other times are written.
    package func lines(_ time: (_ unixMilliseconds: Int64) -> String) -> [Line] {
        func line(_ name: String, _ text: String?) -> Line? { text.map { Line(name: name, text: $0) } }
        let sunrise = forecastPercentAtSunrise.map { "\(AmountText.number($0, decimals: 0)) % at the next sunrise\(nextSunriseUnixMilliseconds.map { ", \(time($0))" } ?? "")" }
        let known: [Line?] = [
            line("energy", "\(state.name) since \(time(sinceUnixMilliseconds)): \(reason)"),
            line("battery", (estimate?.batteryWords ?? "no valid reading") + (readingAgeMilliseconds.map { "; \(AmountText.roughly(seconds: $0 / 1_000)) old" } ?? "")),
            line("power", estimate?.flowWords), line("forecast", sunrise),
            line("hibernates in", hoursToHibernation.map { AmountText.roughly(seconds: Int64($0 * 3_600)) }), line("dark until", darkUntilUnixMilliseconds.map(time)),
        ]
        return known.compactMap(\.self) + alerts.map { Line(name: "alert", text: $0.sentence + ($0.sinceUnixMilliseconds.map { ", since \(time($0))" } ?? "")) }
    }
}

extension PowerRecord {
    /// `S1 Full to S2 Reduced: 54 % battery; battery 54 % (shunt), 12.4 V; dark until …`
    package func words(_ time: (_ unixMilliseconds: Int64) -> String) -> String {
        let battery = estimate.map { "; battery \($0.batteryWords)\($0.flowWords.map { ", \($0)" } ?? "")" } ?? ""
        return "\(from.map { "\($0.name) to " } ?? "")\(state.name): \(reason)\(battery)\(darkUntilUnixMilliseconds.map { "; dark until \(time($0))" } ?? "")"
    }
}

extension PowerReport {
    /// By a clock that differs from the node's by so much.
    package func moved(byMilliseconds offset: Int64) -> PowerReport {
        var report = self
        report.sinceUnixMilliseconds = max(0, sinceUnixMilliseconds + offset)
        report.nextSunriseUnixMilliseconds = nextSunriseUnixMilliseconds.map { max(0, $0 + offset) }
        report.darkUntilUnixMilliseconds = darkUntilUnixMilliseconds.map { max(0, $0 + offset) }
        for index in report.alerts.indices { report.alerts[index].sinceUnixMilliseconds = alerts[index].sinceUnixMilliseconds.map { max(0, $0 + offset) } }
        return report
    }
}
