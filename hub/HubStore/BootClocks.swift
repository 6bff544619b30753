import EvidenceLog
import GRDB
import RecordingModel

/// Something that a boot's clock dates.
struct Dated {
    struct Until {
        var boot: String
        var bootMilliseconds: Int64
        var wall: WallEstimate
    }
    struct Place: Equatable {
        var start: Int64
        var end: Int64
        /// Nil where no clock entry moved it noticeably.
        var correctedUncertainty: Int64?
    }
    var boot: String
    /// Boot clock.
    var start: Int64
    var duration: Int64
    /// As recorded.
    var wall: WallEstimate
    var until: Until?
}

/// The clock entries of a node's boots, read when they are needed, and what they do to the catalogue's times.
struct BootClocks {
    private let db: Database
    private let node: NodeID
    private var known: [String: ClockCorrections] = [:]
    /// As many as a batch of entries may name; beyond them it begins anew.
    private static let knownMax = 256
    /// Nothing lies between two boots for longer: a clock was wrong.
    private static let longestMilliseconds: Int64 = 10 * 366 * 86_400_000

    init(_ db: Database, node: NodeID) {
        self.db = db
        self.node = node
    }

    mutating func forget(_ boot: String) { known[boot] = nil }

    private mutating func corrections(_ boot: String) throws -> ClockCorrections {
        if let corrections = known[boot] { return corrections }
        let rows = try Row.fetchAll(
            db, sql: "SELECT boot_ms, wall_ms, source, uncertainty_ms, reason FROM clocks WHERE node = ? AND boot = ? ORDER BY id DESC LIMIT ?",
            arguments: [node.description, boot, ClockCorrections.limit])
        let corrections = ClockCorrections(
            rows.reversed().compactMap { row -> ClockRecord? in
                guard let source = ClockSource(rawValue: row["source"]), let reason = ClockRecord.Reason(rawValue: row["reason"]) else { return nil }
                let wall = WallEstimate(unixMilliseconds: row["wall_ms"], source: source, uncertaintyMilliseconds: row["uncertainty_ms"])
                return ClockRecord(bootID: boot, bootMilliseconds: row["boot_ms"], wall: wall, reason: reason)
            })
        if known.count >= Self.knownMax { known = [:] }
        known[boot] = corrections
        return corrections
    }

    /// Where it is by all that is known.
    mutating func place(_ dated: Dated) throws -> Dated.Place {
        let corrected = try corrections(dated.boot).corrected(dated.wall, atBootMilliseconds: dated.start)
        let start = (corrected ?? dated.wall).unixMilliseconds
        var end = start + dated.duration
        if let until = dated.until {
            let moved = try corrections(until.boot).corrected(until.wall, atBootMilliseconds: until.bootMilliseconds)
            let isKnown = moved != nil || until.wall.source != .none
            if isKnown, corrected != nil || moved != nil { end = max(start, min((moved ?? until.wall).unixMilliseconds, start + Self.longestMilliseconds)) }
        }
        let isMoved = abs(start - dated.wall.unixMilliseconds) >= ClockCorrections.noticeableMilliseconds
        return Dated.Place(start: start, end: end, correctedUncertainty: isMoved ? corrected?.uncertaintyMilliseconds : nil)
    }

    /// Gives everything of a boot, and the gaps that end in it, the time that its clock entries now give it.
    mutating func redate(_ boot: String) throws {
        for table in ["segments", "gaps", "events", "powers"] { try redate(table, whose: "boot", is: boot) }
        try redate("gaps", whose: "until_boot", is: boot)
    }

    /// A boot of a year has a million rows; so many are in memory at once.
    static let pageRows = 1_000

    private mutating func redate(_ table: String, whose column: String, is boot: String) throws {
        let isGaps = table == "gaps"
        let selection = try db.cachedStatement(
            sql: """
                SELECT \(Self.columns)\(isGaps ? Self.untilColumns : "") FROM \(table)
                WHERE node = ? AND \(column) = ? AND (log, log_index) > (?, ?) ORDER BY log, log_index LIMIT ?
                """)
        let update = try db.cachedStatement(
            sql: "UPDATE \(table) SET start_ms = ?, end_ms = ?, corrected_uncertainty_ms = ? WHERE node = ? AND boot = ? AND log = ? AND log_index = ?")
        var (log, index) = ("", Int64(-1))
        while true {
            let rows = try Row.fetchAll(selection, arguments: [node.description, boot, log, index, Self.pageRows])
            for row in rows {
                (log, index) = (row["log"], row["log_index"])
                let place = try place(Self.dated(row, isGap: isGaps))
                guard place != Dated.Place(start: row["start_ms"], end: row["end_ms"], correctedUncertainty: row["corrected_uncertainty_ms"]) else { continue }
                try update.execute(arguments: [place.start, place.end, place.correctedUncertainty, node.description, row["boot"] as String, log, index])
            }
            guard rows.count == Self.pageRows else { return }
        }
    }

    private static let columns = """
        log, log_index, boot, start_boot_ms, end_boot_ms, recorded_start_ms, wall_source, wall_uncertainty_ms, start_ms, end_ms, corrected_uncertainty_ms
        """
    private static let untilColumns = ", until_boot, until_boot_ms, until_wall_ms, until_source, until_uncertainty_ms"

    private static func dated(_ row: Row, isGap: Bool) -> Dated {
        func wall(_ time: String, _ source: String, _ uncertainty: String) -> WallEstimate {
            WallEstimate(unixMilliseconds: row[time], source: ClockSource(rawValue: row[source]) ?? .none, uncertaintyMilliseconds: row[uncertainty])
        }
        var dated = Dated(
            boot: row["boot"], start: row["start_boot_ms"], duration: row["end_boot_ms"] - row["start_boot_ms"],
            wall: wall("recorded_start_ms", "wall_source", "wall_uncertainty_ms"))
        if isGap, let until: String = row["until_boot"] {
            dated.until = Dated.Until(boot: until, bootMilliseconds: row["until_boot_ms"], wall: wall("until_wall_ms", "until_source", "until_uncertainty_ms"))
        }
        return dated
    }
}
