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
    /// Over the rest, so that a flipped bit licenses nothing.
    var sum: ContentHash?

    init(_ statement: JournalStatement, log: LogID) {
        self.log = log
        encoded = Data(statement.encoded)
        held = Dictionary(uniqueKeysWithValues: statement.held.map { ($0.key.description, $0.value) })
        logSize = statement.logSize
        sum = try? ownSum()
    }

    private func ownSum() throws -> ContentHash {
        var plain = self
        plain.sum = nil
        return ContentHash.sha256(try encodeSorted(plain))
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
        guard case .whole(let stored) = try load(files, storage), stored.log == log else { return nil }
        return stored.statement
    }

    enum Content {
        case none, damaged
        case whole(StatementFile)
    }

    static func load(_ files: JournalFiles, _ storage: any StorageIO) throws -> Content {
        guard try storage.size(files.statement) != nil else { return .none }
        guard let bytes = try? storage.read(files.statement), let stored = try? JSONDecoder().decode(StatementFile.self, from: Data(bytes)),
            try stored.sum == stored.ownSum()
        else { return .damaged }
        return .whole(stored)
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
