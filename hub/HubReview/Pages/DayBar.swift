import RecordingModel

/// The 24-hour bar: an SVG without scripts or style attributes. States differ by pattern, never by colour alone;
/// the patterns' colours come from the page's style sheet.
enum DayBar {
    private static let width = 1_440.0
    private static let height = 48.0
    private static let standInHeight = 18.0
    /// Narrower spans would vanish on a phone, and a short outage is what one looks for.
    private static let widthMin = 2.5

    static func svg(_ spans: [TimelineSpan], events: [TimelineEvent] = [], from: Int64, to: Int64, label: String, hasHours: Bool = true) -> String {
        let scale = width / Double(max(1, to - from))
        var parts = [
            "<svg class=\"bar\" viewBox=\"0 0 \(decimal(width)) \(decimal(height))\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"\(escaped(label))\">",
            hasHours ? patterns : "",
        ]
        // Wide spans first, so that short ones with their least width lie on top.
        for span in spans.sorted(by: { $0.durationMilliseconds > $1.durationMilliseconds }) {
            let least = span.state == .unknown ? 0 : widthMin
            let spanWidth = max(Double(span.durationMilliseconds) * scale, least)
            let x = min(Double(span.startUnixMilliseconds - from) * scale, width - spanWidth)
            let title = "\(WallText.time(span.startUnixMilliseconds)) to \(WallText.time(span.endUnixMilliseconds)) UTC: \(StateWords.sentence(span))"
            func add(_ css: String, height: Double) {
                parts.append(
                    "<rect class=\"s-\(css)\" x=\"\(decimal(max(0, x)))\" y=\"1\" width=\"\(decimal(spanWidth))\" height=\"\(decimal(height))\"><title>\(escaped(title))</title></rect>")
            }
            add(span.state.rawValue, height: height - 2)
            // At the top, so that the state below is still seen.
            if let standIn = span.standIn { add(standIn.rawValue, height: standInHeight) }
        }
        for hour in hasHours ? Array(1..<24) : [] {
            let x = decimal(Double(hour) * width / 24)
            parts.append("<line class=\"tick\(hour % 6 == 0 ? " six" : "")\" x1=\"\(x)\" y1=\"\(hour % 6 == 0 ? "0" : "36")\" x2=\"\(x)\" y2=\"48\"/>")
        }
        // Above everything, at the foot of the bar, so that the state behind it is still seen.
        for event in events where event.startUnixMilliseconds < to && event.endUnixMilliseconds >= from {
            let eventWidth = max(Double(event.endUnixMilliseconds - max(event.startUnixMilliseconds, from)) * scale, widthMin)
            let x = min(max(0, Double(event.startUnixMilliseconds - from) * scale), width - widthMin)
            let title = "\(WallText.time(event.startUnixMilliseconds)) UTC: \(StateWords.event(event))"
            parts.append(
                "<rect class=\"event\" x=\"\(decimal(x))\" y=\"\(decimal(height - 14))\" width=\"\(decimal(min(eventWidth, width - x)))\" height=\"14\"><title>\(escaped(title))</title></rect>")
        }
        parts.append("</svg>")
        return parts.joined(separator: "\n")
    }

    private static let patterns = """
        <defs>
        <pattern id="p-only-on-node" width="14" height="14" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><rect class="ground" width="14" height="14"/><rect class="mark" width="6" height="14"/></pattern>
        <pattern id="p-requested" width="12" height="12" patternUnits="userSpaceOnUse"><rect class="ground" width="12" height="12"/><circle class="mark" cx="6" cy="6" r="3"/></pattern>
        <pattern id="p-transferring" width="12" height="12" patternUnits="userSpaceOnUse"><rect class="ground" width="12" height="12"/><rect class="mark" width="12" height="5"/></pattern>
        <pattern id="p-lost" width="16" height="16" patternUnits="userSpaceOnUse"><rect class="ground" width="16" height="16"/><path class="stroke" d="M3 3 L13 13 M13 3 L3 13"/></pattern>
        <pattern id="p-not-recorded" width="16" height="12" patternUnits="userSpaceOnUse"><rect class="ground" width="16" height="12"/><rect class="mark" y="5" width="9" height="2"/></pattern>
        <pattern id="p-proxy" width="8" height="8" patternUnits="userSpaceOnUse"><rect class="ground" width="8" height="8"/><rect class="mark" width="4" height="8"/></pattern>
        <pattern id="p-thumbnails" width="14" height="9" patternUnits="userSpaceOnUse"><rect class="ground" width="14" height="9"/><rect class="mark" x="2" y="2" width="8" height="5"/></pattern>
        </defs>
        """

    private static func decimal(_ value: Double) -> String {
        let hundredths = Int((value * 100).rounded())
        let whole = hundredths / 100
        let rest = hundredths % 100
        return rest == 0 ? String(whole) : "\(whole).\(rest < 10 ? "0" : "")\(rest)"
    }

    static func escaped(_ text: String) -> String {
        text.replacing("&", with: "&amp;").replacing("<", with: "&lt;").replacing(">", with: "&gt;").replacing("\"", with: "&quot;")
    }
}
