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
import StorageIO
import SystemPackage
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
        group.maximumCancellationDuration = .seconds(1)
        do {
            try await ServiceGroup(configuration: group).run()
        } catch is CancellationError {
            logger.warning("stopped late: a part did not end in time")
        }
        logger.info("stopped")
    }
}

extension EdgeConfiguration.Camera {
    func capture(configVersion: String) throws -> CameraConfiguration {
        let url = try source.connectionURL { path in String(decoding: try RealStorage().read(FilePath(path), limitBytes: 4096), as: UTF8.self) }
        return CameraConfiguration(
            id: id, url: url, segmentMilliseconds: segmentSeconds * 1000, audio: audioReason.map { .record(reason: $0) } ?? .off,
            transport: transport == .tcp ? .tcp : .udp, configVersion: configVersion, recording: events.plan, motion: events.motion)
    }
}
