import EvidenceLog
import GRDB
import RecordingModel

/// What the catalogue holds of a camera's time, each at the time that all clock entries together give it.
extension HubStore {
    struct KnownSegment {
        var segment: PlayableSegment
        var isHeld: Bool
        /// Why the node has it no longer; nil while it has.
        var gone: String?
        /// What the hub lacks may be asked for, or have begun to come.
        var isRequested = false
        var isArriving = false
        /// Of which log its number is.
        var log: String
        /// What the hub has instead.
        var standIn: StandIn?

        var span: TimelineSpan {
            var words: [String] = []
            let state: SpanState = isHeld ? .onHub : isArriving ? .transferring : gone != nil ? .lost : isRequested ? .requested : .onlyOnNode
            if state == .lost { words.append(HubStore.lostWords(gone)) }
            if segment.isTimeCorrected { words.append(HubStore.correctedWords(segment.correctedUncertaintyMilliseconds)) }
            return TimelineSpan(
                startUnixMilliseconds: segment.startUnixMilliseconds, endUnixMilliseconds: segment.endUnixMilliseconds, state: state,
                detail: words.isEmpty ? nil : words.joined(separator: "; "), isTimeCorrected: segment.isTimeCorrected ? true : nil,
                standIn: isHeld ? nil : standIn)
        }
    }

    static func lostWords(_ gone: String?) -> String {
        switch gone.flatMap({ RemovalRecord.Reason(rawValue: $0) }) {
        case .space: "overwritten at the node before it was forwarded"
        case .age: "older than the node keeps footage, and deleted there before it was forwarded"
        case .reduced: "reduced at the node to a smaller copy before it was forwarded"
        case .unrecognised: "deleted at the node before it was forwarded, for a reason that this hub does not know"
        case .missing: "its file was missing at the node"
        case nil: "deleted at the node under this hub's statement, and not here any more"
        }
    }

    /// `clock corrected by the node later (±1.3 s)`
    static func correctedWords(_ uncertaintyMilliseconds: Int64?) -> String {
        guard let uncertaintyMilliseconds else { return "clock corrected by the node later" }
        let words = switch uncertaintyMilliseconds {
        case ..<100_000: "\(uncertaintyMilliseconds / 1_000).\(uncertaintyMilliseconds / 100 % 10) s"
        case ..<7_200_000: "\(uncertaintyMilliseconds / 60_000) min"
        case ..<172_800_000: "\(uncertaintyMilliseconds / 3_600_000) h"
        default: "\(uncertaintyMilliseconds / 86_400_000) d"
        }
        return "clock corrected by the node later (\u{b1}\(words))"
    }

    /// Longer than any segment, an hour's thumbnails included: with it the index on the end bounds a window on both sides.
    static let segmentMillisecondsMax: Int64 = 7_200_000

    static func segments(_ db: Database, _ node: NodeID, _ camera: CameraID, _ from: Int64, _ to: Int64, withImports: Bool = true) throws -> [KnownSegment] {
        try Row.fetchAll(
            db,
            sql: """
                SELECT record, log, log_index, held, gone, start_ms, corrected_uncertainty_ms FROM segments
                WHERE node = ? AND camera = ? AND kind = 'main' AND end_ms > ? AND end_ms < ? AND start_ms < ? \(withImports ? "" : notImported)
                ORDER BY start_ms, log_index
                """, arguments: [node.description, camera.description, from, to + Self.segmentMillisecondsMax, to]
        ).map { KnownSegment(segment: try playable($0), isHeld: $0["held"], gone: $0["gone"], log: $0["log"]) }
    }

    /// Marks what people have asked the node for, and what has begun to come.
    static func mark(_ segments: inout [KnownSegment], requests: [FootageRequest], arriving: Set<ContentHash>) {
        let pulls = requests.filter { $0.kind == .pull && kinds($0).contains(.main) }
        for index in segments.indices where !segments[index].isHeld {
            let segment = segments[index].segment
            segments[index].isArriving = arriving.contains(segment.record.sha256)
            segments[index].isRequested = pulls.contains {
                $0.startUnixMilliseconds < segment.endUnixMilliseconds && $0.endUnixMilliseconds > segment.startUnixMilliseconds
            }
        }
    }

    /// Of a row with record, log_index, start_ms and corrected_uncertainty_ms.
    static func playable(_ row: Row) throws -> PlayableSegment {
        let uncertainty: Int64? = row["corrected_uncertainty_ms"]
        return PlayableSegment(
            record: try decode(SegmentRecord.self, row["record"]), logIndex: UInt64(row["log_index"] as Int64),
            correctedStartUnixMilliseconds: uncertainty == nil ? nil : row["start_ms"], correctedUncertaintyMilliseconds: uncertainty)
    }

    /// A card's files account for themselves only: the time between them was nobody's to record.
    static let notImported = "AND boot NOT LIKE '\(ImportRecord.bootPrefix)%'"

    static func gaps(_ db: Database, _ node: NodeID, _ camera: CameraID, _ from: Int64, _ to: Int64) throws -> [TimelineSpan] {
        try Row.fetchAll(
            db,
            sql: """
                SELECT start_ms, end_ms, cause, detail, corrected_uncertainty_ms FROM gaps
                WHERE node = ? AND camera = ? AND kind = 'main' AND end_ms > ? AND start_ms < ? ORDER BY start_ms
                """, arguments: [node.description, camera.description, from, to]
        ).map { row in
            let uncertainty: Int64? = row["corrected_uncertainty_ms"]
            let detail: String = row["detail"]
            return TimelineSpan(
                startUnixMilliseconds: row["start_ms"], endUnixMilliseconds: row["end_ms"], state: .notRecorded, cause: GapCause(rawValue: row["cause"]),
                detail: uncertainty == nil ? detail : "\(detail); \(correctedWords(uncertainty))", isTimeCorrected: uncertainty == nil ? nil : true)
        }
    }

    static func events(_ db: Database, _ node: NodeID, _ camera: CameraID, _ from: Int64, _ to: Int64) throws -> [TimelineEvent] {
        // An event without a length is one moment, and belongs to the window that it lies in.
        try Row.fetchAll(
            db,
            sql: """
                SELECT start_ms, end_ms, source, score, label, corrected_uncertainty_ms FROM events
                WHERE node = ? AND camera = ? AND end_ms >= ? AND start_ms < ? ORDER BY start_ms, log_index LIMIT ?
                """, arguments: [node.description, camera.description, from, to, CameraTimeline.listMax]
        ).compactMap { row in
            guard let source = EventRecord.Source(rawValue: row["source"]) else { return nil }
            return TimelineEvent(
                startUnixMilliseconds: row["start_ms"], endUnixMilliseconds: row["end_ms"], source: source, score: row["score"], label: row["label"],
                isTimeCorrected: (row["corrected_uncertainty_ms"] as Int64?) == nil ? nil : true)
        }
    }

    static func imports(_ db: Database, _ node: NodeID, _ camera: CameraID, _ from: Int64, _ to: Int64) throws -> [TimelineImport] {
        try Row.fetchAll(
            db,
            sql: """
                SELECT i.record AS record, MIN(s.start_ms) AS first, MAX(s.end_ms) AS last FROM imports i
                JOIN segments s ON s.node = i.node AND s.boot = i.boot AND s.camera = i.camera
                WHERE i.node = ? AND i.camera = ? GROUP BY i.log, i.log_index HAVING last > ? AND first < ? ORDER BY first LIMIT ?
                """, arguments: [node.description, camera.description, from, to, CameraTimeline.listMax]
        ).map { row in
            TimelineImport(record: try decode(ImportRecord.self, row["record"]), startUnixMilliseconds: row["first"], endUnixMilliseconds: row["last"])
        }
    }
}
