import EdgeCapture
import EdgeJournal
import EdgeMotion
import Logging
import RecordingModel
import ServiceSupport
import Synchronization

extension EdgeConfiguration.Camera {
    /// The camera's own small stream as capture takes it; nil when it has none. It is recorded all the time, also where the main
    /// stream keeps events only; hours that leave the camera out leave this out.
    func subStreamCapture(configVersion: String) -> CameraConfiguration? {
        subStream.map { subStream in
            var capture = capture(configVersion: configVersion)
            capture.url = subStream.connectionURLWithoutFile
            capture.motion = nil
            capture.recording = events.plan.mode == .schedule ? RecordingPlan(mode: .schedule, schedule: events.plan.schedule, outside: .nothing) : RecordingPlan()
            return capture
        }
    }
}

extension EdgeConfiguration {
    /// A second recorder for each camera that has a small stream of its own; what they write is the camera's stream `proxy`.
    func subStreamRecorders(folder: NodeFolder, journal: Journal, clocks: any Clocks, energy: NodeEnergy?) -> [(recorder: CameraRecorder, sink: SubStreamSink)] {
        cameras.compactMap { camera in
            guard let capture = camera.subStreamCapture(configVersion: version) else { return nil }
            let sink = SubStreamSink(journal)
            let recorder = CameraRecorder(
                configuration: capture, kind: .proxy, url: { try camera.subStreamConnectionURL() }, segmentsRoot: folder.segments, storage: folder.storage,
                sink: sink, clocks: clocks, power: energy?.cameras[camera.id], randomness: SystemRandomNumberGenerator(), logger: Logger(label: "capture"))
            return (recorder, sink)
        }
    }
}

/// Where a camera's second recorder puts what it makes. The camera's health and events are what its main stream says of it.
final class SubStreamSink: RecordingSink {
    private let journal: any RecordingSink
    private let newest = Mutex<CameraHealth?>(nil)
    private let rate = Mutex<Int64>(0)

    init(_ journal: any RecordingSink) { self.journal = journal }

    /// Of the small stream; nil before its recorder has started.
    var health: CameraHealth? { newest.withLock { $0 } }

    /// Of the newest segment; 0 before the first.
    var bitsPerSecond: Int64 { rate.withLock { $0 } }

    func nextSequence(for stream: StreamID) -> UInt64 { journal.nextSequence(for: stream) }
    func nextRun(for stream: StreamID) -> UInt64 { journal.nextRun(for: stream) }
    func deliver(_ segment: ClosedSegment) throws {
        rate.withLock { $0 = segment.record.bytes * 8_000 / max(1_000, segment.record.durationMilliseconds) }
        try journal.deliver(segment)
    }
    func deliver(_ gap: GapRecord) throws { try journal.deliver(gap) }
    func deliver(_ event: EventRecord) throws {}
    func report(_ health: CameraHealth) { newest.withLock { $0 = health } }
    var refusal: RecordingRefusal? { journal.refusal }
}
