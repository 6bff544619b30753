/// Where the pictures of an object of thumbnails are. The object is a fragmented MP4 of the codec MJPEG with one picture in each
/// fragment, so that its boxes are the index: `tfdt` is the picture's time since the object's first, in ticks of 90 kHz,
/// and the body of `mdat` is the JPEG as it is.
package struct ThumbnailIndex: Hashable, Sendable {
    package struct Picture: Hashable, Sendable {
        /// Since the start of the object's segment.
        package var offsetMilliseconds: Int64
        /// Where the JPEG is in the file.
        package var bytes: Range<Int64>
    }
    /// An hour at one in 10 s, and events.
    package static let picturesMax = 512
    /// Nodes make them of 8 KB; what is larger is none.
    package static let pictureBytesMax: Int64 = 64 << 10
    /// `moof` of one picture has 104 bytes, or a few more from another writer.
    private static let headBytes = 256

    /// In order of time.
    package let pictures: [Picture]

    /// One short read for each picture.
    /// - Parameters:
    ///   - length: of the file; `initBytes` of it are its `ftyp` and `moov`
    ///   - read: so many bytes from a place of the file; fewer only where it ends
    /// - Throws: `MediaFault` for what is no such object; what `read` throws.
    package init(length: Int64, initBytes: Int64, read: (_ offset: Int64, _ count: Int) throws -> [UInt8]) throws {
        guard initBytes > 0, initBytes < length else { throw MediaFault.malformed }
        var pictures: [Picture] = []
        var offset = initBytes
        while offset < length {
            let head = try read(offset, Int(min(Int64(Self.headBytes), length - offset)))
            let moof = try Box.at(head, 0, end: head.count)
            // Enough for the longest header of the next box.
            guard moof.type == "moof", moof.end + 16 <= head.count, pictures.count < Self.picturesMax else { throw MediaFault.malformed }
            let mdat = try Box.at(head, moof.end, end: Int(clamping: length - offset))
            let times = try FragmentTimes(head, moof: moof).entries
            let bytes = (offset + Int64(mdat.body.lowerBound))..<(offset + Int64(mdat.body.upperBound))
            guard mdat.type == "mdat", (1...Self.pictureBytesMax).contains(Int64(bytes.count)), times.count == 1, times[0].value <= UInt64(Plausibility.magnitudeMax) else {
                throw MediaFault.malformed
            }
            let picture = Picture(offsetMilliseconds: Int64(times[0].value) / 90, bytes: bytes)
            guard pictures.last.map({ $0.offsetMilliseconds < picture.offsetMilliseconds }) ?? true else { throw MediaFault.malformed }
            pictures.append(picture)
            offset = bytes.upperBound
        }
        self.pictures = pictures
    }
}
