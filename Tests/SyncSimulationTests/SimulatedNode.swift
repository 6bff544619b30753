import Crypto
import EdgeJournal
@testable import EdgeSync
import EvidenceLog
import FoundationEssentials
import JournalFixtures
import Logging
import LogFixtures
import RecordingModel
import StorageIO
import SyncProtocol
import SystemPackage

/// A node: the real journal on the disk that drops and tears what was not synced, and the real machine. What is done with
/// the machine's steps is what `SyncContact` and `JournalSource` do, without a network.
final class SimulatedNode {
    let number: Int
    let id: NodeID
    private let scratch: FilePath
    private let identity: P256.Signing.PrivateKey
    private let hub: (id: HubID, key: NoteKey)
    private var random: SeededNumbers
    /// Bytes of footage that its disk takes; nil for a large one.
    private let capacityBytes: Int64?
    let clocks = TestClocks()
    private let streams: [StreamID]

    private(set) var storage = FaultyStorage()
    private(set) var journal: Journal?
    private(set) var machine: NodeSyncMachine?
    private var sessions = SessionCounter(startingAt: 0)
    private(set) var connection: SimulatedConnection?
    private var pace: LinkPace
    private var boots = 0
    private var startError: String?

    /// What is known of it from outside.
    private(set) var log: LogID?
    private(set) var logged: [SegmentID: SegmentRecord] = [:]
    private(set) var released: Set<SegmentID> = []
    private(set) var evicted: Set<SegmentID> = []
    private var promised: [SegmentRecord] = []
    private var roots: [ContentHash] = [MerkleTree.emptyRoot]
    private var frontier = MerkleFrontier()
    /// The hub's era in which the statement in force was made.
    private var heardEra = 0
    private(set) var failures: [String] = []
    private(set) var lives = 0
    private var observedLives = 0
    private(set) var contacts = 0

    init(number: Int, seed: UInt64, hub: SimulatedHub) throws {
        self.number = number
        var random = SeededNumbers(seed: seed)
        scratch = try makeScratch("node")
        let bytes = (0..<4).flatMap { _ in withUnsafeBytes(of: random.next()) { Array($0) } }
        identity = try P256.Signing.PrivateKey(rawRepresentation: [1] + bytes.dropFirst())
        id = NodeID(keyHash: .sha256(identity.publicKey.derRepresentation))
        self.hub = (hub.id, hub.signer.verifier)
        capacityBytes = Int.random(in: 0..<2, using: &random) == 0 ? .random(in: 3_000...12_000, using: &random) : nil
        streams = try ["gate/main", "yard/proxy"].prefix(.random(in: 1...2, using: &random)).map { try StreamID($0).orThrow("a stream") }
        pace = LinkPace(frameBytes: .random(in: 40...900, using: &random), unsentBytes: 4_096)
        // Wrong by up to ten years, and known to be wrong by some.
        let years: Int64 = 31_536_000_000
        clocks.set(Bool.random(using: &random) ? .ntp : .rtc, uncertaintyMilliseconds: 60_000, movedByMilliseconds: .random(in: -10 * years...10 * years, using: &random))
        self.random = random
    }

    deinit {
        journal?.close()
        removeAll(scratch)
    }

    private var directory: FilePath { scratch.appending("data") }
    func fail(_ what: String) { failures.append("node \(number): \(what)") }
    func root(at size: UInt64) -> ContentHash? { size < UInt64(roots.count) ? roots[Int(size)] : nil }
    var isUp: Bool { journal != nil }
    var logSize: UInt64 { UInt64(roots.count - 1) }

    // MARK: Its life

    /// Starts the recorder, on the disk as the last cut left it.
    func start() {
        guard journal == nil else { return }
        if storage.isDead || lives == 0 {
            let writer = SegmentWriter(directory: directory, clocks: clocks)
            let folders = streams.map { writer.path($0, "") }
            let space: (@Sendable () -> DiskSpace)? = if let capacityBytes { { Self.space(folders, capacityBytes) } } else { nil }
            storage = FaultyStorage(cutting: random.next(), space: space)
        }
        lives += 1
        do {
            journal = try openJournal()
        } catch {
            startError = "\(error)"
        }
        _ = random.next()
        guard let journal else {
            if storage.isDead { clocks.reboot(as: nextBoot(), afterMilliseconds: 6_000) }
            return
        }
        if let log, log != journal.logID { fail("it began another log") }
        log = journal.logID
        let statement = journal.latestStatement().flatMap { try? JSONDecoder().decode(SignedStatement.self, from: Data($0.encoded)) }
        machine = NodeSyncMachine(hub: hub.id, hubKey: hub.key, node: id, log: journal.logID, statement: statement)
        sessions = SessionCounter(startingAt: UInt64(max(0, clocks.now().wall.unixMilliseconds)))
    }

    private func openJournal() throws -> Journal {
        let identity = identity
        return try Journal(
            options: Journal.Options(
                dataDirectory: directory, node: id, software: "test", configVersion: "c1", cameras: streams.map(\.camera),
                checkpointIntervalMilliseconds: 600_000,
                limits: capacityBytes == nil ? StorageLimits() : StorageLimits(reserveBytes: Self.reserveBytes, lowBytes: 1_000, highBytes: 2_000)),
            storage: storage, clocks: clocks, randomness: random,
            attest: { key in
                KeyRecord.Attestation(
                    identityKey: identity.publicKey.derRepresentation, signature: try identity.signature(for: KeyRecord.attestedBytes(key: key)).derRepresentation)
            }, logger: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() }))
    }

    /// Above the reserve the disk has only room for so much footage. The journal's own files are not counted.
    private static let reserveBytes: Int64 = 1 << 20
    private static func space(_ folders: [FilePath], _ capacityBytes: Int64) -> DiskSpace {
        let real = RealStorage()
        let used = folders.reduce(Int64(0)) { sum, folder in
            ((try? real.list(folder)) ?? []).reduce(sum) { $0 + ((try? real.size(folder.appending($1))) ?? 0) }
        }
        return DiskSpace(totalBytes: 1 << 30, availableBytes: reserveBytes + max(0, capacityBytes - used))
    }

    private func nextBoot() -> String {
        boots += 1
        return "boot-\(number)-\(boots)"
    }

    /// The power goes at a call to the disk, or now.
    func cutPower() {
        storage.cutPower()
        noteDeath()
    }

    /// An orderly stop, or the end of a process whose disk refused it.
    func stop() {
        journal?.close()
        journal = nil
        machine = nil
        hangUp()
    }

    /// Whether the disk or the journal has ended it.
    func noteDeath() {
        guard storage.isDead || journal?.failure != nil else { return }
        let wasPower = storage.isDead
        stop()
        if wasPower { clocks.reboot(as: nextBoot(), afterMilliseconds: .random(in: 6_000...90_000, using: &random)) }
    }

    func breakDisk() {
        let calls = Int.random(in: 0...12, using: &random)
        switch Int.random(in: 0..<3, using: &random) {
        case 0: storage.failNext(after: calls, .ioError)
        case 1: storage.failNext(after: calls, .noSpace)
        default: storage.cutPower(after: calls)
        }
    }

    func heal() { storage.failNoMore() }

    func setClock() {
        let day: Int64 = 86_400_000
        clocks.set([.none, .rtc, .ntp, .gps].randomElement(using: &random) ?? .none, uncertaintyMilliseconds: 1_000, movedByMilliseconds: .random(in: -400 * day...400 * day, using: &random))
    }

    /// The signing key changes.
    func passHour() {
        clocks.advance(milliseconds: 3_600_000)
        journal?.tick()
    }

    // MARK: Recording

    func record() {
        clocks.advance(milliseconds: .random(in: 0...500, using: &random))
        guard let journal, journal.refusal == nil, let stream = streams.randomElement(using: &random) else { return }
        do {
            let closed = try SegmentWriter(directory: directory, clocks: clocks).write(
                stream, journal.nextSequence(for: stream), run: journal.nextRun(for: stream), fragments: .random(in: 1...5, using: &random), through: storage)
            clocks.advance(milliseconds: closed.record.durationMilliseconds)
            try journal.deliver(closed)
            try journal.flush()
            promised.append(closed.record)
        } catch {
            // As capture's own end: what is open is sealed at the next start.
            stop()
            clocks.advance(milliseconds: 20_000)
        }
    }

    /// Reads what the log says since it was last read, and judges what was given up.
    func observe(_ hub: SimulatedHub) throws {
        guard let journal, journal.failure == nil, lives > observedLives || journal.logSize != logSize else { return }
        guard journal.logSize >= logSize, (try? journal.frontier(at: logSize)) == roots.last else { return fail("its log lost what it had") }
        observedLives = lives
        while let batch = try? journal.batch(from: logSize, limitBytes: 1 << 20) {
            for line in batch.lines {
                frontier.append(MerkleTree.leafHash(line))
                roots.append(frontier.root)
                switch try LogEntry(line: line).body {
                case .segment(let record):
                    if logged.updateValue(record, forKey: record.id) != nil { fail("\(record.id) has two entries") }
                case .released(let removal):
                    try forEachSegment(removal) { record in
                        released.insert(record.id)
                        // What the hub has lost since the statement was made no node can know.
                        if heardEra == hub.era, try !hub.holds(record, of: self) { fail("\(record.id) was deleted as released, and the hub does not hold it") }
                    }
                case .evicted(let removal): try forEachSegment(removal) { evicted.insert($0.id) }
                default: break
                }
            }
        }
    }

    private func forEachSegment(_ removal: RemovalRecord, _ body: (SegmentRecord) throws -> Void) throws {
        for range in removal.sequences.ranges {
            for sequence in range {
                guard let record = logged[SegmentID(stream: removal.stream, sequence: sequence)] else { continue }
                try body(record)
            }
        }
    }

    // MARK: Sync

    func dial() {
        guard isUp, connection == nil else { return }
        contacts += 1
        connection = SimulatedConnection(node: self)
    }

    func hangUp() {
        connection?.cut()
        connection = nil
        machine?.disconnected()
    }

    /// Some steps of a contact.
    /// - Returns: false when there is nothing to do before something happens.
    func talk(steps: Int, nowMilliseconds now: Int64) -> Bool {
        guard let journal, let connection else { return false }
        if connection.isCut {
            hangUp()
            return true
        }
        do {
            for _ in 0..<steps {
                guard try step(journal, connection, now) else { return false }
            }
        } catch {
            if let fault = error as? SyncFault { fail("a contact ended with: \(fault)") }
            hangUp()
        }
        return true
    }

    private func step(_ journal: Journal, _ connection: SimulatedConnection, _ now: Int64) throws -> Bool {
        machine?.delivered(frames: connection.deliveredFrames)
        while !connection.answers.isEmpty { try take(connection.answers.removeFirst(), journal, now) }
        guard let log, let step = machine?.nextStep(logSize: journal.logSize, nowMilliseconds: now, pace: pace) else { return false }
        switch step {
        case .wait: return false
        // A log that was lost is the conformance list's; here every log begins small.
        case .reconcile: machine?.reconciled(present: [:], logSize: journal.logSize)
        case .hello:
            let checkpoint = try journal.checkpointNow()
            connection.underway.append(
                .hello(
                    HelloRequest(
                        session: sessions.next(),
                        status: NodeStatus(software: "test", bootID: clocks.bootID, uptimeMilliseconds: 1, clock: clocks.now().wall, disk: nil, cameras: []),
                        log: log, logSize: checkpoint.checkpoint.size, checkpoint: checkpoint, holdings: [], backlog: Backlog(),
                        statementLogSize: machine?.statement?.logSize, statementGeneration: machine?.statement?.generation)))
            machine?.sentHello()
        case .beginPush:
            connection.underway.append(.beginPush(log: log, session: sessions.current))
            machine?.beganPush()
        case .needWork:
            let waiting = try journal.waiting(begun: machine?.begunSegments ?? [], excluding: { [machine] in machine?.excludedSegments.contains($0) == true }, limit: 16)
            machine?.offer(
                waiting.map {
                    SegmentWork(
                        segment: $0.record.id, sha256: $0.record.sha256, bytes: $0.record.bytes, logIndex: $0.logIndex,
                        trafficClass: $0.hasEvent ? .event : TrafficClass(of: $0.record.stream.kind))
                })
        case .entries(let start, let bytes):
            _ = try journal.checkpointNow()
            let batch = try journal.batch(from: start, limitBytes: bytes).orThrow("a batch")
            send(.entries(try EntryBatch(start: batch.start, lines: batch.lines, checkpoint: batch.checkpoint).encoded()), connection)
            machine?.sentEntries(upTo: batch.end)
        case .examine(let work):
            let whole = try? journal.segmentFile(work.segment)?.file.read(at: 0, count: Int(work.bytes))
            machine?.examined(work, isIntact: whole.map { ContentHash.sha256($0) == work.sha256 } ?? false, nowMilliseconds: now)
        case .data(let work, let offset, let count):
            guard let piece = try? journal.segmentFile(work.segment)?.file.read(at: offset, count: count), piece.count == count else {
                machine?.couldNotRead(work, "gone", nowMilliseconds: now)
                return true
            }
            send(.data(segment: work.segment, offset: offset, bytes: piece), connection)
            machine?.sentData(work, offset: offset, count: count)
        case .end(let work):
            send(.end(segment: work.segment, length: work.bytes, sha256: work.sha256), connection)
            machine?.sentEnd(work)
        case .endPush:
            connection.underway.append(.endPush)
            machine?.endedPush()
        }
        return true
    }

    private func send(_ frame: Frame, _ connection: SimulatedConnection) { connection.underway.append(.frame(FrameCoding.encode(frame))) }

    private func take(_ heard: (answer: SimulatedConnection.Answer, era: Int), _ journal: Journal, _ now: Int64) throws {
        switch heard.answer {
        case .hello(let reply):
            let root = reply.logSize <= journal.logSize ? try journal.frontier(at: reply.logSize) : nil
            try machine?.helloAnswered(reply) { _ in root }
        case .push(let reply): try machine?.pushAnswered(reply, nowMilliseconds: now)
        case .problem(let problem):
            machine?.wasRefused()
            if problem.status == 409, let known = problem.field.flatMap({ UInt64($0) }) { sessions.raise(above: known) }
            throw SyncError.refused(problem)
        }
        guard let signed = machine?.signedStatement, let statement = machine?.statement else { return }
        try journal.recordStatement(MessageCoding.json(signed), held: statement.heldByStream, logSize: statement.logSize)
        heardEra = heard.era
    }

    /// The hub asks, or a heartbeat is due.
    func beat() { machine?.helloIsDue() }
    func lookAgain() { machine?.lookAgain() }

    // MARK: At the end

    var isSettled: Bool {
        guard let journal, let machine else { return false }
        return machine.isSettled(logSize: journal.logSize) && (try? journal.status().backlog.segments) == 0
    }

    /// What must be true when links and disks have been well for long enough.
    func judgeEnd(_ hub: SimulatedHub) throws {
        guard journal != nil else { return fail("it does not start: \(startError ?? "")") }
        if !isSettled { fail("it did not settle: \(machine?.setAside ?? [:])") }
        for record in promised where logged[record.id] != record { fail("\(record.id) was promised, and the log does not say so") }
        for record in logged.values where !released.contains(record.id) && !evicted.contains(record.id) {
            if try !hub.holds(record, of: self) { fail("\(record.id) did not reach the hub") }
        }
        if hub.logSizes[id] != logSize { fail("the hub has \(hub.logSizes[id] ?? 0) of \(logSize) entries") }
    }
}
