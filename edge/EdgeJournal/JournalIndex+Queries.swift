import EvidenceLog
import GRDB
import RecordingModel

extension JournalIndex {
    /// Whether SQLite finds the file of one piece, every row in every index of it, and the flags are those of this statement.
    func isWhole(held: [StreamID: SequenceRanges]) throws -> Bool {
        try database.read { database in
            try String.fetchOne(database, sql: "PRAGMA integrity_check(1)") == "ok"
                && Self.appliedRanges(database).filter { !$0.value.ranges.isEmpty } == held.filter { !$0.value.ranges.isEmpty }
        }
    }

    func rows(_ range: Range<UInt64>) throws -> [IndexRow] {
        try database.read { database in
            try IndexRow.fetchAll(
                database, sql: "SELECT * FROM entries WHERE idx >= ? AND idx < ? ORDER BY idx",
                arguments: [Int64(clamping: range.lowerBound), Int64(clamping: range.upperBound)])
        }
    }

    func row(of segment: SegmentID) throws -> IndexRow? {
        try database.read { database in
            try IndexRow.fetchOne(
                database, sql: "SELECT * FROM entries WHERE kind = 'segment' AND stream = ? AND sequence = ? LIMIT 1",
                arguments: [segment.stream.description, Int64(clamping: segment.sequence)])
        }
    }

    /// For each stream the sequence and run that come next.
    func nextNumbers() throws -> [StreamID: (sequence: UInt64, run: UInt64)] {
        try database.read { database in
            let sql = "SELECT stream, max(sequence) AS sequence, max(run) AS run FROM entries WHERE kind = 'segment' GROUP BY stream"
            return try Row.fetchAll(database, sql: sql).reduce(into: [:]) { result, row in
                guard let stream = StreamID(try row.value("stream") as String) else { return }
                result[stream] = (UInt64(clamping: try row.value("sequence") as Int64) + 1, UInt64(clamping: try row.value("run") as Int64) + 1)
            }
        }
    }

    /// Sequences of a stream's segments, as ranges.
    func sequences(of stream: StreamID) throws -> SequenceRanges {
        try database.read { database in
            let sql = "SELECT sequence FROM entries WHERE kind = 'segment' AND stream = ? ORDER BY sequence"
            let cursor = try Int64.fetchCursor(database, sql: sql, arguments: [stream.description])
            var ranges = SequenceRanges()
            while let sequence = try cursor.next() { ranges.insert(UInt64(clamping: sequence)) }
            return ranges
        }
    }

    /// The last entries that speak of the stream's time, newest first. Imported footage says nothing of the recorder's.
    func lastSpans(of stream: StreamID, limit: Int) throws -> [IndexRow] {
        try database.read { database in
            try IndexRow.fetchAll(
                database,
                sql: "SELECT * FROM entries WHERE stream = ? AND kind IN ('segment', 'gap') AND boot NOT LIKE '\(ImportRecord.bootPrefix)%' ORDER BY idx DESC LIMIT ?",
                arguments: [stream.description, limit])
        }
    }

    func streams() throws -> [StreamID] {
        try database.read { try String.fetchAll($0, sql: "SELECT DISTINCT stream FROM entries WHERE stream IS NOT NULL") }
            .compactMap { StreamID($0) }.sorted()
    }

    /// Rows of the given kinds that overlap a window of wall time, in order of their start.
    /// - Parameter newestFirst: the other way round, so that the limit leaves out the oldest.
    func spans(of stream: StreamID?, from: Int64?, to: Int64?, kinds: [String], newestFirst: Bool = false, limit: Int) throws -> [IndexRow] {
        // An event is told as it begins and again when it is over: the later entry stands for both.
        var sql = """
            SELECT * FROM entries AS o WHERE stream IS NOT NULL AND kind IN (\(kinds.map { "'\($0)'" }.joined(separator: ", ")))
            AND NOT (kind = 'event' AND EXISTS (SELECT 1 FROM entries n
                WHERE n.kind = 'event' AND n.stream = o.stream AND n.boot = o.boot AND n.start_boot = o.start_boot AND n.idx > o.idx))
            """
        var arguments: StatementArguments = []
        if let stream {
            sql += " AND stream = ?"
            arguments += [stream.description]
        }
        if let from {
            sql += " AND end_wall > ?"
            arguments += [from]
        }
        if let to {
            sql += " AND start_wall < ?"
            arguments += [to]
        }
        sql += newestFirst ? " ORDER BY start_wall DESC, idx DESC LIMIT ?" : " ORDER BY start_wall, idx LIMIT ?"
        arguments += [max(0, limit)]
        return try database.read { [sql, arguments] in try IndexRow.fetchAll($0, sql: sql, arguments: arguments) }
    }

    /// Imports whose segments overlap a window of wall time, newest first, each with the stream and the time of its segments.
    func imports(of stream: StreamID?, from: Int64?, to: Int64?, limit: Int) throws -> [IndexRow] {
        let sql = """
            SELECT i.idx, i.kind, i.written, s.stream, i.sequence, i.run, i.boot, min(s.start_boot) AS start_boot, max(s.end_boot) AS end_boot,
                min(s.recorded_wall) AS recorded_wall, s.source, s.uncertainty, min(s.start_wall) AS start_wall, max(s.end_wall) AS end_wall,
                i.bytes, i.reason, i.label, i.hash, i.held, i.removal
            FROM entries i JOIN entries s ON s.boot = i.boot AND s.kind = 'segment' AND s.start_boot IS NOT NULL
            WHERE i.kind = 'import' AND i.hash IS NOT NULL AND (?1 IS NULL OR s.stream = ?1)
            GROUP BY i.idx HAVING (?2 IS NULL OR max(s.end_wall) > ?2) AND (?3 IS NULL OR min(s.start_wall) < ?3)
            ORDER BY min(s.start_wall) DESC, i.idx DESC LIMIT ?4
            """
        return try database.read { try IndexRow.fetchAll($0, sql: sql, arguments: [stream?.description, from, to, max(0, limit)]) }
    }

    /// The rows with what their boots' clock entries make of the time of their start.
    func estimated(_ rows: [IndexRow]) throws -> [(row: IndexRow, start: WallEstimate?)] {
        try database.read { database in
            var known: [String: ClockCorrections] = [:]
            return try rows.map { row in
                let corrections = try known[row.bootID] ?? Self.corrections(of: row.bootID, database)
                known[row.bootID] = corrections
                return (row, row.startEstimate(corrections))
            }
        }
    }

    /// Segments that the statement does not cover: first thumbnails, then those that are pulled, those that are named here, those with an event,
    /// proxies, and the rest, each in the order of the log.
    /// - Parameter accepts: whether one is wanted; asked in this order, until enough are.
    func waiting(
        pulled: [(stream: StreamID, sequences: SequenceRanges)], begun: [SegmentID], events: Bool, kinds: Set<StreamKind>, limit: Int, _ accepts: (SegmentID) -> Bool
    ) throws -> [(index: UInt64, hasEvent: Bool, isPulled: Bool)] {
        try database.read { database in
            let open = "SELECT s.idx, s.stream, s.sequence, \(Self.hasEvent) AS event FROM entries s WHERE s.kind = 'segment' AND s.removal IS NULL AND s.held = 0"
            var found: [(index: UInt64, hasEvent: Bool, isPulled: Bool)] = []
            var indexes: Set<UInt64> = []
            func take(_ rows: RowCursor, isPulled: Bool = false) throws {
                while found.count < limit, let row = try rows.next() {
                    let index = UInt64(clamping: try row.value("idx") as Int64)
                    guard let stream = StreamID(try row.value("stream") as String),
                        accepts(SegmentID(stream: stream, sequence: UInt64(clamping: try row.value("sequence") as Int64))), indexes.insert(index).inserted
                    else { continue }
                    found.append((index, try row.value("event"), isPulled))
                }
            }
            let streams = try kinds.isDisjoint(with: [.thumbs, .proxy]) ? [] : Self.streamsOfSegments(database)
            func take(_ kind: StreamKind) throws {
                let names = streams.filter { kinds.contains(kind) && $0.hasSuffix("/\(kind.rawValue)") }
                guard !names.isEmpty, found.count < limit else { return }
                let places = names.map { _ in "?" }.joined(separator: ", ")
                try take(Row.fetchCursor(database, sql: "\(open) AND s.stream IN (\(places)) ORDER BY s.idx", arguments: StatementArguments(names)))
            }
            try take(.thumbs)
            for (stream, sequences) in pulled {
                for range in sequences.ranges where found.count < limit {
                    let arguments: StatementArguments = [stream.description, Int64(clamping: range.lowerBound), Int64(clamping: range.upperBound)]
                    try take(Row.fetchCursor(database, sql: "\(open) AND s.stream = ? AND s.sequence BETWEEN ? AND ? ORDER BY s.sequence", arguments: arguments), isPulled: true)
                }
            }
            for segment in begun {
                try take(Row.fetchCursor(database, sql: "\(open) AND s.stream = ? AND s.sequence = ?", arguments: [segment.stream.description, Int64(clamping: segment.sequence)]))
            }
            if events, try Bool.fetchOne(database, sql: "SELECT EXISTS (SELECT 1 FROM entries WHERE kind = 'event')") == true {
                try take(Row.fetchCursor(database, sql: "\(open) AND \(Self.hasEvent) ORDER BY s.idx"))
            }
            try take(.proxy)
            let ofKinds = kinds.count == StreamKind.allCases.count ? "" : " AND (0\(kinds.map { " OR s.stream LIKE '%/\($0.rawValue)'" }.sorted().joined()))"
            try take(Row.fetchCursor(database, sql: "\(open)\(ofKinds) ORDER BY s.idx"))
            return found
        }
    }

    /// From name to name in the index, whatever their number of segments.
    static func streamsOfSegments(_ database: Database) throws -> [String] {
        let sql = """
            WITH RECURSIVE names(name) AS (
                SELECT MIN(stream) FROM entries WHERE kind = 'segment'
                UNION ALL SELECT (SELECT MIN(stream) FROM entries WHERE kind = 'segment' AND stream > name) FROM names WHERE name IS NOT NULL
            ) SELECT name FROM names WHERE name IS NOT NULL
            """
        return try String.fetchAll(database, sql: sql)
    }

    /// The lowest sequence of each stream from an entry of the log on. By the entries' numbers, of which few are beyond a
    /// statement, and not by an index over all of them.
    func firstSequences(from index: UInt64) throws -> [StreamID: UInt64] {
        try database.read { database in
            let sql = "SELECT stream, MIN(sequence) AS first FROM entries NOT INDEXED WHERE idx >= ? AND kind = 'segment' GROUP BY stream"
            return try Row.fetchAll(database, sql: sql, arguments: [Int64(clamping: index)]).reduce(into: [:]) { result, row in
                if let stream = StreamID(try row.value("stream") as String) { result[stream] = UInt64(clamping: try row.value("first") as Int64) }
            }
        }
    }

    /// Entries of the segments that are here, in the order of the log.
    func present() throws -> [UInt64] {
        try database.read { try Int64.fetchAll($0, sql: "SELECT idx FROM entries WHERE kind = 'segment' AND removal IS NULL ORDER BY idx") }.map { UInt64(clamping: $0) }
    }

    /// Sequences whose files the node has given up, per stream.
    func removed() throws -> [StreamID: SequenceRanges] {
        try database.read { database in
            let sql = "SELECT stream, sequence FROM entries WHERE kind = 'segment' AND removal IS NOT NULL ORDER BY stream, sequence"
            let cursor = try Row.fetchCursor(database, sql: sql)
            var ranges: [StreamID: SequenceRanges] = [:]
            while let row = try cursor.next() {
                guard let stream = StreamID(try row.value("stream") as String) else { continue }
                ranges[stream, default: SequenceRanges()].insert(UInt64(clamping: try row.value("sequence") as Int64))
            }
            return ranges
        }
    }

    /// Every row, by its index, as a number that tells equal rows from others within this process.
    func digest() throws -> [UInt64: Int] {
        try database.read { database in
            let rows = try IndexRow.fetchCursor(database, sql: "SELECT * FROM entries")
            var digest: [UInt64: Int] = [:]
            while let row = try rows.next() { digest[row.index] = row.hashValue }
            return digest
        }
    }

    struct Totals: Sendable {
        var segments = 0
        var bytes: Int64 = 0
        var backlog = Backlog()
        var newest: [StreamID: JournalStatus.Newest] = [:]
    }

    func totals() throws -> Totals {
        try database.read { database in
            var totals = Totals()
            let all = "SELECT count(*) AS n, coalesce(sum(bytes), 0) AS bytes FROM entries WHERE kind = 'segment' AND removal IS NULL"
            if let row = try Row.fetchOne(database, sql: all) {
                totals.segments = try row.value("n")
                totals.bytes = try row.value("bytes")
            }
            let open = """
                SELECT count(*) AS n, coalesce(sum(bytes), 0) AS bytes, coalesce(sum(end_boot - start_boot), 0) AS ms
                FROM entries WHERE kind = 'segment' AND removal IS NULL AND held = 0
                """
            if let row = try Row.fetchOne(database, sql: open) {
                totals.backlog = Backlog(segments: try row.value("n"), bytes: try row.value("bytes"), durationMilliseconds: try row.value("ms"))
            }
            let newest = "SELECT stream, max(sequence) AS sequence, max(end_wall) AS end_wall FROM entries WHERE kind = 'segment' GROUP BY stream"
            for row in try Row.fetchAll(database, sql: newest) {
                guard let stream = StreamID(try row.value("stream") as String) else { continue }
                totals.newest[stream] = JournalStatus.Newest(
                    sequence: UInt64(clamping: try row.value("sequence") as Int64), endUnixMilliseconds: try row.value("end_wall"))
            }
            return totals
        }
    }
}
