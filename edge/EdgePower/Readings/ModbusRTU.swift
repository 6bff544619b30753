/// Modbus over a serial line ("Modbus over Serial Line", version 1.02; "Modbus Application Protocol", version 1.1b3): reading
/// input registers (function 4), with CRC-16.
package enum ModbusRTU {
    /// The longest frame that the protocol allows.
    static let frameBytesMax = 256

    /// - Parameters:
    ///   - unit: 1 to 247.
    ///   - count: 1 to 125.
    package static func readInputRegisters(unit: UInt8, first: UInt16, count: UInt16) -> [UInt8] {
        withChecksum([unit, 4, UInt8(first >> 8), UInt8(first & 0xFF), UInt8(count >> 8), UInt8(count & 0xFF)])
    }

    /// Polynomial 0xA001 (reflected 0x8005), begun with all ones; sent low byte first.
    package static func checksum(_ bytes: some Sequence<UInt8>) -> UInt16 {
        var crc: UInt16 = 0xFFFF
        for byte in bytes {
            crc ^= UInt16(byte)
            for _ in 0..<8 { crc = crc & 1 != 0 ? crc >> 1 ^ 0xA001 : crc >> 1 }
        }
        return crc
    }

    static func withChecksum(_ bytes: [UInt8]) -> [UInt8] {
        let crc = checksum(bytes)
        return bytes + [UInt8(crc & 0xFF), UInt8(crc >> 8)]
    }
}

/// Collects the bytes that follow a question until an answer to it is among them.
package struct ModbusReply: Sendable {
    package enum Answer: Equatable, Sendable {
        case registers([UInt16])
        /// The device refuses: 1 it knows no such function, 2 no such register, 4 it failed.
        case refused(code: UInt8)
    }

    private let unit: UInt8
    private let count: Int
    private var bytes: [UInt8] = []

    package init(unit: UInt8, count: UInt16) {
        self.unit = unit
        self.count = Int(count)
    }

    /// Looks at every place: noise may come first, and some adapters repeat the question.
    package mutating func take(_ more: some Sequence<UInt8>) -> Answer? {
        for byte in more {
            bytes.append(byte)
            if let answer = answer() { return answer }
            if bytes.count > ModbusRTU.frameBytesMax { bytes.removeFirst(bytes.count - ModbusRTU.frameBytesMax) }
        }
        return nil
    }

    /// A frame that ends with the last byte.
    private func answer() -> Answer? {
        if let frame = frame(length: 5 + 2 * count), frame[1] == 4, Int(frame[2]) == 2 * count {
            return .registers(stride(from: 3, to: 3 + 2 * count, by: 2).map { UInt16(frame[$0]) << 8 | UInt16(frame[$0 + 1]) })
        }
        if let frame = frame(length: 5), frame[1] == 0x84 { return .refused(code: frame[2]) }
        return nil
    }

    private func frame(length: Int) -> [UInt8]? {
        guard bytes.count >= length else { return nil }
        let frame = Array(bytes.suffix(length))
        guard frame[0] == unit else { return nil }
        let crc = ModbusRTU.checksum(frame.dropLast(2))
        return frame[length - 2] == UInt8(crc & 0xFF) && frame[length - 1] == UInt8(crc >> 8) ? frame : nil
    }
}
