/// What makes a media file unreadable.
package enum MediaFault: Error, Equatable {
    case truncated
    case malformed
    /// Sample positions count from the start of the file, so the fragment cannot be moved.
    case absoluteOffsets
    case timeOverflow
}

/// The header of an ISO BMFF box (ISO/IEC 14496-12, section 4.2).
package struct Box: Equatable {
    package var type: String
    package var start: Int
    package var headerBytes: Int
    package var length: Int
    package var body: Range<Int> { (start + headerBytes)..<(start + length) }
    package var end: Int { start + length }

    /// The boxes that tile a range of bytes.
    package static func list(_ bytes: [UInt8], _ range: Range<Int>) throws -> [Box] {
        var boxes: [Box] = []
        var offset = range.lowerBound
        while offset < range.upperBound {
            let box = try at(bytes, offset, end: range.upperBound)
            boxes.append(box)
            offset = box.end
        }
        return boxes
    }

    /// - Parameter end: nothing may reach beyond; a box that says so is malformed. Of `bytes` only the header is read.
    package static func at(_ bytes: [UInt8], _ offset: Int, end: Int) throws -> Box {
        guard end - offset >= 8 else { throw MediaFault.malformed }
        var length = UInt64(BigEndian.u32(bytes, offset))
        var headerBytes = 8
        if length == 1 {
            guard end - offset >= 16 else { throw MediaFault.malformed }
            length = BigEndian.u64(bytes, offset + 8)
            headerBytes = 16
        }
        guard length >= UInt64(headerBytes), length <= UInt64(end - offset) else { throw MediaFault.malformed }
        return Box(type: BigEndian.type(bytes, offset + 4), start: offset, headerBytes: headerBytes, length: Int(length))
    }
}

/// Numbers as ISO BMFF writes them.
package enum BigEndian {
    package static func u32(_ bytes: [UInt8], _ offset: Int) -> UInt32 {
        bytes[offset..<(offset + 4)].reduce(0) { $0 << 8 | UInt32($1) }
    }
    package static func u64(_ bytes: [UInt8], _ offset: Int) -> UInt64 {
        bytes[offset..<(offset + 8)].reduce(0) { $0 << 8 | UInt64($1) }
    }
    package static func type(_ bytes: [UInt8], _ offset: Int) -> String {
        String(decoding: bytes[offset..<(offset + 4)], as: UTF8.self)
    }
    package static func put(_ value: UInt64, count: Int, into bytes: inout [UInt8], at offset: Int) {
        for index in 0..<count { bytes[offset + index] = UInt8(truncatingIfNeeded: value >> UInt64((count - 1 - index) * 8)) }
    }
}

/// Where a fragment says when it begins: one `tfdt` a track. These are the only bytes that joining changes.
package struct FragmentTimes: Equatable {
    package struct Entry: Equatable {
        package var track: UInt32
        /// Place of the value from the start of the bytes given.
        package var offset: Int
        /// 8 bytes in version 1, 4 in version 0.
        package var byteCount: Int
        package var value: UInt64
    }
    package var entries: [Entry] = []

    /// - Parameter bytes: whole boxes that begin with or contain one `moof`.
    package init(_ bytes: [UInt8], moof: Box) throws {
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
    package static func shift(_ bytes: inout [UInt8], moof: Box, by shifts: [UInt32: Int64]) throws {
        for entry in try FragmentTimes(bytes, moof: moof).entries {
            guard let shift = shifts[entry.track] else { throw MediaFault.malformed }
            let (shifted, overflow) = Int64(bitPattern: entry.value).addingReportingOverflow(shift)
            guard !overflow, shifted >= 0, entry.byteCount == 8 || shifted <= UInt32.max else { throw MediaFault.timeOverflow }
            BigEndian.put(UInt64(shifted), count: entry.byteCount, into: &bytes, at: entry.offset)
        }
    }
}
