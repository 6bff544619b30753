import ArgumentParser
import Dispatch
import HubIngest
import HubReview
import HubStore
import Hummingbird
import Logging
import NodeIdentity
import RecordingModel
import Metrics
import ServiceLifecycle
import ServiceSupport
import StorageIO
import Synchronization
import SystemPackage
import UnixSignals

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

struct ServeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "serve", abstract: "Runs the hub until SIGTERM or Ctrl-C.")

    @OptionGroup var options: HubOptions

    func run() async throws {
        let folder = try HubFolder.open(options.path)
        ServiceLogging.bootstrap(level: folder.configuration.logLevel, format: folder.configuration.logFormat)
        let logger = Logger(label: "hub")
        let registry = PrometheusRegistry()
        MetricsSystem.bootstrap(registry)
        let lock = try DirectoryLock(options.path.appending("lock"), heldSentence: "another fieldpost-hub serves \(options.path); stop it first")
        defer { withExtendedLifetime(lock) {} }
        let files = OpenFiles.raise()
        let store = try folder.store(partialsOpenMax: files / 4, logger: Logger(label: "store"))
        let announcement = Announcement(folder: folder)

        var ingest = IngestConfiguration(
            host: folder.configuration.nodes.host, port: folder.configuration.nodes.port, identity: folder.identity,
            nowUnixMilliseconds: unixMillisecondsNow)
        let writer = IngestWriter(store: store, limits: folder.configuration.limits)
        ingest.onServerRunning = { announcement.nodesListen(on: $0) }
        let courier = CourierService(folder: options.path, writer: writer, logger: Logger(label: "courier"))
        let certificate = try folder.peopleCertificate()
        var review = ReviewConfiguration(
            host: folder.configuration.people.host, port: folder.configuration.people.port, certificateChainPEM: certificate.chain,
            privateKeyPEM: certificate.key, nowUnixMilliseconds: unixMillisecondsNow)
        review.onServerRunning = { announcement.peopleListen(on: $0) }
        review.metricsText = { registry.text() }

        var configuration = ServiceGroupConfiguration(
            services: [
                .init(service: try makeIngestApplication(writer: writer, configuration: ingest, logger: Logger(label: "ingest"))),
                .init(service: try makeReviewApplication(store: store, accounts: Accounts(catalogue: store.catalogue), configuration: review, logger: Logger(label: "review"))),
                .init(service: courier),
                .init(service: StopBound(logger: logger)),
            ], gracefulShutdownSignals: [.sigterm, .sigint], logger: logger)
        // A client that never closes must not keep the hub alive: connections that are busy get this long.
        configuration.maximumGracefulShutdownDuration = .seconds(4)
        do {
            try await ServiceGroup(configuration: configuration).run()
        } catch is CancellationError {
            // Connections that outlived the graceful stop were cut.
        }
        ServiceNotifier().stopping()
        logger.info("stopped")
    }
}

/// Takes what `fieldpost-hub import` reads from media while the hub serves.
private struct CourierService: Service {
    let folder: FilePath
    let writer: IngestWriter
    let logger: Logger

    func run() async throws {
        do {
            try await cancelWhenGracefulShutdown {
                try await BundleDesk(folder: folder, logger: logger).serve {
                    BundleIntake(writer: writer, nowUnixMilliseconds: unixMillisecondsNow, logger: logger)
                }
            }
        } catch let error where !(error is CancellationError) {
            // Nodes are served all the same.
            logger.error("media can be imported only while the hub does not run", metadata: ["error": "\(error)"])
            try? await gracefulShutdown()
        }
    }
}

/// Ends the process when a connection outlives even the cancellation: a client that stalls in the middle of a body
/// keeps its handler waiting. Nothing is lost by it, since every commit is durable before it is answered.
private struct StopBound: Service {
    private static let seconds = 7
    let logger: Logger

    func run() async throws {
        try? await gracefulShutdown()
        DispatchQueue.global().asyncAfter(deadline: .now() + .seconds(Self.seconds)) {
            logger.notice("stopped with connections still open", metadata: ["after_seconds": "\(Self.seconds)"])
            _exit(0)
        }
    }
}

/// A connection is a file, and so is each segment on its way in.
private enum OpenFiles {
    /// What two thousand nodes need, each with one connection and a segment or two.
    private static let wanted: rlim_t = 16_384

    /// Raises the limit as far as this process may.
    /// - Returns: the limit in force.
    static func raise() -> Int {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return 1_024 }
        if limit.rlim_cur < wanted {
            limit.rlim_cur = min(wanted, limit.rlim_max)
            _ = setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        }
        return Int(clamping: limit.rlim_cur)
    }
}

/// Says once, on standard output, where both listeners are.
private final class Announcement: Sendable {
    private struct Line: Encodable {
        var event = "listening"
        var nodes: String
        var people: String
        var people_pin: String
    }
    private let folder: HubFolder
    private let ports = Mutex<(nodes: Int?, people: Int?)>((nil, nil))

    init(folder: HubFolder) { self.folder = folder }

    func nodesListen(on port: Int) { announce(ports.withLock { $0.nodes = port; return $0 }) }
    func peopleListen(on port: Int) { announce(ports.withLock { $0.people = port; return $0 }) }

    private func announce(_ ports: (nodes: Int?, people: Int?)) {
        guard let nodes = ports.nodes, let people = ports.people else { return }
        let line = Line(
            nodes: "\(folder.configuration.nodes.host):\(nodes)", people: "https://\(folder.configuration.people.host):\(people)/",
            people_pin: folder.peopleIdentity.keyHash.hex)
        if let text = try? json(line) { printLine(text) }
        ServiceNotifier().ready()
    }
}
