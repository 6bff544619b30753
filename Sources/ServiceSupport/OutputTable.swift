/// A table of aligned text for a person at a terminal; programs read the `--json` form instead.
package struct OutputTable: Sendable {
    package enum Alignment: Sendable { case left, right }

    package struct Column: Sendable, ExpressibleByStringLiteral {
        package var title: String
        package var alignment: Alignment
        package init(_ title: String, _ alignment: Alignment = .left) {
            self.title = title
            self.alignment = alignment
        }
        package init(stringLiteral value: String) { self.init(value) }
    }

    private let columns: [Column]
    private var rows: [[String]] = []

    package init(_ columns: [Column]) { self.columns = columns }

    package var isEmpty: Bool { rows.isEmpty }

    /// Missing cells are empty, surplus ones are left out. Control characters become `?`, since a cell may hold
    /// text from a camera or a peer and must not steer the terminal.
    package mutating func add(_ cells: [String]) {
        let clean = cells.prefix(columns.count).map(Self.printable)
        rows.append(clean + Array(repeating: "", count: columns.count - clean.count))
    }

    /// Title line and rows, two spaces between columns, no spaces at line ends, a newline after every line.
    package func text() -> String {
        let lines = [columns.map(\.title)] + rows
        let widths = columns.indices.map { column in lines.map { $0[column].count }.max() ?? 0 }
        return lines.map { line in
            var cells = zip(columns.indices, line).map { index, cell in
                let padding = String(repeating: " ", count: widths[index] - cell.count)
                return columns[index].alignment == .left ? cell + padding : padding + cell
            }.joined(separator: "  ")
            while cells.hasSuffix(" ") { cells.removeLast() }
            return cells + "\n"
        }.joined()
    }

    package static func printable(_ text: String) -> String {
        String(String.UnicodeScalarView(text.unicodeScalars.map { LineEscape.isUnprintable($0) ? "?" : $0 }))
    }
}
