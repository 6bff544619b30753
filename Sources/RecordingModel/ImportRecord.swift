/// A file from a card became segments. Their boot id is `bootID`, their boot clock counts from the file's first
/// picture, so that a `clock` entry can re-date them like those of any boot.
package struct ImportRecord: Hashable, Sendable, Codable {
    /// Where the file's time came from, in rising order of trust.
    package enum TimeSource: String, Sendable, OpenWord, CaseIterable {
        /// Where a later version had it from: not trusted.
        package static var unrecognised: Self { .none }
        case none
        case fileModified = "file-modified"
        case fileName = "file-name"
        case container
        /// A clock offset that the operator gave, on top of one of the others.
        case operatorOffset = "operator-offset"
        /// A start that the operator gave.
        case operatorStart = "operator-start"
    }
    package var camera: CameraID
    package var bootID: String
    /// Sequences of the segments that the file became, in stream `main`; empty when nothing could be read.
    package var sequences: SequenceRanges
    package var originalName: String
    package var originalBytes: Int64
    package var originalSHA256: ContentHash
    /// `mov,mp4`, `avi`, … as the demuxer calls it.
    package var container: String
    /// As the container says it, uncorrected; nil when it says nothing.
    package var containerStartUnixMilliseconds: Int64?
    package var timeSource: TimeSource
    /// What was added to the time the source gave.
    package var clockOffsetMilliseconds: Int64
    package var operatorName: String
    /// What could not be read or kept, one sentence; nil when everything was.
    package var missing: String?
    package init(
        camera: CameraID, bootID: String, sequences: SequenceRanges, originalName: String, originalBytes: Int64, originalSHA256: ContentHash,
        container: String, containerStartUnixMilliseconds: Int64?, timeSource: TimeSource, clockOffsetMilliseconds: Int64,
        operatorName: String, missing: String?
    ) {
        self.camera = camera
        self.bootID = bootID
        self.sequences = sequences
        self.originalName = originalName
        self.originalBytes = originalBytes
        self.originalSHA256 = originalSHA256
        self.container = container
        self.containerStartUnixMilliseconds = containerStartUnixMilliseconds
        self.timeSource = timeSource
        self.clockOffsetMilliseconds = clockOffsetMilliseconds
        self.operatorName = operatorName
        self.missing = missing
    }
}

/// What an importer leaves for the journal to take over: a folder `imports/<16 hex digits>` in the data directory with
/// one file and side file a segment, named by `SegmentFiles` (open and side names, counted from 0), all synced, and,
/// written last, this as `manifest.json`. Without it the folder is an import that broke off, and is removed.
package struct ImportManifest: Hashable, Sendable, Codable {
    package static let fileName = "manifest.json"
    package static let folderName = "imports"
    /// Whether this is the name of one file's folder.
    package static func isFolder(_ name: String) -> Bool { name.utf8.count == 16 && name.utf8.allSatisfy { (48...57).contains($0) || (97...102).contains($0) } }
    package static let byteLimit = 16 << 20
    /// While files are being staged: how many bytes the importer wants free on the node's disk, as decimal digits. For
    /// it the journal gives up what the hub holds, and nothing else.
    package static let wantedName = "wanted"
    /// Held while files are being staged.
    package static let lockName = "lock"
    /// With `sequences` empty: the journal fills them in.
    package var record: ImportRecord
    /// In order; sequence numbers and runs count from 0. The journal gives both their real numbers.
    package var segments: [SegmentRecord]
    package init(record: ImportRecord, segments: [SegmentRecord]) {
        self.record = record
        self.segments = segments
    }
}

extension ImportRecord {
    /// The boot id of what was made from a file: the same file gives the same one.
    package static func bootID(of original: ContentHash) -> String { bootPrefix + original.hex.prefix(32) }
    package static let bootPrefix = "import-"
}
