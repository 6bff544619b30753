import EvidenceLog
import RecordingModel

/// The pictures of one camera and hour, until they are packed into one object. A value; the clock is that of the footage.
struct ThumbnailPack: Hashable, Sendable {
    /// At most so many wait in memory: an hour at one in 10 s, and events.
    static let imagesMax = ThumbnailIndex.picturesMax
    /// A boot's clock goes on; an hour that is over is packed, whatever the camera does.
    static let hourMilliseconds: Int64 = 3_600_000

    struct Image: Hashable, Sendable {
        var bootMilliseconds: Int64
        var widthPixels: Int
        var heightPixels: Int
        var jpeg: [UInt8]
    }
    struct Source: Hashable, Sendable {
        var sequence: UInt64
        var sha256: ContentHash
        var startBootMilliseconds: Int64
        var endBootMilliseconds: Int64
        var startWall: WallEstimate
    }

    private(set) var bootID = ""
    private(set) var images: [Image] = []
    private(set) var sources: [Source] = []
    private var hour: Int64 = 0

    var isEmpty: Bool { images.isEmpty }
    var isFull: Bool { images.count >= Self.imagesMax || sources.count >= Self.imagesMax }
    var endBootMilliseconds: Int64 { sources.map(\.endBootMilliseconds).max() ?? 0 }

    /// Whether this segment's pictures belong into another object.
    func mustPack(before record: SegmentRecord) -> Bool {
        !sources.isEmpty && (record.bootID != bootID || Self.hour(record) != hour || isFull || record.startBootMilliseconds < (sources.last?.startBootMilliseconds ?? 0))
    }

    /// Whether the hour is over on the running boot's clock, of which the camera may say nothing any more.
    func isOver(_ now: Moment, bootID current: String, graceMilliseconds: Int64) -> Bool {
        guard let last = sources.last else { return false }
        guard bootID == current else { return true }
        return (last.startWall.unixMilliseconds + now.bootMilliseconds - last.startBootMilliseconds - graceMilliseconds) / Self.hourMilliseconds > hour
    }

    mutating func add(_ record: SegmentRecord, _ images: [ThumbnailImage]) {
        if sources.isEmpty {
            bootID = record.bootID
            hour = Self.hour(record)
        }
        sources.append(
            Source(
                sequence: record.sequence, sha256: record.sha256, startBootMilliseconds: record.startBootMilliseconds,
                endBootMilliseconds: record.endBootMilliseconds, startWall: record.startWall))
        for image in images { add(image, of: record) }
    }

    /// Also between those that are there; nothing happens where one of the same time is.
    mutating func add(_ image: ThumbnailImage, of record: SegmentRecord) {
        let boot = record.startBootMilliseconds + max(0, MediaTime.milliseconds(ticks90k: image.ticks90k - record.mediaStartTicks90k))
        let index = images.lastIndex { $0.bootMilliseconds <= boot }.map { $0 + 1 } ?? 0
        if index > 0, images[index - 1].bootMilliseconds == boot { return }
        images.insert(Image(bootMilliseconds: boot, widthPixels: image.widthPixels, heightPixels: image.heightPixels, jpeg: image.jpeg), at: index)
    }

    /// Of the first picture.
    var startWall: WallEstimate? {
        guard let image = images.first, let source = sources.last(where: { $0.startBootMilliseconds <= image.bootMilliseconds }) ?? sources.first else { return nil }
        return source.startWall.advanced(byMilliseconds: image.bootMilliseconds - source.startBootMilliseconds)
    }

    /// One hash for all that it was made of; see `MadeRecord`.
    var sourceSHA256: ContentHash {
        sources.count == 1 ? sources[0].sha256 : MerkleTree.root(ofLeafData: sources.lazy.map(\.sha256.bytes))
    }

    private static func hour(_ record: SegmentRecord) -> Int64 { record.startWall.unixMilliseconds / hourMilliseconds }
}

/// When the next periodic picture of a camera is due, on the grid of its boot's clock.
struct ThumbnailGrid: Hashable, Sendable {
    let everyMilliseconds: Int64
    private var bootID = ""
    private var nextMilliseconds: Int64 = 0

    init(everyMilliseconds: Int64) { self.everyMilliseconds = everyMilliseconds }

    /// Times within the segment, on its media timeline.
    mutating func dues(in record: SegmentRecord) -> [Int64] {
        // A new boot, or a pause of more than one interval: a picture of the beginning.
        if record.bootID != bootID || record.startBootMilliseconds >= nextMilliseconds || nextMilliseconds - record.startBootMilliseconds > everyMilliseconds {
            bootID = record.bootID
            nextMilliseconds = record.startBootMilliseconds
        }
        var dues: [Int64] = []
        while nextMilliseconds < record.endBootMilliseconds, dues.count < WorkerBounds.duesMax {
            dues.append(record.mediaStartTicks90k + (nextMilliseconds - record.startBootMilliseconds) * 90)
            nextMilliseconds += everyMilliseconds
        }
        return dues
    }

    /// The last of them found no key frame: the next segment begins with one.
    mutating func missed(_ count: Int, in record: SegmentRecord) {
        if count > 0 { nextMilliseconds = min(nextMilliseconds, record.endBootMilliseconds) }
    }
}
