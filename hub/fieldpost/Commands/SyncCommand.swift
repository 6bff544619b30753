import ArgumentParser
import RecordingModel

struct Sync: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show what waits on every node, and when the hub will have it.", discussion: "Who needs attention comes first: late, never at this rate, soon overwritten, an alert of its energy.")

    @Argument(help: "Only this node, by name or id, with what its estimate is based on.") var node: String?
    @Flag(help: "Print the hub's answer as JSON.") var json = false

    func run() async throws {
        let list = try await HubClient.with(try Credentials.load()) { try await $0.syncStatuses() }
        if let node {
            guard let status = list.nodes.first(where: { $0.name == node || $0.node.description == node }) else {
                throw Failure("The hub knows no node \(node), or it is suspended. fieldpost status lists them.")
            }
            if json { return try Terminal.json(status) }
            for line in SyncText.lines(status, now: list.asOfUnixMilliseconds) { print(Terminal.printable(line)) }
            return
        }
        if json { return try Terminal.json(list) }
        if list.nodes.isEmpty { return print("No node is enrolled at this hub yet.") }
        for line in SyncText.table(list) { print(line) }
    }
}

/// Sync for a person at a terminal.
enum SyncText {
    static func table(_ list: SyncStatusList) -> [String] {
        var rows = [["NODE", "ATTENTION", "CONTACT", "WAITS ON THE NODE", "ALL HERE IN", "OVERWRITES IN", "ENERGY", "AS OF"]]
        for status in list.nodes {
            rows.append([
                status.name, status.attention.isEmpty ? "-" : status.attention.map(\.rawValue).joined(separator: ","), contact(status, list.asOfUnixMilliseconds),
                status.report.map { amount($0.total) } ?? "not reported", status.estimate.words, status.secondsUntilOverwrite.map { AmountText.roughly(seconds: $0) } ?? "-", energy(status.power),
                status.reportAgeSeconds.map { "\(AmountText.roughly(seconds: $0)) ago" } ?? "-",
            ].map(Terminal.printable))
        }
        return Terminal.aligned(rows)
    }

    static func lines(_ status: NodeSyncStatus, now: Int64) -> [String] {
        var rows = [
            ["node", status.name], ["attention", status.attention.isEmpty ? "none" : status.attention.map(\.rawValue).joined(separator: ", ")],
            ["contact", contact(status, now)],
            ["contact time", "\(AmountText.roughly(seconds: status.contactSecondsLastDay)) in 24 h, \(AmountText.roughly(seconds: status.contactSecondsLast7Days)) in 7 d, as the hub saw it"],
            ["all here in", status.estimate.words], ["because", status.estimate.basis],
            ["overwrites in", status.secondsUntilOverwrite.map { AmountText.roughly(seconds: $0) } ?? "-"], ["open requests", "\(status.openRequests)"],
        ]
        rows += (status.power?.lines { Words.time($0 / 1_000 * 1_000) } ?? []).map { [$0.name, $0.text] }
        guard let report = status.report else { return Terminal.aligned(rows) }
        rows.append(["reported", status.reportAgeSeconds.map { "\(AmountText.roughly(seconds: $0)) ago" } ?? "-"])
        for item in report.backlog {
            let oldest = item.oldestUnixMilliseconds.map { ", the oldest of \(Words.time($0))" } ?? ""
            rows.append(["waits: \(item.footageClass.rawValue)", "\(item.segments) segments, \(AmountText.bytes(item.bytes)), \(AmountText.roughly(seconds: item.durationMilliseconds / 1_000))\(oldest)"])
        }
        rows.append(["throughput", report.throughput.map { "\(AmountText.bytes($0.medianBytesPerSecond))/s in contact (median of \($0.contacts))" } ?? "not known yet"])
        rows.append(["recorded a day", report.recordedBytesPerDay.map { AmountText.bytes($0) } ?? "nothing, or not known yet"])
        rows.append(["sent in vain", "\(AmountText.bytes(report.duplicateBytes)) had come already, \(AmountText.bytes(report.resentBytes)) sent again after a break"])
        rows.append(["statement", report.statement.map { "of \($0.logSize) entries at \(Words.time($0.issuedUnixMilliseconds)), generation \($0.generation)" } ?? "none yet"])
        return Terminal.aligned(rows)
    }

    /// `S3 24 %`
    private static func energy(_ report: PowerReport?) -> String {
        guard let report else { return "-" }
        return [report.state.code, report.estimate?.batteryPercent.map { "\(AmountText.number($0, decimals: 0)) %" }].compactMap(\.self).joined(separator: " ")
    }

    private static func contact(_ status: NodeSyncStatus, _ now: Int64) -> String {
        let ago = status.lastContactUnixMilliseconds.map { "\(AmountText.roughly(seconds: max(0, now - $0) / 1_000)) ago" } ?? "never"
        let expected = (status.announcedContactUnixMilliseconds ?? status.expectedByUnixMilliseconds).map { Words.time($0 / 1_000 * 1_000) } ?? "-"
        return switch status.presence {
        case .inContact: "in contact"
        case .quiet: "\(ago), \(status.announcedContactUnixMilliseconds == nil ? "expected by" : promise(status, "will call at")) \(expected)"
        case .late: "late: \(ago), \(status.announcedContactUnixMilliseconds == nil ? "expected by" : promise(status, "would call at")) \(expected)"
        case .never: "never"
        }
    }

    private static func promise(_ status: NodeSyncStatus, _ words: String) -> String {
        status.announcedContactUnixMilliseconds == status.power?.darkUntilUnixMilliseconds ? "dark until" : words
    }

    private static func amount(_ backlog: Backlog) -> String {
        backlog.segments == 0 ? "nothing" : "\(AmountText.bytes(backlog.bytes)), \(AmountText.roughly(seconds: backlog.durationMilliseconds / 1_000))"
    }
}
