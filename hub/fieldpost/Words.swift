import FoundationEssentials
import RecordingModel

/// Times, lengths and sizes as text, and times back from text. All times are UTC unless they carry an offset.
enum Words {
    static func time(_ unixMilliseconds: Int64) -> String {
        let date = Date(timeIntervalSince1970: Double(unixMilliseconds) / 1_000)
        return date.formatted(Date.ISO8601FormatStyle(includingFractionalSeconds: unixMilliseconds % 1_000 != 0))
    }

    /// The first and last moment of a day written `2026-11-21`.
    static func day(_ text: String) -> Range<Int64>? {
        guard text.utf8.count == 10, let start = TimeText.unixMilliseconds(text + "T00:00:00Z") else { return nil }
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

    /// `only-on-node, proxy on-hub`
    static func state(_ span: TimelineSpan) -> String {
        span.state.rawValue + (span.standIn.map { ", \($0.rawValue) \(SpanState.onHub.rawValue)" } ?? "")
    }

    static func span(_ span: TimelineSpan) -> String {
        let reason = [span.cause?.rawValue, span.detail].compactMap { $0 }.joined(separator: ": ")
        return "\(time(span.startUnixMilliseconds)) to \(time(span.endUnixMilliseconds)) (\(duration(span.durationMilliseconds))): \(state(span))\(reason.isEmpty ? "" : ", \(reason)")"
    }
}
