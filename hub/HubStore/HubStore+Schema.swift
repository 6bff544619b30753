import EvidenceLog
import GRDB
import Logging
import RecordingModel
import StorageIO
import SyncProtocol
import SystemPackage

extension HubStore {
    static func registerMigrations(_ migrator: inout DatabaseMigrator) {
        registerFirstMigration(&migrator)
        registerSecondMigration(&migrator)
        registerRequestMigration(&migrator)
        // An event that is over takes the place of what was told as it began.
        migrator.registerMigration("events-1") { db in try db.execute(sql: "CREATE INDEX events_by_start ON events (node, camera, boot, start_boot_ms)") }
        registerPowerMigration(&migrator)
        // Proxies and thumbnails were counted as footage before.
        migrator.registerMigration("footage-1") { db in
            try db.execute(
                sql: "UPDATE nodes SET held_ms = (SELECT \(footageMilliseconds) FROM segments s WHERE s.node = nodes.id AND s.held = 1)")
        }
    }

    /// Time of the camera's own stream: proxies and thumbnails are of the same time again, and count in bytes only.
    static let footageMilliseconds = "COALESCE(SUM(end_boot_ms - start_boot_ms) FILTER (WHERE kind = 'main'), 0)"

    /// What people asked for, what nodes say of their sync, and when they were heard.
    private static func registerRequestMigration(_ migrator: inout DatabaseMigrator) {
        migrator.registerMigration("requests-1") { db in
            try db.execute(
                sql: """
                    CREATE TABLE requests (
                        id INTEGER PRIMARY KEY AUTOINCREMENT, node TEXT NOT NULL, camera TEXT NOT NULL, kind TEXT NOT NULL, stream TEXT,
                        start_ms INTEGER NOT NULL, end_ms INTEGER NOT NULL, user TEXT NOT NULL, reason TEXT NOT NULL, created_ms INTEGER NOT NULL,
                        state TEXT NOT NULL, ended_ms INTEGER, ended_by TEXT, segments INTEGER, lost_segments INTEGER
                    );
                    CREATE INDEX requests_open ON requests (node, id) WHERE state = 'open';
                    CREATE INDEX requests_ended ON requests (ended_ms) WHERE state <> 'open';
                    CREATE TABLE contacts (node TEXT NOT NULL, start_ms INTEGER NOT NULL, end_ms INTEGER NOT NULL, PRIMARY KEY (node, start_ms)) WITHOUT ROWID;
                    CREATE TABLE sync_reports (node TEXT PRIMARY KEY, report TEXT NOT NULL, received_ms INTEGER NOT NULL) WITHOUT ROWID;
                    """)
        }
    }

    /// Changes of the nodes' power states.
    private static func registerPowerMigration(_ migrator: inout DatabaseMigrator) {
        migrator.registerMigration("power-1") { db in
            try db.execute(
                sql: """
                    CREATE TABLE powers (
                        node TEXT NOT NULL, log TEXT NOT NULL, log_index INTEGER NOT NULL, start_ms INTEGER NOT NULL, end_ms INTEGER NOT NULL,
                        record TEXT NOT NULL, \(datedColumns.joined(separator: ", ")), PRIMARY KEY (node, log, log_index)
                    ) WITHOUT ROWID;
                    CREATE INDEX powers_by_time ON powers (node, start_ms);
                    CREATE INDEX powers_by_boot ON powers (node, boot, log, log_index);
                    """)
        }
    }

    private static func registerFirstMigration(_ migrator: inout DatabaseMigrator) {
        migrator.registerMigration("store-1") { db in
            try db.execute(
                sql: """
                    CREATE TABLE nodes (
                        id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, state TEXT NOT NULL, enrolled_ms INTEGER NOT NULL,
                        session INTEGER NOT NULL DEFAULT 0, current_log TEXT, last_contact_ms INTEGER, status TEXT, clock_offset_ms INTEGER,
                        held_segments INTEGER NOT NULL DEFAULT 0, held_bytes INTEGER NOT NULL DEFAULT 0, held_ms INTEGER NOT NULL DEFAULT 0
                    ) WITHOUT ROWID;
                    CREATE TABLE join_tokens (
                        secret_hash TEXT PRIMARY KEY, name TEXT NOT NULL, expires_s INTEGER NOT NULL, used_by TEXT, used_ms INTEGER
                    ) WITHOUT ROWID;
                    CREATE TABLE logs (
                        node TEXT NOT NULL, log TEXT NOT NULL, verifier TEXT NOT NULL, entry_bytes INTEGER NOT NULL, checkpoint_bytes INTEGER NOT NULL,
                        PRIMARY KEY (node, log)
                    ) WITHOUT ROWID;
                    CREATE TABLE forks (node TEXT NOT NULL, log TEXT NOT NULL, seen_ms INTEGER NOT NULL, checkpoint TEXT NOT NULL);
                    CREATE TABLE segments (
                        node TEXT NOT NULL, log TEXT NOT NULL, camera TEXT NOT NULL, kind TEXT NOT NULL, sequence INTEGER NOT NULL,
                        log_index INTEGER NOT NULL, start_ms INTEGER NOT NULL, end_ms INTEGER NOT NULL, bytes INTEGER NOT NULL,
                        sha256 TEXT NOT NULL, held INTEGER NOT NULL DEFAULT 0, record TEXT NOT NULL,
                        PRIMARY KEY (node, log, camera, kind, sequence)
                    ) WITHOUT ROWID;
                    CREATE INDEX segments_by_time ON segments (node, camera, kind, end_ms);
                    CREATE INDEX segments_by_hash ON segments (sha256);
                    CREATE INDEX segments_by_sequence ON segments (node, camera, kind, sequence);
                    CREATE TABLE cameras (
                        node TEXT NOT NULL, camera TEXT NOT NULL, newest_ms INTEGER NOT NULL, newest_held_ms INTEGER,
                        PRIMARY KEY (node, camera)
                    ) WITHOUT ROWID;
                    CREATE INDEX segments_missing ON segments (node, bytes) WHERE held = 0;
                    CREATE TABLE gaps (
                        node TEXT NOT NULL, log TEXT NOT NULL, log_index INTEGER NOT NULL, camera TEXT NOT NULL, kind TEXT NOT NULL,
                        start_ms INTEGER NOT NULL, end_ms INTEGER NOT NULL, cause TEXT NOT NULL, detail TEXT NOT NULL,
                        PRIMARY KEY (node, log, log_index)
                    ) WITHOUT ROWID;
                    CREATE INDEX gaps_by_time ON gaps (node, camera, kind, end_ms);
                    """)
        }
    }

    /// What is dated by a boot's clock: where it was recorded to be, and where it is by all that is known.
    private static let datedColumns = [
        "boot TEXT NOT NULL DEFAULT ''", "start_boot_ms INTEGER NOT NULL DEFAULT 0", "end_boot_ms INTEGER NOT NULL DEFAULT 0",
        "recorded_start_ms INTEGER NOT NULL DEFAULT 0", "wall_source TEXT NOT NULL DEFAULT 'none'", "wall_uncertainty_ms INTEGER NOT NULL DEFAULT 0",
        // Null where no clock entry moved it.
        "corrected_uncertainty_ms INTEGER",
    ]

    private static func registerSecondMigration(_ migrator: inout DatabaseMigrator) {
        migrator.registerMigration("store-2") { db in
            for column in datedColumns + ["gone TEXT"] { try db.execute(sql: "ALTER TABLE segments ADD COLUMN \(column)") }
            // The boot in which the recorder said so, where that is a later one: the gap then lasts until that moment.
            let until = ["until_boot TEXT", "until_boot_ms INTEGER", "until_wall_ms INTEGER", "until_source TEXT", "until_uncertainty_ms INTEGER"]
            for column in datedColumns + until { try db.execute(sql: "ALTER TABLE gaps ADD COLUMN \(column)") }
            try db.execute(
                sql: """
                    UPDATE segments SET boot = json_extract(record, '$.bootID'), start_boot_ms = json_extract(record, '$.startBootMilliseconds'),
                        end_boot_ms = json_extract(record, '$.endBootMilliseconds'), recorded_start_ms = start_ms,
                        wall_source = json_extract(record, '$.startWall.source'), wall_uncertainty_ms = json_extract(record, '$.startWall.uncertaintyMilliseconds');
                    UPDATE gaps SET recorded_start_ms = start_ms;
                    CREATE TABLE events (
                        node TEXT NOT NULL, log TEXT NOT NULL, log_index INTEGER NOT NULL, camera TEXT NOT NULL, start_ms INTEGER NOT NULL,
                        end_ms INTEGER NOT NULL, source TEXT NOT NULL, score INTEGER NOT NULL, label TEXT NOT NULL,
                        \(datedColumns.joined(separator: ", ")), PRIMARY KEY (node, log, log_index)
                    ) WITHOUT ROWID;
                    CREATE INDEX events_by_time ON events (node, camera, end_ms);
                    CREATE TABLE imports (
                        node TEXT NOT NULL, log TEXT NOT NULL, log_index INTEGER NOT NULL, camera TEXT NOT NULL, boot TEXT NOT NULL,
                        sha256 TEXT NOT NULL, record TEXT NOT NULL, PRIMARY KEY (node, log, log_index)
                    ) WITHOUT ROWID;
                    CREATE INDEX imports_by_boot ON imports (node, boot);
                    CREATE TABLE clocks (
                        id INTEGER PRIMARY KEY, node TEXT NOT NULL, log TEXT NOT NULL, log_index INTEGER NOT NULL, boot TEXT NOT NULL,
                        boot_ms INTEGER NOT NULL, wall_ms INTEGER NOT NULL, source TEXT NOT NULL, uncertainty_ms INTEGER NOT NULL, reason TEXT NOT NULL,
                        UNIQUE (node, log, log_index)
                    );
                    CREATE INDEX clocks_by_boot ON clocks (node, boot, id);
                    CREATE INDEX segments_by_boot ON segments (node, boot, log, log_index);
                    CREATE INDEX gaps_by_boot ON gaps (node, boot, log, log_index);
                    CREATE INDEX gaps_until_boot ON gaps (node, until_boot) WHERE until_boot IS NOT NULL;
                    CREATE INDEX events_by_boot ON events (node, boot, log, log_index);
                    ALTER TABLE logs ADD COLUMN catalogued INTEGER NOT NULL DEFAULT 0;
                    """)
        }
    }

    /// What the catalogue makes of a log's entries. A log that an earlier version took in is read again.
    static let catalogueVersion = 2

    /// Reads the logs that an earlier version of this program catalogued, for what it passed over. One that cannot be
    /// read stays as it was, and is tried again at the next start.
    func catalogueAnew() throws {
        let rows = try catalogue.read { db in
            try Row.fetchAll(db, sql: "SELECT node, log FROM logs WHERE catalogued < ?", arguments: [Self.catalogueVersion])
        }
        for row in rows {
            guard let node = NodeID(row["node"] as String), let log = LogID(row["log"] as String) else { continue }
            do {
                try catalogueAnew(node, log)
            } catch {
                logger.error("a log could not be catalogued anew", metadata: ["node": "\(node)", "log": "\(log)", "error": "\(error)"])
            }
        }
    }

    private func catalogueAnew(_ node: NodeID, _ log: LogID) throws {
        let size = try verifier(node, log).size
        try catalogue.write { db in
            for table in ["gaps", "events", "imports", "clocks", "powers"] {
                try db.execute(sql: "DELETE FROM \(table) WHERE node = ? AND log = ?", arguments: [node.description, log.description])
            }
            var cataloguer = Cataloguer(db, node: node, log: log)
            try forEachLine(node, log, upTo: size) { index, line in
                let entry = try LogEntry(line: line)
                if case .segment = entry.body { return }
                try cataloguer.add(entry, index: index)
            }
            try cataloguer.finish()
            try db.execute(
                sql: "UPDATE logs SET catalogued = ? WHERE node = ? AND log = ?", arguments: [Self.catalogueVersion, node.description, log.description])
        }
    }
}
