/// The header of a zstd frame (RFC 8878, section 3.1.1.1), read here because the library checks a window only
/// once it streams, and tells it only through interfaces it calls unstable.
struct FrameHeader {
    static let magic: [UInt8] = [0x28, 0xB5, 0x2F, 0xFD]
    /// History a decoder must keep; for a single-segment frame its whole content.
    var windowBytes: UInt64
    /// Nil where the frame does not say.
    var contentBytes: UInt64?
    /// The id of the trained dictionary that the frame was made with; nil where it names none.
    var dictionaryID: UInt32?

    init(_ bytes: [UInt8]) throws(ZstdError) {
        guard bytes.prefix(4).elementsEqual(Self.magic.prefix(bytes.count)), !bytes.isEmpty else { throw .notAFrame }
        guard bytes.count > 5 else { throw .truncated }
        let descriptor = bytes[4]
        let isSingleSegment = descriptor & 0x20 != 0
        var position = 5
        windowBytes = 0
        if !isSingleSegment {
            let exponent = UInt64(bytes[5] >> 3)
            let base = UInt64(1) << (10 + exponent)
            windowBytes = base + base / 8 * UInt64(bytes[5] & 7)
            position += 1
        }
        let idBytes = [0, 1, 2, 4][Int(descriptor & 3)]
        let sizeBytes = [isSingleSegment ? 1 : 0, 2, 4, 8][Int(descriptor >> 6)]
        guard bytes.count >= position + idBytes + sizeBytes else { throw .truncated }
        func value(_ count: Int) -> UInt64 {
            defer { position += count }
            return bytes[position..<(position + count)].reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        }
        let id = UInt32(truncatingIfNeeded: value(idBytes))
        dictionaryID = id == 0 ? nil : id
        if sizeBytes > 0 { contentBytes = value(sizeBytes) + (sizeBytes == 2 ? 256 : 0) }
        if isSingleSegment { windowBytes = contentBytes ?? 0 }
    }
}
