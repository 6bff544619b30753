import EdgeCapture
import LibAV
import Logging
import RecordingModel
import StorageIO
import Synchronization
import SystemPackage

/// Makes thumbnails and proxies of what was recorded, behind recording: it reads sealed segments, works one job at a time
/// on a thread of its own, and what it does not get done stays where the log shows it. Nothing waits for it.
package final class CompressEngine: Sendable {
    /// What the engine needs of its node.
    package struct Surroundings: Sendable {
        package var store: any CompressStore
        package var sink: any RecordingSink
        package var storage: any StorageIO
        package var segmentsRoot: FilePath
        package var clocks: any Clocks
        /// Power and temperature: asked before each job that encodes video.
        package var mayTranscode: @Sendable () -> Bool
        /// Whether anything at all may be decoded.
        package var mayDecode: @Sendable () -> Bool
        /// The proxies' rate of today; nil for the plan's. Asked before each job, so it must be at hand.
        package var proxyRate: @Sendable () -> DayRate?

        package init(
            store: any CompressStore, sink: any RecordingSink, storage: any StorageIO, segmentsRoot: FilePath, clocks: any Clocks,
            mayTranscode: @escaping @Sendable () -> Bool = { true }, mayDecode: @escaping @Sendable () -> Bool = { true },
            proxyRate: @escaping @Sendable () -> DayRate? = { nil }
        ) {
            self.store = store
            self.sink = sink
            self.storage = storage
            self.segmentsRoot = segmentsRoot
            self.clocks = clocks
            self.mayTranscode = mayTranscode
            self.mayDecode = mayDecode
            self.proxyRate = proxyRate
        }
    }

    private let plan: CompressPlan
    private let surroundings: Surroundings
    private let worker: WorkerSettings
    private let logger: Logger
    private let latch = Latch()
    private let finished = Latch()
    private let wake = WakeSignal()
    private let shared = Mutex(CompressFigures())

    package init(_ plan: CompressPlan, worker: WorkerSettings, surroundings: Surroundings, logger: Logger) {
        self.plan = plan
        self.worker = worker
        self.surroundings = surroundings
        self.logger = logger
    }

    package var figures: CompressFigures { shared.withLock { $0 } }

    /// False when the system gives no thread.
    package func start() -> Bool {
        let (plan, surroundings, worker, logger, latch, finished, wake) = (plan, surroundings, worker, logger, latch, finished, wake)
        let running = DedicatedThread.start(name: "compress") { [weak self] in
            let work = CompressWork(plan, worker: worker, surroundings: surroundings, logger: logger, isStopping: { latch.isSet }) { change in
                self?.shared.withLock { change(&$0) }
            }
            work.run(wake)
            finished.set()
        }
        if !running { finished.set() }
        return running
    }

    /// Something was sealed.
    package func notice() { wake.signal() }

    package func requestStop() {
        latch.set()
        wake.signal()
    }

    /// Ends the worker, packs what is at hand, and waits at most so long.
    @discardableResult
    package func stop(withinMilliseconds milliseconds: Int64 = 3_000) -> Bool {
        requestStop()
        return finished.wait(milliseconds: milliseconds)
    }
}
