import RecordingModel

/// Every number by which energy is judged. The defaults suit a small lithium battery with a shunt.
package struct PowerSettings: Hashable, Sendable {
    /// Where a state is entered while the battery empties, and left again while it fills; percent of the battery.
    package struct Rung: Hashable, Sendable {
        package var enterPercent: Double
        package var leavePercent: Double
        package init(enterPercent: Double, leavePercent: Double) {
            self.enterPercent = enterPercent
            self.leavePercent = leavePercent
        }
    }

    /// What the whole node draws, cameras with it.
    package struct Loads: Hashable, Sendable {
        package var surplusWatts = 14.0
        package var fullWatts = 11.0
        package var reducedWatts = 6.0
        package var sparseWatts = 2.0
        /// Asleep, with a power manager that wakes it.
        package var hibernateWatts = 0.3
        /// Measured draw takes the place of these numbers as it becomes known.
        package var areLearned = true
        package init() {}

        package func watts(_ state: PowerState) -> Double {
            switch state {
            case .surplus: surplusWatts
            case .full: fullWatts
            case .reduced, .blind: reducedWatts
            case .sparse: sparseWatts
            case .hibernate, .halt: hibernateWatts
            }
        }
    }

    /// What an hour of recording is worth to the planner.
    package struct Values: Hashable, Sendable {
        package var full = 1.0
        package var reduced = 0.65
        package var sparse = 0.1
        /// An hour between sunset and sunrise, against one by day.
        package var nightFactor = 1.0
        package init() {}
    }

    /// Entered from surplus at `enterPercent`, reached again at `leavePercent` while there is harvest.
    package var full = Rung(enterPercent: 83, leavePercent: 93)
    package var reduced = Rung(enterPercent: 55, leavePercent: 70)
    package var sparse = Rung(enterPercent: 35, leavePercent: 45)
    package var hibernate = Rung(enterPercent: 12, leavePercent: 25)
    /// No state changes faster than this, hibernation and halt apart.
    package var dwellSeconds = 300
    /// What a reading demands must hold so long.
    package var confirmSeconds = 12
    /// Nearer to the controller's cut-off than this: hibernate; halt.
    package var hibernateSecondsToCutoff = 900.0
    package var haltSecondsToCutoff = 180.0
    /// Charge must have flowed in for so long before a hibernating node works again.
    package var dawnSeconds = 600
    package var minimumOffSeconds = 600
    /// Without a valid reading for so long the node is blind; after so much longer it takes one step down.
    package var blindSeconds = 60
    package var blindStepSeconds = 600
    /// Last known at or below this, a blind node is sparse at once.
    package var blindSparsePercent = 30.0
    /// Volts and watts that do not move at all for so long are a sensor that hangs.
    package var frozenSeconds = 3_600
    /// Added to every `leavePercent` while the percentage is of low confidence.
    package var lowConfidencePercent = 5.0

    /// Usable when new. Without it nothing is planned.
    package var capacityWattHours: Double?
    /// Where the charge controller cuts the load off; the node never works below 0.3 V above it.
    package var cutoffVolts: Double?
    package var cutoffPercent = 10.0
    /// LiFePO4: sun does not charge it below this.
    package var noChargeBelowCelsius: Double?
    /// Of what flows in, how much can be taken out.
    package var chargeEfficiency = 0.95

    package var site: PowerSite?
    package var panel: SolarPanel?
    package var loads = Loads()
    package var values = Values()
    /// The planner spends nothing above sparse recording below this: a dark week wants some thirty points.
    package var reservePercent = 35.0
    /// And leaves so much at its horizon's end, for days that it does not see.
    package var planEndPercent = 40.0
    package var planHours = 72
    package var replanSeconds = 900

    /// Over all links together, in a day, by state; a state without a number has no bound of its own.
    package var linkDayBytes: [PowerState: Int64] = [:]

    package var sparseRecordSeconds = 60
    package var sparseEverySeconds = 600
    /// A hibernating node that knows no sun looks again after this.
    package var sleepSeconds = 3 * 3_600
    /// After sunrise, before there is anything to charge with.
    package var sunriseMarginSeconds = 3_600

    package static let cutoffMarginVolts = 0.3
    package static let haltMarginVolts = 0.1
    package static let hysteresisPercentMin = 10.0
    package static let dwellSecondsMin = 300

    package init() {}

    var sparseCamera: CameraPower { .sparse(recordSeconds: sparseRecordSeconds, everySeconds: sparseEverySeconds) }

    /// What makes these numbers unusable, a sentence for each; empty when they are sound.
    package var problems: [String] {
        var problems: [String] = []
        let rungs = [("full", full), ("reduced", reduced), ("sparse", sparse), ("hibernate", hibernate)]
        for (name, rung) in rungs {
            if !(0...100).contains(rung.enterPercent) || !(0...100).contains(rung.leavePercent) {
                problems.append("\(name): its percentages must lie between 0 and 100")
            } else if rung.leavePercent - rung.enterPercent < Self.hysteresisPercentMin {
                problems.append(
                    "\(name): it is entered at \(text(rung.enterPercent)) % and left at \(text(rung.leavePercent)) %; leave at least \(text(Self.hysteresisPercentMin)) points between them, or it goes to and fro")
            }
        }
        for (higher, lower) in zip(rungs, rungs.dropFirst())
        where lower.1.enterPercent >= higher.1.enterPercent || lower.1.leavePercent >= higher.1.leavePercent {
            problems.append("\(lower.0) must be entered and left at lower percentages than \(higher.0)")
        }
        if hibernate.enterPercent < cutoffPercent { problems.append("hibernate: \(text(hibernate.enterPercent)) % lies below the cut-off at \(text(cutoffPercent)) %") }
        if dwellSeconds < Self.dwellSecondsMin { problems.append("the dwell time must be at least \(Self.dwellSecondsMin) s") }
        if !(0...dwellSeconds).contains(confirmSeconds) { problems.append("the confirmation must be 0 s to the dwell time") }
        if blindSeconds < 1 || blindStepSeconds < 1 { problems.append("the times of a blind node must be at least 1 s") }
        if dawnSeconds < 60 || minimumOffSeconds < 60 { problems.append("charge at dawn and the time off must be at least 60 s, or the node boots in a loop") }
        if haltSecondsToCutoff > hibernateSecondsToCutoff { problems.append("the node must hibernate before it halts") }
        if sparseRecordSeconds < 1 || sparseEverySeconds <= sparseRecordSeconds { problems.append("sparse recording must be shorter than its period") }
        if let capacityWattHours, !(1...1_000_000).contains(capacityWattHours) { problems.append("the battery's capacity must be 1 to 1000000 Wh") }
        if let cutoffVolts, !(1...1_000).contains(cutoffVolts) { problems.append("the cut-off must be 1 to 1000 V") }
        if let site, !(-90...90).contains(site.latitudeDegrees) || !(-180...180).contains(site.longitudeDegrees) || !(-500...9_000).contains(site.altitudeMetres) {
            problems.append("the site must be latitude -90 to 90, longitude -180 to 180 and altitude -500 to 9000 m")
        }
        if let panel {
            if !(0.1...100_000).contains(panel.watts) { problems.append("the panel must have 0.1 to 100000 W") }
            if !(0...90).contains(panel.tiltDegrees) || !(0...360).contains(panel.azimuthDegrees) {
                problems.append("the panel's tilt must be 0 (flat) to 90 (upright) and its azimuth 0 to 360 (180 is south)")
            }
            if site == nil { problems.append("a panel can be planned with only where the site is known") }
            if capacityWattHours == nil { problems.append("a panel can be planned with only where the battery's capacity is known") }
        }
        if !(cutoffPercent...90).contains(reservePercent) || !(reservePercent...90).contains(planEndPercent) {
            problems.append("the plan's reserve must lie between the cut-off and 90 %, and what it leaves at its end not below the reserve")
        }
        if !(24...72).contains(planHours) { problems.append("the plan must reach 24 to 72 hours ahead") }
        return problems
    }

    private func text(_ percent: Double) -> String { "\(Int(percent.rounded()))" }
}
