import FoundationEssentials
import GRDB
import RecordingModel
import SyncProtocol

/// What a node said of its sync, beside what only the hub knows: when it was heard, and whether it is late.
extension HubStore {
    /// Two signs of life so far apart are of one contact: a node that stays says hello every 30 s.
    static let contactGapMilliseconds: Int64 = 45_000
    /// Three heartbeats.
    static let heartbeatsMilliseconds: Int64 = 90_000
    /// A promised contact may be so much later.
    static let promiseMarginMilliseconds: Int64 = 600_000
    private static let contactsKeptMilliseconds: Int64 = 8 * 86_400_000
    private static let dayMilliseconds: Int64 = 86_400_000
    /// Breaks between contacts by which a node's habit is known.
    private static let breaksMin = 3

    /// Notes a sign of life: it lengthens the contact that is going on, or begins one. Those of eight days are kept, which
    /// are 15,360 rows of a node at most.
    static func noteContact(_ db: Database, _ node: NodeID, nowUnixMilliseconds now: Int64) throws {
        try db.execute(
            sql: "UPDATE contacts SET end_ms = MAX(end_ms, ?) WHERE node = ? AND start_ms = (SELECT MAX(start_ms) FROM contacts WHERE node = ?) AND end_ms >= ?",
            arguments: [now, node.description, node.description, now - contactGapMilliseconds])
        guard db.changesCount == 0 else { return }
        try db.execute(sql: "INSERT OR IGNORE INTO contacts (node, start_ms, end_ms) VALUES (?, ?, ?)", arguments: [node.description, now, now])
        try db.execute(sql: "DELETE FROM contacts WHERE node = ? AND start_ms < ? AND end_ms < ?", arguments: [node.description, now - contactsKeptMilliseconds, now - contactsKeptMilliseconds])
    }

    /// Keeps the node's own figures; a hello without any leaves the last.
    static func noteReport(_ db: Database, _ report: SyncReport?, of node: NodeID, nowUnixMilliseconds now: Int64) throws {
        guard let report else { return }
        try db.execute(sql: "INSERT OR REPLACE INTO sync_reports (node, report, received_ms) VALUES (?, ?, ?)", arguments: [node.description, try json(report), now])
    }

    /// Of one node, or of all that are not suspended, sorted by who needs attention.
    package func syncStatuses(of node: NodeID? = nil, nowUnixMilliseconds now: Int64) async throws -> [NodeSyncStatus] {
        try await catalogue.read { db in
            let rows = try Row.fetchAll(
                db,
                sql: """
                    SELECT n.id, n.name, n.state, n.last_contact_ms, n.status, n.clock_offset_ms, s.report, s.received_ms,
                        (SELECT COUNT(*) FROM requests r WHERE r.node = n.id AND r.state = 'open') AS requests
                    FROM nodes n LEFT JOIN sync_reports s ON s.node = n.id WHERE n.id = ?1 OR (?1 IS NULL AND n.state <> 'suspended')
                    """, arguments: [node?.description])
            return try rows.compactMap { try Self.syncStatus($0, db, now) }.sorted(by: NodeSyncStatus.isBefore)
        }
    }

    private static func syncStatus(_ row: Row, _ db: Database, _ now: Int64) throws -> NodeSyncStatus? {
        guard let node = NodeID(row["id"] as String), let state = NodeSummary.State(rawValue: row["state"]) else { return nil }
        let status = (row["status"] as String?).flatMap { try? decode(NodeStatus.self, $0) }
        let report = (row["report"] as String?).flatMap { try? decode(SyncReport.self, $0) }
        let contacts = try Row.fetchAll(db, sql: "SELECT start_ms, end_ms FROM contacts WHERE node = ? AND end_ms > ? ORDER BY start_ms", arguments: [node.description, now - 7 * dayMilliseconds])
            .map { row -> ContactRecord in
                let (start, end) = (row["start_ms"] as Int64, row["end_ms"] as Int64)
                return ContactRecord(startUnixMilliseconds: start, endUnixMilliseconds: end, connectedMilliseconds: end - start, busyMilliseconds: 0, acknowledgedBytes: 0)
            }
        // The node's promise, by the hub's clock: the latest of those it made.
        let promises = [status?.nextContactUnixMilliseconds, status?.power?.darkUntilUnixMilliseconds].compactMap(\.self)
        let offset = row["clock_offset_ms"] as Int64? ?? 0
        let announced = promises.max().map { $0 - offset }
        // What is shown of it is by the hub's clock as well.
        let power = status?.power.map { $0.moved(byMilliseconds: -offset) }
        let punctuality = Punctuality(lastContact: row["last_contact_ms"], announced: announced, contacts: contacts, now: now)
        return NodeSyncStatus(
            node: node, name: row["name"], state: state, presence: punctuality.presence, lastContactUnixMilliseconds: row["last_contact_ms"],
            expectedByUnixMilliseconds: punctuality.expectedBy, announcedContactUnixMilliseconds: punctuality.announced,
            contactSecondsLastDay: SyncReport.connected(contacts, from: now - dayMilliseconds, to: now) / 1_000,
            contactSecondsLast7Days: SyncReport.connected(contacts, from: now - 7 * dayMilliseconds, to: now) / 1_000, report: report,
            reportAgeSeconds: (row["received_ms"] as Int64?).map { max(0, now - $0) / 1_000 }, openRequests: row["requests"], power: power)
    }

    /// Whether a node is late, by what it promised or by its habit.
    struct Punctuality: Hashable {
        var presence: NodeSyncStatus.Presence
        var expectedBy: Int64?
        var announced: Int64?

        /// A node that said when it would call is not late before that and ten minutes. Another is late after three
        /// heartbeats, or after twice the break that nine of ten of its breaks are shorter than.
        init(lastContact: Int64?, announced: Int64?, contacts: [ContactRecord], now: Int64) {
            guard let lastContact else {
                presence = .never
                return
            }
            if let announced, announced > lastContact {
                self.announced = announced
                expectedBy = announced + promiseMarginMilliseconds
            } else {
                let breaks = zip(contacts, contacts.dropFirst()).map { max(0, $1.startUnixMilliseconds - $0.endUnixMilliseconds) }.sorted()
                let habit = breaks.count >= breaksMin ? 2 * breaks[(breaks.count - 1) * 9 / 10] : 0
                expectedBy = lastContact + max(heartbeatsMilliseconds, habit)
            }
            presence = now - lastContact <= contactGapMilliseconds ? .inContact : now <= expectedBy ?? .max ? .quiet : .late
        }
    }
}
