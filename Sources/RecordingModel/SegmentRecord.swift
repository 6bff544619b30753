/// Why a segment ended where it did.
package enum SegmentEnd: String, Sendable, OpenWord {
    /// The configured length was reached and a key frame came.
    case length
    case stopped
    case cameraLost = "camera-lost"
    /// Codec, resolution or parameter sets changed: a new init segment is needed.
    case parametersChanged = "parameters-changed"
    /// Timestamps jumped, so the media timeline could not go on.
    case discontinuity
    case powerCut = "power-cut"
    case storageFault = "storage-fault"
    /// An event's recording ended with its post-roll, or the schedule's hours did.
    case eventOver = "event-over"
    /// The imported file ended here.
    case imported
    /// Energy allowed no more, or something else.
    case power
    /// A word of a later version.
    case unrecognised
}

/// What a `segment` entry says of one sealed file: everything that a reader needs to place, check and play it.
package struct SegmentRecord: Hashable, Sendable, Codable {
    package var stream: StreamID
    package var sequence: UInt64
    /// Segments of one run follow one another without a break, on one media timeline.
    package var run: UInt64
    package var bootID: String
    package var startBootMilliseconds: Int64
    package var endBootMilliseconds: Int64
    package var startWall: WallEstimate
    /// Length of the stored file, and SHA-256 of its bytes.
    package var bytes: Int64
    package var sha256: ContentHash
    /// RFC 6962 tree head over the SHA-256 of each fragment, in order: a partial file can be proven.
    package var fragmentRoot: ContentHash
    package var fragmentCount: Int
    /// Length and SHA-256 of `ftyp` + `moov`, with which the file begins.
    package var initBytes: Int64
    package var initSHA256: ContentHash
    /// RFC 6381 codecs parameter of the whole file, such as `avc1.42c01e,mp4a.40.2`.
    package var codecs: String
    package var widthPixels: Int
    package var heightPixels: Int
    /// Decode time of the first video sample on the run's media timeline, and length on it.
    package var mediaStartTicks90k: Int64
    package var mediaDurationTicks90k: Int64
    package var frames: Int
    /// Packets that the recorder had to drop within this segment.
    package var drops: Int
    package var end: SegmentEnd
    package var configVersion: String
    /// To save energy only key frames were recorded, each shown until the next; absent otherwise.
    package var isKeyFramesOnly: Bool?
    /// Nil for what a camera sent, as it came; versions before it pass over it.
    package var made: MadeRecord?
    /// Nil where the sound is the camera's own, or there is none.
    package var encodedSound: EncodedSound?

    package init(
        stream: StreamID, sequence: UInt64, run: UInt64, bootID: String, startBootMilliseconds: Int64, endBootMilliseconds: Int64,
        startWall: WallEstimate, bytes: Int64, sha256: ContentHash, fragmentRoot: ContentHash, fragmentCount: Int, initBytes: Int64,
        initSHA256: ContentHash, codecs: String, widthPixels: Int, heightPixels: Int, mediaStartTicks90k: Int64,
        mediaDurationTicks90k: Int64, frames: Int, drops: Int, end: SegmentEnd, configVersion: String, isKeyFramesOnly: Bool? = nil, made: MadeRecord? = nil,
        encodedSound: EncodedSound? = nil
    ) {
        self.stream = stream
        self.sequence = sequence
        self.run = run
        self.bootID = bootID
        self.startBootMilliseconds = startBootMilliseconds
        self.endBootMilliseconds = endBootMilliseconds
        self.startWall = startWall
        self.bytes = bytes
        self.sha256 = sha256
        self.fragmentRoot = fragmentRoot
        self.fragmentCount = fragmentCount
        self.initBytes = initBytes
        self.initSHA256 = initSHA256
        self.codecs = codecs
        self.widthPixels = widthPixels
        self.heightPixels = heightPixels
        self.mediaStartTicks90k = mediaStartTicks90k
        self.mediaDurationTicks90k = mediaDurationTicks90k
        self.frames = frames
        self.drops = drops
        self.end = end
        self.configVersion = configVersion
        self.isKeyFramesOnly = isKeyFramesOnly
        self.made = made
        self.encodedSound = encodedSound
    }

    package var id: SegmentID { SegmentID(stream: stream, sequence: sequence) }
    package var durationMilliseconds: Int64 { endBootMilliseconds - startBootMilliseconds }
    package var startUnixMilliseconds: Int64 { startWall.unixMilliseconds }
    package var endUnixMilliseconds: Int64 { startWall.unixMilliseconds + durationMilliseconds }
}

/// Why a time was not recorded.
package enum GapCause: String, Sendable, OpenWord {
    /// The recorder started and was waiting for the camera's first key frame.
    case starting
    case cameraUnreachable = "camera-unreachable"
    case cameraSilent = "camera-silent"
    case cameraRefused = "camera-refused"
    case noKeyFrame = "no-key-frame"
    /// The camera closed the connection or its stream broke.
    case cameraLost = "camera-lost"
    case unsupported = "unsupported-stream"
    /// The recorder was stopped on request.
    case stopped
    /// The node lost power or its process was killed.
    case powerCut = "power-cut"
    case diskFault = "disk-fault"
    case diskFull = "disk-full"
    case clock
    /// The configured hours leave this time out.
    case schedule
    /// The camera records events only, and there was none.
    case noEvent = "no-event"
    /// The node saves energy; the detail says which state it is in, and why.
    case power
    case overload
    /// A word of a later version.
    case unrecognised
}

/// What a `gap` entry says: a span of a stream that has no footage, and why.
package struct GapRecord: Hashable, Sendable, Codable {
    package var stream: StreamID
    package var bootID: String
    package var startBootMilliseconds: Int64
    package var startWall: WallEstimate
    package var durationMilliseconds: Int64
    package var cause: GapCause
    /// One sentence for people; never holds a secret.
    package var detail: String

    package init(
        stream: StreamID, bootID: String, startBootMilliseconds: Int64, startWall: WallEstimate, durationMilliseconds: Int64,
        cause: GapCause, detail: String
    ) {
        self.stream = stream
        self.bootID = bootID
        self.startBootMilliseconds = startBootMilliseconds
        self.startWall = startWall
        self.durationMilliseconds = durationMilliseconds
        self.cause = cause
        self.detail = detail
    }

    package var endUnixMilliseconds: Int64 { startWall.unixMilliseconds + durationMilliseconds }
}
