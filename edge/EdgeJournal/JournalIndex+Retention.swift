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
        case releasedMain, releasedProxy, releasedThumbs, mainWithoutEvent, proxyWithoutEvent, mainWithEvent, proxyWithEvent, thumbs

        static let released: [EvictionRank] = [.releasedMain, .releasedProxy, .releasedThumbs]
        /// Where small things have come to fill the disk, they go before new footage does.
        static let smallFirst: [EvictionRank] = [
            .releasedMain, .releasedProxy, .releasedThumbs, .proxyWithoutEvent, .thumbs, .mainWithoutEvent, .proxyWithEvent, .mainWithEvent,
        ]

        private var kind: StreamKind {
            switch self {
            case .releasedMain, .mainWithoutEvent, .mainWithEvent: .main
            case .releasedProxy, .proxyWithoutEvent, .proxyWithEvent: .proxy
            case .releasedThumbs, .thumbs: .thumbs
            }
        }

        fileprivate var condition: String {
            let stream = "s.stream LIKE '%/\(kind.rawValue)'"
            return switch self {
            case .releasedMain, .releasedProxy, .releasedThumbs: "s.held = 1 AND \(stream)"
            case .mainWithoutEvent, .proxyWithoutEvent: "s.held = 0 AND \(stream) AND NOT \(JournalIndex.hasEvent)"
            case .mainWithEvent, .proxyWithEvent: "s.held = 0 AND \(stream) AND \(JournalIndex.hasEvent)"
            case .thumbs: "s.held = 0 AND \(stream)"
            }
        }
    }

    /// Bytes on this disk that the hub lacks: of footage, and of what was made of footage.
    func unsyncedBytes() throws -> (main: Int64, small: Int64) {
        try database.read { database in
            let sql = """
                SELECT coalesce(sum(bytes) FILTER (WHERE stream LIKE '%/main'), 0), coalesce(sum(bytes) FILTER (WHERE stream NOT LIKE '%/main'), 0)
                FROM entries WHERE kind = 'segment' AND removal IS NULL AND held = 0
                """
            guard let row = try Row.fetchOne(database, sql: sql) else { return (0, 0) }
            return (row[0], row[1])
        }
    }

    /// Whether an event of the camera lies within the segment `s`, both by the clock of their boot.
    static let hasEvent = """
        EXISTS (SELECT 1 FROM entries e WHERE e.kind = 'event' AND e.stream = substr(s.stream, 1, instr(s.stream, '/')) || 'main'
        AND e.boot = s.boot AND e.start_boot < s.end_boot AND e.end_boot >= s.start_boot)
        """

    /// Whether a smaller copy of the segment `s` is on this disk: one was made of it, and begins when `s` does, by whatever clock; or
    /// the camera's own small stream was recorded meanwhile, but for a second, since it has segments of its own.
    private static let hasSmallCopy = """
        (EXISTS (SELECT 1 FROM entries p WHERE p.kind = 'segment' AND p.removal IS NULL AND p.start_wall = s.start_wall AND p.boot = s.boot
        AND p.stream = substr(s.stream, 1, instr(s.stream, '/')) || 'proxy')
        OR s.end_boot - s.start_boot - 1000 <= (SELECT coalesce(sum(min(p.end_boot, s.end_boot) - max(p.start_boot, s.start_boot)), 0)
        FROM entries p WHERE p.kind = 'segment' AND p.removal IS NULL AND p.boot = s.boot AND p.start_boot < s.end_boot AND p.end_boot > s.start_boot
        AND p.start_wall BETWEEN s.start_wall - \(smallSegmentMillisecondsMax) AND s.end_wall
        AND p.stream = substr(s.stream, 1, instr(s.stream, '/')) || 'proxy'))
        """
    /// A proxy's segment is no longer; with it the index of times finds those that reach into a time.
    private static let smallSegmentMillisecondsMax = 1_500_000

    /// Goes through them until the body answers false.
    func forEachCandidate(_ rank: EvictionRank, _ body: (Candidate) -> Bool) throws {
        try database.read { database in
            let sql = "SELECT s.* FROM entries s WHERE s.kind = 'segment' AND s.removal IS NULL AND \(rank.condition) ORDER BY s.idx"
            let rows = try Row.fetchCursor(database, sql: sql)
            while let row = try rows.next() {
                if let candidate = Candidate(try IndexRow(row: row)), !body(candidate) { return }
            }
        }
    }

    /// Segments whose end lies before, whatever is uncertain of it, oldest first, until the body answers false. Where
    /// nothing is known of their time they are left out; so is footage from cards that the hub lacks, because nobody
    /// can say when a card's clock was right, and the card may have been wiped since.
    /// - Parameter onlyReducible: only footage without an event that the hub lacks and of which a smaller copy is here.
    func forEachEnded(before unixMilliseconds: Int64, onlyReducible: Bool = false, _ body: (Candidate) -> Bool) throws {
        try database.read { database in
            let sql = """
                SELECT s.* FROM entries s WHERE s.kind = 'segment' AND s.removal IS NULL AND s.end_wall < ?
                AND (s.held = 1 OR s.boot NOT LIKE '\(ImportRecord.bootPrefix)%')
                \(onlyReducible ? "AND s.held = 0 AND s.stream LIKE '%/main' AND \(Self.hasSmallCopy) AND NOT \(Self.hasEvent)" : "") ORDER BY s.end_wall
                """
            let rows = try IndexRow.fetchCursor(database, sql: sql, arguments: [unixMilliseconds])
            var corrections: [String: ClockCorrections] = [:]
            while let row = try rows.next() {
                let known = try corrections[row.bootID] ?? Self.corrections(of: row.bootID, database)
                corrections[row.bootID] = known
                guard let estimate = row.startEstimate(known), estimate.source > .none,
                    (row.endUnixMilliseconds ?? .max) < unixMilliseconds - estimate.uncertaintyMilliseconds, let candidate = Candidate(row)
                else { continue }
                if !body(candidate) { return }
            }
        }
    }

    /// Boot clock of the boot's first fix by a clock from outside the node; nil while there is none.
    func firstTrustedFix(of boot: String) throws -> Int64? {
        try database.read { database in
            try Self.corrections(of: boot, database).fixes.filter { $0.wall.source >= .hub }.map(\.bootMilliseconds).min()
        }
    }

    func candidate(_ id: SegmentID) throws -> Candidate? {
        try database.read { database in
            let sql = "SELECT * FROM entries WHERE kind = 'segment' AND removal IS NULL AND stream = ? AND sequence = ? LIMIT 1"
            return try Row.fetchOne(database, sql: sql, arguments: [id.stream.description, Int64(clamping: id.sequence)]).flatMap { Candidate(try IndexRow(row: $0)) }
        }
    }
}

extension JournalIndex.Candidate {
    fileprivate init?(_ row: IndexRow) {
        guard let stream = row.stream.flatMap({ StreamID($0) }), let sequence = row.sequence else { return nil }
        self.init(
            id: SegmentID(stream: stream, sequence: sequence), bytes: row.bytes ?? 0,
            durationMilliseconds: max(0, (row.endBootMilliseconds ?? 0) - (row.startBootMilliseconds ?? 0)), isHeld: row.isHeld)
    }
}
