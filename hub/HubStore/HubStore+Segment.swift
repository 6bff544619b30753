import EvidenceLog
import GRDB
import RecordingModel

extension HubStore {
    /// The segment of this camera with this content, if the hub holds it. Who asks for content by its hash is judged
    /// by the camera that it is of, so the camera must be named and must match.
    package func segment(_ hash: ContentHash, node: NodeID, camera: CameraID) async throws -> PlayableSegment? {
        try await catalogue.read { db in
            let row = try Row.fetchOne(
                db, sql: "SELECT record, log_index FROM segments WHERE sha256 = ? AND node = ? AND camera = ? AND held = 1 LIMIT 1",
                arguments: [hash.hex, node.description, camera.description])
            return try row.map { row in
                PlayableSegment(record: try Self.decode(SegmentRecord.self, row["record"]), logIndex: UInt64(row["log_index"] as Int64))
            }
        }
    }
}
