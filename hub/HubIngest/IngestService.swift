import EvidenceLog
import HTTPTypes
import HubStore
import Hummingbird
import Logging
import Metrics
import NIOCore
import RecordingModel
import StorageIO
import Synchronization
import SyncProtocol

/// Routes of the sync protocol. Decodes and authorises; what frames mean is `HubPushMachine`'s, what is kept is
/// `HubStore`'s.
struct IngestService: Sendable {
    let writer: IngestWriter
    let connections: Connections
    let clock: @Sendable () -> Int64
    let logger: Logger
    let sessions = Sessions()
    let hellos = HelloMemories()
    let bytesTotal = Counter(label: "fieldpost_ingest_bytes_total")

    private var store: HubStore { writer.store }
    private var disk: DiskLanes { writer.disk }
    private var limits: IngestLimits { writer.limits }

    init(writer: IngestWriter, connections: Connections, clock: @escaping @Sendable () -> Int64, logger: Logger) {
        self.writer = writer
        self.connections = connections
        self.clock = clock
        self.logger = logger
    }

    func makeRouter() -> Router<IngestContext> {
        let router = Router(context: IngestContext.self)
        router.add(middleware: ProblemAnswers(connections: connections, logger: logger))
        router.post(RouterPath(SyncRoutes.enrol), use: enrol)
        router.post(RouterPath(SyncRoutes.hello), use: hello)
        router.post(RouterPath(SyncRoutes.push), use: push)
        router.get(RouterPath(SyncRoutes.statement), use: statement)
        router.post(RouterPath(SyncRoutes.reconcile), use: reconcile)
        return router
    }

    // MARK: Who

    /// The node behind the connection, if it may speak.
    private func node(_ context: IngestContext) async throws -> NodeID {
        guard let node = try await context.peer(), let state = try await disk.run(node, { [store] in try store.nodeState(node) }) else {
            throw Problem(status: 401, title: "This key has not joined the hub.")
        }
        switch state {
        case .active:
            connections.identified(context.channel, as: node)
            return node
        case .suspended:
            logger.warning("a suspended node called", metadata: ["node": "\(node)"])
            throw Problem(status: 403, title: "This node is suspended.")
        case .forked: throw Problem(status: 422, title: "This node's log has a second history; an operator must decide.", field: "log")
        }
    }

    // MARK: Calls

    @Sendable func enrol(_ request: Request, _ context: IngestContext) async throws -> Response {
        guard let node = try await context.peer() else { throw Problem(status: 401, title: "A client certificate is needed.") }
        let message = try await decode(EnrolRequest.self, request, context, limitBytes: 4 << 10)
        guard message.secret.utf8.count == 32, let secret = Hex.decode(message.secret) else {
            throw Problem(status: 400, title: "The secret is not 32 hex digits.", field: "secret")
        }
        let now = clock()
        let outcome = try await disk.run(node) { [store] in try store.enrol(node, secretHash: .sha256(secret), nowUnixMilliseconds: now) }
        switch outcome {
        case .refused:
            logger.warning("a join was refused", metadata: ["node": "\(node)"])
            throw Problem(status: 403, title: "The token is unknown, used or expired.", detail: "Ask an operator for a new one: fieldpost-hub join-token NAME")
        case .enrolled(let name):
            logger.info("a node joined", metadata: ["node": "\(node)", "name": "\(name)"])
            return try answer(EnrolReply(hub: store.hub, hubKey: store.hubKey.text, generation: store.generation, name: name))
        }
    }

    @Sendable func hello(_ request: Request, _ context: IngestContext) async throws -> Response {
        let node = try await node(context)
        context.knockEverySecond()
        let isReferenced = request.headers[.contentType] == SyncRoutes.referencedType
        let body = try await body(of: request, context, type: isReferenced ? SyncRoutes.referencedType : SyncRoutes.messageType, limitBytes: MessageCoding.compressedByteLimit)
        var memory = hellos.of(node) ?? HubHelloMemory(node: node, hub: store.hub, dictionaries: writer.dictionaries)
        let (message, newest) = try readable { isReferenced ? try memory.decode(body) : (try memory.take(compressed: body), nil) }
        let now = clock()
        let grant = limits.grant(connected: connections.nodes)
        let dictionary = memory.dictionaryID
        let reply = try await disk.run(node) { [store, sessions] in
            var reply = try store.hello(message, from: node, grant: grant, nowUnixMilliseconds: now)
            reply.dictionary = dictionary
            sessions.raise(node, to: message.session)
            return reply
        }
        Counter(label: "fieldpost_ingest_hellos_total").increment()
        let encoded = isReferenced ? try memory.encode(reply, newestAnswer: newest) : try MessageCoding.encode(reply)
        hellos.keep(memory, of: node)
        return answer(encoded, type: isReferenced ? SyncRoutes.referencedType : SyncRoutes.messageType)
    }

    @Sendable func statement(_ request: Request, _ context: IngestContext) async throws -> Response {
        let node = try await node(context)
        guard let log = request.headers[.fieldpostLog].flatMap(LogID.init) else {
            throw Problem(status: 400, title: "The log is missing.", field: SyncRoutes.logHeader)
        }
        let now = clock()
        return try answer(await disk.run(node) { [store] in try store.statement(for: node, log: log, nowUnixMilliseconds: now) })
    }

    /// What the hub has of a node whose log it does not know.
    @Sendable func reconcile(_ request: Request, _ context: IngestContext) async throws -> Response {
        let node = try await node(context)
        let message = try await decode(Reconcile.Request.self, request, context, limitBytes: MessageCoding.compressedByteLimit)
        return try answer(await disk.run(node) { [store] in try Reconcile.answer(message, from: store.footage(of: node)) })
    }

    /// Frames are checked and kept as they arrive: a push that dies costs the frame it died in.
    @Sendable func push(_ request: Request, _ context: IngestContext) async throws -> Response {
        let node = try await node(context)
        guard let log = request.headers[.fieldpostLog].flatMap(LogID.init) else {
            throw Problem(status: 400, title: "The log is missing.", field: SyncRoutes.logHeader)
        }
        guard let number = request.headers[.fieldpostSession].flatMap({ UInt64($0) }) else {
            throw Problem(status: 400, title: "The session is missing.", field: SyncRoutes.sessionHeader)
        }
        let began = ContinuousClock.now
        let session = try await disk.run(node) { [writer, sessions, clock] in
            try PushSession(writer: writer, sessions: sessions, node: node, log: log, number: number, clock: clock)
        }
        defer { session.close() }
        try await forEachPiece(request, context) { piece in
            bytesTotal.increment(by: piece.readableBytes)
            await session.awaitTurn()
            if try session.receive(piece) { try await writer.take(session, node) }
        }
        try session.end()
        // Whatever the answer claims is durable before it is claimed.
        try await writer.committer.settled(session.ticket)
        let grant = limits.grant(connected: connections.nodes)
        let reply = try await disk.run(node) { try session.finish(grant: grant) }
        Metrics.Timer(label: "fieldpost_ingest_push_seconds").recordNanoseconds(Int64((ContinuousClock.now - began) / .nanoseconds(1)))
        Counter(label: "fieldpost_ingest_pushes_total").increment()
        Counter(label: "fieldpost_ingest_refused_frames_total").increment(by: reply.refusals.count)
        Counter(label: "fieldpost_ingest_duplicate_bytes_total").increment(by: reply.duplicateBytes)
        for refusal in reply.refusals {
            logger.warning("a frame was refused", metadata: ["node": "\(node)", "reason": "\(refusal.reason.rawValue)", "detail": "\(refusal.detail)", "segment": "\(refusal.segment.map(\.description) ?? "-")"])
        }
        // A push follows a hello of the program that awaits this answer.
        return answer(try MessageCoding.encode(reply, with: hellos.of(node)?.dictionary), type: SyncRoutes.messageType)
    }

    // MARK: Messages

    /// The body as it comes; the connection's time runs while the hub waits for it, and only then.
    private func forEachPiece(_ request: Request, _ context: IngestContext, _ body: (ByteBuffer) async throws -> Void) async throws {
        connections.bodyBegan(context.channel)
        for try await piece in request.body {
            connections.received(piece.readableBytes, context.channel)
            try await body(piece)
            connections.awaitsBody(context.channel, after: piece.readableBytes)
        }
        connections.requestBegan(context.channel)
    }

    private func decode<Message: Decodable>(_ type: Message.Type, _ request: Request, _ context: IngestContext, limitBytes: Int) async throws -> Message {
        let body = try await body(of: request, context, type: SyncRoutes.messageType, limitBytes: limitBytes)
        return try readable { try MessageCoding.decode(type, from: body) }
    }

    private func body(of request: Request, _ context: IngestContext, type: String, limitBytes: Int) async throws -> [UInt8] {
        guard request.headers[.contentType] == type else { throw Problem(status: 400, title: "Messages are \(type).", field: "Content-Type") }
        var bytes: [UInt8] = []
        try await forEachPiece(request, context) { piece in
            guard bytes.count + piece.readableBytes <= limitBytes else { throw Problem(status: 413, title: "The message is longer than \(limitBytes) bytes.") }
            bytes += piece.readableBytesView
        }
        return bytes
    }

    private func readable<Message>(_ decode: () throws -> Message) throws -> Message {
        do {
            return try decode()
        } catch let problem as Problem {
            throw problem
        } catch let error as DecodingError {
            throw Problem(status: 400, title: "The message cannot be read.", field: error.fieldPath)
        } catch {
            throw Problem(status: 400, title: "The message cannot be read.", field: "body")
        }
    }

    private func answer(_ message: some Encodable) throws -> Response { answer(try MessageCoding.encode(message), type: SyncRoutes.messageType) }

    private func answer(_ body: [UInt8], type: String) -> Response {
        Response(status: .ok, headers: [.contentType: type], body: .init(byteBuffer: ByteBuffer(bytes: body)))
    }
}

/// The newest session of each node: frames of an older one are dropped.
final class Sessions: Sendable {
    private let newest = Mutex<[NodeID: UInt64]>([:])
    func raise(_ node: NodeID, to session: UInt64) { newest.withLock { $0[node] = max($0[node] ?? 0, session) } }
    func isCurrent(_ session: UInt64, of node: NodeID) -> Bool { newest.withLock { $0[node] == session } }
}

/// What each node's next hello may be compressed against. In memory only: a node whose hello cannot be read is told so,
/// and begins anew.
final class HelloMemories: Sendable {
    /// Nodes remembered at most; each takes up to 64 KiB, and 5 KiB as a rule.
    static let nodesMax = 4_096
    private let memories = Mutex<[NodeID: HubHelloMemory]>([:])

    func of(_ node: NodeID) -> HubHelloMemory? { memories.withLock { $0[node] } }
    func keep(_ memory: HubHelloMemory, of node: NodeID) {
        memories.withLock { memories in
            if memories.count >= Self.nodesMax, memories[node] == nil, let other = memories.keys.randomElement() { memories[other] = nil }
            memories[node] = memory
        }
    }
}

extension HTTPField.Name {
    // Both are valid tokens (RFC 9110, section 5.6.2), so the fallback is never taken.
    static let fieldpostLog = HTTPField.Name(SyncRoutes.logHeader) ?? .from
    static let fieldpostSession = HTTPField.Name(SyncRoutes.sessionHeader) ?? .from
}

extension DecodingError {
    /// Where in the message it failed, as `status.cameras[0].state`.
    var fieldPath: String {
        let context: Context? =
            switch self {
            case .typeMismatch(_, let context), .valueNotFound(_, let context), .dataCorrupted(let context): context
            case .keyNotFound(let key, let context): Context(codingPath: context.codingPath + [key], debugDescription: "")
            @unknown default: nil
            }
        return context?.codingPath.map { key in key.intValue.map { "[\($0)]" } ?? key.stringValue }.joined(separator: ".") ?? "body"
    }
}
