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
    let store: HubStore
    let clock: @Sendable () -> Int64
    let logger: Logger
    let disk = DiskQueue()
    let sessions = Sessions()

    func makeRouter() -> Router<IngestContext> {
        let router = Router(context: IngestContext.self)
        router.add(middleware: ProblemAnswers(logger: logger))
        router.post(RouterPath(SyncRoutes.enrol), use: enrol)
        router.post(RouterPath(SyncRoutes.hello), use: hello)
        router.post(RouterPath(SyncRoutes.push), use: push)
        router.get(RouterPath(SyncRoutes.statement), use: statement)
        return router
    }

    // MARK: Who

    /// The node behind the connection, if it may speak.
    private func node(_ context: IngestContext) async throws -> NodeID {
        guard let node = try await context.peer(), let state = try await disk.run({ [store] in try store.nodeState(node) }) else {
            throw Problem(status: 401, title: "This key has not joined the hub.")
        }
        switch state {
        case .active: return node
        case .suspended:
            logger.warning("a suspended node called", metadata: ["node": "\(node)"])
            throw Problem(status: 403, title: "This node is suspended.")
        case .forked: throw Problem(status: 422, title: "This node's log has a second history; an operator must decide.", field: "log")
        }
    }

    // MARK: Calls

    @Sendable func enrol(_ request: Request, _ context: IngestContext) async throws -> Response {
        guard let node = try await context.peer() else { throw Problem(status: 401, title: "A client certificate is needed.") }
        let message = try await decode(EnrolRequest.self, request, limitBytes: 4 << 10)
        guard message.secret.utf8.count == 32, let secret = Hex.decode(message.secret) else {
            throw Problem(status: 400, title: "The secret is not 32 hex digits.", field: "secret")
        }
        let now = clock()
        let outcome = try await disk.run { [store] in try store.enrol(node, secretHash: .sha256(secret), nowUnixMilliseconds: now) }
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
        let message = try await decode(HelloRequest.self, request, limitBytes: MessageCoding.compressedByteLimit)
        let now = clock()
        let reply = try await disk.run { [store, sessions] in
            let reply = try store.hello(message, from: node, nowUnixMilliseconds: now)
            sessions.raise(node, to: message.session)
            return reply
        }
        Counter(label: "fieldpost_ingest_hellos_total").increment()
        return try answer(reply)
    }

    @Sendable func statement(_ request: Request, _ context: IngestContext) async throws -> Response {
        let node = try await node(context)
        guard let log = request.headers[.fieldpostLog].flatMap(LogID.init) else {
            throw Problem(status: 400, title: "The log is missing.", field: SyncRoutes.logHeader)
        }
        let now = clock()
        return try answer(await disk.run { [store] in try store.statement(for: node, log: log, nowUnixMilliseconds: now) })
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
        let session = try await disk.run { [store, sessions, clock] in
            try PushSession(store: store, sessions: sessions, node: node, log: log, number: number, clock: clock)
        }
        for try await buffer in request.body {
            let bytes = Array(buffer.readableBytesView)
            Counter(label: "fieldpost_ingest_bytes_total").increment(by: bytes.count)
            if let problem = try await disk.run({ try session.receive(bytes) }) { throw problem }
        }
        let reply = try await disk.run { try session.finish() }
        Metrics.Timer(label: "fieldpost_ingest_push_seconds").recordNanoseconds(Int64((ContinuousClock.now - began) / .nanoseconds(1)))
        Counter(label: "fieldpost_ingest_pushes_total").increment()
        Counter(label: "fieldpost_ingest_refused_frames_total").increment(by: reply.refusals.count)
        Counter(label: "fieldpost_ingest_duplicate_bytes_total").increment(by: reply.duplicateBytes)
        for refusal in reply.refusals {
            logger.warning("a frame was refused", metadata: ["node": "\(node)", "reason": "\(refusal.reason.rawValue)", "detail": "\(refusal.detail)", "segment": "\(refusal.segment.map(\.description) ?? "-")"])
        }
        return try answer(reply)
    }

    // MARK: Messages

    private func decode<Message: Decodable>(_ type: Message.Type, _ request: Request, limitBytes: Int) async throws -> Message {
        guard request.headers[.contentType] == SyncRoutes.messageType else {
            throw Problem(status: 400, title: "Messages are \(SyncRoutes.messageType).", field: "Content-Type")
        }
        var bytes: [UInt8] = []
        for try await buffer in request.body {
            guard bytes.count + buffer.readableBytes <= limitBytes else { throw Problem(status: 413, title: "The message is longer than \(limitBytes) bytes.") }
            bytes += buffer.readableBytesView
        }
        do {
            return try MessageCoding.decode(type, from: bytes)
        } catch let error as DecodingError {
            throw Problem(status: 400, title: "The message cannot be read.", field: error.fieldPath)
        } catch {
            throw Problem(status: 400, title: "The message cannot be read.", field: "body")
        }
    }

    private func answer(_ message: some Encodable) throws -> Response {
        Response(status: .ok, headers: [.contentType: SyncRoutes.messageType], body: .init(byteBuffer: ByteBuffer(bytes: try MessageCoding.encode(message))))
    }
}

/// The newest session of each node: frames of an older one are dropped.
final class Sessions: Sendable {
    private let newest = Mutex<[NodeID: UInt64]>([:])
    func raise(_ node: NodeID, to session: UInt64) { newest.withLock { $0[node] = max($0[node] ?? 0, session) } }
    func isCurrent(_ session: UInt64, of node: NodeID) -> Bool { newest.withLock { $0[node] == session } }
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
