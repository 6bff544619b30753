import EdgePower
import RecordingModel
import Testing

@Suite("A simulated year of energy")
struct SimulationTests {
    /// One value a column and hour, so that a wrong column or hour shows.
    private func hours(_ count: Int, _ row: (_ hour: Int, _ global: Int, _ beam: Int, _ diffuse: Int, _ celsius: Int) -> String) -> String {
        (0..<count).map { row($0, 100 + $0, 300 + $0, 50 + $0, -5 + $0 % 24) + "\n" }.joined()
    }
    private func two(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }

    private func pvgis(_ count: Int = 48) -> String {
        "time(UTC),T2m,RH,G(h),Gb(n),Gd(h),IR(h),WS10m,WD10m,SP\n"
            + hours(count) { "201801\(two($0 / 24 + 1)):\(two($0 % 24))00,\($4).5,94.38,\($1).0,\($2).25,\($3).0,283.58,0.75,257.0,99870.0" }
            + "T2m: 2-m air temperature (degree Celsius)\n"
    }

    private func psm3(zone: String?) -> String {
        let head = zone.map { "Source,Location ID,City,State,Country,Latitude,Longitude,Time Zone,Elevation\nNSRDB,145809,-,-,-,40.53,-108.54,\($0),2000\n" } ?? ""
        let number = zone == nil ? "," : ""
        return head + "\(number)Year,Month,Day,Hour,Minute,Temperature,Dew Point,DHI,DNI,GHI,Surface Albedo,Pressure,Wind Direction,Wind Speed\n"
            + hours(48) { "\(zone == nil ? "\($0)," : "")2003,1,\($0 / 24 + 1),\($0 % 24),30,\($4),-6,\($3),\($2),\($1),0.866,780,297.8,2.5" }
    }

    private func nasa(unit: String = "Wh/m^2", absent: ClosedRange<Int> = 10...10) -> String {
        """
        -BEGIN HEADER-
        NASA/POWER Source Native Resolution Hourly Data
        Dates (month/day/year): 01/01/2020 through 01/02/2020 in LST
        The value for missing source data that cannot be computed or is outside of the sources availability range: -999
        Parameter(s):
        ALLSKY_SFC_SW_DWN     CERES SYN1deg All Sky Surface Shortwave Downward Irradiance (\(unit))
        -END HEADER-
        YEAR,MO,DY,HR,ALLSKY_SFC_SW_DWN,ALLSKY_SFC_SW_DNI,ALLSKY_SFC_SW_DIFF,T2M

        """
            + hours(48) { absent.contains($0) ? "2020,1,1,\($0),-999.0,-999.0,-999.0,-999.0" : "2020,1,\($0 / 24 + 1),\($0 % 24),\($1).0,\($2).0,\($3).0,\($4).0" }
    }

    @Test func `PVGIS, NSRDB and NASA POWER are read with their own times, units and gaps`() throws {
        let european = try WeatherYear(Array(pvgis().utf8), longitudeDegrees: 8)
        #expect(european.format == "PVGIS" && european.samples.count == 48)
        #expect(european.samples[13] == .init(unixMilliseconds: 1_514_811_600_000, sky: Irradiance(globalHorizontal: 113, directNormal: 313.25, diffuseHorizontal: 63), airCelsius: 8.5))

        // 13:30 at -7 h is 20:30 UTC, told by the head or, without one, by the longitude.
        for zone in ["-7", nil] {
            let american = try WeatherYear(Array(psm3(zone: zone).utf8), longitudeDegrees: -108.5)
            #expect(american.format == "NSRDB PSM3" && american.samples.count == 48)
            #expect(american.samples[13] == .init(unixMilliseconds: 1_041_453_000_000, sky: Irradiance(globalHorizontal: 113, directNormal: 313, diffuseHorizontal: 63), airCelsius: 8))
        }

        let global = try WeatherYear(Array(nasa().utf8), longitudeDegrees: 30)
        #expect(global.format == "NASA POWER" && global.filled == 1)
        #expect(global.samples[9].unixMilliseconds == 1_577_863_800_000 && global.samples[10].sky.globalHorizontal == 109, "the hour that is absent is as the one before")
        let joules = try WeatherYear(Array(nasa(unit: "MJ/hr").utf8), longitudeDegrees: 30)
        #expect(abs(joules.samples[0].sky.globalHorizontal - 100 / 0.0036) < 1e-6)
    }

    @Test func `Files that cannot be simulated are refused with what to do`() {
        let files = [
            "": "no file of PVGIS", "a,b\n1,2\n": "no file of PVGIS", pvgis(10): "at least a day", nasa(absent: 10...20): "-999",
            pvgis().replacing("Gb(n)", with: "Xb(n)"): "the column Gb(n) is missing", pvgis().replacing("101.0", with: "many"): "is no number",
        ]
        for (text, words) in files {
            let error = #expect(throws: WeatherYear.Problem.self) { try WeatherYear(Array(text.utf8), longitudeDegrees: 0) }
            #expect(error?.description.contains(words) == true, "\(error?.description ?? "")")
        }
    }

    @Test func `A typical year of several years' months becomes one year`() throws {
        let stitched = pvgis().replacing("20180102:", with: "20050102:").replacing("T2m: ", with: "x")
        let year = try WeatherYear(Array(stitched.utf8), longitudeDegrees: 0)
        let steps = zip(year.samples, year.samples.dropFirst()).map { $1.unixMilliseconds - $0.unixMilliseconds }
        #expect(year.samples.count == 48 && steps.allSatisfy { $0 == 3_600_000 })
    }

    @Test func `The same year gives the same outcome to the last bit, whatever the policy`() {
        let weather = winter(seed: 3, days: 10)
        for policy in PowerSimulation.Policy.allCases {
            let outcomes = (0..<2).map { _ in simulation().run(policy, year: weather) }
            #expect(outcomes[0] == outcomes[1])
            #expect(abs(outcomes[0].days.reduce(0) { $0 + $1.hours.reduce(0, +) } - 240) < 1e-6, "every hour is in one state")
            let link = outcomes[0].link
            #expect(link.bytesDelivered + link.bytesEvicted <= link.bytesRecorded && link.bytesDelivered > 0)
        }
    }

    @Test func `Energy is kept: what came in and was not spent is in the battery`() {
        let weather = winter(seed: 4, days: 12, celsius: 5)
        let outcome = simulation { $0.loads.areLearned = false }.run(.alwaysOn, year: weather)
        let harvest = simulation().harvest(weather).reduce(0, +)
        let taken = outcome.days.reduce(0) { $0 + $1.harvestWattHours }
        #expect(abs(taken + outcome.spilledWattHours - harvest) < 0.01 * harvest)
        #expect(outcome.uncleanCuts > 0, "without a policy a winter cuts the power")
    }

    @Test func `What a month lost against the best forecast, and what a delivered GB cost, follow from the days`() throws {
        // December, and the first days of January.
        let weather = winter(seed: 9, days: 40)
        let (ladder, perfect) = (simulation().run(.ladder, year: weather), simulation().run(.perfect, year: weather))
        #expect(ladder.months.map(\.name) == ["2026-12", "2027-01"])
        #expect(abs(ladder.months.reduce(0) { $0 + $1.valueHours } - ladder.valueSeconds / 3_600) < 1e-6)
        #expect(abs(ladder.months.reduce(0) { $0 + $1.valueHoursMost } - 960) < 1e-6 && abs(ladder.months[0].valueHoursMost - 744) < 1e-6)
        let regret = ladder.regretHours(against: perfect)
        #expect(regret.count == 2 && abs(regret.reduce(0, +) - (perfect.valueSeconds - ladder.valueSeconds) / 3_600) < 1e-6)
        #expect(ladder.regretHours(against: ladder) == [0, 0])
        // What was drawn came from the panel and from the battery, which held half of 512 Wh, and lost a twentieth of what went in.
        let harvest = ladder.days.reduce(0) { $0 + $1.harvestWattHours }
        #expect(ladder.consumedWattHours > 0.9 * harvest - 256 && ladder.consumedWattHours < harvest + 256)
        let price = try #require(ladder.wattHoursPerGigabyte)
        #expect(abs(price * ladder.link.bytesDelivered / 1e9 - ladder.consumedWattHours) < 1e-6)
        let mute = simulation { $0.footage.bytesPerLinkHour = 0 }.run(.ladder, year: weather)
        #expect(mute.wattHoursPerGigabyte == nil && mute.link.bytesDelivered == 0)
    }

    @Test func `Cold keeps lithium from charging, and nothing else`() {
        let weather = winter(seed: 6, days: 10, celsius: -10)
        let cold = simulation().run(.ladder, year: weather)
        let warm = simulation { $0.battery.noChargeBelowCelsius = nil }.run(.ladder, year: weather)
        #expect(cold.spilledWattHours > warm.spilledWattHours && cold.valueShare < warm.valueShare)
        #expect(cold.uncleanCuts == 0)
    }

    @Test func `The chart holds a column for every day and closes what it opens`() {
        let outcomes = [PowerSimulation.Policy.ladder, .alwaysOn].map { simulation().run($0, year: winter(seed: 7, days: 6)) }
        let svg = PowerChart.svg(outcomes, title: "40.5° N <60 W>")
        #expect(svg.hasPrefix("<svg ") && svg.hasSuffix("</svg>\n") && svg.contains("&lt;60 W&gt;"))
        #expect(svg.contains("ladder: ") && svg.contains("always-on: "))
        #expect(svg.split(separator: "\n").filter { $0.contains("#2166ac") }.allSatisfy { $0.count(where: { $0 == "M" }) == 6 })
    }
}
