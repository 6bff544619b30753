import EvidenceLog
import GRDB
import RecordingModel
import SystemPackage

/// The SQLite index of a log. It may be lost or behind at any time: the log and the files are the truth.
/// Thread-safe as GRDB's `DatabaseQueue` is.
struct JournalIndex: Sendable {
    let database: DatabaseQueue

    /// Opens the index for writing, and makes it when it is missing. One that SQLite cannot open is deleted.
    static func open(_ path: FilePath) throws -> JournalIndex {
        var configuration = Configuration()
        configuration.busyMode = .timeout(5)
        configuration.journalMode = .wal
        configuration.prepareDatabase { database in
            // Only an index: a power cut may cost its last rows, which the next start reads from the log.
            try database.execute(sql: "PRAGMA synchronous = NORMAL")
        }
        func attempt() throws -> JournalIndex {
            let index = JournalIndex(database: try DatabaseQueue(path: path.string, configuration: configuration))
            try index.prepareSchema()
            return index
        }
        do {
            return try attempt()
        } catch is DatabaseError {
            try delete(path)
            return try attempt()
        }
    }

    /// Whether SQLite says that the file itself is wrong; anything else may pass.
    static func isDamage(_ error: any Error) -> Bool {
        guard let error = error as? DatabaseError else { return false }
        return [.SQLITE_CORRUPT, .SQLITE_NOTADB, .SQLITE_CONSTRAINT, .SQLITE_ERROR].contains(error.resultCode)
    }

    /// Opens an index that a recorder may be writing.
    static func openForReading(_ path: FilePath) throws -> JournalIndex {
        var configuration = Configuration()
        configuration.readonly = true
        configuration.busyMode = .timeout(5)
        return JournalIndex(database: try DatabaseQueue(path: path.string, configuration: configuration))
    }

    /// An index in memory, for a folder whose own cannot be used.
    static func inMemory() throws -> JournalIndex {
        let index = JournalIndex(database: try DatabaseQueue())
        try index.prepareSchema()
        return index
    }

    static func delete(_ path: FilePath) throws {
        for suffix in ["", "-wal", "-shm"] {
            let file = FilePath(path.string + suffix)
            guard unlinkFile(file) else { throw JournalError.unreadable(file: file.string, reason: "the index is damaged and cannot be removed") }
        }
    }

    /// Empties the file, whatever is in it.
    func renew() throws {
        try database.erase()
        try prepareSchema()
    }

    private static let schemaVersion = 3

    private func prepareSchema() throws {
        try database.write { database in
            guard try Int.fetchOne(database, sql: "PRAGMA user_version") != Self.schemaVersion else { return }
            try database.execute(sql: "DROP TABLE IF EXISTS entries; DROP TABLE IF EXISTS state;")
            try database.execute(sql: IndexRow.schema)
            try database.execute(sql: "PRAGMA user_version = \(Self.schemaVersion)")
        }
    }

    /// How far the index follows which log, and the root there.
    struct Extent: Hashable, Sendable {
        var log: LogID
        var size: UInt64
        var root: ContentHash
    }

    /// Nil for an index that is new, or not of one piece.
    func extent() throws -> Extent? {
        try database.read { database in
            let state = try Row.fetchAll(database, sql: "SELECT name, value FROM state").reduce(into: [String: String]()) { $0[try $1.value("name")] = try $1.value("value") }
            let rows = try Row.fetchOne(database, sql: "SELECT count(*) AS n, max(idx) AS top FROM entries")
            guard let log = state["log"].flatMap({ LogID($0) }), let size = state["size"].flatMap({ UInt64($0) }),
                let root = state["root"].flatMap({ ContentHash($0) }), let rows, (try rows.value("n") as Int64) == Int64(clamping: size),
                try size == 0 || (rows.optional("top") as Int64?) == Int64(clamping: size - 1)
            else { return nil }
            return Extent(log: log, size: size, root: root)
        }
    }

    /// Adds rows, does what they change in the rows before them, and says how far the index now follows the log, in
    /// one transaction.
    func append(_ updates: [IndexUpdate], reaching extent: Extent) throws {
        try database.write { database in
            let statement = try database.cachedStatement(sql: IndexRow.insertion)
            var corrections: [String: ClockCorrections] = [:]
            for update in updates {
                var row = update.row
                if row.startBootMilliseconds != nil {
                    let known = try corrections[row.bootID] ?? Self.corrections(of: row.bootID, database)
                    corrections[row.bootID] = known
                    row = row.redated(by: known)
                }
                try statement.execute(arguments: row.arguments)
                switch update.effect {
                case .redates(let boot):
                    corrections[boot] = try Self.redate(boot, database)
                case .removes(let stream, let sequences, let removal):
                    for range in sequences.ranges {
                        try database.execute(
                            sql: "UPDATE entries SET removal = ? WHERE kind = 'segment' AND stream = ? AND sequence BETWEEN ? AND ?",
                            arguments: [removal.rawValue, stream.description, Int64(clamping: range.lowerBound), Int64(clamping: range.upperBound)])
                    }
                case nil: break
                }
            }
            try Self.write(extent, database)
        }
    }

    static func corrections(of boot: String, _ database: Database) throws -> ClockCorrections {
        let rows = try IndexRow.fetchAll(
            database, sql: "SELECT * FROM entries WHERE kind = 'clock' AND boot = ? AND start_boot IS NOT NULL ORDER BY idx", arguments: [boot])
        return ClockCorrections(rows.compactMap(\.clockFix))
    }

    /// Gives every row of the boot the time that its clock entries now give it.
    private static func redate(_ boot: String, _ database: Database) throws -> ClockCorrections {
        let corrections = try corrections(of: boot, database)
        let rows = try IndexRow.fetchCursor(
            database, sql: "SELECT * FROM entries WHERE boot = ? AND start_boot IS NOT NULL AND kind <> 'clock'", arguments: [boot])
        var changed: [IndexRow] = []
        while let row = try rows.next() {
            let redated = row.redated(by: corrections)
            if redated != row { changed.append(redated) }
        }
        let statement = try database.cachedStatement(sql: "UPDATE entries SET start_wall = ?, end_wall = ? WHERE idx = ?")
        for row in changed {
            try statement.execute(arguments: [row.startUnixMilliseconds, row.endUnixMilliseconds, Int64(clamping: row.index)])
        }
        return corrections
    }

    func clear(log: LogID) throws {
        try database.write { database in
            try database.execute(sql: "DELETE FROM entries; DELETE FROM state;")
            try Self.write(Extent(log: log, size: 0, root: MerkleTree.emptyRoot), database)
        }
    }

    private static func write(_ extent: Extent, _ database: Database) throws {
        for (name, value) in [("log", extent.log.description), ("size", "\(extent.size)"), ("root", extent.root.hex)] {
            try database.execute(sql: "INSERT OR REPLACE INTO state VALUES (?, ?)", arguments: [name, value])
        }
    }

    /// Sets the held flags to exactly these ranges. Only what differs from the last call is touched.
    func apply(held: [StreamID: SequenceRanges]) throws {
        try database.write { database in
            let before = try Self.appliedRanges(database)
            for stream in Set(before.keys).union(held.keys) {
                let old = before[stream] ?? SequenceRanges()
                let new = held[stream] ?? SequenceRanges()
                for (ranges, flag) in [(new.subtracting(old), true), (old.subtracting(new), false)] {
                    for range in ranges.ranges {
                        try database.execute(
                            sql: "UPDATE entries SET held = ? WHERE kind = 'segment' AND stream = ? AND sequence BETWEEN ? AND ?",
                            arguments: [flag, stream.description, Int64(clamping: range.lowerBound), Int64(clamping: range.upperBound)])
                    }
                }
                try database.execute(sql: "INSERT OR REPLACE INTO state VALUES (?, ?)", arguments: ["held \(stream)", new.description])
            }
        }
    }

    static func appliedRanges(_ database: Database) throws -> [StreamID: SequenceRanges] {
        try Row.fetchAll(database, sql: "SELECT name, value FROM state WHERE name LIKE 'held %'").reduce(into: [:]) { result, row in
            let name: String = try row.value("name")
            if let stream = StreamID(String(name.dropFirst("held ".count))) { result[stream] = SequenceRanges(try row.value("value") as String) }
        }
    }
}
