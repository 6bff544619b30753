@testable import EdgePower
import RecordingModel
import Testing

@Suite("Modbus RTU")
struct ModbusTests {
    @Test func `The checksum is that of the standard's examples`() {
        // "Modbus over Serial Line", appendix B: 02 07 ends with 41 12. And the check value of CRC-16/MODBUS.
        #expect(ModbusRTU.checksum([0x02, 0x07]) == 0x1241)
        #expect(ModbusRTU.checksum("123456789".utf8) == 0x4B37)
        #expect(ModbusRTU.readInputRegisters(unit: 1, first: 0x3100, count: 1) == [0x01, 0x04, 0x31, 0x00, 0x00, 0x01, 0x3F, 0x36])
    }

    private func answer(_ values: [UInt16]) -> [UInt8] {
        let body: [UInt8] = [1, 4, UInt8(values.count * 2)] + values.flatMap { [UInt8($0 >> 8), UInt8($0 & 0xFF)] }
        let crc = ModbusRTU.checksum(body)
        return body + [UInt8(crc & 0xFF), UInt8(crc >> 8)]
    }

    @Test func `An answer is found behind noise and an echo of the question`() {
        var reply = ModbusReply(unit: 1, count: 2)
        let noise: [UInt8] = [0, 1, 4, 4, 0xFF] + ModbusRTU.readInputRegisters(unit: 1, first: 0x3100, count: 2)
        #expect(reply.take(noise) == nil)
        #expect(reply.take(answer([0x1234, 0xFFFE])) == .registers([0x1234, 0xFFFE]))
        var refusal = ModbusReply(unit: 1, count: 2)
        let body: [UInt8] = [1, 0x84, 2]
        let crc = ModbusRTU.checksum(body)
        #expect(refusal.take(body + [UInt8(crc & 0xFF), UInt8(crc >> 8)]) == .refused(code: 2))
    }

    @Test func `An answer of another unit, of another length, or with a flipped bit is none`() {
        let good = answer([0x1234, 0xFFFE])
        for place in good.indices {
            for bit in 0..<8 {
                var damaged = good
                damaged[place] ^= 1 << bit
                var reply = ModbusReply(unit: 1, count: 2)
                #expect(reply.take(damaged) == nil, "byte \(place), bit \(bit)")
            }
        }
        var other = ModbusReply(unit: 2, count: 2)
        #expect(other.take(good) == nil)
        var longer = ModbusReply(unit: 1, count: 3)
        #expect(longer.take(good) == nil)
    }

    @Test(arguments: 0..<20 as Range<UInt64>)
    func `No bytes crash it or make it grow, and an answer's checksum holds`(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var reply = ModbusReply(unit: 1, count: 16)
        var bytes: [UInt8] = []
        for _ in 0..<20_000 {
            let byte: UInt8 = Bool.random(using: &random) ? [1, 4, 32, 0x84].randomElement(using: &random) ?? 0 : UInt8.random(in: 0...255, using: &random)
            bytes.append(byte)
            guard let answer = reply.take([byte]) else { continue }
            let frame = switch answer {
            case .registers: bytes.suffix(37)
            case .refused: bytes.suffix(5)
            }
            #expect(ModbusRTU.checksum(frame.dropLast(2)) == UInt16(frame[frame.endIndex - 2]) | UInt16(frame[frame.endIndex - 1]) << 8, "seed \(seed)")
        }
        #expect(String(describing: reply).utf8.count < 4_000)
    }

    @Test func `A Tracer's registers are hundredths, the low word first, with signs where there are any`() {
        var registers = EPEverRegisters()
        registers.set(0x3100, [1840, 210, 0x2710, 0x0001])
        registers.set(0x3110, [UInt16(bitPattern: -750), 2512])
        registers.set(0x331A, [1325, 0xFF38, 0xFFFF])
        registers.set(0x311A, [87, 0])
        registers.set(0x3200, [0x0023, 0x0001, 0])
        let readings = registers.readings(source: "epever", bootMilliseconds: 0)
        func reading(_ quantity: PowerQuantity) -> PowerReading? { readings.first { $0.quantity == quantity } }
        #expect(reading(.panelVolts)?.value == 18.4 && reading(.panelAmperes)?.value == 2.1 && reading(.panelWatts)?.value == 755.36)
        #expect(reading(.batteryVolts)?.value == 13.25 && reading(.batteryAmperes)?.value == -2 && reading(.batteryCelsius)?.value == -7.5)
        #expect(reading(.batteryPercent)?.value == 87 && reading(.batteryPercent)?.confidence == .low)
        #expect(reading(.isBatteryLow)?.value == 1 && reading(.isLoadCut)?.value == 1 && reading(.isCharging)?.value == 0)
        #expect(reading(.isChargeBlocked)?.value == 1, "too cold, sun, no charge")
        #expect(reading(.loadWatts) == nil)
    }
}
