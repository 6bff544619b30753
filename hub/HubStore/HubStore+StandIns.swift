import GRDB
import RecordingModel

/// What the hub has in the place of footage that it lacks: proxies and thumbnails, whose entries say of which segments they were made.
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
    /// - Returns: their proxies, in order of time.
    static func standIn(for segments: inout [KnownSegment], _ db: Database, _ node: NodeID, _ camera: CameraID, _ from: Int64, _ to: Int64) throws -> [PlayableSegment] {
        var lacking: [String: SequenceRanges] = [:]
        for segment in segments where !segment.isHeld { lacking[segment.log, default: SequenceRanges()].insert(segment.segment.record.sequence) }
        guard !lacking.isEmpty else { return [] }
        var proxies: [PlayableSegment] = []
        // The better one last, so that it stands.
        for (kind, standIn) in [(StreamKind.thumbs, StandIn.thumbnails), (.proxy, .proxy)] {
            var covered: [String: SequenceRanges] = [:]
            let rows = try Row.fetchCursor(
                db, sql: "SELECT json_extract(record, '$.made.sources') AS sources, record, log, log_index, start_ms, corrected_uncertainty_ms \(standInRows)",
                arguments: standInArguments(node, camera, kind, from - standInMarginMilliseconds, to + standInMarginMilliseconds))
            while let row = try rows.next() {
                guard let sources = (row["sources"] as String?).flatMap({ SequenceRanges($0) }) else { continue }
                let log: String = row["log"]
                for range in sources.ranges { covered[log, default: SequenceRanges()].insert(range) }
                // A proxy is of one segment.
                if kind == .proxy, let source = sources.first, lacking[log]?.contains(source) == true { proxies.append(try playable(row)) }
            }
            for index in segments.indices where !segments[index].isHeld && covered[segments[index].log]?.contains(segments[index].segment.record.sequence) == true {
                segments[index].standIn = standIn
            }
        }
        return proxies
    }

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
