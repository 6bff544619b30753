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
    private let fragments = FragmentWriter()
    private var backoff: Backoff

    init(_ context: RecorderContext, stop: StopSignal, randomness: any RandomNumberGenerator & Sendable) {
        self.context = context
        self.stop = stop
        let now = context.clocks.now()
        ledger = GapLedger(context, start: now)
        health = HealthReporter(context, now: now)
        backoff = Backoff(randomness)
    }

    func run() {
        var lastError: String?
        while !stop.isSet {
            health.enter(.connecting, now: context.clocks.now(), lastError: lastError)
            let (failure, hasRecorded) = attempt()
            guard case .failed(let cause, let detail) = failure, !stop.isSet else { break }
            let now = context.clocks.now()
            lastError = detail
            if hasRecorded { backoff.reset() } else { ledger.learned(cause, detail, now) }
            let pause = backoff.next()
            context.logger.warning(
                "camera not recorded", metadata: ["cause": "\(cause.rawValue)", "detail": "\(detail)", "retryMilliseconds": "\(pause)"])
            health.enter(.waiting, now: now, lastError: detail)
            wait(milliseconds: pause)
        }
        let now = context.clocks.now()
        ledger.close(now)
        health.enter(.stopped, now: now, lastError: lastError)
    }

    private func attempt() -> (CaptureFailure, hasRecorded: Bool) {
        do throws(CaptureFailure) {
            do { try context.storage.makeDirectory(context.directory) } catch {
                let fault = context.fault(error)
                throw .failed(fault.cause, fault.detail)
            }
            let attempt = try RecordingAttempt(context, ledger: ledger, health: health, fragments: fragments, stop: stop)
            return (attempt.record(), attempt.hasRecorded)
        } catch {
            return (error, false)
        }
    }

    /// In pieces of a second, so that gaps and health are told while it waits.
    private func wait(milliseconds: Int64) {
        var left = milliseconds
        while left > 0 {
            let piece = min(left, 1_000)
            guard (try? stop.sleep(nanoseconds: piece * 1_000_000)) != nil else { return }
            left -= piece
            let now = context.clocks.now()
            ledger.tick(now)
            health.tick(now)
        }
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
