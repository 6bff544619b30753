import EdgeMotion
import Logging
import NIOCore
import NIOHTTP1
import NIOPosix
import RecordingModel
import Synchronization

/// Takes events by HTTP/1.1 from cameras, alarm boxes and scripts, and puts them into the cameras' trigger boxes. It knows
/// nothing of recording and recording does not wait for it.
package final class EventListener: Sendable {
    package static let connectionsMax = 64
    /// Shorter tokens can be guessed.
    package static let tokenBytesMin = 16
    /// From the connection's begin, or the last answer, to the end of a request; also how long an idle connection stays.
    static let requestSeconds: Int64 = 10

    private let host: String
    private let port: Int
    private let desk: EventDesk
    private let logger: Logger
    private let connections = Mutex<[ObjectIdentifier: any Channel]>([:])

    /// - Parameters:
    ///   - port: 0 for any.
    ///   - token: what posters show; at least `tokenBytesMin`.
    package init(host: String, port: Int, token: String, triggers: EventTriggers, clocks: any Clocks, logger: Logger) {
        self.host = host
        self.port = port
        desk = EventDesk(triggers: triggers, token: EventToken(token), clocks: clocks)
        self.logger = logger
    }

    /// Listens until the task is cancelled. An address that cannot be had (another program has it, the network is not up)
    /// is tried again every five seconds: it is no reason to end anything else.
    /// - Parameter ready: called with the port each time that it listens.
    package func run(ready: @Sendable (Int) -> Void = { _ in }) async {
        var isFirst = true
        while !Task.isCancelled {
            do {
                let server = try await bind()
                ready(server.localAddress?.port ?? port)
                logger.info("taking events", metadata: ["address": "\(host):\(server.localAddress?.port ?? port)"])
                await withTaskCancellationHandler {
                    try? await server.closeFuture.get()
                } onCancel: {
                    server.close(promise: nil)
                }
                for channel in connections.withLock({ Array($0.values) }) { channel.close(promise: nil) }
                isFirst = true
            } catch {
                if isFirst { logger.error("events are not taken; trying again", metadata: ["address": "\(host):\(port)", "error": "\(error)"]) }
                isFirst = false
            }
            // Nothing tells when an address becomes free.
            guard (try? await Task.sleep(for: .seconds(5))) != nil else { return }
        }
    }

    private func bind() async throws -> any Channel {
        try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.backlog, value: 16)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.maxMessagesPerRead, value: 4)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    guard self.admit(channel) else { return channel.close(promise: nil) }
                    try channel.pipeline.syncOperations.configureHTTPServerPipeline(withPipeliningAssistance: true, withErrorHandling: true)
                    try channel.pipeline.syncOperations.addHandler(EventHandler(self.desk))
                }
            }
            .bind(host: host, port: port).get()
    }

    private func admit(_ channel: any Channel) -> Bool {
        let id = ObjectIdentifier(channel)
        let isAdmitted = connections.withLock { connections in
            guard connections.count < Self.connectionsMax else { return false }
            connections[id] = channel
            return true
        }
        if isAdmitted { channel.closeFuture.whenComplete { _ in self.connections.withLock { $0[id] = nil } } }
        return isAdmitted
    }
}

/// One connection.
private final class EventHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private enum State {
        case idle
        case body(HTTPRequestHead, [UInt8])
        /// Answered before its end came: what still comes is not looked at.
        case refused
    }

    private let desk: EventDesk
    private var state = State.idle
    private var timer: Scheduled<Void>?

    init(_ desk: EventDesk) { self.desk = desk }

    func channelActive(context: ChannelHandlerContext) {
        startTimer(context)
        context.fireChannelActive()
    }

    func channelInactive(context: ChannelHandlerContext) {
        timer?.cancel()
        context.fireChannelInactive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch (unwrapInboundIn(data), state) {
        case (.head(let head), .idle):
            let lengths = head.headers["Content-Length"]
            if let answer = desk.refuse(
                method: head.method.rawValue, uri: head.uri, authorization: head.headers["Authorization"].first, contentLength: lengths.first.flatMap { Int($0) })
            {
                state = .refused
                write(answer, head, closes: true, context)
            } else {
                state = .body(head, [])
            }
        case (.body(let buffer), .body(let head, var bytes)):
            guard bytes.count + buffer.readableBytes <= EventDesk.bodyBytesMax else {
                state = .refused
                return write(EventDesk.tooLarge, head, closes: true, context)
            }
            // Taken out first, so that there is one owner and the bytes are not copied for each part.
            state = .idle
            bytes.append(contentsOf: buffer.readableBytesView)
            state = .body(head, bytes)
        case (.end, .body(let head, let bytes)):
            state = .idle
            write(desk.take(uri: head.uri, body: bytes), head, closes: !head.isKeepAlive, context)
            startTimer(context)
        default: break
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    private func startTimer(_ context: ChannelHandlerContext) {
        timer?.cancel()
        let channel = context.channel
        timer = context.eventLoop.scheduleTask(in: .seconds(EventListener.requestSeconds)) { channel.close(promise: nil) }
    }

    private func write(_ answer: EventAnswer, _ head: HTTPRequestHead, closes: Bool, _ context: ChannelHandlerContext) {
        let status = HTTPResponseStatus(statusCode: answer.status)
        let body = head.method == .HEAD ? [] : answer.body(title: status.reasonPhrase)
        var headers = HTTPHeaders(answer.headers.map { ($0[0], $0[1]) })
        headers.add(name: "Content-Type", value: answer.contentType)
        headers.add(name: "Content-Length", value: "\(body.count)")
        headers.add(name: "Cache-Control", value: "no-store")
        headers.add(name: "Connection", value: closes ? "close" : "keep-alive")
        context.write(wrapOutboundOut(.head(HTTPResponseHead(version: .http1_1, status: status, headers: headers))), promise: nil)
        context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(bytes: body)))), promise: nil)
        let written = context.eventLoop.makePromise(of: Void.self)
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: written)
        guard closes else { return }
        let channel = context.channel
        // The answer is lost if the connection is reset while its reader still sends.
        written.futureResult.whenComplete { _ in channel.eventLoop.scheduleTask(in: .milliseconds(500)) { channel.close(promise: nil) } }
    }
}
