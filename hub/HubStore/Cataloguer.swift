import EvidenceLog
import GRDB
import RecordingModel
import SyncProtocol

/// Puts what entries say into the catalogue, within one transaction: `add` in the order of the log, then `finish`.
struct Cataloguer {
    private let db: Database
    private let node: NodeID
    private let log: LogID
    private var clocks: BootClocks
    private var movedBoots: Set<String> = []
    /// Segments whose content the hub has already, of this node: to be marked as held.
    private(set) var adopted: [SegmentID] = []

    init(_ db: Database, node: NodeID, log: LogID) {
        self.db = db
        self.node = node
        self.log = log
        clocks = BootClocks(db, node: node)
    }

    mutating func add(_ entry: LogEntry, index: UInt64) throws {
        let key: [(any DatabaseValueConvertible)?] = [node.description, log.description, Int64(clamping: index)]
        switch entry.body {
        case .segment(let record): try add(record, key: key)
        case .gap(let gap): try add(gap, said: entry, key: key)
        case .event(let event):
            // An event is told as it begins and again when it is over: the later entry stands for both.
            try db.execute(
                sql: "DELETE FROM events WHERE node = ? AND log = ? AND boot = ? AND camera = ? AND start_boot_ms = ?",
                arguments: [node.description, log.description, event.bootID, event.camera.description, event.startBootMilliseconds])
            let dated = Dated(boot: event.bootID, start: event.startBootMilliseconds, duration: event.durationMilliseconds, wall: event.startWall)
            try insert("events", key, ["camera": event.camera.description, "source": event.source.rawValue, "score": event.score, "label": event.label], dated)
        case .clock(let fix):
            try db.execute(
                sql: "INSERT INTO clocks (node, log, log_index, boot, boot_ms, wall_ms, source, uncertainty_ms, reason) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                arguments: StatementArguments(
                    key + [
                        fix.bootID, fix.bootMilliseconds, fix.wall.unixMilliseconds, fix.wall.source.rawValue, fix.wall.uncertaintyMilliseconds, fix.reason.rawValue,
                    ]))
            clocks.forget(fix.bootID)
            movedBoots.insert(fix.bootID)
        case .imported(let record):
            try db.execute(
                sql: "INSERT INTO imports (node, log, log_index, camera, boot, sha256, record) VALUES (?, ?, ?, ?, ?, ?, ?)",
                arguments: StatementArguments(key + [record.camera.description, record.bootID, record.originalSHA256.hex, try HubStore.json(record)]))
        case .power(let record):
            let dated = Dated(boot: entry.bootID, start: entry.bootMilliseconds, duration: 0, wall: entry.wall)
            try insert("powers", key, ["record": try HubStore.json(record)], dated)
        case .evicted(let removal): try remove(removal, as: removal.reason.rawValue)
        case .released(let removal): try remove(removal, as: HubStore.releasedMark)
        case .boot, .key, .config, .recovered, .other: break
        }
    }

    /// Gives everything of the boots that were re-dated its new time. Once for a batch, however many fixes it holds.
    mutating func finish() throws {
        guard !movedBoots.isEmpty else { return }
        for boot in movedBoots.sorted() { try clocks.redate(boot) }
        // Of all cameras, since a wrong year of one boot hides the newest of all others.
        try db.execute(
            sql: """
                UPDATE cameras SET
                    newest_ms = COALESCE((SELECT MAX(end_ms) FROM segments s WHERE s.node = cameras.node AND s.camera = cameras.camera AND s.kind = 'main'), newest_ms),
                    newest_held_ms = (SELECT end_ms FROM segments s WHERE s.node = cameras.node AND s.camera = cameras.camera AND s.kind = 'main' AND s.held = 1
                        ORDER BY end_ms DESC LIMIT 1)
                WHERE node = ?
                """, arguments: [node.description])
    }

    private mutating func add(_ record: SegmentRecord, key: [(any DatabaseValueConvertible)?]) throws {
        let known = try Row.fetchOne(
            db.cachedStatement(sql: "SELECT sha256 FROM segments WHERE node = ? AND log = ? AND camera = ? AND kind = ? AND sequence = ?"),
            arguments: HubStore.arguments(record.id, node, log))
        // A statement covers sequence numbers: one number for two contents would license deleting what is not here.
        guard known == nil else { throw Problem(status: 422, title: "A sequence number is used twice.", detail: "\(record.id)", field: "entries") }
        let dated = Dated(
            boot: record.bootID, start: record.startBootMilliseconds, duration: record.durationMilliseconds, wall: record.startWall)
        // A node that lost its log tells of the same footage again, under a new one; a still picture gives the same bytes twice.
        let isHere = try Bool.fetchOne(
            db.cachedStatement(sql: "SELECT EXISTS (SELECT 1 FROM segments WHERE sha256 = ? AND node = ? AND held = 1 AND bytes = ?)"),
            arguments: [record.sha256.hex, node.description, record.bytes]) ?? false
        if isHere { adopted.append(record.id) }
        let place = try insert(
            "segments", key,
            [
                "camera": record.stream.camera.description, "kind": record.stream.kind.rawValue, "sequence": Int64(bitPattern: record.sequence),
                "bytes": record.bytes, "sha256": record.sha256.hex, "record": try HubStore.json(record),
            ], dated)
        guard record.stream.kind == .main else { return }
        let camera = try db.cachedStatement(
            sql: """
                INSERT INTO cameras (node, camera, newest_ms) VALUES (?, ?, ?)
                ON CONFLICT DO UPDATE SET newest_ms = MAX(newest_ms, excluded.newest_ms)
                """)
        try camera.execute(arguments: [node.description, record.stream.camera.description, place.end])
    }

    /// A gap that a later boot tells of lasted until it did: how long that was is known only by both boots' clocks.
    private mutating func add(_ gap: GapRecord, said entry: LogEntry, key: [(any DatabaseValueConvertible)?]) throws {
        var dated = Dated(boot: gap.bootID, start: gap.startBootMilliseconds, duration: gap.durationMilliseconds, wall: gap.startWall)
        var values: [String: (any DatabaseValueConvertible)?] = [
            "camera": gap.stream.camera.description, "kind": gap.stream.kind.rawValue, "cause": gap.cause.rawValue, "detail": gap.detail,
        ]
        if entry.bootID != gap.bootID {
            dated.until = Dated.Until(boot: entry.bootID, bootMilliseconds: entry.bootMilliseconds, wall: entry.wall)
            values.merge([
                "until_boot": entry.bootID, "until_boot_ms": entry.bootMilliseconds, "until_wall_ms": entry.wall.unixMilliseconds,
                "until_source": entry.wall.source.rawValue, "until_uncertainty_ms": entry.wall.uncertaintyMilliseconds,
            ]) { $1 }
        }
        try insert("gaps", key, values, dated)
    }

    @discardableResult
    private mutating func insert(
        _ table: String, _ key: [(any DatabaseValueConvertible)?], _ values: [String: (any DatabaseValueConvertible)?], _ dated: Dated
    ) throws -> Dated.Place {
        let place = try clocks.place(dated)
        let own = values.sorted { $0.key < $1.key }
        let columns = ["node", "log", "log_index"] + own.map(\.key) + [
            "boot", "start_boot_ms", "end_boot_ms", "recorded_start_ms", "wall_source", "wall_uncertainty_ms", "start_ms", "end_ms", "corrected_uncertainty_ms",
        ]
        let arguments: [(any DatabaseValueConvertible)?] = key + own.map(\.value) + [
            dated.boot, dated.start, dated.start + dated.duration, dated.wall.unixMilliseconds, dated.wall.source.rawValue, dated.wall.uncertaintyMilliseconds,
            place.start, place.end, place.correctedUncertainty,
        ]
        let marks = Array(repeating: "?", count: columns.count).joined(separator: ", ")
        let statement = try db.cachedStatement(sql: "INSERT INTO \(table) (\(columns.joined(separator: ", "))) VALUES (\(marks))")
        try statement.execute(arguments: StatementArguments(arguments))
        return place
    }

    private func remove(_ removal: RemovalRecord, as mark: String) throws {
        for range in removal.sequences.ranges {
            try db.execute(
                sql: "UPDATE segments SET gone = ? WHERE node = ? AND log = ? AND camera = ? AND kind = ? AND sequence BETWEEN ? AND ?",
                arguments: [
                    mark, node.description, log.description, removal.stream.camera.description, removal.stream.kind.rawValue,
                    Int64(clamping: range.lowerBound), Int64(clamping: range.upperBound),
                ])
        }
    }
}

extension HubStore {
    /// In `segments.gone`, beside the reasons of an eviction.
    static let releasedMark = "released"
}
