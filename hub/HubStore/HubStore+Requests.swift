import EvidenceLog
import FoundationEssentials
import GRDB
import RecordingModel
import SyncProtocol

/// Footage that people asked for: pulls, pins and holds, and what they come to for a node.
extension HubStore {
    /// Why a request was not taken, in a sentence.
    package enum RequestFault: Error, Hashable, CustomStringConvertible {
        case unknownNode, unknownCamera, emptyRange, rangeTooLong, rangeAhead, tooMany, reasonMissing, reasonTooLong, unknown, notOpen

        package var description: String {
            switch self {
            case .unknownNode: "The hub knows no such node."
            case .unknownCamera: "The node has told of no camera of this name."
            case .emptyRange: "The end must be later than the start."
            case .rangeTooLong: "A range is at most \(FootageRequest.rangeMillisecondsMax / 86_400_000) days long."
            case .rangeAhead: "The range begins in the future."
            case .tooMany: "This node has \(FootageRequest.openPerNodeMax) open requests already; withdraw some."
            case .reasonMissing: "A hold needs a reason."
            case .reasonTooLong: "A reason has at most \(FootageRequest.reasonBytesMax) bytes, in one line."
            case .unknown: "There is no such request."
            case .notOpen: "The request is not open any more."
            }
        }
    }

    /// - Throws: `RequestFault`.
    package func addRequest(_ new: NewFootageRequest, node: NodeID, user: String, nowUnixMilliseconds now: Int64) async throws -> FootageRequest {
        let reason = new.reason ?? ""
        let range = new.startUnixMilliseconds...max(new.startUnixMilliseconds, new.endUnixMilliseconds)
        guard Plausibility.isCount(new.startUnixMilliseconds), Plausibility.isCount(new.endUnixMilliseconds), range.lowerBound < new.endUnixMilliseconds else { throw RequestFault.emptyRange }
        guard range.upperBound - range.lowerBound <= FootageRequest.rangeMillisecondsMax else { throw RequestFault.rangeTooLong }
        guard range.lowerBound < now else { throw RequestFault.rangeAhead }
        guard reason.utf8.count <= FootageRequest.reasonBytesMax, !reason.unicodeScalars.contains(where: { $0.properties.generalCategory == .control }) else { throw RequestFault.reasonTooLong }
        guard new.kind != .hold || reason.contains(where: { !$0.isWhitespace }) else { throw RequestFault.reasonMissing }
        let request = try await catalogue.write { db in
            guard try Bool.fetchOne(db, sql: "SELECT EXISTS (SELECT 1 FROM nodes WHERE id = ?)", arguments: [node.description]) == true else { throw RequestFault.unknownNode }
            guard try Self.isKnown(db, new.camera, of: node) else { throw RequestFault.unknownCamera }
            let open = try Int.fetchOne(db, sql: "SELECT COUNT(*) FROM requests WHERE node = ? AND state = 'open'", arguments: [node.description]) ?? 0
            guard open < FootageRequest.openPerNodeMax else { throw RequestFault.tooMany }
            try db.execute(
                sql: """
                    INSERT INTO requests (node, camera, kind, stream, start_ms, end_ms, user, reason, created_ms, state)
                    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 'open')
                    """,
                arguments: [
                    node.description, new.camera.description, new.kind.rawValue, new.stream?.rawValue, range.lowerBound, range.upperBound, user, reason, now,
                ])
            let id = db.lastInsertedRowID
            try Self.settlePulls(db, node, nowUnixMilliseconds: now)
            return try Self.request(db, id)
        }
        requestsChanged(of: node)
        guard let request else { throw RequestFault.unknown }
        return request
    }

    /// - Throws: `RequestFault`.
    package func withdrawRequest(_ id: Int64, user: String, nowUnixMilliseconds now: Int64) async throws -> FootageRequest {
        let request = try await catalogue.write { db in
            guard let known = try Self.request(db, id) else { throw RequestFault.unknown }
            guard known.state == .open else { throw RequestFault.notOpen }
            try db.execute(sql: "UPDATE requests SET state = 'withdrawn', ended_ms = ?, ended_by = ? WHERE id = ?", arguments: [now, user, id])
            return try Self.request(db, id)
        }
        guard let request else { throw RequestFault.unknown }
        requestsChanged(of: request.node)
        return request
    }

    package func request(_ id: Int64) async throws -> FootageRequest? { try await catalogue.read { try Self.request($0, id) } }

    /// The open ones, oldest first; after them, where asked for, the newest that have ended.
    package func requests(node: NodeID? = nil, camera: CameraID? = nil, withEnded: Bool = false) async throws -> [FootageRequest] {
        try await catalogue.read { db in
            let condition = "(?1 IS NULL OR r.node = ?1) AND (?2 IS NULL OR r.camera = ?2)"
            let arguments: StatementArguments = [node?.description, camera?.description]
            var found = try Row.fetchAll(db, sql: "\(Self.requestColumns) WHERE \(condition) AND r.state = 'open' ORDER BY r.id LIMIT 10000", arguments: arguments).compactMap(Self.request)
            for index in found.indices.prefix(FootageRequest.progressMax) { found[index].progress = try Self.progress(db, found[index]) }
            guard withEnded else { return found }
            return found + (try Row.fetchAll(
                db, sql: "\(Self.requestColumns) WHERE \(condition) AND r.state <> 'open' ORDER BY r.ended_ms DESC, r.id DESC LIMIT \(FootageRequest.endedListMax)", arguments: arguments
            ).compactMap(Self.request))
        }
    }

    private static let requestColumns = "SELECT r.*, n.name AS node_name FROM requests r JOIN nodes n ON n.id = r.node"

    private static func request(_ db: Database, _ id: Int64) throws -> FootageRequest? {
        guard var found = try Row.fetchOne(db, sql: "\(requestColumns) WHERE r.id = ?", arguments: [id]).flatMap(request) else { return nil }
        if found.state == .open { found.progress = try progress(db, found) }
        return found
    }

    private static func request(_ row: Row) -> FootageRequest? {
        guard let kind = FootageRequest.Kind(rawValue: row["kind"]), let state = FootageRequest.State(rawValue: row["state"]),
            let node = NodeID(row["node"] as String), let camera = CameraID(row["camera"] as String)
        else { return nil }
        let progress = (row["segments"] as Int?).map { segments in
            FootageRequest.Progress(segments: segments, segmentsOnHub: segments - (row["lost_segments"] as Int? ?? 0), segmentsLost: row["lost_segments"] ?? 0, isReported: true)
        }
        return FootageRequest(
            id: row["id"], kind: kind, node: node, nodeName: row["node_name"], camera: camera, stream: (row["stream"] as String?).flatMap { StreamKind(rawValue: $0) },
            startUnixMilliseconds: row["start_ms"], endUnixMilliseconds: row["end_ms"], user: row["user"], reason: row["reason"], createdUnixMilliseconds: row["created_ms"],
            state: state, endedUnixMilliseconds: row["ended_ms"], endedBy: row["ended_by"], progress: progress)
    }

    private static func isKnown(_ db: Database, _ camera: CameraID, of node: NodeID) throws -> Bool {
        if try Bool.fetchOne(db, sql: "SELECT EXISTS (SELECT 1 FROM cameras WHERE node = ? AND camera = ?)", arguments: [node.description, camera.description]) == true { return true }
        let status = try String.fetchOne(db, sql: "SELECT status FROM nodes WHERE id = ?", arguments: [node.description]).flatMap { try? decode(NodeStatus.self, $0) }
        return status?.cameras.contains { $0.camera == camera } == true
    }

    /// The kinds of streams that a request is about, the most wanted first.
    static func kinds(_ request: FootageRequest) -> [StreamKind] { request.stream.map { [$0] } ?? [.main, .proxy, .thumbs] }

    /// Rows of segments that reach into the range; the index on the end bounds it on both sides.
    static let rangeCondition = "node = ? AND camera = ? AND kind = ? AND end_ms > ? AND end_ms < ? AND start_ms < ?"

    static func rangeArguments(_ request: FootageRequest, _ kind: StreamKind) -> StatementArguments {
        [
            request.node.description, request.camera.description, kind.rawValue, request.startUnixMilliseconds, request.endUnixMilliseconds + segmentMillisecondsMax,
            request.endUnixMilliseconds,
        ]
    }

    /// What only an earlier log of the node names can not be sent any more, so it counts as lost.
    private static func progress(_ db: Database, _ request: FootageRequest) throws -> FootageRequest.Progress {
        var progress = FootageRequest.Progress()
        let log = try String.fetchOne(db, sql: "SELECT current_log FROM nodes WHERE id = ?", arguments: [request.node.description])
        for kind in kinds(request) {
            let row = try Row.fetchOne(
                db,
                sql: """
                    SELECT COUNT(*) AS n, COALESCE(SUM(held), 0) AS held, COALESCE(SUM(held = 0 AND (gone IS NOT NULL OR log <> ?)), 0) AS lost,
                        COALESCE(SUM(CASE WHEN held = 0 AND gone IS NULL AND log = ? THEN bytes END), 0) AS waiting FROM segments WHERE \(rangeCondition)
                    """, arguments: [log ?? "", log ?? ""] + rangeArguments(request, kind))
            progress.segments += row?["n"] ?? 0
            progress.segmentsOnHub += row?["held"] ?? 0
            progress.segmentsLost += row?["lost"] ?? 0
            progress.waitingBytes += row?["waiting"] ?? 0
        }
        progress.isReported = try isReported(db, request)
        return progress
    }

    /// Whether the camera's log has reached the end of the range: before that more of it may come.
    private static func isReported(_ db: Database, _ request: FootageRequest) throws -> Bool {
        try ["segments", "gaps"].contains { table in
            try Bool.fetchOne(
                db, sql: "SELECT EXISTS (SELECT 1 FROM \(table) WHERE node = ? AND camera = ? AND kind = 'main' AND end_ms >= ?)",
                arguments: [request.node.description, request.camera.description, request.endUnixMilliseconds]) == true
        }
    }

    static func openRequests(_ db: Database, _ node: NodeID, camera: CameraID? = nil) throws -> [FootageRequest] {
        try Row.fetchAll(
            db, sql: "\(requestColumns) WHERE r.node = ?1 AND r.state = 'open' AND (?2 IS NULL OR r.camera = ?2) ORDER BY r.id LIMIT \(FootageRequest.openPerNodeMax)",
            arguments: [node.description, camera?.description]
        ).compactMap(request)
    }

    /// Closes the pulls of which nothing is outstanding, with how much of them there was.
    static func settlePulls(_ db: Database, _ node: NodeID, only ids: Set<Int64>? = nil, nowUnixMilliseconds now: Int64) throws {
        for request in try openRequests(db, node) where request.kind == .pull && ids?.contains(request.id) ?? true {
            guard try isReported(db, request) else { continue }
            let progress = try progress(db, request)
            guard progress.isSettled else { continue }
            try db.execute(
                sql: "UPDATE requests SET state = 'done', ended_ms = ?, segments = ?, lost_segments = ? WHERE id = ? AND state = 'open'",
                arguments: [now, progress.segments, progress.segmentsLost, request.id])
        }
    }
}
