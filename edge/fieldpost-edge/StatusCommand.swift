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
        /// Why nothing is recorded, or what is wrong with the disk; absent while all is well.
        var problem: String?
        var hub: String?
        var statement_log_size: UInt64?
        var running: RunningStatus?
    }

    func run() async throws {
        let folder = try NodeFolder(try options.read())
        // A recorder whose disk is gone says so where the disk is not.
        let running = StatusFile(folder).newest()
        guard folder.isPrepared else {
            throw CommandError(running?.problem ?? "\(folder.root) is not a data directory: mount its disk, or prepare a new one with: fieldpost-edge init --prepare --config \(options.file)")
        }
        let reader = try folder.reader()
        let status = try reader.status()
        let answer = Answer(
            node: status.node, log: status.log, log_size: status.logSize, recording: reader.isRecording, segments_sealed: status.segments, bytes: status.bytes,
            backlog: status.backlog, newest_unix_milliseconds: status.newest.reduce(into: [:]) { $0[$1.key.description] = $1.value.endUnixMilliseconds },
            disk_available_bytes: status.space?.availableBytes, problem: running?.problem, hub: try folder.hub()?.name, statement_log_size: try reader.latestStatement()?.logSize,
            running: running)
        if json { return printLine(try fieldpost_edge.json(answer)) }
        printLine("node \(status.node.keyHash.fingerprint), log \(status.log), \(status.logSize) entries; \(answer.recording ? "recording" : "not recording")")
        printLine("sealed: \(status.segments) segments, \(status.bytes) bytes; free on disk: \(answer.disk_available_bytes.map(String.init) ?? "unknown") bytes")
        if let problem = answer.problem { printLine("PROBLEM: \(problem)") }
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
}
