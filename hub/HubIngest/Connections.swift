import Dispatch
import Logging
import Metrics
import NIOCore
import NIOHTTP1
import RecordingModel
import Synchronization

/// The ledger over real channels: refuses, closes, and looks once a second whose time is up.
final class Connections: Sendable {
    private struct State {
        var ledger: ConnectionLedger<ObjectIdentifier>
        var channels: [ObjectIdentifier: any Channel] = [:]
        var brakes: [ObjectIdentifier: ReadBrake] = [:]
    }
    /// From so many connections on each is read in smaller pieces: 2,000 times 64 KiB would be the hub's memory.
    static let manyConnections = 100
    static let smallReadBytes = 16 << 10
    /// Bytes that one connection may have in memory before they are judged, when few are connected and when many are.
    static let unreadBytes = 1 << 20
    static let smallUnreadBytes = 16 << 10

    private let state: Mutex<State>
    // Set up once, cancelled once.
    private nonisolated(unsafe) let timer: any DispatchSourceTimer
    private let logger: Logger
    private let limits: IngestLimits

    init(limits: IngestLimits, logger: Logger) {
        self.limits = limits
        self.logger = logger
        state = Mutex(State(ledger: ConnectionLedger(limits: limits)))
        timer = DispatchSource.makeTimerSource(queue: DispatchQueue(label: "fieldpost.ingest.connections"))
        timer.setEventHandler { [weak self] in self?.sweep() }
        timer.schedule(deadline: .now() + 1, repeating: 1, leeway: .milliseconds(200))
        timer.activate()
    }

    deinit { timer.cancel() }

    private static func now() -> Int64 { GroupCommitter.monotonicMilliseconds() }

    /// Nodes that are connected now.
    var nodes: Int { state.withLock { $0.ledger.nodes } }

    /// On the channel's event loop, before the handshake.
    /// - Returns: false when it is to be closed at once.
    func opened(_ channel: any Channel, _ brake: ReadBrake) -> Bool {
        let id = ObjectIdentifier(channel)
        let address = channel.remoteAddress?.ipAddress ?? "-"
        let (isTaken, count) = state.withLock { state in
            let isTaken = state.ledger.opened(id, address: address, now: Self.now())
            if isTaken {
                state.channels[id] = channel
                state.brakes[id] = brake
            }
            return (isTaken, state.ledger.count)
        }
        guard isTaken else {
            Counter(label: "fieldpost_ingest_connections_refused_total").increment()
            return false
        }
        // TLS gathers what several reads bring in a buffer that never shrinks: half a megabyte for each connection.
        channel.setOption(ChannelOptions.maxMessagesPerRead, value: 1).whenFailure { _ in }
        if count > Self.manyConnections {
            channel.setOption(ChannelOptions.recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: Self.smallReadBytes)).whenFailure { _ in }
        }
        channel.closeFuture.whenComplete { _ in
            self.state.withLock { state in
                state.ledger.closed(id)
                state.channels[id] = nil
                state.brakes[id] = nil
            }
        }
        return true
    }

    func identified(_ channel: any Channel, as node: NodeID) {
        let oldest = state.withLock { state in state.ledger.identified(ObjectIdentifier(channel), as: node).flatMap { state.channels[$0] } }
        oldest?.close(promise: nil)
    }

    var areMany: Bool { state.withLock { $0.ledger.count > Self.manyConnections } }
    /// What one connection may have in memory now.
    var unreadBytesMax: Int { areMany ? Self.smallUnreadBytes : Self.unreadBytes }

    func requestBegan(_ channel: any Channel) { state.withLock { $0.ledger.requestBegan(ObjectIdentifier(channel)) } }
    func requestEnded(_ channel: any Channel) { state.withLock { $0.ledger.requestEnded(ObjectIdentifier(channel), now: Self.now()) } }
    func bodyBegan(_ channel: any Channel) { state.withLock { $0.ledger.bodyBegan(ObjectIdentifier(channel), now: Self.now()) } }
    func received(_ bytes: Int, _ channel: any Channel) { state.withLock { $0.ledger.received(ObjectIdentifier(channel), bytes: bytes) } }

    func awaitsBody(_ channel: any Channel, after bytes: Int) {
        let id = ObjectIdentifier(channel)
        let brake = state.withLock { state in
            state.ledger.awaitsBody(id, now: Self.now())
            return state.brakes[id]
        }
        brake?.judged(bytes, on: channel.eventLoop)
    }

    private func sweep() {
        let over = state.withLock { state in
            state.ledger.overdue(now: Self.now()).compactMap { item in state.channels[item.id].map { ($0, item.why) } }
        }
        for (channel, why) in over {
            Counter(label: "fieldpost_ingest_connections_overdue_total", dimensions: [("why", why.rawValue)]).increment()
            logger.debug("a connection used up its time", metadata: ["why": "\(why.rawValue)", "address": "\(channel.remoteAddress?.ipAddress ?? "-")"])
            channel.close(promise: nil)
        }
    }
}

/// Holds reads back while the bytes of this connection that nobody has judged yet fill its share of memory: the HTTP layer
/// above would take ten records of 16 KiB from each of thousands.
final class ReadBrake: ChannelDuplexHandler, RemovableChannelHandler, @unchecked Sendable {
    // Sendable because all but `unread` is touched on the event loop only.
    typealias InboundIn = HTTPServerRequestPart
    typealias InboundOut = HTTPServerRequestPart
    typealias OutboundIn = HTTPServerResponsePart
    typealias OutboundOut = HTTPServerResponsePart
    private let unread = Atomic<Int>(0)
    private let limitBytes: @Sendable () -> Int
    private var isHeld = false
    private var context: ChannelHandlerContext?

    init(limitBytes: @escaping @Sendable () -> Int) { self.limitBytes = limitBytes }

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }
    func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        // What an abandoned body left over is nobody's any more.
        case .head: unread.store(0, ordering: .relaxed)
        case .body(let bytes): unread.add(bytes.readableBytes, ordering: .relaxed)
        case .end: break
        }
        context.fireChannelRead(data)
    }

    func read(context: ChannelHandlerContext) {
        isHeld = unread.load(ordering: .relaxed) >= limitBytes()
        if !isHeld { context.read() }
    }

    /// So many bytes of the body were judged.
    func judged(_ bytes: Int, on eventLoop: any EventLoop) {
        let left = unread.subtract(bytes, ordering: .relaxed).newValue
        guard left < limitBytes() else { return }
        eventLoop.execute { self.resume() }
    }

    private func resume() {
        guard isHeld, let context else { return }
        isHeld = false
        context.read()
    }
}

/// What TLS hands on is a piece of its own buffer of 64 KiB: a few bytes that wait would keep all of it. Where thousands wait
/// they are copied to where nothing else is.
final class SmallCopies: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let bytes = unwrapInboundIn(data)
        var copy = context.channel.allocator.buffer(capacity: bytes.readableBytes)
        copy.writeImmutableBuffer(bytes)
        context.fireChannelRead(wrapInboundOut(copy))
    }
}

/// Tells `Connections` of each channel before its handshake begins, and puts the brake behind the HTTP decoder.
final class ConnectionGuard: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = Never
    private let connections: Connections
    private var isRefused = false

    init(_ connections: Connections) { self.connections = connections }

    func handlerAdded(context: ChannelHandlerContext) {
        let brake = ReadBrake(limitBytes: { [connections] in connections.unreadBytesMax })
        isRefused = !connections.opened(context.channel, brake)
        let pipeline = context.pipeline.syncOperations
        guard let decoder = try? pipeline.handler(type: ByteToMessageHandler<HTTPRequestDecoder>.self) else { return }
        try? pipeline.addHandler(brake, position: .after(decoder))
        if connections.areMany { try? pipeline.addHandler(SmallCopies(), position: .before(decoder)) }
    }

    /// Not before: a channel that is closed while its pipeline is made ends the process (`NIOAsyncWriter` without `finish`).
    func channelActive(context: ChannelHandlerContext) {
        if isRefused { context.close(promise: nil) }
        context.fireChannelActive()
    }
}
