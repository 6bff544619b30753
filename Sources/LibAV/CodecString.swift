/// RFC 6381 codec names, read from the configuration boxes that the init segment itself holds:
/// what a player is told is what the file says.
enum CodecString {
    static func all(inInit bytes: [UInt8], streams: [CodecParameters]) -> String {
        let entries = sampleEntries(bytes[...])
        return zip(streams, entries).map { name(of: $0, entry: $1) }.joined(separator: ",")
    }

    private static func name(of parameters: CodecParameters, entry: ArraySlice<UInt8>) -> String {
        switch parameters.codec {
        case .h264: configuration("avcC", in: entry).map { avc($0) } ?? "avc1"
        case .h265: configuration("hvcC", in: entry).map { hevc($0) } ?? "hvc1"
        case .av1: configuration("av1C", in: entry).map { av1($0) } ?? "av01"
        // Object type 6C hex of ISO/IEC 14496-1: JPEG.
        case .motionJPEG: "mp4v.6C"
        // The audio object type is the first 5 bits of AudioSpecificConfig.
        case .aac: "mp4a.40.\(parameters.extradata.first.map { $0 >> 3 } ?? 2)"
        case .opus: "opus"
        case .g711MuLaw: "ulaw"
        case .g711ALaw: "alaw"
        case .other(let name): name
        }
    }

    private static func avc(_ record: [UInt8]) -> String {
        guard record.count >= 4 else { return "avc1" }
        return "avc1." + record[1...3].map(hexByte).joined()
    }

    /// ISO/IEC 14496-15, annex E.
    private static func hevc(_ record: [UInt8]) -> String {
        guard record.count >= 13 else { return "hvc1" }
        let space = ["", "A", "B", "C"][Int(record[1] >> 6)]
        let tier = record[1] & 0x20 == 0 ? "L" : "H"
        let compatibility = record[2...5].reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
        var reversed: UInt32 = 0
        for bit in 0..<32 where compatibility & (1 << UInt32(bit)) != 0 { reversed |= 1 << UInt32(31 - bit) }
        var constraints = Array(record[6...11])
        while constraints.last == 0 { constraints.removeLast() }
        let parts = ["hvc1", space + String(record[1] & 0x1f), String(reversed, radix: 16, uppercase: true), tier + String(record[12])]
        return (parts + constraints.map { String($0, radix: 16, uppercase: true) }).joined(separator: ".")
    }

    private static func av1(_ record: [UInt8]) -> String {
        guard record.count >= 3 else { return "av01" }
        let level = record[1] & 0x1f
        let tier = record[2] & 0x80 == 0 ? "M" : "H"
        let depth = record[2] & 0x40 == 0 ? "08" : record[2] & 0x20 == 0 ? "10" : "12"
        return "av01.\(record[1] >> 5).\(level < 10 ? "0" : "")\(level)\(tier).\(depth)"
    }

    private static func hexByte(_ byte: UInt8) -> String { (byte < 16 ? "0" : "") + String(byte, radix: 16) }

    // MARK: Boxes

    private static func boxes(_ bytes: ArraySlice<UInt8>) -> [(type: String, content: ArraySlice<UInt8>)] {
        var result: [(String, ArraySlice<UInt8>)] = []
        var rest = bytes
        while rest.count >= 8 {
            let size = rest.prefix(4).reduce(0) { $0 << 8 | Int($1) }
            guard size >= 8, size <= rest.count else { break }
            let box = rest.prefix(size)
            result.append((String(decoding: box.dropFirst(4).prefix(4), as: UTF8.self), box.dropFirst(8)))
            rest = rest.dropFirst(size)
        }
        return result
    }

    /// The first sample entry of every track, with its header.
    private static func sampleEntries(_ file: ArraySlice<UInt8>) -> [ArraySlice<UInt8>] {
        func child(_ type: String, _ bytes: ArraySlice<UInt8>) -> ArraySlice<UInt8> { boxes(bytes).first { $0.type == type }?.content ?? [] }
        return boxes(child("moov", file)).filter { $0.type == "trak" }.map { track in
            // stsd: version and flags, entry count, entries.
            child("stsd", child("stbl", child("minf", child("mdia", track.content)))).dropFirst(8)
        }
    }

    /// A visual sample entry has 78 bytes of fields before its boxes.
    private static func configuration(_ type: String, in entry: ArraySlice<UInt8>) -> [UInt8]? {
        boxes(entry.dropFirst(8 + 78)).first { $0.type == type }.map { Array($0.content) }
    }
}
