import Logging
import RecordingModel

/// Accounts for every millisecond of a stream: footage and gaps follow one another without overlap or hole.
/// Times are boot-clock milliseconds.
final class GapLedger {
    /// A gap that lasts is told in pieces, so that a power cut loses at most one.
    static let pieceMilliseconds: Int64 = 60_000
    /// Gaps that the sink refused wait here; beyond this the last one grows.
    private static let waitingLimit = 100

    private let context: RecorderContext
    let gate: SinkGate
    private(set) var accountedUntil: Int64
    private var open: (cause: GapCause, detail: String)?
    private var waiting: [GapRecord] = []
    /// What lies after this may still become footage, so it is not told yet; nil when nothing may.
    var heldFrom: Int64?

    init(_ context: RecorderContext, start: Moment) {
        self.context = context
        gate = SinkGate(context)
        accountedUntil = start.bootMilliseconds
        open = (.starting, "the recorder started and waits for the camera's first key frame")
    }

    /// Ends the gap where the footage starts, which is not before `accountedUntil`.
    func footageBegins(at start: Int64, _ now: Moment) {
        write(until: start, now)
        open = nil
    }

    func recorded(until end: Int64) { accountedUntil = max(accountedUntil, end) }

    /// Footage ended; the gap runs from what is accounted for.
    func gapBegins(_ cause: GapCause, _ detail: String) { open = (cause, detail) }

    /// What is known now about the gap under way. Time at the start gets the first cause that is learned;
    /// later causes count from when they are learned.
    func learned(_ cause: GapCause, _ detail: String, _ now: Moment) {
        if let open, open.cause != .starting, open.cause != cause { write(until: now.bootMilliseconds, now) }
        open = (cause, detail)
    }

    /// The camera is connected, and by its configuration nothing is kept. Whatever was the cause before counts until now.
    func standby(_ cause: GapCause, _ detail: String, _ now: Moment) {
        guard open?.cause != cause else { return }
        write(until: now.bootMilliseconds, now)
        open = (cause, detail)
    }

    /// To be called at least every few seconds while no footage comes.
    func tick(_ now: Moment) {
        let end = min(now.bootMilliseconds, heldFrom ?? now.bootMilliseconds)
        let whole = (end - accountedUntil) / Self.pieceMilliseconds * Self.pieceMilliseconds
        if whole > 0 { write(until: accountedUntil + whole, now) }
        retry(now)
    }

    /// Offers again what the sink refused.
    func retry(_ now: Moment, atOnce: Bool = false) {
        if !waiting.isEmpty { deliver(now, atOnce: atOnce) }
    }

    /// The recorder ends here.
    func close(_ now: Moment) {
        write(until: now.bootMilliseconds, now)
        open = nil
        deliver(now, atOnce: true)
    }

    private func write(until end: Int64, _ now: Moment) {
        guard let open else { return }
        while end > accountedUntil {
            let length = min(end - accountedUntil, Self.pieceMilliseconds)
            append(
                GapRecord(
                    stream: context.stream, bootID: context.clocks.bootID, startBootMilliseconds: accountedUntil,
                    startWall: now.wall(atBootMilliseconds: accountedUntil), durationMilliseconds: length, cause: open.cause,
                    detail: open.detail))
            accountedUntil += length
        }
        deliver(now)
    }

    private func append(_ gap: GapRecord) {
        if waiting.count >= Self.waitingLimit, let last = waiting.last,
            last.startBootMilliseconds + last.durationMilliseconds == gap.startBootMilliseconds
        {
            waiting[waiting.count - 1].durationMilliseconds += gap.durationMilliseconds
        } else {
            waiting.append(gap)
        }
    }

    private func deliver(_ now: Moment, atOnce: Bool = false) {
        while let gap = waiting.first, gate.deliver(gap, now, atOnce: atOnce) { waiting.removeFirst() }
    }
}
