import FoundationEssentials
import RecordingModel

/// Times, lengths and sizes as text, and times back from text. All times are UTC unless they carry an offset.
enum Words {
    static func time(_ unixMilliseconds: Int64) -> String {
        let date = Date(timeIntervalSince1970: Double(unixMilliseconds) / 1_000)
        return date.formatted(Date.ISO8601FormatStyle(includingFractionalSeconds: unixMilliseconds % 1_000 != 0))
    }

    /// `2026-11-21T08:30:00Z`, with fractions or an offset, or without a zone; nil for anything else.
    static func milliseconds(_ text: String) -> Int64? {
        var text = text.replacing(" ", with: "T")
        // Seconds may be left out.
        if text.utf8.count == 16 { text += ":00" }
        if text.utf8.count == 17, text.hasSuffix("Z") { text = text.dropLast() + ":00Z" }
        if text.utf8.count >= 19, !text.hasSuffix("Z"), !text.dropFirst(11).contains(where: { $0 == "+" || $0 == "-" }) { text += "Z" }
        for style in [Date.ISO8601FormatStyle(), Date.ISO8601FormatStyle(includingFractionalSeconds: true)] {
            if let date = try? Date(text, strategy: style) { return Int64((date.timeIntervalSince1970 * 1_000).rounded()) }
        }
        return nil
    }

    /// The first and last moment of a day written `2026-11-21`.
    static func day(_ text: String) -> Range<Int64>? {
        guard text.utf8.count == 10, let start = milliseconds(text + "T00:00:00Z") else { return nil }
        return start..<(start + 86_400_000)
    }

    static func duration(_ milliseconds: Int64) -> String {
        let seconds = milliseconds / 1_000
        return switch milliseconds {
        case ..<10_000: "\(seconds).\(milliseconds / 100 % 10) s"
        case ..<60_000: "\(seconds) s"
        case ..<3_600_000: "\(seconds / 60) min \(seconds % 60) s"
        default: "\(seconds / 3_600) h \(seconds / 60 % 60) min"
        }
    }

    static func bytes(_ bytes: Int64) -> String {
        guard bytes >= 1_000 else { return "\(bytes) B" }
        var value = Double(bytes) / 1_000
        for unit in ["kB", "MB", "GB"] {
            if value < 999.95 { return "\(Double(Int(value * 10 + 0.5)) / 10) \(unit)" }
            value /= 1_000
        }
        return "\(Double(Int(value * 10 + 0.5)) / 10) TB"
    }

    static func span(_ span: TimelineSpan) -> String {
        let reason = [span.cause?.rawValue, span.detail].compactMap { $0 }.joined(separator: ": ")
        return "\(time(span.startUnixMilliseconds)) to \(time(span.endUnixMilliseconds)) (\(duration(span.durationMilliseconds))): \(span.state.rawValue)\(reason.isEmpty ? "" : ", \(reason)")"
    }
}
