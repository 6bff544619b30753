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
    let uplinks: Uplinks
    let contacts: ContactBook?
    let logger: Logger

    /// - Parameter dial: whether the hub's address answers at all: asked when the connection is silent.
    func run(
        on connection: HubConnection, over link: Uplink, _ machine: inout NodeSyncMachine, meter: LinkMeter, mode: Mode, dial: @escaping @Sendable () async -> Bool, changes: AsyncStream<Void>
    ) async throws {
        let signals = Signals()
        await meter.tune(connection)
        connection.onAnswer { signals.raise(.answer) }
        connection.every(milliseconds: 1_000 * timeouts.heartbeatSeconds) { signals.raise(.heartbeat) }
        let (ticks, tick) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        connection.every(milliseconds: 1_000 / LinkMeter.ticksPerSecond) { tick.yield() }
        var reviewedMilliseconds: Int64?
        var talk = Talk(contact: self, connection: connection, meter: meter)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                for await _ in changes { signals.raise(.change) }
            }
            if let energy = uplinks.energy {
                group.addTask {
                    for await _ in energy.changes() { signals.raise(.energy) }
                }
            }
            group.addTask { await meter.watch(connection, timeouts, dial, onRoom: { signals.raise(.room) }, ticks) }
            defer { group.cancelAll() }
            while true {
                try Task.checkCancellation()
                for signal in signals.take() {
                    switch signal {
                    case .change: machine.lookAgain()
                    case .heartbeat: machine.helloIsDue()
                    case .energy:
                        reviewedMilliseconds = nil
                        if talk.isBehind(uplinks.energy) { machine.helloIsDue() }
                    case .answer, .room: break
                    }
                }
                let now = nowMilliseconds()
                if reviewedMilliseconds.map({ now - $0 >= Self.reviewMilliseconds }) ?? true {
                    try review(link, &machine)
                    reviewedMilliseconds = now
                }
                machine.delivered(frames: meter.deliveredFrames)
                let isMoving = try await talk.step(&machine)
                meter.answer(isDue: machine.isAnswerDue)
                if isMoving { continue }
                // With a budget that is used up, or a class that may not cross, there is nothing left to do.
                if mode == .untilCaughtUp || uplinks.energy?.energy.callSeconds != nil, machine.isSettled(logSize: try await source.logSize()) { return }
                await connection.expectAnswer(machine.isAnswerDue)
                await signals.next()
            }
        }
    }
}

extension SyncContact {
    /// How often hours, budgets and other links are looked at while something moves; at each heartbeat when nothing does.
    private static let reviewMilliseconds: Int64 = 250

    /// What was set aside, and why.
    fileprivate func show(_ machine: NodeSyncMachine) {
        let aside = machine.setAside.map { "\($0.key): \($0.value.detail)" }.sorted()
        progress { $0.setAside = aside }
    }

    /// What the link may carry, and whether it is still the one to use.
    private func review(_ link: Uplink, _ machine: inout NodeSyncMachine) throws {
        let allowance = uplinks.allowance(of: link)
        guard allowance.isUsable else { throw SyncError.linkClosed(allowance.reason ?? "\(link.name) may not be used") }
        machine.allow(allowance.classes)
        if let best = uplinks.choose().link, best.name != link.name, best.cost < link.cost { throw SyncError.linkClosed("\(best.name) is back, and costs less than \(link.name)") }
        progress { $0.linkReason = allowance.reason }
    }
}

/// What is kept of a contact between two steps.
private struct Talk {
    let contact: SyncContact
    let connection: HubConnection
    let meter: LinkMeter
    private var helloSentMilliseconds: [Int64] = []
    private var isGreeted = false
    /// What the node had to say of its energy, as of each hello that has no answer yet, and of the newest.
    private var news: [UInt64] = []
    private var newestNews: UInt64 = 0
    private var keptPins: [StreamHoldings]?
    private var keptStatement: HoldingsStatement?
    private var reconciliation: (machine: ReconcileMachine, segments: [(item: ReconcileItem, segment: SegmentID)])?

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
        case .reconcile: try await reconcile(&machine)
        case .needWork:
            var query = WorkQuery(limit: contact.limits.queueLimit)
            query.pulled = machine.wants.pulls
            query.begun = machine.begunSegments
            query.excluded = machine.excludedSegments
            query.presumed = machine.presumed
            query.classes = machine.allowed
            machine.offer(try await source.waiting(query))
        case .beginPush:
            connection.beginPush(headers: [SyncRoutes.logHeader: source.log.description, SyncRoutes.sessionHeader: "\(contact.sessions.current)"])
            machine.beganPush()
        case .entries(let start, let bytes):
            // The log's size says that there are some; they may wait for a checkpoint of their epoch.
            guard let batch = try await source.batch(from: start, plainBytes: bytes) else { throw SyncError.noCheckpoint(start) }
            try await write(.entries(batch.encoded(with: machine.helloMemory.dictionary)))
            machine.sentEntries(upTo: batch.start + UInt64(batch.lines.count))
        case .examine(let work):
            let isIntact = await source.isIntact(work)
            try Task.checkCancellation()
            machine.examined(work, isIntact: isIntact, nowMilliseconds: contact.nowMilliseconds())
            contact.show(machine)
            if !isIntact { contact.logger.error("a segment's file is not what its entry says; it is not sent", metadata: ["segment": "\(work.segment)", "next": "fieldpost-edge check"]) }
        case .data(let work, let offset, let count):
            guard meter.hasRoom() else { return false }
            let piece: [UInt8]
            do {
                piece = try await source.read(work, offset: offset, count: count)
                guard piece.count == count else { throw SyncError.shortFile(work.segment) }
            } catch let error where !(error is CancellationError) {
                contact.logger.error("a segment cannot be read", metadata: ["segment": "\(work.segment)", "error": "\(error)"])
                machine.couldNotRead(work, "the node cannot read the file", nowMilliseconds: contact.nowMilliseconds())
                contact.show(machine)
                return true
            }
            try await write(.data(segment: work.segment, offset: offset, bytes: piece))
            machine.sentData(work, offset: offset, count: count)
            contact.progress { $0.bytesSent += Int64(count) }
            contact.contacts?.sent(work.segment, offset: offset, count: count)
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

    func isBehind(_ energy: LinkEnergyBox?) -> Bool { energy.map { $0.news > newestNews } ?? false }

    private mutating func hello(_ machine: inout NodeSyncMachine) async throws {
        newestNews = contact.uplinks.energy?.news ?? 0
        news.append(newestNews)
        let checkpoint = try await source.checkpoint()
        var message = HelloRequest(
            session: contact.sessions.next(), status: try await source.status(), log: source.log, logSize: checkpoint.checkpoint.size, checkpoint: checkpoint,
            holdings: try await source.holdings(), backlog: try await source.backlog(), statementLogSize: machine.statement?.logSize,
            statementGeneration: machine.statement?.generation)
        message.conflictLogSize = machine.conflictLogSize
        message.dictionaries = machine.helloMemory.dictionaries.ids
        helloSentMilliseconds.append(contact.nowMilliseconds())
        let encoded = try machine.helloMemory.encode(message)
        try await connection.send(SyncRoutes.hello, encoded.type, encoded.body)
        machine.sentHello()
    }

    /// Asks the next question; when there is none, the machine learns what the hub has.
    private mutating func reconcile(_ machine: inout NodeSyncMachine) async throws {
        if reconciliation == nil {
            let footage = try await source.footage()
            reconciliation = (ReconcileMachine(footage.lazy.map(\.item)), footage)
        }
        if let request = reconciliation?.machine.request() {
            try await connection.send(SyncRoutes.reconcile, request)
            return machine.sentReconcile()
        }
        let common = reconciliation?.machine.common ?? []
        var present: [StreamID: SequenceRanges] = [:]
        for (item, segment) in reconciliation?.segments ?? [] where common.contains(item.sha256) { present[segment.stream, default: SequenceRanges()].insert(segment.sequence) }
        contact.logger.notice(
            "the hub does not know this log; compared what it has", metadata: ["segments": "\(reconciliation?.segments.count ?? 0)", "at_the_hub": "\(common.count)", "exchanges": "\(reconciliation?.machine.exchanges ?? 0)"])
        reconciliation = nil
        machine.reconciled(present: present, logSize: try await source.logSize())
    }

    private mutating func take(_ answer: HubConnection.Answer, _ machine: inout NodeSyncMachine) async throws {
        let now = contact.nowMilliseconds()
        switch machine.nextAnswer {
        case .hello?:
            let body = try answer.accepted()
            guard let reply = try? machine.helloMemory.decode(body) else { throw SyncError.malformedAnswer }
            let root = try await source.root(at: reply.logSize)
            try machine.helloAnswered(reply) { _ in root }
            let sent = helloSentMilliseconds.isEmpty ? now : helloSentMilliseconds.removeFirst()
            // Only now: the pinned connection says who answered, and its statement that it is about this node and log.
            contact.hubTime(HubTime(hubUnixMilliseconds: reply.hubUnixMilliseconds, sentBootMilliseconds: sent, receivedBootMilliseconds: now))
            if !isGreeted { await greeted() }
            if !news.isEmpty { contact.uplinks.energy?.told(news.removeFirst()) }
            if keptPins != machine.wants.pins {
                try await source.keep(pins: machine.wants.pins)
                keptPins = machine.wants.pins
            }
        case .reconcile?:
            let reply = try answer.decoded(Reconcile.Reply.self)
            try reconciliation?.machine.answered(reply)
            try machine.reconcileAnswered()
            return
        case .push?:
            let reply = try answer.decoded(PushReply.self, knowing: machine.helloMemory.dictionaries)
            try machine.pushAnswered(reply, nowMilliseconds: now)
            for refusal in reply.refusals {
                contact.logger.warning("the hub refused a frame", metadata: ["reason": "\(refusal.reason.rawValue)", "segment": "\(refusal.segment.map(\.description) ?? "-")"])
            }
            let duplicates = reply.duplicateBytes
            contact.progress { $0.duplicateBytes += duplicates }
            contact.show(machine)
        case nil:
            // The hub ends a push before the node has: only a refusal does that.
            _ = try answer.decoded(PushReply.self)
            throw SyncError.malformedAnswer
        }
        guard let signed = machine.signedStatement, let statement = machine.statement, statement != keptStatement else { return }
        // It licenses deletion: it must be about this very log, and no larger than it.
        guard try await source.root(at: statement.logSize) == statement.logRoot else { throw SyncFault.forked(hubSize: statement.logSize) }
        try await source.keep(signed, statement)
        keptStatement = statement
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
    enum Signal: Sendable { case answer, change, energy, heartbeat, room }
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
