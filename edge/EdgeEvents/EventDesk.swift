import EdgeMotion
import EdgeONVIF
import Logging
import RecordingModel
import Synchronization

/// Decides what becomes of one request, without a network. Everything it keeps is bounded by the number of cameras.
final class EventDesk: Sendable {
    static let bodyBytesMax = 64 << 10

    private let triggers: EventTriggers
    private let token: EventToken
    private let clocks: any Clocks
    private let rates = Mutex<[CameraID: EventRate]>([:])

    init(triggers: EventTriggers, token: EventToken, clocks: any Clocks) {
        self.triggers = triggers
        self.token = token
        self.clocks = clocks
    }

    /// What can be said before the body comes; nil when it may come.
    func refuse(method: String, uri: String, authorization: String?, contentLength: Int?) -> EventAnswer? {
        // First of all: who shows no token learns nothing of what there is.
        guard token.isShown(in: authorization) else {
            return .problem(401, "The token is missing or wrong; send it as Authorization: Bearer TOKEN, or as the password of HTTP Basic.", [["WWW-Authenticate", "Bearer"], ["WWW-Authenticate", "Basic realm=\"events\""]])
        }
        guard let route = EventRoute(uri), triggers[route.camera] != nil else {
            return .problem(404, "There is nothing at this address; post to /events/CAMERA, /events/CAMERA/LABEL or /onvif/CAMERA with a camera of this node.")
        }
        guard method == "POST" else { return .problem(405, "Events are posted.", [["Allow", "POST"]]) }
        if let contentLength, contentLength > Self.bodyBytesMax { return Self.tooLarge }
        guard rates.withLock({ $0[route.camera, default: EventRate()].admits(clocks.now().bootMilliseconds) }) else {
            return .problem(429, "More than 10 events a second for one camera.", [["Retry-After", "1"]])
        }
        return nil
    }

    static let tooLarge = EventAnswer.problem(413, "The body is larger than \(bodyBytesMax) bytes.")

    /// The whole request, after `refuse` had nothing against it.
    func take(uri: String, body: [UInt8]) -> EventAnswer {
        guard let route = EventRoute(uri), let box = triggers[route.camera] else { return .problem(404, "There is nothing at this address.") }
        let now = clocks.now().bootMilliseconds
        switch route {
        case .named(_, let label):
            box.put(EventTrigger(source: .webhook, label: label, score: 100, phase: .lasting(milliseconds: 1_000), bootMilliseconds: now))
        case .json:
            do throws(EventRefusal) {
                let event = try PostedEvent(body)
                box.put(
                    EventTrigger(
                        source: .webhook, label: event.label, score: event.score, phase: .lasting(milliseconds: Int64(event.durationSeconds * 1_000)),
                        bootMilliseconds: now))
            } catch {
                return .problem(400, error.sentence)
            }
        case .notify:
            do {
                // What it brings that recording does not go by is no mistake of the camera.
                for notification in try ONVIFNotification.notify(body) { if let trigger = EventTrigger(notification, bootMilliseconds: now) { box.put(trigger) } }
            } catch {
                return .problem(400, "The body is no notification (wsnt:Notify).")
            }
        }
        return .taken
    }
}
