import EvidenceLog
import Logging
import NIOCore
import NIOHTTP1
import NodeIdentity
import RecordingModel
import Synchronization
import SyncProtocol

/// One contact with the hub: hello, and pushes behind it without waiting for answers. Drives `NodeSyncMachine`, which
/// decides everything.
struct SyncContact: Sendable {
    enum Mode: Sendable {
        /// End when a statement covers all.
        case untilCaughtUp
        /// Stay, send what comes, say hello at each heartbeat.
        case stay
    }

    let endpoint: HubEndpoint
    let node: NodeID
    let source: any SyncSource
    let sessions: SessionCounter
    let timeouts: SyncTimeouts
    let limits: NodeSyncMachine.Limits
    let nowMilliseconds: @Sendable () -> Int64
    let progress: @Sendable (@Sendable (inout SyncProgress) -> Void) -> Void
    let hubTime: @Sendable (HubTime) -> Void
    let logger: Logger

    /// - Parameter dial: whether the hub's address answers at all: asked when the connection is silent.
    func run(
        on connection: HubConnection, _ machine: inout NodeSyncMachine, meter: LinkMeter, mode: Mode, dial: @escaping @Sendable () async -> Bool, changes: AsyncStream<Void>
    ) async throws {
        let signals = Signals()
        await meter.tune(connection)
        connection.onAnswer { signals.raise(.answer) }
        connection.every(milliseconds: 1_000 * timeouts.heartbeatSeconds) { signals.raise(.heartbeat) }
        let (ticks, tick) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        connection.every(milliseconds: 1_000 / LinkMeter.ticksPerSecond) { tick.yield() }
        var talk = Talk(contact: self, connection: connection, meter: meter)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                for await _ in changes { signals.raise(.change) }
            }
            group.addTask { await meter.watch(connection, timeouts, dial, ticks) }
            defer { group.cancelAll() }
            while true {
                try Task.checkCancellation()
                for signal in signals.take() {
                    switch signal {
                    case .change: machine.lookAgain()
                    case .heartbeat: machine.helloIsDue()
                    case .answer: break
                    }
                }
                machine.delivered(frames: meter.deliveredFrames)
                let isMoving = try await talk.step(&machine)
                meter.answer(isDue: machine.isAnswerDue)
                if isMoving { continue }
                if mode == .untilCaughtUp, machine.isSettled(logSize: try await source.logSize()) { return }
                await connection.expectAnswer(machine.isAnswerDue)
                await signals.next()
            }
        }
    }
}

/// What is kept of a contact between two steps.
private struct Talk {
    let contact: SyncContact
    let connection: HubConnection
    let meter: LinkMeter
    private var helloSentMilliseconds: [Int64] = []
    private var isGreeted = false

    init(contact: SyncContact, connection: HubConnection, meter: LinkMeter) {
        self.contact = contact
        self.connection = connection
        self.meter = meter
    }

    private var source: any SyncSource { contact.source }

    /// Takes the answers that are here and does what comes next. False when there is nothing to do before something happens.
    mutating func step(_ machine: inout NodeSyncMachine) async throws -> Bool {
        while let answer = connection.takeAnswer() {
            meter.answered()
            do {
                try await take(answer, &machine)
            } catch SyncError.refused(let problem) {
                machine.wasRefused()
                // The hub has seen a higher session: a clock that went back. The next contact begins above it.
                if problem.status == 409, let known = problem.field.flatMap({ UInt64($0) }) { contact.sessions.raise(above: known) }
                throw SyncError.refused(problem)
            }
        }
        if connection.isClosed { throw SyncError.connectionLost(meter.note) }
        let pace = meter.pace
        let step = machine.nextStep(logSize: try await source.logSize(), nowMilliseconds: contact.nowMilliseconds(), pace: pace)
        switch step {
        case .wait: return false
        case .hello: try await hello(&machine)
        case .needWork:
            machine.offer(try await source.waiting(begun: machine.begunSegments, excluding: machine.excludedSegments, limit: contact.limits.queueLimit))
        case .beginPush:
            connection.beginPush(headers: [SyncRoutes.logHeader: source.log.description, SyncRoutes.sessionHeader: "\(contact.sessions.current)"])
            machine.beganPush()
        case .entries(let start, let bytes):
            // The log's size says that there are some; they may wait for a checkpoint of their epoch.
            guard let batch = try await source.batch(from: start, plainBytes: bytes) else { throw SyncError.noCheckpoint(start) }
            try await write(.entries(batch.encoded()))
            machine.sentEntries(upTo: batch.start + UInt64(batch.lines.count))
        case .data(let work, let offset, let count):
            let piece: [UInt8]
            do {
                piece = try await source.read(work, offset: offset, count: count)
                guard piece.count == count else { throw SyncError.shortFile(work.segment) }
            } catch let error where !(error is CancellationError) {
                contact.logger.error("a segment cannot be read", metadata: ["segment": "\(work.segment)", "error": "\(error)"])
                machine.couldNotRead(work, "the node cannot read the file", nowMilliseconds: contact.nowMilliseconds())
                return true
            }
            try await write(.data(segment: work.segment, offset: offset, bytes: piece))
            machine.sentData(work, offset: offset, count: count)
            contact.progress { $0.bytesSent += Int64(count) }
        case .end(let work):
            try await write(.end(segment: work.segment, length: work.bytes, sha256: work.sha256))
            machine.sentEnd(work)
            contact.progress { $0.segmentsSent += 1 }
        case .endPush:
            try await connection.endPush()
            machine.endedPush()
        }
        return true
    }

    private func write(_ frame: Frame) async throws {
        try await connection.write(frame)
        await meter.wrote(connection)
    }

    private mutating func hello(_ machine: inout NodeSyncMachine) async throws {
        let checkpoint = try await source.checkpoint()
        let message = HelloRequest(
            session: contact.sessions.next(), status: try await source.status(), log: source.log, logSize: checkpoint.checkpoint.size, checkpoint: checkpoint,
            holdings: try await source.holdings(), backlog: try await source.backlog(), statementLogSize: machine.statement?.logSize,
            statementGeneration: machine.statement?.generation)
        helloSentMilliseconds.append(contact.nowMilliseconds())
        try await connection.send(SyncRoutes.hello, message)
        machine.sentHello()
    }

    private mutating func take(_ answer: HubConnection.Answer, _ machine: inout NodeSyncMachine) async throws {
        let now = contact.nowMilliseconds()
        switch machine.isHelloAnswerNext {
        case true?:
            let reply = try answer.decoded(HelloReply.self)
            let root = try await source.root(at: reply.logSize)
            try machine.helloAnswered(reply) { _ in root }
            let sent = helloSentMilliseconds.isEmpty ? now : helloSentMilliseconds.removeFirst()
            // Only now: the pinned connection says who answered, and its statement that it is about this node and log.
            contact.hubTime(HubTime(hubUnixMilliseconds: reply.hubUnixMilliseconds, sentBootMilliseconds: sent, receivedBootMilliseconds: now))
            if !isGreeted { await greeted() }
        case false?:
            let reply = try answer.decoded(PushReply.self)
            try machine.pushAnswered(reply, nowMilliseconds: now)
            for refusal in reply.refusals {
                contact.logger.warning("the hub refused a frame", metadata: ["reason": "\(refusal.reason.rawValue)", "segment": "\(refusal.segment.map(\.description) ?? "-")"])
            }
            let (aside, duplicates) = (machine.setAside.map { "\($0.key): \($0.value.detail)" }.sorted(), reply.duplicateBytes)
            contact.progress {
                $0.duplicateBytes += duplicates
                $0.setAside = aside
            }
        case nil:
            // The hub ends a push before the node has: only a refusal does that.
            _ = try answer.decoded(PushReply.self)
            throw SyncError.malformedAnswer
        }
        guard let signed = machine.signedStatement, let statement = machine.statement else { return }
        try await source.keep(signed, statement)
        contact.progress { $0.lastStatementLogSize = statement.logSize }
    }

    private mutating func greeted() async {
        isGreeted = true
        let control = await connection.congestionControl()
        contact.progress {
            $0.contacts += 1
            $0.isConnected = true
            $0.lastError = nil
            $0.congestionControl = control
        }
    }
}

/// Why a contact goes on. Each is raised once however often it comes.
private final class Signals: Sendable {
    enum Signal: Sendable { case answer, change, heartbeat }
    private let raised = Mutex<Set<Signal>>([])
    private let stream: AsyncStream<Void>
    private let continuation: AsyncStream<Void>.Continuation

    init() { (stream, continuation) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1)) }

    func raise(_ signal: Signal) {
        raised.withLock { _ = $0.insert(signal) }
        continuation.yield()
    }

    func take() -> Set<Signal> {
        raised.withLock { signals in
            defer { signals = [] }
            return signals
        }
    }

    /// Returns when something was raised since the last call, or the task is cancelled.
    func next() async {
        var iterator = stream.makeAsyncIterator()
        _ = await iterator.next()
    }
}
