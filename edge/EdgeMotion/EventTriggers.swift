import RecordingModel
import Synchronization

/// What somebody else says of a camera: an ONVIF event, a webhook, a person.
package struct EventTrigger: Hashable, Sendable {
    package enum Phase: Hashable, Sendable {
        /// It goes on for so long, unless it is told to be over before; a later trigger of the same label prolongs it.
        case lasting(milliseconds: Int64)
        /// What the same source said under the same label is over.
        case over
    }

    /// Longer is no event; a source that means it says so again.
    package static let longestMilliseconds: Int64 = 3_600_000
    package static let labelBytesMax = 64

    package var source: EventRecord.Source
    /// The webhook's name or the ONVIF topic; cut to `labelBytesMax`.
    package var label: String
    /// 0 to 100.
    package var score: Int
    package var phase: Phase
    /// When it was heard.
    package var bootMilliseconds: Int64

    package init(source: EventRecord.Source, label: String, score: Int, phase: Phase, bootMilliseconds: Int64) {
        self.source = source
        self.label = Self.bounded(label, bytes: Self.labelBytesMax)
        self.score = min(100, max(0, score))
        self.phase =
            switch phase {
            case .lasting(let milliseconds): .lasting(milliseconds: min(Self.longestMilliseconds, max(0, milliseconds)))
            case .over: .over
            }
        self.bootMilliseconds = bootMilliseconds
    }

    /// Whole characters only: half a character is no text.
    package static func bounded(_ label: String, bytes bytesMax: Int) -> String {
        var bytes = 0
        return String(label.prefix { character in
            bytes += character.utf8.count
            return bytes <= bytesMax
        })
    }
}

/// Triggers of one camera on their way from whoever hears them to the camera's thread.
package final class TriggerBox: Sendable {
    /// A camera's thread looks at least every half second while it has a connection; more within that time is a flood.
    package static let limit = 64

    private struct State {
        var waiting: [EventTrigger] = []
        var dropped: UInt64 = 0
    }
    private let state = Mutex(State())
    /// Looked at with every packet, so it must cost no lock.
    private let hasSome = Atomic<Bool>(false)

    package init() {}

    /// When the box is full the oldest goes.
    package func put(_ trigger: EventTrigger) {
        state.withLock { state in
            if state.waiting.count >= Self.limit {
                state.waiting.removeFirst()
                state.dropped += 1
            }
            state.waiting.append(trigger)
            hasSome.store(true, ordering: .releasing)
        }
    }

    package var isEmpty: Bool { !hasSome.load(ordering: .acquiring) }

    /// All that wait, oldest first.
    package func take() -> [EventTrigger] {
        guard !isEmpty else { return [] }
        return state.withLock { state in
            hasSome.store(false, ordering: .releasing)
            defer { state.waiting = [] }
            return state.waiting
        }
    }

    /// How many were dropped since the start.
    package var dropped: UInt64 { state.withLock { $0.dropped } }
}

/// The boxes of all cameras of a node; which cameras there are is fixed.
package struct EventTriggers: Sendable {
    private let boxes: [CameraID: TriggerBox]

    package init(cameras: [CameraID]) { boxes = Dictionary(cameras.map { ($0, TriggerBox()) }) { first, _ in first } }

    package subscript(camera: CameraID) -> TriggerBox? { boxes[camera] }
    package var dropped: UInt64 { boxes.values.reduce(0) { $0 + $1.dropped } }
}
