import RecordingModel

/// A node's year on a panel and a battery, driven by the same policy code that the node runs.
package struct PowerSimulation: Sendable {
    package enum Policy: String, Hashable, Sendable, CaseIterable {
        /// Records until the controller cuts the power off, and again once it gives it back.
        case alwaysOn = "always-on"
        /// Off and on by volts, as simple recorders do.
        case voltage
        case ladder
        case planner
        /// The planner, told the harvest to come.
        case perfect
    }

    /// What goes wrong, for tests.
    package struct Faults: Hashable, Sendable {
        /// The gauge says so much of what is true: 1.15 is 15 % too much.
        package var gaugeFactor = 1.0
        package var sensorsFrozenFromDay: Int?
        package var sensorsAbsentFromDay: Int?
        package var clockOffMilliseconds: Int64 = 0
        package var extraWatts = 0.0
        /// Days with snow on the panel and 15 degrees of frost.
        package var snowDays: Range<Int>?
        /// The panel gives so much of what it should: 0.7 is dirt, 1.3 a reflecting field of snow.
        package var panelFactor = 1.0
        /// The link carries so much of its rate: at 0.1 a weak cell's radio transmits all the time in which it may.
        package var linkFactor = 1.0
        package init() {}
    }

    package var settings: PowerSettings
    package var site: PowerSite
    package var panel: SolarPanel
    package var battery: SimulatedBattery
    package var loads = PowerSettings.Loads()
    /// Awake without recording: it looks at its readings and goes to sleep again.
    package var idleWatts = 3.0
    package var cutoffPercent = 10.0
    package var reconnectPercent = 50.0
    package var offVolts = 12.8
    package var onVolts = 13.25
    package var footage = SimulatedLink()
    package var stepSeconds = 60
    package var faults = Faults()

    /// One decision, as it was made: for tests of what decides.
    package struct Step: Sendable {
        package var now: Moment
        /// As it stood before.
        package var policy: PowerPolicy
        package var estimate: EnergyEstimate?
        package var decision: PowerDecision
        /// What the battery truly holds.
        package var percent: Double
    }

    /// An LTE radio's draw while it transmits, whatever comes of it.
    private static let radioWatts = 1.3

    package init(settings: PowerSettings, site: PowerSite, panel: SolarPanel, battery: SimulatedBattery) {
        self.settings = settings
        self.site = site
        self.panel = panel
        self.battery = battery
    }

    /// What the panel could give in each sample's time, mean watts.
    package func harvest(_ year: WeatherYear) -> [Double] {
        year.samples.map { sample in
            let sun = SunPosition(unixMilliseconds: sample.unixMilliseconds, site: site)
            return panel.harvestWatts(planeIrradiance: panel.planeIrradiance(sample.sky, sun: sun), airCelsius: sample.airCelsius)
        }
    }

    package func isNight(_ unixMilliseconds: Int64) -> Bool {
        SunPosition(unixMilliseconds: unixMilliseconds, site: site).elevationDegrees < SunTimes.riseElevationDegrees
    }

    private enum Doing: Hashable { case awake, asleep(until: Int64), cut }

    /// - Parameter observe: called with each decision; the two policies that decide nothing make none
    package func run(_ policy: Policy, year: WeatherYear, observing observe: ((Step) -> Void)? = nil) -> PowerOutcome {
        let samples = year.samples
        let harvest = harvest(year).map { $0 * faults.panelFactor }
        // Each sample stands for the time around it: an hour, or less where the file has more of them.
        let interval = min(3_600_000, samples[1].unixMilliseconds - samples[0].unixMilliseconds)
        let first = samples[0].unixMilliseconds - interval / 2
        var outcome = PowerOutcome(policy: policy, settings: settings, firstUnixMilliseconds: first)
        var battery = battery
        var link = footage
        link.bytesPerLinkHour *= faults.linkFactor
        var doing = Doing.awake
        var brain = policy == .alwaysOn || policy == .voltage ? nil : PowerPolicy(policySettings(policy), startingAt: moment(first, first))
        var memory: PowerMemory?
        var state = PowerState.full
        var flow = SimulatedBattery.Flow(panelWatts: 0, spilledWatts: 0, netWatts: 0, isLimited: false, isBlocked: false)
        var frozen: EnergyEstimate?
        let future: ((Int64) -> Double)? = policy == .perfect
            ? { unix in
                let index = min(samples.count - 1, max(0, Int((unix + 900_000 - first) / interval)))
                let isBlocked = battery.noChargeBelowCelsius.map { samples[index].airCelsius < $0 } ?? false
                return isBlocked ? min(harvest[index], loads.reducedWatts) : harvest[index]
            } : nil
        for (index, sample) in samples.enumerated() {
            let start = sample.unixMilliseconds - interval / 2
            let end = index + 1 < samples.count ? min(samples[index + 1].unixMilliseconds - interval / 2, start + interval) : start + interval
            let day = Int((start - first) / 86_400_000)
            let isSnow = faults.snowDays?.contains(day) ?? false
            let watts = isSnow ? 0 : harvest[index]
            let celsius = isSnow ? -15 : sample.airCelsius
            let night = isNight(sample.unixMilliseconds)
            var now = start
            while now < end {
                let seconds = Double(min(Int64(stepSeconds) * 1_000, end - now)) / 1_000
                let before = state
                switch doing {
                case .cut where battery.percent >= reconnectPercent, .asleep(until: ...now):
                    if doing != .cut { outcome.wakeUps += 1 }
                    doing = .awake
                    if brain != nil { brain = PowerPolicy(policySettings(policy), startingAt: moment(now, first), resuming: memory) }
                default: break
                }
                if doing == .awake {
                    let volts = battery.volts(netWatts: flow.netWatts)
                    if brain != nil {
                        let estimate = estimate(battery, flow, volts, celsius, now - first, day, &frozen)
                        let undecided = observe == nil ? nil : brain
                        guard let decision = brain?.decide(moment(now, first), estimate, knowing: future) else { break }
                        if let observe, let undecided {
                            observe(Step(now: moment(now, first), policy: undecided, estimate: estimate, decision: decision, percent: battery.percent))
                        }
                        state = decision.directives.state == .blind ? blindState(decision.directives) : decision.directives.state
                        if let until = decision.directives.sleepUntilUnixMilliseconds {
                            memory = brain?.memory
                            doing = .asleep(until: max(now + Int64(settings.minimumOffSeconds) * 1_000, until - faults.clockOffMilliseconds))
                        }
                    } else if policy == .voltage {
                        state = volts <= offVolts ? .hibernate : volts >= onVolts ? .full : state
                    } else {
                        state = .full
                    }
                } else {
                    state = doing == .cut ? .halt : .hibernate
                }
                var load = doing == .awake ? (brain != nil && state == .hibernate ? idleWatts : loads.watts(state) + faults.extraWatts) : doing == .cut ? 0 : loads.hibernateWatts
                // By its measure, what a state draws has the share of the time in it that a good link needs.
                if faults.linkFactor < 1, doing == .awake, let share = link.sendingShare(state) { load += Self.radioWatts * (1 - share) }
                flow = battery.pass(seconds: seconds, harvestWatts: watts, loadWatts: load, celsius: celsius)
                if battery.percent <= cutoffPercent && doing != .cut {
                    let isRecording = doing == .awake && Ladder.rank(state) <= Ladder.rank(.sparse)
                    outcome.noteCut(isUnclean: isRecording, isAwake: doing == .awake)
                    memory = brain?.memory ?? memory
                    doing = .cut
                    state = .halt
                }
                outcome.note(
                    day: day, seconds: seconds, state: state, hasChanged: before != state && !(isDark(before) && isDark(state)), isNight: night, percent: battery.percent, flow: flow)
                link.pass(seconds: seconds, now: now, state: state)
                now += Int64(seconds * 1_000)
            }
        }
        outcome.finish(link)
        return outcome
    }

    private func isDark(_ state: PowerState) -> Bool { Ladder.rank(state) >= Ladder.rank(.hibernate) }

    private func blindState(_ directives: PowerDirectives) -> PowerState {
        switch directives.priorityCameras {
        case .full, .keyFrames: directives.otherCameras == .full ? .full : .reduced
        case .sparse: .sparse
        case .off: .hibernate
        }
    }

    private func policySettings(_ policy: Policy) -> PowerSettings {
        var settings = settings
        settings.site = policy == .ladder ? nil : site
        settings.panel = policy == .ladder ? nil : panel
        return settings
    }

    private func moment(_ now: Int64, _ first: Int64) -> Moment {
        Moment(
            bootNanoseconds: (now - first) * 1_000_000,
            wall: WallEstimate(unixMilliseconds: now + faults.clockOffMilliseconds, source: .ntp, uncertaintyMilliseconds: 1_000))
    }

    private func estimate(
        _ battery: SimulatedBattery, _ flow: SimulatedBattery.Flow, _ volts: Double, _ celsius: Double, _ boot: Int64, _ day: Int, _ frozen: inout EnergyEstimate?
    ) -> EnergyEstimate? {
        if let from = faults.sensorsAbsentFromDay, day >= from { return nil }
        if let from = faults.sensorsFrozenFromDay, day >= from, var frozen {
            frozen.bootMilliseconds = boot
            return frozen
        }
        let estimate = EnergyEstimate(
            bootMilliseconds: boot, batteryPercent: min(100, battery.percent * faults.gaugeFactor), batteryConfidence: .high, batteryBasis: "shunt", batteryVolts: volts,
            batteryWatts: flow.netWatts, batteryCelsius: celsius, panelWatts: flow.panelWatts, loadWatts: flow.panelWatts - flow.netWatts,
            isHarvestLimited: flow.isLimited, isChargeBlocked: flow.isBlocked)
        frozen = estimate
        return estimate
    }
}
