import EdgeJournal
import EdgeSync
import FoundationEssentials
import Logging
import RecordingModel
import StorageIO
import SyncProtocol
import SystemPackage
import Synchronization

/// Makes the node's sync report of what the journal, the disk and the contacts say, and keeps the contacts on disk.
final class SyncReporter: Sendable {
    /// Going through what waits takes tens of milliseconds, in which no commit goes on.
    private static let backlogMilliseconds: Int64 = 30_000
    /// The hub is told no more often of figures that only grow: a contact with nothing to say stays small.
    private static let helloMilliseconds: Int64 = 300_000
    private static let byteLimit = 1 << 20

    private struct State {
        var backlog: (value: JournalBacklog, bootMilliseconds: Int64)?
        var told: (report: SyncReport, bootMilliseconds: Int64)?
        var statement: (logSize: UInt64, value: SyncReport.Statement)?
    }
    let contacts: ContactBook
    private let state = Mutex(State())
    private let journal: Journal
    private let folder: NodeFolder
    private let limits: StorageLimits
    private let clocks: any Clocks
    private let logger: Logger

    init(journal: Journal, folder: NodeFolder, limits: StorageLimits, clocks: any Clocks, logger: Logger) {
        self.journal = journal
        self.folder = folder
        self.limits = limits
        self.clocks = clocks
        self.logger = logger
        let kept = try? folder.storage.read(Self.path(folder), limitBytes: Self.byteLimit)
        contacts = ContactBook(bootID: clocks.bootID, kept: kept, now: { clocks.now() })
    }

    private static func path(_ folder: NodeFolder) -> FilePath { folder.root.appending("contacts.json") }

    /// Blocks.
    func report() throws -> SyncReport {
        let now = clocks.now()
        let backlog = try backlog(now)
        let history = contacts.history
        var inputs = SyncReport.Inputs(now: now.wall)
        inputs.contacts = history.records(now)
        inputs.observedSinceUnixMilliseconds = history.observedSince(now)
        inputs.backlog = backlog.classes
        inputs.recorded = backlog.recorded
        inputs.disk = journal.diskState.space.map { space in
            .init(availableBytes: space.availableBytes, lowMarkBytes: limits.marks(totalBytes: space.totalBytes).lowBytes, releasableBytes: backlog.releasableBytes)
        }
        inputs.duplicateBytes = history.duplicateBytes
        inputs.resentBytes = history.resentBytes
        inputs.statement = statement()
        return SyncReport(inputs)
    }

    /// Nil where the hub was told much the same a moment ago. Sync does not depend on it.
    func reportForHello() -> SyncReport? {
        let now = clocks.now().bootMilliseconds
        guard let report = try? report() else { return nil }
        if let told = state.withLock({ $0.told }), now - told.bootMilliseconds < Self.helloMilliseconds, Self.kind(of: told.report) == Self.kind(of: report) { return nil }
        state.withLock { $0.told = (report, now) }
        return report
    }

    /// What is known, and what waits: a change of it is told at once.
    private static func kind(of report: SyncReport) -> [Bool] {
        [report.throughput != nil, report.recordedBytesPerDay != nil, report.bytesUntilOverwrite != nil, report.statement != nil, report.isClockSet, !report.backlog.isEmpty]
    }

    /// Writes the contacts down when it is time.
    func keep(isLast: Bool = false) {
        do {
            guard let bytes = try contacts.dueForKeeping(isLast: isLast) else { return }
            try folder.storage.replace(Self.path(folder), with: bytes)
        } catch {
            logger.warning("the contacts could not be kept; the estimate begins anew after a restart", metadata: ["error": "\(error)"])
        }
    }

    private func backlog(_ now: Moment) throws -> JournalBacklog {
        if let known = state.withLock({ $0.backlog }), now.bootMilliseconds - known.bootMilliseconds < Self.backlogMilliseconds { return known.value }
        let backlog = try journal.backlogByClass(now: now.wall)
        state.withLock { $0.backlog = (backlog, now.bootMilliseconds) }
        return backlog
    }

    /// What was kept was verified before.
    private func statement() -> SyncReport.Statement? {
        guard let kept = journal.latestStatement() else { return nil }
        if let known = state.withLock({ $0.statement }), known.logSize == kept.logSize { return known.value }
        guard let signed = try? JSONDecoder().decode(SignedStatement.self, from: Data(kept.encoded)),
            let statement = try? JSONDecoder().decode(HoldingsStatement.self, from: signed.bytes)
        else { return nil }
        let value = SyncReport.Statement(logSize: statement.logSize, generation: statement.generation, issuedUnixMilliseconds: statement.issuedUnixMilliseconds)
        state.withLock { $0.statement = (kept.logSize, value) }
        return value
    }
}
