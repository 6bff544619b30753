import Logging
import RecordingModel
import SystemPackage

/// The registers of an EPEver Tracer (document "B-Series Modbus Specification", V2.5): input registers in hundredths, 32-bit
/// values with the low word first.
package struct EPEverRegisters: Sendable {
    /// Asked for one after another: not every model has all of them, and one question reaches over no gap.
    package static let blocks: [(first: UInt16, count: UInt16)] = [(0x3100, 16), (0x3110, 2), (0x311A, 2), (0x331A, 3), (0x3200, 3), (0x330C, 2)]

    private var values: [UInt16: UInt16] = [:]

    package init() {}

    package mutating func set(_ first: UInt16, _ registers: [UInt16]) {
        for (offset, value) in registers.enumerated() { values[first + UInt16(offset)] = value }
    }

    package func readings(source: String, bootMilliseconds: Int64) -> [PowerReading] {
        var batch = ReadingBatch(source: source, bootMilliseconds: bootMilliseconds)
        batch.add(.panelVolts, hundredths(0x3100))
        batch.add(.panelAmperes, hundredths(0x3101))
        batch.add(.panelWatts, longHundredths(0x3102))
        batch.add(.loadVolts, hundredths(0x310C))
        batch.add(.loadAmperes, hundredths(0x310D))
        batch.add(.loadWatts, longHundredths(0x310E))
        batch.add(.batteryVolts, hundredths(0x331A))
        // What goes through the controller; other loads on the battery are not seen.
        batch.add(.batteryAmperes, pair(0x331B).map { Double(Int32(bitPattern: $0)) / 100 }, .medium)
        // From the voltage, and so no better than that.
        batch.add(.batteryPercent, values[0x311A].map(Double.init), .low)
        batch.add(.batteryCelsius, signedHundredths(0x3110), .medium)
        batch.add(.boardCelsius, signedHundredths(0x3111))
        batch.add(.panelWattHoursToday, longHundredths(0x330C).map { $0 * 1_000 })
        addStates(to: &batch)
        return batch.readings
    }

    private func addStates(to batch: inout ReadingBatch) {
        let charging = values[0x3201].map { $0 >> 2 & 0b11 != 0 }
        batch.add(.isCharging, charging)
        guard let battery = values[0x3200] else { return }
        let voltage = battery & 0b1111
        // 2: low, 3: the load was cut off for it.
        batch.add(.isBatteryLow, voltage == 2 || voltage == 3)
        batch.add(.isLoadCut, voltage == 3)
        let isTooHotOrCold = battery >> 4 & 0b1111 != 0
        let isSunny = (hundredths(0x3100) ?? 0) > (hundredths(0x331A) ?? .infinity) + 2
        batch.add(.isChargeBlocked, isTooHotOrCold && charging == false && isSunny)
    }

    private func hundredths(_ register: UInt16) -> Double? { values[register].map { Double($0) / 100 } }
    private func signedHundredths(_ register: UInt16) -> Double? { values[register].map { Double(Int16(bitPattern: $0)) / 100 } }
    private func longHundredths(_ register: UInt16) -> Double? { pair(register).map { Double($0) / 100 } }
    private func pair(_ register: UInt16) -> UInt32? {
        guard let low = values[register], let high = values[register + 1] else { return nil }
        return UInt32(high) << 16 | UInt32(low)
    }
}

/// An EPEver Tracer on its RS-485 port, 115200 baud.
struct EPEverSource: PowerSource {
    static let answerMilliseconds: Int64 = 1_000
    static let pollMilliseconds: Int64 = 5_000
    /// RTU frames are parted by silence; cheap adapters need more than the 3.5 characters of the standard.
    static let silenceMilliseconds: Int64 = 20

    let name: String
    let device: FilePath
    let unit: UInt8
    let clocks: any Clocks
    let logger: Logger
    var pollMilliseconds = Self.pollMilliseconds

    func run(_ deliver: @escaping @Sendable ([PowerReading]) -> Void, stop: PowerStop) {
        PowerSessions(source: name, logger: logger, stop: stop).run { worked in
            let port = try SerialPort(device, speed: .baud115200)
            while !stop.isSet {
                var registers = EPEverRegisters()
                var problem = ""
                for block in EPEverRegisters.blocks {
                    switch try ask(port, block, stop: stop) {
                    case .registers(let values)?: registers.set(block.first, values)
                    case .refused(let code)?: problem = "it refuses register 0x\(String(block.first, radix: 16)) with code \(code)"
                    case nil where stop.isSet: return
                    case nil: problem = "no valid answer within \(Self.answerMilliseconds) ms"
                    }
                    if stop.wait(milliseconds: Self.silenceMilliseconds) { return }
                }
                let readings = registers.readings(source: name, bootMilliseconds: clocks.now().bootMilliseconds)
                guard !readings.isEmpty else {
                    throw PowerSourceProblem("the controller at \(device), unit \(unit), tells nothing: \(problem); are A and B the right way round, and is it unit \(unit)?")
                }
                worked()
                deliver(readings)
                if stop.wait(milliseconds: pollMilliseconds) { return }
            }
        }
    }

    private func ask(_ port: borrowing SerialPort, _ block: (first: UInt16, count: UInt16), stop: PowerStop) throws -> ModbusReply.Answer? {
        port.discardInput()
        try port.write(ModbusRTU.readInputRegisters(unit: unit, first: block.first, count: block.count), stop: stop)
        var reply = ModbusReply(unit: unit, count: block.count)
        let deadline = monotonicMilliseconds() + Self.answerMilliseconds
        while monotonicMilliseconds() < deadline {
            guard let bytes = try port.read(within: deadline - monotonicMilliseconds(), stop: stop) else { return nil }
            if let answer = reply.take(bytes) { return answer }
        }
        return nil
    }
}
