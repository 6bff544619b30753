import EdgePower
import RecordingModel

/// Drives a policy second by second, or in other steps, from a known moment.
struct PolicyRun {
    static let startUnix: Int64 = 1_767_225_600_000  // 2026-01-01 00:00 UTC
    var policy: PowerPolicy
    var boot: Int64 = 1_000
    var wallOffset: Int64 = 0
    var uncertainty: Int64 = 1_000
    var changes: [(at: Int64, record: PowerRecord)] = []
    var decision: PowerDecision?

    init(_ settings: PowerSettings = PolicyRun.settings(), resuming memory: PowerMemory? = nil) {
        policy = PowerPolicy(settings, startingAt: Self.moment(1_000), resuming: memory)
    }

    static func settings(_ change: (inout PowerSettings) -> Void = { _ in }) -> PowerSettings {
        var settings = PowerSettings()
        settings.capacityWattHours = 512
        settings.cutoffVolts = 12.0
        change(&settings)
        return settings
    }

    static func moment(_ boot: Int64, offset: Int64 = 0, uncertainty: Int64 = 1_000) -> Moment {
        Moment(
            bootNanoseconds: boot * 1_000_000,
            wall: WallEstimate(unixMilliseconds: startUnix + boot + offset, source: .ntp, uncertaintyMilliseconds: uncertainty))
    }

    var state: PowerState? { decision?.directives.state }

    /// So many seconds with what `estimate` says; the reading is of the same moment unless it says nothing.
    mutating func run(seconds: Int, step: Int = 1, _ estimate: (inout EnergyEstimate) -> Void) {
        var index = 0
        while index < seconds {
            var value = EnergyEstimate(bootMilliseconds: boot, batteryConfidence: .high, batteryBasis: "shunt")
            estimate(&value)
            decide(value)
            index += step
            boot += Int64(step) * 1_000
        }
    }

    mutating func silence(seconds: Int, step: Int = 1) {
        for _ in 0..<(seconds / step) {
            decide(nil)
            boot += Int64(step) * 1_000
        }
    }

    mutating func decide(_ estimate: EnergyEstimate?) {
        let decided = policy.decide(Self.moment(boot, offset: wallOffset, uncertainty: uncertainty), estimate)
        if let change = decided.change { changes.append((boot, change)) }
        decision = decided
    }
}

func rank(_ state: PowerState) -> Int { [.surplus, .full, .reduced, .sparse, .hibernate, .halt].firstIndex(of: state) ?? 2 }

/// SplitMix64, so that a run that failed can be run again.
struct Seeded: RandomNumberGenerator {
    var state: UInt64
    init(_ seed: UInt64) { state = seed }
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = (state ^ (state >> 30)) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
        return value ^ (value >> 31)
    }
    mutating func unit() -> Double { Double.random(in: 0..<1, using: &self) }
}

/// A winter at 40.5° N with seeded clouds: clear days and dark ones, which follow each other.
func winter(seed: UInt64, days: Int, celsius: Double = 5) -> WeatherYear {
    let site = PowerSite(latitudeDegrees: 40.5, longitudeDegrees: -108.5, altitudeMetres: 2_000)
    var random = Seeded(seed)
    var clear = 0.6
    let start: Int64 = 1_796_083_200_000  // 2026-12-01
    return WeatherYear(
        format: "seeded",
        samples: (0..<(days * 24)).map { hour in
            if hour % 24 == 0 { clear = max(0.05, min(1, 0.55 * clear + 0.45 * random.unit() + random.unit() * 0.1 - 0.05)) }
            let moment = start + Int64(hour) * 3_600_000 + 1_800_000
            let sky = ClearSky.irradiance(SunPosition(unixMilliseconds: moment, site: site), altitudeMetres: 2_000)
            let share = max(0.02, min(1, clear + (random.unit() - 0.5) * 0.3))
            let beam = share > 0.4 ? share : 0
            return .init(
                unixMilliseconds: moment,
                sky: Irradiance(globalHorizontal: sky.globalHorizontal * share, directNormal: sky.directNormal * beam, diffuseHorizontal: sky.diffuseHorizontal * share),
                airCelsius: celsius)
        })
}

func simulation(panelWatts: Double = 60, _ change: (inout PowerSimulation) -> Void = { _ in }) -> PowerSimulation {
    let site = PowerSite(latitudeDegrees: 40.5, longitudeDegrees: -108.5, altitudeMetres: 2_000)
    let panel = SolarPanel(watts: panelWatts, tiltDegrees: 45)
    let settings = PolicyRun.settings {
        $0.site = site
        $0.panel = panel
        $0.noChargeBelowCelsius = 0
    }
    var simulation = PowerSimulation(
        settings: settings, site: site, panel: panel, battery: SimulatedBattery(chemistry: .lifepo4, capacityWattHours: 512, percent: 50, noChargeBelowCelsius: 0))
    simulation.stepSeconds = 300
    change(&simulation)
    return simulation
}
