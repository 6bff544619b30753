import HubStore
import Hummingbird
import RecordingModel

extension ReviewService {
    func addNodePages(to router: some RouterMethods<ReviewContext>) {
        router.get("/") { [self] request, context in
            let query = try NodeListQuery(request)
            let values = NodeListValues(query.apply(to: try await store.nodeSummaries()), query: query, now: now)
            return try pages.page("nodes", title: "Nodes", values, session: context.session)
        }
        router.get("nodes/:node") { [self] _, context in
            guard let summary = try await store.nodeSummary(try context.node()) else { throw Problem.notFound }
            let changes = try await store.powerChanges(of: summary.node, limit: ReviewLimits.powerChanges)
            return try pages.page("node", title: summary.name, NodeValues(summary, changes, now: now), session: context.session)
        }
    }
}

/// Sorting, filtering and paging of the node list, all on the server. A page begins after a row, not at a number,
/// so that rows that come or go do not shift it.
struct NodeListQuery {
    enum Sort: String, CaseIterable {
        case name, contact, backlog
    }
    var search: String
    var sort: Sort
    /// The last row of the page before.
    var after: NodeID?

    struct Page {
        var rows: [NodeSummary]
        var next: NodeID?
        var total: Int
    }

    init(search: String = "", sort: Sort = .name, after: NodeID? = nil) {
        self.search = search
        self.sort = sort
        self.after = after
    }

    init(_ request: Request) throws {
        search = String((try request.query("search") ?? "").prefix(64))
        let sortText = try request.query("sort") ?? Sort.name.rawValue
        guard let sort = Sort(rawValue: sortText) else { throw Problem(.badRequest, "The parameter sort must be name, contact or backlog.", field: "sort") }
        self.sort = sort
        after = try request.query("after").map { text in
            guard let node = NodeID(text) else { throw Problem(.badRequest, "The parameter after must be a node's id.", field: "after") }
            return node
        }
    }

    func apply(to nodes: [NodeSummary]) -> Page {
        let wanted = search.lowercased()
        let found = nodes.filter { node in
            wanted.isEmpty || node.name.lowercased().contains(wanted) || node.node.description.hasPrefix(wanted)
                || node.cameras.contains { $0.camera.description.contains(wanted) }
        }.sorted { left, right in
            switch sort {
            case .name: (left.name, left.node.description) < (right.name, right.node.description)
            // Longest silence first: that is who needs looking after.
            case .contact:
                (left.lastContactUnixMilliseconds ?? 0, left.node.description) < (right.lastContactUnixMilliseconds ?? 0, right.node.description)
            case .backlog: (-left.onlyOnNode.bytes, left.node.description) < (-right.onlyOnNode.bytes, right.node.description)
            }
        }
        let start = after.flatMap { after in found.firstIndex { $0.node == after } }.map { $0 + 1 } ?? 0
        let rows = Array(found[start...].prefix(ReviewLimits.rowsPerPage))
        let hasMore = start + rows.count < found.count
        return Page(rows: rows, next: hasMore ? rows.last?.node : nil, total: found.count)
    }
}

struct NodeListValues {
    struct SortChoice {
        var value: String
        var label: String
        var isChosen: Bool
    }
    var search: String
    var sorts: [SortChoice]
    var nodes: [NodeValues]
    var isEmpty: Bool
    var isSearch: Bool
    var total: String
    var asOf: String
    var next: String?

    init(_ page: NodeListQuery.Page, query: NodeListQuery, now: Int64) {
        search = query.search
        sorts = NodeListQuery.Sort.allCases.map { sort in
            let label = switch sort {
            case .name: "name"
            case .contact: "longest silence"
            case .backlog: "most still on the node"
            }
            return SortChoice(value: sort.rawValue, label: label, isChosen: sort == query.sort)
        }
        nodes = page.rows.map { NodeValues($0, now: now) }
        isEmpty = page.rows.isEmpty
        isSearch = !query.search.isEmpty
        total = page.total == 1 ? "1 node" : "\(page.total) nodes"
        asOf = WallText.readable(now)
        next = page.next.map { "/?sort=\(query.sort.rawValue)&search=\(query.search.formEncoded)&after=\($0)" }
    }
}

/// A node as its row and its page show it.
struct NodeValues {
    struct Camera {
        var name: String
        var address: String
        var newest: String
        var newestOnHub: String
        var state: String
        var error: String?
        var packets: UInt64
        var drops: UInt64
        var connects: UInt64
    }
    struct Fact {
        var name: String
        var text: String
    }
    struct Change {
        var time: String
        var words: String
    }
    var id: String
    var name: String
    var fingerprint: String
    /// `S2 Reduced, 31 % (shunt)`; nil for a node that does not live on a battery.
    var energy: String?
    /// What it said last, a line each.
    var power: [Fact]
    var hasPower: Bool
    var changes: [Change]
    var hasChanges: Bool
    var warning: String?
    var lastContact: String
    var lastContactExact: String
    var backlogBytes: String
    var backlogHours: String
    var backlogSegments: Int
    var onHubBytes: String
    var onHubHours: String
    var clock: String
    var disk: String
    var software: String
    var uptime: String
    var logSize: UInt64
    var cameras: [Camera]
    var hasCameras: Bool
    var asOf: String

    /// - Parameter powerChanges: of the node's energy, the newest first
    init(_ summary: NodeSummary, _ powerChanges: [PowerChange] = [], now: Int64) {
        let report = summary.status?.power.map { $0.moved(byMilliseconds: -(summary.clockOffsetMilliseconds ?? 0)) }
        energy = report.map { SyncWords.energy($0) }
        power = report?.lines { WallText.readable($0) }.map { Fact(name: $0.name, text: $0.text) } ?? []
        hasPower = !power.isEmpty
        changes = powerChanges.map { Change(time: WallText.readable($0.unixMilliseconds), words: $0.words { WallText.readable($0) }) }
        hasChanges = !changes.isEmpty
        id = summary.node.description
        name = summary.name
        fingerprint = summary.node.keyHash.fingerprint
        warning = switch summary.state {
        case .active: nil
        case .suspended: "suspended"
        case .forked: "forked: two signed histories exist, so this node was cloned or restored"
        }
        lastContact = summary.lastContactUnixMilliseconds.map { WallText.ago($0, now: now) } ?? "never"
        lastContactExact = summary.lastContactUnixMilliseconds.map { WallText.readable($0) } ?? "never"
        backlogBytes = AmountText.bytes(summary.onlyOnNode.bytes)
        backlogHours = Self.hours(summary.onlyOnNode.durationMilliseconds)
        backlogSegments = summary.onlyOnNode.segments
        onHubBytes = AmountText.bytes(summary.onHub.bytes)
        onHubHours = Self.hours(summary.onHub.durationMilliseconds)
        let source = summary.status.map { $0.clock.source == .none ? "not set" : "from \($0.clock.source.rawValue), \u{b1}\($0.clock.uncertaintyMilliseconds) ms" }
        clock = [summary.clockOffsetMilliseconds.map { "\($0 < 0 ? "\u{2212}" : "+")\(abs($0)) ms" }, source].compactMap { $0 }.joined(separator: ", ")
        disk = summary.status?.disk.map { "\(AmountText.bytes($0.availableBytes)) free of \(AmountText.bytes($0.totalBytes))" } ?? "not reported"
        software = summary.status?.software ?? "not reported"
        uptime = summary.status.map { WallText.duration($0.uptimeMilliseconds) } ?? "not reported"
        logSize = summary.logSize
        cameras = summary.cameras.map { camera in
            Camera(
                name: camera.camera.description,
                address: "/nodes/\(summary.node)/cameras/\(camera.camera)\(camera.newestUnixMilliseconds.map { "?day=\(WallText.day($0))" } ?? "")",
                newest: camera.newestUnixMilliseconds.map { WallText.ago($0, now: now) } ?? "nothing yet",
                newestOnHub: camera.newestOnHubUnixMilliseconds.map { WallText.ago($0, now: now) } ?? "nothing yet",
                state: camera.health?.state.rawValue ?? "not reported", error: camera.health?.lastError, packets: camera.health?.packets ?? 0,
                drops: camera.health?.drops ?? 0, connects: camera.health?.connects ?? 0)
        }
        hasCameras = !cameras.isEmpty
        asOf = WallText.readable(now)
    }

    private static func hours(_ milliseconds: Int64) -> String {
        let tenths = (milliseconds + 180_000) / 360_000
        return "\(tenths / 10).\(tenths % 10) h"
    }
}
