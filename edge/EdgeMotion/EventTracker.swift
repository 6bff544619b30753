import RecordingModel

/// Makes events of one camera out of what is seen and what is told: one at a time, whoever speaks.
///
/// An event begins when activity of at least `startScore` has lasted `minimumMilliseconds`, or with a trigger. It goes on
/// while there is activity of at least `continueScore`, and is over when there was none for `coolDownMilliseconds`; its
/// end is then the last activity, without the cool-down. It is told when it begins, so that somebody far away hears of it at
/// once, and again when it is over; one that lasts longer is told in pieces of `pieceMilliseconds`, so that a power cut loses
/// at most one and a range never waits for an hour-long event. What is told later with the same start takes the place of
/// what was told before.
/// Times are boot-clock milliseconds; one that lies before the last one counts as the last one.
package struct EventTracker: Sendable {
    package struct Settings: Hashable, Sendable {
        package var startScore: Int
        package var continueScore: Int
        package var minimumMilliseconds: Int64
        package var coolDownMilliseconds: Int64
        package var pieceMilliseconds: Int64

        /// - Parameter startScore: 1 to 100; an event goes on at half of it, so that it does not flicker at the border.
        package init(startScore: Int = 20, minimumMilliseconds: Int64 = 500, coolDownMilliseconds: Int64 = 5_000, pieceMilliseconds: Int64 = 60_000) {
            self.startScore = startScore
            continueScore = max(1, startScore / 2)
            self.minimumMilliseconds = minimumMilliseconds
            self.coolDownMilliseconds = coolDownMilliseconds
            self.pieceMilliseconds = max(1_000, pieceMilliseconds)
        }
    }

    /// An event or a piece of one, before it has a place in the wall clock's time.
    package struct Piece: Hashable, Sendable {
        package var source: EventRecord.Source
        package var label: String
        package var startMilliseconds: Int64
        package var endMilliseconds: Int64
        package var score: Int
        /// The event goes on; another piece with the same start follows.
        package var isBeginning = false
    }

    /// What one source says under one label, while it lasts.
    private struct Claim: Sendable {
        var source: EventRecord.Source
        var label: String
        var score: Int
        var untilMilliseconds: Int64
    }

    private struct Open: Sendable {
        var source: EventRecord.Source
        /// In the order that they joined.
        var labels: [String]
        var startMilliseconds: Int64
        var pieceStartMilliseconds: Int64
        /// The last moment that somebody saw or claimed something; never later than the last moment known.
        var activeMilliseconds: Int64
        var score: Int
        /// What was said as it began.
        var beginning: Piece?
        var hasPiece = false
    }

    /// Sources that speak at the same time; beyond this the claim that ends first gives way.
    private static let claimsMax = 8
    private static let labelsMax = 4

    private let settings: Settings
    private var open: Open?
    private var candidateMilliseconds: Int64?
    private var candidateEndMilliseconds: Int64 = 0
    private var candidateScore = 0
    private var claims: [Claim] = []
    private var now: Int64 = .min
    /// When the newest event that is over was last active.
    private var lastActive: Int64?

    package init(_ settings: Settings) { self.settings = settings }

    /// Whether an event is under way, its cool-down included.
    package var isOpen: Bool { open != nil }
    /// When the event under way began.
    package var openSinceMilliseconds: Int64? { open?.startMilliseconds }
    /// When something was last active; nil before the first event.
    package var lastActiveMilliseconds: Int64? { open?.activeMilliseconds ?? lastActive }

    /// Motion that was seen between two moments.
    package mutating func observe(_ observation: MotionObservation) -> [Piece] {
        let end = max(observation.toMilliseconds, now)
        var pieces = advance(to: end)
        let start = min(max(observation.fromMilliseconds, lastActiveMilliseconds ?? .min), end)
        if open != nil {
            guard observation.score >= settings.continueScore else { return pieces }
            activate(.motion, observation.label, observation.score, from: start, to: end)
            pieces += split()
            return pieces
        }
        guard observation.score >= settings.startScore, observation.mayStart else {
            if observation.score < settings.continueScore { candidateMilliseconds = nil }
            return pieces
        }
        if candidateMilliseconds == nil || start - candidateEndMilliseconds > settings.coolDownMilliseconds {
            candidateMilliseconds = start
            candidateScore = 0
        }
        candidateEndMilliseconds = end
        candidateScore = max(candidateScore, observation.score)
        guard let first = candidateMilliseconds, end - first >= settings.minimumMilliseconds else { return pieces }
        activate(.motion, observation.label, candidateScore, from: first, to: end)
        return pieces + split()
    }

    package mutating func take(_ trigger: EventTrigger) -> [Piece] {
        let at = max(trigger.bootMilliseconds, now)
        var pieces = advance(to: at)
        switch trigger.phase {
        case .over:
            claims.removeAll { $0.source == trigger.source && $0.label == trigger.label }
        case .lasting(let milliseconds):
            let until = at + milliseconds
            if let index = claims.firstIndex(where: { $0.source == trigger.source && $0.label == trigger.label }) {
                claims[index].untilMilliseconds = max(claims[index].untilMilliseconds, until)
                claims[index].score = max(claims[index].score, trigger.score)
            } else {
                if claims.count >= Self.claimsMax, let first = claims.indices.min(by: { claims[$0].untilMilliseconds < claims[$1].untilMilliseconds }) {
                    claims.remove(at: first)
                }
                claims.append(Claim(source: trigger.source, label: trigger.label, score: trigger.score, untilMilliseconds: until))
            }
            activate(trigger.source, trigger.label, trigger.score, from: at, to: at)
            pieces += split()
        }
        return pieces
    }

    /// To be called at least every second or so: ends what is over, and tells pieces of what is not.
    package mutating func advance(to milliseconds: Int64) -> [Piece] {
        let before = now
        now = max(now, milliseconds)
        guard open != nil || !claims.isEmpty else { return [] }
        for claim in claims where claim.untilMilliseconds > before {
            extend(to: min(claim.untilMilliseconds, now), score: claim.score)
        }
        claims.removeAll { $0.untilMilliseconds <= now }
        var pieces = split()
        if let event = open, claims.isEmpty, now - event.activeMilliseconds >= settings.coolDownMilliseconds { pieces += close() }
        return pieces
    }

    /// The recorder ends here, and with it what is under way.
    package mutating func finish(at milliseconds: Int64) -> [Piece] {
        let pieces = advance(to: milliseconds)
        claims = []
        candidateMilliseconds = nil
        return pieces + close()
    }

    private mutating func activate(_ source: EventRecord.Source, _ label: String, _ score: Int, from start: Int64, to end: Int64) {
        candidateMilliseconds = nil
        if var event = open {
            if !event.labels.contains(label), event.labels.count < Self.labelsMax { event.labels.append(label) }
            open = event
            extend(to: end, score: score)
        } else {
            open = Open(source: source, labels: [label], startMilliseconds: start, pieceStartMilliseconds: start, activeMilliseconds: end, score: score)
        }
    }

    private mutating func extend(to end: Int64, score: Int) {
        guard var event = open else { return }
        event.activeMilliseconds = max(event.activeMilliseconds, end)
        event.score = max(event.score, score)
        open = event
    }

    /// Whole pieces of the event under way, up to its last activity.
    private mutating func split() -> [Piece] {
        guard var event = open else { return [] }
        var pieces: [Piece] = []
        if event.beginning == nil, event.activeMilliseconds - event.pieceStartMilliseconds < settings.pieceMilliseconds {
            var beginning = piece(event, to: event.activeMilliseconds)
            beginning.isBeginning = true
            event.beginning = beginning
            pieces.append(beginning)
        }
        while event.activeMilliseconds - event.pieceStartMilliseconds >= settings.pieceMilliseconds {
            let end = event.pieceStartMilliseconds + settings.pieceMilliseconds
            pieces.append(piece(event, to: end))
            event.pieceStartMilliseconds = end
            event.beginning = pieces.last
            event.hasPiece = true
        }
        open = event
        return pieces
    }

    private mutating func close() -> [Piece] {
        guard let event = open else { return [] }
        open = nil
        lastActive = event.activeMilliseconds
        // What was told in whole pieces to its end needs no empty one, and what was told whole as it began is not said twice.
        if event.hasPiece, event.activeMilliseconds == event.pieceStartMilliseconds { return [] }
        var last = piece(event, to: event.activeMilliseconds)
        last.isBeginning = true
        if last == event.beginning { return [] }
        last.isBeginning = false
        return [last]
    }

    private func piece(_ event: Open, to end: Int64) -> Piece {
        Piece(
            source: event.source, label: event.labels.joined(separator: ", "), startMilliseconds: event.pieceStartMilliseconds, endMilliseconds: end,
            score: event.score)
    }
}

/// What one look at the camera's stream said of the time since the look before.
package struct MotionObservation: Hashable, Sendable {
    package var fromMilliseconds: Int64
    package var toMilliseconds: Int64
    /// 0 to 100.
    package var score: Int
    /// The zone, or `motion`.
    package var label: String
    /// False when it is too unsure to begin an event, but enough to let one go on.
    package var mayStart: Bool

    package init(fromMilliseconds: Int64, toMilliseconds: Int64, score: Int, label: String, mayStart: Bool) {
        self.fromMilliseconds = fromMilliseconds
        self.toMilliseconds = toMilliseconds
        self.score = score
        self.label = label
        self.mayStart = mayStart
    }
}
