import ArgumentParser
import EdgePower
import FoundationEssentials
import RecordingModel
import ServiceSupport
import StorageIO
import SystemPackage

struct SimulateCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "simulate", abstract: "Runs the node's own energy policy through a year of weather.", subcommands: [SimulatePowerCommand.self, SimulateSunCommand.self])
}

/// Place and panel, as both simulations need them.
struct SimulatedPanelOptions: ParsableArguments {
    @Option(help: "LATITUDE,LONGITUDE[,ALTITUDE] in degrees (north and east positive) and metres.") var site: String
    @Option(help: "The panel's power by its label.") var panelWatts = 60.0
    @Option(help: "The panel's tilt: 0 lies flat, 90 stands upright.") var tilt = 45.0
    @Option(help: "Where the panel looks, from north over east: 180 is south.") var azimuth = 180.0

    func place() throws -> PowerSite {
        let numbers = site.split(separator: ",").map { Double($0) }
        guard (2...3).contains(numbers.count), let latitude = numbers[0], let longitude = numbers[1], let altitude = numbers.count == 3 ? numbers[2] : 0 else {
            throw CommandError("--site '\(OutputTable.printable(site))' is no place; give LATITUDE,LONGITUDE or LATITUDE,LONGITUDE,ALTITUDE, as in 40.5,-108.5,2100")
        }
        return PowerSite(latitudeDegrees: latitude, longitudeDegrees: longitude, altitudeMetres: altitude)
    }

    var panel: SolarPanel { SolarPanel(watts: panelWatts, tiltDegrees: tilt, azimuthDegrees: azimuth) }
}

struct SimulatePowerCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "power", abstract: "What a panel and a battery bear, by each policy.",
        discussion: """
            Takes a year of hours from PVGIS (CSV of a typical year), NSRDB (PSM3 CSV) or NASA POWER (hourly CSV with
            ALLSKY_SFC_SW_DWN, ALLSKY_SFC_SW_DNI, ALLSKY_SFC_SW_DIFF and T2M).

            Regret is what a policy loses in a month against 'perfect', the planner that is told the harvest to come, in
            value hours: an hour of everything by day counts as one. It is shown where 'perfect' is among the policies.
            Wh/GB is the whole node's draw, recording with it, for each GB that arrived.
            """)

    @Option(help: "The file with the weather.") var year: String
    @OptionGroup var place: SimulatedPanelOptions
    @Option(help: "always-on, voltage, ladder, planner, perfect or all; may be repeated.") var policy: [String] = ["all"]
    @Option(help: "The battery's capacity in watt hours.") var batteryWattHours = 512.0
    @Option(help: "lifepo4 or lead-acid.") var battery = "lifepo4"
    @Option(help: "No charging below this temperature, or 'none' for a battery that is kept warm. Default: 0 for lifepo4, none for lead-acid.") var noChargeBelow: String?
    @Option(help: "Draw in watts: surplus,full,reduced,sparse,asleep.") var loads = "14,11,6,2,0.3"
    @Option(help: "How much more an hour of night is worth than one of day.") var nightValue = 1.0
    @Option(help: "The planner spends nothing below this percentage.") var reserve = PowerSettings().reservePercent
    @Option(help: "What the planner leaves at its horizon's end, in percent.") var planEnd = PowerSettings().planEndPercent
    @Option(help: "What the link carries while it is open, in kbit/s.") var linkKilobits = 1_000.0
    @Option(help: "What all cameras together record, in kbit/s.") var recordingKilobits = 2_000.0
    @Flag(help: "Print JSON.") var json = false
    @Option(help: "Also draw the days into this SVG file.") var chart: String?
    @Option(help: "Also write each hour's harvest, temperature and night into this CSV file.") var hours: String?

    func run() throws {
        let site = try place.place()
        var settings = PowerSettings()
        settings.site = site
        settings.panel = place.panel
        settings.capacityWattHours = batteryWattHours
        settings.values.nightFactor = nightValue
        (settings.reservePercent, settings.planEndPercent) = (reserve, planEnd)
        guard let chemistry = SimulatedBattery.Chemistry(rawValue: battery) else { throw CommandError("--battery is lifepo4 or lead-acid") }
        settings.cutoffVolts = chemistry == .lifepo4 ? 12.0 : 11.3
        switch noChargeBelow {
        case nil: settings.noChargeBelowCelsius = chemistry == .lifepo4 ? 0 : nil
        case "none": settings.noChargeBelowCelsius = nil
        case .some(let text):
            guard let celsius = Double(text) else { throw CommandError("--no-charge-below is a temperature in °C or 'none'") }
            settings.noChargeBelowCelsius = celsius
        }
        settings.loads = try draw()
        guard settings.problems.isEmpty, nightValue > 0 else { throw CommandError(settings.problems.first ?? "--night-value is above 0") }
        let weather: WeatherYear
        do {
            weather = try WeatherYear(RealStorage().read(FilePath(year), limitBytes: WeatherYear.fileBytesMax), longitudeDegrees: site.longitudeDegrees)
        } catch let problem as WeatherYear.Problem {
            throw CommandError("\(OutputTable.printable(year)): \(problem)")
        }
        var simulation = PowerSimulation(
            settings: settings, site: site, panel: place.panel,
            battery: SimulatedBattery(chemistry: chemistry, capacityWattHours: batteryWattHours, percent: 50, noChargeBelowCelsius: settings.noChargeBelowCelsius))
        simulation.loads = settings.loads
        if chemistry == .leadAcid { (simulation.offVolts, simulation.onVolts) = (11.9, 12.8) }
        guard linkKilobits > 0, recordingKilobits > 0 else { throw CommandError("--link-kilobits and --recording-kilobits are above 0") }
        (simulation.footage.bytesPerLinkHour, simulation.footage.bytesPerRecordedHour) = (linkKilobits * 450_000, recordingKilobits * 450_000)
        let outcomes = try policies().map { simulation.run($0, year: weather) }
        if let hours { try write(table(simulation, weather), to: hours) }
        if let chart { try write(PowerChart.svg(outcomes, title: "\(weather.format), \(place.site), \(place.panelWatts) W, \(batteryWattHours) Wh"), to: chart) }
        if json {
            for outcome in outcomes { printLine(try fieldpost_edge.json(SimulatedAnswer(outcome, perfect: SimulatedAnswer.perfect(outcomes)))) }
        } else {
            printLine(SimulatedAnswer.table(outcomes))
        }
    }

    private func policies() throws -> [PowerSimulation.Policy] {
        if policy.contains("all") { return PowerSimulation.Policy.allCases }
        return try policy.map {
            guard let policy = PowerSimulation.Policy(rawValue: $0) else {
                throw CommandError("--policy '\(OutputTable.printable($0))' is none of \(PowerSimulation.Policy.allCases.map(\.rawValue).joined(separator: ", ")), all")
            }
            return policy
        }
    }

    private func draw() throws -> PowerSettings.Loads {
        let watts = loads.split(separator: ",").compactMap { Double($0) }
        guard watts.count == 5, zip(watts, watts.dropFirst()).allSatisfy({ $0 > $1 }), watts[4] > 0 else {
            throw CommandError("--loads is five falling numbers: surplus,full,reduced,sparse,asleep, as in 14,11,6,2,0.3")
        }
        var draw = PowerSettings.Loads()
        (draw.surplusWatts, draw.fullWatts, draw.reducedWatts, draw.sparseWatts, draw.hibernateWatts) = (watts[0], watts[1], watts[2], watts[3], watts[4])
        return draw
    }

    private func table(_ simulation: PowerSimulation, _ weather: WeatherYear) -> String {
        let harvest = simulation.harvest(weather)
        return "unix_seconds,harvest_watts,celsius,is_night\n"
            + zip(weather.samples, harvest).map { "\($0.unixMilliseconds / 1_000),\($1),\($0.airCelsius),\(simulation.isNight($0.unixMilliseconds) ? 1 : 0)\n" }.joined()
    }

    private func write(_ text: String, to path: String) throws {
        let file = try FileDescriptor.open(FilePath(path), .writeOnly, options: [.create, .truncate], permissions: .ownerReadWrite)
        _ = try file.closeAfter { try file.writeAll(Array(text.utf8)) }
    }
}

struct SimulateSunCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sun", abstract: "The sun's place and a panel's clear-sky power for every hour, as CSV.",
        discussion: "For checking a site's settings, and this program against other solar models.")

    @OptionGroup var place: SimulatedPanelOptions
    @Option(help: "Seconds since 1970 of the first hour.") var from: Int64
    @Option(help: "How many hours, up to a leap year's 8784.") var hours = 8_760

    func validate() throws {
        guard (1...8_784).contains(hours) else { throw ValidationError("--hours is 1 to 8784") }
    }

    func run() throws {
        let site = try place.place()
        let panel = place.panel
        printLine("unix_seconds,elevation,azimuth,apparent_elevation,haurwitz,global,beam,diffuse,plane,direct_current_watts,harvest_watts")
        for hour in 0..<Int64(hours) {
            let seconds = from + hour * 3_600
            let sun = SunPosition(unixMilliseconds: seconds * 1_000, site: site)
            let apparent = sun.apparentElevationDegrees()
            let sky = ClearSky.irradiance(sun, altitudeMetres: site.altitudeMetres)
            let plane = panel.planeIrradiance(sky, sun: sun)
            let values = [
                sun.elevationDegrees, sun.azimuthDegrees, apparent, ClearSky.haurwitzGlobalHorizontal(elevationDegrees: apparent), sky.globalHorizontal, sky.directNormal,
                sky.diffuseHorizontal, plane, panel.directCurrentWatts(planeIrradiance: plane, cellCelsius: 30), panel.harvestWatts(planeIrradiance: plane, airCelsius: 15),
            ]
            printLine("\(seconds),\(values.map { "\($0)" }.joined(separator: ","))")
        }
    }
}
