import ArgumentParser
import EdgeCapture
import EdgeJournal
import EdgeSync
import Logging
import Metrics
import NodeIdentity
import RecordingModel
import ServiceLifecycle
import ServiceSupport
import UnixSignals

struct RunCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "run", abstract: "Records and forwards until SIGTERM or Ctrl-C.")

    @OptionGroup var options: EdgeOptions

    func run() async throws {
        let configuration = try options.read()
        ServiceLogging.bootstrap(level: configuration.log.level, format: configuration.log.format)
        let registry = PrometheusRegistry()
        MetricsSystem.bootstrap(registry)
        let logger = Logger(label: "edge")
        try CaptureLibrary.prepare(logger: Logger(label: "libav"))
        let supervisor = NodeSupervisor(configuration: configuration, configFile: options.file, clocks: NodeClocks(try SystemClocks()), registry: registry, logger: logger)
        var group = ServiceGroupConfiguration(services: [supervisor], gracefulShutdownSignals: [.sigterm, .sigint], logger: logger)
        group.maximumGracefulShutdownDuration = .seconds(8)
        // A disk that takes long to sync is waited for; the service manager gives 20 s in all.
        group.maximumCancellationDuration = .seconds(10)
        do {
            try await ServiceGroup(configuration: group).run()
        } catch is CancellationError {
            logger.warning("stopped late: a part did not end in time")
        }
        logger.info("stopped")
    }
}

extension EdgeConfiguration.Camera {
    /// As capture takes it, but for the password in a file: `connectionURL` reads that whenever it connects, because
    /// the file may come later than the node, and one camera's is nothing to the others.
    func capture(configVersion: String) -> CameraConfiguration {
        CameraConfiguration(
            id: id, url: source.connectionURLWithoutFile, segmentMilliseconds: segmentSeconds * 1000, audio: audioReason.map { .record(reason: $0) } ?? .off,
            transport: transport == .tcp ? .tcp : .udp, configVersion: configVersion, recording: events.plan, motion: events.motion)
    }
}
