import Dispatch
import EdgeImport
import RecordingModel
import ServiceSupport
import Synchronization

/// What an import tells: a bar on standard error while it runs, lines and a summary on standard output.
final class ImportOutput: Sendable {
    private struct State: Sendable {
        /// Those that need a person's eyes.
        var notable: [FileReport] = []
        var files = 0
        var sources: [ImportRecord.TimeSource: Int] = [:]
        /// Staged, until the journal has had its say.
        var staged: [ContentHash: FileReport] = [:]
    }
    private let state = Mutex(State())
    private let isJSON: Bool
    private let isVerbose: Bool
    private let showsBar: Bool
    private let totalBytes: Int64

    init(isJSON: Bool, isVerbose: Bool, showsBar: Bool, totalBytes: Int64) {
        self.isJSON = isJSON
        self.isVerbose = isVerbose
        self.showsBar = showsBar
        self.totalBytes = totalBytes
    }

    var hasFailures: Bool { state.withLock { $0.notable.contains(where: \.isFailure) } }

    func show(_ report: FileReport) {
        state.withLock { state in
            state.files += 1
            if report.isFailure || report.status == .damaged { state.notable.append(report) }
            if report.status == .imported || report.status == .damaged, let hash = report.sha256 { state.staged[hash] = report }
            if let source = report.timeSource, !report.isFailure { state.sources[source, default: 0] += 1 }
        }
        if isJSON {
            if let line = try? json(Line(report)) { printLine(line) }
        } else if isVerbose {
            let time = report.start.map { "  \(UTCTimestamp.text(unixMilliseconds: $0.unixMilliseconds)) (\(report.timeSource?.rawValue ?? "none"))" } ?? ""
            let detail = (report.reason ?? report.missing).map { ": \($0)" } ?? ""
            printLine(OutputTable.printable("\(report.status.rawValue)  \(report.name)\(time)\(detail)"))
        }
    }

    /// Draws the bar a few times a second while `body` runs.
    func whileShowing<Value>(_ completed: @escaping @Sendable () -> Int64, _ body: () throws -> Value) rethrows -> Value {
        guard showsBar else { return try body() }
        let (stop, stopped) = (DispatchSemaphore(value: 0), DispatchSemaphore(value: 0))
        let total = totalBytes
        DispatchQueue.global().async { [self] in
            var bar = TerminalProgress("importing")
            repeat {
                let bytes = completed()
                bar.update(completed: bytes, total: total, detail: "\(Self.size(bytes)) of \(Self.size(total)), \(state.withLock { $0.files }) files")
            } while stop.wait(timeout: .now() + .milliseconds(250)) == .timedOut
            bar.update(completed: completed(), total: total, detail: "\(state.withLock { $0.files }) files")
            bar.finish()
            stopped.signal()
        }
        defer {
            stop.signal()
            stopped.wait()
        }
        return try body()
    }

    /// - Parameter refused: what the journal did not take; it does not count as imported.
    func finish(_ summary: ImportSummary, refused: [RefusedImport], scan: CardScan, rules: TimeRules) throws {
        let (notable, sources, staged) = state.withLock { ($0.notable, $0.sources, $0.staged) }
        let lost = refused.compactMap { $0.original.flatMap { staged[$0.originalSHA256] } }
        let counts = FileReport.Status.allCases.compactMap { status in
            summary.counts[status].map { count in (status, count - lost.count { $0.status == status }) }
        }.filter { $0.1 > 0 }
        let bytes = summary.bytes - lost.reduce(0) { $0 + $1.bytes }
        let segments = summary.segments - lost.reduce(0) { $0 + $1.segments }
        let durationMilliseconds = summary.durationMilliseconds - lost.reduce(0) { $0 + $1.durationMilliseconds }
        if isJSON {
            for item in refused { printLine(try json(Refusal(file: item.name, sha256: item.original?.originalSHA256, reason: item.reason))) }
            return printLine(
                try json(
                    Totals(
                        counts: Dictionary(uniqueKeysWithValues: counts.map { ($0.rawValue, $1) }), refused: refused.count, bytes: bytes, segments: segments,
                        duration_milliseconds: durationMilliseconds, other_files: scan.others, links: scan.links,
                        time_sources: Dictionary(uniqueKeysWithValues: sources.map { ($0.key.rawValue, $0.value) }), problems: scan.problems)))
        }
        if !isVerbose, !notable.isEmpty {
            var table = OutputTable(["file", "what", "why"])
            for report in notable { table.add([report.name, report.status.rawValue, report.reason ?? report.missing ?? ""]) }
            printLine(table.text())
        }
        for item in refused { printLine(OutputTable.printable("NOT TAKEN OVER: \(item.name): \(item.reason)")) }
        for problem in scan.problems { printLine(OutputTable.printable("not read: \(problem)")) }
        let words = counts.map { "\($1) \($0 == .known ? "already known" : $0 == .damaged ? "imported in part (damaged)" : $0.rawValue)" }.joined(separator: ", ")
        printLine("\(words.isEmpty ? "no footage" : words); \(Self.size(bytes)), \(Self.duration(durationMilliseconds)) in \(segments) segments")
        printLine("\(scan.others) other files and \(scan.links) links were passed over")
        if !sources.isEmpty {
            let texts = sources.sorted { $0.key.rawValue < $1.key.rawValue }.map { "\($0.value) from \($0.key.rawValue)" }
            printLine("times: \(texts.joined(separator: ", "))")
            if rules.clockOffsetMilliseconds == nil, rules.startUnixMilliseconds == nil {
                printLine("nobody compared the camera's clock: times are uncertain by an hour or more, and local time may stand for UTC (--clock-offset corrects it)")
            }
        }
    }

    private static func size(_ bytes: Int64) -> String {
        bytes >= 1_000_000_000 ? "\(Double(bytes / 10_000_000) / 100) GB" : "\(Double(bytes / 10_000) / 100) MB"
    }

    private static func duration(_ milliseconds: Int64) -> String {
        milliseconds >= 3_600_000 ? "\(Double(milliseconds / 36_000) / 100) hours" : "\(Double(milliseconds / 600) / 100) minutes"
    }

    private struct Line: Encodable {
        var file: String
        var status: String
        var bytes: Int64
        var sha256: ContentHash?
        var container: String?
        var container_start: String?
        var start: String?
        var start_unix_milliseconds: Int64?
        var uncertainty_milliseconds: Int64?
        var time_source: String?
        var clock_offset_milliseconds: Int64?
        var duration_milliseconds: Int64
        var segments: Int
        var missing: String?
        var reason: String?

        init(_ report: FileReport) {
            file = report.name
            status = report.status.rawValue
            bytes = report.bytes
            sha256 = report.sha256
            container = report.container
            container_start = report.containerStartUnixMilliseconds.map { UTCTimestamp.text(unixMilliseconds: $0) }
            start = report.start.map { UTCTimestamp.text(unixMilliseconds: $0.unixMilliseconds) }
            start_unix_milliseconds = report.start?.unixMilliseconds
            uncertainty_milliseconds = report.start?.uncertaintyMilliseconds
            time_source = report.timeSource?.rawValue
            clock_offset_milliseconds = report.clockOffsetMilliseconds
            duration_milliseconds = report.durationMilliseconds
            segments = report.segments
            missing = report.missing
            reason = report.reason
        }
    }

    private struct Refusal: Encodable {
        var file: String
        var status = "refused"
        var sha256: ContentHash?
        var reason: String
    }

    private struct Totals: Encodable {
        var counts: [String: Int]
        /// By the journal, of this import or one before it.
        var refused: Int
        var bytes: Int64
        var segments: Int
        var duration_milliseconds: Int64
        var other_files: Int
        var links: Int
        var time_sources: [String: Int]
        var problems: [String]
    }
}
