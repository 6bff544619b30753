import Logging
import RecordingModel

/// Something that measures energy. `run` keeps one thread of its own for as long as it is not stopped.
package protocol PowerSource: Sendable {
    /// As the configuration names it: `victron`, `ups`.
    var name: String { get }
    /// Reads until stopped and hands over what it reads; reconnects by itself, at most every ten seconds. Returns within
    /// two seconds of the order to stop.
    func run(_ deliver: @escaping @Sendable ([PowerReading]) -> Void, stop: PowerStop)
}

/// Why a source gives nothing: a sentence with what was tried and what to do.
struct PowerSourceProblem: Error, CustomStringConvertible, Sendable {
    var description: String
    init(_ description: String) { self.description = description }
}

/// Runs sessions with a device or a peer, one after another, until stopped.
struct PowerSessions {
    static let firstPauseMilliseconds: Int64 = 500
    static let pauseMaxMilliseconds: Int64 = 10_000

    var source: String
    var logger: Logger
    var stop: PowerStop

    /// - Parameter session: returns when stopped, throws when it cannot go on; calls what it is given whenever a reading came,
    ///   which makes the next pause short again.
    func run(_ session: (_ worked: () -> Void) throws -> Void) {
        var pauseMilliseconds = Self.firstPauseMilliseconds
        var saidProblem: String?
        while !stop.isSet {
            do {
                try session {
                    pauseMilliseconds = Self.firstPauseMilliseconds
                    guard saidProblem != nil else { return }
                    saidProblem = nil
                    logger.notice("energy is measured again", metadata: ["source": "\(source)"])
                }
            } catch {
                // The same problem every ten seconds through a night would fill a log and tell nothing.
                let problem = "\(error)"
                if problem != saidProblem { logger.warning("no reading", metadata: ["source": "\(source)", "problem": "\(problem)"]) }
                saidProblem = problem
            }
            if stop.wait(milliseconds: pauseMilliseconds) { return }
            pauseMilliseconds = min(Self.pauseMaxMilliseconds, pauseMilliseconds * 2)
        }
    }
}

/// Readings of one moment, as they are put together.
struct ReadingBatch {
    private(set) var readings: [PowerReading] = []
    let bootMilliseconds: Int64
    let source: String

    init(source: String, bootMilliseconds: Int64) {
        self.source = source
        self.bootMilliseconds = bootMilliseconds
    }

    /// Nothing for nil: what a device does not tell is no reading.
    mutating func add(_ quantity: PowerQuantity, _ value: Double?, _ confidence: PowerConfidence = .high) {
        guard let value else { return }
        readings.append(PowerReading(quantity, value, bootMilliseconds: bootMilliseconds, source: source, confidence: confidence))
    }

    mutating func add(_ quantity: PowerQuantity, _ flag: Bool?, _ confidence: PowerConfidence = .high) {
        add(quantity, flag.map { $0 ? 1 : 0 }, confidence)
    }
}

/// Amperes by a driver whose sign cannot be trusted: where the device says that it discharges, they leave the battery.
func signedAmperes(_ amperes: Double?, isDischarging: Bool, isCharging: Bool) -> Double? {
    guard let amperes else { return nil }
    return isDischarging ? -abs(amperes) : isCharging ? abs(amperes) : amperes
}
