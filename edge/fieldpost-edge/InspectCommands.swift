import ArgumentParser
import EdgeJournal
import EdgeSync
import EvidenceLog
import FoundationEssentials
import RecordingModel
import ServiceSupport
import StorageIO

struct StatusCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "status", abstract: "What the node records, holds and has still to send.")

    @OptionGroup var options: EdgeOptions
    @Flag(help: "Print JSON.") var json = false

    private struct Answer: Encodable {
        var node: NodeID
        var log: LogID
        var log_size: UInt64
        var recording: Bool
        var segments_sealed: Int
        var bytes: Int64
        var backlog: Backlog
        var newest_unix_milliseconds: [String: Int64]
        var disk_available_bytes: Int64?
        var hub: String?
        var statement_log_size: UInt64?
        var running: RunningStatus?
    }

    func run() async throws {
        let folder = NodeFolder(try options.read())
        let reader = try folder.reader()
        let status = try reader.status()
        let running = reader.isRecording ? try readRunning(folder) : nil
        let answer = Answer(
            node: status.node, log: status.log, log_size: status.logSize, recording: reader.isRecording, segments_sealed: status.segments, bytes: status.bytes,
            backlog: status.backlog, newest_unix_milliseconds: status.newest.reduce(into: [:]) { $0[$1.key.description] = $1.value.endUnixMilliseconds },
            disk_available_bytes: status.space?.availableBytes, hub: try folder.hub()?.name, statement_log_size: try reader.latestStatement()?.logSize,
            running: running)
        if json { return printLine(try fieldpost_edge.json(answer)) }
        printLine("node \(status.node.keyHash.fingerprint), log \(status.log), \(status.logSize) entries; \(answer.recording ? "recording" : "not recording")")
        printLine("sealed: \(status.segments) segments, \(status.bytes) bytes; free on disk: \(answer.disk_available_bytes.map(String.init) ?? "unknown") bytes")
        if let hub = answer.hub {
            printLine("hub knows this node as '\(hub)'; still to send: \(status.backlog.segments) segments, \(status.backlog.bytes) bytes, \(status.backlog.durationMilliseconds / 1000) s")
        } else {
            printLine("no hub joined; \(status.backlog.segments) segments are only here")
        }
        var table = OutputTable(["camera", "state", OutputTable.Column("packets", .right), OutputTable.Column("drops", .right), "last error"])
        for camera in running?.cameras ?? [] {
            table.add([camera.camera.description, camera.state.rawValue, "\(camera.packets)", "\(camera.drops)", camera.lastError ?? ""])
        }
        if !table.isEmpty { printLine(table.text()) }
        if let sync = running?.sync {
            printLine("link: \(sync.isConnected ? "in contact" : "not in contact")\(sync.lastError.map { ", last error: \($0)" } ?? ""); sent \(sync.segmentsSent) segments since start")
        }
    }

    private func readRunning(_ folder: NodeFolder) throws -> RunningStatus? {
        guard try folder.storage.size(folder.statusFile) != nil else { return nil }
        return try? JSONDecoder().decode(RunningStatus.self, from: Data(folder.storage.read(folder.statusFile)))
    }
}

struct ListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "ls", abstract: "Lists segments and gaps.")

    @OptionGroup var options: EdgeOptions
    @Option(help: "Only this camera.") var camera: String?
    @Option(help: "At most this many rows.") var limit = 1000
    @Flag(help: "Print JSON, one object a line.") var json = false

    private struct Line: Encodable {
        var stream: StreamID
        var kind: String
        var start: String
        var end: String
        var start_unix_milliseconds: Int64
        var duration_milliseconds: Int64
        var sequence: UInt64?
        var run: UInt64?
        var bytes: Int64?
        var on_hub: Bool?
        var reason: String?
    }

    func run() async throws {
        let reader = try NodeFolder(try options.read()).reader()
        let stream = try camera.map { name in
            guard let id = CameraID(name) else { throw CommandError("'\(name)' is no camera; a camera is \(CameraID.expectation)") }
            return StreamID(camera: id, kind: .main)
        }
        let lines = try reader.segments(of: stream, includingGaps: true, limit: limit).map(line)
        if json {
            for line in lines { printLine(try fieldpost_edge.json(line)) }
            return
        }
        var table = OutputTable(["stream", "what", "start", OutputTable.Column("seconds", .right), OutputTable.Column("seq", .right), OutputTable.Column("bytes", .right), "where", "reason"])
        for line in lines {
            table.add([
                line.stream.description, line.kind, line.start, "\(Double(line.duration_milliseconds) / 1000)", line.sequence.map(String.init) ?? "",
                line.bytes.map(String.init) ?? "", line.on_hub.map { $0 ? "hub and node" : "node" } ?? "", line.reason ?? "",
            ])
        }
        printLine(table.text())
    }

    private func line(_ row: JournalRow) -> Line {
        var line = Line(
            stream: row.stream, kind: "gap", start: UTCTimestamp.text(unixMilliseconds: row.startUnixMilliseconds), end: UTCTimestamp.text(unixMilliseconds: row.endUnixMilliseconds),
            start_unix_milliseconds: row.startUnixMilliseconds, duration_milliseconds: row.endUnixMilliseconds - row.startUnixMilliseconds)
        switch row.kind {
        case .segment(let sequence, let run, let bytes, let end, let isHeld):
            line.kind = "segment"
            (line.sequence, line.run, line.bytes, line.on_hub, line.reason) = (sequence, run, bytes, isHeld, end?.rawValue)
        case .gap(let cause): line.reason = cause?.rawValue
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
        let report = try NodeFolder(try options.read()).reader().check(deep: deep)
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
