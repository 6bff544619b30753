import GRDB
import RecordingModel

/// What waits for the hub, by what it is, and what the index knows of the disk's future.
package struct JournalBacklog: Sendable {
    /// The most wanted first; none is left out.
    package var classes: [SyncReport.ClassBacklog] = []
    /// Footage that the latest statement covers and that is still here.
    package var releasableBytes: Int64 = 0
    /// By the node's own cameras, within a day at most. Nil where nothing was.
    package var recorded: SyncReport.Inputs.Recorded?
}

extension Journal {
    /// Goes through every segment that waits: 172,800 take a tenth of a second, so ask it seldom. On a connection of its own where
    /// there can be one, so that no commit waits for it.
    package func backlogByClass(now: WallEstimate) throws -> JournalBacklog {
        func question(_ index: JournalIndex) throws -> JournalBacklog { try index.backlogByClass(nowUnixMilliseconds: now.unixMilliseconds) }
        if let aside = try? JournalIndex.openForReading(files.index), (try? aside.extent())??.log == logID, let answer = try? question(aside) { return answer }
        return try ask(question)
    }
}

extension JournalReader {
    package func backlogByClass(now: WallEstimate) throws -> JournalBacklog { try withIndex { try $0.backlogByClass(nowUnixMilliseconds: now.unixMilliseconds) } }
}

extension JournalIndex {
    private static let dayMilliseconds: Int64 = 86_400_000

    func backlogByClass(nowUnixMilliseconds now: Int64) throws -> JournalBacklog {
        try database.read { database in
            var found: [SyncReport.FootageClass: SyncReport.ClassBacklog] = [:]
            // Most nodes have none, and then nothing needs to be looked up for each segment. The longest bounds where to look for one.
            let longest = try Int64.fetchOne(database, sql: "SELECT max(end_boot - start_boot) FROM entries WHERE kind = 'event'")
            let sql = """
                SELECT s.stream AS stream, \(longest.map { Self.hasEvent(lastingAtMost: $0) } ?? "0") AS event, count(*) AS n, sum(s.bytes) AS bytes,
                    sum(s.end_boot - s.start_boot) AS ms, min(s.start_wall) AS oldest
                FROM entries s WHERE s.kind = 'segment' AND s.removal IS NULL AND s.held = 0 GROUP BY 1, 2
                """
            for row in try Row.fetchAll(database, sql: sql) {
                guard let stream = StreamID(try row.value("stream") as String) else { continue }
                let kind: SyncReport.FootageClass = try stream.kind == .main && row.value("event") ? .event : .init(stream.kind)
                var item = found[kind] ?? .init(footageClass: kind, segments: 0, bytes: 0, durationMilliseconds: 0, oldestUnixMilliseconds: nil)
                item.segments += try row.value("n")
                item.bytes += try row.value("bytes")
                item.durationMilliseconds += try row.value("ms")
                let oldest: Int64? = try row.optional("oldest")
                item.oldestUnixMilliseconds = [item.oldestUnixMilliseconds, oldest].compactMap { $0 }.min()
                found[kind] = item
            }
            var backlog = JournalBacklog()
            backlog.classes = SyncReport.FootageClass.allCases.map {
                found[$0] ?? .init(footageClass: $0, segments: 0, bytes: 0, durationMilliseconds: 0, oldestUnixMilliseconds: nil)
            }
            let held = "SELECT coalesce(sum(bytes), 0) FROM entries WHERE kind = 'segment' AND removal IS NULL AND held = 1"
            backlog.releasableBytes = try Int64.fetchOne(database, sql: held) ?? 0
            backlog.recorded = try Self.recorded(database, now: now)
            return backlog
        }
    }

    /// See `hasEvent`; with it the index finds an event without going through all that began earlier.
    private static func hasEvent(lastingAtMost milliseconds: Int64) -> String {
        "\(hasEvent.dropLast()) AND e.start_boot >= s.start_boot - \(milliseconds))"
    }

    /// Within the last day, or since the first that was recorded where that is later.
    private static func recorded(_ database: Database, now: Int64) throws -> SyncReport.Inputs.Recorded? {
        let own = "kind = 'segment' AND stream IS NOT NULL AND boot NOT LIKE '\(ImportRecord.bootPrefix)%'"
        let since = now - dayMilliseconds
        let recent = "SELECT coalesce(sum(bytes), 0) AS bytes, min(start_wall) AS first FROM entries WHERE \(own) AND start_wall > ? AND start_wall <= ?"
        guard let row = try Row.fetchOne(database, sql: recent, arguments: [since, now]), let first: Int64 = try row.optional("first") else { return nil }
        let isOlder = try Bool.fetchOne(database, sql: "SELECT EXISTS (SELECT 1 FROM entries WHERE \(own) AND start_wall <= ?)", arguments: [since]) == true
        return .init(bytes: try row.value("bytes"), milliseconds: now - (isOlder ? since : first))
    }
}

extension SyncReport.FootageClass {
    /// Of footage in which nothing happened.
    init(_ kind: StreamKind) {
        self =
            switch kind {
            case .thumbs: .thumbnails
            case .proxy: .proxy
            case .main: .main
            }
    }
}
