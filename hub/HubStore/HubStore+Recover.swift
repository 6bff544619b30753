import GRDB
import RecordingModel
import Synchronization

/// What a check of all blobs took back.
package struct RecoverReport: Hashable, Sendable, Codable {
    package var segmentsChecked = 0
    package var segmentsLost = 0
    package var bytesLost: Int64 = 0
    package init() {}
}

extension HubStore {
    /// Claims no more what is missing among the blobs or has other bytes than its name says: the nodes that still have it
    /// send it again. Nobody may write to the store meanwhile.
    /// - Parameter progress: called with bytes done and bytes in all.
    package func forgetMissing(progress: (Int64, Int64) -> Void = { _, _ in }) throws -> RecoverReport {
        let blobs = try catalogue.read { db in
            try Row.fetchAll(db, sql: "SELECT sha256, bytes, COUNT(*) AS segments FROM segments WHERE held = 1 GROUP BY sha256, bytes")
        }
        let total = blobs.reduce(Int64(0)) { $0 + ($1["bytes"] as Int64) }
        var (report, done) = (RecoverReport(), Int64(0))
        var lost: [String] = []
        for row in blobs {
            let (name, bytes, segments): (String, Int64, Int) = (row["sha256"], row["bytes"], row["segments"])
            report.segmentsChecked += segments
            if try blobFault(name, bytes: bytes) != nil {
                lost.append(name)
                report.segmentsLost += segments
                report.bytesLost += bytes * Int64(segments)
            }
            done += bytes
            progress(done, total)
        }
        guard !lost.isEmpty else { return report }
        try catalogue.write { db in
            for name in lost { try db.execute(sql: "UPDATE segments SET held = 0 WHERE sha256 = ?", arguments: [name]) }
            try db.execute(
                sql: """
                    UPDATE nodes SET (held_segments, held_bytes, held_ms) = (
                        SELECT COUNT(*), COALESCE(SUM(bytes), 0), \(Self.footageMilliseconds) FROM segments s WHERE s.node = nodes.id AND s.held = 1);
                    UPDATE cameras SET newest_held_ms = (
                        SELECT MAX(end_ms) FROM segments s WHERE s.node = cameras.node AND s.camera = cameras.camera AND s.kind = 'main' AND s.held = 1);
                    """)
        }
        heldCache.withLock { $0.removeAll() }
        return report
    }
}
