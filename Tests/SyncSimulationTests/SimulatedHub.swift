import EvidenceLog
import GRDB
@testable import HubIngest
import HubStore
import JournalFixtures
import Logging
import LogFixtures
import NIOCore
import RecordingModel
import StorageIO
import SyncProtocol
import SystemPackage

/// A hub: the real store and the real taking in of pushes, without HTTP. Its files lie on the disk that drops and tears what
/// was not synced; its catalogue is real SQLite, of which a power cut leaves every committed transaction
/// (`synchronous = FULL`).
final class SimulatedHub {
    let id: HubID
    let signer: NoteSigner
    private let scratch: FilePath
    private var directory: FilePath { scratch.appending("hub") }
    private var seed: UInt64
    private let logger = Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() })

    private(set) var storage: FaultyStorage
    private var writer: IngestWriter
    var store: HubStore { writer.store }
    private var sessions = Sessions()
    private(set) var generation: UInt64 = 1
    private var backup: (folder: FilePath, sizes: [NodeID: UInt64])?
    /// Does not answer.
    var isDown = false

    /// What was seen of it.
    private(set) var logSizes: [NodeID: UInt64] = [:]
    private var judged: [NodeID: [StreamID: SequenceRanges]] = [:]
    private(set) var crashes = 0
    private(set) var restores = 0
    /// Another one whenever it has lost what it held: no node can know of that before it is told.
    private(set) var era = 0
    private(set) var answers503 = 0
    private(set) var receivedBytes: Int64 = 0

    init(seed: UInt64) throws {
        self.seed = seed
        scratch = try makeScratch("hub")
        id = HubID(keyHash: .sha256(Array("hub".utf8)))
        signer = try NoteSigner(name: "fieldpost.hub/test", algorithm: .cosignature).orThrow("a signer")
        storage = FaultyStorage(cutting: seed)
        try storage.makeDirectory(scratch.appending("hub"))
        try storage.syncDirectory(scratch)
        writer = Self.writer(try HubStore(dataDirectory: scratch.appending("hub"), hub: id, signer: signer, generation: 1, storage: storage, logger: logger))
    }

    deinit {
        try? store.catalogue.close()
        removeAll(scratch)
    }

    func enrol(_ node: NodeID, name: String) throws {
        try store.addJoinToken(secretHash: .sha256(Array(name.utf8)), name: name, expiresUnixSeconds: .max)
        _ = try store.enrol(node, secretHash: .sha256(Array(name.utf8)), nowUnixMilliseconds: 0)
    }

    // MARK: Its life

    private func open() throws {
        seed &+= 1
        storage = FaultyStorage(cutting: seed)
        sessions = Sessions()
        writer = Self.writer(try HubStore(dataDirectory: directory, hub: id, signer: signer, generation: generation, storage: storage, logger: logger))
    }

    /// The power goes, and comes back: what was not synced may be gone. It answers again when `isDown` is false.
    func crash() throws {
        crashes += 1
        judged = [:]
        storage.cutPower()
        try store.catalogue.close()
        isDown = true
        try open()
    }

    /// An orderly stop and a copy of everything.
    func backUp() throws {
        try store.catalogue.close()
        if let backup { removeAll(backup.folder) }
        let folder = scratch.appending("backup")
        try copy(directory, to: folder)
        backup = (folder, logSizes)
        try open()
    }

    /// Everything since the backup is gone. The operator raises the generation.
    func restore() throws {
        guard let backup else { return }
        restores += 1
        era += 1
        try store.catalogue.close()
        removeAll(directory)
        try copy(backup.folder, to: directory)
        generation += 1
        logSizes = backup.sizes
        judged = [:]
        try open()
    }

    /// Some blobs are lost, and the catalogue learns of it.
    func loseMedia(_ random: inout SeededNumbers) throws {
        let held = try store.catalogue.read { db in try String.fetchAll(db, sql: "SELECT DISTINCT sha256 FROM segments WHERE held = 1 ORDER BY sha256") }
        era += 1
        let lost = held.filter { _ in Int.random(in: 0..<3, using: &random) == 0 }
        try store.catalogue.write { db in
            for hash in lost { try db.execute(sql: "UPDATE segments SET held = 0 WHERE sha256 = ?", arguments: [hash]) }
        }
        for hash in lost { removeAll(blobPath(hash)) }
        try store.catalogue.close()
        judged = [:]
        try open()
    }

    private func copy(_ source: FilePath, to target: FilePath) throws {
        let real = RealStorage()
        try real.makeDirectory(target)
        for name in try real.list(source) {
            let path = source.appending(name)
            if (try? real.list(path)) != nil {
                try copy(path, to: target.appending(name))
                continue
            }
            let file = try real.openForAppending(target.appending(name))
            try file.append(try real.read(path))
            try file.close()
        }
    }

    /// Its clock stands still: groups are written when `serve` says so, and nowhere else.
    private static func writer(_ store: HubStore) -> IngestWriter {
        IngestWriter(store: store, committer: GroupCommitter(store: store, nowMilliseconds: { 0 }))
    }

    // MARK: Its work

    /// Takes the next part of what has arrived. What the hub answers to HTTP is in `IngestService`.
    func serve(_ connection: SimulatedConnection, nowUnixMilliseconds now: Int64) throws {
        guard !isDown, !connection.isOver, !connection.atHub.isEmpty else { return }
        let node = connection.node
        do {
            switch connection.atHub.removeFirst() {
            case .hello(let request):
                guard try store.nodeState(node.id) == .active else { throw Problem(status: 422, title: "forked") }
                let reply = try store.hello(request, from: node.id, nowUnixMilliseconds: now)
                sessions.raise(node.id, to: request.session)
                answer(.hello(reply), on: connection)
            case .beginPush(let log, let session):
                connection.push = try PushSession(writer: writer, sessions: sessions, node: node.id, log: log, number: session, clock: { now })
            case .frame(let bytes):
                receivedBytes += Int64(bytes.count)
                guard let push = connection.push, try push.receive(ByteBuffer(bytes: bytes)) else { break }
                taking: while true {
                    switch try push.take() {
                    case .more: break taking
                    case .waits: writer.committer.writeNow()
                    case .ended(let problem): throw problem
                    }
                }
                // Nothing is left to the committer's own thread: a seed must always do the same.
                writer.committer.writeNow()
                try push.ticket.result()
            case .endPush:
                guard let push = connection.push else { throw Problem(status: 400, title: "no push") }
                try push.end()
                writer.committer.writeNow()
                try push.ticket.result()
                let reply = try push.finish(grant: HubStore.grant)
                connection.push = nil
                answer(.push(reply), on: connection)
            }
        } catch let problem as Problem {
            end(connection, problem)
        } catch is StorageError {
            answers503 += 1
            // A dead disk answers nobody.
            if storage.isDead { connection.isOver = true } else { end(connection, Problem(status: 503, title: "The hub's disk failed; try again later.")) }
        }
        if storage.isDead { try crash() }
        try judge(node)
    }

    private func end(_ connection: SimulatedConnection, _ problem: Problem) {
        if problem.status == 422 { connection.node.fail("the hub answered 422: \(problem.title) \(problem.detail ?? "")") }
        connection.push = nil
        connection.atHub = []
        answer(.problem(problem), on: connection)
        connection.isOver = true
    }

    private func answer(_ answer: SimulatedConnection.Answer, on connection: SimulatedConnection) {
        if !connection.isCut { connection.answers.append((answer, era)) }
    }

    // MARK: What must hold

    /// The log is the node's own, and never shorter than before; what is claimed is there, with the right bytes.
    private func judge(_ node: SimulatedNode) throws {
        guard let log = node.log, let verifier = try? store.verifier(node.id, log) else { return }
        let before = logSizes[node.id] ?? 0
        if verifier.size < before { node.fail("the hub's log shrank from \(before) to \(verifier.size)") }
        logSizes[node.id] = verifier.size
        if node.root(at: verifier.size) != verifier.root { node.fail("the hub's log is not the node's at \(verifier.size)") }
        for (stream, ranges) in try store.held(node.id, log) {
            for range in ranges.subtracting(judged[node.id]?[stream] ?? SequenceRanges()).ranges {
                for sequence in range { try judge(SegmentID(stream: stream, sequence: sequence), of: node) }
            }
            judged[node.id, default: [:]][stream] = ranges
        }
    }

    private func judge(_ segment: SegmentID, of node: SimulatedNode) throws {
        guard let record = node.logged[segment] else { return node.fail("the hub claims \(segment), which was never recorded") }
        guard hasBytes(of: record) else { return node.fail("the hub claims \(segment) without its bytes") }
    }

    func hasBytes(of record: SegmentRecord) -> Bool {
        guard let bytes = try? RealStorage().read(blobPath(record.sha256.hex)) else { return false }
        return ContentHash.sha256(bytes) == record.sha256
    }

    /// By catalogue and disk.
    func holds(_ record: SegmentRecord, of node: SimulatedNode) throws -> Bool {
        guard let log = node.log else { return false }
        return try store.segmentState(record.id, node: node.id, log: log)?.isHeld == true && hasBytes(of: record)
    }

    private func blobPath(_ hash: String) -> FilePath {
        directory.appending("blobs").appending(String(hash.prefix(2))).appending(hash)
    }

    /// Every blob hashed and every log replayed from its files.
    func report() throws -> HubReport { try store.report() }
}
