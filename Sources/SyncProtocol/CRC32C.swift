import CCRC32C

/// CRC-32C (Castagnoli, RFC 3720 appendix B.4): by the processor where it can, else eight bytes a step by table.
package enum CRC32C {
    private static let tables: [[UInt32]] = {
        var first = [UInt32](repeating: 0, count: 256)
        for index in 0..<256 {
            var value = UInt32(index)
            for _ in 0..<8 { value = value & 1 == 1 ? (value >> 1) ^ 0x82F6_3B78 : value >> 1 }
            first[index] = value
        }
        var all = [first]
        for table in 1..<8 {
            all.append(all[table - 1].map { ($0 >> 8) ^ first[Int($0 & 0xFF)] })
        }
        return all
    }()
    private static let flat: [UInt32] = tables.flatMap { $0 }

    private static let isInProcessor = fieldpost_has_crc32c() != 0

    package static func checksum(_ bytes: UnsafeRawBufferPointer) -> UInt32 { ~state(~0, after: bytes) }

    static func checksumByTable(_ bytes: UnsafeRawBufferPointer) -> UInt32 { ~stateByTable(~0, after: bytes) }

    /// Of bytes that come in pieces.
    struct Running: Sendable {
        private var state: UInt32 = ~0
        var checksum: UInt32 { ~state }
        mutating func update(_ bytes: UnsafeRawBufferPointer) { state = CRC32C.state(state, after: bytes) }
    }

    private static func state(_ state: UInt32, after bytes: UnsafeRawBufferPointer) -> UInt32 {
        isInProcessor ? fieldpost_crc32c(state, bytes.baseAddress, bytes.count) : stateByTable(state, after: bytes)
    }

    private static func stateByTable(_ state: UInt32, after bytes: UnsafeRawBufferPointer) -> UInt32 {
        flat.withUnsafeBufferPointer { table in
            var crc = state
            var position = 0
            while bytes.count - position >= 8 {
                let word = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: position, as: UInt64.self)) ^ UInt64(crc)
                var next: UInt32 = 0
                for lane in 0..<8 {
                    next ^= table[(7 - lane) * 256 + Int(truncatingIfNeeded: (word >> UInt64(lane * 8)) & 0xFF)]
                }
                crc = next
                position += 8
            }
            while position < bytes.count {
                crc = (crc >> 8) ^ table[Int((crc ^ UInt32(bytes[position])) & 0xFF)]
                position += 1
            }
            return crc
        }
    }
}
