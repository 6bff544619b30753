import EdgeMotion
import RecordingModel

/// Whether a camera's sound is kept. Recording people's speech is another thing than recording a gate,
/// so it takes a reason, which the configuration keeps.
package enum AudioPolicy: Sendable, Hashable, Codable {
    case off
    case record(reason: String)

    package var isRecorded: Bool { self != .off }
}

package enum RTSPTransport: String, Sendable, Hashable, Codable { case tcp, udp }

/// One camera as the node's configuration names it.
package struct CameraConfiguration: Sendable, Hashable {
    package static let minimumSegmentMilliseconds = 2_000
    package static let schemes = ["rtsp", "rtsps", "rtmp", "rtmps", "srt", "udp", "rtp", "http", "https", "file", "test"]

    package var id: CameraID
    /// May hold credentials: never to be logged as it is.
    package var url: String
    package var segmentMilliseconds: Int
    package var audio: AudioPolicy
    package var transport: RTSPTransport
    /// Bounds opening the connection, and then learning what the streams are.
    package var connectTimeoutMilliseconds: Int
    /// Without a packet for this long the camera is lost.
    package var stallTimeoutMilliseconds: Int
    package var noKeyFrameTimeoutMilliseconds: Int
    package var configVersion: String
    /// When footage is kept.
    package var recording: RecordingPlan
    /// Nil: motion is not looked for.
    package var motion: MotionSettings?

    package init(
        id: CameraID, url: String, segmentMilliseconds: Int = 60_000, audio: AudioPolicy = .off, transport: RTSPTransport = .tcp,
        connectTimeoutMilliseconds: Int = 10_000, stallTimeoutMilliseconds: Int = 10_000, noKeyFrameTimeoutMilliseconds: Int = 30_000,
        configVersion: String, recording: RecordingPlan = RecordingPlan(), motion: MotionSettings? = nil
    ) {
        self.id = id
        self.url = url
        self.segmentMilliseconds = segmentMilliseconds
        self.audio = audio
        self.transport = transport
        self.connectTimeoutMilliseconds = connectTimeoutMilliseconds
        self.stallTimeoutMilliseconds = stallTimeoutMilliseconds
        self.noKeyFrameTimeoutMilliseconds = noKeyFrameTimeoutMilliseconds
        self.configVersion = configVersion
        self.recording = recording
        self.motion = motion
    }

    /// Lower case, without the colon; empty when there is none.
    package var scheme: String {
        guard let colon = url.firstIndex(of: ":") else { return "" }
        return url[..<colon].lowercased()
    }

    /// What is wrong with it, one sentence each, without secrets; empty when nothing is.
    package var problems: [String] {
        var problems: [String] = []
        if !Self.schemes.contains(scheme) { problems.append("camera \(id): the URL must begin with one of \(Self.schemes.joined(separator: ", "))") }
        if segmentMilliseconds < Self.minimumSegmentMilliseconds {
            problems.append("camera \(id): a segment has at least \(Self.minimumSegmentMilliseconds) ms")
        }
        if case .record(let reason) = audio, reason.isEmpty { problems.append("camera \(id): recording sound needs a reason") }
        for (name, value) in [
            ("connect", connectTimeoutMilliseconds), ("stall", stallTimeoutMilliseconds), ("no-key-frame", noKeyFrameTimeoutMilliseconds),
        ] where value < 100 { problems.append("camera \(id): the \(name) timeout has at least 100 ms") }
        if case .failure(let problem) = AddressOptions.parse(url) { problems.append("camera \(id): \(problem.sentence)") }
        if scheme == "test", case .failure(let problem) = TestPattern.Options.parse(url) { problems.append("camera \(id): \(problem.sentence)") }
        return problems
    }
}
