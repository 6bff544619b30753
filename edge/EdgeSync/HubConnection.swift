import FoundationEssentials
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL
import NodeIdentity
import RecordingModel
import Synchronization
import SyncProtocol

/// One HTTP/1.1 connection to the hub over mutual TLS 1.3. Requests may follow one another before their answers
/// come; writing waits while the socket is full.
package struct HubConnection: Sendable {
    typealias Stream = NIOAsyncChannel<HTTPClientResponsePart, HTTPClientRequestPart>
    /// An answer is a message or a problem document, never footage.
    static let answerByteLimit = 4 << 20

    struct Answer: Sendable {
        var status: Int
        var body: [UInt8]
    }

    private let host: String
    private let channel: any Channel
    private let outbound: NIOAsyncChannelOutboundWriter<HTTPClientRequestPart>
    private let answers: AnswerQueue
    private let timeouts: SyncTimeouts

    /// Opens a connection, runs `body` on it, and closes it.
    /// - Throws: `SyncError.otherHubKey` before anything is sent when the peer's key is not `pin`.
    package static func with<Result: Sendable>(
        host: String, port: Int, pin: ContentHash, identity: IdentityKey, timeouts: SyncTimeouts,
        _ body: @escaping @Sendable (HubConnection) async throws -> Result
    ) async throws -> Result {
        let isOther = Atomic(false)
        let context = try tlsContext(identity)
        let stream: Stream
        do {
            stream = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
                .connectTimeout(.seconds(Int64(timeouts.connectSeconds)))
                .channelOption(.tcpOption(.tcp_nodelay), value: 1)
                .channelOption(.socketOption(.so_keepalive), value: 1)
                .channelOption(userTimeout, value: timeouts.stallSeconds * 1000)
                .connect(host: host, port: port) { channel in
                    channel.eventLoop.makeCompletedFuture {
                        let tls = try NIOSSLClientHandler(
                            context: context, serverHostname: nil,
                            customVerificationCallback: { certificates, promise in
                                let hash = certificates.first.flatMap { try? $0.toDERBytes() }.flatMap { try? KeyPin.hash(ofCertificateDER: $0) }
                                if hash != pin { isOther.store(true, ordering: .relaxed) }
                                promise.succeed(hash == pin ? .certificateVerified : .failed)
                            })
                        try channel.pipeline.syncOperations.addHandler(tls)
                        try channel.pipeline.syncOperations.addHTTPClientHandlers()
                        return try Stream(wrappingChannelSynchronously: channel)
                    }
                }
        } catch {
            throw SyncError.cannotConnect("\(error)")
        }
        do {
            return try await stream.executeThenClose { inbound, outbound in
                let answers = AnswerQueue()
                let connection = HubConnection(host: host, channel: stream.channel, outbound: outbound, answers: answers, timeouts: timeouts)
                return try await withThrowingTaskGroup(of: Result?.self) { group in
                    group.addTask {
                        await Self.collect(inbound, into: answers)
                        return nil
                    }
                    group.addTask { try await body(connection) }
                    defer { group.cancelAll() }
                    while let finished = try await group.next() {
                        if let result = finished { return result }
                    }
                    throw SyncError.connectionLost()
                }
            }
        } catch {
            if isOther.load(ordering: .relaxed) { throw SyncError.otherHubKey(expected: pin) }
            if error is SyncError || error is SyncFault || error is Refusal || error is CancellationError { throw error }
            throw SyncError.connectionLost("\(error)")
        }
    }

    /// TCP_USER_TIMEOUT (tcp(7)): how long sent bytes may stay unacknowledged, in milliseconds.
    private static let userTimeout = ChannelOptions.Types.SocketOption(level: .tcp, name: NIOBSDSocket.Option(rawValue: 18))

    private static func tlsContext(_ identity: IdentityKey) throws -> NIOSSLContext {
        let chain = try NIOSSLCertificate.fromPEMBytes(Array(identity.certificatePEM.utf8))
        let key = try NIOSSLPrivateKey(bytes: Array(identity.privateKeyPEM.utf8), format: .pem)
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.minimumTLSVersion = .tlsv13
        configuration.certificateChain = chain.map { .certificate($0) }
        configuration.privateKey = .privateKey(key)
        configuration.applicationProtocols = ["http/1.1"]
        // The pin is the check: no name, no authority, no date.
        configuration.certificateVerification = .noHostnameVerification
        return try NIOSSLContext(configuration: configuration)
    }

    private static func collect(_ inbound: NIOAsyncChannelInboundStream<HTTPClientResponsePart>, into answers: AnswerQueue) async {
        var answer = Answer(status: 0, body: [])
        do {
            for try await part in inbound {
                switch part {
                case .head(let head): answer = Answer(status: Int(head.status.code), body: [])
                case .body(let buffer):
                    guard answer.body.count + buffer.readableBytes <= answerByteLimit else { throw SyncError.malformedAnswer }
                    answer.body += buffer.readableBytesView
                case .end: answers.put(answer)
                }
            }
        } catch {}
        answers.close()
    }

    // MARK: Requests

    /// Sends a message and returns the decoded answer.
    func call<Reply: Decodable>(_ path: String, _ message: some Encodable, reply: Reply.Type) async throws -> Reply {
        let body = try MessageCoding.encode(message)
        try await begin(.POST, path, ["Content-Type": SyncRoutes.messageType, "Content-Length": "\(body.count)"])
        try await outbound.write(.body(.byteBuffer(ByteBuffer(bytes: body))))
        try await outbound.write(.end(nil))
        return try await answer(reply)
    }

    func beginPush(headers: HTTPHeaders) async throws {
        var headers = headers
        headers.add(name: "Content-Type", value: SyncRoutes.framesType)
        headers.add(name: "Transfer-Encoding", value: "chunked")
        try await begin(.POST, SyncRoutes.push, headers)
    }

    func write(_ frame: Frame) async throws { try await write(raw: FrameCoding.encode(frame)) }

    /// TCP's own timer does not end a connection whose peer acknowledges and never reads; this one does.
    func write(raw bytes: [UInt8]) async throws {
        let timer = channel.eventLoop.scheduleTask(in: .seconds(Int64(timeouts.writeSeconds))) { channel.close(promise: nil) }
        defer { timer.cancel() }
        try await outbound.write(.body(.byteBuffer(ByteBuffer(bytes: bytes))))
    }

    /// Whether the hub has answered before the push ended: it will take no more of it.
    var hasEarlyAnswer: Bool { answers.isWaiting }
    var isClosed: Bool { answers.isClosed }

    func endPush() async throws -> PushReply {
        if !hasEarlyAnswer { try await outbound.write(.end(nil)) }
        return try await answer(PushReply.self)
    }

    /// Calls `body` when the connection ends.
    func onClose(_ body: @escaping @Sendable () -> Void) { channel.closeFuture.whenComplete { _ in body() } }

    /// Calls `body` again and again until the connection ends.
    func every(seconds: Int, _ body: @escaping @Sendable () -> Void) {
        let delay = TimeAmount.seconds(Int64(max(1, seconds)))
        let timer = channel.eventLoop.scheduleRepeatedTask(initialDelay: delay, delay: delay) { _ in body() }
        onClose { timer.cancel() }
    }

    private func begin(_ method: HTTPMethod, _ path: String, _ headers: HTTPHeaders) async throws {
        var headers = headers
        headers.add(name: "Host", value: host)
        try await outbound.write(.head(HTTPRequestHead(version: .http1_1, method: method, uri: path, headers: headers)))
    }

    private func answer<Reply: Decodable>(_ type: Reply.Type) async throws -> Reply {
        let isLate = Atomic(false)
        let timer = channel.eventLoop.scheduleTask(in: .seconds(Int64(timeouts.answerSeconds))) {
            isLate.store(true, ordering: .relaxed)
            channel.close(promise: nil)
        }
        defer { timer.cancel() }
        guard let answer = await answers.next() else {
            throw isLate.load(ordering: .relaxed) ? SyncError.noAnswer(seconds: timeouts.answerSeconds) : SyncError.connectionLost()
        }
        guard (200..<300).contains(answer.status) else {
            let problem = try? JSONDecoder().decode(Problem.self, from: Data(answer.body))
            throw SyncError.refused(problem ?? Problem(status: answer.status, title: "no reason given"))
        }
        guard let reply = try? MessageCoding.decode(type, from: answer.body) else { throw SyncError.malformedAnswer }
        return reply
    }
}

/// Answers in the order of their requests. Bounded by the requests under way, of which there are at most two.
final class AnswerQueue: Sendable {
    private struct State {
        var waiting: [HubConnection.Answer] = []
        var isClosed = false
        var taker: CheckedContinuation<HubConnection.Answer?, Never>?
    }
    private let state = Mutex(State())

    var isWaiting: Bool { state.withLock { !$0.waiting.isEmpty } }
    var isClosed: Bool { state.withLock { $0.isClosed } }

    func put(_ answer: HubConnection.Answer) {
        let taker = state.withLock { state -> CheckedContinuation<HubConnection.Answer?, Never>? in
            guard let taker = state.taker else {
                state.waiting.append(answer)
                return nil
            }
            state.taker = nil
            return taker
        }
        taker?.resume(returning: answer)
    }

    func close() {
        let taker = state.withLock { state in
            state.isClosed = true
            defer { state.taker = nil }
            return state.taker
        }
        taker?.resume(returning: nil)
    }

    /// The next answer; nil when the connection ended first. One caller at a time.
    func next() async -> HubConnection.Answer? {
        await withCheckedContinuation { continuation in
            let ready = state.withLock { state -> HubConnection.Answer?? in
                if !state.waiting.isEmpty { return .some(state.waiting.removeFirst()) }
                if state.isClosed { return .some(nil) }
                state.taker = continuation
                return nil
            }
            if let ready { continuation.resume(returning: ready) }
        }
    }
}
