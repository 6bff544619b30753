import Logging
import RecordingModel
import SystemPackage

/// Where the node learns of its energy, as its configuration says.
package enum PowerSourceSettings: Hashable, Sendable {
    /// A folder of `/sys/class/power_supply`: `BAT0`.
    case powerSupply(name: String)
    /// A current sensor by what its `name` file says: `ina219`, or `ina219@1-0041` where there are several.
    case hwmon(chip: String, measures: PowerPlace = .battery, isReversed: Bool = false)
    /// A Victron device on a VE.Direct cable: `/dev/serial/by-id/…`.
    case veDirect(device: FilePath)
    /// An EPEver Tracer on RS-485.
    case epever(device: FilePath, unit: Int = 1)
    /// A UPS of a Network UPS Tools server.
    case nut(host: String, port: Int = 3493, ups: String)
    /// The under-voltage detector of a Raspberry Pi.
    case raspberryPi
    /// What another program writes, in the form of `ReadingsJSON`.
    case file(path: FilePath)
    /// A recording, for tests and demonstrations.
    case replay(path: FilePath, speed: Double = 1)

    package var problems: [String] {
        switch self {
        case .powerSupply(let name):
            return Self.isPlainName(name) ? [] : ["\"\(name)\" is no name of a folder in /sys/class/power_supply"]
        case .hwmon(let chip, _, _):
            let parts = chip.split(separator: "@", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            return parts.allSatisfy(Self.isPlainName) ? [] : ["\"\(chip)\" is no name of a sensor; write ina219, or ina219@1-0041 where there are several"]
        case .veDirect(let device): return Self.problems(path: device, of: "the serial port")
        case .epever(let device, let unit):
            return Self.problems(path: device, of: "the serial port")
                + ((1...247).contains(unit) ? [] : ["unit \(unit) is no Modbus address; it must be from 1 to 247"])
        case .nut(let host, let port, let ups):
            var problems: [String] = []
            if host.isEmpty || host.contains(where: \.isWhitespace) { problems.append("\"\(host)\" is no name of a host") }
            if !(1...65_535).contains(port) { problems.append("\(port) is no port; upsd listens on 3493") }
            if !Self.isPlainName(ups) { problems.append("\"\(ups)\" is no name of a UPS; `upsc -l` lists them") }
            return problems
        case .raspberryPi: return []
        case .file(let path): return Self.problems(path: path, of: "the file of readings")
        case .replay(let path, let speed):
            return Self.problems(path: path, of: "the recording")
                + (speed >= 0.001 && speed <= 100_000 ? [] : ["the speed of a recording is \(speed); it must be from 0.001 to 100000"])
        }
    }

    /// - Parameters:
    ///   - named: as readings and messages call it.
    ///   - root: where `/sys` is; another one in tests.
    package func open(named name: String, clocks: any Clocks, root: FilePath = "/", logger: Logger) -> any PowerSource {
        switch self {
        case .powerSupply(let supply): SysfsSource(name: name, kind: .powerSupply(name: supply), root: root, clocks: clocks, logger: logger)
        case .hwmon(let chip, let measures, let isReversed):
            SysfsSource(name: name, kind: .hwmon(chip: chip, measures: measures, isReversed: isReversed), root: root, clocks: clocks, logger: logger)
        case .raspberryPi: SysfsSource(name: name, kind: .raspberryPi, root: root, clocks: clocks, logger: logger)
        case .veDirect(let device): VEDirectSource(name: name, device: device, clocks: clocks, logger: logger)
        case .epever(let device, let unit):
            EPEverSource(name: name, device: device, unit: UInt8(clamping: unit), clocks: clocks, logger: logger)
        case .nut(let host, let port, let ups): NUTSource(name: name, host: host, port: port, ups: ups, clocks: clocks, logger: logger)
        case .file(let path): FileSource(name: name, path: path, clocks: clocks, logger: logger)
        case .replay(let path, let speed): ReplaySource(name: name, path: path, speed: speed, clocks: clocks, logger: logger)
        }
    }

    /// A name that leads out of no folder and breaks no line.
    private static func isPlainName(_ name: String) -> Bool {
        !name.isEmpty && name.utf8.count <= 64 && name != "." && name != ".."
            && name.utf8.allSatisfy { (0x21...0x7E).contains($0) && $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: "\"") && $0 != UInt8(ascii: "\\") }
    }

    private static func problems(path: FilePath, of what: String) -> [String] {
        path.isAbsolute ? [] : ["\(what) \"\(path)\" must be an absolute path"]
    }
}
