import GRDB
import RecordingModel

/// Changes of the nodes' power states, as their logs tell them.
extension HubStore {
    /// Of all time, the newest first.
    package func powerChanges(of node: NodeID, limit: Int) async throws -> [PowerChange] {
        try await catalogue.read { try Self.powers($0, node, 0, .max, newestFirst: true, limit: limit) }
    }

    static func powers(_ db: Database, _ node: NodeID, _ from: Int64, _ to: Int64, newestFirst: Bool, limit: Int) throws -> [PowerChange] {
        let order = newestFirst ? "DESC" : "ASC"
        return try Row.fetchAll(
            db, sql: "SELECT start_ms, record FROM powers WHERE node = ? AND start_ms >= ? AND start_ms < ? ORDER BY start_ms \(order), log_index \(order) LIMIT ?",
            arguments: [node.description, from, to, limit]
        ).map { PowerChange(unixMilliseconds: $0["start_ms"], record: try decode(PowerRecord.self, $0["record"])) }
    }
}
