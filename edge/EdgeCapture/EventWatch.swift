import EdgeMotion
import LibAV
import Logging
import RecordingModel

/// What happens in front of one camera, and whether its footage is kept because of it. It lives as long as the recorder
/// does: an event goes on while the camera is away.
final class EventWatch {
    /// How often hours, cool-down and post-roll are looked at. With each packet would be no better and cost more.
    private static let intervalNanoseconds: Int64 = 250_000_000
    /// Events that the sink refused wait here; beyond this the oldest goes, and the log says so.
    private static let waitingLimit = 100
    private static let retryNanoseconds: Int64 = 1_500_000_000
    /// Several sources' labels together.
    private static let labelBytesMax = 256

    private let context: RecorderContext
    private let plan: RecordingPlan
    private let detector: MotionDetector?
    private var tracker: EventTracker
    /// Footage is always kept, and nobody can raise an event: nothing is to be done for a packet.
    private let isIdle: Bool
    private var lookedNanoseconds: Int64 = .min
    private var waiting: [EventRecord] = []
    private var triedNanoseconds: Int64?
    /// Why nothing is kept now; nil to record.
    private(set) var gap: GapCause?

    init(_ context: RecorderContext, now: Moment) {
        self.context = context
        plan = context.configuration.recording
        let motion = context.configuration.motion
        detector = motion.map { MotionDetector($0) }
        var settings = EventTracker.Settings()
        if let motion { settings = EventTracker.Settings(startScore: motion.threshold, coolDownMilliseconds: motion.coolDownMilliseconds) }
        tracker = EventTracker(settings)
        isIdle = plan.mode == .continuous && motion == nil && context.triggers == nil
        tick(now)
    }

    /// Why motion is not fully looked for, one sentence.
    var note: String? { detector?.note }

    /// Where the footage of the event under way should begin; when it is the schedule's hours that begin, now.
    var preRollStartNanoseconds: Int64 {
        guard let start = tracker.openSinceMilliseconds ?? tracker.lastActiveMilliseconds else { return .max }
        return (start - plan.preRollMilliseconds) * 1_000_000
    }

    /// A connection begins, or goes on with other parameters.
    func streamBegins() { detector?.begin() }

    /// To be called with every video packet, a whole picture.
    func observe(_ packet: borrowing Packet, _ parameters: CodecParameters, _ now: Moment) {
        // Where nothing would be kept anyway nothing is looked at either.
        guard let detector, gap != .schedule else { return }
        guard let seen = detector.observe(packet, parameters, nanoseconds: now.bootNanoseconds) else { return }
        tell(tracker.observe(seen), now)
        decide(now)
    }

    /// To be called with every packet, and while none comes.
    func tick(_ now: Moment) {
        if isIdle { return }
        if let triggers = context.triggers, !triggers.isEmpty {
            for trigger in triggers.take() { tell(tracker.take(trigger), now) }
        } else if lookedNanoseconds != .min, now.bootNanoseconds - lookedNanoseconds < Self.intervalNanoseconds {
            return
        }
        lookedNanoseconds = now.bootNanoseconds
        tell(tracker.advance(to: now.bootMilliseconds), now)
        decide(now)
    }

    /// The recorder ends.
    func finish(_ now: Moment) {
        if isIdle { return }
        if let triggers = context.triggers { for trigger in triggers.take() { tell(tracker.take(trigger), now) } }
        triedNanoseconds = nil
        tell(tracker.finish(at: now.bootMilliseconds), now)
    }

    private func decide(_ now: Moment) {
        let lastActive = tracker.lastActiveMilliseconds
        let isPostRoll = lastActive.map { now.bootMilliseconds < $0 + plan.postRollMilliseconds } ?? false
        gap = plan.gap(at: now.wall, isEvent: tracker.isOpen || isPostRoll)
    }

    private func tell(_ pieces: [EventTracker.Piece], _ now: Moment) {
        for piece in pieces {
            var wall = now.wall(atBootMilliseconds: piece.startMilliseconds)
            // A clock that was never set may be younger than the event.
            wall.unixMilliseconds = max(0, wall.unixMilliseconds)
            if waiting.count >= Self.waitingLimit {
                waiting.removeFirst()
                context.logger.error("an event was dropped, because the journal takes none")
            }
            waiting.append(
                EventRecord(
                    camera: context.configuration.id, source: piece.source, bootID: context.clocks.bootID,
                    startBootMilliseconds: piece.startMilliseconds, startWall: wall,
                    durationMilliseconds: piece.endMilliseconds - piece.startMilliseconds, score: piece.score, label: EventTrigger.bounded(piece.label, bytes: Self.labelBytesMax)))
        }
        // It would be refused for ever, and hold up those behind it.
        waiting.removeAll { event in
            guard !event.isPlausible else { return false }
            context.logger.error("an event was dropped, because its times make no sense", metadata: ["label": "\(event.label)"])
            return true
        }
        guard !waiting.isEmpty else { return }
        if let triedNanoseconds, now.bootNanoseconds - triedNanoseconds < Self.retryNanoseconds { return }
        do {
            while let event = waiting.first {
                try context.sink.deliver(event)
                waiting.removeFirst()
            }
            triedNanoseconds = nil
        } catch {
            if triedNanoseconds == nil { context.logger.error("the journal refused an event", metadata: ["error": "\(error)"]) }
            triedNanoseconds = now.bootNanoseconds
        }
    }
}
