import EdgeMotion
import LibAV
import Logging
import RecordingModel
import StorageIO
import Synchronization
import SystemPackage

/// Records one camera on a thread of its own, for as long as it is started: connects, records, says why it
/// does not, and connects again. Started once and stopped once.
package final class CameraRecorder: Sendable {
    /// A thread that hangs in the disk or in a name lookup is left behind after this.
    package static let stopMilliseconds: Int64 = 3_000

    private let context: RecorderContext
    private let randomness: Mutex<any RandomNumberGenerator & Sendable>
    private let stopSignal = StopSignal()
    private let finished = Latch()
    private let started = Atomic<Bool>(false)

    /// - Parameters:
    ///   - kind: `proxy` for the camera's own small stream, recorded beside the main one by a recorder of its own.
    ///   - segmentsRoot: `segments` in the node's data directory.
    ///   - url: gives the whole address each time that it connects, where a part of it may be missing for a while (a
    ///     password in a file); the configuration's own when it is nil. What it throws is the camera's gap, as a sentence.
    ///   - triggers: where events from outside come in; nil when nobody raises any.
    ///   - power: where it is told what energy allows; nil where that is no question.
    ///   - randomness: spreads reconnects, so that cameras do not come back in step.
    package convenience init(
        configuration: CameraConfiguration, kind: StreamKind = .main, url: (@Sendable () throws -> String)? = nil, segmentsRoot: FilePath, storage: any StorageIO,
        sink: any RecordingSink, clocks: any Clocks, triggers: TriggerBox? = nil, power: PowerGate? = nil, randomness: any RandomNumberGenerator & Sendable, logger: Logger
    ) {
        let stream = StreamID(camera: configuration.id, kind: kind)
        var logger = logger
        logger[metadataKey: "camera"] = "\(configuration.id)"
        if kind != .main { logger[metadataKey: "stream"] = "\(kind.rawValue)" }
        var context = RecorderContext(
            configuration: configuration, stream: stream,
            directory: segmentsRoot.appending(stream.camera.description).appending(stream.kind.rawValue), storage: storage, sink: sink,
            clocks: clocks, logger: logger, triggers: triggers, power: power)
        if let url {
            context.openSource = { configuration, stop throws(CaptureFailure) in
                var whole = configuration
                do { whole.url = try url() } catch { throw .failed(.cameraUnreachable, "its address is not known whole: \(error)") }
                return try CameraSources.open(whole, stop: stop)
            }
        }
        self.init(context, randomness: randomness)
    }

    init(_ context: RecorderContext, randomness: any RandomNumberGenerator & Sendable) {
        self.context = context
        self.randomness = Mutex(randomness)
    }

    /// Returns at once. False when the system gives no thread, or when it was started before.
    @discardableResult
    package func start() -> Bool {
        guard !started.exchange(true, ordering: .sequentiallyConsistent) else { return false }
        let (context, stopSignal, finished) = (context, stopSignal, finished)
        let randomness = randomness.withLock { $0 }
        let running = DedicatedThread.start(name: "\(context.stream.kind == .main ? "cam" : "sub")-\(context.configuration.id)") {
            RecordingSupervisor(context, stop: stopSignal, randomness: randomness).run()
            finished.set()
        }
        if !running { finished.set() }
        return running
    }

    /// Asks it to end, and returns at once: many recorders end together.
    package func requestStop() { stopSignal.set() }

    /// Ends it and waits: the open segment is sealed and delivered, and the gap after it. Blocks its thread for
    /// at most so long; false when it has not ended by then.
    @discardableResult
    package func stop(withinMilliseconds milliseconds: Int64 = CameraRecorder.stopMilliseconds) -> Bool {
        requestStop()
        guard started.load(ordering: .sequentiallyConsistent) else { return true }
        let ended = finished.wait(milliseconds: milliseconds)
        if !ended { context.logger.error("the recorder did not end in time; its thread is left behind") }
        return ended
    }
}
