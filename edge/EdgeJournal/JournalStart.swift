import EvidenceLog
import GRDB
import Logging
import RecordingModel
import StorageIO
import SystemPackage

/// Brings a data directory from any state that a cut may leave it in to a running journal.
///
/// 1. The directory is this node's (else it is refused and untouched). The caller holds its lock.
/// 2. Leftover `.new` files are removed: they were never renamed, so nothing refers to them.
/// 3. The log is opened, a torn tail cut, and a change of keys that broke off is finished. A log that cannot go on
///    (damaged, or its key is lost) is left as it lies, and another one is begun under a new id.
/// 4. The index is brought up to the log.
/// 5. Entries: `key` (a new epoch, under a checkpoint of the key before), `boot`, `config`.
/// 6. Files that a cut left are sealed and logged: `SegmentRecovery`.
/// 7. `gap` entries for the time that the recorder was not running; then a checkpoint.
struct JournalStart {
    let options: Journal.Options
    let files: JournalFiles
    let storage: any StorageIO
    let clocks: any Clocks
    let logger: Logger
    let attest: @Sendable (String) throws -> KeyRecord.Attestation
    var random: any RandomNumberGenerator & Sendable

    mutating func run() throws -> JournalWriter {
        let identity = try DirectoryIdentity.open(files, node: options.node, storage: storage, random: &random)
        try storage.makeDirectory(files.segments)
        try storage.makeDirectory(files.keys)
        // What is found here may be a rename that the start before it died over: it becomes durable before it is built on.
        for directory in [files.root, files.keys] { try storage.syncDirectory(directory) }
        do {
            try storage.syncDirectory(files.root.removingLastComponent())
        } catch {
            // Not every node may open the folder above its own.
            logger.warning("the data directory's own name could not be synced", metadata: ["error": "\(error)"])
        }
        try removeLeftovers(of: identity.log)
        try makeRoomForLog()
        let writer = try openWriter(identity)
        let isFirst = writer.log.size == 0
        let wasClean = try isFirst || StopMark.isClean(files, log: writer.log.log, size: writer.log.size, storage)
        if isFirst {
            let key = writer.signer.verifier.text
            try writer.append([.key(KeyRecord(epoch: 0, key: key, attestation: try attest(key)))])
        } else {
            let next = try writer.keys.generate(using: &writer.random)
            try writer.keys.writeNext(next)
            try writer.handOver(to: next)
        }
        try writer.append([
            .boot(BootRecord(software: options.software, previousStopWasClean: wasClean)),
            .config(ConfigRecord(version: options.configVersion, cameras: options.cameras)),
        ])
        let cause = options.interruption?.cause ?? (wasClean ? .stopped : .powerCut)
        writer.removed = try withIndex(of: writer) { try writer.index.removed() }
        try withIndex(of: writer) { try SegmentRecovery(writer: writer, gapCause: cause).run() }
        // Only now, when all that may take long is done. What still passes until capture begins, `commit` accounts for.
        let now = clocks.now()
        try writer.append(try withIndex(of: writer) { try gaps(writer, until: now, cause: cause) })
        try writer.storeCheckpoint()
        // The numbers that come next are read from the index: at this point it must be whole.
        try withIndex(of: writer) { _ = try writer.index.nextNumbers() }
        return writer
    }

    /// Runs a step that reads the index, once more with a new one when it cannot be read or does not follow the log.
    private func withIndex<Value>(of writer: JournalWriter, _ body: () throws -> Value) throws -> Value {
        if writer.isIndexBehind { try renewIndex(of: writer, because: "rows could not be written") }
        do {
            let value = try body()
            guard writer.isIndexBehind else { return value }
            try renewIndex(of: writer, because: "rows could not be written")
            return value
        } catch let error as DatabaseError {
            try renewIndex(of: writer, because: "\(error)")
            return try body()
        }
    }

    /// Deletes the index and makes it anew from the log; in memory when the disk does not take it.
    private func renewIndex(of writer: JournalWriter, because reason: String) throws {
        logger.error("the index cannot be used and is made anew", metadata: ["reason": "\(reason)"])
        try? writer.index.database.close()
        do {
            try JournalIndex.delete(files.index)
            writer.index = try JournalIndex.open(files.index)
            try writer.catchUpIndex()
        } catch let error where error is DatabaseError || error is JournalError {
            logger.error("no index can be kept on the disk; this process keeps one in memory", metadata: ["error": "\(error)"])
            writer.index = try JournalIndex.inMemory()
            try writer.catchUpIndex()
        }
    }

    private func openIndex() throws -> JournalIndex {
        do {
            if try storage.size(files.indexDamaged) != nil {
                logger.warning("the index was found damaged and is made anew")
                try JournalIndex.delete(files.index)
                try storage.remove(files.indexDamaged)
            }
            return try JournalIndex.open(files.index)
        } catch let error where error is DatabaseError || error is JournalError {
            logger.error("no index can be kept on the disk; this process keeps one in memory", metadata: ["error": "\(error)"])
            return try JournalIndex.inMemory()
        }
    }

    /// On a disk that is full to the last block the start's own entries could not be written. The ballast goes first, then
    /// the index: both can be made again.
    private func makeRoomForLog() throws {
        func isTight() throws -> Bool { try storage.space(files.root).availableBytes < Self.roomBytes }
        guard try isTight() else { return }
        let released = Ballast(path: files.ballast, storage: storage, logger: logger).release()
        if try !released || isTight() {
            logger.warning("the disk is full: the index is removed and will be made anew")
            try JournalIndex.delete(files.index)
        }
    }
    private static let roomBytes: Int64 = 256 << 10

    private func removeLeftovers(of log: LogID) throws {
        try removeUnfinishedImports()
        for directory in [files.root, files.keys, files.log(log)] {
            for name in try storage.list(directory) where name.hasSuffix(".new") {
                try storage.remove(directory.appending(name))
            }
        }
    }

    /// What an import that broke off has left is no footage yet, and would push recorded footage out.
    private func removeUnfinishedImports() throws {
        let unfinished = try storage.list(files.imports).filter(ImportManifest.isFolder).map { files.imports.appending($0) }
            .filter { try storage.size($0.appending(ImportManifest.fileName)) == nil }
        guard !unfinished.isEmpty, let lock = try? DirectoryLock(files.imports.appending(ImportManifest.lockName), heldSentence: "") else { return }
        try withExtendedLifetime(lock) {
            for folder in unfinished { try StagedImport(folder: folder, storage: storage).remove() }
        }
    }

    /// Steps 3 and 4. The log is empty when it was just begun.
    private mutating func openWriter(_ identity: DirectoryIdentity) throws -> JournalWriter {
        let index = try openIndex()
        let statement = try StatementFile.read(files, log: identity.log, storage)
        do {
            let log = try LogStore(identity.log, in: files.log(identity.log), storage: storage)
            let keys = SigningKeys(files: files, log: identity.log, storage: storage)
            if log.size > 0 {
                let (signer, epoch) = try resolveKeys(log, keys)
                return try writer(log, keys, signer, epoch, index, statement)
            }
            if try isUntouched(keys) { return try begin(log, keys, index) }
            throw LogStore.Damage(description: "the log is empty, though this directory was used")
        } catch let damage as LogStore.Damage {
            // Recording goes on: the old log stays for whoever looks into it, and the hub learns of a new one.
            logger.error("the log cannot be continued; a new one begins", metadata: ["log": "\(identity.log)", "reason": "\(damage)"])
            var renewed = identity
            renewed.log = try randomLogID(using: &random)
            try renewed.write(files, storage)
            let log = try LogStore(renewed.log, in: files.log(renewed.log), storage: storage)
            return try begin(log, SigningKeys(files: files, log: renewed.log, storage: storage), index)
        }
    }

    /// Whether nothing was ever written here: then the empty log may keep its id.
    private func isUntouched(_ keys: SigningKeys) throws -> Bool {
        try keys.current() == nil && files.listStreams(storage).allSatisfy { $0.sealed.isEmpty }
    }

    private func begin(_ log: LogStore, _ keys: SigningKeys, _ index: JournalIndex) throws -> JournalWriter {
        var random = random
        let signer = try keys.generate(using: &random)
        // The key is durable before the entry that names it: a log whose key is lost cannot go on.
        try keys.writeCurrent(signer)
        try keys.discardNext()
        for directory in [files.log(log.log), files.log(log.log).removingLastComponent(), files.root] { try storage.syncDirectory(directory) }
        return try writer(log, keys, signer, 0, index, nil, random)
    }

    private func writer(
        _ log: LogStore, _ keys: SigningKeys, _ signer: NoteSigner, _ epoch: UInt64, _ index: JournalIndex, _ statement: JournalStatement?,
        _ random: (any RandomNumberGenerator & Sendable)? = nil
    ) throws -> JournalWriter {
        let writer = JournalWriter(
            options: options, files: files, storage: storage, clocks: clocks, logger: logger, random: random ?? self.random, log: log,
            index: index, keys: keys, signer: signer, epoch: epoch, statement: statement)
        do {
            try writer.catchUpIndex()
        } catch let error as DatabaseError {
            try renewIndex(of: writer, because: "\(error)")
        }
        return writer
    }

    /// Finds the key in force, and finishes a change of keys wherever it broke off (see `JournalWriter.handOver`).
    private func resolveKeys(_ log: LogStore, _ keys: SigningKeys) throws -> (NoteSigner, epoch: UInt64) {
        func record(at index: UInt64) throws -> KeyRecord {
            guard let line = try log.lines(index..<(index + 1)).first, case .key(let record)? = (try? LogEntry(line: line))?.body else {
                throw LogStore.Damage(description: "entry \(index) is not the key entry it was")
            }
            return record
        }
        guard let position = log.keyIndexes.last else { throw LogStore.Damage(description: "the log has no key entry") }
        let inForce = try record(at: position)
        let current = try keys.current()
        if let current, current.verifier.text == inForce.key {
            // Without it no verifier ever takes what follows, and the key that could sign it is gone.
            guard position == 0 || log.checkpoints.contains(size: position + 1) else {
                throw LogStore.Damage(description: "no checkpoint covers the change of keys at entry \(position)")
            }
            if try keys.next() != nil { try keys.discardNext() }
            return (current, inForce.epoch)
        }
        guard let next = try keys.next(), next.verifier.text == inForce.key else {
            throw LogStore.Damage(description: "the private key of epoch \(inForce.epoch) is lost")
        }
        // One that is there may be what the system remembers of a sync that failed: it is signed again, while that is possible.
        if let current, log.keyIndexes.count > 1, log.size == position + 1, try current.verifier.text == record(at: log.keyIndexes[log.keyIndexes.count - 2]).key {
            if log.checkpoints.last?.size == log.size { try log.checkpoints.removeLast() }
            try log.checkpoints.append(SignedCheckpoint(Checkpoint(log: log.log, size: log.size, root: log.root), signer: current))
        } else if !log.checkpoints.contains(size: position + 1) {
            throw LogStore.Damage(description: "the private key of epoch \(inForce.epoch) is lost before its checkpoint")
        }
        try keys.promoteNext()
        return (next, inForce.epoch)
    }

    /// For the main stream of each configured camera that was recorded before (what is made of it has no time of its own): from its last known end until now.
    private func gaps(_ writer: JournalWriter, until now: Moment, cause: GapCause) throws -> [EntryBody] {
        let detail = options.interruption?.detail
            ?? (cause == .stopped ? "the recorder was stopped" : "the recorder was not running: power cut or crash")
        var bodies: [EntryBody] = []
        for stream in try writer.index.streams() where options.cameras.contains(stream.camera) && stream.kind == .main {
            let timeline = try StreamTimeline(stream: stream, writer: writer)
            guard let last = timeline.last else { continue }
            if let gap = try timeline.gap(until: now, bootID: clocks.bootID, cause: cause, detail: detail) { bodies.append(.gap(gap)) }
            writer.accountedUntil[stream] = last.bootID == clocks.bootID ? max(last.end, now.bootMilliseconds) : now.bootMilliseconds
        }
        return bodies
    }
}
