import RecordingModel

/// Wall times as text, in UTC and ISO 8601: evidence reads the same everywhere.
enum WallText {
    static let dayMilliseconds: Int64 = 86_400_000

    /// `2026-11-21T08:30:05.120Z`
    static func iso(_ unixMilliseconds: Int64) -> String {
        "\(day(unixMilliseconds))T\(time(unixMilliseconds)).\(padded(floorModulo(unixMilliseconds, 1_000), 3))Z"
    }

    /// `2026-11-21 08:30:05 UTC`
    static func readable(_ unixMilliseconds: Int64) -> String { "\(day(unixMilliseconds)) \(time(unixMilliseconds)) UTC" }

    /// `08:30:05`
    static func time(_ unixMilliseconds: Int64) -> String {
        let seconds = floorModulo(unixMilliseconds, dayMilliseconds) / 1_000
        return "\(padded(seconds / 3_600, 2)):\(padded(seconds / 60 % 60, 2)):\(padded(seconds % 60, 2))"
    }

    /// `2026-11-21`
    static func day(_ unixMilliseconds: Int64) -> String {
        // Howard Hinnant's civil_from_days, for days since 1970-01-01.
        let z = (unixMilliseconds - floorModulo(unixMilliseconds, dayMilliseconds)) / dayMilliseconds + 719_468
        let era = (z >= 0 ? z : z - 146_096) / 146_097
        let dayOfEra = z - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shifted = (5 * dayOfYear + 2) / 153
        let dayOfMonth = dayOfYear - (153 * shifted + 2) / 5 + 1
        let month = shifted < 10 ? shifted + 3 : shifted - 9
        return "\(padded(yearOfEra + era * 400 + (month <= 2 ? 1 : 0), 4))-\(padded(month, 2))-\(padded(dayOfMonth, 2))"
    }

    /// The start of a day written `2026-11-21`; nil for what is no such day.
    static func startOfDay(_ text: String) -> Int64? {
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count == 3, parts.map(\.utf8.count) == [4, 2, 2], let year = Int64(parts[0]), let month = Int64(parts[1]), let day = Int64(parts[2]),
            year >= 1970, (1...12).contains(month), (1...31).contains(day)
        else { return nil }
        let shiftedYear = month <= 2 ? year - 1 : year
        let era = shiftedYear / 400
        let yearOfEra = shiftedYear - era * 400
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        let start = (era * 146_097 + dayOfEra - 719_468) * dayMilliseconds
        // 31 April is 1 May to the arithmetic, but not to a reader.
        return self.day(start) == text ? start : nil
    }

    /// `3 h 12 min`, `45 s`, `0.4 s`
    static func duration(_ milliseconds: Int64) -> String {
        let seconds = milliseconds / 1_000
        switch milliseconds {
        case ..<10_000: return "\(milliseconds / 1_000).\(milliseconds / 100 % 10) s"
        case ..<60_000: return "\(seconds) s"
        case ..<3_600_000: return seconds % 60 == 0 ? "\(seconds / 60) min" : "\(seconds / 60) min \(seconds % 60) s"
        case ..<172_800_000: return "\(seconds / 3_600) h \(seconds / 60 % 60) min"
        default: return "\(seconds / 86_400) d \(seconds / 3_600 % 24) h"
        }
    }

    static func ago(_ unixMilliseconds: Int64, now: Int64) -> String {
        let age = now - unixMilliseconds
        return switch age {
        case ..<2_000: "just now"
        case ..<60_000: "\(age / 1_000) s ago"
        default: "\(duration(age)) ago"
        }
    }

    private static func floorModulo(_ value: Int64, _ by: Int64) -> Int64 { ((value % by) + by) % by }

    private static func padded(_ value: Int64, _ count: Int) -> String {
        let digits = String(value)
        return String(repeating: "0", count: max(0, count - digits.count)) + digits
    }
}
