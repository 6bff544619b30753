import Logging
import RecordingModel
import SystemPackage

/// The meaning of what a Victron device says. Units and labels: Victron, "VE.Direct Protocol", version 3.34.
package struct VEDirectReader: Sendable {
    private let source: String
    /// By the last block of text: only a shunt measures a state of charge.
    private var isShunt = false

    package init(source: String) { self.source = source }

    package mutating func readings(_ outputs: [VEDirectParser.Output], bootMilliseconds: Int64) -> [PowerReading] {
        var batch = ReadingBatch(source: source, bootMilliseconds: bootMilliseconds)
        for output in outputs {
            switch output {
            case .block(let block): add(block, to: &batch)
            case .register(let register): add(register, to: &batch)
            }
        }
        return batch.readings
    }

    private mutating func add(_ block: VEDirectBlock, to batch: inout ReadingBatch) {
        func number(_ label: String, dividedBy divisor: Double = 1) -> Double? { block.integer(label).map { Double($0) / divisor } }
        let isCharger = block.fields["VPV"] != nil || block.fields["PPV"] != nil
        if block.fields["V"] != nil { isShunt = !isCharger && (block.fields["SOC"] != nil || block.fields["CE"] != nil) }

        batch.add(.batteryVolts, number("V", dividedBy: 1_000))
        // A charger sees what goes through it and not what other loads draw from the battery.
        batch.add(.batteryAmperes, number("I", dividedBy: 1_000), isShunt ? .high : .medium)
        batch.add(.batteryCelsius, number("T"))
        batch.add(.batteryPercent, number("SOC", dividedBy: 10))
        batch.add(.consumedAmpereHours, number("CE", dividedBy: -1_000))
        // -1: at this draw it lasts for ever.
        batch.add(.secondsToEmpty, block.integer("TTG").flatMap { $0 >= 0 ? Double($0) * 60 : nil })
        if let alarms = block.integer("AR"), isShunt {
            // Bit 0: low voltage, bit 2: low state of charge.
            batch.add(.isBatteryLow, alarms & 0b101 != 0)
        }

        batch.add(.panelVolts, number("VPV", dividedBy: 1_000))
        batch.add(.panelWatts, number("PPV"))
        batch.add(.panelWattHoursToday, number("H20").map { $0 * 10 })
        batch.add(.loadAmperes, number("IL", dividedBy: 1_000))
        if let load = block.fields["LOAD"] { batch.add(.isLoadCut, load == "OFF") }
        batch.add(.isHarvestLimited, block.integer("MPPT").map { $0 == 1 })
        guard isCharger, let state = block.integer("CS") else { return }
        batch.add(.isCharging, Self.chargingStates.contains(state))
        let offReasons = block.fields["OR"].flatMap { $0.hasPrefix("0x") ? Int($0.dropFirst(2), radix: 16) : nil } ?? 0
        batch.add(.isChargeBlocked, state == 2 || offReasons & Self.blockingReasons != 0)
    }

    /// Bulk, absorption, float, equalise, repeated absorption, automatic equalise.
    private static let chargingStates: Set<Int> = [3, 4, 5, 7, 246, 247]
    /// Of `OR`: protection active (16), the battery's own management forbids it (64).
    private static let blockingReasons = 0x10 | 0x40

    private func add(_ register: VEDirectRegister, to batch: inout ReadingBatch) {
        guard register.flags == 0 else { return }
        let bytes = register.value
        func unsigned(_ count: Int) -> Double? {
            guard bytes.count == count, bytes.contains(where: { $0 != 0xFF }) else { return nil }  // all ones: not known
            return Double(bytes.reversed().reduce(UInt32(0)) { $0 << 8 | UInt32($1) })
        }
        func signed16() -> Double? {
            guard bytes.count == 2 else { return nil }
            let value = Int16(bitPattern: UInt16(bytes[0]) | UInt16(bytes[1]) << 8)
            return value == .max ? nil : Double(value)
        }
        switch register.number {
        case 0xED8D: batch.add(.batteryVolts, signed16().map { $0 / 100 })
        case 0xED8F: batch.add(.batteryAmperes, signed16().map { $0 / 10 }, isShunt ? .high : .medium)
        case 0xEDBB: batch.add(.panelVolts, unsigned(2).map { $0 / 100 })
        case 0xEDBC: batch.add(.panelWatts, unsigned(4).map { $0 / 100 })
        case 0xEDD3: batch.add(.panelWattHoursToday, unsigned(2).map { $0 * 10 })
        // In hundredths of a kelvin.
        case 0xEDEC: batch.add(.batteryCelsius, unsigned(2).map { ($0 - 27_315) / 100 })
        case 0x0FFF: batch.add(.batteryPercent, unsigned(2).map { $0 / 100 })
        default: break
        }
    }
}

/// A Victron charger or battery monitor on a VE.Direct cable, 19200 baud.
struct VEDirectSource: PowerSource {
    /// A device speaks every second; after this long without a valid block the port is opened anew.
    static let patienceMilliseconds: Int64 = 30_000

    let name: String
    let device: FilePath
    let clocks: any Clocks
    let logger: Logger

    func run(_ deliver: @escaping @Sendable ([PowerReading]) -> Void, stop: PowerStop) {
        PowerSessions(source: name, logger: logger, stop: stop).run { worked in
            let port = try SerialPort(device, speed: .baud19200)
            var parser = VEDirectParser()
            var reader = VEDirectReader(source: name)
            var lastBlock = monotonicMilliseconds()
            while let bytes = try port.read(within: VEDirectParser.silenceMilliseconds, stop: stop) {
                if bytes.isEmpty { parser.reset() }
                let readings = reader.readings(parser.take(bytes), bootMilliseconds: clocks.now().bootMilliseconds)
                if !readings.isEmpty {
                    lastBlock = monotonicMilliseconds()
                    worked()
                    deliver(readings)
                }
                guard monotonicMilliseconds() - lastBlock < Self.patienceMilliseconds else {
                    let damaged = parser.counts.rejectedBlocks
                    throw PowerSourceProblem(
                        "no valid VE.Direct block came from \(device) in \(Self.patienceMilliseconds / 1_000) s (\(damaged) were damaged); is it the right port?")
                }
            }
        }
    }
}
