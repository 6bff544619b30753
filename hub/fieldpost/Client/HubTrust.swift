import Crypto
import NIOCore
import NIOPosix
import NIOSSL
import RecordingModel
import Synchronization

/// What the hub showed of itself in a handshake. Its key is what is trusted, not a name and not a date.
struct HubTrust: Sendable {
    var keyHash: ContentHash

    /// Makes one TLS handshake and nothing more: no byte of a request is sent before the key is known.
    static func fetch(host: String, port: Int) async throws -> HubTrust {
        let shared = SeenChain()
        let group = MultiThreadedEventLoopGroup.singleton
        let context = try NIOSSLContext(configuration: .makeClientConfiguration())
        let name: String? = (try? SocketAddress(ipAddress: host, port: port)) == nil ? host : nil
        let done = group.next().makePromise(of: Void.self)
        do {
            let channel = try await ClientBootstrap(group: group)
                .connectTimeout(.seconds(10))
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        let handler = try NIOSSLClientHandler(context: context, serverHostname: name) { certificates, promise in
                            shared.store(certificates)
                            promise.succeed(.certificateVerified)
                            done.succeed()
                        }
                        try channel.pipeline.syncOperations.addHandler(handler)
                        try channel.pipeline.syncOperations.addHandler(HandshakeEnd(done: done))
                    }
                }
                .connect(host: host, port: port).get()
            let timer = channel.eventLoop.scheduleTask(in: TimeAmount.seconds(10)) { done.fail(Failure("The hub did not answer.")) }
            defer { timer.cancel() }
            try await done.futureResult.get()
            try? await channel.close().get()
        } catch {
            done.fail(error)
            throw Failure("There is no hub at \(host):\(port), or it does not speak TLS. Check the address and that the hub is running.")
        }
        let chain = shared.take()
        guard let leaf = chain.first, let keyHash = try Self.keyHash(of: leaf) else {
            throw Failure("The hub at \(host):\(port) showed no certificate.")
        }
        return HubTrust(keyHash: keyHash)
    }

    private static func keyHash(of certificate: NIOSSLCertificate) throws -> ContentHash? {
        ContentHash(SHA256.hash(data: try certificate.extractPublicKey().toSPKIBytes()).map { $0 })
    }

    /// The names and dates of certificates are not asked about: `check` compares the key itself, whoever signed it.
    static var tlsConfiguration: TLSConfiguration {
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.minimumTLSVersion = .tlsv12
        configuration.certificateVerification = .none
        return configuration
    }

    /// Runs on every connection after its handshake and before the first byte of a request, so that a password only
    /// ever goes to who holds this key, on this very connection.
    func check(_ channel: any Channel) -> EventLoopFuture<Void> {
        let checked = channel.nioSSL_peerCertificate().flatMapThrowing { certificate in
            guard let certificate, try Self.keyHash(of: certificate) == keyHash else {
                throw Failure("it showed another key than a moment ago, so nothing was sent to it")
            }
        }
        checked.whenFailure { _ in
            // A connection that is not used must not be left open. The client crashes on one that closes before it
            // has heard of the failure.
            channel.eventLoop.scheduleTask(in: TimeAmount.milliseconds(100)) { channel.close(promise: nil) }
        }
        return checked
    }
}

/// The callback runs on the event loop, the reader in a task.
private final class SeenChain: Sendable {
    private let certificates = Mutex<[NIOSSLCertificate]>([])
    func store(_ chain: [NIOSSLCertificate]) { certificates.withLock { $0 = chain } }
    func take() -> [NIOSSLCertificate] { certificates.withLock { $0 } }
}

/// A connection that ends before it has shown a certificate must not be waited for.
private final class HandshakeEnd: ChannelInboundHandler, Sendable {
    typealias InboundIn = ByteBuffer
    private let done: EventLoopPromise<Void>
    init(done: EventLoopPromise<Void>) { self.done = done }
    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        done.fail(error)
        context.close(promise: nil)
    }
    func channelInactive(context: ChannelHandlerContext) { done.fail(ChannelError.eof) }
}
