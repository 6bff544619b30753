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
        of stream: StreamID? = nil, fromUnixMilliseconds: Int64? = nil, toUnixMilliseconds: Int64? = nil, includingGaps: Bool = false, limit: Int
    ) throws -> [JournalRow] {
        try usableIndex().spans(of: stream, from: fromUnixMilliseconds, to: toUnixMilliseconds, includingGaps: includingGaps, limit: limit)
            .compactMap { JournalRow($0) }
    }

    package func status() throws -> JournalStatus {
        let index = try usableIndex()
        let totals = try index.totals()
        let size = try index.extent()?.size ?? 0
        return JournalStatus(
            node: node, log: log, logSize: size, lastCheckpoint: try CheckpointReader.last(checkpointsPath, storage: storage)?.checkpoint, segments: totals.segments,
            bytes: totals.bytes, backlog: totals.backlog, newest: totals.newest, space: try? storage.space(files.root), cameras: [],
            isRecording: isRecording, failure: nil)
    }

    var checkpointsPath: FilePath { files.log(log).appending(LogFolder.checkpointsName) }

    /// The index on disk where it is of this log; else one in memory, made from the log.
    private func usableIndex() throws -> JournalIndex {
        if let index = try? JournalIndex.openForReading(files.index), (try? index.extent())??.log == log { return index }
        return try rebuiltIndex()
    }

    /// The index as it should be.
    func rebuiltIndex() throws -> JournalIndex {
        let index = try JournalIndex.inMemory()
        let held = try latestStatement()?.held ?? [:]
        var rows: [IndexRow] = []
        var frontier = MerkleFrontier()
        _ = try entryFiles.forEachLine { position, line in
            let line = Array(line)
            frontier.append(MerkleTree.leafHash(line))
            rows.append(IndexRow(index: position, line: line, held: held))
            guard rows.count == 1_000 else { return }
            try index.append(rows, reaching: JournalIndex.Extent(log: log, size: frontier.size, root: frontier.root))
            rows.removeAll(keepingCapacity: true)
        }
        try index.append(rows, reaching: JournalIndex.Extent(log: log, size: frontier.size, root: frontier.root))
        return index
    }
}
