@testable import EdgePower
import RecordingModel
import Testing

@Suite("The language of upsd")
struct NUTProtocolTests {
    @Test func `Variables are taken with quoted and escaped values`() {
        var variables = NUTVariables(ups: "node")
        #expect(variables.take(line: "BEGIN LIST VAR node") == .more)
        #expect(variables.take(line: #"VAR node ups.mfr "A \"good\" \\ one""#) == .more)
        #expect(variables.take(line: #"VAR node battery.charge "9""#) == .more)
        #expect(variables.take(line: "END LIST VAR node") == .complete)
        #expect(variables.values == ["ups.mfr": #"A "good" \ one"#, "battery.charge": "9"])
    }

    @Test(arguments: ["DATA-STALE", "DRIVER-NOT-CONNECTED", "UNKNOWN-UPS", "ACCESS-DENIED"])
    func `An error is no reading`(word: String) {
        var variables = NUTVariables(ups: "node")
        #expect(variables.take(line: "ERR \(word)") == .refused(word))
    }

    @Test func `What upsd does not say is nonsense`() {
        for line in ["", "HTTP/1.1 400 Bad Request", #"VAR other battery.charge "9""#, #"VAR node battery.charge "9"#, "VAR node battery.charge", #"VAR node a "\"#] {
            var variables = NUTVariables(ups: "node")
            #expect(variables.take(line: line) == .nonsense(line))
        }
    }

    private func readings(_ values: [String: String]) -> [PowerQuantity: Double] {
        var variables = NUTVariables(ups: "u")
        for (name, value) in values { _ = variables.take(line: "VAR u \(name) \"\(value)\"") }
        return Dictionary(uniqueKeysWithValues: variables.readings(source: "ups", bootMilliseconds: 0).map { ($0.quantity, $0.value) })
    }

    @Test func `Status words and numbers become readings`() {
        let onBattery = readings(["ups.status": "OB DISCHRG LB", "battery.charge": "9", "battery.runtime": "60", "battery.current": "1.5", "battery.voltage": "x"])
        #expect(onBattery[.isExternalPowerPresent] == 0 && onBattery[.isBatteryLow] == 1 && onBattery[.secondsToEmpty] == 60 && onBattery[.batteryPercent] == 9)
        #expect(onBattery[.batteryAmperes] == -1.5 && onBattery[.batteryVolts] == nil)
        let online = readings(["ups.status": "OL CHRG", "battery.runtime": "1800"])
        #expect(online[.isExternalPowerPresent] == 1 && online[.isCharging] == 1 && online[.isBatteryLow] == 0 && online[.secondsToEmpty] == nil)
        #expect(readings(["ups.status": "WAIT", "battery.charge": "50"]).isEmpty, "values of before the driver went away")
    }

    @Test func `A server that never ends is bounded`() {
        var variables = NUTVariables(ups: "u")
        for number in 0..<10_000 { _ = variables.take(line: "VAR u v\(number) \"1\"") }
        #expect(variables.values.count == NUTVariables.variablesMax)
    }

    @Test(arguments: 0..<20 as Range<UInt64>)
    func `No line crashes it`(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var variables = NUTVariables(ups: "u")
        for _ in 0..<2_000 {
            let words = ["VAR", "u", "ERR", "\"", "\\", " ", "battery.charge", "BEGIN", "END", "\u{0}", "é", "1e999", "nan"]
            let line = (0..<Int.random(in: 0..<12, using: &random)).map { _ in words.randomElement(using: &random) ?? "" }.joined(separator: Bool.random(using: &random) ? " " : "")
            _ = variables.take(line: line)
        }
        var estimator = EnergyEstimator(battery: .unknown)
        estimator.take(variables.readings(source: "u", bootMilliseconds: 0))
        #expect(estimator.readings.allSatisfy { $0.value.isFinite })
    }
}
