import EvidenceLog
import Logging
import NIOCore
import NIOHTTP1
import NodeIdentity
import RecordingModel
import Synchronization
import SyncProtocol

/// Counters of sync since the process began.
package struct SyncProgress: Hashable, Sendable, Codable {
    package var contacts = 0
    package var isConnected = false
    package var segmentsSent = 0
    package var bytesSent: Int64 = 0
    package var duplicateBytes: Int64 = 0
    package var lastStatementLogSize: UInt64?
    package var lastError: String?
    /// Segments that the hub refused for good, with its reason.
    package var setAside: [String] = []
    package init() {}
}

/// One contact with the hub: hello, then pushes while there is something to send, then waiting for more. Drives
/// `NodeSyncMachine`, which decides everything.
struct SyncContact: Sendable {
    enum Mode: Sendable {
        /// End when a statement covers all.
        case untilCaughtUp
        /// Stay, send what comes, say hello at each heartbeat.
        case stay
    }

    let endpoint: HubEndpoint
    let hubKey: NoteKey
    let node: NodeID
    let source: any SyncSource
    let sessions: SessionCounter
    let timeouts: SyncTimeouts
    let limits: NodeSyncMachine.Limits
    let nowMilliseconds: @Sendable () -> Int64
    let progress: @Sendable (@Sendable (inout SyncProgress) -> Void) -> Void
    let hubTime: @Sendable (HubTime) -> Void
    let logger: Logger

    func run(on connection: HubConnection, mode: Mode, changes: AsyncStream<Void>) async throws {
        var machine = NodeSyncMachine(hub: endpoint.hub, hubKey: hubKey, node: node, log: source.log, limits: limits)
        try await hello(connection, &machine)
        progress {
            $0.contacts += 1
            $0.isConnected = true
            $0.lastError = nil
        }
        defer { progress { $0.isConnected = false } }
        let (wakes, wake) = AsyncStream.makeStream(of: Wake.self, bufferingPolicy: .bufferingNewest(4))
        connection.onClose { wake.finish() }
        if mode == .stay { connection.every(seconds: timeouts.heartbeatSeconds) { wake.yield(.heartbeat) } }
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                for await _ in changes { wake.yield(.changed) }
            }
            defer { group.cancelAll() }
            try await pushAll(connection, &machine)
            if mode == .untilCaughtUp { return }
            for await reason in wakes {
                if reason == .heartbeat { try await hello(connection, &machine) }
                try await pushAll(connection, &machine)
            }
            try Task.checkCancellation()
            throw SyncError.connectionLost()
        }
    }

    private enum Wake: Sendable { case changed, heartbeat }

    private func hello(_ connection: HubConnection, _ machine: inout NodeSyncMachine) async throws {
        let checkpoint = try await source.checkpoint()
        let held = machine.statement
        func request(_ session: UInt64) async throws -> HelloRequest {
            HelloRequest(
                session: session, status: try await source.status(), log: source.log, logSize: checkpoint.checkpoint.size, checkpoint: checkpoint,
                holdings: try await source.holdings(), backlog: try await source.backlog(), statementLogSize: held?.logSize, statementGeneration: held?.generation)
        }
        let reply: HelloReply
        let message = try await request(sessions.next())
        let sent = nowMilliseconds()
        do {
            reply = try await connection.call(SyncRoutes.hello, message, reply: HelloReply.self)
        } catch SyncError.refused(let problem) where problem.status == 409 {
            // The hub has seen a higher session: a clock that went back. The next contact begins above it.
            if let known = problem.field.flatMap({ UInt64($0) }) { sessions.raise(above: known) }
            throw SyncError.refused(problem)
        }
        let received = nowMilliseconds()
        let root = try await source.root(at: reply.logSize)
        try machine.helloAnswered(reply) { _ in root }
        // Only now: the pinned connection says who answered, and its statement that it is about this node and log.
        hubTime(HubTime(hubUnixMilliseconds: reply.hubUnixMilliseconds, sentBootMilliseconds: sent, receivedBootMilliseconds: received))
        try await keepStatement(of: machine)
    }

    private func pushAll(_ connection: HubConnection, _ machine: inout NodeSyncMachine) async throws {
        while true {
            // A push that moved nothing would be repeated for ever.
            guard try await push(connection, &machine) else { return }
        }
    }

    /// One push. False when there was nothing to say, or when it moved nothing.
    private func push(_ connection: HubConnection, _ machine: inout NodeSyncMachine) async throws -> Bool {
        let before = machine.statement
        var lastOffered: UInt64?
        var hasBegun = false
        var segments = 0
        var bytes: Int64 = 0
        sending: while !connection.hasEarlyAnswer {
            if connection.isClosed { throw SyncError.connectionLost() }
            let step = machine.nextStep(logSize: try await source.logSize(), nowMilliseconds: nowMilliseconds())
            switch step {
            case .finish: break sending
            case .needWork:
                let work = try await source.waiting(afterLogIndex: lastOffered, limit: limits.queueLimit)
                lastOffered = work.last?.logIndex ?? lastOffered
                // A page of segments that are all done already is not the end of the list.
                if !work.isEmpty, work.allSatisfy({ machine.isDone($0.segment) }) { continue }
                machine.offer(work)
                continue
            case .entries, .data, .end: break
            }
            if !hasBegun {
                try await connection.beginPush(headers: [SyncRoutes.logHeader: source.log.description, SyncRoutes.sessionHeader: "\(sessions.current)"])
                hasBegun = true
            }
            switch step {
            case .entries(let start):
                guard let batch = try await source.batch(from: start) else {
                    machine.sentEntries(upTo: start)
                    break sending
                }
                try await connection.write(.entries(batch.encoded()))
                machine.sentEntries(upTo: batch.start + UInt64(batch.lines.count))
            case .data(let work, let offset, let count):
                do {
                    let piece = try await source.read(work, offset: offset, count: count)
                    guard piece.count == count else { throw SyncError.malformedAnswer }
                    try await connection.write(.data(segment: work.segment, offset: offset, bytes: piece))
                    machine.sentData(count: count)
                    bytes += Int64(count)
                } catch let error where !(error is ChannelError) && !(error is CancellationError) {
                    if connection.isClosed { throw SyncError.connectionLost() }
                    logger.error("a segment cannot be read", metadata: ["segment": "\(work.segment)", "error": "\(error)"])
                    machine.couldNotRead("the node cannot read the file", nowMilliseconds: nowMilliseconds())
                }
            case .end(let work):
                try await connection.write(.end(segment: work.segment, length: work.bytes, sha256: work.sha256))
                machine.sentEnd()
                segments += 1
            case .needWork, .finish: break
            }
        }
        guard hasBegun else {
            machine.disconnected()
            return false
        }
        let reply = try await connection.endPush()
        try machine.pushAnswered(reply, nowMilliseconds: nowMilliseconds())
        try await keepStatement(of: machine)
        for refusal in reply.refusals {
            logger.warning("the hub refused a frame", metadata: ["reason": "\(refusal.reason.rawValue)", "segment": "\(refusal.segment.map(\.description) ?? "-")"])
        }
        let (sentSegments, sentBytes, aside, duplicates) = (segments, bytes, machine.setAside.map { "\($0.key): \($0.value.detail)" }.sorted(), reply.duplicateBytes)
        progress {
            $0.segmentsSent += sentSegments
            $0.bytesSent += sentBytes
            $0.duplicateBytes += duplicates
            $0.setAside = aside
        }
        return bytes > duplicates || machine.statement?.held != before?.held || machine.statement?.logSize != before?.logSize
    }

    private func keepStatement(of machine: NodeSyncMachine) async throws {
        guard let signed = machine.signedStatement, let statement = machine.statement else { return }
        try await source.keep(signed, statement)
        progress { $0.lastStatementLogSize = statement.logSize }
    }
}

/// Session numbers rise with every hello of this node. They begin at the wall clock, so that they need no file; a
/// hub that has seen a higher one says so.
package final class SessionCounter: Sendable {
    private let value: Mutex<UInt64>
    package init(startingAt start: UInt64) { value = Mutex(start) }
    func next() -> UInt64 {
        value.withLock {
            $0 += 1
            return $0
        }
    }
    /// A number that no clock gives is not believed.
    func raise(above known: UInt64) { if known < 1 << 62 { value.withLock { $0 = max($0, known) } } }
    var current: UInt64 { value.withLock { $0 } }
}
