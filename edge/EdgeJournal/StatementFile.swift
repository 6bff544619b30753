import EvidenceLog
import FoundationEssentials
import RecordingModel
import StorageIO

/// `statement.json`: the latest statement, with the ranges that were read from it.
struct StatementFile: Codable, Hashable, Sendable {
    var log: LogID
    var encoded: Data
    /// Ranges by stream, both as text.
    var held: [String: SequenceRanges]
    var logSize: UInt64

    init(_ statement: JournalStatement, log: LogID) {
        self.log = log
        encoded = Data(statement.encoded)
        held = Dictionary(uniqueKeysWithValues: statement.held.map { ($0.key.description, $0.value) })
        logSize = statement.logSize
    }

    var statement: JournalStatement {
        let ranges = held.reduce(into: [StreamID: SequenceRanges]()) { result, item in
            if let stream = StreamID(item.key) { result[stream] = item.value }
        }
        return JournalStatement(encoded: Array(encoded), held: ranges, logSize: logSize)
    }

    /// Nil when there is none, when it is of another log, or when it cannot be read: a statement is only a licence,
    /// and the hub repeats it.
    static func read(_ files: JournalFiles, log: LogID, _ storage: any StorageIO) throws -> JournalStatement? {
        guard try storage.size(files.statement) != nil,
            let stored = try? JSONDecoder().decode(StatementFile.self, from: Data(try storage.read(files.statement))), stored.log == log
        else { return nil }
        return stored.statement
    }

    func write(_ files: JournalFiles, _ storage: any StorageIO) throws {
        try storage.replace(files.statement, with: try encodeSorted(self))
    }
}

/// `stopped.json`: the log as a clean stop left it. It means something only while the log still has that size, so
/// it need not be removed at the next start.
struct StopMark: Codable, Hashable, Sendable {
    var log: LogID
    var logSize: UInt64

    static func isClean(_ files: JournalFiles, log: LogID, size: UInt64, _ storage: any StorageIO) throws -> Bool {
        guard try storage.size(files.stopped) != nil,
            let mark = try? JSONDecoder().decode(StopMark.self, from: Data(try storage.read(files.stopped, limitBytes: 1 << 16)))
        else { return false }
        return mark == StopMark(log: log, logSize: size)
    }

    func write(_ files: JournalFiles, _ storage: any StorageIO) throws {
        try storage.replace(files.stopped, with: try encodeSorted(self))
    }
}
