import FoundationEssentials
import Glibc
import RecordingModel
import SystemPackage

/// What goes to a person's terminal. Answers go to standard output, everything else to standard error.
enum Terminal {
    static var hasErrorTerminal: Bool { isatty(STDERR_FILENO) == 1 }
    static var hasInputTerminal: Bool { isatty(STDIN_FILENO) == 1 }

    static func note(_ text: String) { write(text + "\n") }

    static func write(_ text: String) {
        // Nobody can be told that the terminal is gone.
        _ = try? FileDescriptor.standardError.writeAll(Array(text.utf8))
    }

    /// Asks on the terminal; nil when there is none, or at the end of input.
    static func ask(_ prompt: String, hidden: Bool = false) -> String? {
        guard hasInputTerminal else { return nil }
        write(prompt)
        var saved = termios()
        if hidden {
            tcgetattr(STDIN_FILENO, &saved)
            var silent = saved
            silent.c_lflag &= ~tcflag_t(ECHO)
            tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent)
        }
        defer {
            if hidden {
                tcsetattr(STDIN_FILENO, TCSAFLUSH, &saved)
                write("\n")
            }
        }
        return readLine(strippingNewline: true)
    }

    static func json(_ value: some Encodable) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes, .prettyPrinted]
        print(String(decoding: try encoder.encode(value), as: UTF8.self))
    }

    static func table(_ rows: [[String]]) {
        for line in aligned(rows) { print(line) }
    }

    /// Names and labels come from others: none may steer the terminal.
    static func printable(_ text: String) -> String {
        String(String.UnicodeScalarView(text.unicodeScalars.map { $0.properties.generalCategory == .control || $0.properties.generalCategory == .format ? "?" : $0 }))
    }

    /// Columns as wide as their widest cell.
    static func aligned(_ rows: [[String]]) -> [String] {
        let widths = (rows.first ?? []).indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
        return rows.map { row in
            let cells = row.enumerated().map { column, cell in
                column == row.count - 1 ? cell : cell + String(repeating: " ", count: widths[column] - cell.count)
            }
            return cells.joined(separator: "  ")
        }
    }
}

/// A bar on standard error, drawn again at most ten times a second, and only on a terminal.
struct Progress {
    private let total: Int64
    private let isShown = Terminal.hasErrorTerminal
    private var done: Int64 = 0
    private var drawn = ContinuousClock.now - .seconds(1)

    init(totalBytes: Int64) { total = max(1, totalBytes) }

    mutating func advance(_ bytes: Int, label: String) {
        done += Int64(bytes)
        guard isShown, ContinuousClock.now - drawn > .milliseconds(100) else { return }
        drawn = .now
        let share = min(1, Double(done) / Double(total))
        let filled = Int(share * 30)
        let bar = String(repeating: "#", count: filled) + String(repeating: ".", count: 30 - filled)
        Terminal.write("\r[\(bar)] \(Int(share * 100)) %  \(AmountText.bytes(done)) of \(AmountText.bytes(total))  \(label)\u{1B}[K")
    }

    func finish() {
        if isShown { Terminal.write("\r\u{1B}[K") }
    }
}
