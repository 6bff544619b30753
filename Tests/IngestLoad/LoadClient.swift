import NIOCore
import NIOPosix
import NIOSSL
import NIOTLS
import NodeIdentity
import SyncProtocol

struct LoadFailure: Error, CustomStringConvertible {
    let description: String
}

/// Sends a node's requests one after another, each as soon as the one before is answered.
final class LoadClient: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let requests: [LoadRequest]
    private let tally: LoadTally
    private let secured: EventLoopPromise<Void>
    private let done: EventLoopPromise<Void>
    private var next = 0
    private var pieces: ArraySlice<ByteBuffer> = []
    private var sentAt = NIODeadline.now()
    private var answer = ByteBuffer()

    init(_ requests: [LoadRequest], _ tally: LoadTally, secured: EventLoopPromise<Void>, done: EventLoopPromise<Void>) {
        self.requests = requests
        self.tally = tally
        self.secured = secured
        self.done = done
    }

    func begin(_ context: ChannelHandlerContext) {
        guard next < requests.count else {
            done.succeed(())
            return
        }
        let request = requests[next]
        next += 1
        sentAt = .now()
        pieces = request.body[...]
        context.write(wrapOutboundOut(ByteBuffer(bytes: request.head)), promise: nil)
        pump(context)
    }

    private func pump(_ context: ChannelHandlerContext) {
        // At least one piece each time: the header alone may fill a small socket.
        repeat {
            guard let piece = pieces.popFirst() else { break }
            context.write(wrapOutboundOut(piece), promise: nil)
            context.flush()
        } while context.channel.isWritable
        context.flush()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case TLSUserEvent.handshakeCompleted = event { secured.succeed(()) }
        context.fireUserInboundEventTriggered(event)
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable, !pieces.isEmpty { pump(context) }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var buffer = unwrapInboundIn(data)
        answer.writeBuffer(&buffer)
        guard let status = wholeAnswer() else { return }
        answer.clear()
        let request = requests[next - 1]
        guard (200..<300).contains(status), pieces.isEmpty else {
            done.fail(LoadFailure(description: "a \(request.kind) was answered \(status)"))
            context.close(promise: nil)
            return
        }
        tally.answered(request, after: .now() - sentAt)
        begin(context)
    }

    func channelInactive(context: ChannelHandlerContext) { fail(LoadFailure(description: "the connection ended after \(next) requests")) }

    private func fail(_ error: any Error) {
        secured.fail(error)
        done.fail(error)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        fail(error)
        context.close(promise: nil)
    }

    /// The status, once header and body are here. A push that refused something is a failure: its answer is looked into.
    private func wholeAnswer() -> Int? {
        let bytes = Array(answer.readableBytesView)
        guard let end = bytes.indices.dropLast(3).first(where: { bytes[$0] == 13 && bytes[$0 + 1] == 10 && bytes[$0 + 2] == 13 && bytes[$0 + 3] == 10 })
        else { return nil }
        let lines = String(decoding: bytes[..<end], as: UTF8.self).lowercased().split(separator: "\r\n")
        let status = lines.first.flatMap { $0.split(separator: " ").dropFirst().first.flatMap { Int($0) } } ?? 0
        let length = lines.first { $0.hasPrefix("content-length:") }.flatMap { Int($0.dropFirst(15).filter { $0 != " " }) } ?? 0
        guard bytes.count >= end + 4 + length else { return nil }
        if status == 200, requests[next - 1].kind == .push {
            guard let reply = try? MessageCoding.decode(PushReply.self, from: Array(bytes[(end + 4)...])), reply.refusals.isEmpty else { return 299 + 200 }
        }
        return status
    }
}

/// What was answered, of all nodes. On one event loop each; merged at the end.
final class LoadTally {
    var segments = 0
    var helloNanoseconds: [Int64] = []

    func answered(_ request: LoadRequest, after time: TimeAmount) {
        segments += request.segments
        if request.kind == .hello { helloNanoseconds.append(time.nanoseconds) }
    }
}
