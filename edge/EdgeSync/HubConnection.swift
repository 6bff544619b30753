import FoundationEssentials
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL
import NodeIdentity
import RecordingModel
import Synchronization
import SyncProtocol

/// One HTTP/1.1 connection to the hub over mutual TLS 1.3. Requests follow one another before their answers come;
/// writing waits until the kernel has taken what is written.
package struct HubConnection: Sendable {
    typealias Stream = NIOAsyncChannel<HTTPClientResponsePart, HTTPClientRequestPart>
    /// An answer is a message or a problem document, never footage.
    static let answerByteLimit = 4 << 20

    struct Answer: Sendable {
        var status: Int
        var body: [UInt8]

        /// - Throws: `SyncError.refused` when it is a problem document.
        func accepted() throws -> [UInt8] {
            guard (200..<300).contains(status) else {
                let problem = try? JSONDecoder().decode(Problem.self, from: Data(body))
                throw SyncError.refused(problem ?? Problem(status: status, title: "no reason given"))
            }
            return body
        }

        func decoded<Reply: Decodable>(_ type: Reply.Type, knowing dictionaries: SharedDictionaries = .shipped) throws -> Reply {
            let body = try accepted()
            guard let reply = try? MessageCoding.decode(type, from: body, knowing: dictionaries) else { throw SyncError.malformedAnswer }
            return reply
        }
    }

    private let host: String
    private let channel: any Channel
    private let answers: AnswerQueue
    private let timeouts: SyncTimeouts
    private let watch: LinkWatch

    /// Opens a connection, runs `body` on it, and closes it.
    /// - Throws: `SyncError.otherHubKey` before anything is sent when the peer's key is not `pin`.
    package static func with<Result: Sendable>(
        host: String, port: Int, pin: ContentHash, identity: IdentityKey, timeouts: SyncTimeouts, device: String? = nil,
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
                .connect(host: host, port: port) { channel in
                    channel.eventLoop.makeFutureWithTask {
                        if let device { try await Transport.bind(channel, device: device) }
                        await Transport.prepare(channel, timeouts)
                    }.flatMapThrowing { _ in
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
        } catch let error as SyncError {
            throw error
        } catch {
            throw SyncError.cannotConnect("\(error)")
        }
        await Transport.askForBBR(stream.channel)
        do {
            return try await withTaskCancellationHandler {
                try await stream.executeThenClose { inbound, _ in
                    let answers = AnswerQueue()
                    let connection = HubConnection(host: host, channel: stream.channel, answers: answers, timeouts: timeouts, watch: LinkWatch(stream.channel))
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
            } onCancel: {
                // A frame that waits for room in the socket of a silent link does not see the cancellation: its connection ends instead.
                stream.channel.close(promise: nil)
            }
        } catch {
            if isOther.load(ordering: .relaxed) { throw SyncError.otherHubKey(expected: pin) }
            if error is SyncError || error is SyncFault || error is Refusal || error is CancellationError { throw error }
            throw SyncError.connectionLost("\(error)")
        }
    }

    /// Whether the address accepts a connection. Nothing is said on it.
    static func isReachable(host: String, port: Int, device: String?, seconds: Int) async -> Bool {
        let channel = try? await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .connectTimeout(.seconds(Int64(seconds)))
            .channelInitializer { channel in
                channel.eventLoop.makeFutureWithTask { if let device { try await Transport.bind(channel, device: device) } }
            }
            .connect(host: host, port: port).get()
        channel?.close(promise: nil)
        return channel != nil
    }

    private static func tlsContext(_ identity: IdentityKey) throws -> NIOSSLContext {
        let chain = try NIOSSLCertificate.fromPEMBytes(Array(identity.certificatePEM.utf8))
        let key = try NIOSSLPrivateKey(bytes: Array(identity.privateKeyPEM.utf8), format: .pem)
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.minimumTLSVersion = .tlsv13
        configuration.certificateChain = chain.map { .certificate($0) }
        configuration.privateKey = .privateKey(key)
        configuration.applicationProtocols = ["http/1.1"]
        // A silent hub does not answer the farewell either, and a node that stops or goes dark waits for it.
        configuration.shutdownTimeout = .seconds(1)
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

    /// Sends a message. Its answer comes later.
    func send(_ path: String, _ message: some Encodable) async throws {
        try await send(path, SyncRoutes.messageType, try MessageCoding.encode(message))
    }

    func send(_ path: String, _ type: String, _ body: [UInt8]) async throws {
        write(head: path, ["Content-Type": type, "Content-Length": "\(body.count)"])
        channel.write(HTTPClientRequestPart.body(.byteBuffer(ByteBuffer(bytes: body))), promise: nil)
        try await bounded { try await channel.writeAndFlush(HTTPClientRequestPart.end(nil)) }
    }

    func beginPush(headers: HTTPHeaders) {
        var headers = headers
        headers.add(name: "Content-Type", value: SyncRoutes.framesType)
        headers.add(name: "Transfer-Encoding", value: "chunked")
        write(head: SyncRoutes.push, headers)
    }

    /// Returns when the kernel has taken the whole frame.
    func write(_ frame: Frame) async throws { try await write(raw: FrameCoding.encode(frame)) }

    func write(raw bytes: [UInt8]) async throws {
        try await bounded { try await channel.writeAndFlush(HTTPClientRequestPart.body(.byteBuffer(ByteBuffer(bytes: bytes)))) }
    }

    /// The push is complete. Its answer comes later.
    func endPush() async throws { try await bounded { try await channel.writeAndFlush(HTTPClientRequestPart.end(nil)) } }

    private func write(head path: String, _ headers: HTTPHeaders) {
        var headers = headers
        headers.add(name: "Host", value: host)
        channel.write(HTTPClientRequestPart.head(HTTPRequestHead(version: .http1_1, method: .POST, uri: path, headers: headers)), promise: nil)
    }

    /// TCP's own timer does not end a connection whose peer acknowledges and never reads; this one does.
    private func bounded(_ write: () async throws -> Void) async throws {
        let timer = channel.eventLoop.scheduleTask(in: .seconds(Int64(timeouts.writeSeconds))) { channel.close(promise: nil) }
        defer { timer.cancel() }
        try await write()
    }

    // MARK: Answers

    /// The next answer, if one is here.
    func takeAnswer() -> Answer? { answers.take() }
    var isClosed: Bool { answers.isClosed }
    /// Calls `body` whenever an answer comes, or the connection ends.
    func onAnswer(_ body: @escaping @Sendable () -> Void) { answers.onChange(body) }

    /// Sends a message and waits for its answer.
    func call<Reply: Decodable & Sendable>(_ path: String, _ message: some Encodable, reply: Reply.Type) async throws -> Reply {
        try await send(path, message)
        return try await answer().decoded(reply)
    }

    /// Waits for the next answer.
    func answer() async throws -> Answer {
        let (changes, change) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        let isLate = Atomic(false)
        let timer = channel.eventLoop.scheduleTask(in: .seconds(Int64(timeouts.answerSeconds))) {
            isLate.store(true, ordering: .relaxed)
            channel.close(promise: nil)
        }
        defer { timer.cancel() }
        onAnswer { change.yield() }
        while true {
            if let answer = takeAnswer() { return answer }
            if isClosed { throw isLate.load(ordering: .relaxed) ? SyncError.noAnswer(seconds: timeouts.answerSeconds) : SyncError.connectionLost() }
            var iterator = changes.makeAsyncIterator()
            guard await iterator.next() != nil else { throw CancellationError() }
        }
    }

    // MARK: The link

    /// What the kernel says of the link now.
    func reading() async -> TransportReading? { await Transport.reading(channel) }
    func renewCongestionControl() async { await Transport.renewBBR(channel) }
    func congestionControl() async -> String? { await Transport.congestionControl(channel) }
    func tune(pacingRate: Int64, unsentBytes: Int) async { await watch.tune(pacingRate, unsentBytes) }
    /// From now on silence of the other side is noticed, or not.
    func expectAnswer(_ isDue: Bool) async { await watch.probe(isDue, afterSeconds: timeouts.stallSeconds) }
    func close() { channel.close(promise: nil) }

    /// Calls `body` again and again until the connection ends.
    func every(milliseconds: Int, _ body: @escaping @Sendable () -> Void) {
        let delay = TimeAmount.milliseconds(Int64(max(100, milliseconds)))
        let timer = channel.eventLoop.scheduleRepeatedTask(initialDelay: delay, delay: delay) { _ in body() }
        channel.closeFuture.whenComplete { _ in timer.cancel() }
    }
}

/// Options of a connection that change while it lives, set only when they do.
private final class LinkWatch: Sendable {
    private let channel: any Channel
    private let state = Mutex((pacingRate: Int64(0), unsentBytes: 0, isProbing: false))
    init(_ channel: any Channel) { self.channel = channel }

    func tune(_ pacingRate: Int64, _ unsentBytes: Int) async {
        let isOther = state.withLock { state in
            // A thirtieth is not worth a call to the kernel.
            let isOther = (pace: abs(state.pacingRate - pacingRate) * 30 > state.pacingRate, unsent: state.unsentBytes != unsentBytes)
            if isOther.pace { state.pacingRate = pacingRate }
            state.unsentBytes = unsentBytes
            return isOther
        }
        if isOther.pace { await Transport.setPacing(channel, bytesPerSecond: pacingRate) }
        if isOther.unsent { await Transport.setUnsent(channel, bytes: unsentBytes) }
    }

    func probe(_ isWanted: Bool, afterSeconds seconds: Int) async {
        guard state.withLock({ let isOther = $0.isProbing != isWanted; $0.isProbing = isWanted; return isOther }) else { return }
        await Transport.probe(channel, afterSeconds: isWanted ? seconds : Self.idleSeconds)
    }

    /// Of a connection on which nothing is due: a metered link is not kept busy with probes.
    private static let idleSeconds = 7_200
}

/// Answers in the order of their requests. Bounded by the requests under way.
final class AnswerQueue: Sendable {
    private struct State {
        var waiting: [HubConnection.Answer] = []
        var isClosed = false
        var onChange: (@Sendable () -> Void)?
    }
    private let state = Mutex(State())

    var isClosed: Bool { state.withLock { $0.isClosed && $0.waiting.isEmpty } }

    func put(_ answer: HubConnection.Answer) { change { $0.waiting.append(answer) } }
    func close() { change { $0.isClosed = true } }
    func take() -> HubConnection.Answer? { state.withLock { $0.waiting.isEmpty ? nil : $0.waiting.removeFirst() } }

    func onChange(_ body: @escaping @Sendable () -> Void) {
        state.withLock { $0.onChange = body }
        // What came before nobody listened.
        body()
    }

    private func change(_ body: (inout State) -> Void) {
        state.withLock { state -> (@Sendable () -> Void)? in
            body(&state)
            return state.onChange
        }?()
    }
}
