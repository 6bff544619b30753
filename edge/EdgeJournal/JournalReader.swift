import EvidenceLog
import RecordingModel
import StorageIO
import SystemPackage

/// Looks into a data directory without changing it, whether or not a recorder is running. Takes no lock.
package struct JournalReader: Sendable {
    package let node: NodeID
    package let log: LogID
    let files: JournalFiles
    let storage: any StorageIO

    /// - Throws: `JournalError.notADataDirectory`.
    package init(dataDirectory: FilePath, storage: any StorageIO = RealStorage()) throws {
        files = JournalFiles(root: dataDirectory)
        self.storage = storage
        guard let identity = try DirectoryIdentity.read(files, storage) else { throw JournalError.notADataDirectory(directory: dataDirectory.string) }
        node = identity.node
        log = identity.log
    }

    var entryFiles: EntryFiles { EntryFiles(storage: storage, directory: files.log(log)) }

    package var isRecording: Bool { DirectoryLock.isHeld(files.lock) }

    package func latestStatement() throws -> JournalStatement? { try StatementFile.read(files, log: log, storage) }

    /// See `Journal.segments`.
    package func segments(
        of stream: StreamID? = nil, fromUnixMilliseconds: Int64? = nil, toUnixMilliseconds: Int64? = nil, including: [JournalRow.Other] = [], limit: Int
    ) throws -> [JournalRow] {
        try withIndex { try $0.spans(of: stream, from: fromUnixMilliseconds, to: toUnixMilliseconds, kinds: JournalRow.kinds(including), limit: limit) }
            .compactMap { JournalRow($0) }
    }

    package func status() throws -> JournalStatus {
        let (totals, size) = try withIndex { (try $0.totals(), try $0.extent()?.size ?? 0) }
        return JournalStatus(
            node: node, log: log, logSize: size, lastCheckpoint: try CheckpointReader.last(checkpointsPath, storage: storage)?.checkpoint, segments: totals.segments,
            bytes: totals.bytes, backlog: totals.backlog, newest: totals.newest, space: try? storage.space(files.root), diskProblem: nil, cameras: [],
            isRecording: isRecording, failure: nil)
    }

    var checkpointsPath: FilePath { files.log(log).appending(LogFolder.checkpointsName) }

    /// The index on disk where it is of this log; else one in memory, made from the log.
    func usableIndex() throws -> JournalIndex {
        if let index = try? JournalIndex.openForReading(files.index), (try? index.extent())??.log == log { return index }
        return try rebuiltIndex()
    }

    /// Asks the index; where its answer shows that it is damaged, one made from the log.
    func withIndex<Answer>(_ ask: (JournalIndex) throws -> Answer) throws -> Answer {
        do {
            return try ask(try usableIndex())
        } catch where JournalIndex.isDamage(error) {
            return try ask(try rebuiltIndex())
        }
    }

    /// The index as it should be.
    func rebuiltIndex() throws -> JournalIndex {
        let index = try JournalIndex.inMemory()
        _ = try fill(index)
        return index
    }

    /// - Returns: how many entries the log has.
    private func fill(_ index: JournalIndex) throws -> UInt64 {
        let held = try latestStatement()?.held ?? [:]
        var updates: [IndexUpdate] = []
        var frontier = MerkleFrontier()
        func store() throws {
            try index.append(updates, reaching: JournalIndex.Extent(log: log, size: frontier.size, root: frontier.root))
            updates.removeAll(keepingCapacity: true)
        }
        try index.clear(log: log)
        _ = try entryFiles.forEachLine { position, line in
            let line = Array(line)
            frontier.append(MerkleTree.leafHash(line))
            updates.append(IndexUpdate(index: position, line: line, held: held))
            if updates.count == 1_000 { try store() }
        }
        try store()
        try index.apply(held: held)
        return frontier.size
    }

    /// Makes the index on disk anew.
    /// - Throws: `JournalError.inUse` while a recorder runs.
    package func rebuildIndex() throws -> (entries: UInt64, changedRows: Int) {
        let lock: DirectoryLock
        do { lock = try DirectoryLock(files.lock, heldSentence: "") } catch is DirectoryIsLocked {
            throw JournalError.inUse(directory: files.root.string)
        }
        return try withExtendedLifetime(lock) {
            let before = try? JournalIndex.openForReading(files.index).digest()
            try JournalIndex.delete(files.index)
            try storage.remove(files.indexDamaged)
            let index = try JournalIndex.open(files.index)
            let entries = try fill(index)
            let after = try index.digest()
            return (entries, before.map { old in after.filter { old[$0.key] != $0.value }.count + old.keys.filter { after[$0] == nil }.count } ?? after.count)
        }
    }

    /// What the log says of a segment; nil when there is no such entry.
    package func record(of segment: SegmentID) throws -> SegmentRecord? {
        guard let row = try withIndex({ try $0.row(of: segment) }) else { return nil }
        return try records(at: [row.index])[row.index]
    }

    /// The segments that stand at these places of the log. Reads the log once.
    package func records(at indexes: Set<UInt64>) throws -> [UInt64: SegmentRecord] {
        var found: [UInt64: SegmentRecord] = [:]
        _ = try entryFiles.forEachLine { position, line in
            guard indexes.contains(position), case .segment(let record)? = (try? LogEntry(line: line))?.body else { return }
            found[position] = record
        }
        return found
    }

    /// Nil when the file is not on this node any more.
    package func file(of segment: SegmentID) throws -> (any ReadingFile)? {
        guard try storage.size(files.sealed(segment)) != nil else { return nil }
        return try storage.openForReading(files.sealed(segment))
    }
}
