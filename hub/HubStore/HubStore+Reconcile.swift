import GRDB
import RecordingModel
import Synchronization
import SyncProtocol

extension HubStore {
    /// All that the hub holds of a node, whatever log told of it, in the order of `ReconcileItem`.
    package func footage(of node: NodeID) throws -> [ReconcileItem] {
        let held = try catalogue.read { db in try Int64.fetchOne(db, sql: "SELECT held_segments FROM nodes WHERE id = ?", arguments: [node.description]) ?? 0 }
        // A reconciliation is several questions: the answer to the first costs a scan.
        if let known = footageCache.withLock({ $0 }), known.node == node, known.heldSegments == held { return known.items }
        let items = try catalogue.read { db in
            var items: Set<ReconcileItem> = []
            let rows = try Row.fetchCursor(db, sql: "SELECT recorded_start_ms, sha256 FROM segments WHERE node = ? AND held = 1", arguments: [node.description])
            while let row = try rows.next() {
                guard let hash = ContentHash(row["sha256"] as String) else { continue }
                items.insert(ReconcileItem(startUnixMilliseconds: row["recorded_start_ms"], sha256: hash))
            }
            return items.sorted()
        }
        footageCache.withLock { $0 = (node, held, items) }
        return items
    }
}
