/// One thing wrong with a configuration file, with its place. Its text never repeats a value that could be a secret.
package struct ConfigurationProblem: Hashable, Sendable, CustomStringConvertible {
    /// Such as `cameras[1].segment_seconds`; empty for the file as a whole.
    package var path: String
    /// Counted from 1; 0 when the file as a whole is meant.
    package var line: Int
    package var column: Int
    /// What is wrong, and what would be accepted.
    package var text: String

    package init(path: String, line: Int, column: Int, text: String) {
        self.path = path
        self.line = line
        self.column = column
        self.text = text
    }

    package var description: String {
        let place = line > 0 ? "line \(line), column \(column)" : ""
        if path.isEmpty { return place.isEmpty ? text : "\(place): \(text)" }
        return place.isEmpty ? "\(path): \(text)" : "\(path) (\(place)): \(text)"
    }
}

/// Everything wrong with a configuration file, in the order of its lines.
package struct ConfigurationError: Error, Hashable, Sendable, CustomStringConvertible {
    package static let problemsMax = 20
    /// The file, as the person called it.
    package var file: String
    package var problems: [ConfigurationProblem]
    /// Problems beyond the first `problemsMax`.
    package var omitted: Int

    package init(file: String, problems: [ConfigurationProblem]) {
        self.file = file
        let ordered = problems.sorted { ($0.line, $0.column, $0.path) < ($1.line, $1.column, $1.path) }
        self.problems = Array(ordered.prefix(Self.problemsMax))
        omitted = max(0, problems.count - Self.problemsMax)
    }

    /// The file, then one line a problem.
    package var description: String {
        let lines = problems.map { "  \($0)" } + (omitted > 0 ? ["  and \(omitted) more"] : [])
        return (["\(file) is refused:"] + lines).joined(separator: "\n")
    }
}
