import EvidenceLog
import GRDB
import RecordingModel

/// A change of the node's power state in a listing.
package struct JournalPowerRow: Hashable, Sendable {
    package var logIndex: UInt64
    package var bootID: String
    /// With the boot's clock entries applied.
    package var unixMilliseconds: Int64
    package var recordedUnixMilliseconds: Int64
    package var source: ClockSource
    package var uncertaintyMilliseconds: Int64
    /// Nil for a state of a later version.
    package var state: PowerState?
    package var reason: String
    package var isTimeCorrected: Bool { abs(unixMilliseconds - recordedUnixMilliseconds) >= 1_000 }

    init?(_ row: IndexRow, start: WallEstimate?) {
        guard let time = row.startUnixMilliseconds else { return nil }
        logIndex = row.index
        bootID = row.bootID
        unixMilliseconds = time
        recordedUnixMilliseconds = row.recordedStartUnixMilliseconds ?? time
        source = start?.source ?? row.source ?? .none
        uncertaintyMilliseconds = start?.uncertaintyMilliseconds ?? row.uncertaintyMilliseconds ?? WallEstimate.unsetUncertaintyMilliseconds
        state = row.reason.flatMap { PowerState(rawValue: $0) }
        reason = row.label ?? ""
    }
}

extension JournalReader {
    /// The newest changes of the power state within a stretch of wall time, in order of time.
    /// - Returns: also whether older ones were left out for the limit.
    package func powerChanges(fromUnixMilliseconds from: Int64? = nil, toUnixMilliseconds to: Int64? = nil, limit: Int) throws -> (rows: [JournalPowerRow], isCut: Bool) {
        try withIndex { index in
            let rows = try index.powerRows(from: from, to: to, limit: limit + 1)
            let listed = try index.estimated(Array(rows.prefix(limit).reversed())).compactMap { JournalPowerRow($0.row, start: $0.start) }
            return (listed, rows.count > limit)
        }
    }
}

extension JournalIndex {
    /// Newest first.
    fileprivate func powerRows(from: Int64?, to: Int64?, limit: Int) throws -> [IndexRow] {
        let sql = """
            SELECT * FROM entries WHERE kind = 'power' AND (?1 IS NULL OR start_wall >= ?1) AND (?2 IS NULL OR start_wall < ?2)
            ORDER BY start_wall DESC, idx DESC LIMIT ?3
            """
        return try database.read { try IndexRow.fetchAll($0, sql: sql, arguments: [from, to, max(0, limit)]) }
    }
}
