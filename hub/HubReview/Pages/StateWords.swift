import RecordingModel

/// The words for the seven states of a camera's second, and for the causes of what was not recorded.
enum StateWords {
    static func name(_ state: SpanState) -> String {
        switch state {
        case .onHub: "on the hub"
        case .onlyOnNode: "only on the node"
        case .requested: "requested from the node"
        case .transferring: "on its way"
        case .lost: "lost"
        case .notRecorded: "not recorded"
        case .unknown: "unknown"
        }
    }

    static func explanation(_ state: SpanState) -> String {
        switch state {
        case .onHub: "plays at once"
        case .onlyOnNode: "recorded, not forwarded yet"
        case .requested: "asked for, waiting for the node"
        case .transferring: "being forwarded now"
        case .lost: "was recorded, and is nowhere to be had"
        case .notRecorded: "with the reason"
        case .unknown: "the node has not reported this time yet"
        }
    }

    static func cause(_ cause: GapCause?) -> String? {
        switch cause {
        case nil: nil
        case .starting: "the recorder was starting"
        case .cameraUnreachable: "the camera could not be reached"
        case .cameraSilent: "the camera sent nothing"
        case .cameraRefused: "the camera refused the recorder"
        case .noKeyFrame: "the camera sent no key frame"
        case .cameraLost: "the camera's stream broke"
        case .unsupported: "the camera's stream cannot be recorded"
        case .stopped: "the recorder was stopped"
        case .powerCut: "power cut or killed process"
        case .diskFault: "the node's disk failed"
        case .diskFull: "the node's disk was full"
        case .clock: "the node's clock jumped"
        case .schedule: "outside the schedule"
        case .noEvent: "events only, and there was none"
        case .overload: "the node was overloaded"
        }
    }

    /// `not recorded: power cut or killed process`
    static func sentence(_ span: TimelineSpan) -> String {
        cause(span.cause).map { "\(name(span.state)): \($0)" } ?? name(span.state)
    }
}
