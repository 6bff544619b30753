import Dispatch
import EvidenceLog
import Logging
import RecordingModel
import StorageIO
import Synchronization
import SystemPackage

/// Turns closed segments and gaps into durable entries of the node's log, and answers for what is recorded.
///
/// All calls block and may come from any thread. One serial queue commits; `deliver` only waits when 64 items do.
/// When a write fails that the log cannot do without, the journal stops accepting (`JournalError.failed`): the
/// process is to be started again, and recovery finds every delivered segment in its files.
package final class Journal: Sendable {
    package struct Options: Sendable {
        package var dataDirectory: FilePath
        package var node: NodeID
        package var software: String
        package var configVersion: String
        package var cameras: [CameraID]
        package var checkpointIntervalMilliseconds: Int64
        package var keyRotationMilliseconds: Int64
        package var limits: StorageLimits
        /// Why an earlier attempt of the same process ended, for the gap until this one; nil after a start.
        package var interruption: Interruption?

        package init(
            dataDirectory: FilePath, node: NodeID, software: String, configVersion: String, cameras: [CameraID],
            checkpointIntervalMilliseconds: Int64 = 60_000, keyRotationMilliseconds: Int64 = 3_600_000,
            limits: StorageLimits = StorageLimits(), interruption: Interruption? = nil
        ) {
            self.dataDirectory = dataDirectory
            self.node = node
            self.software = software
            self.configVersion = configVersion
            self.cameras = cameras
            self.checkpointIntervalMilliseconds = checkpointIntervalMilliseconds
            self.keyRotationMilliseconds = keyRotationMilliseconds
            self.limits = limits
            self.interruption = interruption
        }
    }

    package struct Interruption: Sendable {
        package var cause: GapCause
        package var detail: String
        package init(cause: GapCause, detail: String) {
            self.cause = cause
            self.detail = detail
        }
    }

    package let logID: LogID
    package var nodeID: NodeID { options.node }
    let options: Options
    let files: JournalFiles
    let storage: any StorageIO
    let logger: Logger
    let index: JournalIndex
    let writer: Mutex<JournalWriter>
    let inbox: Mutex<Inbox>
    let queue = DispatchQueue(label: "fieldpost.journal")
    let slots = DispatchSemaphore(value: Journal.queueLimit)
    let listeners = Mutex<Listeners>(Listeners())
    let disk = Mutex<DiskState>(DiskState())
    /// Not looked at again before the next start, which may have another configuration, or space.
    let refusedFolders = Mutex<Set<String>>([])

    /// Items that may wait for the disk before `deliver` blocks.
    package static let queueLimit = 64

    /// Opens or makes the data directory, recovers from an unclean stop, and starts a boot: see `JournalStart`.
    /// - Parameter attest: signs a new log's first key (vkey text) with the node's identity key.
    /// - Throws: `JournalError` when the directory is not this node's or is in use; `StorageError` when the disk fails.
    package init(
        options: Options, storage: any StorageIO, clocks: any Clocks, randomness: any RandomNumberGenerator & Sendable,
        attest: @escaping @Sendable (String) throws -> KeyRecord.Attestation, logger: Logger
    ) throws {
        self.options = options
        self.storage = storage
        self.logger = logger
        files = JournalFiles(root: options.dataDirectory)
        try storage.makeDirectory(files.root)
        let lock = try Self.lock(files)
        var start = JournalStart(options: options, files: files, storage: storage, clocks: clocks, logger: logger, attest: attest, random: randomness)
        let running = try start.run()
        logID = running.log.log
        index = running.index
        inbox = Mutex(Inbox(lock: lock, numbers: try running.index.nextNumbers()))
        writer = Mutex(running)
        queue.sync { keepSpace() }
        scheduleTick()
        scheduleSpaceCheck()
    }

    private static func lock(_ files: JournalFiles) throws -> DirectoryLock {
        do {
            return try DirectoryLock(files.lock, heldSentence: "")
        } catch is DirectoryIsLocked {
            throw JournalError.inUse(directory: files.root.string)
        }
    }

    /// Commits what was delivered, stores a checkpoint, marks the stop as clean, and gives up the directory. Nothing
    /// is accepted afterwards. After a failure it only gives up the directory. A second call does nothing.
    package func close() {
        let isFirst = inbox.withLock { inbox in
            defer { inbox.isClosing = true }
            return !inbox.isClosing
        }
        guard isFirst else { return }
        queue.sync {
            drain()
            if inbox.withLock({ $0.failure }) == nil {
                do {
                    try writer.withLock { writer in
                        try writer.storeCheckpoint()
                        writer.mendIndex()
                        try StopMark(log: writer.log.log, logSize: writer.log.size).write(writer.files, writer.storage)
                    }
                } catch {
                    logger.error("the stop could not be marked as clean", metadata: ["error": "\(error)"])
                }
            }
            inbox.withLock { $0.lock = nil }
        }
        listeners.withLock { $0.finish() }
    }

    /// Waits until everything delivered before is durable.
    /// - Throws: `JournalError.failed` when it is not.
    package func flush() throws {
        queue.sync { drain() }
        if let failure = inbox.withLock({ $0.failure }) { throw failure }
    }

    /// Signs the log as it is, with what was delivered before the call. It is not stored.
    package func checkpointNow() throws -> SignedCheckpoint {
        try flush()
        return try withWriter { try $0.checkpoint() }
    }

    /// A stretch of the log for a verifier that is at `start`: at least up to the next stored checkpoint, and on over
    /// further ones and to the log's end while it stays within `limitBytes` (lines with their newlines) and within one
    /// key epoch. Where it ends at no stored checkpoint, the present key signs one for it.
    /// - Returns: nil when `start` is the log's size.
    /// - Throws: `JournalError.beyondLog` when it is above: the asker has seen a log that this node does not have.
    package func batch(from start: UInt64, limitBytes: Int) throws -> LogBatch? {
        try withWriter { try $0.batch(from: start, limitBytes: limitBytes) }
    }

    /// Entries that are durable. Cheap, for a sender that asks at every frame; it waits for a commit under way.
    package var logSize: UInt64 { writer.withLock { $0.log.size } }

    /// Why the journal stopped; nil while all is well. Never waits for the disk.
    package var failure: JournalError? { inbox.withLock { $0.failure } }

    /// The root of the log when it had this size, to compare with a hub's.
    package func frontier(at size: UInt64) throws -> ContentHash {
        try withWriter { try $0.log.root(at: size) }
    }

    /// Runs on the caller's thread, between two commits.
    func withWriter<Value: Sendable>(_ body: (JournalWriter) throws -> Value) throws -> Value {
        // Without the lock the directory may be another recorder's by now.
        if let refusal = inbox.withLock({ $0.failure ?? ($0.lock == nil ? .closed : nil) }) { throw refusal }
        return try writer.withLock { try body($0) }
    }

    private func scheduleTick() {
        let interval = max(50, min(options.checkpointIntervalMilliseconds, options.keyRotationMilliseconds) / 4)
        queue.asyncAfter(deadline: .now() + .milliseconds(Int(interval))) { [weak self] in
            guard let self, self.inbox.withLock({ !$0.isClosing && $0.failure == nil }) else { return }
            self.tick()
            self.scheduleTick()
        }
    }

    /// Does what the clock makes due. A timer calls it; a simulation may.
    package func tick() {
        do {
            try withWriter { try $0.tick() }
        } catch {
            fail(error)
        }
    }
}
