import HTTPTypes
import HubStore
import Hummingbird
import RecordingModel

extension ReviewService {
    private static let playlistType = "application/vnd.apple.mpegurl"

    /// With a session: Safari, and `curl` with a bearer token.
    func addPlaylistRoutes(to router: some RouterMethods<ReviewContext>) {
        router.get("nodes/:node/cameras/:camera/index.m3u8") { [self] request, context in
            guard try context.requireSession().role.mayViewFootage else { throw Problem.noFootageRight }
            let window = try request.window(atMost: ReviewLimits.playlistMilliseconds)
            let timeline = try await loadTimeline(node: try context.node(), camera: try context.camera(), window)
            let list = Playlist(timeline, nowUnixMilliseconds: now).text { record in
                "/api/v1/segments/\(record.sha256)?node=\(timeline.node)&camera=\(timeline.camera)"
            }
            return Response.text(list, type: Self.playlistType)
        }
    }

    /// Without a session: the word in the path is the leave.
    func addLinkedPlaylistRoutes(to router: some RouterMethods<ReviewContext>) {
        router.get("hls/:word/index.m3u8") { [self] _, context in
            let capability = try await linkedCapability(context)
            let timeline = try await loadTimeline(node: capability.node, camera: capability.camera, capability.window)
            return Response.text(Playlist(timeline, nowUnixMilliseconds: now).text { "\($0.sha256).mp4" }, type: Self.playlistType)
        }
        router.get("hls/:word/{hash}.mp4") { [self] request, context in
            let capability = try await linkedCapability(context)
            guard let hash = context.parameters.get("hash").flatMap({ ContentHash($0) }),
                let segment = try await store.segment(hash, node: capability.node, camera: capability.camera, kinds: [.main, .proxy], within: capability.window)
            else { throw Problem.notFound }
            try await accounts.record(
                user: capability.user, address: context.address, action: .viewSegment, object: "\(capability.node)/\(segment.record.id) \(hash) by link",
                nowUnixMilliseconds: now)
            return try await segmentAnswer(segment, to: request)
        }
    }

    /// The address of a list that plays without a cookie for 12 hours at most. Making it is written down.
    func makeLink(node: NodeID, camera: CameraID, _ window: Range<Int64>, context: ReviewContext) async throws -> String {
        let user = try context.requireSession().user
        guard let token = context.token else { throw Problem(.unauthorized, "Sign in first.") }
        let end = min(window.upperBound, window.lowerBound + ReviewLimits.playlistMilliseconds)
        let capability = Capability(
            user: user, session: token.reference, node: node, camera: camera, from: window.lowerBound, to: end, until: now + Capability.lifetimeMilliseconds)
        try await audit(.makeLink, "\(node)/\(camera) \(window.lowerBound)-\(end)", context: context)
        return "/hls/\(try capabilities.word(for: capability))/index.m3u8"
    }

    /// A link does no more than its maker could do now: it ends with the session, the user and the right.
    private func linkedCapability(_ context: ReviewContext) async throws -> Capability {
        guard let capability = context.parameters.get("word").flatMap({ capabilities.capability(in: $0, nowUnixMilliseconds: now) }),
            let session = try await accounts.session(forReference: capability.session, of: capability.user, nowUnixMilliseconds: now),
            session.role.mayViewFootage
        else {
            throw Problem(.forbidden, "This link is not valid, or no longer. Open the player page again for a new one.")
        }
        return capability
    }
}
