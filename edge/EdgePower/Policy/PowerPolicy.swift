import RecordingModel

/// What is decided at one moment.
package struct PowerDecision: Hashable, Sendable {
    package var directives: PowerDirectives
    package var report: PowerReport
    /// Set where the state has changed: it goes into the log.
    package var change: PowerRecord?

    package init(directives: PowerDirectives, report: PowerReport, change: PowerRecord? = nil) {
        self.directives = directives
        self.report = report
        self.change = change
    }
}

/// Decides what the energy allows: the ladder, and the planner beside it where the site, the panel and the battery are known.
/// A value over time: the node and the simulator run this same code.
package struct PowerPolicy: Sendable {
    let settings: PowerSettings
    var ladder: Ladder
    private var signs: PowerSigns
    private var harvest: HarvestModel?
    private let planner: Planner?
    var loads: PowerSettings.Loads
    private var learnedLoads: [String: Double]

    private(set) var plan: Planner.Plan?
    private var planMade: Int64?
    private(set) var expectedShare: Double?
    private var nextRise: Int64?

    let started: Int64
    private(set) var lastValid: Int64?
    private(set) var lastPercent: Double?
    private var moving: (volts: Double, watts: Double, since: Int64)?
    private var newestReading: Int64?

    private(set) var isBlind = false
    private var blindSince: Int64 = 0
    private var hasSteppedBlind = false
    private var validSince: Int64?

    private var sinceUnix: Int64
    private var reason: String
    /// Until the first reading tells.
    private var isReasonAssumed: Bool
    /// When a sleeping node means to be awake, by both clocks: the wall's may be set meanwhile.
    private var dark: (boot: Int64, unix: Int64)?
    private var lookingSince: Int64?

    /// A wall clock less certain than this says nothing of the sun.
    private static let wallUncertaintyMillisecondsMax: Int64 = 30 * 60_000
    /// A node that has slept blind so long tries to record.
    private static let blindSleepMilliseconds: Int64 = 24 * 3_600_000

    package init(_ settings: PowerSettings, startingAt now: Moment, resuming memory: PowerMemory? = nil) {
        self.settings = settings
        started = now.bootMilliseconds
        ladder = Ladder(settings, startingAt: started, resuming: memory?.state)
        signs = memory?.signs ?? PowerSigns()
        learnedLoads = memory?.loadWatts ?? [:]
        loads = settings.loads
        if let site = settings.site, let panel = settings.panel, let capacity = settings.capacityWattHours {
            harvest = HarvestModel(site: site, panel: panel, memory: memory?.harvest ?? HarvestMemory())
            planner = Planner(settings: settings, capacityWattHours: capacity)
        } else {
            planner = nil
        }
        lastPercent = memory?.lastPercent
        sinceUnix = memory?.sinceUnixMilliseconds ?? now.wall.unixMilliseconds
        reason = memory?.reason ?? "Reduced: the battery is not known yet"
        isReasonAssumed = memory == nil
        applyLearnedLoads()
    }

    package var memory: PowerMemory {
        PowerMemory(
            state: ladder.state, sinceUnixMilliseconds: sinceUnix, reason: reason, lastPercent: lastPercent, darkUntilUnixMilliseconds: dark?.unix,
            loadWatts: learnedLoads, harvest: harvest?.memory ?? HarvestMemory(), signs: signs)
    }

    /// Called about once a second and at each reading.
    package mutating func decide(_ now: Moment, _ estimate: EnergyEstimate?) -> PowerDecision { decide(now, estimate, knowing: nil) }

    /// `knowing`: what a simulation tells of harvest to come, mean watts of the half hour that holds a moment.
    package mutating func decide(_ now: Moment, _ estimate: EnergyEstimate?, knowing future: ((Int64) -> Double)?) -> PowerDecision {
        let (boot, wall) = (now.bootMilliseconds, now.wall.unixMilliseconds)
        let before = shownState
        let valid = estimate.flatMap { isValid($0, boot) ? $0 : nil }
        let sky = self.sky(now)
        if let valid { learn(valid, boot, wall, sky) }
        var danger: Ladder.Emergency?
        if let valid {
            lastValid = max(lastValid ?? .min, valid.bootMilliseconds)
            lastPercent = valid.batteryPercent ?? lastPercent
            validSince = validSince ?? boot
            replan(now, valid, future, isForced: false)
            let off = max(Double(boot - ladder.since), Double(wall - sinceUnix)) / 1_000
            danger = ladder.take(valid, at: boot, offSeconds: off, wish: plan?.wish)
            leaveBlind(boot)
        } else {
            validSince = nil
            beBlind(boot)
        }
        let changed = before != shownState
        if changed, ladder.state == .hibernate || ladder.state == .halt, let valid { replan(now, valid, future, isForced: true) }
        settleDark(boot, now, valid, hasChanged: changed)
        var change: PowerRecord?
        if changed {
            sinceUnix = wall
            reason = reason(for: valid ?? estimate, danger, boot)
            change = PowerRecord(from: before, state: shownState, reason: reason, estimate: estimate, darkUntilUnixMilliseconds: dark?.unix)
        }
        if isReasonAssumed, let valid {
            reason = reason(for: valid, danger, boot)
            isReasonAssumed = false
        }
        return PowerDecision(directives: directives, report: report(boot, wall, estimate), change: change)
    }

    private var shownState: PowerState { isBlind ? .blind : ladder.state }

    private var directives: PowerDirectives {
        var directives = PowerDirectives.standard(ladder.state, reason: reason, sparse: settings.sparseCamera)
        directives.state = shownState
        directives.bytesPerDayMax = settings.linkDayBytes[shownState]
        directives.sleepUntilUnixMilliseconds = dark?.unix
        return directives
    }

    // MARK: readings

    private mutating func isValid(_ estimate: EnergyEstimate, _ boot: Int64) -> Bool {
        guard boot - estimate.bootMilliseconds <= PowerReading.staleMilliseconds, boot - estimate.bootMilliseconds <= Int64(settings.blindSeconds) * 1_000 else { return false }
        guard estimate.batteryPercent?.isFinite ?? estimate.isExternalPowerPresent else { return false }
        // Noise moves every real sensor: one that repeats volts and watts to the last digit for an hour hangs.
        guard let volts = estimate.batteryVolts, let watts = estimate.batteryWatts, watts != 0, !estimate.isExternalPowerPresent else { return true }
        guard let moving, moving.volts == volts, moving.watts == watts else {
            self.moving = (volts, watts, boot)
            return true
        }
        return boot - moving.since < Int64(settings.frozenSeconds) * 1_000
    }

    private func sky(_ now: Moment) -> PowerSigns.Sky? {
        guard let site = settings.site, let panel = settings.panel, isWallKnown(now) else { return nil }
        let sun = SunPosition(unixMilliseconds: now.wall.unixMilliseconds, site: site)
        let clear = sun.elevationDegrees > -1
            ? panel.harvestWatts(planeIrradiance: panel.planeIrradiance(ClearSky.irradiance(sun, altitudeMetres: site.altitudeMetres), sun: sun), airCelsius: 15) : 0
        return .init(elevationDegrees: sun.elevationDegrees, clearWatts: clear, panelWattsRated: panel.watts, longitudeDegrees: site.longitudeDegrees)
    }

    private func isWallKnown(_ now: Moment) -> Bool { now.wall.uncertaintyMilliseconds <= Self.wallUncertaintyMillisecondsMax }

    private mutating func learn(_ estimate: EnergyEstimate, _ boot: Int64, _ wall: Int64, _ sky: PowerSigns.Sky?) {
        var estimate = estimate
        // Where the panel itself is not measured, what the battery takes beside the load is.
        if estimate.panelWatts == nil, let battery = estimate.batteryWatts, let load = estimate.loadWatts { estimate.panelWatts = max(0, battery + load) }
        let isCold = settings.noChargeBelowCelsius.map { (estimate.batteryCelsius ?? .infinity) < $0 } ?? false
        let isFull = estimate.isHarvestLimited || (estimate.batteryPercent ?? 0) >= 95
        let isBlocked = estimate.isChargeBlocked || isCold
        if let sky, let watts = estimate.panelWatts {
            // What frost keeps out of the battery is not to be counted on: the plan learns what was of use.
            harvest?.take(unixMilliseconds: wall, panelWatts: watts, clearWatts: sky.clearWatts, isThrottled: isFull && !isBlocked)
        }
        let isThrottled = isFull || isBlocked
        signs.take(unixMilliseconds: wall, estimate: estimate, sky: sky, isThrottled: isThrottled, settings: settings)
        learnLoad(estimate, boot)
        newestReading = boot
    }

    /// Over some six hours in a state, its measured draw takes the place of the configured one.
    private mutating func learnLoad(_ estimate: EnergyEstimate, _ boot: Int64) {
        guard settings.loads.areLearned, let watts = estimate.loadWatts, watts >= 0, let newestReading, boot - ladder.since >= 60_000 else { return }
        guard ladder.state != .hibernate && ladder.state != .halt else { return }
        let share = min(0.05, Double(max(0, boot - newestReading)) / (6 * 3_600_000))
        let known = learnedLoads[ladder.state.rawValue] ?? loads.watts(ladder.state)
        learnedLoads[ladder.state.rawValue] = known + (watts - known) * share
        applyLearnedLoads()
    }

    private mutating func applyLearnedLoads() {
        guard settings.loads.areLearned else { return }
        func learned(_ state: PowerState) -> Double { learnedLoads[state.rawValue].flatMap { $0.isFinite && $0 > 0 ? $0 : nil } ?? settings.loads.watts(state) }
        loads.surplusWatts = learned(.surplus)
        loads.fullWatts = learned(.full)
        loads.reducedWatts = learned(.reduced)
        loads.sparseWatts = learned(.sparse)
    }

    // MARK: blind

    private mutating func beBlind(_ boot: Int64) {
        let silence = boot - (lastValid ?? started)
        guard silence > Int64(settings.blindSeconds) * 1_000 else { return }
        if !isBlind {
            (isBlind, blindSince, hasSteppedBlind) = (true, boot, false)
            ladder.forgetDemands()
            // The plan is as old as what it was made of.
            (plan, planMade) = (nil, nil)
            if let lastPercent, lastPercent <= settings.blindSparsePercent { ladder.stepDownBlind(to: .sparse, at: boot) }
        }
        if !hasSteppedBlind && boot - blindSince >= Int64(settings.blindStepSeconds) * 1_000 {
            hasSteppedBlind = true
            let next = Ladder.order[min(Ladder.rank(ladder.state) + 1, Ladder.rank(.sparse))]
            ladder.stepDownBlind(to: next, at: boot)
        }
        if ladder.state == .hibernate || ladder.state == .halt, boot - max(ladder.since, blindSince) >= Self.blindSleepMilliseconds { ladder.wakeBlind(at: boot) }
    }

    /// Back once readings are steady, and not sooner than any other state would change; danger needs no patience.
    private mutating func leaveBlind(_ boot: Int64) {
        guard isBlind else { return }
        let isSteady = validSince.map { boot - $0 >= Int64(settings.confirmSeconds) * 1_000 } ?? false
        let isDanger = Ladder.rank(ladder.state) >= Ladder.rank(.hibernate)
        if isDanger || (isSteady && boot - blindSince >= Int64(settings.dwellSeconds) * 1_000) {
            isBlind = false
            ladder.restartPace(at: boot)
        }
    }

    // MARK: the plan

    private mutating func replan(_ now: Moment, _ estimate: EnergyEstimate, _ future: ((Int64) -> Double)?, isForced: Bool) {
        guard let planner, var harvest, let site = settings.site, isWallKnown(now), let percent = estimate.batteryPercent, !estimate.isExternalPowerPresent else {
            return (plan, planMade) = (nil, nil)
        }
        let (boot, wall) = (now.bootMilliseconds, now.wall.unixMilliseconds)
        guard isForced || planMade.map({ boot - $0 >= Int64(settings.replanSeconds) * 1_000 }) ?? true else { return }
        let slots = settings.planHours * 2
        var expectation = harvest.expected(from: wall, slots: slots)
        if let future {
            let known = (0..<slots).map { future(wall + Int64($0) * HarvestMemory.slotMilliseconds) }
            expectation = .init(cautious: known, middle: known, lean: known, hopeful: known)
        }
        if nextRise.map({ $0 <= wall || $0 > wall + 3 * 86_400_000 }) ?? true { nextRise = SunTimes.nextRise(afterUnixMilliseconds: wall, site: site) }
        let clear = harvest.clearDay(wall)
        let first = HarvestMemory.slot(wall)
        let isNight = (0..<slots).map { clear[(first + $0) % HarvestMemory.slotsPerDay] <= 0 }
        let toSunrise = nextRise.map { Int(($0 - wall) / HarvestMemory.slotMilliseconds) }
        plan = planner.plan(
            .init(percent: percent, current: ladder.state, harvest: expectation, isNight: isNight, slotsToSunrise: toSunrise), loads: loads)
        expectedShare = harvest.expectedShare(wall)
        planMade = boot
        self.harvest = harvest
    }

    // MARK: sleep

    private mutating func settleDark(_ boot: Int64, _ now: Moment, _ estimate: EnergyEstimate?, hasChanged: Bool) {
        guard ladder.state == .hibernate || ladder.state == .halt else {
            (dark, lookingSince) = (nil, nil)
            return
        }
        if hasChanged && !isBlind && boot > started { return sleep(seconds: sleepSeconds(now), boot, now) }
        if let dark {
            guard boot >= dark.boot else { return }
            // The time has come and this still runs: it looks again.
            (self.dark, lookingSince) = (nil, nil)
        }
        let looking = lookingSince ?? boot
        lookingSince = looking
        if let charging = ladder.chargingSince, let estimate {
            guard boot - charging >= Int64(settings.dawnSeconds) * 1_000 else { return }
            let missing = settings.hibernate.leavePercent - (estimate.batteryPercent ?? 0)
            guard missing > 0, boot - looking >= Int64(settings.dawnSeconds) * 1_000 else { return }
            let watts = max(1, estimate.batteryWatts ?? 1)
            let seconds = settings.capacityWattHours.map { missing / 100 * $0 / watts * 3_600 } ?? 3_600
            return sleep(seconds: max(Double(settings.minimumOffSeconds), min(seconds, Double(settings.sleepSeconds))), boot, now)
        }
        guard boot - looking >= Int64(settings.blindSeconds + settings.confirmSeconds) * 1_000 else { return }
        sleep(seconds: sleepSeconds(now), boot, now)
    }

    private mutating func sleep(seconds: Double, _ boot: Int64, _ now: Moment) {
        let milliseconds = Int64(max(seconds, Double(settings.minimumOffSeconds)) * 1_000)
        dark = (boot + milliseconds, now.wall.unixMilliseconds + milliseconds)
        lookingSince = nil
    }

    /// While the sun is up, an hour; else until some time after it rises, and until the battery may have recovered.
    private func sleepSeconds(_ now: Moment) -> Double {
        guard let site = settings.site, isWallKnown(now) else { return Double(settings.sleepSeconds) }
        let wall = now.wall.unixMilliseconds
        let isUp = SunPosition(unixMilliseconds: wall, site: site).elevationDegrees > 5
        let rise = SunTimes.nextRise(afterUnixMilliseconds: wall, site: site).map { Double($0 - wall) / 1_000 + Double(settings.sunriseMarginSeconds) }
        let sun = isUp ? 3_600 : rise ?? 43_200
        return max(sun, (plan?.hoursToRecovery ?? 0) * 3_600)
    }

    // MARK: the report

    private mutating func report(_ boot: Int64, _ wall: Int64, _ estimate: EnergyEstimate?) -> PowerReport {
        signs.setBlind(isBlind, at: wall)
        var hours = plan?.hoursToHibernation
        if plan == nil, let percent = estimate?.batteryPercent, let watts = estimate?.batteryWatts, watts < 0, let capacity = settings.capacityWattHours {
            hours = max(0, percent - settings.hibernate.enterPercent) / 100 * capacity / -watts
        }
        return PowerReport(
            state: shownState, sinceUnixMilliseconds: sinceUnix, reason: reason, estimate: estimate,
            readingAgeMilliseconds: estimate.map { max(0, boot - $0.bootMilliseconds) }, forecastPercentAtSunrise: plan?.percentAtSunrise,
            nextSunriseUnixMilliseconds: nextRise.flatMap { $0 > wall ? $0 : nil }, hoursToHibernation: hours, darkUntilUnixMilliseconds: dark?.unix,
            alerts: signs.alerts(settings, noReadingsSeconds: (boot - (lastValid ?? started)) / 1_000))
    }
}
