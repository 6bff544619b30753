import SystemPackage

/// A file that boxes are read from: bounded reads at given places.
struct MediaFile {
    let descriptor: FileDescriptor

    static func open(_ path: String) throws -> MediaFile {
        do {
            return MediaFile(descriptor: try .open(FilePath(path), .readOnly))
        } catch {
            throw Failure("The file \(path) cannot be opened: \(error).")
        }
    }

    /// Reading is over; a failure to close loses nothing.
    func close() { try? descriptor.close() }

    func length() throws -> Int64 { try descriptor.seek(offset: 0, from: .end) }

    /// Exactly so many bytes, or an error.
    func read(at offset: Int64, count: Int) throws -> [UInt8] {
        let bytes = try [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
            while initialized < count {
                let rest = UnsafeMutableRawBufferPointer(rebasing: UnsafeMutableRawBufferPointer(buffer)[initialized..<count])
                let got = try descriptor.read(fromAbsoluteOffset: offset + Int64(initialized), into: rest)
                if got == 0 { break }
                initialized += got
            }
        }
        guard bytes.count == count else { throw MediaFault.truncated }
        return bytes
    }
}

enum MediaFault: Error, Equatable {
    case truncated
    case malformed
    /// Sample positions count from the start of the file, so the fragment cannot be moved.
    case absoluteOffsets
    case timeOverflow
}

/// The header of an ISO BMFF box (ISO/IEC 14496-12, section 4.2).
struct Box: Equatable {
    var type: String
    var start: Int
    var headerBytes: Int
    var length: Int
    var body: Range<Int> { (start + headerBytes)..<(start + length) }
    var end: Int { start + length }

    /// The boxes that tile a range of bytes.
    static func list(_ bytes: [UInt8], _ range: Range<Int>) throws -> [Box] {
        var boxes: [Box] = []
        var offset = range.lowerBound
        while offset < range.upperBound {
            let box = try at(bytes, offset, end: range.upperBound)
            boxes.append(box)
            offset = box.end
        }
        return boxes
    }

    /// - Parameter end: nothing may reach beyond; a box that says so is malformed.
    static func at(_ bytes: [UInt8], _ offset: Int, end: Int) throws -> Box {
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

enum BigEndian {
    static func u32(_ bytes: [UInt8], _ offset: Int) -> UInt32 {
        bytes[offset..<(offset + 4)].reduce(0) { $0 << 8 | UInt32($1) }
    }
    static func u64(_ bytes: [UInt8], _ offset: Int) -> UInt64 {
        bytes[offset..<(offset + 8)].reduce(0) { $0 << 8 | UInt64($1) }
    }
    static func type(_ bytes: [UInt8], _ offset: Int) -> String {
        String(decoding: bytes[offset..<(offset + 4)], as: UTF8.self)
    }
    static func put(_ value: UInt64, count: Int, into bytes: inout [UInt8], at offset: Int) {
        for index in 0..<count { bytes[offset + index] = UInt8(truncatingIfNeeded: value >> UInt64((count - 1 - index) * 8)) }
    }
}
