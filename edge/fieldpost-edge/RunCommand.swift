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
        let folder = NodeFolder(configuration)
        let clocks = try SystemClocks()
        let identity = try folder.identity()
        let journal = try folder.openJournal(configuration, identity: identity, clocks: clocks, logger: Logger(label: "journal"))
        let recorders = try configuration.cameras.map { camera in
            CameraRecorder(
                configuration: try camera.capture(configVersion: configuration.version), segmentsRoot: folder.segments, storage: folder.storage, sink: journal,
                clocks: clocks, randomness: SystemRandomNumberGenerator(), logger: Logger(label: "capture"))
        }
        let endpoint = configuration.hub.isEnabled ? try folder.hub() : nil
        let sync = try endpoint.map { try configuration.syncService($0, identity: identity, journal: journal, clocks: clocks) }
        if sync == nil { logger.notice(configuration.hub.isEnabled ? "no hub joined yet: recording only" : "hub disabled: recording only") }

        // Started in this order, stopped in reverse: capture seals and delivers, then sync ends, then the journal closes.
        var services: [any Service] = [JournalService(journal: journal)]
        services.append(StatusService(folder: folder, journal: journal, sync: sync, clocks: clocks, registry: registry, intervalSeconds: configuration.metrics.intervalSeconds))
        if let sync { services.append(SyncRunner(sync: sync)) }
        services.append(CaptureService(recorders: recorders))
        var group = ServiceGroupConfiguration(services: services, gracefulShutdownSignals: [.sigterm, .sigint], logger: logger)
        group.maximumGracefulShutdownDuration = .seconds(8)
        group.maximumCancellationDuration = .seconds(1)
        logger.info("recording", metadata: ["cameras": "\(recorders.count)", "node": "\(identity.nodeID)", "config": "\(configuration.version)"])
        ServiceNotifier().ready()
        do {
            try await ServiceGroup(configuration: group).run()
        } catch is CancellationError {
            logger.warning("stopped late: a part did not end in time")
        }
        journal.close()
        logger.info("stopped")
    }
}

extension EdgeConfiguration.Camera {
    func capture(configVersion: String) throws -> CameraConfiguration {
        let url = try source.connectionURL { path in String(decoding: try RealStorage().read(FilePath(path), limitBytes: 4096), as: UTF8.self) }
        return CameraConfiguration(
            id: id, url: url, segmentMilliseconds: segmentSeconds * 1000, audio: audioReason.map { .record(reason: $0) } ?? .off,
            transport: transport == .tcp ? .tcp : .udp, configVersion: configVersion)
    }
}
