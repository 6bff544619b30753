import Crypto
import EvidenceLog
import FoundationEssentials
import RecordingModel
import StorageIO
import SystemPackage

/// What a segment file and its side file prove together: the longest prefix of whole fragments whose hashes match.
struct SegmentExamination {
    var header: SideHeader
    /// Length of the side file's first line with its newline.
    var headerBytes: Int64
    /// The fragments of the prefix, in order.
    var fragments: [FragmentRecord]
    /// Their length on the media timeline.
    private(set) var ticks: Int64
    /// Length of the prefix; less than `fileBytes` when something is torn or altered.
    var keptBytes: Int64
    var fileBytes: Int64
    /// Records in the side file, whole or not, and whether its length is that of the prefix's records.
    var sideBytes: Int64
    var sha256: ContentHash

    var lostBytes: Int64 { fileBytes - keptBytes }
    var keptSideBytes: Int64 { headerBytes + Int64(fragments.count * FragmentRecord.recordBytes) }
    var fragmentRoot: ContentHash { MerkleTree.root(ofLeafData: fragments.lazy.map(\.sha256.bytes)) }

    private static let sideLimit = 4 << 20
    /// A segment of more than a day cannot be; nor can a fragment.
    private static let tickLimit = 24 * 3_600 * MediaTime.ticksPerSecond
    /// Of one fragment; so many a side file of the greatest length still add up to an `Int32`.
    private static let frameLimit = 30_000
    private static let chunkBytes = 1 << 20

    /// Reads both files to the end. Nil when nothing can be verified: a side file that is missing or has no whole
    /// header, or an init segment that does not match it.
    /// - Throws: `StorageError` when the disk cannot be read; that says nothing about the content.
    init?(data: FilePath, side: FilePath, storage: any StorageIO) throws {
        guard try storage.size(side) != nil else { return nil }
        let sideContent = try storage.read(side, limitBytes: Self.sideLimit)
        guard let newline = sideContent.firstIndex(of: UInt8(ascii: "\n")),
            let header = try? JSONDecoder().decode(SideHeader.self, from: Data(sideContent[..<newline])), header.isPlausible
        else { return nil }
        let file = try storage.openForReading(data)
        self.header = header
        headerBytes = Int64(newline + 1)
        sideBytes = Int64(sideContent.count)
        fileBytes = file.length
        fragments = []
        keptBytes = header.initBytes

        var whole = SHA256()
        guard let initHash = try Self.hash(file, from: 0, length: header.initBytes, into: &whole), initHash == header.initSHA256 else { return nil }
        ticks = 0
        var rest = sideContent[(newline + 1)...]
        while let record = FragmentRecord(rest.prefix(FragmentRecord.recordBytes)), record.offset == keptBytes {
            // The side file is not hashed: a number in it that cannot be is the end of what is proven.
            let (sum, overflows) = ticks.addingReportingOverflow(record.durationTicks90k)
            guard !overflows, sum <= Self.tickLimit, record.frames <= Self.frameLimit,
                record.length <= Plausibility.segmentBytesMax - keptBytes
            else { break }
            var extended = whole
            guard let hash = try Self.hash(file, from: record.offset, length: record.length, into: &extended), hash == record.sha256 else { break }
            whole = extended
            keptBytes += record.length
            ticks = sum
            fragments.append(record)
            rest = rest.dropFirst(FragmentRecord.recordBytes)
        }
        guard let hash = ContentHash(Array(whole.finalize())) else { return nil }
        sha256 = hash
    }

    /// The hash of a piece of the file; nil when the file ends before it does. `whole` takes the same bytes.
    private static func hash(_ file: any ReadingFile, from offset: Int64, length: Int64, into whole: inout SHA256) throws -> ContentHash? {
        guard length <= file.length - offset else { return nil }
        var piece = SHA256()
        var done: Int64 = 0
        while done < length {
            let bytes = try file.read(at: offset + done, count: Int(min(Int64(chunkBytes), length - done)))
            guard !bytes.isEmpty else { return nil }
            piece.update(data: bytes)
            whole.update(data: bytes)
            done += Int64(bytes.count)
        }
        return ContentHash(Array(piece.finalize()))
    }

    /// The entry of the kept prefix. How the segment really ended is not known any more.
    func record(_ id: SegmentID) -> SegmentRecord {
        return SegmentRecord(
            stream: id.stream, sequence: id.sequence, run: header.run, bootID: header.bootID,
            startBootMilliseconds: header.startBootMilliseconds,
            endBootMilliseconds: header.startBootMilliseconds + MediaTime.milliseconds(ticks90k: ticks), startWall: header.startWall,
            bytes: keptBytes, sha256: sha256, fragmentRoot: fragmentRoot, fragmentCount: fragments.count, initBytes: header.initBytes,
            initSHA256: header.initSHA256, codecs: header.codecs, widthPixels: header.widthPixels, heightPixels: header.heightPixels,
            mediaStartTicks90k: header.mediaStartTicks90k, mediaDurationTicks90k: ticks, frames: fragments.reduce(0) { $0 + $1.frames },
            drops: 0, end: .powerCut, configVersion: header.configVersion, isKeyFramesOnly: header.isKeyFramesOnly, made: header.made,
            encodedSound: header.encodedSound)
    }
}

extension SideHeader {
    /// Whether an entry may be made of it.
    fileprivate var isPlausible: Bool {
        func isTime(_ value: Int64) -> Bool { (0...(Plausibility.magnitudeMax / 2)).contains(value) }
        return (0...Plausibility.segmentBytesMax).contains(initBytes) && isTime(startBootMilliseconds) && isTime(mediaStartTicks90k)
            && isTime(startWall.unixMilliseconds) && isTime(startWall.uncertaintyMilliseconds) && run < Plausibility.sequenceMax
            && [widthPixels, heightPixels].allSatisfy { (0...65_535).contains($0) }
            && [bootID, codecs, configVersion].allSatisfy { $0.utf8.count <= Plausibility.textBytesMax } && made?.isPlausible ?? true
    }
}
