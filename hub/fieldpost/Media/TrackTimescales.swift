import RecordingModel

/// Ticks a second of each track, from `ftyp` + `moov`.
enum InitSegment {
    static func timescales(_ bytes: [UInt8]) throws -> [UInt32: UInt32] {
        var result: [UInt32: UInt32] = [:]
        for moov in try Box.list(bytes, 0..<bytes.count) where moov.type == "moov" {
            for trak in try Box.list(bytes, moov.body) where trak.type == "trak" {
                var track: UInt32?
                var timescale: UInt32?
                for box in try Box.list(bytes, trak.body) {
                    switch box.type {
                    case "tkhd": track = try field(bytes, box, shortOffset: 12, longOffset: 20)
                    case "mdia":
                        for inner in try Box.list(bytes, box.body) where inner.type == "mdhd" {
                            timescale = try field(bytes, inner, shortOffset: 12, longOffset: 20)
                        }
                    default: break
                    }
                }
                guard let track, let timescale, timescale > 0 else { throw MediaFault.malformed }
                result[track] = timescale
            }
        }
        guard !result.isEmpty else { throw MediaFault.malformed }
        return result
    }

    /// A 32-bit field after two times, which have 4 bytes in version 0 and 8 in version 1.
    private static func field(_ bytes: [UInt8], _ box: Box, shortOffset: Int, longOffset: Int) throws -> UInt32 {
        guard let version = bytes[box.body].first else { throw MediaFault.malformed }
        let offset = box.body.lowerBound + (version == 0 ? shortOffset : longOffset)
        guard offset + 4 <= box.end else { throw MediaFault.malformed }
        return BigEndian.u32(bytes, offset)
    }
}
