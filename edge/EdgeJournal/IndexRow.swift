import EvidenceLog
import GRDB
import RecordingModel

/// One row of the index: what lists, status, backlog and eviction ask of a log entry. It follows from the log and the
/// latest statement alone, so that a rebuilt index is equal row for row.
struct IndexRow: Hashable, Sendable {
    /// What became of a segment's file.
    enum Removal: Int64, Sendable { case released = 1, evicted = 2 }

    var index: UInt64
    var kind: String
    /// Of the entry itself; a segment that was recovered later belongs to an earlier boot.
    var writtenUnixMilliseconds: Int64
    var stream: String?
    var sequence: UInt64?
    var run: UInt64?
    /// The boot whose clock the times below are of.
    var bootID: String
    var startBootMilliseconds: Int64?
    var endBootMilliseconds: Int64?
    /// As the entry says it, and how it was known then.
    var recordedStartUnixMilliseconds: Int64?
    var source: ClockSource?
    var uncertaintyMilliseconds: Int64?
    /// With the boot's `clock` entries applied, wherever in the log they stand.
    var startUnixMilliseconds: Int64?
    var endUnixMilliseconds: Int64?
    var bytes: Int64?
    /// Why a segment ended, a gap came about or a clock was fixed; where an event came from; the state of a change of power.
    var reason: String?
    /// An event's label; the name of an imported file; the reason for a change of power.
    var label: String?
    /// Of an imported file.
    var hash: String?
    /// Covered by the hub's latest statement.
    var isHeld = false
    var removal: Removal?

    /// A line that is no entry keeps its place in the index; `check` tells of it.
    init(index: UInt64, line: [UInt8], held: [StreamID: SequenceRanges]) {
        self.init(index: index, entry: (try? LogEntry(line: line)) ?? Self.unreadable, held: held)
    }

    static let unreadable = LogEntry(
        bootID: "", at: Moment(bootNanoseconds: 0, wall: WallEstimate(unixMilliseconds: 0, source: .none, uncertaintyMilliseconds: 0)),
        body: .other(kind: "unreadable"))

    /// The row by itself: without what other entries say of its time and its file.
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
            setTime(record.bootID, record.startBootMilliseconds, record.durationMilliseconds, record.startWall)
            bytes = record.bytes
            reason = record.end.rawValue
            isHeld = held[record.stream]?.contains(record.sequence) ?? false
        case .gap(let gap):
            stream = gap.stream.description
            setTime(gap.bootID, gap.startBootMilliseconds, gap.durationMilliseconds, gap.startWall)
            reason = gap.cause.rawValue
        case .event(let event):
            stream = StreamID(camera: event.camera, kind: .main).description
            setTime(event.bootID, event.startBootMilliseconds, event.durationMilliseconds, event.startWall)
            reason = event.source.rawValue
            label = event.label
        case .clock(let fix):
            setTime(fix.bootID, fix.bootMilliseconds, 0, fix.wall)
            reason = fix.reason.rawValue
        case .imported(let record):
            bootID = record.bootID
            bytes = record.originalBytes
            label = record.originalName
            hash = record.originalSHA256.hex
        case .power(let record):
            setTime(entry.bootID, entry.bootMilliseconds, 0, entry.wall)
            reason = record.state.rawValue
            label = record.reason
        case .evicted(let removal), .released(let removal):
            bytes = removal.bytes
            reason = removal.reason.rawValue
        case .boot, .key, .config, .recovered, .other: break
        }
    }

    private mutating func setTime(_ boot: String, _ start: Int64, _ duration: Int64, _ wall: WallEstimate) {
        bootID = boot
        startBootMilliseconds = start
        endBootMilliseconds = start + duration
        recordedStartUnixMilliseconds = wall.unixMilliseconds
        source = wall.source
        uncertaintyMilliseconds = wall.uncertaintyMilliseconds
        startUnixMilliseconds = wall.unixMilliseconds
        endUnixMilliseconds = wall.unixMilliseconds + duration
    }

    /// With the time that the boot's clock entries give it. Those entries themselves stay as they are.
    func redated(by corrections: ClockCorrections) -> IndexRow {
        guard kind != "clock", let boot = startBootMilliseconds, let end = endBootMilliseconds, let estimate = startEstimate(corrections) else { return self }
        var row = self
        row.startUnixMilliseconds = estimate.unixMilliseconds
        row.endUnixMilliseconds = estimate.unixMilliseconds + (end - boot)
        return row
    }

    /// What is known of the time of its start.
    func startEstimate(_ corrections: ClockCorrections) -> WallEstimate? {
        guard let boot = startBootMilliseconds, let recorded = recordedStartUnixMilliseconds, let source, let uncertaintyMilliseconds else { return nil }
        let estimate = WallEstimate(unixMilliseconds: recorded, source: source, uncertaintyMilliseconds: uncertaintyMilliseconds)
        return corrections.corrected(estimate, atBootMilliseconds: boot) ?? estimate
    }

    func withRemoval(_ removal: Removal?) -> IndexRow {
        var row = self
        row.removal = removal
        return row
    }

    /// The fix that a `clock` row is of.
    var clockFix: ClockRecord? {
        guard kind == "clock", let boot = startBootMilliseconds, let wall = recordedStartUnixMilliseconds, let source, let uncertaintyMilliseconds,
            let reason = reason.flatMap({ ClockRecord.Reason(rawValue: $0) })
        else { return nil }
        return ClockRecord(
            bootID: bootID, bootMilliseconds: boot,
            wall: WallEstimate(unixMilliseconds: wall, source: source, uncertaintyMilliseconds: uncertaintyMilliseconds), reason: reason)
    }
}

/// What an entry changes in rows that stand before it.
enum IndexEffect: Sendable {
    case redates(bootID: String)
    case removes(StreamID, SequenceRanges, IndexRow.Removal)

    init?(_ body: EntryBody) {
        switch body {
        case .clock(let fix): self = .redates(bootID: fix.bootID)
        case .evicted(let record): self = .removes(record.stream, record.sequences, .evicted)
        case .released(let record): self = .removes(record.stream, record.sequences, .released)
        default: return nil
        }
    }
}

/// An entry as the index takes it.
struct IndexUpdate: Sendable {
    var row: IndexRow
    var effect: IndexEffect?

    init(index: UInt64, entry: LogEntry, held: [StreamID: SequenceRanges]) {
        row = IndexRow(index: index, entry: entry, held: held)
        effect = IndexEffect(entry.body)
    }

    init(index: UInt64, line: [UInt8], held: [StreamID: SequenceRanges]) {
        self.init(index: index, entry: (try? LogEntry(line: line)) ?? IndexRow.unreadable, held: held)
    }
}

extension IndexRow: FetchableRecord {
    static let schema = """
        CREATE TABLE entries (
            idx INTEGER PRIMARY KEY, kind TEXT NOT NULL, written INTEGER NOT NULL, stream TEXT, sequence INTEGER, run INTEGER,
            boot TEXT NOT NULL, start_boot INTEGER, end_boot INTEGER, recorded_wall INTEGER, source TEXT, uncertainty INTEGER,
            start_wall INTEGER, end_wall INTEGER, bytes INTEGER, reason TEXT, label TEXT, hash TEXT, held INTEGER NOT NULL, removal INTEGER
        );
        CREATE INDEX entries_by_stream ON entries (stream, sequence) WHERE kind = 'segment';
        CREATE INDEX entries_by_time ON entries (start_wall) WHERE stream IS NOT NULL;
        CREATE INDEX entries_of_stream ON entries (stream, idx) WHERE stream IS NOT NULL;
        CREATE INDEX entries_of_boot ON entries (boot) WHERE start_boot IS NOT NULL;
        CREATE INDEX entries_events ON entries (stream, boot, start_boot, end_boot) WHERE kind = 'event';
        CREATE INDEX entries_imports ON entries (hash) WHERE hash IS NOT NULL;
        CREATE INDEX entries_by_end ON entries (end_wall) WHERE kind = 'segment' AND removal IS NULL;
        CREATE INDEX entries_kept ON entries (held, idx, bytes, start_boot, end_boot) WHERE kind = 'segment' AND removal IS NULL;
        CREATE TABLE state (name TEXT PRIMARY KEY, value TEXT NOT NULL);
        """
    static let insertion = "INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"

    var arguments: StatementArguments {
        [
            Int64(clamping: index), kind, writtenUnixMilliseconds, stream, sequence.map { Int64(clamping: $0) }, run.map { Int64(clamping: $0) },
            bootID, startBootMilliseconds, endBootMilliseconds, recordedStartUnixMilliseconds, source?.rawValue, uncertaintyMilliseconds,
            startUnixMilliseconds, endUnixMilliseconds, bytes, reason, label, hash, isHeld, removal?.rawValue,
        ]
    }

    init(row: Row) throws {
        func number(_ column: String) throws -> UInt64? { (try row.optional(column) as Int64?).map { UInt64(clamping: $0) } }
        index = UInt64(clamping: try row.value("idx") as Int64)
        kind = try row.value("kind")
        writtenUnixMilliseconds = try row.value("written")
        stream = try row.optional("stream")
        sequence = try number("sequence")
        run = try number("run")
        bootID = try row.value("boot")
        startBootMilliseconds = try row.optional("start_boot")
        endBootMilliseconds = try row.optional("end_boot")
        recordedStartUnixMilliseconds = try row.optional("recorded_wall")
        source = (try row.optional("source") as String?).flatMap { ClockSource(rawValue: $0) }
        uncertaintyMilliseconds = try row.optional("uncertainty")
        startUnixMilliseconds = try row.optional("start_wall")
        endUnixMilliseconds = try row.optional("end_wall")
        bytes = try row.optional("bytes")
        reason = try row.optional("reason")
        label = try row.optional("label")
        hash = try row.optional("hash")
        isHeld = try row.value("held")
        removal = (try row.optional("removal") as Int64?).flatMap { Removal(rawValue: $0) }
    }
}
