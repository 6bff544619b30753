import RecordingModel

/// The words for the seven states of a camera's second, for what the hub has in its place, and for the causes of what was not recorded.
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
        case .power: "too little energy"
        case .overload: "the node was overloaded"
        case .unrecognised: "a cause that a newer node names and this hub does not know"
        }
    }

    static func standIn(_ standIn: StandIn) -> String {
        switch standIn {
        case .proxy: "small picture"
        case .thumbnails: "thumbnails"
        }
    }

    static func explanation(_ standIn: StandIn) -> String {
        switch standIn {
        case .proxy: "plays at once, in place of what is not here"
        case .thumbnails: "still pictures, in place of what is not here"
        }
    }

    /// `only on the node; thumbnails are here`
    static func state(_ span: TimelineSpan) -> String {
        switch span.standIn {
        case nil: name(span.state)
        case .proxy: "\(name(span.state)); a small picture is here"
        case .thumbnails: "\(name(span.state)); thumbnails are here"
        }
    }

    /// `not recorded: power cut or killed process`
    static func sentence(_ span: TimelineSpan) -> String {
        cause(span.cause).map { "\(state(span)): \($0)" } ?? state(span)
    }

    /// Beside what is shown in the place of footage: `small picture: the full one is on the node`
    static func note(_ span: TimelineSpan?) -> String {
        let place = switch span?.state {
        case .lost: "is lost"
        case .requested: "is on the node, and asked for"
        case .transferring: "is on its way"
        case .notRecorded: "was not recorded"
        default: "is on the node"
        }
        return "\(standIn(span?.standIn ?? .proxy)): the full \(span?.standIn == .thumbnails ? "footage" : "one") \(place)"
    }

    /// `clock corrected by the node later; recorded as 1970-01-01 00:03:20 UTC`
    static func correction(of segment: PlayableSegment) -> String {
        "clock corrected by the node later; recorded as \(WallText.readable(segment.record.startUnixMilliseconds))"
    }

    static func event(_ event: TimelineEvent) -> String {
        let source = switch event.source {
        case .motion: "motion"
        case .onvif: "the camera (ONVIF)"
        case .webhook: "webhook"
        case .manual: "by hand"
        case .unrecognised: "a source that this hub does not know"
        }
        return "\(event.label.isEmpty ? "event" : event.label): \(source), score \(event.score)"
    }

    static func timeSource(_ record: ImportRecord) -> String {
        let source = switch record.timeSource {
        case .none: "nowhere: the file has none"
        case .fileModified: "the file's date"
        case .fileName: "the file's name"
        case .container: "the file's content"
        case .operatorOffset: "the file, as the operator corrected it"
        case .operatorStart: "the operator"
        }
        guard record.clockOffsetMilliseconds != 0 else { return source }
        return "\(source) (\(record.clockOffsetMilliseconds < 0 ? "\u{2212}" : "+")\(WallText.duration(abs(record.clockOffsetMilliseconds))))"
    }
}
