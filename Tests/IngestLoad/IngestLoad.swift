import FoundationEssentials
import EvidenceLog
import HubStore
import Logging
import NIOCore
import NIOPosix
import NIOSSL
import NodeIdentity
import RecordingModel
import StorageIO
import SyncProtocol
import SystemPackage

/// Simulated nodes for deploy/bench ingest. Makes everything first, says so, waits for a line "HOST PORT", connects all,
/// then sends, and prints one JSON line.
///
///     IngestLoad push|put NODES SEGMENTS SEGMENT-BYTES PUSH-BYTES [HUB-DIRECTORY]
///
/// With a hub's directory the nodes join it there, before the hub is started.
@main
struct IngestLoad {
    private struct Result: Encodable {
        var segments: Int
        var bytes: Int
        var seconds: Double
        var connect_seconds: Double
        var hello_p50_ms: Double?
        var hello_p99_ms: Double?
    }

    static func main() async throws {
        let arguments = CommandLine.arguments
        guard arguments.count >= 6, let count = Int(arguments[2]), let segments = Int(arguments[3]), let bytes = Int(arguments[4]), let pushBytes = Int(arguments[5])
        else { throw LoadFailure(description: "usage: IngestLoad push|put NODES SEGMENTS SEGMENT-BYTES PUSH-BYTES [HUB-DIRECTORY]") }
        let footage = Footage(segments: segments, segmentBytes: bytes, pushBytes: pushBytes)
        let nodes = try (0..<count).map { arguments[1] == "put" ? try footage.puts(node: $0) : try footage.pushes(node: $0) }
        if arguments.count > 6 { try join(nodes, FilePath(arguments[6])) }
        _ = try FileDescriptor.standardOutput.writeAll(Array("ready\n".utf8))
        guard let line = readLine(), let space = line.firstIndex(of: " "), let port = Int(line[line.index(after: space)...]) else { return }
        let result = try await run(nodes, host: String(line[..<space]), port: port, bytes: count * segments * bytes)
        let encoder = JSONEncoder()
        _ = try FileDescriptor.standardOutput.writeAll(try Array(encoder.encode(result)) + [UInt8(ascii: "\n")])
    }

    private static func join(_ nodes: [SimulatedNode], _ directory: FilePath) throws {
        guard let signer = NoteSigner(name: "load", algorithm: .cosignature) else { return }
        let store = try HubStore(
            dataDirectory: directory, hub: HubID(keyHash: .sha256([])), signer: signer, generation: 1, storage: RealStorage(), logger: Logger(label: "load"))
        let now = Int64(Date().timeIntervalSince1970 * 1000)
        for (number, node) in nodes.enumerated() {
            let secret = ContentHash.sha256(Array("\(number)".utf8))
            try store.addJoinToken(secretHash: secret, name: "load-\(number)", expiresUnixSeconds: now / 1000 + 600)
            guard case .enrolled = try store.enrol(node.identity.nodeID, secretHash: secret, nowUnixMilliseconds: now) else {
                throw LoadFailure(description: "a node could not join")
            }
        }
    }

    private static func context(_ identity: IdentityKey) throws -> NIOSSLContext {
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.minimumTLSVersion = .tlsv13
        configuration.certificateChain = try NIOSSLCertificate.fromPEMBytes(Array(identity.certificatePEM.utf8)).map { .certificate($0) }
        configuration.privateKey = .privateKey(try NIOSSLPrivateKey(bytes: Array(identity.privateKeyPEM.utf8), format: .pem))
        configuration.applicationProtocols = ["http/1.1"]
        // What is measured is the hub; who it is was decided by starting it.
        configuration.certificateVerification = .none
        return try NIOSSLContext(configuration: configuration)
    }

    /// Connections that are made at a time: as many strangers as a hub bears by default.
    private static let connectingMax = 32

    private static func run(_ nodes: [SimulatedNode], host: String, port: Int, bytes: Int) async throws -> Result {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 2)
        let began = NIODeadline.now()
        var connected: [Connected] = []
        for batch in stride(from: 0, to: nodes.count, by: connectingMax) {
            connected += try await withThrowingTaskGroup(of: Connected.self) { tasks in
                for node in nodes[batch..<min(batch + connectingMax, nodes.count)] { tasks.addTask { try await connect(node, group, host, port) } }
                return try await tasks.reduce(into: []) { $0.append($1) }
            }
        }
        let sending = NIODeadline.now()
        for one in connected { one.begin() }
        for one in connected { try await one.done.get() }
        let ended = NIODeadline.now()
        var hellos: [Int64] = []
        var segments = 0
        for one in connected {
            let (count, times) = try await one.outcome()
            segments += count
            hellos += times
        }
        hellos.sort()
        func milliseconds(_ share: Double) -> Double? {
            hellos.isEmpty ? nil : Double(hellos[min(hellos.count - 1, Int(Double(hellos.count) * share))]) / 1e6
        }
        return Result(
            segments: segments, bytes: bytes, seconds: Double((ended - sending).nanoseconds) / 1e9, connect_seconds: Double((sending - began).nanoseconds) / 1e9,
            hello_p50_ms: milliseconds(0.5), hello_p99_ms: milliseconds(0.99))
    }

    private struct Connected: Sendable {
        let channel: any Channel
        let client: NIOLoopBound<LoadClient>
        let tally: NIOLoopBound<LoadTally>
        let secured: EventLoopFuture<Void>
        let done: EventLoopFuture<Void>

        func begin() {
            channel.eventLoop.execute {
                guard let context = try? channel.pipeline.syncOperations.context(handler: client.value) else { return }
                client.value.begin(context)
            }
        }

        func outcome() async throws -> (Int, [Int64]) {
            try await channel.eventLoop.submit { (tally.value.segments, tally.value.helloNanoseconds) }.get()
        }
    }

    private static func connect(_ node: SimulatedNode, _ group: MultiThreadedEventLoopGroup, _ host: String, _ port: Int) async throws -> Connected {
        let context = try context(node.identity)
        let connected = try await ClientBootstrap(group: group)
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .connect(host: host, port: port) { channel in
                channel.eventLoop.makeCompletedFuture {
                    let tally = LoadTally()
                    let done = channel.eventLoop.makePromise(of: Void.self)
                    let secured = channel.eventLoop.makePromise(of: Void.self)
                    let client = LoadClient(node.requests, tally, secured: secured, done: done)
                    try channel.pipeline.syncOperations.addHandler(NIOSSLClientHandler(context: context, serverHostname: nil))
                    try channel.pipeline.syncOperations.addHandler(client)
                    return Connected(
                        channel: channel, client: NIOLoopBound(client, eventLoop: channel.eventLoop), tally: NIOLoopBound(tally, eventLoop: channel.eventLoop),
                        secured: secured.futureResult, done: done.futureResult)
                }
            }
        try await connected.secured.get()
        return connected
    }
}
