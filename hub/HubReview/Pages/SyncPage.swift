import HubStore
import RecordingModel

/// The page for maintainers: every node's sync, those that need attention first.
struct SyncListValues {
    struct ClassRow {
        var name: String
        var amount: String
    }
    struct Row {
        var id: String
        var name: String
        var warnings: [String]
        var presence: String
        var presenceDetail: String
        /// Nil for a node that does not live on a battery.
        var energy: String?
        var classes: [ClassRow]
        var waits: String
        var oldest: String
        var contact: String
        var estimate: String
        var basis: String
        var overwrite: String
        var again: String
        var statement: String
        var asOf: String
        var requests: Int
        var hasRequests: Bool
    }
    var rows: [Row]
    var total: String
    var attention: String
    var asOf: String
    var next: String?
    var isEmpty: Bool

    /// A page begins after a node, as the list of nodes does.
    init(_ statuses: [NodeSyncStatus], after: NodeID?, now: Int64) {
        let start = after.flatMap { after in statuses.firstIndex { $0.node == after } }.map { $0 + 1 } ?? 0
        let page = statuses[start...].prefix(ReviewLimits.rowsPerPage)
        rows = page.map { Self.row($0, now: now) }
        next = start + page.count < statuses.count ? page.last.map { "/sync?after=\($0.node)" } : nil
        total = statuses.count == 1 ? "1 node" : "\(statuses.count) nodes"
        let urgent = statuses.count { !$0.attention.isEmpty }
        attention = urgent == 0 ? "none needs attention" : urgent == 1 ? "1 needs attention" : "\(urgent) need attention"
        asOf = WallText.readable(now)
        isEmpty = statuses.isEmpty
    }

    private static func row(_ status: NodeSyncStatus, now: Int64) -> Row {
        let report = status.report
        let unknown = "not reported"
        return Row(
            id: status.node.description, name: status.name, warnings: status.attention.map(SyncWords.attention), presence: SyncWords.presence(status, now: now),
            presenceDetail: SyncWords.expected(status), energy: status.power.map { SyncWords.energy($0) },
            classes: report?.backlog.map { ClassRow(name: SyncWords.name($0.footageClass), amount: SyncWords.amount($0.bytes, $0.durationMilliseconds)) } ?? [],
            waits: report.map { $0.total.segments == 0 ? "nothing" : SyncWords.amount($0.total.bytes, $0.total.durationMilliseconds) } ?? unknown,
            oldest: report?.oldestUnixMilliseconds.map { "oldest of \(WallText.readable($0))" } ?? "",
            contact: "\(AmountText.roughly(seconds: status.contactSecondsLastDay)) of contact in 24 h, \(AmountText.roughly(seconds: status.contactSecondsLast7Days)) in 7 d",
            estimate: status.estimate.words, basis: status.estimate.basis,
            overwrite: status.secondsUntilOverwrite.map { AmountText.roughly(seconds: $0) } ?? (report == nil ? unknown : "not known"),
            again: report.map { "\(AmountText.bytes($0.duplicateBytes)) had come already, \(AmountText.bytes($0.resentBytes)) sent again" } ?? "",
            statement: report?.statement.map { "statement of \($0.logSize) entries, \(WallText.ago($0.issuedUnixMilliseconds, now: now)), generation \($0.generation)" } ?? "no statement yet",
            asOf: status.reportAgeSeconds.map { "as of \(WallText.ago(now - $0 * 1_000, now: now))" } ?? "", requests: status.openRequests,
            hasRequests: status.openRequests > 0)
    }
}

enum SyncWords {
    static func attention(_ attention: NodeSyncStatus.Attention) -> String {
        switch attention {
        case .late: "late"
        case .never: "never at this rate"
        case .overwriteSoon: "overwrites soon"
        case .energy: "energy"
        }
    }

    static func name(_ footageClass: SyncReport.FootageClass) -> String {
        switch footageClass {
        case .thumbnails: "thumbnails"
        case .event: "events"
        case .proxy: "proxy"
        case .main: "main"
        }
    }

    static func amount(_ bytes: Int64, _ milliseconds: Int64) -> String { "\(AmountText.bytes(bytes)), \(AmountText.roughly(seconds: milliseconds / 1_000))" }

    static func presence(_ status: NodeSyncStatus, now: Int64) -> String {
        let ago = status.lastContactUnixMilliseconds.map { WallText.ago($0, now: now) } ?? "never"
        return switch status.presence {
        case .inContact: "in contact"
        case .quiet: "last heard \(ago)"
        case .late: "late, last heard \(ago)"
        case .never: "never heard"
        }
    }

    /// `S3 Sparse, 24 % (shunt), 12.1 V`
    static func energy(_ report: PowerReport) -> String { [report.state.name, report.estimate?.batteryWords].compactMap(\.self).joined(separator: ", ") }

    static func expected(_ status: NodeSyncStatus) -> String {
        guard status.presence == .quiet || status.presence == .late else { return "" }
        if let announced = status.announcedContactUnixMilliseconds { return "\(announced == status.power?.darkUntilUnixMilliseconds ? "dark until" : "said it would call at") \(WallText.readable(announced))" }
        return status.expectedByUnixMilliseconds.map { "expected by \(WallText.readable($0))" } ?? ""
    }
}
