import EvidenceLog
import Logging
import RecordingModel
import StorageIO
import Synchronization
import SystemPackage

extension Journal {
    /// Asks the index. One that its answer shows to be damaged is made anew from the log, once; recording waits meanwhile.
    func ask<Answer>(_ question: (JournalIndex) throws -> Answer) throws -> Answer {
        do {
            return try question(index)
        } catch where JournalIndex.isDamage(error) {
            let isMended = writer.withLock { writer in
                writer.indexFailed(error)
                writer.mendIndex()
                return !writer.isIndexBehind
            }
            guard isMended else { throw error }
            return try question(index)
        }
    }

    /// The segment's entry and its file, opened; nil when there is no such entry or its file is gone.
    package func segmentFile(_ id: SegmentID) throws -> JournalSegment? {
        guard let row = try ask({ try $0.row(of: id) }), row.removal == nil, let record = try records(at: [row.index]).first else { return nil }
        guard try storage.size(files.sealed(id)) != nil else {
            noteMissing(id)
            return nil
        }
        return JournalSegment(record: record, logIndex: row.index, file: try storage.openForReading(files.sealed(id)))
    }

    /// Segments (and gaps, when asked for) that overlap a window of wall time, in order of their start.
    package func segments(
        of stream: StreamID? = nil, fromUnixMilliseconds: Int64? = nil, toUnixMilliseconds: Int64? = nil, including: [JournalRow.Other] = [], limit: Int
    ) throws -> [JournalRow] {
        try ask { try $0.spans(of: stream, from: fromUnixMilliseconds, to: toUnixMilliseconds, kinds: JournalRow.kinds(including), limit: limit) }
            .compactMap { JournalRow($0) }
    }

    /// A segment that waits for the hub.
    package struct Waiting: Hashable, Sendable {
        package var logIndex: UInt64
        package var record: SegmentRecord
        /// Overlaps an event of its camera.
        package var hasEvent: Bool
        package var isPulled: Bool
    }

    /// Segments that the hub's latest statement does not cover: thumbnails, those that are pulled, those that are named, those
    /// with an event, proxies, and then the rest, each oldest entry first.
    /// - Parameters:
    ///   - events: whether those with an event are wanted, of whatever kind
    ///   - kinds: of which the rest is wanted
    package func waiting(
        pulled: [(stream: StreamID, sequences: SequenceRanges)] = [], begun: [SegmentID] = [], excluding isExcluded: (SegmentID) -> Bool = { _ in false }, events: Bool = true,
        kinds: Set<StreamKind> = Set(StreamKind.allCases), limit: Int
    ) throws -> [Waiting] {
        let found = try ask { try $0.waiting(pulled: pulled, begun: begun, events: events, kinds: kinds, limit: limit) { !isExcluded($0) } }
        return zip(found, try records(at: found.map(\.index))).map { Waiting(logIndex: $0.index, record: $1, hasEvent: $0.hasEvent, isPulled: $0.isPulled) }
    }

    /// All segments that are here, with the time that their entries say and their content. Reads the log, in pieces
    /// between which recording goes on.
    package func footage() throws -> [(segment: SegmentID, recordedUnixMilliseconds: Int64, sha256: ContentHash)] {
        let present = try ask { try $0.present() }
        return try stride(from: 0, to: present.count, by: Self.footageAtOnce).flatMap { first in
            try records(at: Array(present[first..<min(first + Self.footageAtOnce, present.count)])).map { ($0.id, $0.startWall.unixMilliseconds, $0.sha256) }
        }
    }
    private static let footageAtOnce = 256

    func records(at indexes: [UInt64]) throws -> [SegmentRecord] {
        try withWriter { writer in
            try indexes.map { index in
                guard let line = try writer.log.lines(index..<(index + 1)).first, case .segment(let record) = try LogEntry(line: line).body else {
                    throw JournalError.unreadable(file: files.index.string, reason: "row \(index) is no segment in the log")
                }
                return record
            }
        }
    }

    /// Keeps the hub's latest statement durably and flags what it covers. A statement that covers less than the one
    /// before takes the flags back: the hub has lost something and will be sent it again.
    /// - Precondition: the caller has checked the hub's signature, and that the statement is of this log.
    package func recordStatement(_ encoded: [UInt8], held: [StreamID: SequenceRanges], logSize: UInt64) throws {
        // What comes later in the log than the statement speaks of, it cannot cover, whatever it lists.
        let (newest, beyond) = try ask { (try $0.totals().newest, try $0.firstSequences(from: logSize)) }
        let covered = held.reduce(into: [StreamID: SequenceRanges]()) { result, item in
            guard let last = newest[item.key]?.sequence, beyond[item.key] != 0 else { return }
            result[item.key] = item.value.upTo(min(last, beyond[item.key].map { $0 - 1 } ?? last))
        }
        let statement = JournalStatement(encoded: encoded, held: covered, logSize: logSize)
        try withWriter { writer in
            try StatementFile(statement, log: writer.log.log).write(files, storage)
            writer.apply(statement)
        }
    }

    package func latestStatement() -> JournalStatement? {
        writer.withLock { $0.statement }
    }

    package func status() throws -> JournalStatus {
        let (size, checkpoint) = writer.withLock { ($0.log.size, $0.log.checkpoints.last) }
        let (cameras, failure) = inbox.withLock { ($0.health.values.sorted { $0.camera < $1.camera }, $0.failure) }
        let totals = try ask { try $0.totals() }
        return JournalStatus(
            node: options.node, log: logID, logSize: size, lastCheckpoint: checkpoint, segments: totals.segments, bytes: totals.bytes,
            backlog: totals.backlog, newest: totals.newest, space: diskState.space, diskProblem: diskState.problem, cameras: cameras,
            isRecording: failure == nil, failure: failure?.description)
    }

    /// What this node can still send, per stream.
    package func holdings() throws -> [StreamID: SequenceRanges] {
        let newest = try ask { try $0.totals().newest }
        let removed = writer.withLock { $0.removed }
        return newest.reduce(into: [:]) { result, item in
            result[item.key] = SequenceRanges(closed: 0...item.value.sequence).subtracting(removed[item.key] ?? SequenceRanges())
        }
    }

    /// Puts a clock fix into the log: it re-dates everything of its boot.
    package func record(_ fix: ClockRecord) throws {
        try withWriter { try $0.append([.clock(fix)]) }
        listeners.withLock { $0.notify() }
    }

    /// Puts a change of the power state into the log. Durable when it returns.
    package func record(_ change: PowerRecord) throws {
        guard change.isPlausible else { throw JournalError.implausiblePower }
        try withWriter { try $0.append([.power(change)]) }
        listeners.withLock { $0.notify() }
    }

    /// Boots whose clocks were no better than a battery's, in order, since the last one that had a better one; each as
    /// far as the log tells. The trusted one comes first where there is one; the running boot last, where an earlier process
    /// recorded in it.
    package func bootsSinceTrustedClock(limit: Int = 1_000) throws -> [BootSpan] {
        try withWriter { try $0.bootsSinceTrustedClock(limit: limit) }
    }

    /// Compares log, files, index and checkpoints while recording goes on; see `JournalReader.check`.
    package func check(deep: Bool) throws -> JournalReport {
        try flush()
        return try JournalReader(dataDirectory: options.dataDirectory, storage: storage).check(deep: deep)
    }
}
