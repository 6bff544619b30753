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

/// Where a fragment says when it begins: one `tfdt` a track. These are the only bytes that joining changes.
struct FragmentTimes: Equatable {
    struct Entry: Equatable {
        var track: UInt32
        /// Place of the value from the start of the bytes given.
        var offset: Int
        /// 8 bytes in version 1, 4 in version 0.
        var byteCount: Int
        var value: UInt64
    }
    var entries: [Entry] = []

    /// - Parameter bytes: whole boxes that begin with or contain one `moof`.
    init(_ bytes: [UInt8], moof: Box) throws {
        for traf in try Box.list(bytes, moof.body) where traf.type == "traf" {
            var track: UInt32?
            for box in try Box.list(bytes, traf.body) {
                let body = box.body.lowerBound
                switch box.type {
                case "tfhd":
                    guard box.body.count >= 8 else { throw MediaFault.malformed }
                    if BigEndian.u32(bytes, body) & 1 == 1 { throw MediaFault.absoluteOffsets }
                    track = BigEndian.u32(bytes, body + 4)
                case "tfdt":
                    guard let track, let version = bytes[box.body].first else { throw MediaFault.malformed }
                    let byteCount = version == 0 ? 4 : 8
                    guard box.body.count >= 4 + byteCount else { throw MediaFault.malformed }
                    let value = byteCount == 8 ? BigEndian.u64(bytes, body + 4) : UInt64(BigEndian.u32(bytes, body + 4))
                    entries.append(Entry(track: track, offset: body + 4, byteCount: byteCount, value: value))
                default: break
                }
            }
        }
        guard !entries.isEmpty else { throw MediaFault.malformed }
    }

    /// Adds to each track's time its own shift; a track without one is an error, as is a time that does not fit.
    static func shift(_ bytes: inout [UInt8], moof: Box, by shifts: [UInt32: Int64]) throws {
        for entry in try FragmentTimes(bytes, moof: moof).entries {
            guard let shift = shifts[entry.track] else { throw MediaFault.malformed }
            let (shifted, overflow) = Int64(bitPattern: entry.value).addingReportingOverflow(shift)
            guard !overflow, shifted >= 0, entry.byteCount == 8 || shifted <= UInt32.max else { throw MediaFault.timeOverflow }
            BigEndian.put(UInt64(shifted), count: entry.byteCount, into: &bytes, at: entry.offset)
        }
    }
}
