import FoundationEssentials

/// Times as people write them.
package enum TimeText {
    /// `2026-11-21T08:30:00Z`, with fractions or an offset, without seconds or without a zone (then UTC); nil for
    /// anything else.
    package static func unixMilliseconds(_ text: String) -> Int64? {
        var text = text.replacing(" ", with: "T")
        if text.utf8.count == 16 { text += ":00" }
        if text.utf8.count == 17, text.hasSuffix("Z") { text = text.dropLast() + ":00Z" }
        if text.utf8.count >= 19, !text.hasSuffix("Z"), !text.dropFirst(11).contains(where: { $0 == "+" || $0 == "-" }) { text += "Z" }
        for style in [Date.ISO8601FormatStyle(), Date.ISO8601FormatStyle(includingFractionalSeconds: true)] {
            if let date = try? Date(text, strategy: style) { return Int64((date.timeIntervalSince1970 * 1_000).rounded()) }
        }
        return nil
    }
}
