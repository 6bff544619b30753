import GRDB
import RecordingModel

extension JournalIndex {
    /// Footage that may be given up.
    struct Candidate: Sendable {
        var id: SegmentID
        var bytes: Int64
        var durationMilliseconds: Int64
        var isHeld: Bool
    }

    /// What goes first. Within one, the oldest entry first.
    enum EvictionRank: CaseIterable {
        case releasedMain, releasedProxy, releasedThumbs, unsyncedWithoutEvent, unsyncedWithEvent

        fileprivate var condition: String {
            let event = """
                EXISTS (SELECT 1 FROM entries e WHERE e.kind = 'event' AND e.stream = substr(s.stream, 1, instr(s.stream, '/')) || 'main'
                AND e.boot = s.boot AND e.start_boot < s.end_boot AND e.end_boot >= s.start_boot)
                """
            return switch self {
            case .releasedMain: "s.held = 1 AND s.stream LIKE '%/\(StreamKind.main.rawValue)'"
            case .releasedProxy: "s.held = 1 AND s.stream LIKE '%/\(StreamKind.proxy.rawValue)'"
            case .releasedThumbs: "s.held = 1 AND s.stream LIKE '%/\(StreamKind.thumbs.rawValue)'"
            case .unsyncedWithoutEvent: "s.held = 0 AND NOT \(event)"
            case .unsyncedWithEvent: "s.held = 0 AND \(event)"
            }
        }
    }

    /// Goes through them until the body answers false.
    func forEachCandidate(_ rank: EvictionRank, _ body: (Candidate) -> Bool) throws {
        try database.read { database in
            let sql = "SELECT s.* FROM entries s WHERE s.kind = 'segment' AND s.removal IS NULL AND \(rank.condition) ORDER BY s.idx"
            let rows = try Row.fetchCursor(database, sql: sql)
            while let row = try rows.next() {
                if let candidate = try Candidate(row), !body(candidate) { return }
            }
        }
    }

    /// Segments that ended before, as far as their time is known.
    func endedBefore(_ unixMilliseconds: Int64, limit: Int) throws -> [Candidate] {
        try database.read { database in
            let sql = """
                SELECT s.* FROM entries s WHERE s.kind = 'segment' AND s.removal IS NULL AND s.end_wall < ?
                AND (s.source <> 'none' OR s.start_wall <> s.recorded_wall) ORDER BY s.idx LIMIT ?
                """
            return try Row.fetchAll(database, sql: sql, arguments: [unixMilliseconds, limit]).compactMap { try Candidate($0) }
        }
    }

    func candidate(_ id: SegmentID) throws -> Candidate? {
        try database.read { database in
            let sql = "SELECT * FROM entries WHERE kind = 'segment' AND removal IS NULL AND stream = ? AND sequence = ? LIMIT 1"
            return try Row.fetchOne(database, sql: sql, arguments: [id.stream.description, Int64(clamping: id.sequence)]).flatMap { try Candidate($0) }
        }
    }
}

extension JournalIndex.Candidate {
    fileprivate init?(_ row: Row) throws {
        let row = try IndexRow(row: row)
        guard let stream = row.stream.flatMap({ StreamID($0) }), let sequence = row.sequence else { return nil }
        self.init(
            id: SegmentID(stream: stream, sequence: sequence), bytes: row.bytes ?? 0,
            durationMilliseconds: max(0, (row.endBootMilliseconds ?? 0) - (row.startBootMilliseconds ?? 0)), isHeld: row.isHeld)
    }
}
