import Crypto
import EdgeMotion
import EdgeONVIF
import FoundationEssentials
import RecordingModel

/// One answer of the listener.
struct EventAnswer: Hashable {
    var status: Int
    /// One sentence; it never repeats what was sent.
    var detail: String
    var headers: [[String]] = []

    static let taken = EventAnswer(status: 200, detail: "taken")

    static func problem(_ status: Int, _ detail: String, _ headers: [[String]] = []) -> EventAnswer {
        EventAnswer(status: status, detail: detail, headers: headers)
    }

    private struct Document: Encodable {
        var title: String
        var status: Int
        var detail: String
    }

    /// RFC 9457 for a refusal.
    func body(title: String) -> [UInt8] {
        guard status != 200 else { return Array("{\"status\":\"taken\"}\n".utf8) }
        let encoder = JSONEncoder()
        encoder.outputFormatting = .sortedKeys
        return (try? encoder.encode(Document(title: title, status: status, detail: detail))).map { Array($0) } ?? []
    }

    var contentType: String { status == 200 ? "application/json" : "application/problem+json" }
}

/// Where an event may be posted.
///
/// - `/events/CAMERA` with a JSON object: `label`, `score` (0 to 100), `duration_seconds` (0 to 3600), all optional
/// - `/events/CAMERA/LABEL` with any body, which is not looked at: for cameras and boxes whose body cannot be configured
/// - `/onvif/CAMERA` with a `wsnt:Notify`
enum EventRoute: Hashable {
    case json(CameraID)
    case named(CameraID, label: String)
    case notify(CameraID)

    /// Nil for every other path. A query is ignored.
    init?(_ uri: String) {
        let path = uri.prefix { $0 != "?" }
        let parts = path.split(separator: "/", omittingEmptySubsequences: false).dropFirst().map(String.init)
        guard path.hasPrefix("/"), parts.count >= 2, let camera = CameraID(parts[1]) else { return nil }
        switch (parts[0], parts.count) {
        case ("events", 2): self = .json(camera)
        case ("events", 3):
            let label = parts[2]
            guard (1...EventTrigger.labelBytesMax).contains(label.utf8.count), label.allSatisfy({ $0.isASCII && ($0.isLetter || $0.isNumber || "-_.".contains($0)) }) else { return nil }
            self = .named(camera, label: label)
        case ("onvif", 2): self = .notify(camera)
        default: return nil
        }
    }

    var camera: CameraID {
        switch self {
        case .json(let camera), .named(let camera, _), .notify(let camera): camera
        }
    }
}

/// The secret that a poster shows: as a bearer token, or as the password of HTTP Basic, which is all that many cameras can.
struct EventToken: Sendable {
    private let hash: SHA256Digest

    init(_ text: String) { hash = SHA256.hash(data: Array(text.utf8)) }

    /// The comparison of two hashes takes the same time wherever they differ.
    func isShown(in header: String?) -> Bool {
        guard let header, header.utf8.count <= 1024 else { return false }
        let parts = header.split(separator: " ", maxSplits: 1)
        guard parts.count == 2 else { return false }
        let shown: [UInt8]
        switch parts[0].lowercased() {
        case "bearer": shown = Array(parts[1].utf8)
        case "basic":
            guard let decoded = Data(base64Encoded: String(parts[1])), let colon = decoded.firstIndex(of: UInt8(ascii: ":")) else { return false }
            shown = Array(decoded[decoded.index(after: colon)...])
        default: return false
        }
        return SHA256.hash(data: shown) == hash
    }
}

/// The posted JSON.
struct PostedEvent: Hashable {
    static let durationSecondsMax = 3_600.0
    var label = "webhook"
    var score = 100
    /// Without one the event is a moment, with the camera's pre- and post-roll around it.
    var durationSeconds = 1.0

    private struct Document: Decodable {
        var label: String?
        var score: Int?
        var duration_seconds: Double?
    }

    /// - Throws: `EventRefusal` with a sentence.
    init(_ body: [UInt8]) throws(EventRefusal) {
        if body.isEmpty { return }
        let document: Document
        do { document = try JSONDecoder().decode(Document.self, from: Data(body)) } catch {
            throw EventRefusal("The body is no JSON object with label (text), score (whole number) and duration_seconds (number).")
        }
        if let label = document.label {
            guard (1...EventTrigger.labelBytesMax).contains(label.utf8.count), !label.unicodeScalars.contains(where: { $0.properties.generalCategory == .control }) else {
                throw EventRefusal("label has 1 to \(EventTrigger.labelBytesMax) bytes without control characters.")
            }
            self.label = label
        }
        if let score = document.score {
            guard (0...100).contains(score) else { throw EventRefusal("score is 0 to 100.") }
            self.score = score
        }
        if let seconds = document.duration_seconds {
            guard seconds >= 0, seconds <= Self.durationSecondsMax else { throw EventRefusal("duration_seconds is 0 to 3600.") }
            durationSeconds = seconds
        }
    }
}

struct EventRefusal: Error {
    var sentence: String
    init(_ sentence: String) { self.sentence = sentence }
}

/// So many events of one camera in a second; a few more at once, because bells ring twice.
struct EventRate: Sendable {
    static let perSecond = 10.0
    static let burst = 20.0
    private var tokens = EventRate.burst
    private var bootMilliseconds: Int64?

    mutating func admits(_ now: Int64) -> Bool {
        let passed = Double(max(0, now - (bootMilliseconds ?? now))) / 1_000
        bootMilliseconds = max(now, bootMilliseconds ?? now)
        tokens = min(Self.burst, tokens + passed * Self.perSecond)
        guard tokens >= 1 else { return false }
        tokens -= 1
        return true
    }
}

extension EventTrigger {
    /// A device's property that is true holds until it says otherwise, and at most this long: it may be gone meanwhile.
    static let propertyMilliseconds: Int64 = 600_000

    /// Nil for what recording does not go by.
    init?(_ notification: ONVIFNotification, bootMilliseconds: Int64) {
        guard let state = notification.state else { return nil }
        let topic = notification.topic.split(separator: "/").last.map(String.init) ?? state.trigger.rawValue
        // Two rules of one kind are two things: one of them ends without the other.
        let about = (notification.sourceTokens["Rule"] ?? notification.sourceTokens.min { $0.key < $1.key }?.value).map { " \($0)" } ?? ""
        let label = String((topic + about).unicodeScalars.filter { $0.properties.generalCategory != .control }.map(Character.init))
        self.init(
            source: .onvif, label: label, score: 100, phase: state.isActive ? .lasting(milliseconds: Self.propertyMilliseconds) : .over,
            bootMilliseconds: bootMilliseconds)
    }
}
