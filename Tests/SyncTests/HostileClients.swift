import EvidenceLog
import NIOCore
import NIOPosix
import NIOSSL
import NodeIdentity
import RecordingModel
import Synchronization
import SyncProtocol

/// Clients that never end what they begin, many of each kind, on sockets of their own.
final class HostileClients: Sendable {
    enum Kind: CaseIterable {
        case silent, handshake, header, body, damage
        var speaksTLS: Bool { self == .header || self == .body || self == .damage }
    }
    private struct State {
        var channels: [ObjectIdentifier: any Channel] = [:]
        var isStopped = false
        var connected = 0
        var closed = 0
    }
    private let port: Int
    private let log: LogID
    private let context: NIOSSLContext
    /// A thread of their own: on those of the hub and the good node they would be in the way before the hub has seen them.
    private let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    private let state = Mutex(State())
    private let perKind: Int

    init(port: Int, identity: IdentityKey, log: LogID, perKind: Int) throws {
        self.port = port
        self.log = log
        self.perKind = perKind
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.minimumTLSVersion = .tlsv13
        configuration.certificateChain = try NIOSSLCertificate.fromPEMBytes(Array(identity.certificatePEM.utf8)).map { .certificate($0) }
        configuration.privateKey = .privateKey(try NIOSSLPrivateKey(bytes: Array(identity.privateKeyPEM.utf8), format: .pem))
        configuration.certificateVerification = .none
        context = try NIOSSLContext(configuration: configuration)
    }

    /// Begins all, and returns when each has connected once.
    func begun() async throws {
        for kind in Kind.allCases { for _ in 0..<perKind { try await connect(kind).get() } }
    }

    func stop() {
        let channels = state.withLock { state in
            state.isStopped = true
            return Array(state.channels.values)
        }
        for channel in channels { channel.close(promise: nil) }
        group.shutdownGracefully { _ in }
    }

    var summary: String { state.withLock { "\($0.connected) hostile connections, \($0.closed) of them ended" } }

    private func connect(_ kind: Kind) -> EventLoopFuture<Void> {
        ClientBootstrap(group: group)
            .channelInitializer { [context] channel in
                channel.eventLoop.makeCompletedFuture {
                    if kind.speaksTLS { try channel.pipeline.syncOperations.addHandler(NIOSSLClientHandler(context: context, serverHostname: nil)) }
                }
            }
            .connect(host: "127.0.0.1", port: port)
            .map { channel in self.misbehave(kind, channel) }
    }

    private func misbehave(_ kind: Kind, _ channel: any Channel) {
        state.withLock { state in
            state.connected += 1
            state.channels[ObjectIdentifier(channel)] = channel
        }
        func write(_ text: String) { channel.writeAndFlush(ByteBuffer(string: text), promise: nil) }
        let push = "POST \(SyncRoutes.push) HTTP/1.1\r\nHost: hub\r\n\(SyncRoutes.logHeader): \(log)\r\n\(SyncRoutes.sessionHeader): 1\r\n"
        switch kind {
        case .silent: break
        case .handshake: channel.writeAndFlush(ByteBuffer(bytes: [0x16, 3, 1, 1, 0xF0]), promise: nil)
        case .header: write("POST \(SyncRoutes.push) HTTP/1.1\r\nX-Slow: ")
        case .body: write(push + "Content-Length: 1000000\r\n\r\n")
        case .damage: write(push + "Content-Length: 4096\r\n\r\n" + String(repeating: "\u{0}\u{0}\u{1}x", count: 1_024))
        }
        // One byte at a time, as slowloris does.
        let drip = channel.eventLoop.scheduleRepeatedTask(initialDelay: .milliseconds(100), delay: .milliseconds(100)) { _ in
            if kind == .handshake || kind == .header || kind == .body { write("a") }
        }
        channel.closeFuture.whenComplete { _ in
            drip.cancel()
            let isStopped = self.state.withLock { state in
                state.closed += 1
                state.channels[ObjectIdentifier(channel)] = nil
                return state.isStopped
            }
            // Who was thrown out comes again: each costs this very process a handshake on both sides.
            guard !isStopped else { return }
            channel.eventLoop.scheduleTask(in: .seconds(1)) {
                if !self.state.withLock({ $0.isStopped }) { _ = self.connect(kind) }
            }
        }
    }
}

/// A connection that says nothing.
final class RawSocket: Sendable {
    private let channel: any Channel
    private let isLate = Mutex(false)

    init(port: Int) async throws {
        channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton).connect(host: "127.0.0.1", port: port).get()
    }

    /// Whether the peer ended it in time.
    func isClosed(withinSeconds seconds: Int64) async -> Bool {
        isLate.withLock { $0 = false }
        let limit = channel.eventLoop.scheduleTask(in: .seconds(seconds)) { [self] in
            isLate.withLock { $0 = true }
            channel.close(promise: nil)
        }
        try? await channel.closeFuture.get()
        limit.cancel()
        return !isLate.withLock { $0 }
    }
}
