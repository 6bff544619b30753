import ArgumentParser
import EdgeJournal
import EdgeSync
import EvidenceLog
import FoundationEssentials
import RecordingModel
import ServiceSupport
import StorageIO

struct ListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ls", abstract: "Lists segments and gaps, and with --all events, imports and changes of the power state too.",
        discussion: "In order of time, the newest ones where there are more than --limit. A * marks a time that a later clock fix put right.")

    @OptionGroup var options: EdgeOptions
    @Option(help: "Only this camera.") var camera: String?
    @Option(help: "From this time, such as 2026-11-21T08:00:00Z.") var from: String?
    @Option(help: "Until this time.") var to: String?
    @Option(help: "At most this many rows, 1 to 1000000.") var limit = 1000
    @Flag(help: "Events, imports and, without --camera, changes of the power state too.") var all = false
    @Flag(help: "Print JSON, one object a line.") var json = false

    func validate() throws {
        guard (1...1_000_000).contains(limit) else { throw ValidationError("--limit is 1 to 1000000") }
    }

    private struct Line: Encodable {
        /// Absent where it is about the whole node.
        var stream: StreamID?
        var kind: String
        var start: String
        var end: String
        /// Where the node first thought that it was, if a later clock fix moved it.
        var recorded_start: String?
        var time_corrected: Bool
        var clock_source: ClockSource
        var uncertainty_milliseconds: Int64
        var start_unix_milliseconds: Int64
        var duration_milliseconds: Int64
        var sequence: UInt64?
        var run: UInt64?
        var bytes: Int64?
        var on_hub: Bool?
        /// What became of the file: given up under the hub's statement, or before it. Absent while the node has it.
        var removed: JournalRow.Removal?
        var reason: String?

        var place: String {
            switch (removed, on_hub) {
            case (.evicted, _): "given up"
            case (.released, _): "hub, given up here"
            case (nil, true?): "hub and node"
            case (nil, false?): "node"
            case (nil, nil): ""
            }
        }
    }

    func run() async throws {
        let reader = try NodeFolder(options.read()).reader()
        let stream = try camera.map { try RangeOptions.stream(of: $0) }
        let window = (from: try from.map(RangeOptions.milliseconds), to: try to.map(RangeOptions.milliseconds))
        let (rows, isSpansCut) = try reader.newest(
            of: stream, fromUnixMilliseconds: window.from, toUnixMilliseconds: window.to,
            including: all ? [.gaps, .events, .imports] : [.gaps], limit: limit)
        var (changes, isChangesCut): ([JournalPowerRow], Bool) = ([], false)
        if all, stream == nil { (changes, isChangesCut) = try reader.powerChanges(fromUnixMilliseconds: window.from, toUnixMilliseconds: window.to, limit: limit) }
        var merged: [Line] = rows.map { line($0) }
        merged += changes.map { line($0) }
        merged.sort { $0.start_unix_milliseconds < $1.start_unix_milliseconds }
        let lines = Array(merged.suffix(limit))
        let isCut = isSpansCut || isChangesCut || merged.count > limit
        let cutSentence = "only the newest \(limit) rows are shown; older ones with --to \(lines.first?.start ?? "TIME"), more with --limit"
        if json {
            for line in lines { printLine(try fieldpost_edge.json(line)) }
            if isCut { TerminalProgress.writeToStandardError(cutSentence + "\n") }
            return
        }
        var table = OutputTable(["stream", "what", "start", OutputTable.Column("seconds", .right), OutputTable.Column("seq", .right), OutputTable.Column("bytes", .right), "where", "reason"])
        for line in lines {
            table.add([
                line.stream?.description ?? "", line.kind, line.start + (line.time_corrected ? " *" : ""), "\(Double(line.duration_milliseconds) / 1000)", line.sequence.map(String.init) ?? "",
                line.bytes.map(String.init) ?? "", line.place, line.reason ?? "",
            ])
        }
        printLine(table.text())
        if lines.contains(where: \.time_corrected) { printLine("* corrected by a later clock fix; --json has the time as it was recorded") }
        if isCut { printLine(cutSentence) }
    }

    private func line(_ row: JournalPowerRow) -> Line {
        let start = UTCTimestamp.text(unixMilliseconds: row.unixMilliseconds)
        return Line(
            stream: nil, kind: "power", start: start, end: start, recorded_start: row.isTimeCorrected ? UTCTimestamp.text(unixMilliseconds: row.recordedUnixMilliseconds) : nil,
            time_corrected: row.isTimeCorrected, clock_source: row.source, uncertainty_milliseconds: row.uncertaintyMilliseconds,
            start_unix_milliseconds: row.unixMilliseconds, duration_milliseconds: 0, reason: "\(row.state?.name ?? "state of a later version"): \(row.reason)")
    }

    private func line(_ row: JournalRow) -> Line {
        var line = Line(
            stream: row.stream, kind: "gap", start: UTCTimestamp.text(unixMilliseconds: row.startUnixMilliseconds), end: UTCTimestamp.text(unixMilliseconds: row.endUnixMilliseconds),
            recorded_start: row.isTimeCorrected ? UTCTimestamp.text(unixMilliseconds: row.recordedStartUnixMilliseconds) : nil,
            time_corrected: row.isTimeCorrected, clock_source: row.source, uncertainty_milliseconds: row.uncertaintyMilliseconds,
            start_unix_milliseconds: row.startUnixMilliseconds, duration_milliseconds: row.endUnixMilliseconds - row.startUnixMilliseconds, removed: row.removal)
        switch row.kind {
        case .segment(let sequence, let run, let bytes, let end, let isHeld):
            line.kind = "segment"
            (line.sequence, line.run, line.bytes, line.on_hub, line.reason) = (sequence, run, bytes, isHeld, end?.rawValue)
        case .gap(let cause): line.reason = cause?.rawValue
        case .event(let source, let label): (line.kind, line.reason) = ("event", "\(source?.rawValue ?? "event") \(label)")
        case .imported(let name, let bytes): (line.kind, line.bytes, line.reason) = ("import", bytes, name)
        }
        return line
    }
}

struct CheckCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check", abstract: "Compares log, files and index.", discussion: "Exits with 1 and a list when anything disagrees.")

    @OptionGroup var options: EdgeOptions
    @Flag(help: "Read and hash every segment again.") var deep = false
    @Flag(help: "Print JSON.") var json = false

    private struct Answer: Encodable {
        var ok: Bool
        var entries: UInt64
        var entries_under_checkpoint: UInt64
        var segments: Int
        var bytes: Int64
        var findings: [String]
    }

    func run() async throws {
        let report = try NodeFolder(options.read()).reader().check(deep: deep)
        let answer = Answer(
            ok: report.isClean, entries: report.verdict.entries, entries_under_checkpoint: report.verdict.covered, segments: report.segments, bytes: report.bytes,
            findings: report.findings.map(\.description))
        if json {
            printLine(try fieldpost_edge.json(answer))
        } else {
            printLine("\(answer.entries) log entries, \(answer.segments) segments, \(answer.bytes) bytes\(deep ? ", all hashed again" : "")")
            printLine(answer.ok ? "log, files and index agree" : "they DISAGREE:")
            for finding in answer.findings { printLine("  \(finding)") }
        }
        if !report.isClean { throw ExitCode(1) }
    }
}
