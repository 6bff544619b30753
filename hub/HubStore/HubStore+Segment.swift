import EvidenceLog
import GRDB
import RecordingModel

extension HubStore {
    /// The segment of this camera with this content, if the hub holds it. Who asks for content by its
    /// hash is judged by the camera that it is of, so the camera must be named and must match.
    /// - Parameters:
    ///   - kinds: of these streams only; what a camera recorded is found before what was made of it
    ///   - window: only a segment that reaches into this time. Equal bytes may have been recorded more than
    ///     once, so that the time must be part of the question and not judged over any one of them.
    package func segment(
        _ hash: ContentHash, node: NodeID, camera: CameraID, kinds: Set<StreamKind> = [.main, .proxy], within window: Range<Int64>? = nil
    ) async throws -> PlayableSegment? {
        try await catalogue.read { db in
            let row = try Row.fetchOne(
                db,
                sql: """
                    SELECT record, log_index, start_ms, corrected_uncertainty_ms FROM segments
                    WHERE sha256 = ? AND node = ? AND camera = ? AND kind IN (\(databaseQuestionMarks(count: kinds.count))) AND held = 1 AND end_ms > ?
                        AND start_ms < ? ORDER BY kind, start_ms, log_index LIMIT 1
                    """,
                arguments: StatementArguments([hash.hex, node.description, camera.description] + kinds.map(\.rawValue))
                    + [window?.lowerBound ?? Int64.min, window?.upperBound ?? .max])
            return try row.map { try Self.playable($0) }
        }
    }
}
