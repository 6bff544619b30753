import RecordingModel
import StorageIO

/// What the node has recorded, for making small things of it. Calls block.
package protocol CompressStore: Sendable {
    /// Those with footage in the log, also from cards of cameras that nobody has configured.
    func cameras() throws -> [CameraID]
    /// The oldest segment of the stream from this number on whose file is here; nil when there is none.
    func next(_ stream: StreamID, from sequence: UInt64) throws -> SegmentRecord?
    /// The newest entry of the stream, whether or not its file is still here.
    func newest(_ stream: StreamID) throws -> SegmentRecord?
    /// Whether the hub has it, by its statement in force.
    func isHeld(_ segment: SegmentID) throws -> Bool
    /// Nil when the file is gone.
    func open(_ segment: SegmentID) throws -> (any ReadingFile)?
    /// When events of the camera began, as the node dated them then; between two times, at most so many.
    func events(_ camera: CameraID, fromUnixMilliseconds: Int64, toUnixMilliseconds: Int64, limit: Int) throws -> [Int64]
}

/// What was made since the start of the process, for figures and tests.
package struct CompressFigures: Hashable, Sendable {
    package var thumbnails = 0
    package var thumbnailObjects = 0
    package var proxies = 0
    /// Of these, full size at a set quality.
    package var transcoded = 0
    package var proxyBytes: Int64 = 0
    package var proxyMilliseconds: Int64 = 0
    package var workerStarts = 0
    package var workerDeaths = 0
    /// Jobs that are not tried again.
    package var setAside = 0
    package var cpuMilliseconds: Int64 = 0
    package var confinement = ""
    /// What was tried, by FFmpeg's name: `works`, or why not.
    package var encoders: [String: String] = [:]
    /// What proxies are aimed at now, where that follows the links' budget of the day.
    package var proxyRate: DayRate?
    /// Why nothing is made just now, or what went wrong last; one sentence.
    package var note: String?
    package init() {}
}
