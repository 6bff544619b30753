import Yams

/// Yams stops at a mapping with a key given twice and tells neither the key's path nor the second place. So the
/// first of the two is renamed in the text, to a name nobody can mean, and the text parsed again; the reader turns
/// the name back and reports the second one in its place.
final class DuplicateKeys {
    /// A private-use character: what it begins is a key of ours. One for one, so that columns stay true.
    private static let filler: Character = "\u{F0000}"
    private var originals: [String: String] = [:]

    /// The text with the key at `mark` renamed; nil when it is not written plainly there, or there are too many.
    func rename(_ names: [String], at mark: Mark, in text: String) -> String? {
        guard originals.count < ConfigurationError.problemsMax, mark.line > 0 else { return nil }
        var lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        guard mark.line <= lines.count else { return nil }
        let line = Array(lines[mark.line - 1].unicodeScalars)
        var start = mark.column - 1
        guard line.indices.contains(start) else { return nil }
        if line[start] == "\"" || line[start] == "'" { start += 1 }
        guard let name = names.filter({ !$0.isEmpty && line[start...].starts(with: $0.unicodeScalars) }).max(by: { $0.count < $1.count }) else { return nil }
        // Unique by its number of fillers at the front and its tail; a name too short for that gets longer.
        let tail = String(originals.count)
        let length = max(name.unicodeScalars.count, tail.count + 1)
        let replacement = String(repeating: Self.filler, count: length - tail.count) + tail
        originals[replacement] = name
        let rest = line[(start + name.unicodeScalars.count)...]
        lines[mark.line - 1] = String(String.UnicodeScalarView(line[..<start])) + replacement + String(String.UnicodeScalarView(rest))
        return lines.joined(separator: "\n")
    }

    func original(of key: String) -> String { originals[key] ?? key }
}
