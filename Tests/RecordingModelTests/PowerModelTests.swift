import Foundation
import RecordingModel
import Testing

@Suite("What is said of energy")
struct PowerModelTests {
    private let estimate = EnergyEstimate(
        bootMilliseconds: 1, batteryPercent: 31.4, batteryConfidence: .high, batteryBasis: "shunt", batteryVolts: 12.55, batteryWatts: -4.24, panelWatts: 0, loadWatts: 4.2)

    @Test("A report in words, line by line, and nothing of what is not known")
    func words() {
        let report = PowerReport(
            state: .reduced, sinceUnixMilliseconds: 1, reason: "31 % battery", estimate: estimate, readingAgeMilliseconds: 12_000, forecastPercentAtSunrise: 22.6,
            nextSunriseUnixMilliseconds: 2, hoursToHibernation: 14, darkUntilUnixMilliseconds: nil, alerts: [.init(kind: "panel-weak", sentence: "The panel gives a third", sinceUnixMilliseconds: 3)])
        #expect(
            report.lines { "t\($0)" }.map { "\($0.name): \($0.text)" } == [
                "energy: S2 Reduced since t1: 31 % battery", "battery: 31 % (shunt), 12.6 V, -4.2 W; 12 s old", "power: panel 0.0 W, load 4.2 W",
                "forecast: 23 % at the next sunrise, t2", "hibernates in: 14.0 h", "alert: The panel gives a third, since t3",
            ])
        let empty = PowerReport(state: .blind, sinceUnixMilliseconds: 1, reason: "no readings for 60 s")
        #expect(empty.lines { "t\($0)" }.map(\.text) == ["SX Blind since t1: no readings for 60 s", "no valid reading"])
        let record = PowerRecord(from: .sparse, state: .hibernate, reason: "11 % battery", estimate: estimate, darkUntilUnixMilliseconds: 7)
        #expect(record.words { "t\($0)" } == "S3 Sparse to S4 Hibernate: 11 % battery; battery 31 % (shunt), 12.6 V, -4.2 W, panel 0.0 W, load 4.2 W; dark until t7")
        #expect(AmountText.number(-0.04) == "0.0" || AmountText.number(-0.04) == "-0.0")
        #expect(AmountText.number(-4.25) == "-4.3" && AmountText.number(-0.4, decimals: 0) == "0" && AmountText.number(99.96) == "100.0")
    }

    @Test("What cannot be is not taken: no number, a number of no battery, too many alerts, a text too long")
    func bounds() {
        var report = PowerReport(state: .full, sinceUnixMilliseconds: 1, reason: "", estimate: estimate)
        #expect(report.isPlausible)
        report.estimate?.batteryPercent = 101
        #expect(!report.isPlausible)
        report.estimate?.batteryPercent = .nan
        #expect(!report.isPlausible)
        report.estimate = nil
        report.alerts = Array(repeating: .init(kind: "x", sentence: "y"), count: PowerReport.alertsMax + 1)
        #expect(!report.isPlausible)
        report.alerts = []
        report.hoursToHibernation = -1
        #expect(!report.isPlausible)
        report.hoursToHibernation = nil
        #expect(report.isPlausible)
        report.darkUntilUnixMilliseconds = .max
        #expect(!report.isPlausible)
        #expect(!PowerRecord(from: nil, state: .full, reason: String(repeating: "x", count: 1_025), estimate: nil).isPlausible)
    }

    @Test("A status with energy is read by a program that knows none of it, and one without by this one")
    func earlierPeers() throws {
        struct EarlierStatus: Codable, Equatable {
            var software: String
            var bootID: String
            var uptimeMilliseconds: Int64
            var cameras: [CameraHealth]
        }
        let wall = WallEstimate(unixMilliseconds: 5, source: .ntp, uncertaintyMilliseconds: 20)
        let status = NodeStatus(
            software: "a", bootID: "b", uptimeMilliseconds: 3, clock: wall, disk: nil, cameras: [], power: PowerReport(state: .full, sinceUnixMilliseconds: 1, reason: "r", estimate: estimate))
        let bytes = try JSONEncoder().encode(status)
        #expect(try JSONDecoder().decode(EarlierStatus.self, from: bytes) == EarlierStatus(software: "a", bootID: "b", uptimeMilliseconds: 3, cameras: []))
        #expect(try JSONDecoder().decode(NodeStatus.self, from: bytes) == status)
        var without = status
        without.power = nil
        let plain = try JSONEncoder().encode(without)
        #expect(!String(decoding: plain, as: UTF8.self).contains("power"))
        #expect(try JSONDecoder().decode(NodeStatus.self, from: plain) == without)
    }
}
