import EvidenceLog
import GRDB
import RecordingModel
import StorageIO
import SystemPackage

/// What a courier takes along, read beside a running recorder.
extension JournalReader {
    /// A segment whose file is here and that no statement covers.
    package struct Waiting: Hashable, Sendable {
        package var logIndex: UInt64
        package var segment: SegmentID
        package var sha256: ContentHash
        package var bytes: Int64
        /// Overlaps an event of its camera.
        package var hasEvent: Bool
    }

    /// The newest checkpoint that the recorder has stored.
    package func newestCheckpoint() throws -> SignedCheckpoint? { try CheckpointReader.last(checkpointsPath, storage: storage) }

    /// Segments that the latest statement does not cover: those with an event first, then the rest, each oldest entry first.
    /// - Parameter cameras: empty for all.
    package func waiting(fromUnixMilliseconds: Int64?, toUnixMilliseconds: Int64?, cameras: Set<CameraID>) throws -> [Waiting] {
        let rows = try withIndex { try $0.waiting(fromUnixMilliseconds: fromUnixMilliseconds, toUnixMilliseconds: toUnixMilliseconds) }
        let hasEvent = Dictionary(rows.map { ($0.index, $0.hasEvent) }, uniquingKeysWith: { first, _ in first })
        var found: [Waiting] = []
        _ = try entryFiles.forEachLine { index, line in
            guard let hasEvent = hasEvent[index], case .segment(let record)? = (try? LogEntry(line: line))?.body else { return }
            guard cameras.isEmpty || cameras.contains(record.stream.camera) else { return }
            found.append(Waiting(logIndex: index, segment: record.id, sha256: record.sha256, bytes: record.bytes, hasEvent: hasEvent))
        }
        return found.filter(\.hasEvent) + found.filter { !$0.hasEvent }
    }

    /// Goes through the log from an entry to the stored checkpoint of a size: each batch leads to a stored checkpoint of its own
    /// epoch, and is about `limitBytes` long where the checkpoints allow it.
    package func forEachBatch(from start: UInt64, to end: UInt64, limitBytes: Int, _ body: (LogBatch) throws -> Void) throws {
        guard var checkpoints = try CheckpointReader(checkpointsPath, storage: storage) else { return }
        var entries = EntryIterator(try entryFiles.list(), storage: storage, from: start)
        var batch: LogBatch?
        var bytes = 0
        func flush() throws {
            if let batch { try body(batch) }
            (batch, bytes) = (nil, 0)
        }
        while case .checkpoint(let signed, _) = try checkpoints.next() {
            let size = signed.checkpoint.size
            guard size > start else { continue }
            guard size <= end else { break }
            let first = max(entries.position, start)
            let lines = try entries.lines(upTo: size)
            let more = lines.reduce(0) { $0 + $1.count + 1 }
            if bytes + more > limitBytes { try flush() }
            batch = LogBatch(start: batch?.start ?? first, lines: (batch?.lines ?? []) + lines, checkpoint: signed)
            bytes += more
            // The entries behind a change of keys are of another epoch.
            if size > 1, let last = lines.last, case .key? = (try? LogEntry(line: last))?.body { try flush() }
        }
        try flush()
        guard entries.position >= end else { throw JournalError.unreadable(file: files.log(log).string, reason: "entries \(entries.position) to \(end) lead to no stored checkpoint") }
    }
}

/// Lines in the order of the log, with one file in memory.
private struct EntryIterator {
    private var files: ArraySlice<EntryFiles.File>
    private let storage: any StorageIO
    private var bytes: [UInt8] = []
    private var offset = 0
    /// Index of the next line.
    private(set) var position: UInt64

    init(_ files: [EntryFiles.File], storage: any StorageIO, from start: UInt64) {
        let first = files.lastIndex { $0.first <= start } ?? files.startIndex
        self.files = files[first...]
        self.storage = storage
        wanted = start
        position = self.files.first?.first ?? 0
    }
    private let wanted: UInt64

    mutating func lines(upTo size: UInt64) throws -> [[UInt8]] {
        while position < wanted { _ = try next() }
        var lines: [[UInt8]] = []
        while position < size { lines.append(try next()) }
        return lines
    }

    private mutating func next() throws -> [UInt8] {
        while true {
            if let end = bytes[offset...].firstIndex(of: UInt8(ascii: "\n")) {
                defer {
                    offset = end + 1
                    position += 1
                }
                return Array(bytes[offset..<end])
            }
            guard let file = files.popFirst(), file.first == position else {
                throw JournalError.unreadable(file: "entries", reason: "the log ends at entry \(position); run: fieldpost-edge check")
            }
            (bytes, offset) = (try storage.read(file.path, limitBytes: EntryFiles.fileLimit), 0)
        }
    }
}

extension JournalIndex {
    func waiting(fromUnixMilliseconds from: Int64?, toUnixMilliseconds to: Int64?) throws -> [(index: UInt64, hasEvent: Bool)] {
        try database.read { database in
            let rows = try Row.fetchCursor(
                database,
                sql: """
                    SELECT s.idx, \(Self.hasEvent) AS event FROM entries s WHERE s.kind = 'segment' AND s.removal IS NULL AND s.held = 0
                    AND (?1 IS NULL OR s.end_wall > ?1) AND (?2 IS NULL OR s.start_wall < ?2)
                    """, arguments: [from, to])
            var found: [(index: UInt64, hasEvent: Bool)] = []
            while let row = try rows.next() { found.append((UInt64(clamping: try row.value("idx") as Int64), try row.value("event"))) }
            return found
        }
    }
}
