#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif
import RecordingModel
import StorageIO
import SystemPackage

/// A folder of the kernel's attributes: small files, each with one value. Any of them may be absent, or refuse to be read
/// while the device does not answer: both are nil.
struct SysfsFolder {
    static let attributeBytesMax = 8_192

    let path: FilePath

    func text(_ name: String) -> String? {
        guard let bytes = try? RealStorage().read(path.appending(name), limitBytes: Self.attributeBytesMax) else { return nil }
        let text = String(decoding: bytes, as: UTF8.self)
        let line = text.prefix { $0 != "\n" && $0 != "\0" }
        return line.isEmpty ? nil : String(line)
    }

    func integer(_ name: String) -> Int64? { text(name).flatMap { Int64($0) } }

    /// In the unit that the divisor leads to: 1e6 for µV.
    func number(_ name: String, dividedBy divisor: Double) -> Double? { integer(name).map { Double($0) / divisor } }

    var exists: Bool { (try? RealStorage().list(path)) != nil }
}

/// A device below `/sys/class/hwmon`, found by what its `name` file says: the numbers of the folders change from boot to boot.
enum Hwmon {
    /// - Parameter chip: `ina219`; where there are several, with the device's address behind an `@`: `ina219@1-0041`.
    static func find(chip: String, root: FilePath) throws -> SysfsFolder {
        let parent = root.appending("sys/class/hwmon")
        let parts = chip.split(separator: "@", maxSplits: 1).map(String.init)
        let entries = ((try? RealStorage().list(parent)) ?? []).sorted().map { SysfsFolder(path: parent.appending($0)) }
        let named = entries.filter { $0.text("name") == parts.first }
        let found = parts.count < 2 ? named : named.filter { deviceName($0.path) == parts[1] }
        guard let first = found.first else {
            let known = entries.compactMap { $0.text("name") }.joined(separator: ", ")
            throw PowerSourceProblem("no sensor called \(chip) is in \(parent) (there are: \(known.isEmpty ? "none" : known)); is its driver loaded?")
        }
        guard found.count == 1 else {
            let names = found.compactMap { deviceName($0.path).map { "\(parts[0])@\($0)" } }.joined(separator: ", ")
            throw PowerSourceProblem("\(found.count) sensors are called \(chip); name one of \(names)")
        }
        return first
    }

    private static func deviceName(_ path: FilePath) -> String? {
        var target = [UInt8](repeating: 0, count: 1_024)
        let count = readlink(path.appending("device").string, &target, target.count)
        return count > 0 ? FilePath(String(decoding: target.prefix(count), as: UTF8.self)).lastComponent?.string : nil
    }
}

/// What a Linux `power_supply` device tells (kernel, `Documentation/ABI/testing/sysfs-class-power`): µV, µA, µW, µWh, 0.1 °C.
package enum PowerSupplyFolder {
    package static func readings(in path: FilePath, source: String, bootMilliseconds: Int64) -> [PowerReading] {
        let folder = SysfsFolder(path: path)
        var batch = ReadingBatch(source: source, bootMilliseconds: bootMilliseconds)
        let type = folder.text("type")
        if type == "Mains" || type == "USB" || type == "Wireless" {
            batch.add(.isExternalPowerPresent, folder.integer("online").map { $0 > 0 })
        } else {
            addBattery(folder, to: &batch)
        }
        return batch.readings
    }

    private static func addBattery(_ folder: SysfsFolder, to batch: inout ReadingBatch) {
        let status = folder.text("status")
        let volts = folder.number("voltage_now", dividedBy: 1e6) ?? folder.number("voltage_avg", dividedBy: 1e6)
        var amperes = folder.number("current_now", dividedBy: 1e6) ?? folder.number("current_avg", dividedBy: 1e6)
        if amperes == nil, let watts = folder.number("power_now", dividedBy: 1e6), let volts, volts > 0 { amperes = watts / volts }
        batch.add(.batteryVolts, volts)
        batch.add(.batteryAmperes, signedAmperes(amperes, isDischarging: status == "Discharging", isCharging: status == "Charging"), .medium)
        batch.add(.batteryPercent, percent(folder), (folder.integer("capacity_error_margin") ?? 0) < 50 ? .medium : .low)
        batch.add(.batteryCelsius, folder.number("temp", dividedBy: 10))
        batch.add(.batteryHealthPercent, health(folder), .medium)
        if status == "Discharging" { batch.add(.secondsToEmpty, (folder.integer("time_to_empty_now") ?? folder.integer("time_to_empty_avg")).map(Double.init), .medium) }
        batch.add(.isCharging, status.flatMap { $0 == "Unknown" ? nil : $0 == "Charging" })
        batch.add(.isBatteryLow, folder.text("capacity_level").flatMap { $0 == "Unknown" ? nil : $0 == "Critical" || $0 == "Low" })
        batch.add(.isChargeBlocked, folder.text("health").map { ($0 == "Cold" || $0 == "Overheat" || $0 == "Hot") && status == "Not charging" })
        if folder.text("type") == "UPS" { batch.add(.isExternalPowerPresent, folder.integer("online").map { $0 > 0 }) }
    }

    private static func percent(_ folder: SysfsFolder) -> Double? {
        if let percent = folder.integer("capacity") { return Double(percent) }
        return ratio(folder, "energy_now", "energy_full") ?? ratio(folder, "charge_now", "charge_full")
    }

    private static func health(_ folder: SysfsFolder) -> Double? {
        ratio(folder, "energy_full", "energy_full_design") ?? ratio(folder, "charge_full", "charge_full_design")
    }

    private static func ratio(_ folder: SysfsFolder, _ part: String, _ whole: String) -> Double? {
        guard let part = folder.integer(part), let whole = folder.integer(whole), whole > 0 else { return nil }
        return Double(part) / Double(whole) * 100
    }
}

/// Where a current sensor stands in the circuit.
package enum PowerPlace: String, Hashable, Sendable, CaseIterable {
    case battery, panel, load
}

/// An INA219, 226 or a relative through its hwmon driver (kernel, `Documentation/hwmon/ina2xx.rst`): bus in mV, mA, µW.
package enum CurrentSensorFolder {
    /// - Parameter isReversed: the shunt is the other way round: amperes out of the battery read positive.
    package static func readings(in path: FilePath, measures: PowerPlace, isReversed: Bool, source: String, bootMilliseconds: Int64) -> [PowerReading] {
        let folder = SysfsFolder(path: path)
        var batch = ReadingBatch(source: source, bootMilliseconds: bootMilliseconds)
        let volts = folder.number("in1_input", dividedBy: 1e3)
        let amperes = folder.number("curr1_input", dividedBy: 1e3).map { isReversed ? -$0 : $0 }
        // The chip's own power has no sign.
        let watts = folder.number("power1_input", dividedBy: 1e6) ?? volts.flatMap { volts in amperes.map { abs(volts * $0) } }
        switch measures {
        case .battery:
            batch.add(.batteryVolts, volts)
            batch.add(.batteryAmperes, amperes)
        case .panel:
            batch.add(.panelVolts, volts)
            batch.add(.panelAmperes, amperes)
            batch.add(.panelWatts, watts)
        case .load:
            batch.add(.loadVolts, volts)
            batch.add(.loadAmperes, amperes)
            batch.add(.loadWatts, watts)
        }
        return batch.readings
    }
}
