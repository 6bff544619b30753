import HubStore
import Hummingbird
import HummingbirdCore
import HummingbirdTLS
import Logging
import NIOCore
import NIOSSL
import NodeIdentity
import RecordingModel

/// What the node-facing service needs from its composition root.
package struct IngestConfiguration: Sendable {
    package var host: String
    /// 0 takes a free port; `onServerRunning` says which.
    package var port: Int
    package var identity: IdentityKey
    package var onServerRunning: @Sendable (_ port: Int) async -> Void = { _ in }
    package var clock: @Sendable () -> Int64

    package init(host: String, port: Int, identity: IdentityKey, nowUnixMilliseconds clock: @escaping @Sendable () -> Int64) {
        self.host = host
        self.port = port
        self.identity = identity
        self.clock = clock
    }

    /// Mutual TLS 1.3. Every client certificate that proves possession of its key passes the handshake; whose it is
    /// is judged per request against the catalogue, because a node that joins is not known yet.
    func tlsConfiguration() throws -> TLSChannelConfiguration {
        let chain = try NIOSSLCertificate.fromPEMBytes(Array(identity.certificatePEM.utf8))
        let key = try NIOSSLPrivateKey(bytes: Array(identity.privateKeyPEM.utf8), format: .pem)
        var configuration = TLSConfiguration.makeServerConfiguration(certificateChain: chain.map { .certificate($0) }, privateKey: .privateKey(key))
        configuration.minimumTLSVersion = .tlsv13
        configuration.certificateVerification = .noHostnameVerification
        configuration.applicationProtocols = ["http/1.1"]
        return TLSChannelConfiguration(tlsConfiguration: configuration, customVerificationCallback: { certificates, promise in
            let isKnownForm = certificates.first.flatMap { try? $0.toDERBytes() }.flatMap { try? KeyPin.hash(ofCertificateDER: $0) } != nil
            promise.succeed(isKnownForm ? .certificateVerified : .failed)
        })
    }
}

/// The node-facing service: HTTP/1.1 over mutual TLS (HTTP/2's default windows would cap an upload at 874 kbit/s at
/// 600 ms). Every bound that Hummingbird leaves open is set here.
/// - Parameter writer: the one of this process.
package func makeIngestApplication(writer: IngestWriter, configuration: IngestConfiguration, logger: Logger) throws -> some ApplicationProtocol {
    let limits = writer.limits
    let connections = Connections(limits: limits, logger: logger)
    let service = IngestService(writer: writer, connections: connections, clock: configuration.clock, logger: logger)
    let channel = HTTP1Channel.Configuration(
        additionalChannelHandlers: [ConnectionGuard(connections)],
        httpDecoderConfiguration: .init(maxHeaderFieldSize: 8 << 10, maxHeaderListSize: 16 << 10, maxHeaderFieldCount: 100))
    return Application(
        router: service.makeRouter(),
        server: try .tls(.http1(configuration: channel), configuration: configuration.tlsConfiguration()),
        configuration: ApplicationConfiguration(
            address: .hostname(configuration.host, port: configuration.port),
            availableConnectionsDelegate: MaximumAvailableConnections(limits.connections)),
        onServerRunning: { channel in await configuration.onServerRunning(channel.localAddress?.port ?? 0) },
        logger: logger)
}

/// A request with its channel, from which the peer's certificate comes.
struct IngestContext: RequestContext {
    var coreContext: CoreRequestContextStorage
    let channel: any Channel

    init(source: ApplicationRequestContextSource) {
        coreContext = .init(source: source)
        channel = source.channel
    }

    /// An answer that was lost with the link goes out again within a second of its return, where the kernel can do that
    /// (TCP_RTO_MAX_MS of linux/tcp.h, since 6.15): its own pauses grow to two minutes.
    func knockEverySecond() {
        guard let provider = channel as? any SocketOptionProvider else { return }
        provider.unsafeSetSocketOption(level: .tcp, name: NIOBSDSocket.Option(rawValue: 44), value: CInt(1_000)).whenFailure { _ in }
    }

    /// Who proved possession of which key in the handshake.
    func peer() async throws -> NodeID? {
        guard let certificate = try await channel.nioSSL_peerCertificate().get() else { return nil }
        return NodeID(keyHash: try KeyPin.hash(ofCertificateDER: certificate.toDERBytes()))
    }
}
