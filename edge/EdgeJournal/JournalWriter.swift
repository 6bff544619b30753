import EvidenceLog
import Logging
import RecordingModel
import StorageIO
import SystemPackage

/// Everything that changes the log: the commit path, checkpoints, key changes. Used by one thread at a time.
final class JournalWriter {
    enum Item {
        case segment(ClosedSegment)
        case gap(GapRecord)
        case event(EventRecord)
    }

    let options: Journal.Options
    let files: JournalFiles
    let storage: any StorageIO
    let clocks: any Clocks
    let logger: Logger
    var random: any RandomNumberGenerator & Sendable
    let log: LogStore
    /// Changed only while the journal starts.
    var index: JournalIndex
    let keys: SigningKeys
    var signer: NoteSigner
    var epoch: UInt64
    var statement: JournalStatement?

    let ballast: Ballast
    /// Sequences whose files were given up.
    var removed: [StreamID: SequenceRanges] = [:]

    private(set) var isIndexBehind = false
    private var isIndexDamaged = false
    /// Per stream the boot-clock time up to which this boot is accounted for. Taken away with the stream's first
    /// delivery: from then on capture accounts for every millisecond itself.
    var accountedUntil: [StreamID: Int64] = [:]
    let startedBootMilliseconds: Int64
    private var lastCheckpointMilliseconds: Int64
    private var lastHandoverMilliseconds: Int64
    /// Streams whose folders are known to be durable.
    private var rootedStreams: Set<StreamID> = []

    /// A checkpoint is due after so many entries, whatever the clock says.
    static let checkpointEntries: UInt64 = 500

    init(
        options: Journal.Options, files: JournalFiles, storage: any StorageIO, clocks: any Clocks, logger: Logger,
        random: any RandomNumberGenerator & Sendable, log: LogStore, index: JournalIndex, keys: SigningKeys, signer: NoteSigner, epoch: UInt64,
        statement: JournalStatement?
    ) {
        self.options = options
        self.files = files
        self.storage = storage
        self.clocks = clocks
        self.logger = logger
        self.random = random
        self.log = log
        self.index = index
        self.keys = keys
        self.signer = signer
        self.epoch = epoch
        self.statement = statement
        ballast = Ballast(path: files.ballast, storage: storage, logger: logger)
        startedBootMilliseconds = clocks.now().bootMilliseconds
        lastCheckpointMilliseconds = startedBootMilliseconds
        lastHandoverMilliseconds = lastCheckpointMilliseconds
    }

    /// Turns closed segments and gaps into durable entries, all of them with one sync of the log.
    ///
    /// 1. Before: capture has synced each segment's data and side file under their open names. A cut here leaves open
    ///    files, which recovery seals from their side files.
    /// 2. Rename each file to its sealed name, then sync each folder. After: the sealed names are durable. A cut here
    ///    leaves sealed files without entries, which recovery appends.
    /// 3. Append all lines and sync the log. After: the entries are durable, and the segments count as recorded.
    /// 4. Add the index rows. A failure here costs nothing: the rows follow from the log.
    ///
    /// - Throws: when 2 or 3 failed. Nothing more may be committed then until recovery has run.
    func commit(_ items: [Item]) throws {
        var touched: [StreamID] = []
        var bodies: [EntryBody] = []
        for item in items {
            switch item {
            case .segment(let closed):
                try storage.rename(FilePath(closed.openPath), to: files.sealed(closed.record.id))
                if !touched.contains(closed.record.stream) { touched.append(closed.record.stream) }
                if let gap = startingGap(closed.record.stream, closed.record.bootID, closed.record.startBootMilliseconds, closed.record.startWall) {
                    bodies.append(.gap(gap))
                }
                bodies.append(.segment(closed.record))
            case .gap(let gap): bodies += clipped(gap)
            case .event(let event): bodies.append(.event(event))
            }
        }
        for stream in touched { try syncDirectory(of: stream) }
        try append(bodies)
    }

    /// The time between this start's last word on a stream and capture's first: nobody else knows of it.
    private func startingGap(_ stream: StreamID, _ bootID: String, _ start: Int64, _ wall: WallEstimate) -> GapRecord? {
        guard let known = accountedUntil.removeValue(forKey: stream), bootID == clocks.bootID, start > known else { return nil }
        return GapRecord(
            stream: stream, bootID: bootID, startBootMilliseconds: known, startWall: wall.advanced(byMilliseconds: known - start),
            durationMilliseconds: start - known, cause: .starting, detail: "the recorder was starting")
    }

    /// A gap of capture, without what this start has accounted for already, and with what lies before it.
    private func clipped(_ gap: GapRecord) -> [EntryBody] {
        guard let known = accountedUntil[gap.stream], gap.bootID == clocks.bootID, gap.startBootMilliseconds < known else {
            let before = startingGap(gap.stream, gap.bootID, gap.startBootMilliseconds, gap.startWall)
            return [before, gap].compactMap { $0.map { .gap($0) } }
        }
        let overlap = known - gap.startBootMilliseconds
        guard gap.durationMilliseconds > overlap else { return [] }
        accountedUntil[gap.stream] = nil
        var rest = gap
        rest.startBootMilliseconds = known
        rest.startWall = gap.startWall.advanced(byMilliseconds: overlap)
        rest.durationMilliseconds -= overlap
        return [.gap(rest)]
    }

    /// Makes the stream's folder durable, the first time with the folders above it.
    func syncDirectory(of stream: StreamID) throws {
        let directory = files.directory(of: stream)
        try storage.syncDirectory(directory)
        guard !rootedStreams.contains(stream) else { return }
        try storage.syncDirectory(directory.removingLastComponent())
        try storage.syncDirectory(files.segments)
        rootedStreams.insert(stream)
    }

    /// Steps 3 and 4 of `commit`, and a checkpoint when enough entries wait for one.
    func append(_ bodies: [EntryBody]) throws {
        guard !bodies.isEmpty else { return }
        var moment = clocks.now()
        moment.wall.unixMilliseconds = max(0, moment.wall.unixMilliseconds)
        let entries = bodies.map { LogEntry(bootID: clocks.bootID, at: moment, body: $0) }
        let lines = try entries.map { try $0.encoded() }
        let first = log.size
        do {
            try log.append(lines)
        } catch let error as StorageError {
            // A failed sync is final for its file; the log goes on in a new one, once.
            logger.error("a write to the log failed and is repeated in a new file", metadata: ["error": "\(error)"])
            if error.isNoSpace { _ = ballast.release() }
            try log.append(lines)
        }
        let held = statement?.held ?? [:]
        addToIndex(entries.enumerated().map { IndexUpdate(index: first + UInt64($0.offset), entry: $0.element, held: held) })
        if log.size - (log.checkpoints.last?.size ?? 0) >= Self.checkpointEntries { storeCheckpointIfPossible() }
    }

    /// A failure costs nothing that is not in the log: the rows follow at the next tick, or at the next start.
    private func addToIndex(_ rows: [IndexUpdate]) {
        guard !isIndexBehind else { return }
        do {
            try index.append(rows, reaching: JournalIndex.Extent(log: log.log, size: log.size, root: log.root))
        } catch {
            indexFailed(error)
        }
    }

    func indexFailed(_ error: any Error) {
        if !isIndexBehind { logger.error("the index fell behind the log and will catch up; recording goes on", metadata: ["error": "\(error)"]) }
        isIndexBehind = true
        guard JournalIndex.isDamage(error) else { return }
        isIndexDamaged = true
        do {
            try storage.replace(files.indexDamaged, with: [])
        } catch {
            logger.warning("the index could not be marked for the next start", metadata: ["error": "\(error)"])
        }
    }

    /// Tries again to bring a lagging index up to the log.
    func mendIndex() {
        guard isIndexBehind else { return }
        do {
            if isIndexDamaged { try index.renew() }
            try catchUpIndex()
            if isIndexDamaged { try storage.remove(files.indexDamaged) }
            isIndexDamaged = false
        } catch {
            indexFailed(error)
        }
    }

    /// Flags what the hub's newest statement covers.
    func apply(_ statement: JournalStatement) {
        self.statement = statement
        do {
            try index.apply(held: statement.held)
        } catch {
            indexFailed(error)
        }
    }

    /// Brings the index to the log's size; makes it anew when it is of another log or history.
    func catchUpIndex() throws {
        let held = statement?.held ?? [:]
        var next: UInt64 = 0
        if let extent = try index.extent(), extent.log == log.log, extent.size <= log.size, try log.root(at: extent.size) == extent.root {
            next = extent.size
        } else {
            try index.clear(log: log.log)
        }
        while next < log.size {
            let end = min(log.size, next + 1_000)
            let rows = try log.lines(next..<end).enumerated().map { offset, line in
                IndexUpdate(index: next + UInt64(offset), line: line, held: held)
            }
            try index.append(rows, reaching: JournalIndex.Extent(log: log.log, size: end, root: try log.root(at: end)))
            next = end
        }
        try index.apply(held: held)
        isIndexBehind = false
    }

    /// Signs the present size with the key in force, for the caller alone: nothing is stored. Right after a change of
    /// keys the stored checkpoint of this size is signed by the key before.
    func checkpoint() throws -> SignedCheckpoint {
        try SignedCheckpoint(Checkpoint(log: log.log, size: log.size, root: log.root), signer: signer)
    }

    /// Stores a checkpoint of the present size, unless there is one. Few are stored, because the file stays for good:
    /// one at each start, stop and change of keys, and those that `tick` and `append` find due.
    func storeCheckpoint() throws {
        guard log.size > log.checkpoints.last?.size ?? 0 else { return }
        try log.checkpoints.append(try checkpoint())
        lastCheckpointMilliseconds = clocks.now().bootMilliseconds
    }

    /// A checkpoint that may wait: the entries are durable without it, and the next attempt covers them too.
    private func storeCheckpointIfPossible() {
        do {
            try storeCheckpoint()
        } catch {
            logger.error("a checkpoint could not be stored", metadata: ["error": "\(error)"])
        }
    }

    /// What time alone makes due: a checkpoint, a change of keys.
    /// - Throws: when a change of keys broke off half way; see `handOver`.
    func tick() throws {
        let now = clocks.now().bootMilliseconds
        if now - lastHandoverMilliseconds >= options.keyRotationMilliseconds {
            try changeKeys()
        }
        if log.size > log.checkpoints.last?.size ?? 0, now - lastCheckpointMilliseconds >= options.checkpointIntervalMilliseconds {
            storeCheckpointIfPossible()
        }
        mendIndex()
    }

    private func changeKeys() throws {
        let next: NoteSigner
        do {
            next = try keys.generate(using: &random)
            try keys.writeNext(next)
        } catch {
            // Nothing has changed yet. An older key is better than no recording.
            logger.error("the next log key could not be written", metadata: ["error": "\(error)"])
            return
        }
        try handOver(to: next)
    }

    /// Gives the log to the next key.
    ///
    /// 1. Before: the next private key is durable as `log-signing.next`.
    /// 2. Append the `key` entry and sync. A cut before leaves an unused next key, which is discarded.
    /// 3. Store a checkpoint at exactly this size, signed by the old key. A cut before: recovery, which still has the
    ///    old key, signs it. No entry may come between 2 and 3.
    /// 4. Rename next over current and sync the folder: the old private key is gone. A cut before: recovery does it.
    func handOver(to next: NoteSigner) throws {
        try append([.key(KeyRecord(epoch: epoch + 1, key: next.verifier.text))])
        try storeCheckpoint()
        try keys.promoteNext()
        signer = next
        epoch += 1
        lastHandoverMilliseconds = clocks.now().bootMilliseconds
    }

    /// See `Journal.batch`.
    func batch(from start: UInt64, limitBytes: Int) throws -> LogBatch? {
        guard start <= log.size else { throw JournalError.beyondLog(size: log.size, asked: start) }
        guard start < log.size else { return nil }
        let positions = log.checkpoints.positions
        var lines: [[UInt8]] = []
        var bytes = 0
        var stored: CheckpointFile.Position?
        for position in positions[log.checkpoints.firstIndex(above: start)...] {
            let more = try log.lines((stored?.size ?? start)..<position.size)
            bytes += more.reduce(0) { $0 + $1.count + 1 }
            if let stored, bytes > limitBytes { return LogBatch(start: start, lines: lines, checkpoint: try log.checkpoints.read(stored)) }
            lines += more
            stored = position
            if isHandover(position.size) { break }
        }
        // Beyond the stored ones the present key signs the present size, where nothing of another epoch lies before it.
        if let stored {
            let rest = isHandover(stored.size) || stored.size < positions[positions.count - 1].size ? [] : try log.lines(stored.size..<log.size)
            bytes += rest.reduce(0) { $0 + $1.count + 1 }
            if rest.isEmpty || bytes > limitBytes { return LogBatch(start: start, lines: lines, checkpoint: try log.checkpoints.read(stored)) }
            lines += rest
        } else {
            lines = try log.lines(start..<log.size)
        }
        return LogBatch(start: start, lines: lines, checkpoint: try checkpoint())
    }

    /// Whether a checkpoint of this size ends an epoch: its last entry names the next key.
    private func isHandover(_ size: UInt64) -> Bool {
        guard size > 1 else { return false }
        return log.hasKey(at: size - 1)
    }
}
