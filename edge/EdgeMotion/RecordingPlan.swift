import RecordingModel

/// When a camera's footage is kept.
package struct RecordingPlan: Hashable, Sendable {
    package enum Mode: String, Hashable, Sendable, CaseIterable { case continuous, events, schedule }
    /// What is kept outside of the schedule's hours.
    package enum Outside: String, Hashable, Sendable, CaseIterable { case nothing, events }

    package static let preRollMillisecondsMax: Int64 = 30_000

    package var mode: Mode
    package var schedule: WeeklySchedule
    package var outside: Outside
    /// Footage from before an event: encoded packets in memory.
    package var preRollMilliseconds: Int64
    /// Footage from after its last activity.
    package var postRollMilliseconds: Int64

    package init(
        mode: Mode = .continuous, schedule: WeeklySchedule = WeeklySchedule(windows: []), outside: Outside = .nothing,
        preRollMilliseconds: Int64 = 5_000, postRollMilliseconds: Int64 = 10_000
    ) {
        self.mode = mode
        self.schedule = schedule
        self.outside = outside
        self.preRollMilliseconds = min(Self.preRollMillisecondsMax, max(0, preRollMilliseconds))
        self.postRollMilliseconds = max(0, postRollMilliseconds)
    }

    /// Why nothing is kept now; nil to record.
    /// - Parameter isEvent: an event is under way, or its post-roll.
    package func gap(at wall: WallEstimate, isEvent: Bool) -> GapCause? {
        switch mode {
        case .continuous: nil
        case .events: isEvent ? nil : .noEvent
        case .schedule where schedule.includes(wall): nil
        case .schedule: outside == .nothing ? .schedule : isEvent ? nil : .noEvent
        }
    }
}
