import LibAV
import RecordingModel

/// Why an attempt to record ended.
enum CaptureFailure: Error, Hashable {
    /// On request.
    case stopped
    /// The cause that a gap gets, and one sentence without secrets.
    case failed(GapCause, String)

    /// Of the segment that it ends.
    var segmentEnd: SegmentEnd {
        switch self {
        case .stopped: .stopped
        case .failed(.power, _): .power
        case .failed: .cameraLost
        }
    }

    init(_ error: LibAVError, whileOpening: Bool) {
        if error.interruption == .cancelled {
            self = .stopped
            return
        }
        let cause: GapCause =
            switch (error.interruption, error.kind) {
            case (.timedOut, _): whileOpening ? .cameraUnreachable : .cameraLost
            case (_, .refused): .cameraRefused
            case (_, .unsupported): whileOpening ? .unsupported : .cameraLost
            default: whileOpening ? .cameraUnreachable : .cameraLost
            }
        self = .failed(cause, error.description)
    }
}

/// The disk refused; the cause is what the gap is given.
struct StorageFault: Error {
    var cause: GapCause
    var detail: String
}
