import Logging
import NIOPosix
import RecordingModel
import Synchronization

/// Keeps every source running and says what they tell together. One thread a source: a read of sysfs, a serial port or a
/// name may block for long.
package final class PowerMonitor: Sendable {
    /// How long `stop` waits for the sources; one that hangs in the kernel ends by itself later.
    package static let stopMilliseconds: Int64 = 2_000

    private struct Running {
        var stop: PowerStop
        /// Set when the last source has returned.
        var ended: PowerStop
        var threads: NIOThreadPool
    }

    private struct State {
        var estimator: EnergyEstimator
        var listeners: [Int: AsyncStream<Void>.Continuation] = [:]
        var nextListener = 0
    }

    private let sources: [any PowerSource]
    private let clocks: any Clocks
    private let logger: Logger
    private let state: Mutex<State>
    private let running = Mutex<Running?>(nil)

    package init(sources: [any PowerSource], battery: BatterySettings, clocks: any Clocks, logger: Logger) {
        self.sources = sources
        self.clocks = clocks
        self.logger = logger
        state = Mutex(State(estimator: EnergyEstimator(battery: battery)))
    }

    deinit {
        // Without waiting: it may be a source's own thread that let the monitor go.
        guard let last = running.withLock({ $0 }) else { return }
        last.stop.set()
        last.threads.shutdownGracefully { _ in }
    }

    package func start() {
        guard !sources.isEmpty else { return }
        running.withLock { running in
            guard running == nil else { return }
            let now = Running(stop: PowerStop(), ended: PowerStop(), threads: NIOThreadPool(numberOfThreads: sources.count))
            running = now
            now.threads.start()
            let left = Left(sources.count, ended: now.ended)
            for source in sources {
                now.threads.submit { [weak self] state in
                    defer { left.one() }
                    guard state == .active else { return }
                    source.run({ [weak self] readings in self?.take(readings) }, stop: now.stop)
                }
            }
        }
    }

    /// Returns when every source has ended, after two seconds at the latest.
    package func stop() {
        let last = running.withLock { running in
            defer { running = nil }
            return running
        }
        guard let last else { return }
        last.stop.set()
        if !last.ended.wait(milliseconds: Self.stopMilliseconds) {
            logger.warning("a source of readings does not stop; it is left to end by itself")
        }
        last.threads.shutdownGracefully { _ in }
    }

    /// The newest of each quantity and source, stale ones included: each has its time.
    package var readings: [PowerReading] { state.withLock { $0.estimator.readings } }

    /// Nil when every reading is older than 60 s: silence is a state of its own.
    package func estimate() -> EnergyEstimate? {
        let now = clocks.now().bootMilliseconds
        return state.withLock { $0.estimator.estimate(atBootMilliseconds: now) }
    }

    /// Numbers that no device can mean, so far.
    package var implausibleCount: Int { state.withLock { $0.estimator.implausibleCount } }

    /// What was counted, to be kept over a restart of the process or the machine.
    package var counted: EnergyCount? { state.withLock { $0.estimator.counted } }
    package func restore(_ count: EnergyCount, atBootMilliseconds: Int64) { state.withLock { $0.estimator.restore(count, atBootMilliseconds: atBootMilliseconds) } }

    /// Says that readings came; changes that nobody has taken yet are one. Silence changes nothing here: who must see it
    /// asks for the estimate now and then.
    package func changes() -> AsyncStream<Void> {
        let (stream, continuation) = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
        let id = state.withLock { state in
            defer { state.nextListener += 1 }
            state.listeners[state.nextListener] = continuation
            return state.nextListener
        }
        continuation.onTermination = { [weak self] _ in self?.state.withLock { $0.listeners[id] = nil } }
        return stream
    }

    private func take(_ readings: [PowerReading]) {
        let listeners = state.withLock { state in
            state.estimator.take(readings)
            return Array(state.listeners.values)
        }
        for listener in listeners { listener.yield() }
    }
}

/// Counts down the sources that run.
private final class Left: Sendable {
    private let count: Mutex<Int>
    private let ended: PowerStop

    init(_ count: Int, ended: PowerStop) {
        self.count = Mutex(count)
        self.ended = ended
    }

    func one() {
        let isLast = count.withLock { count in
            count -= 1
            return count == 0
        }
        if isLast { ended.set() }
    }
}
