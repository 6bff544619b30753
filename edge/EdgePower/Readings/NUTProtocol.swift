import RecordingModel

/// The answer to `LIST VAR <ups>` of a Network UPS Tools server (NUT developer guide, "Network protocol information", version 1.3).
package struct NUTVariables: Sendable {
    package enum Step: Equatable, Sendable {
        case more, complete
        /// `DATA-STALE`, `DRIVER-NOT-CONNECTED`, `UNKNOWN-UPS`, `ACCESS-DENIED` …
        case refused(String)
        case nonsense(String)
    }

    /// The longest line and the most variables that are taken; real devices have about 60.
    package static let lineBytesMax = 2_048
    package static let variablesMax = 512

    package private(set) var values: [String: String] = [:]
    private let ups: String

    package init(ups: String) { self.ups = ups }

    package mutating func take(line: String) -> Step {
        guard let words = Self.words(line), let first = words.first else { return .nonsense(line) }
        switch first {
        case "ERR": return .refused(words.count > 1 ? words[1] : "an error without a name")
        case "BEGIN": return .more
        case "END": return .complete
        case "VAR":
            guard words.count == 4, words[1] == ups else { return .nonsense(line) }
            if values.count < Self.variablesMax { values[words[2]] = words[3] }
            return .more
        default: return .nonsense(line)
        }
    }

    /// Words parted by spaces; one in quotation marks may hold spaces, and `"` and `\` behind a `\`. Nil where a mark is not closed.
    static func words(_ line: String) -> [String]? {
        var words: [String] = []
        var word = ""
        var isWord = false
        var isQuoted = false
        var isEscaped = false
        for character in line {
            if isEscaped {
                word.append(character)
                isEscaped = false
            } else if isQuoted {
                switch character {
                case "\\": isEscaped = true
                case "\"": isQuoted = false
                default: word.append(character)
                }
            } else if character == "\"" {
                isQuoted = true
                isWord = true
            } else if character == " " {
                if isWord { words.append(word) }
                word = ""
                isWord = false
            } else {
                word.append(character)
                isWord = true
            }
        }
        guard !isQuoted, !isEscaped else { return nil }
        if isWord { words.append(word) }
        return words
    }

    package func readings(source: String, bootMilliseconds: Int64) -> [PowerReading] {
        var batch = ReadingBatch(source: source, bootMilliseconds: bootMilliseconds)
        func number(_ name: String) -> Double? { values[name].flatMap { Double($0) } }
        let status = values["ups.status"].map { Set($0.split(separator: " ").map(String.init)) }
        // The driver is gone or not there yet, and the values are of before.
        if status?.contains("WAIT") ?? false { return [] }
        let isOnBattery = status?.contains("OB") ?? false
        let isDischarging = isOnBattery || status?.contains("DISCHRG") ?? false
        let isCharging = !isOnBattery && status?.contains("CHRG") ?? false
        batch.add(.batteryVolts, number("battery.voltage"))
        batch.add(.batteryAmperes, signedAmperes(number("battery.current"), isDischarging: isDischarging, isCharging: isCharging), .medium)
        batch.add(.batteryPercent, number("battery.charge"), .medium)
        batch.add(.batteryCelsius, number("battery.temperature"))
        batch.add(.loadWatts, number("ups.realpower"))
        // While mains is there, how long the battery would last is not how long it will.
        if isOnBattery { batch.add(.secondsToEmpty, number("battery.runtime"), .medium) }
        guard let status, !status.isEmpty else { return batch.readings }
        if isOnBattery || status.contains("OL") { batch.add(.isExternalPowerPresent, !isOnBattery) }
        batch.add(.isCharging, isCharging)
        batch.add(.isBatteryLow, status.contains("LB"))
        batch.add(.isLoadCut, status.contains("OFF") || status.contains("FSD"))
        return batch.readings
    }
}
