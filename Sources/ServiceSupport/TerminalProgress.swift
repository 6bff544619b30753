import Glibc

/// A progress bar on standard error while that is a terminal; silent otherwise, so that logs stay lines.
/// Redraws only when what it shows has changed.
package struct TerminalProgress: ~Copyable {
    private let title: String
    private let columns: Int?
    private let write: (String) -> Void
    private var shown = ""

    /// - Parameters:
    ///   - title: what is under way, a word or two.
    ///   - columns: width of the terminal, nil when there is none.
    ///   - write: where the bar goes.
    package init(_ title: String, columns: Int? = Self.standardErrorColumns(), write: @escaping (String) -> Void = Self.writeToStandardError) {
        self.title = OutputTable.printable(title)
        self.columns = columns
        self.write = write
    }

    /// - Parameters:
    ///   - total: nil while it is not known: the bar is left out then.
    ///   - detail: shown after the percentage, such as `12.4 MB`.
    package mutating func update(completed: Int64, total: Int64?, detail: String = "") {
        guard let columns else { return }
        let line = Self.line(title: title, completed: completed, total: total, detail: OutputTable.printable(detail), columns: columns)
        guard line != shown else { return }
        shown = line
        write("\r\u{1B}[K" + line)
    }

    /// Leaves the last state on its line and goes to the next.
    package mutating func finish() {
        guard !shown.isEmpty else { return }
        shown = ""
        write("\n")
    }

    package static func line(title: String, completed: Int64, total: Int64?, detail: String, columns: Int) -> String {
        var parts = [title]
        if let total {
            let fraction = total > 0 ? min(1, max(0, Double(completed) / Double(total))) : 1
            let digits = String(Int(fraction * 100))
            let percent = String(repeating: " ", count: 3 - digits.count) + digits + " %"  // one width, or the bar would jump
            let tail = percent.count + (detail.isEmpty ? 0 : detail.count + 1)
            let width = min(40, columns - title.count - tail - 5)
            if width >= 8 {
                let filled = Int(fraction * Double(width))
                parts.append("[" + String(repeating: "#", count: filled) + String(repeating: "-", count: width - filled) + "]")
            }
            parts.append(percent)
        }
        if !detail.isEmpty { parts.append(detail) }
        // One column stays free: a full last column wraps on some terminals, and the bar would climb the screen.
        return String(parts.joined(separator: " ").prefix(max(1, columns - 1)))
    }

    package static func standardErrorColumns() -> Int? {
        guard isatty(STDERR_FILENO) == 1 else { return nil }
        var size = winsize()
        guard ioctl(STDERR_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return 80 }
        return Int(size.ws_col)
    }

    package static func writeToStandardError(_ text: String) { StandardError.write(Array(text.utf8)) }
}
