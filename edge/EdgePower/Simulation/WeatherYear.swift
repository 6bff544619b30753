import RecordingModel

/// Measured or typical weather at a place, by the hour: what a simulation runs on.
package struct WeatherYear: Hashable, Sendable {
    package struct Sample: Hashable, Sendable {
        /// The middle of what it stands for.
        package var unixMilliseconds: Int64
        package var sky: Irradiance
        package var airCelsius: Double
        package init(unixMilliseconds: Int64, sky: Irradiance, airCelsius: Double) {
            self.unixMilliseconds = unixMilliseconds
            self.sky = sky
            self.airCelsius = airCelsius
        }
    }

    package struct Problem: Error, Hashable, CustomStringConvertible {
        package let description: String
        package init(_ description: String) { self.description = description }
    }

    /// PVGIS, NSRDB PSM3 or NASA POWER.
    package private(set) var format: String
    package private(set) var samples: [Sample]
    /// How many were absent in the file and are those of the hour before.
    package private(set) var filled = 0

    package static let fileBytesMax = 256 << 20
    private static let samplesMax = 25 * 8_784

    /// Reads any of the three formats. `longitudeDegrees` gives the hours of a file in local time that does not say which.
    package init(_ bytes: [UInt8], longitudeDegrees: Double) throws {
        let lines = bytes.split(whereSeparator: { $0 == 10 || $0 == 13 }).map { $0.split(separator: 44, omittingEmptySubsequences: false).map { Self.trimmed($0) } }
        let localHours = (longitudeDegrees / 15).rounded()
        if let header = lines.firstIndex(where: { $0.first == "time(UTC)" }) {
            format = "PVGIS"
            let column = try Columns(lines[header], "PVGIS", ["time(UTC)", "T2m", "G(h)", "Gb(n)", "Gd(h)"])
            // A text follows the last row.
            let rows = lines[(header + 1)...].prefix { $0.count == lines[header].count && $0[0].count == 13 }
            samples = try rows.map { row in
                let time = Array(row[0].utf8)
                guard time[8] == 58, let date = Int(row[0].prefix(8)), let clock = Int(row[0].suffix(4)) else { throw Problem("PVGIS: '\(row[0])' is no time") }
                let moment = try Self.moment(date / 10_000, date / 100 % 100, date % 100, clock / 100, clock % 100)
                return Sample(unixMilliseconds: moment, sky: try column.sky(row, 2, 3, 4), airCelsius: try column.number(row, 1))
            }
        } else if let header = lines.firstIndex(where: { $0.contains("ALLSKY_SFC_SW_DWN") && $0.contains("YEAR") }) {
            format = "NASA POWER"
            let names = ["YEAR", "MO", "DY", "HR", "ALLSKY_SFC_SW_DWN", "ALLSKY_SFC_SW_DNI", "ALLSKY_SFC_SW_DIFF", "T2M"]
            let column = try Columns(lines[header], "NASA POWER", names)
            let head = lines[..<header].map { $0.joined(separator: ",") }
            let offset = head.contains { $0.hasSuffix("in UTC") } ? 0 : localHours
            // The agricultural community is given MJ, the renewable one Wh.
            let unit = head.contains { $0.contains("MJ/hr") } ? 1_000_000.0 / 3_600 : 1
            var filled = 0
            var before: Sample?
            samples = try lines[(header + 1)...].filter { $0.count == lines[header].count }.map { row in
                let day = try (0..<4).map { try column.whole(row, $0) }
                // The number is the mean of the hour that begins then.
                let moment = try Self.moment(day[0], day[1], day[2], day[3], 30) - Int64(offset * 3_600_000)
                let values = try (4..<8).map { try column.number(row, $0) }
                var sample = Sample(
                    unixMilliseconds: moment,
                    sky: Irradiance(globalHorizontal: values[0] * unit, directNormal: values[1] * unit, diffuseHorizontal: values[2] * unit), airCelsius: values[3])
                if values.contains(where: { $0 <= -99 && $0 != values[3] }) || values[3] <= -99 {
                    filled += 1
                    guard let before else { throw Problem("NASA POWER: the first row has no values (-999)") }
                    sample = Sample(unixMilliseconds: moment, sky: before.sky, airCelsius: before.airCelsius)
                }
                before = sample
                return sample
            }
            self.filled = filled
        } else if let header = lines.firstIndex(where: { $0.contains("DHI") && $0.contains("Year") && $0.contains("Minute") }) {
            format = "NSRDB PSM3"
            let column = try Columns(lines[header], "NSRDB PSM3", ["Year", "Month", "Day", "Hour", "Minute", "GHI", "DNI", "DHI", "Temperature"])
            // Two lines of names and values come first, if nobody has taken them away.
            let zone = header >= 2 ? lines[0].firstIndex(of: "Time Zone").flatMap { lines[1].indices.contains($0) ? Double(lines[1][$0]) : nil } : nil
            samples = try lines[(header + 1)...].filter { $0.count >= lines[header].count }.map { row in
                let day = try (0..<5).map { try column.whole(row, $0) }
                let moment = try Self.moment(day[0], day[1], day[2], day[3], day[4]) - Int64((zone ?? localHours) * 3_600_000)
                return Sample(unixMilliseconds: moment, sky: try column.sky(row, 5, 6, 7), airCelsius: try column.number(row, 8))
            }
        } else {
            throw Problem("this is no file of PVGIS (CSV with time(UTC)), NSRDB PSM3 (CSV with Year … Minute, DHI, DNI, GHI) or NASA POWER (hourly CSV with ALLSKY_SFC_SW_DWN)")
        }
        guard samples.count >= 24 else { throw Problem("\(format): the file holds \(samples.count) hours; at least a day is needed") }
        guard samples.count <= Self.samplesMax else { throw Problem("\(format): more than 25 years are not simulated at once") }
        guard filled * 10 <= samples.count else { throw Problem("\(format): \(filled) of \(samples.count) rows have no values (-999)") }
        try straighten()
    }

    package init(format: String, samples: [Sample]) {
        self.format = format
        self.samples = samples
    }

    /// A typical year is stitched from months of several years: they become one year, without its 29 February.
    private mutating func straighten() throws {
        let steps = zip(samples, samples.dropFirst()).map { $1.unixMilliseconds - $0.unixMilliseconds }
        if steps.allSatisfy({ (1...86_400_000).contains($0) }) { return }
        var seen: Int64 = .min
        samples = samples.compactMap { sample in
            let (_, month, day) = Self.civil(sample.unixMilliseconds)
            if month == 2 && day == 29 { return nil }
            var moved = sample
            let ofDay = sample.unixMilliseconds - Self.floorDay(sample.unixMilliseconds)
            moved.unixMilliseconds = Self.days(2023, month, day) * 86_400_000 + ofDay
            // Local hours of the last evening lie in the next year.
            if moved.unixMilliseconds < seen && seen - moved.unixMilliseconds > 300 * 86_400_000 { moved.unixMilliseconds += 365 * 86_400_000 }
            guard moved.unixMilliseconds > seen else { return nil }
            seen = moved.unixMilliseconds
            return moved
        }
        guard samples.count >= 24 else { throw Problem("\(format): its hours are not in order") }
    }

    // MARK: calendar (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms")

    static func days(_ year: Int, _ month: Int, _ day: Int) -> Int64 {
        let y = month <= 2 ? year - 1 : year
        let era = (y >= 0 ? y : y - 399) / 400
        let ofEra = y - era * 400
        let ofYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
        return Int64(era * 146_097 + ofEra * 365 + ofEra / 4 - ofEra / 100 + ofYear - 719_468)
    }

    static func civil(_ unixMilliseconds: Int64) -> (year: Int, month: Int, day: Int) {
        let z = Int(floorDay(unixMilliseconds) / 86_400_000) + 719_468
        let era = (z >= 0 ? z : z - 146_096) / 146_097
        let ofEra = z - era * 146_097
        let yearOfEra = (ofEra - ofEra / 1_460 + ofEra / 36_524 - ofEra / 146_096) / 365
        let ofYear = ofEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let mp = (5 * ofYear + 2) / 153
        let month = mp < 10 ? mp + 3 : mp - 9
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, ofYear - (153 * mp + 2) / 5 + 1)
    }

    private static func floorDay(_ unixMilliseconds: Int64) -> Int64 {
        let day: Int64 = 86_400_000
        return unixMilliseconds - ((unixMilliseconds % day) + day) % day
    }

    private static func moment(_ year: Int, _ month: Int, _ day: Int, _ hour: Int, _ minute: Int) throws -> Int64 {
        guard (1900...2200).contains(year), (1...12).contains(month), (1...31).contains(day), (0...24).contains(hour), (0...59).contains(minute) else {
            throw Problem("\(year)-\(month)-\(day) \(hour):\(minute) is no time")
        }
        return days(year, month, day) * 86_400_000 + Int64(hour) * 3_600_000 + Int64(minute) * 60_000
    }

    private static func trimmed(_ field: ArraySlice<UInt8>) -> String {
        String(decoding: field.drop { $0 == 32 || $0 == 0xEF || $0 == 0xBB || $0 == 0xBF }, as: UTF8.self)
    }

    private struct Columns {
        let format: String
        let index: [Int]
        let names: [String]

        init(_ header: [String], _ format: String, _ names: [String]) throws {
            self.format = format
            self.names = names
            index = try names.map { name in
                guard let found = header.firstIndex(of: name) else { throw Problem("\(format): the column \(name) is missing; ask for it when you download the file") }
                return found
            }
        }

        func number(_ row: [String], _ column: Int) throws -> Double {
            guard let value = Double(row[index[column]]), value.isFinite, abs(value) < 100_000 else { throw Problem("\(format): '\(row[index[column]].prefix(20))' in \(names[column]) is no number") }
            return value
        }

        func whole(_ row: [String], _ column: Int) throws -> Int { Int(try number(row, column)) }

        func sky(_ row: [String], _ global: Int, _ beam: Int, _ diffuse: Int) throws -> Irradiance {
            Irradiance(
                globalHorizontal: max(0, try number(row, global)), directNormal: max(0, try number(row, beam)), diffuseHorizontal: max(0, try number(row, diffuse)))
        }
    }
}
