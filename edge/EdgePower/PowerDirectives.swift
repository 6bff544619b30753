import RecordingModel

/// What a camera may do, from least to most.
package enum CameraPower: Hashable, Sendable, Comparable {
    case off
    /// Recorded for `recordSeconds` at a time, on average once in `everySeconds`, at times that nobody outside can know.
    case sparse(recordSeconds: Int, everySeconds: Int)
    /// Key frames of the main stream only.
    case keyFrames
    case full

    private var rank: Int {
        switch self {
        case .off: 0
        case .sparse: 1
        case .keyFrames: 2
        case .full: 3
        }
    }
    package static func < (a: CameraPower, b: CameraPower) -> Bool { a.rank < b.rank }
}

/// What may be sent, from least to most.
package enum LinkPower: Int, Hashable, Sendable, Comparable, CaseIterable {
    case radioOff, urgent, eventsAndThumbnails, byPlan, any
    package static func < (a: LinkPower, b: LinkPower) -> Bool { a.rawValue < b.rawValue }
}

/// What the power state asks of every other part of the node. One value, decided in one place.
package struct PowerDirectives: Hashable, Sendable {
    package var state: PowerState
    package var reason: String
    /// By priority of the camera: what those that matter may do, and what the others may.
    package var priorityCameras: CameraPower
    package var otherCameras: CameraPower
    package var link: LinkPower
    /// Nil: no rate but that of the links themselves.
    package var bytesPerDayMax: Int64?
    package var mayTranscode: Bool
    package var heartbeatSeconds: Int
    package var isInfraredOn: Bool
    package var isPTZOn: Bool
    /// Set where the node is to stop cleanly, and when it means to be back.
    package var sleepUntilUnixMilliseconds: Int64?
    package var mustHalt: Bool

    package init(
        state: PowerState, reason: String, priorityCameras: CameraPower, otherCameras: CameraPower, link: LinkPower, bytesPerDayMax: Int64? = nil,
        mayTranscode: Bool, heartbeatSeconds: Int, isInfraredOn: Bool, isPTZOn: Bool, sleepUntilUnixMilliseconds: Int64? = nil, mustHalt: Bool = false
    ) {
        self.state = state
        self.reason = reason
        self.priorityCameras = priorityCameras
        self.otherCameras = otherCameras
        self.link = link
        self.bytesPerDayMax = bytesPerDayMax
        self.mayTranscode = mayTranscode
        self.heartbeatSeconds = heartbeatSeconds
        self.isInfraredOn = isInfraredOn
        self.isPTZOn = isPTZOn
        self.sleepUntilUnixMilliseconds = sleepUntilUnixMilliseconds
        self.mustHalt = mustHalt
    }

    /// The table of `edge/README.md`: what each state allows. The configuration may change the sparse times.
    package static func standard(_ state: PowerState, reason: String, sparse: CameraPower = .sparse(recordSeconds: 60, everySeconds: 600)) -> PowerDirectives {
        switch state {
        case .surplus:
            PowerDirectives(
                state: state, reason: reason, priorityCameras: .full, otherCameras: .full, link: .any, mayTranscode: true, heartbeatSeconds: 60,
                isInfraredOn: true, isPTZOn: true)
        case .full:
            PowerDirectives(
                state: state, reason: reason, priorityCameras: .full, otherCameras: .full, link: .byPlan, mayTranscode: false, heartbeatSeconds: 300,
                isInfraredOn: true, isPTZOn: true)
        case .reduced, .blind:
            PowerDirectives(
                state: state, reason: reason, priorityCameras: .full, otherCameras: .keyFrames, link: .eventsAndThumbnails, mayTranscode: false,
                heartbeatSeconds: 900, isInfraredOn: true, isPTZOn: false)
        case .sparse:
            PowerDirectives(
                state: state, reason: reason, priorityCameras: sparse, otherCameras: .off, link: .urgent, mayTranscode: false, heartbeatSeconds: 3_600,
                isInfraredOn: false, isPTZOn: false)
        case .hibernate, .halt:
            PowerDirectives(
                state: state, reason: reason, priorityCameras: .off, otherCameras: .off, link: .radioOff, mayTranscode: false, heartbeatSeconds: 3_600,
                isInfraredOn: false, isPTZOn: false, mustHalt: state == .halt)
        }
    }
}
