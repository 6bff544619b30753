/// How much of its work a node can afford, from most to least. `blind` stands beside the others:
/// nothing is known. `edge/EdgePower` alone decides.
package enum PowerState: String, Sendable, Codable, CaseIterable, Hashable {
    case surplus, full, reduced, sparse, hibernate, halt, blind

    /// As maintainers say it: `S0` … `S5`, `SX`.
    package var code: String {
        switch self {
        case .surplus: "S0"
        case .full: "S1"
        case .reduced: "S2"
        case .sparse: "S3"
        case .hibernate: "S4"
        case .halt: "S5"
        case .blind: "SX"
        }
    }
}

/// What is measured. The unit is in the name; amperes and watts into the battery are positive.
package enum PowerQuantity: String, Sendable, Codable, CaseIterable, Hashable {
    case batteryVolts, batteryAmperes, batteryPercent, batteryCelsius, batteryHealthPercent
    case panelVolts, panelAmperes, panelWatts, panelWattHoursToday
    case loadVolts, loadAmperes, loadWatts, boardVolts, boardCelsius
    case secondsToEmpty, consumedAmpereHours
    /// 1 or 0.
    case isCharging, isExternalPowerPresent, isBatteryLow, isUnderVoltage
    /// 1 where the charger throws energy away because the battery is full (Victron `MPPT` = 1).
    case isHarvestLimited
    /// 1 where charging is blocked although there is sun: cold, a fault.
    case isChargeBlocked
    /// 1 where the controller has cut the load output off, or is about to.
    case isLoadCut
}

/// How far a number is to be trusted: a shunt before a fuel gauge, before counted energy, before voltage.
package enum PowerConfidence: String, Sendable, Codable, CaseIterable, Comparable, Hashable {
    case low, medium, high
    private var rank: Int { self == .low ? 0 : self == .medium ? 1 : 2 }
    package static func < (a: PowerConfidence, b: PowerConfidence) -> Bool { a.rank < b.rank }
}

/// One number from one source. How old it is follows from when it was taken: a reading is never trusted for longer than
/// `PowerReading.staleMilliseconds`.
package struct PowerReading: Hashable, Sendable, Codable {
    package static let staleMilliseconds: Int64 = 60_000

    package var quantity: PowerQuantity
    package var value: Double
    /// By the boot clock of the node.
    package var bootMilliseconds: Int64
    /// As the configuration names it: `victron`, `ups`.
    package var source: String
    package var confidence: PowerConfidence

    package init(_ quantity: PowerQuantity, _ value: Double, bootMilliseconds: Int64, source: String, confidence: PowerConfidence) {
        self.quantity = quantity
        self.value = value
        self.bootMilliseconds = bootMilliseconds
        self.source = source
        self.confidence = confidence
    }

    package func isStale(at nowBootMilliseconds: Int64) -> Bool { nowBootMilliseconds - bootMilliseconds > Self.staleMilliseconds }
}

/// What the readings say together, at one moment: the input of the ladder and the planner, and what a maintainer sees.
package struct EnergyEstimate: Hashable, Sendable, Codable {
    /// By the boot clock: when its newest reading was taken.
    package var bootMilliseconds: Int64
    /// 0 to 100; nil when nothing tells.
    package var batteryPercent: Double?
    package var batteryConfidence: PowerConfidence
    /// Where the percentage is from: `shunt`, `gauge`, `counted`, `voltage`.
    package var batteryBasis: String
    package var batteryVolts: Double?
    /// Into the battery; negative while it empties.
    package var batteryWatts: Double?
    package var batteryCelsius: Double?
    package var panelWatts: Double?
    package var loadWatts: Double?
    /// At the present draw, to the controller's cut-off; nil while charging or unknown.
    package var secondsToEmpty: Double?
    package var isHarvestLimited: Bool
    package var isChargeBlocked: Bool
    /// Mains or another outside supply: energy is no question while it lasts.
    package var isExternalPowerPresent: Bool
    package var isUnderVoltage: Bool
    /// The controller, the gauge or the UPS says that the end is near.
    package var isBatteryLow: Bool

    package init(
        bootMilliseconds: Int64, batteryPercent: Double? = nil, batteryConfidence: PowerConfidence = .low, batteryBasis: String = "", batteryVolts: Double? = nil,
        batteryWatts: Double? = nil, batteryCelsius: Double? = nil, panelWatts: Double? = nil, loadWatts: Double? = nil, secondsToEmpty: Double? = nil,
        isHarvestLimited: Bool = false, isChargeBlocked: Bool = false, isExternalPowerPresent: Bool = false, isUnderVoltage: Bool = false, isBatteryLow: Bool = false
    ) {
        self.bootMilliseconds = bootMilliseconds
        self.batteryPercent = batteryPercent
        self.batteryConfidence = batteryConfidence
        self.batteryBasis = batteryBasis
        self.batteryVolts = batteryVolts
        self.batteryWatts = batteryWatts
        self.batteryCelsius = batteryCelsius
        self.panelWatts = panelWatts
        self.loadWatts = loadWatts
        self.secondsToEmpty = secondsToEmpty
        self.isHarvestLimited = isHarvestLimited
        self.isChargeBlocked = isChargeBlocked
        self.isExternalPowerPresent = isExternalPowerPresent
        self.isUnderVoltage = isUnderVoltage
        self.isBatteryLow = isBatteryLow
    }
}

/// A change of state, as it stands in the log (`power` entries).
package struct PowerRecord: Hashable, Sendable, Codable {
    package var from: PowerState?
    package var state: PowerState
    /// A sentence: "Reduced: 31 % battery, 2 cloudy days expected".
    package var reason: String
    package var estimate: EnergyEstimate?
    /// When the node means to be awake again, if it is about to sleep.
    package var darkUntilUnixMilliseconds: Int64?

    package init(from: PowerState?, state: PowerState, reason: String, estimate: EnergyEstimate?, darkUntilUnixMilliseconds: Int64? = nil) {
        self.from = from
        self.state = state
        self.reason = reason
        self.estimate = estimate
        self.darkUntilUnixMilliseconds = darkUntilUnixMilliseconds
    }
}

/// What a node says of its energy in `NodeStatus`, for the hub and for `fieldpost-edge status`.
package struct PowerReport: Hashable, Sendable, Codable {
    package struct Alert: Hashable, Sendable, Codable {
        /// A word for programs: `panel-weak`, `battery-aged`, `charge-blocked`, `under-voltage`, `clock-and-sun`, `no-readings`.
        package var kind: String
        /// For people: what is wrong, by which figures, and what to do.
        package var sentence: String
        package var sinceUnixMilliseconds: Int64?
        package init(kind: String, sentence: String, sinceUnixMilliseconds: Int64? = nil) {
            self.kind = kind
            self.sentence = sentence
            self.sinceUnixMilliseconds = sinceUnixMilliseconds
        }
    }
    package static let alertsMax = 16

    package var state: PowerState
    package var sinceUnixMilliseconds: Int64
    package var reason: String
    package var estimate: EnergyEstimate?
    /// How old the estimate's newest reading was when this was said.
    package var readingAgeMilliseconds: Int64?
    /// Expected at the next sunrise.
    package var forecastPercentAtSunrise: Double?
    package var nextSunriseUnixMilliseconds: Int64?
    package var hoursToHibernation: Double?
    package var darkUntilUnixMilliseconds: Int64?
    package var alerts: [Alert]

    package init(
        state: PowerState, sinceUnixMilliseconds: Int64, reason: String, estimate: EnergyEstimate? = nil, readingAgeMilliseconds: Int64? = nil,
        forecastPercentAtSunrise: Double? = nil, nextSunriseUnixMilliseconds: Int64? = nil, hoursToHibernation: Double? = nil,
        darkUntilUnixMilliseconds: Int64? = nil, alerts: [Alert] = []
    ) {
        self.state = state
        self.sinceUnixMilliseconds = sinceUnixMilliseconds
        self.reason = reason
        self.estimate = estimate
        self.readingAgeMilliseconds = readingAgeMilliseconds
        self.forecastPercentAtSunrise = forecastPercentAtSunrise
        self.nextSunriseUnixMilliseconds = nextSunriseUnixMilliseconds
        self.hoursToHibernation = hoursToHibernation
        self.darkUntilUnixMilliseconds = darkUntilUnixMilliseconds
        self.alerts = alerts
    }
}
