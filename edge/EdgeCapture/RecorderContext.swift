import EdgeMotion
import Logging
import RecordingModel
import StorageIO
import SystemPackage

/// What every part of one camera's recorder needs, passed along as one value.
struct RecorderContext: Sendable {
    var configuration: CameraConfiguration
    var stream: StreamID
    /// The stream's folder below the segments' root.
    var directory: FilePath
    var storage: any StorageIO
    var sink: any RecordingSink
    var clocks: any Clocks
    var logger: Logger
    /// What others say of the camera; nil when nobody can.
    var triggers: TriggerBox?
    /// What energy allows the camera; nil where that is no question.
    var power: PowerGate?
    /// Replaced by tests, which have cameras that do as they are told.
    var openSource: @Sendable (CameraConfiguration, StopSignal) throws(CaptureFailure) -> any CameraSource = CameraSources.open
    /// No segment file is larger.
    var segmentLimitBytes: Int64 = 4 << 30

    func fault(_ error: any Error) -> StorageFault {
        let isFull = (error as? StorageError)?.isNoSpace ?? false
        return StorageFault(cause: isFull ? .diskFull : .diskFault, detail: "\(error)")
    }
}

extension Moment {
    /// The same clocks at another time of this boot.
    func moved(to bootNanoseconds: Int64) -> Moment {
        Moment(bootNanoseconds: bootNanoseconds, wall: wall(atBootMilliseconds: bootNanoseconds / 1_000_000))
    }
}

/// Counters and state of a camera, reported at each change of state and about once a second.
final class HealthReporter {
    private static let intervalNanoseconds: Int64 = 1_000_000_000
    private let sink: any RecordingSink
    private var reportedNanoseconds: Int64 = .min
    var health: CameraHealth

    init(_ context: RecorderContext, now: Moment) {
        sink = context.sink
        health = CameraHealth(camera: context.configuration.id, state: .connecting, sinceBootMilliseconds: now.bootMilliseconds)
    }

    func enter(_ state: CameraHealth.State, now: Moment, lastError: String?) {
        health.lastError = lastError
        if state != health.state {
            health.state = state
            health.sinceBootMilliseconds = now.bootMilliseconds
        }
        report(now)
    }

    func tick(_ now: Moment) {
        if reportedNanoseconds == .min || now.bootNanoseconds - reportedNanoseconds >= Self.intervalNanoseconds { report(now) }
    }

    private func report(_ now: Moment) {
        reportedNanoseconds = now.bootNanoseconds
        sink.report(health)
    }
}
