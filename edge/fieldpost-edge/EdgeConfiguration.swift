import Crypto
import EdgeSync
import Logging
import RecordingModel
import ServiceSupport

/// Everything a person decides about a node, read from one YAML file. Durations are in seconds, paths absolute.
struct EdgeConfiguration: Sendable, Hashable {
    /// Where segments, log, index and keys live.
    var dataDirectory: String
    /// The site's name for people; nothing depends on it.
    var site: String?
    /// Nominal length of a segment; a camera may have its own.
    var segmentSeconds: Int
    /// In the file's order, ids unique.
    var cameras: [Camera]
    var storage: Storage
    /// Where others may post events; nil when they may not, which is the default.
    var listener: Listener?
    var hub: Hub
    var sync: Sync
    var compress: Compress
    /// The ways to the hub; empty for whatever the machine's routes say.
    var links: [Uplink]
    /// Nil where energy is no question.
    var power: Power?
    var log: Log
    var metrics: MetricsOutput
    /// First 12 hex digits of the SHA-256 of the file's bytes: entries of the log name it.
    var version: String

    struct Camera: Sendable, Hashable {
        enum Transport: String, Sendable, CaseIterable { case tcp, udp }
        var id: CameraID
        var source: CameraSource
        /// The camera's own small stream, recorded as its proxy; nil when it has none.
        var subStream: CameraSource?
        /// For RTSP: how the packets come. TCP loses none on a busy network.
        var transport: Transport
        /// Why sound is recorded; nil when it is not, which is the default.
        var audioReason: String?
        var segmentSeconds: Int
        var events: Events

        /// The whole address for the library that connects, with the password from its file; never for a log.
        /// - Throws: `ServiceSupportError` when the password file cannot be read or is empty.
        func connectionURL() throws -> String {
            try source.connectionURL { path in try SmallFile.text(path, limitBytes: 4096) }
        }

        /// The same of the small stream; of the main one where there is none.
        func subStreamConnectionURL() throws -> String {
            try (subStream ?? source).connectionURL { path in try SmallFile.text(path, limitBytes: 4096) }
        }
    }

    struct Hub: Sendable, Hashable {
        /// False: record only. The hub's address comes from enrolment, not from here.
        var isEnabled: Bool
    }

    struct Sync: Sendable, Hashable {
        /// The longest silence towards the hub while there is a link.
        var heartbeatSeconds: Int
        var connectTimeoutSeconds: Int
        /// A connection on which nothing moves for this long is given up.
        var stallTimeoutSeconds: Int
    }

    struct Log: Sendable, Hashable {
        var level: Logger.Level
        var format: LogFormat
    }

    struct MetricsOutput: Sendable, Hashable {
        /// How often the figures that `fieldpost-edge status` reads are written.
        var intervalSeconds: Int
    }

    static let segmentSecondsRange = 2...600
    static let camerasMax = 64

    /// - Parameters:
    ///   - bytes: the file, exactly: the version is their hash.
    ///   - file: its name for messages.
    /// - Throws: `ConfigurationError` naming every problem with key, line and what would be accepted.
    static func decode(_ bytes: [UInt8], file: String) throws -> EdgeConfiguration {
        let version = String(Hex.encode(SHA256.hash(data: bytes)).prefix(12))
        return try StrictYAML.decode(bytes, file: file) { read($0, version: version) }
    }
}
