import LibAV

/// NAL units behind start codes (Annex B of H.264 and H.265), as cameras send them.
enum AnnexB {
    /// Calls `body` with each unit, without its start code and trailing zeros, until it returns false.
    @inline(__always)
    static func forEachUnit(_ bytes: UnsafeRawBufferPointer, _ body: (UnsafeRawBufferPointer) -> Bool) {
        var start = nextStartCode(bytes, from: 0) + 3
        while start <= bytes.count {
            let next = nextStartCode(bytes, from: start)
            var end = next
            // A unit never ends in a zero; zeros before a start code belong to the byte stream.
            while end > start, bytes[end - 1] == 0 { end -= 1 }
            if end > start, !body(UnsafeRawBufferPointer(rebasing: bytes[start..<end])) { return }
            start = next + 3
        }
    }

    /// The place of the next 00 00 01, or the end.
    private static func nextStartCode(_ bytes: UnsafeRawBufferPointer, from start: Int) -> Int {
        var position = start + 2
        let end = bytes.count
        // The third byte decides: most are above 1, and then three can be skipped.
        while position < end {
            let byte = bytes[position]
            if byte > 1 {
                position += 3
            } else if byte == 1, bytes[position - 1] == 0, bytes[position - 2] == 0 {
                return position - 2
            } else {
                position += 1
            }
        }
        return end
    }

    enum Content: Equatable {
        /// The first slice is of a picture; may decoding begin with it?
        case picture(isRandomAccess: Bool)
        /// Parameter sets and the like.
        case noPicture
        /// A parameter set of the other codec: FFmpeg goes on with the one that a transport stream began with.
        case otherCodec
    }

    /// Only the types up to the first slice are looked at: the slice, which is nearly all of the packet, is not searched.
    static func content(_ bytes: UnsafeRawBufferPointer, _ codec: Codec) -> Content {
        var start = nextStartCode(bytes, from: 0) + 3
        while start < bytes.count {
            let next = start + 1 < bytes.count ? bytes[start + 1] : 0
            if codec == .h264 {
                let type = bytes[start] & 0x1f
                if (1...5).contains(type) { return .picture(isRandomAccess: type == 5) }
                // H.265's video parameter set, which is of a type that H.264 leaves open.
                if bytes[start] == 0x40, next == 0x01 { return .otherCodec }
            } else {
                // H.264's sequence parameter set with a profile of its own; in H.265 an odd byte is of an extension layer.
                if bytes[start] & 0x9f == 0x07, [66, 77, 88, 100, 110, 122, 244].contains(next) { return .otherCodec }
                let type = bytes[start] >> 1 & 0x3f
                if type < 32 { return .picture(isRandomAccess: (16...23).contains(type)) }
            }
            start = nextStartCode(bytes, from: start) + 3
        }
        return .noPicture
    }

    /// Appends the units behind 4-byte lengths: every unit, in the order that it came in. SEI that nobody here
    /// knows stays, since it may be the camera's signature.
    static func appendLengthPrefixed(_ bytes: UnsafeRawBufferPointer, to arena: inout ByteArena) {
        // A start code of 3 bytes becomes a length of 4, and a unit has at least one byte.
        arena.reserve(bytes.count + bytes.count / 4 + 8)
        forEachUnit(bytes) { unit in
            arena.append(UInt32(clamping: unit.count))
            arena.append(unit)
            return true
        }
    }
}

/// Finds the parameter sets that a key frame brings along, and whether they are new.
struct ParameterWatch {
    private let codec: Codec
    private let isAnnexB: Bool
    /// Parameter sets of the run, each behind a start code of 4 bytes.
    private var current: [UInt8] = []
    private var found: [UInt8] = []
    private var kindsFound = 0
    /// Of the pictures, where only they tell it: with MJPEG.
    private var pictureSize: [Int]

    enum Change {
        case configuration([UInt8])
        case size(widthPixels: Int, heightPixels: Int)
    }

    init(_ parameters: CodecParameters) {
        codec = parameters.codec
        pictureSize = [parameters.widthPixels, parameters.heightPixels]
        isAnnexB = (codec == .h264 || codec == .h265) && !parameters.isLengthPrefixed
        adopt(parameters)
    }

    /// The configuration that counts from here on.
    mutating func adopt(_ parameters: CodecParameters) {
        if isAnnexB {
            collect(parameters.extradata)
            swap(&current, &found)
        } else {
            current = Array(parameters.extradata)
        }
    }

    /// A muxer needs these to describe the stream at all.
    var isComplete: Bool { !current.isEmpty || codec == .motionJPEG || codec == .av1 }

    /// What the packet brings that is another than the current.
    mutating func change(in packet: borrowing Packet) -> Change? {
        if codec == .motionJPEG { return sizeChange(in: packet) }
        let attached = packet.newExtradata
        if isAnnexB {
            guard packet.isKey else { return nil }
            collect(packet.bytes)
            // One picture parameter set alone says nothing about the size, and some cameras repeat only that.
            guard kindsFound == (codec == .h264 ? 2 : 3), found != current else { return nil }
            return .configuration(found)
        }
        guard !attached.isEmpty, !attached.elementsEqual(current) else { return nil }
        return .configuration(Array(attached))
    }

    private mutating func sizeChange(in packet: borrowing Packet) -> Change? {
        guard let size = JPEG.size(packet.bytes), pictureSize != [size.widthPixels, size.heightPixels] else { return nil }
        // Of two fields each is a JPEG of half the height.
        if pictureSize == [size.widthPixels, size.heightPixels * 2] { return nil }
        pictureSize = [size.widthPixels, size.heightPixels]
        return .size(widthPixels: size.widthPixels, heightPixels: size.heightPixels)
    }

    private mutating func collect(_ bytes: UnsafeRawBufferPointer) {
        found.removeAll(keepingCapacity: true)
        // One bit for each kind of parameter set.
        var kinds: UInt8 = 0
        let codec = codec
        // Moved out and back, so that the closure changes a local and not `self`.
        var result: [UInt8] = []
        swap(&result, &found)
        AnnexB.forEachUnit(bytes) { unit in
            let first = unit[0]
            let type = codec == .h264 ? first & 0x1f : first >> 1 & 0x3f
            let firstSet: UInt8 = codec == .h264 ? 7 : 32
            guard type >= firstSet, type < firstSet + (codec == .h264 ? 2 : 3) else {
                // Parameter sets come before the slices that use them.
                return codec == .h264 ? !(1...5).contains(type) : type > 31
            }
            kinds |= 1 << (type - firstSet)
            result.append(contentsOf: [0, 0, 0, 1])
            result.append(contentsOf: unit)
            return true
        }
        swap(&result, &found)
        kindsFound = kinds.nonzeroBitCount
    }
}
