import LibAV
import Logging
import RecordingModel
import StorageIO

/// Runs attempt after attempt on the camera's thread until it is asked to stop.
final class RecordingSupervisor {
    private let context: RecorderContext
    private let stop: StopSignal
    private let ledger: GapLedger
    private let health: HealthReporter
    private let events: EventWatch
    private let fragments = FragmentWriter()
    private let disk = StoragePause()
    private let power: PowerWatch
    private var backoff: Backoff
    /// A camera that is lost again sooner is no camera that is back.
    private static let steadyMilliseconds: Int64 = 30_000

    init(_ context: RecorderContext, stop: StopSignal, randomness: any RandomNumberGenerator & Sendable) {
        self.context = context
        self.stop = stop
        let now = context.clocks.now()
        ledger = GapLedger(context, start: now)
        health = HealthReporter(context, now: now)
        events = EventWatch(context, now: now)
        backoff = Backoff(randomness)
        power = PowerWatch(context.power, isSubStream: context.stream.kind != .main, randomness: randomness)
        power.look(now.bootMilliseconds)
    }

    func run() {
        var lastError: String?
        while !stop.isSet {
            if let refusal = ledger.gate.refusal {
                lastError = refusal.detail
                hold(refusal)
                continue
            }
            if let detail = power.closedDetail {
                lastError = nil
                rest(detail)
                continue
            }
            health.enter(.connecting, now: context.clocks.now(), lastError: lastError)
            let (failure, recordedMilliseconds) = attempt()
            guard case .failed(let cause, let detail) = failure, !stop.isSet else { break }
            if cause == .power {
                context.logger.info("camera let go", metadata: ["detail": "\(detail)"])
                continue
            }
            let now = context.clocks.now()
            lastError = detail
            if recordedMilliseconds >= Self.steadyMilliseconds { backoff.reset() }
            let pause = backoff.next()
            context.logger.warning(
                "camera not recorded", metadata: ["cause": "\(cause.rawValue)", "detail": "\(detail)", "retryMilliseconds": "\(pause)"])
            health.enter(.waiting, now: now, lastError: detail)
            wait(milliseconds: pause)
        }
        let now = context.clocks.now()
        events.finish(now)
        ledger.close(now)
        health.enter(.stopped, now: now, lastError: lastError)
    }

    /// The sink refuses: nothing is opened, and only the gap is told.
    private func hold(_ refusal: RecordingRefusal) {
        let now = context.clocks.now()
        ledger.learned(refusal.cause, refusal.detail, now)
        health.enter(.waiting, now: now, lastError: refusal.detail)
        wait(milliseconds: 1_000)
    }

    /// Energy forbids the camera: nothing is opened, and only the gap is told.
    private func rest(_ detail: String) {
        let now = context.clocks.now()
        ledger.learned(.power, detail, now)
        health.enter(.waiting, now: now, lastError: detail)
        wait(milliseconds: 500)
    }

    private func attempt() -> (CaptureFailure, recordedMilliseconds: Int64) {
        // Also while it connects, which may take long.
        stop.interrupt.onWait { [weak self] in
            guard let self else { return }
            tick()
            // What it connects to is not wanted any more.
            if power.closedDetail != nil { stop.interrupt.arm(milliseconds: 0) }
        }
        defer { stop.interrupt.onWait(nil) }
        do throws(CaptureFailure) {
            do { try context.storage.makeDirectory(context.directory) } catch {
                let fault = context.fault(error)
                throw .failed(fault.cause, fault.detail)
            }
            let attempt = try RecordingAttempt(context, ledger: ledger, health: health, events: events, fragments: fragments, disk: disk, power: power, stop: stop)
            let failure = attempt.record()
            return (failure, attempt.recordedMilliseconds)
        } catch {
            if error != .stopped, let detail = power.closedDetail { return (.failed(.power, detail), 0) }
            if case .failed(let cause, let detail) = error { ledger.learned(cause, detail, context.clocks.now()) }
            return (error, 0)
        }
    }

    /// In pieces of a second, so that gaps and health are told while it waits.
    private func wait(milliseconds: Int64) {
        var left = milliseconds
        while left > 0 {
            let piece = min(left, 1_000)
            guard (try? stop.sleep(nanoseconds: piece * 1_000_000)) != nil else { return }
            left -= piece
            let wasClosed = power.closedDetail != nil
            tick()
            if wasClosed != (power.closedDetail != nil) { return }
        }
    }

    private func tick() {
        let now = context.clocks.now()
        power.look(now.bootMilliseconds)
        events.tick(now)
        ledger.tick(now)
        health.tick(now)
    }
}

/// Pauses between attempts: twice as long each time up to 30 s, and half of it by chance.
struct Backoff {
    static let firstMilliseconds: Int64 = 500
    static let lastMilliseconds: Int64 = 30_000
    private var randomness: any RandomNumberGenerator & Sendable
    private var ceiling = Backoff.firstMilliseconds

    init(_ randomness: any RandomNumberGenerator & Sendable) { self.randomness = randomness }

    mutating func next() -> Int64 {
        defer { ceiling = min(ceiling * 2, Self.lastMilliseconds) }
        return Self.draw((ceiling / 2)...ceiling, &randomness)
    }

    mutating func reset() { ceiling = Self.firstMilliseconds }

    private static func draw(_ range: ClosedRange<Int64>, _ generator: inout some RandomNumberGenerator) -> Int64 {
        Int64.random(in: range, using: &generator)
    }
}
