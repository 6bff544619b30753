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
        var backlog_by_class: [SyncReport.ClassBacklog]
        /// The newest that a recorder has made, running or past, with what waits now, and what it comes to.
        var sync_report: SyncReport?
        var sync_estimate: SyncEstimate?
        var seconds_until_overwrite: Int64?
        var newest_unix_milliseconds: [String: Int64]
        var disk_available_bytes: Int64?
        /// Why nothing is recorded, or what is wrong with the disk; absent while all is well.
        var problem: String?
        var hub: String?
        var statement_log_size: UInt64?
        /// What the recorder says of the node's energy; of one that has ended, as of `past`.
        var power: PowerReport?
        /// What the recorder that runs now says.
        var running: RunningStatus?
        /// What one that has ended left behind: no figure of it is true of the cameras now.
        var past: Past?
    }

    private struct Past: Encodable {
        var as_of_unix_milliseconds: Int64
        var is_of_this_boot: Bool
        var problem: String?
    }

    func run() async throws {
        let folder = try NodeFolder(try options.read())
        let bootID = try SystemClocks().bootID
        // A recorder whose disk is gone says so where the disk is not.
        let left = StatusFile(folder).newest(bootID: bootID)
        let live = left.flatMap { $0.isOfRunningProcess(bootID: bootID) ? $0 : nil }
        let past = live == nil ? left : nil
        let pastWords = past.map { "the recorder's figures are as of \(UTCTimestamp.text(unixMilliseconds: $0.writtenUnixMilliseconds))\($0.bootID == bootID ? "" : ", an earlier boot")" }
        let pastProblem = past?.problem.map { "; it said: \($0)" } ?? ""
        guard folder.isPrepared else {
            let sentence = "\(folder.root) is not a data directory: mount its disk, or prepare a new one with: fieldpost-edge init --prepare --config \(options.file)"
            throw CommandError(live?.problem ?? sentence + (pastWords.map { " (\($0)\(pastProblem))" } ?? ""))
        }
        let reader = try folder.reader()
        let status = try reader.status()
        let isRecording = reader.isRecording
        // Between two attempts a recorder has no cameras, and says why.
        let running = isRecording ? live : nil
        let classes = try reader.backlogByClass(now: SystemClocks().now().wall).classes
        var report = (running ?? past)?.report
        report?.backlog = classes.filter { $0.segments > 0 }
        let answer = Answer(
            node: status.node, log: status.log, log_size: status.logSize, recording: isRecording, segments_sealed: status.segments, bytes: status.bytes,
            backlog: status.backlog, backlog_by_class: classes, sync_report: report, sync_estimate: report?.estimate(), seconds_until_overwrite: report?.secondsUntilOverwrite(),
            newest_unix_milliseconds: status.newest.reduce(into: [:]) { $0[$1.key.description] = $1.value.endUnixMilliseconds },
            disk_available_bytes: status.space?.availableBytes, problem: live?.problem, hub: try folder.hub()?.name, statement_log_size: try reader.latestStatement()?.logSize,
            power: (running ?? past)?.power, running: running,
            past: past.map { .init(as_of_unix_milliseconds: $0.writtenUnixMilliseconds, is_of_this_boot: $0.bootID == bootID, problem: $0.problem) })
        if json { return printLine(try fieldpost_edge.json(answer)) }
        printLine("node \(status.node.keyHash.fingerprint), log \(status.log), \(status.logSize) entries; \(answer.recording ? "recording" : "not recording")")
        printLine("sealed: \(status.segments) segments, \(status.bytes) bytes; free on disk: \(answer.disk_available_bytes.map(String.init) ?? "unknown") bytes")
        if let problem = answer.problem { printLine("PROBLEM: \(problem)") }
        if let hub = answer.hub {
            printLine("hub knows this node as '\(hub)'; still to send: \(status.backlog.segments) segments, \(status.backlog.bytes) bytes, \(status.backlog.durationMilliseconds / 1000) s")
        } else {
            printLine("no hub joined; \(status.backlog.segments) segments are only here")
        }
        if status.backlog.segments > 0 { printLine(Self.table(classes)) }
        if let report, answer.hub != nil { printLine(Self.text(report, isRunning: running != nil)) }
        if let pastWords { printLine(OutputTable.printable(pastWords + pastProblem)) }
        if let power = answer.power {
            for line in power.lines({ UTCTimestamp.text(unixMilliseconds: $0) }) { printLine(OutputTable.printable("\(line.name): \(line.text)")) }
        }
        for (name, verdict) in (running?.encoders ?? [:]).sorted(by: { $0.key < $1.key }) { printLine(OutputTable.printable("encoder \(name): \(verdict)")) }
        if let rate = running?.proxyRate { printLine(OutputTable.printable("proxies: \(rate)")) }
        if let running { printLine(Self.text(running)) }
    }

    private static func table(_ classes: [SyncReport.ClassBacklog]) -> String {
        var table = OutputTable(["waits", OutputTable.Column("segments", .right), OutputTable.Column("size", .right), OutputTable.Column("length", .right), "oldest"])
        for item in classes where item.segments > 0 {
            table.add([
                item.footageClass.rawValue, "\(item.segments)", AmountText.bytes(item.bytes), AmountText.roughly(seconds: item.durationMilliseconds / 1_000),
                item.oldestUnixMilliseconds.map { UTCTimestamp.text(unixMilliseconds: $0) } ?? "",
            ])
        }
        return String(table.text().dropLast())
    }

    /// What the hub's maintainers are told as well.
    private static func text(_ report: SyncReport, isRunning: Bool) -> String {
        let estimate = report.estimate()
        var lines = ["all at the hub in: \(estimate.words) (\(estimate.basis))"]
        if let seconds = report.secondsUntilOverwrite() {
            lines.append("without contact, footage that the hub lacks is overwritten in \(AmountText.roughly(seconds: seconds))")
        }
        lines.append(
            "contact: \(AmountText.roughly(seconds: report.contactSecondsLastDay)) in 24 h, \(AmountText.roughly(seconds: report.contactSecondsLast7Days)) in 7 d;"
                + " in vain: \(AmountText.bytes(report.duplicateBytes)) had come already, \(AmountText.bytes(report.resentBytes)) sent again")
        lines.append(
            report.statement.map { "last statement: of \($0.logSize) entries at \(UTCTimestamp.text(unixMilliseconds: $0.issuedUnixMilliseconds)), generation \($0.generation)" }
                ?? "no statement of the hub yet")
        if !isRunning { lines.append("these figures are the last of a recorder that has ended") }
        return lines.joined(separator: "\n")
    }

    /// What a recorder that runs now says of its cameras and its link.
    private static func text(_ running: RunningStatus) -> String {
        var table = OutputTable(["camera", "state", OutputTable.Column("packets", .right), OutputTable.Column("drops", .right), "last error"])
        for camera in running.cameras {
            table.add([camera.camera.description, camera.state.rawValue, "\(camera.packets)", "\(camera.drops)", camera.lastError ?? ""])
        }
        for camera in running.subStreams ?? [] {
            table.add(["\(camera.camera) (sub-stream)", camera.state.rawValue, "\(camera.packets)", "\(camera.drops)", camera.lastError ?? ""])
        }
        var text = table.isEmpty ? "" : table.text()
        if let dropped = running.eventsDropped, dropped > 0 { text += "\(dropped) events came faster than they could be taken, and were dropped\n" }
        if let sync = running.sync {
            text += "link: \(sync.isConnected ? "in contact" : "not in contact")\(sync.lastError.map { ", last error: \($0)" } ?? ""); sent \(sync.segmentsSent) segments since start"
            if sync.linkBytesPerSecond > 0 { text += "; the link carries \(sync.linkBytesPerSecond * 8 / 1_000) kbit/s" }
            if let control = sync.congestionControl { text += control == "bbr" ? " (bbr)" : " (\(control): the kernel refuses bbr; load tcp_bbr)" }
            text += "\n"
        }
        return text
    }
}
