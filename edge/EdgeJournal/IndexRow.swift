import EvidenceLog
import GRDB
import RecordingModel

/// One row of the index: what lists, status and backlog ask of a log entry. It follows from the entry, its index and
/// the latest statement alone, so that a rebuilt index is equal row for row.
struct IndexRow: Hashable, Sendable {
    var index: UInt64
    var kind: String
    /// Of the entry itself; a segment that was recovered later belongs to an earlier boot.
    var writtenUnixMilliseconds: Int64
    var stream: String?
    var sequence: UInt64?
    var run: UInt64?
    var bootID: String
    var startBootMilliseconds: Int64?
    var endBootMilliseconds: Int64?
    var startUnixMilliseconds: Int64?
    var endUnixMilliseconds: Int64?
    var bytes: Int64?
    /// Why a segment ended, or a gap came about.
    var reason: String?
    /// Covered by the hub's latest statement.
    var isHeld = false

    /// A line that is no entry keeps its place in the index; `check` tells of it.
    init(index: UInt64, line: [UInt8], held: [StreamID: SequenceRanges]) {
        let entry = try? LogEntry(line: line)
        let nothing = LogEntry(
            bootID: "", at: Moment(bootNanoseconds: 0, wall: WallEstimate(unixMilliseconds: 0, source: .none, uncertaintyMilliseconds: 0)),
            body: .other(kind: "unreadable"))
        self.init(index: index, entry: entry ?? nothing, held: held)
    }

    init(index: UInt64, entry: LogEntry, held: [StreamID: SequenceRanges]) {
        self.index = index
        kind = entry.body.kind
        writtenUnixMilliseconds = entry.wall.unixMilliseconds
        bootID = entry.bootID
        switch entry.body {
        case .segment(let record):
            stream = record.stream.description
            sequence = record.sequence
            run = record.run
            bootID = record.bootID
            startBootMilliseconds = record.startBootMilliseconds
            endBootMilliseconds = record.endBootMilliseconds
            startUnixMilliseconds = record.startUnixMilliseconds
            endUnixMilliseconds = record.endUnixMilliseconds
            bytes = record.bytes
            reason = record.end.rawValue
            isHeld = held[record.stream]?.contains(record.sequence) ?? false
        case .gap(let gap):
            stream = gap.stream.description
            bootID = gap.bootID
            startBootMilliseconds = gap.startBootMilliseconds
            endBootMilliseconds = gap.startBootMilliseconds + gap.durationMilliseconds
            startUnixMilliseconds = gap.startWall.unixMilliseconds
            endUnixMilliseconds = gap.endUnixMilliseconds
            reason = gap.cause.rawValue
        case .boot, .key, .config, .recovered, .clock, .event, .evicted, .released, .imported, .other: break
        }
    }
}

extension IndexRow: FetchableRecord {
    static let schema = """
        CREATE TABLE entries (
            idx INTEGER PRIMARY KEY, kind TEXT NOT NULL, written INTEGER NOT NULL, stream TEXT, sequence INTEGER, run INTEGER,
            boot TEXT NOT NULL, start_boot INTEGER, end_boot INTEGER, start_wall INTEGER, end_wall INTEGER, bytes INTEGER,
            reason TEXT, held INTEGER NOT NULL
        );
        CREATE INDEX entries_by_stream ON entries (stream, sequence) WHERE kind = 'segment';
        CREATE INDEX entries_by_time ON entries (start_wall) WHERE stream IS NOT NULL;
        CREATE INDEX entries_of_stream ON entries (stream, idx) WHERE stream IS NOT NULL;
        CREATE INDEX entries_unsynced ON entries (idx, bytes, start_boot, end_boot) WHERE kind = 'segment' AND held = 0;
        CREATE TABLE state (name TEXT PRIMARY KEY, value TEXT NOT NULL);
        """
    static let insertion = "INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"

    var arguments: StatementArguments {
        [
            Int64(clamping: index), kind, writtenUnixMilliseconds, stream, sequence.map { Int64(clamping: $0) }, run.map { Int64(clamping: $0) },
            bootID, startBootMilliseconds, endBootMilliseconds, startUnixMilliseconds, endUnixMilliseconds, bytes, reason, isHeld,
        ]
    }

    init(row: Row) {
        func number(_ column: String) -> UInt64? { (row[column] as Int64?).map { UInt64(clamping: $0) } }
        index = number("idx") ?? 0
        kind = row["kind"]
        writtenUnixMilliseconds = row["written"]
        stream = row["stream"]
        sequence = number("sequence")
        run = number("run")
        bootID = row["boot"]
        startBootMilliseconds = row["start_boot"]
        endBootMilliseconds = row["end_boot"]
        startUnixMilliseconds = row["start_wall"]
        endUnixMilliseconds = row["end_wall"]
        bytes = row["bytes"]
        reason = row["reason"]
        isHeld = row["held"]
    }
}
