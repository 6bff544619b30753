@testable import EdgePower
import Foundation
import RecordingModel
import SystemPackage
import TestSupport
import Testing

@Suite("Attributes of the kernel")
struct SysfsTests {
    private func folder(_ path: String, _ attributes: [String: String], in root: TemporaryDirectory) throws {
        try FileManager.default.createDirectory(atPath: root.path(path), withIntermediateDirectories: true)
        for (name, value) in attributes { try root.write(value + "\n", to: "\(path)/\(name)") }
    }

    private func readings(_ attributes: [String: String]) throws -> [PowerQuantity: PowerReading] {
        let root = try TemporaryDirectory("sysfs")
        try folder("x", attributes, in: root)
        let readings = PowerSupplyFolder.readings(in: FilePath(root.path("x")), source: "x", bootMilliseconds: 0)
        return Dictionary(uniqueKeysWithValues: readings.map { ($0.quantity, $0) })
    }

    @Test func `A battery's attributes come in volts, amperes and degrees`() throws {
        let all = try readings([
            "type": "Battery", "status": "Discharging", "capacity": "47", "voltage_now": "12345000", "current_now": "1500000", "temp": "-73", "time_to_empty_now": "5400",
            "capacity_level": "Low", "energy_full": "45000000", "energy_full_design": "50000000", "health": "Good",
        ])
        #expect(all[.batteryPercent]?.value == 47 && all[.batteryPercent]?.confidence == .medium && all[.batteryVolts]?.value == 12.345)
        #expect(all[.batteryAmperes]?.value == -1.5, "some drivers give no sign; the status does")
        #expect(all[.batteryCelsius]?.value == -7.3 && all[.secondsToEmpty]?.value == 5_400 && all[.isBatteryLow]?.value == 1 && all[.isCharging]?.value == 0)
        #expect(all[.batteryHealthPercent]?.value == 90 && all[.isChargeBlocked]?.value == 0)
    }

    @Test func `Any attribute may be absent, empty or nonsense`() throws {
        #expect(try readings(["type": "Battery"]).isEmpty)
        #expect(try readings([:]).isEmpty)
        let odd = try readings(["type": "Battery", "capacity": "many", "voltage_now": "", "status": "Unknown", "charge_now": "30", "charge_full": "60"])
        #expect(Set(odd.keys) == [.batteryPercent] && odd[.batteryPercent]?.value == 50)
        #expect(try readings(["type": "Battery", "capacity": "50", "capacity_error_margin": "100"])[.batteryPercent]?.confidence == .low)
        #expect(try readings(["type": "Battery", "power_now": "24000000", "voltage_now": "12000000", "status": "Charging"])[.batteryAmperes]?.value == 2)
        #expect(try readings(["type": "Battery", "health": "Cold", "status": "Not charging"])[.isChargeBlocked]?.value == 1)
        #expect(try readings(["type": "Mains", "online": "1"])[.isExternalPowerPresent]?.value == 1)
    }

    @Test func `A sensor is found by its name, wherever it stands`() async throws {
        let root = try TemporaryDirectory("sysfs")
        try folder("sys/class/hwmon/hwmon0", ["name": "coretemp"], in: root)
        try folder("sys/class/hwmon/hwmon7", ["name": "ina219", "in1_input": "13120", "curr1_input": "-1450", "power1_input": "19000000"], in: root)
        let battery = Measured(.hwmon(chip: "ina219"), root: root.path)
        try await battery.wait(for: "the sensor") { $0.value(.batteryAmperes) == -1.45 && $0.value(.batteryVolts) == 13.12 }
        let reversed = Measured(.hwmon(chip: "ina219", measures: .battery, isReversed: true), root: root.path)
        try await reversed.wait(for: "the sensor") { $0.value(.batteryAmperes) == 1.45 }
        let panel = Measured(.hwmon(chip: "ina219", measures: .panel), root: root.path)
        try await panel.wait(for: "the sensor") { $0.value(.panelWatts) == 19 }
    }

    @Test func `Of two sensors of a name the address tells which`() throws {
        let root = try TemporaryDirectory("sysfs")
        for (number, address) in [(0, "1-0040"), (1, "1-0041")] {
            try folder("sys/class/hwmon/hwmon\(number)", ["name": "ina219", "in1_input": "\(number)000"], in: root)
            try folder("devices/\(address)", [:], in: root)
            try FileManager.default.createSymbolicLink(atPath: root.path("sys/class/hwmon/hwmon\(number)/device"), withDestinationPath: "../../../../devices/\(address)")
        }
        #expect(try Hwmon.find(chip: "ina219@1-0041", root: FilePath(root.path)).integer("in1_input") == 1_000)
        let error = #expect(throws: PowerSourceProblem.self) { try Hwmon.find(chip: "ina219", root: FilePath(root.path)) }
        #expect(error?.description.contains("ina219@1-0040, ina219@1-0041") == true)
        #expect(throws: PowerSourceProblem.self) { try Hwmon.find(chip: "ina226", root: FilePath(root.path)) }
    }

    @Test func `A device that comes later and an alarm that goes on and off are followed`() async throws {
        let root = try TemporaryDirectory("sysfs")
        let measured = Measured(.raspberryPi, root: root.path)
        try folder("sys/class/hwmon/hwmon1", ["in0_lcrit_alarm": "0", "name": "rpi_volt"], in: root)
        try await measured.wait(for: "the detector") { $0.value(.isUnderVoltage) == 0 }
        try root.write("1\n", to: "sys/class/hwmon/hwmon1/in0_lcrit_alarm")
        try await measured.wait(for: "the alarm") { $0.value(.isUnderVoltage) == 1 }
        #expect(measured.monitor.estimate()?.isUnderVoltage == true)
    }
}
