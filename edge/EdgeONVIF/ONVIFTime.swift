import FoundationEssentials

/// xs:dateTime, as messages of ONVIF write times.
enum ONVIFTime {
    /// `2026-11-21T08:27:59.123Z`.
    static func text(unixMilliseconds: Int64) -> String {
        Date(timeIntervalSince1970: Double(unixMilliseconds) / 1000).formatted(Date.ISO8601FormatStyle(includingFractionalSeconds: true))
    }

    /// Nil unless it is a date and time with a zone, or without one, which devices mean as UTC. The fraction of the second is cut off after milliseconds.
    static func unixMilliseconds(_ text: String) -> Int64? {
        guard text.utf8.count <= 40, let tee = text.firstIndex(of: "T") else { return nil }
        let hasZone = text[tee...].contains { $0 == "Z" || $0 == "+" || $0 == "-" }
        let zoned = hasZone ? text : text + "Z"
        let point = zoned.firstIndex(of: ".")
        let fraction = point.map { zoned[zoned.index(after: $0)...].prefix { $0.isASCII && $0.isNumber } }
        // The fraction is read here: devices write any number of digits.
        let whole = point.map { zoned[..<$0] + zoned[(fraction?.endIndex ?? zoned.endIndex)...] } ?? zoned[...]
        guard let date = try? Date(String(whole), strategy: .iso8601) else { return nil }
        let digits = String(((fraction.map(String.init) ?? "") + "000").prefix(3))
        return Int64(date.timeIntervalSince1970) * 1000 + (Int64(digits) ?? 0)
    }

    /// The `UTCDateTime` of GetSystemDateAndTime.
    static func unixMilliseconds(_ element: XMLElement?) -> Int64? {
        func number(_ group: String, _ name: String) -> String? {
            guard let text = element?.at(group, name)?.text, let value = Int(text), (0...9999).contains(value) else { return nil }
            let digits = String(value)
            return String(repeating: "0", count: max(0, (name == "Year" ? 4 : 2) - digits.count)) + digits
        }
        guard let year = number("Date", "Year"), let month = number("Date", "Month"), let day = number("Date", "Day"),
            let hour = number("Time", "Hour"), let minute = number("Time", "Minute"), let second = number("Time", "Second") else { return nil }
        return unixMilliseconds("\(year)-\(month)-\(day)T\(hour):\(minute):\(second)Z")
    }
}
