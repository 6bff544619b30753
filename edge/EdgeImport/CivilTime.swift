/// Dates and times as cameras and people write them, in milliseconds since 1970-01-01 UTC.
package enum CivilTime {
    /// Before it there were no such cameras, and after it none of today's: a date outside was never set.
    static let plausibleYears: ClosedRange<Int64> = 1990...2099

    struct Fields: Hashable {
        var year: Int64 = 0
        var month: Int64 = 0
        var day: Int64 = 0
        var hour: Int64 = 0
        var minute: Int64 = 0
        var second: Int64 = 0

        /// Nil for a date that no calendar has, and for years that no camera has.
        var unixMilliseconds: Int64? {
            guard plausibleYears.contains(year), (1...12).contains(month), (1...Self.days(in: month, of: year)).contains(day),
                (0...23).contains(hour), (0...59).contains(minute), (0...59).contains(second)
            else { return nil }
            return ((daysSince1970 * 24 + hour) * 60 + minute) * 60_000 + second * 1_000
        }

        /// Howard Hinnant's `days_from_civil`, for years after 0.
        private var daysSince1970: Int64 {
            let shifted = month <= 2 ? year - 1 : year
            let (era, yearOfEra) = shifted.quotientAndRemainder(dividingBy: 400)
            let dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
            return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
        }

        private static func days(in month: Int64, of year: Int64) -> Int64 {
            let isLeap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
            return month == 2 ? (isLeap ? 29 : 28) : [4, 6, 9, 11].contains(month) ? 30 : 31
        }
    }

    /// `2026-01-02T03:04:05`, with a blank for the T, a fraction of a second, and `Z`, `+05:00` or `+0500` behind it.
    /// - Returns: nil for anything else. Without a zone the time counts as UTC.
    package static func unixMilliseconds(_ text: String) -> Int64? {
        let bytes = Array(text.utf8)
        guard bytes.count >= 19, let fields = DigitPattern("YYYY-MM-DD~hh:mm:ss").match(bytes[0..<19]), var result = fields.unixMilliseconds else { return nil }
        var rest = bytes[19...]
        if rest.first == UInt8(ascii: ".") {
            let digits = rest.dropFirst().prefix { isDigit($0) }
            guard !digits.isEmpty else { return nil }
            result += Int64((Double("0." + String(decoding: digits.prefix(6), as: UTF8.self)) ?? 0) * 1_000)
            rest = rest[digits.endIndex...]
        }
        guard !rest.isEmpty else { return result }
        guard let offset = zoneMilliseconds(String(decoding: rest, as: UTF8.self)) else { return nil }
        return result - offset
    }

    /// `Z`, `+05:00`, `-0330` or `+5`: how far local time is ahead of UTC.
    package static func zoneMilliseconds(_ text: String) -> Int64? {
        if text == "Z" || text == "z" { return 0 }
        guard let sign = text.first, sign == "+" || sign == "-" else { return nil }
        let digits = text.dropFirst().replacing(":", with: "")
        guard (1...4).contains(digits.utf8.count), digits.utf8.allSatisfy(isDigit), let value = Int64(digits) else { return nil }
        let (hours, minutes) = digits.utf8.count <= 2 ? (value, 0) : (value / 100, value % 100)
        guard hours <= 14, minutes <= 59 else { return nil }
        return (sign == "-" ? -1 : 1) * (hours * 60 + minutes) * 60_000
    }

    /// `+01:02:03`, `-02:30` (hours and minutes), `90` or `-1.5` (seconds), up to a hundred years.
    package static func durationMilliseconds(_ text: String) -> Int64? {
        let isNegative = text.hasPrefix("-")
        let body = isNegative || text.hasPrefix("+") ? text.dropFirst() : text[...]
        let parts = body.split(separator: ":", omittingEmptySubsequences: false)
        guard (1...3).contains(parts.count), body.utf8.allSatisfy({ isDigit($0) || $0 == UInt8(ascii: ":") || $0 == UInt8(ascii: ".") }),
            let last = Double(parts[parts.count - 1]), last < 4e9
        else { return nil }
        var seconds = last
        if parts.count > 1 {
            let whole = parts.dropLast().compactMap { Int64($0) }
            guard whole.count == parts.count - 1, whole[0] < 1_000_000, whole.dropFirst().allSatisfy({ $0 < 60 }), last < 60 else { return nil }
            seconds = parts.count == 3 ? Double(whole[0] * 3_600 + whole[1] * 60) + last : Double(whole[0] * 3_600) + last * 60
        }
        guard seconds < 4e9 else { return nil }
        return Int64((isNegative ? -seconds : seconds) * 1_000)
    }
}

func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }

/// A form of date: `Y M D h m s` stand for digits of that field, `~` for any one of the separators that names have,
/// everything else for itself.
struct DigitPattern: Sendable {
    let bytes: [UInt8]
    init(_ text: String) { bytes = Array(text.utf8) }

    /// The first place where it fits and the digits are no part of a longer number.
    func search(_ text: [UInt8]) -> CivilTime.Fields? {
        guard text.count >= bytes.count else { return nil }
        for start in 0...(text.count - bytes.count) {
            let end = start + bytes.count
            if start > 0, isDigit(text[start - 1]) { continue }
            if end < text.count, isDigit(text[end]) { continue }
            if let fields = match(text[start..<end]) { return fields }
        }
        return nil
    }

    func match(_ text: ArraySlice<UInt8>) -> CivilTime.Fields? {
        var fields = CivilTime.Fields()
        var yearDigits = 0
        for (pattern, byte) in zip(bytes, text) {
            let field: WritableKeyPath<CivilTime.Fields, Int64>
            switch pattern {
            case UInt8(ascii: "~"):
                guard "-_. T".utf8.contains(byte) else { return nil }
                continue
            case UInt8(ascii: "Y"):
                field = \.year
                yearDigits += 1
            case UInt8(ascii: "M"): field = \.month
            case UInt8(ascii: "D"): field = \.day
            case UInt8(ascii: "h"): field = \.hour
            case UInt8(ascii: "m"): field = \.minute
            case UInt8(ascii: "s"): field = \.second
            default:
                guard pattern == byte else { return nil }
                continue
            }
            guard isDigit(byte) else { return nil }
            fields[keyPath: field] = fields[keyPath: field] * 10 + Int64(byte - UInt8(ascii: "0"))
        }
        if yearDigits == 2 { fields.year += 2_000 }
        return fields
    }
}
