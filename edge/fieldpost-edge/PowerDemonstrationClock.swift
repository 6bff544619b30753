import RecordingModel

/// The clock by which energy is decided. It is the node's own, unless a test or a demonstration has a day pass in minutes.
struct DemonstrationClock: Sendable {
    struct Settings: Sendable, Hashable {
        var speed = 1.0
        var startsAtUnixMilliseconds: Int64?
        var isReal: Bool { speed == 1 && startsAtUnixMilliseconds == nil }
    }
    private let settings: Settings
    private let begin: Moment

    init(_ settings: Settings, startingAt now: Moment) {
        self.settings = settings
        begin = now
    }

    func moment(_ real: Moment) -> Moment {
        if settings.isReal { return real }
        let passed = Int64(Double(real.bootNanoseconds - begin.bootNanoseconds) * settings.speed)
        var wall = begin.wall
        wall.unixMilliseconds = (settings.startsAtUnixMilliseconds ?? begin.wall.unixMilliseconds) + passed / 1_000_000
        // Nobody asks how well a made-up time is known.
        if settings.startsAtUnixMilliseconds != nil { wall = WallEstimate(unixMilliseconds: wall.unixMilliseconds, source: .ntp, uncertaintyMilliseconds: 0) }
        return Moment(bootNanoseconds: begin.bootNanoseconds + passed, wall: wall)
    }

    /// As old by this clock as it is by the node's.
    func estimate(_ estimate: EnergyEstimate?, _ real: Moment) -> EnergyEstimate? {
        guard var estimate, !settings.isReal else { return estimate }
        estimate.bootMilliseconds = moment(real).bootMilliseconds - (real.bootMilliseconds - estimate.bootMilliseconds)
        return estimate
    }

    func real(_ unixMilliseconds: Int64) -> Int64 {
        if settings.isReal { return unixMilliseconds }
        let start = settings.startsAtUnixMilliseconds ?? begin.wall.unixMilliseconds
        return max(0, begin.wall.unixMilliseconds + Int64(Double(unixMilliseconds - start) / settings.speed))
    }

    /// With all its times by the node's own clock.
    func real(_ decision: PowerDecisionTimes) -> PowerDecisionTimes {
        if settings.isReal { return decision }
        var decision = decision
        decision.sleepUntilUnixMilliseconds = decision.sleepUntilUnixMilliseconds.map { real($0) }
        if let until = decision.change?.darkUntilUnixMilliseconds { decision.change?.darkUntilUnixMilliseconds = real(until) }
        decision.report.sinceUnixMilliseconds = real(decision.report.sinceUnixMilliseconds)
        decision.report.darkUntilUnixMilliseconds = decision.report.darkUntilUnixMilliseconds.map { real($0) }
        decision.report.nextSunriseUnixMilliseconds = decision.report.nextSunriseUnixMilliseconds.map { real($0) }
        for (index, alert) in decision.report.alerts.enumerated() { decision.report.alerts[index].sinceUnixMilliseconds = alert.sinceUnixMilliseconds.map { real($0) } }
        return decision
    }

    /// How often is looked: a second of the node's time, or a minute of a day that passes in minutes.
    var interval: Duration { settings.isReal ? .seconds(1) : .milliseconds(max(50, min(1_000, Int64(60_000 / settings.speed)))) }
}

/// What of a decision bears times.
struct PowerDecisionTimes: Sendable {
    var sleepUntilUnixMilliseconds: Int64?
    var report: PowerReport
    var change: PowerRecord?
}
