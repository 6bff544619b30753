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

/// Whose infrared light or motors may draw current, from least to most.
package enum CameraChoice: Int, Hashable, Sendable, Comparable, CaseIterable {
    case none, priority, all
    package static func < (a: CameraChoice, b: CameraChoice) -> Bool { a.rawValue < b.rawValue }

    package func holds(isPriority: Bool) -> Bool { self == .all || self == .priority && isPriority }
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
    package var infraredCameras: CameraChoice
    package var ptzCameras: CameraChoice
    /// Set where the node is to stop cleanly, and when it means to be back.
    package var sleepUntilUnixMilliseconds: Int64?
    package var mustHalt: Bool

    package init(
        state: PowerState, reason: String, priorityCameras: CameraPower, otherCameras: CameraPower, link: LinkPower, bytesPerDayMax: Int64? = nil,
        mayTranscode: Bool, heartbeatSeconds: Int, infraredCameras: CameraChoice, ptzCameras: CameraChoice, sleepUntilUnixMilliseconds: Int64? = nil, mustHalt: Bool = false
    ) {
        self.state = state
        self.reason = reason
        self.priorityCameras = priorityCameras
        self.otherCameras = otherCameras
        self.link = link
        self.bytesPerDayMax = bytesPerDayMax
        self.mayTranscode = mayTranscode
        self.heartbeatSeconds = heartbeatSeconds
        self.infraredCameras = infraredCameras
        self.ptzCameras = ptzCameras
        self.sleepUntilUnixMilliseconds = sleepUntilUnixMilliseconds
        self.mustHalt = mustHalt
    }

    /// One light for all cameras burns while any of them may have light.
    package var isInfraredOn: Bool { infraredCameras > .none }
    /// One switch for the motors of all cameras turns them off as soon as one of them may not move.
    package var isPTZOn: Bool { ptzCameras == .all }

    /// The table of `edge/README.md`: what each state allows. The configuration may change the sparse times.
    package static func standard(_ state: PowerState, reason: String, sparse: CameraPower = .sparse(recordSeconds: 60, everySeconds: 600)) -> PowerDirectives {
        switch state {
        case .surplus:
            PowerDirectives(
                state: state, reason: reason, priorityCameras: .full, otherCameras: .full, link: .any, mayTranscode: true, heartbeatSeconds: 60,
                infraredCameras: .all, ptzCameras: .all)
        case .full:
            PowerDirectives(
                state: state, reason: reason, priorityCameras: .full, otherCameras: .full, link: .byPlan, mayTranscode: false, heartbeatSeconds: 300,
                infraredCameras: .all, ptzCameras: .all)
        case .reduced, .blind:
            PowerDirectives(
                state: state, reason: reason, priorityCameras: .full, otherCameras: .keyFrames, link: .eventsAndThumbnails, mayTranscode: false,
                heartbeatSeconds: 900, infraredCameras: .priority, ptzCameras: .priority)
        case .sparse:
            PowerDirectives(
                state: state, reason: reason, priorityCameras: sparse, otherCameras: .off, link: .urgent, mayTranscode: false, heartbeatSeconds: 3_600,
                infraredCameras: .none, ptzCameras: .none)
        case .hibernate, .halt:
            PowerDirectives(
                state: state, reason: reason, priorityCameras: .off, otherCameras: .off, link: .radioOff, mayTranscode: false, heartbeatSeconds: 3_600,
                infraredCameras: .none, ptzCameras: .none, mustHalt: state == .halt)
        }
    }
}
