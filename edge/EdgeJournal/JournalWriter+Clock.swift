import EvidenceLog
import GRDB
import RecordingModel

extension JournalWriter {
    /// See `Journal.bootsSinceTrustedClock`.
    func bootsSinceTrustedClock(limit: Int) throws -> [BootSpan] {
        var spans: [BootSpan] = []
        for boot in try index.boots(limit: limit) {
            guard let span = try index.span(of: boot) else { continue }
            spans.append(span)
            // What an earlier process of the running boot knew does not end the search: earlier boots may not be placed yet.
            if span.isTrusted, boot != clocks.bootID { break }
        }
        return spans.reversed()
    }
}

extension JournalIndex {
    /// Newest first, as the log tells of them; imported footage is of no boot.
    func boots(limit: Int) throws -> [String] {
        try database.read { database in
            let sql = """
                SELECT boot FROM entries WHERE kind IN ('segment', 'gap') AND boot NOT LIKE '\(ImportRecord.bootPrefix)%'
                GROUP BY boot ORDER BY min(idx) DESC LIMIT ?
                """
            return try String.fetchAll(database, sql: sql, arguments: [limit])
        }
    }

    /// From the first to the last moment of a boot that footage or a gap speaks of, with the best that is known of its
    /// time, clock fixes included.
    func span(of boot: String) throws -> BootSpan? {
        try database.read { database in
            func row(_ order: String) throws -> IndexRow? {
                let sql = "SELECT * FROM entries WHERE boot = ? AND start_boot IS NOT NULL AND kind IN ('segment', 'gap') ORDER BY \(order) LIMIT 1"
                return try IndexRow.fetchOne(database, sql: sql, arguments: [boot])
            }
            guard let first = try row("start_boot"), let last = try row("end_boot DESC"), let start = first.startBootMilliseconds,
                let end = last.endBootMilliseconds
            else { return nil }
            let corrections = try Self.corrections(of: boot, database)
            func wall(_ row: IndexRow, at boot: Int64) -> WallEstimate {
                let recorded = WallEstimate(
                    unixMilliseconds: (row.recordedStartUnixMilliseconds ?? 0) + (boot - (row.startBootMilliseconds ?? boot)),
                    source: row.source ?? .none, uncertaintyMilliseconds: row.uncertaintyMilliseconds ?? 0)
                return corrections.corrected(recorded, atBootMilliseconds: boot) ?? recorded
            }
            return BootSpan(bootID: boot, firstBootMilliseconds: start, lastBootMilliseconds: end, firstWall: wall(first, at: start), lastWall: wall(last, at: end))
        }
    }
}
