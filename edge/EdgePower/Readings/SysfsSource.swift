import Logging
import RecordingModel
import SystemPackage

/// Reads attributes of the kernel again and again.
struct SysfsSource: PowerSource {
    enum Kind: Sendable {
        case powerSupply(name: String)
        case hwmon(chip: String, measures: PowerPlace, isReversed: Bool)
        case raspberryPi
    }

    static let pollMilliseconds: Int64 = 5_000
    /// The kernel looks at the Raspberry Pi's supply every two seconds.
    static let raspberryPiPollMilliseconds: Int64 = 2_000

    let name: String
    let kind: Kind
    let root: FilePath
    let clocks: any Clocks
    let logger: Logger
    let pollMilliseconds: Int64

    init(name: String, kind: Kind, root: FilePath, clocks: any Clocks, logger: Logger, pollMilliseconds: Int64? = nil) {
        self.name = name
        self.kind = kind
        self.root = root
        self.clocks = clocks
        self.logger = logger
        if case .raspberryPi = kind {
            self.pollMilliseconds = pollMilliseconds ?? Self.raspberryPiPollMilliseconds
        } else {
            self.pollMilliseconds = pollMilliseconds ?? Self.pollMilliseconds
        }
    }

    func run(_ deliver: @escaping @Sendable ([PowerReading]) -> Void, stop: PowerStop) {
        PowerSessions(source: name, logger: logger, stop: stop).run { worked in
            let folder = try find()
            while !stop.isSet {
                let readings = readings(in: folder)
                guard !readings.isEmpty else { throw PowerSourceProblem("\(folder.path) has no attribute that can be read; the device may be gone") }
                worked()
                deliver(readings)
                if stop.wait(milliseconds: pollMilliseconds) { return }
            }
        }
    }

    private func find() throws -> SysfsFolder {
        switch kind {
        case .powerSupply(let supply):
            let folder = SysfsFolder(path: root.appending("sys/class/power_supply").appending(supply))
            guard folder.exists else { throw PowerSourceProblem("there is no \(folder.path); is its driver loaded?") }
            return folder
        case .hwmon(let chip, _, _): return try Hwmon.find(chip: chip, root: root)
        case .raspberryPi: return try Hwmon.find(chip: "rpi_volt", root: root)
        }
    }

    private func readings(in folder: SysfsFolder) -> [PowerReading] {
        let now = clocks.now().bootMilliseconds
        switch kind {
        case .powerSupply: return PowerSupplyFolder.readings(in: folder.path, source: name, bootMilliseconds: now)
        case .hwmon(_, let measures, let isReversed):
            return CurrentSensorFolder.readings(in: folder.path, measures: measures, isReversed: isReversed, source: name, bootMilliseconds: now)
        case .raspberryPi:
            var batch = ReadingBatch(source: name, bootMilliseconds: now)
            // Below 4.63 V ± 5 %; boards without the detector (Zero) have no such sensor.
            batch.add(.isUnderVoltage, folder.integer("in0_lcrit_alarm").map { $0 != 0 })
            return batch.readings
        }
    }
}
