import EvidenceLog
import RecordingModel

/// What the newest entries of one stream say of its time: which of it is accounted for, by footage or by a gap.
struct StreamTimeline {
    struct Span {
        var bootID: String
        var start: Int64
        var end: Int64
        var startUnix: Int64
        /// How the start's wall time is known; of a span in the log it is read there when it is asked for.
        var wall: WallEstimate?
        var logIndex: UInt64?
        var endUnix: Int64 { startUnix + max(0, end - start) }
    }
    let stream: StreamID
    private let writer: JournalWriter
    /// In the order of the log.
    private(set) var spans: [Span] = []

    /// Recovery may add footage to the log that is older than what stands before it, but not by more entries.
    private static let limit = 1_000
    /// A longer time between two boots says that a clock was wrong.
    private static let longestKnown: Int64 = 10 * 366 * 86_400_000

    init(stream: StreamID, writer: JournalWriter) throws {
        self.stream = stream
        self.writer = writer
        for row in try writer.index.lastSpans(of: stream, limit: Self.limit).reversed() {
            guard let start = row.startBootMilliseconds, let end = row.endBootMilliseconds, let unix = row.startUnixMilliseconds else { continue }
            add(Span(bootID: row.bootID, start: start, end: end, startUnix: unix, wall: nil, logIndex: row.index))
        }
    }

    mutating func add(_ span: Span) {
        spans.append(span)
        if spans.count > 2 * Self.limit { spans.removeFirst(Self.limit) }
    }

    /// Up to where the newest boot in the log is accounted for.
    var last: Span? { Self.last(spans[...]) }

    private static func last(_ spans: some BidirectionalCollection<Span>) -> Span? {
        guard let boot = spans.last?.bootID else { return nil }
        return spans.filter { $0.bootID == boot }.max { $0.end < $1.end }
    }

    /// The gap between what is known before a span and the span; nil when there is none, or nothing is known.
    /// - Parameter others: spans that will be in the log too.
    func gap(before span: Span, with others: [Span], cause: GapCause, detail: String) throws -> GapRecord? {
        let before = (spans + others).filter { $0.bootID == span.bootID && $0.start < span.start }.max { $0.end < $1.end }
        if let before { return try gap(from: before, lasting: span.start - before.end, cause, detail) }
        guard let last = Self.last(spans.filter { $0.bootID != span.bootID }), last.endUnix != span.startUnix else { return nil }
        return try gap(after: last, untilUnix: wall(of: span), cause: cause, detail: detail)
    }

    /// The gap from the last known end of an earlier boot. Where a clock was not set it stands without a length.
    func gap(after last: Span, untilUnix wall: WallEstimate, cause: GapCause, detail: String) throws -> GapRecord? {
        let duration = wall.unixMilliseconds - last.endUnix
        let isKnown = try wall.source != .none && self.wall(of: last).source != .none && (0...Self.longestKnown).contains(duration)
        let detail = isKnown ? detail : detail + "; the clock was not set, so its length is not known"
        return try record(from: last, lasting: isKnown ? duration : 0, cause, detail)
    }

    private func gap(from last: Span, lasting duration: Int64, _ cause: GapCause, _ detail: String) throws -> GapRecord? {
        duration > 0 ? try record(from: last, lasting: duration, cause, detail) : nil
    }

    /// Within one boot nothing before `now` is left unsaid.
    func gap(until now: Moment, bootID: String, cause: GapCause, detail: String) throws -> GapRecord? {
        guard let last else { return nil }
        if last.bootID == bootID { return try gap(from: last, lasting: now.bootMilliseconds - last.end, cause, detail) }
        return try gap(after: last, untilUnix: now.wall, cause: cause, detail: detail)
    }

    private func wall(of span: Span) throws -> WallEstimate {
        if let wall = span.wall { return wall }
        let entry = try span.logIndex.flatMap { try writer.log.lines($0..<($0 + 1)).first }.map { try LogEntry(line: $0) }
        return switch entry?.body {
        case .segment(let record): record.startWall
        case .gap(let gap): gap.startWall
        default: WallEstimate(unixMilliseconds: span.startUnix, source: .none, uncertaintyMilliseconds: 0)
        }
    }

    /// It begins where that span ends, and its time is known as well as that one's was.
    private func record(from last: Span, lasting duration: Int64, _ cause: GapCause, _ detail: String) throws -> GapRecord {
        var wall = try wall(of: last)
        wall.unixMilliseconds = last.endUnix
        return GapRecord(
            stream: stream, bootID: last.bootID, startBootMilliseconds: last.end, startWall: wall, durationMilliseconds: duration, cause: cause,
            detail: detail
        ).plausible
    }
}

extension StreamTimeline.Span {
    init(_ record: SegmentRecord) {
        self.init(
            bootID: record.bootID, start: record.startBootMilliseconds, end: record.endBootMilliseconds,
            startUnix: record.startWall.unixMilliseconds, wall: record.startWall)
    }

    init(_ gap: GapRecord) {
        self.init(
            bootID: gap.bootID, start: gap.startBootMilliseconds, end: gap.startBootMilliseconds + gap.durationMilliseconds,
            startUnix: gap.startWall.unixMilliseconds, wall: gap.startWall)
    }
}
