/// Hours of the week at a fixed distance from UTC. There is no daylight saving in it: a node that knows no zone's rules,
/// or old ones, would be wrong on two days of the year without anybody seeing why.
package struct WeeklySchedule: Hashable, Sendable {
    package struct Window: Hashable, Sendable {
        /// Monday is bit 0.
        package var days: UInt8
        /// Minutes of the day; an end at or before the start lies on the next day.
        package var startMinute: Int
        package var endMinute: Int
        package init(days: UInt8, startMinute: Int, endMinute: Int) {
            self.days = days
            self.startMinute = startMinute
            self.endMinute = endMinute
        }
    }

    package static let windowsMax = 32
    package static let expectation = "days and hours, such as \"mon-fri 07:00-19:00\", \"sat,sun 22:00-06:00\" or \"daily 00:00-24:00\""
    private static let dayNames = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
    private static let minutesOfDay = 1_440

    package var windows: [Window]
    package var utcOffsetMinutes: Int

    package init(windows: [Window], utcOffsetMinutes: Int = 0) {
        self.windows = windows
        self.utcOffsetMinutes = utcOffsetMinutes
    }

    /// A clock that was never set includes everything: recording never waits for a clock.
    package func includes(_ wall: WallEstimate) -> Bool {
        guard wall.source != .none else { return true }
        let minutes = Self.floorDivide(wall.unixMilliseconds, 60_000) + Int64(utcOffsetMinutes)
        let minute = Int(minutes - Self.floorDivide(minutes, Int64(Self.minutesOfDay)) * Int64(Self.minutesOfDay))
        // 1970-01-01 was a Thursday.
        let days = Self.floorDivide(minutes, Int64(Self.minutesOfDay)) + 3
        let day = Int(days - Self.floorDivide(days, 7) * 7)
        return windows.contains { window in
            let isToday = window.days >> day & 1 == 1
            guard window.endMinute <= window.startMinute else { return isToday && minute >= window.startMinute && minute < window.endMinute }
            let wasYesterday = window.days >> ((day + 6) % 7) & 1 == 1
            return isToday && minute >= window.startMinute || wasYesterday && minute < window.endMinute
        }
    }

    /// The day since 1970-01-01, where this schedule is; nil while the clock was never set.
    package func day(of wall: WallEstimate) -> Int64? {
        guard wall.source != .none else { return nil }
        return Self.floorDivide(Self.floorDivide(wall.unixMilliseconds, 60_000) + Int64(utcOffsetMinutes), Int64(Self.minutesOfDay))
    }

    private static func floorDivide(_ value: Int64, _ divisor: Int64) -> Int64 {
        value >= 0 ? value / divisor : -((-value + divisor - 1) / divisor)
    }
}

extension WeeklySchedule.Window {
    /// `DAYS HH:MM-HH:MM`, where DAYS is `daily` or a list of days and ranges of days.
    package init?(_ text: String) {
        let parts = text.split(separator: " ", omittingEmptySubsequences: false)
        guard parts.count == 2, let days = Self.days(parts[0]) else { return nil }
        let times = parts[1].split(separator: "-", omittingEmptySubsequences: false).map { Self.minute($0) }
        guard times.count == 2, let start = times[0], let end = times[1], start < 1_440, start != end else { return nil }
        self.init(days: days, startMinute: start, endMinute: end)
    }

    private static func days(_ text: Substring) -> UInt8? {
        if text == "daily" { return 0b111_1111 }
        var days: UInt8 = 0
        for item in text.split(separator: ",", omittingEmptySubsequences: false) {
            let ends = item.split(separator: "-", omittingEmptySubsequences: false).map { WeeklySchedule.index(ofDay: $0) }
            guard (1...2).contains(ends.count), let first = ends[0], let last = ends[ends.count - 1] else { return nil }
            // fri-mon goes over the week's end.
            for step in 0...((last - first + 7) % 7) { days |= 1 << UInt8((first + step) % 7) }
        }
        return days
    }

    /// 24:00 is the end of a day.
    private static func minute(_ text: Substring) -> Int? {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 2, parts.allSatisfy({ $0.utf8.count == 2 && $0.utf8.allSatisfy { (48...57).contains($0) } }),
            let hour = Int(parts[0]), let minute = Int(parts[1]), minute < 60, hour < 24 || hour == 24 && minute == 0
        else { return nil }
        return hour * 60 + minute
    }
}

extension WeeklySchedule {
    fileprivate static func index(ofDay name: Substring) -> Int? { dayNames.firstIndex { $0 == name } }

    /// `+01:00`, `-03:30` or `Z`; nil for anything else or more than 14 hours, which is the farthest that there is.
    package static func utcOffsetMinutes(_ text: String) -> Int? {
        if text == "Z" { return 0 }
        let digits = Array(text.utf8)
        guard digits.count == 6, digits[0] == UInt8(ascii: "+") || digits[0] == UInt8(ascii: "-"), digits[3] == UInt8(ascii: ":"),
            [1, 2, 4, 5].allSatisfy({ (48...57).contains(digits[$0]) })
        else { return nil }
        let minutes = (Int(digits[1]) * 10 + Int(digits[2]) - 528) * 60 + Int(digits[4]) * 10 + Int(digits[5]) - 528
        guard minutes <= 14 * 60, digits[4] < UInt8(ascii: "6") else { return nil }
        return digits[0] == UInt8(ascii: "-") ? -minutes : minutes
    }
}
