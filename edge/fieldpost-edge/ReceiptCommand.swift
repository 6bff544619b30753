import ArgumentParser
import EdgeJournal
import EdgeSync
import EvidenceLog
import FoundationEssentials
import Logging
import RecordingModel
import ServiceLifecycle
import ServiceSupport
import StorageIO
import SyncProtocol
import SystemPackage

struct ReceiptCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "receipt", abstract: "Takes the statement that a courier brought back from the hub.",
        discussion: "From then on footage that the hub has stored may be given up when space is needed, as after a statement over the link.")

    @Argument(help: "Where the stick is mounted, or the statement's file.") var path: String
    @OptionGroup var options: EdgeOptions
    @Flag(help: "Print JSON.") var json = false

    private struct Answer: Encodable {
        var log_size: UInt64
        var generation: UInt64
        var segments_held: UInt64
        var backlog_segments: Int
    }

    func run() async throws {
        let configuration = try options.read()
        ServiceLogging.bootstrap(level: configuration.log.level, format: configuration.log.format)
        let folder = try NodeFolder(configuration, anchored: true)
        try folder.requirePrepared(configFile: options.file)
        guard let desk = try ReceiptDesk(folder) else { throw CommandError("this node has not joined a hub; join with: fieldpost-edge enrol TOKEN --config \(options.file)") }
        let reader = try folder.reader()
        let bytes = try folder.storage.read(try file(reader.node, folder.storage), limitBytes: SignedStatement.receiptByteLimit)
        let signed = try SignedStatement(receiptFile: bytes)
        // Said here at once; who keeps it judges it again, and compares the log's root too.
        let statement = try desk.judge(signed, node: reader.node, log: reader.log, current: reader.latestStatement(), rootAtSize: nil)
        try await take(signed, statement, desk, configuration, folder)
        let status = try folder.reader().status()
        let answer = Answer(
            log_size: statement.logSize, generation: statement.generation,
            segments_held: statement.held.reduce(0) { $0 + $1.sequences.count }, backlog_segments: status.backlog.segments)
        if json { return printLine(try fieldpost_edge.json(answer)) }
        printLine("the hub holds \(answer.segments_held) segments and \(answer.log_size) log entries; \(answer.backlog_segments) segments wait here still")
    }

    private func file(_ node: NodeID, _ storage: any StorageIO) throws -> FilePath {
        let given = FilePath(path)
        func child(_ folder: FilePath, _ name: String) throws -> FilePath? {
            try storage.list(folder).first { BundleNames.isSame($0, name) }.map { folder.appending($0) }
        }
        if let last = given.lastComponent?.string, BundleNames.isSame(last, BundleNames.receipt) { return given }
        guard let root = try child(given, BundleNames.root), let folder = try child(root, BundleNames.folder(of: node)), let found = try child(folder, BundleNames.receipt) else {
            throw CommandError("there is no statement about this node on \(path); at the hub run: fieldpost-hub import DIR")
        }
        return found
    }

    private static let patienceSeconds: Int64 = 60

    /// A running recorder takes it from a file; otherwise a journal is opened for it.
    private func take(_ signed: SignedStatement, _ statement: HoldingsStatement, _ desk: ReceiptDesk, _ configuration: EdgeConfiguration, _ folder: NodeFolder) async throws {
        let clocks = try SystemClocks()
        let began = clocks.now().bootMilliseconds
        var isHanded = false
        while true {
            if try !folder.reader().isRecording {
                do {
                    return try await blocking {
                        try desk.withdraw()
                        let journal = try folder.openJournal(configuration, identity: try folder.identity(), clocks: clocks, logger: Logger(label: "journal"))
                        defer { journal.close() }
                        try desk.take(signed, journal)
                    }
                } catch JournalError.inUse {
                    // A recorder was started just now.
                }
            }
            if !isHanded { try desk.hand(over: signed) }
            isHanded = true
            // The recorder says nothing to other processes but by what it does.
            try await Task.sleep(for: .milliseconds(200))
            if try !desk.isWaiting {
                let kept = try folder.reader().latestStatement().flatMap { desk.statement($0) }
                guard let kept, kept.isAsNew(as: statement) else { throw CommandError("the recorder refused the statement; its log says why") }
                return
            }
            guard clocks.now().bootMilliseconds - began < Self.patienceSeconds * 1_000 else {
                try desk.withdraw()
                throw CommandError("the recorder has not taken the statement in \(Self.patienceSeconds) s; look at its log, and try again")
            }
        }
    }
}

/// Judges statements that came by courier, and hands them to a running recorder.
struct ReceiptDesk: Sendable {
    private let hub: HubID
    private let hubKey: NoteKey
    private let file: FilePath
    private let storage: any StorageIO

    /// Nil before the node has joined a hub.
    init?(_ folder: NodeFolder) throws {
        guard let endpoint = try folder.hub(), let key = NoteKey(text: endpoint.hubKey) else { return nil }
        hub = endpoint.hub
        hubKey = key
        file = folder.root.appending("receipt.json")
        storage = folder.storage
    }

    var isWaiting: Bool { get throws { try storage.size(file) != nil } }

    func hand(over signed: SignedStatement) throws { try storage.replace(file, with: signed.receiptFile()) }
    func withdraw() throws { try storage.remove(file) }

    /// What the node has kept, if it is of this hub.
    func statement(_ kept: JournalStatement) -> HoldingsStatement? {
        (try? JSONDecoder().decode(SignedStatement.self, from: Data(kept.encoded)))?.verified(by: hubKey)
    }

    /// - Parameter rootAtSize: nil leaves the comparison of roots to who keeps the statement.
    func judge(_ signed: SignedStatement, node: NodeID, log: LogID, current: JournalStatement?, rootAtSize: ((UInt64) throws -> ContentHash?)?) throws -> HoldingsStatement {
        try signed.accepted(
            hub: hub, hubKey: hubKey, node: node, log: log, current: current.flatMap { statement($0) },
            rootAtSize: rootAtSize ?? { _ in signed.verified(by: hubKey)?.logRoot })
    }

    func take(_ signed: SignedStatement, _ journal: Journal) throws {
        let statement = try judge(signed, node: journal.nodeID, log: journal.logID, current: journal.latestStatement()) { size in
            size <= journal.logSize ? try journal.frontier(at: size) : nil
        }
        try journal.recordStatement(Array(json(signed).utf8), held: statement.heldByStream, logSize: statement.logSize)
    }

    /// Takes what was handed over, if anything was. A statement that is refused goes too: the hub repeats itself.
    func takeWaiting(_ journal: Journal, _ logger: Logger) throws {
        guard try isWaiting else { return }
        do {
            try take(try SignedStatement(receiptFile: try storage.read(file, limitBytes: SignedStatement.receiptByteLimit)), journal)
            logger.info("took the statement that a courier brought")
        } catch let fault as ReceiptFault {
            logger.error("a statement that a courier brought was refused", metadata: ["reason": "\(fault)"])
        }
        try withdraw()
    }
}

/// Looks once a second whether `fieldpost-edge receipt` has left a statement, as the journal does for imports.
struct ReceiptService: Service {
    let desk: ReceiptDesk
    let journal: Journal
    let logger: Logger

    func run() async throws {
        await cancelWhenGracefulShutdown {
            while !Task.isCancelled {
                do {
                    try await blocking { try desk.takeWaiting(journal, logger) }
                } catch {
                    // Recording does not depend on it; a journal that failed ends the attempt by itself.
                    logger.error("a statement cannot be taken", metadata: ["error": "\(error)"])
                }
                guard (try? await Task.sleep(for: .seconds(1))) != nil else { return }
            }
        }
    }
}
