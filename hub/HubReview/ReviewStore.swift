import EvidenceLog
import HubStore
import RecordingModel
import StorageIO

/// What the pages and the API need to know. The hub's store is the only real one; tests bring a small one.
package protocol ReviewStore: Sendable {
    var hub: HubID { get }
    /// The key of its statements and cosignatures, by which footage is checked offline.
    var hubKey: NoteKey { get }
    func nodeSummaries() async throws -> [NodeSummary]
    func nodeSummary(_ node: NodeID) async throws -> NodeSummary?
    /// Nil when there is no such camera. At most 32 days.
    func timeline(node: NodeID, camera: CameraID, from: Int64, to: Int64, nowUnixMilliseconds: Int64) async throws -> CameraTimeline?
    /// A segment of this camera's main stream with this content that reaches into the window, if the hub holds it:
    /// authorisation judges the loaded object.
    func segment(_ hash: ContentHash, node: NodeID, camera: CameraID, within window: Range<Int64>?) async throws -> PlayableSegment?
    func blob(_ hash: ContentHash) async throws -> (any ReadingFile)?
    func proof(node: NodeID, segments: [SegmentID]) async throws -> ProofBundle?
}

extension HubStore: ReviewStore {}
