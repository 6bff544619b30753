import HubStore
import Hummingbird
import RecordingModel

extension ReviewService {
    func addCameraPages(to router: some RouterMethods<ReviewContext>) {
        router.get("nodes/:node/cameras/:camera") { [self] request, context in
            let now = now
            let text = try request.query("day") ?? WallText.day(now)
            guard let start = WallText.startOfDay(text) else {
                throw Problem(.badRequest, "The parameter day must be a day such as \(WallText.day(now)).", field: "day")
            }
            let node = try context.node()
            guard let summary = try await store.nodeSummary(node) else { throw Problem.notFound }
            let hour = try request.query("hour").map { text in
                guard let hour = Int64(text), (0...23).contains(hour) else { throw Problem(.badRequest, "The parameter hour must be 0 to 23.", field: "hour") }
                return hour
            }
            let timeline = try await loadTimeline(node: node, camera: try context.camera(), start..<(start + WallText.dayMilliseconds))
            try await audit(.viewTimeline, "\(node)/\(timeline.camera) \(text)", context: context)
            let role = try context.requireSession().role
            var values = CameraDayValues(
                timeline, nodeName: summary.name, day: text, now: now, mayView: role.mayViewFootage, mayAsk: role.mayRequestFootage)
            if role.mayViewFootage {
                let window = hour.map { (start + $0 * 3_600_000)..<(start + ($0 + 1) * 3_600_000) } ?? start..<(start + WallText.dayMilliseconds)
                let limit = hour == nil ? ReviewLimits.thumbnailsOfDay : ReviewLimits.thumbnailsOfHour
                let thumbnails = try await thumbnails(node: node, camera: timeline.camera, window, atMost: limit, context: context)
                values.strip = ThumbnailStrip(thumbnails, of: timeline, day: text, hour: hour)
            }
            return try pages.page("day", title: "\(timeline.camera) on \(text)", values, session: context.session)
        }
    }
}

/// One camera's day: the bar, and the same as a table.
struct CameraDayValues {
    struct Row {
        var start: String
        var end: String
        var duration: String
        var state: String
        var css: String
        var reason: String
        /// Not `play`: a template looks for a missing name in what is around it, and finds the day's.
        var watch: String?
        /// Where the node can be asked for it.
        var ask: FootageAsk?
    }
    struct CloseUp {
        var bar: String
        var begin: String
        var end: String
    }
    struct Total {
        var state: String
        var css: String
        var duration: String
        var explanation: String
        /// Of what the hub has in the place of footage: it is of time that a state counts already.
        var isStandIn = false
    }
    struct Event {
        var start: String
        var duration: String
        var words: String
        var watch: String?
    }
    var nodeName: String
    var nodeAddress: String
    var camera: String
    var day: String
    var previous: String
    var next: String?
    var today: String
    var bar: String
    /// The same again, larger, where all that is known of the day lies within a few hours.
    var closeUp: CloseUp?
    var play: String?
    /// Nil where there are no thumbnails, or nobody who may see them.
    var strip: ThumbnailStrip?
    /// For all of the day that is only on the node, where that is more than one row.
    var askForAll: FootageAsk?
    var rows: [Row]
    var totals: [Total]
    var events: [Event]
    var hasEvents: Bool
    var areEventsCut: Bool
    /// What came from cards, one sentence each.
    var imports: [String]
    var hasImports: Bool
    /// Changes of the node's power state, one sentence each.
    var powers: [String]
    var hasPowers: Bool
    var isTimeCorrected: Bool
    var asOf: String

    init(_ timeline: CameraTimeline, nodeName: String, day: String, now: Int64, mayView: Bool, mayAsk: Bool = false) {
        let address = "/nodes/\(timeline.node)/cameras/\(timeline.camera)"
        let start = timeline.startUnixMilliseconds
        // What lies ahead is nobody's unknown: the table ends now.
        let spans = timeline.spans.compactMap { span -> TimelineSpan? in
            guard span.state == .unknown, span.endUnixMilliseconds > now else { return span }
            guard span.startUnixMilliseconds < now else { return nil }
            return TimelineSpan(startUnixMilliseconds: span.startUnixMilliseconds, endUnixMilliseconds: now, state: .unknown)
        }
        self.nodeName = nodeName
        nodeAddress = "/nodes/\(timeline.node)"
        camera = timeline.camera.description
        self.day = day
        previous = "\(address)?day=\(WallText.day(max(0, start - WallText.dayMilliseconds)))"
        next = start + WallText.dayMilliseconds <= now ? "\(address)?day=\(WallText.day(start + WallText.dayMilliseconds))" : nil
        today = WallText.day(now)
        bar = DayBar.svg(spans, events: timeline.events, from: start, to: timeline.endUnixMilliseconds, label: "\(timeline.camera) on \(day), 24 hours UTC")
        closeUp = Self.closeUp(spans, events: timeline.events, camera: timeline.camera)
        asOf = WallText.readable(timeline.asOfUnixMilliseconds)
        func playAddress(_ from: Int64, _ to: Int64) -> String { "\(address)/play?from=\(from)&to=\(to)" }
        let held = spans.filter(\.isPlayable)
        play = if mayView, let first = held.first, let last = held.last {
            playAddress(first.startUnixMilliseconds, last.endUnixMilliseconds)
        } else {
            nil
        }
        func ask(_ span: TimelineSpan?, to end: Int64?) -> FootageAsk? {
            guard mayAsk, let span, let end, span.state == .onlyOnNode else { return nil }
            return FootageAsk(action: "\(address)/requests", from: "\(span.startUnixMilliseconds)", to: "\(end)")
        }
        let onlyOnNode = spans.filter { $0.state == .onlyOnNode }
        askForAll = onlyOnNode.count > 1 ? ask(onlyOnNode.first, to: onlyOnNode.last?.endUnixMilliseconds) : nil
        rows = spans.map { span in
            Row(
                start: WallText.time(span.startUnixMilliseconds),
                end: span.endUnixMilliseconds - start == WallText.dayMilliseconds ? "24:00:00" : WallText.time(span.endUnixMilliseconds),
                duration: WallText.duration(span.durationMilliseconds), state: StateWords.state(span), css: span.state.rawValue,
                reason: [StateWords.cause(span.cause), span.detail].compactMap { $0 }.joined(separator: ": "),
                watch: mayView && span.isPlayable ? playAddress(span.startUnixMilliseconds, span.endUnixMilliseconds) : nil,
                ask: ask(span, to: span.endUnixMilliseconds))
        }
        isTimeCorrected = spans.contains { $0.isTimeCorrected == true }
        events = timeline.events.map { event in
            let isHeld = held.contains { $0.startUnixMilliseconds <= event.startUnixMilliseconds && $0.endUnixMilliseconds > event.startUnixMilliseconds }
            return Event(
                start: WallText.time(event.startUnixMilliseconds), duration: WallText.duration(event.endUnixMilliseconds - event.startUnixMilliseconds),
                words: StateWords.event(event) + (event.isTimeCorrected == true ? "; clock corrected by the node later" : ""),
                watch: mayView && isHeld ? playAddress(event.startUnixMilliseconds, max(event.endUnixMilliseconds, event.startUnixMilliseconds + 60_000)) : nil)
        }
        hasEvents = !events.isEmpty
        areEventsCut = events.count >= CameraTimeline.listMax
        imports = timeline.imports.map { item in
            "\(WallText.time(item.startUnixMilliseconds)) to \(WallText.time(item.endUnixMilliseconds)): imported from \(item.record.originalName) by \(item.record.operatorName), time from \(StateWords.timeSource(item.record))"
                + (item.record.missing.map { "; missing: \($0)" } ?? "")
        }
        hasImports = !imports.isEmpty
        powers = (timeline.powers ?? []).map { change in "\(WallText.time(change.unixMilliseconds)) \(change.words { WallText.readable($0) })" }
        hasPowers = !powers.isEmpty
        let sums = Timeline.totals(spans)
        let standIns = Timeline.standIns(spans)
        totals = SpanState.allCases.map { state in
            Total(
                state: StateWords.name(state), css: state.rawValue, duration: sums[state].map { WallText.duration($0) } ?? "0 s",
                explanation: StateWords.explanation(state))
        } + StandIn.allCases.map { standIn in
            Total(
                state: StateWords.standIn(standIn), css: standIn.rawValue, duration: standIns[standIn].map { WallText.duration($0) } ?? "0 s",
                explanation: StateWords.explanation(standIn), isStandIn: true)
        }
    }

    private static func closeUp(_ spans: [TimelineSpan], events: [TimelineEvent], camera: CameraID) -> CloseUp? {
        let known = spans.filter { $0.state != .unknown }
        guard let begin = known.first?.startUnixMilliseconds, let end = known.last?.endUnixMilliseconds, end - begin < 6 * 3_600_000 else { return nil }
        let within = spans.filter { $0.startUnixMilliseconds < end && $0.endUnixMilliseconds > begin }
        let label = "\(camera) from \(WallText.time(begin)) to \(WallText.time(end)) UTC"
        return CloseUp(
            bar: DayBar.svg(within, events: events, from: begin, to: end, label: label, hasHours: false), begin: WallText.time(begin), end: WallText.time(end))
    }
}
