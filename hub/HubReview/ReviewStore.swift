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
    /// A segment of these streams of this camera with this content that reaches into the window, if the hub holds it:
    /// authorisation judges the loaded object.
    func segment(_ hash: ContentHash, node: NodeID, camera: CameraID, kinds: Set<StreamKind>, within window: Range<Int64>?) async throws -> PlayableSegment?
    /// Objects of thumbnails that the hub holds, in order of time; at most `HubStore.thumbnailObjectsMax`.
    func thumbnailObjects(node: NodeID, camera: CameraID, within window: Range<Int64>) async throws -> [PlayableSegment]
    func blob(_ hash: ContentHash) async throws -> (any ReadingFile)?
    func proof(node: NodeID, segments: [SegmentID]) async throws -> ProofBundle?
    /// - Throws: `HubStore.RequestFault`, which is the asker's.
    func addRequest(_ new: NewFootageRequest, node: NodeID, user: String, nowUnixMilliseconds: Int64) async throws -> FootageRequest
    func withdrawRequest(_ id: Int64, user: String, nowUnixMilliseconds: Int64) async throws -> FootageRequest
    func request(_ id: Int64) async throws -> FootageRequest?
    /// The open ones, and where asked for those that have ended.
    func requests(node: NodeID?, camera: CameraID?, withEnded: Bool) async throws -> [FootageRequest]
    /// Sorted by who needs attention.
    func syncStatuses(of node: NodeID?, nowUnixMilliseconds: Int64) async throws -> [NodeSyncStatus]
    /// Of all time, the newest first.
    func powerChanges(of node: NodeID, limit: Int) async throws -> [PowerChange]
}

extension HubStore: ReviewStore {}
