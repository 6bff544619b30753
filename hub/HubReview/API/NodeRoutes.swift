import EvidenceLog
import HubStore
import Hummingbird
import RecordingModel

extension ReviewService {
    /// Whose signatures a check of footage may believe. `fieldpost login` keeps it.
    private struct HubAnswer: Encodable {
        var hub: HubID
        var hubKey: String
    }

    func addNodeRoutes(to router: some RouterMethods<ReviewContext>) {
        router.get("api/v1/hub") { [self] _, _ in try Response.json(HubAnswer(hub: store.hub, hubKey: store.hubKey.text)) }
        router.get("api/v1/nodes") { [self] _, _ in
            try Response.json(NodeList(asOfUnixMilliseconds: now, nodes: try await store.nodeSummaries()))
        }
        router.get("api/v1/nodes/:node/cameras/:camera/timeline") { [self] request, context in
            let window = try request.window(atMost: ReviewLimits.timelineMilliseconds)
            let timeline = try await loadTimeline(node: try context.node(), camera: try context.camera(), window)
            try await audit(.viewTimeline, "\(timeline.node)/\(timeline.camera) \(window.lowerBound)-\(window.upperBound)", context: context)
            return try Response.json(timeline)
        }
        router.get("nodes/:node/cameras/:camera/play.json") { [self] request, context in
            guard try context.requireSession().role.mayViewFootage else { throw Problem.noFootageRight }
            let window = try request.window(atMost: ReviewLimits.playMilliseconds)
            let timeline = try await loadTimeline(node: try context.node(), camera: try context.camera(), window)
            return try Response.json(PlayIndex(timeline, thumbnails: try await stills(of: timeline, context: context)))
        }
    }

    /// Pictures for what has nothing better, the one before the window included.
    func stills(of timeline: CameraTimeline, context: ReviewContext) async throws -> [Thumbnail] {
        guard timeline.spans.contains(where: { $0.standIn == .thumbnails }) else { return [] }
        let window = (timeline.startUnixMilliseconds - PlayIndex.stillMillisecondsMax)..<timeline.endUnixMilliseconds
        return try await thumbnails(node: timeline.node, camera: timeline.camera, window, atMost: ReviewLimits.thumbnailsOfWindow, context: context)
    }

    /// The timeline of a camera that exists, with the segments that play: of the main stream, and proxies where it is not here.
    func loadTimeline(node: NodeID, camera: CameraID, _ window: Range<Int64>) async throws -> CameraTimeline {
        let timeline = try await store.timeline(
            node: node, camera: camera, from: window.lowerBound, to: window.upperBound, nowUnixMilliseconds: now)
        guard var timeline else { throw Problem.notFound }
        timeline.segments.sort { ($0.startUnixMilliseconds, $0.record.sequence) < ($1.startUnixMilliseconds, $1.record.sequence) }
        return timeline
    }
}
