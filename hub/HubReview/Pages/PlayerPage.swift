import HubStore
import Hummingbird
import RecordingModel

extension ReviewService {
    func addPlayerPages(to router: some RouterMethods<ReviewContext>) {
        router.get("nodes/:node/cameras/:camera/play") { [self] request, context in
            guard try context.requireSession().role.mayViewFootage else { throw Problem.noFootageRight }
            let window = try request.window(atMost: ReviewLimits.playMilliseconds)
            let node = try context.node()
            guard let summary = try await store.nodeSummary(node) else { throw Problem.notFound }
            let timeline = try await loadTimeline(node: node, camera: try context.camera(), window)
            let link = try await makeLink(node: node, camera: timeline.camera, window, context: context)
            let role = try context.requireSession().role
            var values = PlayerValues(timeline, nodeName: summary.name, link: link, mayAsk: role.mayRequestFootage)
            values.strip = ThumbnailStrip(try await stills(of: timeline, context: context), of: timeline)
            return try pages.page("play", title: "\(timeline.camera), \(WallText.readable(window.lowerBound))", values, session: context.session, script: "player.js")
        }
    }
}

struct PlayerValues {
    struct Segment {
        var address: String
        var start: String
        var duration: String
        var bytes: String
        var correction: String?
        /// What it is, where it is not the footage itself.
        var note: String?
    }
    /// A page with more rows than this helps nobody.
    private static let listedMax = 500

    var nodeName: String
    var nodeAddress: String
    var camera: String
    var dayAddress: String
    var day: String
    var start: String
    var end: String
    var here: String
    var index: String
    var segmentAddress: String
    var segmentStarts: String
    var link: String
    var isLinkShortened: Bool
    var listAddress: String
    var segments: [Segment]
    var isCut: Bool
    var isEmpty: Bool
    var hasStandIns: Bool
    /// For all of this time that is only on the node, where somebody may ask for it.
    var ask: FootageAsk?
    /// Something was asked for, or is on its way.
    var isComing: Bool
    /// Of what has nothing better.
    var strip: ThumbnailStrip?

    init(_ timeline: CameraTimeline, nodeName: String, link: String, mayAsk: Bool = false) {
        let address = "/nodes/\(timeline.node)/cameras/\(timeline.camera)"
        let from = timeline.startUnixMilliseconds
        let to = timeline.endUnixMilliseconds
        let listEnd = min(to, from + ReviewLimits.playlistMilliseconds)
        let query = "node=\(timeline.node)&camera=\(timeline.camera)"
        self.nodeName = nodeName
        nodeAddress = "/nodes/\(timeline.node)"
        camera = timeline.camera.description
        day = WallText.day(from)
        dayAddress = "\(address)?day=\(day)"
        start = WallText.readable(from)
        end = WallText.readable(to)
        here = "\(address)/play?from=\(from)&to=\(to)"
        index = "\(address)/play.json?from=\(from)&to=\(to)"
        segmentAddress = "/api/v1/segments/{hash}?\(query)"
        let played = PlayIndex(timeline).segments
        let starts = played.prefix(5_000).map { String(Double(Int(($0.start * 1_000).rounded())) / 1_000) }
        segmentStarts = "[\(starts.joined(separator: ","))]"
        self.link = link
        isLinkShortened = listEnd < to
        listAddress = "\(address)/index.m3u8?from=\(from)&to=\(listEnd)"
        segments = zip(timeline.segments, played).prefix(Self.listedMax).map { segment, played in
            let record = segment.record
            return Segment(
                address: "/api/v1/segments/\(record.sha256)?\(query)", start: WallText.readable(segment.startUnixMilliseconds),
                duration: WallText.duration(record.durationMilliseconds), bytes: AmountText.bytes(record.bytes),
                correction: segment.isTimeCorrected ? StateWords.correction(of: segment) : nil, note: played.note)
        }
        isCut = timeline.segments.count > Self.listedMax
        isEmpty = !timeline.spans.contains(where: \.isPlayable)
        hasStandIns = timeline.spans.contains { $0.standIn != nil }
        let onlyOnNode = timeline.spans.filter { $0.state == .onlyOnNode }
        if mayAsk, let first = onlyOnNode.first, let last = onlyOnNode.last {
            ask = FootageAsk(action: "\(address)/requests", from: "\(first.startUnixMilliseconds)", to: "\(last.endUnixMilliseconds)", playFrom: "\(from)", playTo: "\(to)")
        }
        isComing = timeline.spans.contains { [.requested, .transferring].contains($0.state) }
    }
}
