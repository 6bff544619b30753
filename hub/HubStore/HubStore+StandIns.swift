import GRDB
import RecordingModel

/// What the hub has in the place of footage that it lacks: proxies and thumbnails, whose entries say of which segments they were made,
/// and recordings of a camera's own small stream, whose times say what they show.
extension HubStore {
    /// Objects of thumbnails in an answer at most: a day has 24, and one more for each restart of the node.
    package static let thumbnailObjectsMax = 512
    /// An object's first picture may be later than the first segment that it is of, and its last segment longer than its hour.
    private static let standInMarginMilliseconds: Int64 = 120_000

    private static let standInRows = """
        FROM segments WHERE node = ? AND camera = ? AND kind = ? AND held = 1 AND end_ms > ? AND end_ms < ? AND start_ms < ? ORDER BY start_ms, log_index
        """

    private static func standInArguments(_ node: NodeID, _ camera: CameraID, _ kind: StreamKind, _ from: Int64, _ to: Int64) -> StatementArguments {
        [node.description, camera.description, kind.rawValue, from, to + segmentMillisecondsMax, to]
    }

    /// Says of the segments that the hub lacks what it has instead.
    /// - Returns: their proxies, and what was recorded of the camera's own small stream, both in order of time.
    static func standIn(for segments: inout [KnownSegment], _ db: Database, _ node: NodeID, _ camera: CameraID, _ from: Int64, _ to: Int64) throws
        -> (proxies: [PlayableSegment], subStream: [PlayableSegment])
    {
        var lacking: [String: SequenceRanges] = [:]
        for segment in segments where !segment.isHeld { lacking[segment.log, default: SequenceRanges()].insert(segment.segment.record.sequence) }
        var (proxies, subStream) = ([PlayableSegment](), [PlayableSegment]())
        // The better one last, so that it stands.
        for (kind, standIn) in [(StreamKind.thumbs, StandIn.thumbnails), (.proxy, .proxy)] where kind == .proxy || !lacking.isEmpty {
            var covered: [String: SequenceRanges] = [:]
            /// Of pictures that were made of the small stream, whose numbers are not the main one's.
            var times: [Range<Int64>] = []
            let rows = try Row.fetchCursor(
                db, sql: "SELECT json_extract(record, '$.made.sources') AS sources, json_extract(record, '$.made.sourceKind') AS source_kind, json_extract(record, '$.made') IS NULL AS is_own, record, log, log_index, start_ms, corrected_uncertainty_ms \(standInRows)",
                arguments: standInArguments(node, camera, kind, from - standInMarginMilliseconds, to + standInMarginMilliseconds))
            while let row = try rows.next() {
                if kind == .proxy, row["is_own"] {
                    subStream.append(try playable(row))
                    continue
                }
                if (row["source_kind"] as String?) == StreamKind.proxy.rawValue {
                    let object = try playable(row)
                    times.append(object.startUnixMilliseconds..<max(object.startUnixMilliseconds, object.endUnixMilliseconds))
                    continue
                }
                guard let sources = (row["sources"] as String?).flatMap({ SequenceRanges($0) }) else { continue }
                let log: String = row["log"]
                for range in sources.ranges { covered[log, default: SequenceRanges()].insert(range) }
                // A proxy is of one segment.
                if kind == .proxy, let source = sources.first, lacking[log]?.contains(source) == true { proxies.append(try playable(row)) }
            }
            for index in segments.indices where !segments[index].isHeld {
                let segment = segments[index].segment
                let isCovered = covered[segments[index].log]?.contains(segment.record.sequence) == true
                if isCovered || times.contains(where: { $0.overlaps(segment.startUnixMilliseconds..<max(segment.startUnixMilliseconds, segment.endUnixMilliseconds)) }) {
                    segments[index].standIn = standIn
                }
            }
        }
        return (proxies, subStream)
    }

    /// Puts a camera's own small stream in the place of what is not here, gaps of the main stream included. Its segments begin and end
    /// where they will: those count whose middle lies in such a time, so that none is shown in the place of much footage.
    /// - Parameter recorded: in order of time; of a node that lost its log perhaps the same time twice.
    /// - Returns: the same spans, split where it begins and ends, and its segments to show.
    static func standIn(_ recorded: [PlayableSegment], for spans: [TimelineSpan]) -> (spans: [TimelineSpan], shown: [PlayableSegment]) {
        func isLacking(_ span: TimelineSpan) -> Bool { span.state != .onHub && span.state != .unknown && span.standIn != .proxy }
        guard let from = spans.first?.startUnixMilliseconds, let to = spans.last?.endUnixMilliseconds else { return (spans, []) }
        var (rest, shownUntil) = (spans[...], Int64.min)
        let shown = recorded.filter { segment in
            let middle = (max(from, segment.startUnixMilliseconds) + min(to, segment.endUnixMilliseconds)) / 2
            rest = rest.drop { $0.endUnixMilliseconds <= middle }
            guard let span = rest.first, span.startUnixMilliseconds <= middle, isLacking(span), middle >= shownUntil else { return false }
            shownUntil = segment.endUnixMilliseconds
            return true
        }
        var next = shown[...]
        var result: [TimelineSpan] = []
        func add(_ span: TimelineSpan, until end: Int64, _ start: Int64, _ standIn: StandIn?) {
            guard end > start else { return }
            if let last = result.last, last.standIn == standIn, last.state == span.state, last.cause == span.cause, last.endUnixMilliseconds > span.startUnixMilliseconds {
                result[result.count - 1].endUnixMilliseconds = end
                return
            }
            var piece = span
            (piece.startUnixMilliseconds, piece.endUnixMilliseconds, piece.standIn) = (start, end, standIn)
            result.append(piece)
        }
        for span in spans {
            guard isLacking(span) else {
                result.append(span)
                continue
            }
            next = next.drop { $0.endUnixMilliseconds <= span.startUnixMilliseconds }
            var done = span.startUnixMilliseconds
            for segment in next {
                guard segment.startUnixMilliseconds < span.endUnixMilliseconds else { break }
                // Two segments that follow one another may be a rounding apart.
                if segment.startUnixMilliseconds - done > roundingMilliseconds {
                    add(span, until: segment.startUnixMilliseconds, done, span.standIn)
                    done = segment.startUnixMilliseconds
                }
                let end = min(segment.endUnixMilliseconds, span.endUnixMilliseconds)
                add(span, until: end, done, .proxy)
                done = max(done, end)
            }
            add(span, until: span.endUnixMilliseconds, done, span.standIn)
        }
        return (result, shown)
    }
    private static let roundingMilliseconds: Int64 = 100

    /// Those that stand in for a span, and of each time one: a node that lost its log tells of the same footage under two.
    static func shown(_ proxies: [PlayableSegment], in spans: [TimelineSpan]) -> [PlayableSegment] {
        var rest = spans.filter { $0.standIn == .proxy }[...]
        guard let from = spans.first?.startUnixMilliseconds, let to = spans.last?.endUnixMilliseconds else { return [] }
        var shownUntil = Int64.min
        return proxies.filter { proxy in
            let middle = (max(from, proxy.startUnixMilliseconds) + min(to, proxy.endUnixMilliseconds)) / 2
            rest = rest.drop { $0.endUnixMilliseconds <= middle }
            guard let span = rest.first, span.startUnixMilliseconds <= middle, middle >= shownUntil else { return false }
            shownUntil = proxy.endUnixMilliseconds
            return true
        }
    }

    /// Objects of thumbnails that the hub holds and that reach into the window, in order of time.
    package func thumbnailObjects(node: NodeID, camera: CameraID, within window: Range<Int64>) async throws -> [PlayableSegment] {
        try await catalogue.read { db in
            try Row.fetchAll(
                db, sql: "SELECT record, log_index, start_ms, corrected_uncertainty_ms \(Self.standInRows) LIMIT \(Self.thumbnailObjectsMax)",
                arguments: Self.standInArguments(node, camera, .thumbs, window.lowerBound, window.upperBound)
            ).map { try Self.playable($0) }
        }
    }
}
