/// The side file of a segment. It begins with a line of JSON (`SideHeader`, what recovery needs to write an
/// entry after a power cut) and a newline; then follows one fixed record a fragment, appended before the
/// fragment itself is synced.
package struct SideHeader: Codable, Sendable, Hashable {
    package var run: UInt64
    package var bootID: String
    package var startBootMilliseconds: Int64
    package var startWall: WallEstimate
    package var initBytes: Int64
    package var initSHA256: ContentHash
    package var codecs: String
    package var widthPixels: Int
    package var heightPixels: Int
    package var mediaStartTicks90k: Int64
    package var configVersion: String
    /// As in `SegmentRecord`.
    package var isKeyFramesOnly: Bool?
    package var made: MadeRecord?
    package var encodedSound: EncodedSound?

    package init(
        run: UInt64, bootID: String, startBootMilliseconds: Int64, startWall: WallEstimate, initBytes: Int64, initSHA256: ContentHash,
        codecs: String, widthPixels: Int, heightPixels: Int, mediaStartTicks90k: Int64, configVersion: String, isKeyFramesOnly: Bool? = nil, made: MadeRecord? = nil,
        encodedSound: EncodedSound? = nil
    ) {
        self.run = run
        self.bootID = bootID
        self.startBootMilliseconds = startBootMilliseconds
        self.startWall = startWall
        self.initBytes = initBytes
        self.initSHA256 = initSHA256
        self.codecs = codecs
        self.widthPixels = widthPixels
        self.heightPixels = heightPixels
        self.mediaStartTicks90k = mediaStartTicks90k
        self.configVersion = configVersion
        self.isKeyFramesOnly = isKeyFramesOnly
        self.made = made
        self.encodedSound = encodedSound
    }
}

/// One fragment of a segment file: where its bytes are, their hash, and what it adds to the timeline.
/// Big-endian, 64 bytes: offset 8, length 8, SHA-256 32, duration in 90 kHz ticks 8, frames 4, zero 4.
package struct FragmentRecord: Hashable, Sendable {
    package static let recordBytes = 64
    package var offset: Int64
    package var length: Int64
    package var sha256: ContentHash
    package var durationTicks90k: Int64
    package var frames: Int

    package init(offset: Int64, length: Int64, sha256: ContentHash, durationTicks90k: Int64, frames: Int) {
        self.offset = offset
        self.length = length
        self.sha256 = sha256
        self.durationTicks90k = durationTicks90k
        self.frames = frames
    }

    package var encoded: [UInt8] {
        func bigEndian(_ value: UInt64, _ count: Int) -> [UInt8] {
            (0..<count).reversed().map { UInt8(truncatingIfNeeded: value >> UInt64($0 * 8)) }
        }
        return bigEndian(UInt64(bitPattern: offset), 8) + bigEndian(UInt64(bitPattern: length), 8) + sha256.bytes
            + bigEndian(UInt64(bitPattern: durationTicks90k), 8) + bigEndian(UInt64(frames), 4) + [0, 0, 0, 0]
    }

    /// Nil for a record that was never fully written: wrong length, negative numbers, or padding that is not zero.
    package init?(_ bytes: ArraySlice<UInt8>) {
        guard bytes.count == Self.recordBytes else { return nil }
        let bytes = Array(bytes)
        func number(_ range: Range<Int>) -> Int64 { bytes[range].reduce(0) { $0 << 8 | Int64($1) } }
        guard let hash = ContentHash(bytes[16..<48]), bytes[60..<64].allSatisfy({ $0 == 0 }) else { return nil }
        self.init(offset: number(0..<8), length: number(8..<16), sha256: hash, durationTicks90k: number(48..<56), frames: Int(number(56..<60)))
        guard offset >= 0, length > 0, durationTicks90k >= 0 else { return nil }
    }
}
