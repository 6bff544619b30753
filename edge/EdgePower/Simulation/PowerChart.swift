import RecordingModel

/// A year as a picture, a column for each day: battery, harvest, and the hours in each state. SVG, without scripts or fonts.
package enum PowerChart {
    private static let rowHeight = 90.0
    private static let left = 46.0
    private static let colours = ["#1b7837", "#5aae61", "#a6dba0", "#fdb863", "#b2abd2", "#404040"]
    private static let names = ["surplus", "full", "reduced", "sparse", "hibernate", "halt"]

    package static func svg(_ outcomes: [PowerOutcome], title: String) -> String {
        let days = outcomes.map(\.days.count).max() ?? 0
        let column = max(1.0, min(12.0, (900.0 / Double(max(1, days))).rounded(.down)))
        let width = left + column * Double(days) + 20
        let blockHeight = 3 * (rowHeight + 14) + 34
        let height = 50 + blockHeight * Double(outcomes.count) + 20
        var lines = [
            #"<svg xmlns="http://www.w3.org/2000/svg" width="\#(text(width))" height="\#(text(height))" viewBox="0 0 \#(text(width)) \#(text(height))" font-family="sans-serif" font-size="11">"#,
            #"<rect width="100%" height="100%" fill="white"/><text x="\#(text(left))" y="18" font-size="14">\#(escaped(title))</text>"#,
        ]
        for (index, name) in names.enumerated() {
            let x = left + Double(index) * 90
            lines.append(#"<rect x="\#(text(x))" y="28" width="10" height="10" fill="\#(colours[index])"/><text x="\#(text(x + 14))" y="37">\#(name)</text>"#)
        }
        for (index, outcome) in outcomes.enumerated() { block(outcome, top: 50 + blockHeight * Double(index), column: column, into: &lines) }
        lines.append("</svg>")
        return lines.joined(separator: "\n") + "\n"
    }

    private static func block(_ outcome: PowerOutcome, top: Double, column: Double, into lines: inout [String]) {
        let harvestMost = max(1, outcome.days.map { $0.harvestWattHours + $0.spilledWattHours }.max() ?? 1)
        lines.append(
            #"<text x="\#(text(left))" y="\#(text(top + 16))" font-weight="bold">\#(outcome.policy.rawValue): \#(text(outcome.valueShare * 100)) % of the value, \#(outcome.uncleanCuts) unclean cuts, longest gap \#(text(outcome.longestGapSeconds / 3_600)) h</text>"#)
        let tops = (0..<3).map { top + 24 + Double($0) * (rowHeight + 14) }
        for (y, label) in zip(tops, ["battery %", "Wh a day", "hours"]) {
            lines.append(#"<rect x="\#(text(left))" y="\#(text(y))" width="\#(text(column * Double(outcome.days.count)))" height="\#(text(rowHeight))" fill="whitesmoke"/>"#)
            lines.append(#"<text x="\#(text(left - 4))" y="\#(text(y + 10))" text-anchor="end" font-size="9">\#(label)</text>"#)
        }
        var paths = ["battery": "", "harvest": "", "spilled": ""]
        var states = Array(repeating: "", count: names.count)
        for (index, day) in outcome.days.enumerated() {
            let x = left + column * Double(index)
            func bar(_ y: Double, _ height: Double) -> String {
                height < 0.05 ? "" : "M\(text(x)) \(text(y))h\(text(column))v\(text(height))h-\(text(column))z"
            }
            let most = max(day.percentMost, day.percentLeast)
            paths["battery"]? += bar(tops[0] + rowHeight * (1 - most / 100), max(0.6, rowHeight * (most - day.percentLeast) / 100))
            let used = rowHeight * day.harvestWattHours / harvestMost
            let spilled = rowHeight * day.spilledWattHours / harvestMost
            paths["harvest"]? += bar(tops[1] + rowHeight - used, used)
            paths["spilled"]? += bar(tops[1] + rowHeight - used - spilled, spilled)
            var y = tops[2] + rowHeight
            for (state, hours) in day.hours.enumerated() {
                let height = rowHeight * min(24, hours) / 24
                y -= height
                states[state] += bar(y, height)
            }
        }
        for (name, colour) in [("battery", "#2166ac"), ("harvest", "#e08214"), ("spilled", "#fee0b6")] {
            lines.append(#"<path fill="\#(colour)" d="\#(paths[name] ?? "")"/>"#)
        }
        for (state, path) in states.enumerated() where !path.isEmpty { lines.append(#"<path fill="\#(colours[state])" d="\#(path)"/>"#) }
    }

    /// One decimal, without Foundation's formatting.
    static func text(_ value: Double) -> String {
        let tenths = Int((value * 10).rounded())
        return tenths % 10 == 0 ? "\(tenths / 10)" : "\(tenths < 0 ? "-" : "")\(abs(tenths) / 10).\(abs(tenths) % 10)"
    }

    private static func escaped(_ text: String) -> String {
        text.reduce(into: "") { result, character in
            switch character {
            case "&": result += "&amp;"
            case "<": result += "&lt;"
            case ">": result += "&gt;"
            default: result.append(character)
            }
        }
    }
}
