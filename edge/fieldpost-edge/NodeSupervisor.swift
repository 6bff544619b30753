import EdgeCapture
import EdgeJournal
import EdgeMotion
import EdgeSync
import Logging
import NodeIdentity
import RecordingModel
import ServiceLifecycle
import ServiceSupport
import StorageIO

/// Runs attempt after attempt to record, until it is asked to stop. What fails at the first one ends the program with a
/// sentence; once the node has recorded, it waits for its disk to come back and goes on by itself.
struct NodeSupervisor: Service {
    let configuration: EdgeConfiguration
    let configFile: String
    let clocks: any Clocks
    let registry: PrometheusRegistry
    let logger: Logger

    func run() async throws {
        var interruption: Journal.Interruption?
        var backoff = Self.newBackoff()
        var mayHalt = true
        var generator = SystemRandomNumberGenerator()
        while true {
            let started = clocks.now().bootMilliseconds
            var hasRecorded = interruption != nil
            let failure: any Error
            do {
                let attempt = try await blocking { [interruption, mayHalt] in try NodeAttempt(self, interruption: interruption, mayHalt: mayHalt) }
                hasRecorded = true
                do {
                    try await attempt.run()
                    return
                } catch {
                    failure = attempt.journal.failure ?? error
                }
            } catch {
                failure = error
            }
            if Task.isShuttingDownGracefully || failure is CancellationError { return }
            if let halt = failure as? NodeHalt {
                await halt.carryOut(configuration, logger)
                if Task.isShuttingDownGracefully { return }
                // It works on with everything off, and is not halted again before it has been awake.
                mayHalt = false
                continue
            }
            await blocking { report(failure) }
            guard hasRecorded else { throw failure }
            if interruption == nil || clocks.now().bootMilliseconds - started >= Self.steadyMilliseconds {
                interruption = Journal.Interruption(cause: Self.cause(failure), detail: "recording had to stop: \(failure)")
                backoff = Self.newBackoff()
            }
            let pause = backoff.next(using: &generator)
            logger.error("recording stopped; it is tried again", metadata: ["reason": "\(failure)", "pause": "\(pause)"])
            // The disk says nothing when it comes back: time is all that can be awaited.
            await cancelWhenGracefulShutdown { try? await Task.sleep(for: pause) }
            if Task.isShuttingDownGracefully { return }
        }
    }

    private static let steadyMilliseconds: Int64 = 30_000
    private static func newBackoff() -> Backoff { Backoff(first: .seconds(1), longest: .seconds(30)) }

    private static func cause(_ failure: any Error) -> GapCause {
        if let error = failure as? StorageError, error.isNoSpace { return .diskFull }
        if case .failed(_, isNoSpace: true)? = failure as? JournalError { return .diskFull }
        return .diskFault
    }

    private func report(_ failure: any Error) {
        guard let folder = try? NodeFolder(configuration) else { return }
        StatusFile(folder).write(
            RunningStatus(clocks, problem: "recording stopped: \(failure)", metrics: registry.text()))
    }
}

/// One attempt: opens the data directory, records and forwards until something ends it.
struct NodeAttempt {
    let journal: Journal
    private let group: ServiceGroup
    private let logger: Logger
    private let recorders: Int
    private let reporter: SyncReporter?

    init(_ node: NodeSupervisor, interruption: Journal.Interruption?, mayHalt: Bool = true) throws {
        let configuration = node.configuration
        let folder = try NodeFolder(configuration, anchored: true)
        try folder.requirePrepared(configFile: node.configFile)
        let clocks = node.clocks
        let identity = try folder.identity()
        let journal = try folder.openJournal(configuration, identity: identity, clocks: clocks, interruption: interruption, logger: Logger(label: "journal"))
        self.journal = journal
        logger = node.logger
        do {
            let boots = try journal.bootsSinceTrustedClock()
            (clocks as? NodeClocks)?.raiseFloor(ClockKeeper.earliestStart(of: clocks.bootID, after: boots))
            let triggers = configuration.eventTriggers()
            let energy = configuration.power.map { NodeEnergy($0, cameras: configuration.cameras.map(\.id)) }
            let recorders = configuration.cameras.map { camera in
                CameraRecorder(
                    configuration: camera.capture(configVersion: configuration.version), url: { try camera.connectionURL() }, segmentsRoot: folder.segments, storage: folder.storage,
                    sink: journal, clocks: clocks, triggers: triggers?[camera.id], power: energy?.cameras[camera.id], randomness: SystemRandomNumberGenerator(), logger: Logger(label: "capture"))
            }
            let subStreams = configuration.subStreamRecorders(folder: folder, journal: journal, clocks: clocks, energy: energy)
            self.recorders = recorders.count
            let endpoint = configuration.hub.isEnabled ? try folder.hub() : nil
            let reporter = endpoint.map { _ in
                SyncReporter(journal: journal, folder: folder, limits: configuration.storage.limits, clocks: clocks, logger: Logger(label: "status"))
            }
            self.reporter = reporter
            let sync = try endpoint.map { try configuration.syncService($0, identity: identity, folder: folder, journal: journal, clocks: clocks, reporter: reporter, energy: energy) }
            if sync == nil { logger.notice(configuration.hub.isEnabled ? "no hub joined yet: recording only" : "hub disabled: recording only") }

            let compress = configuration.compressPlan().map { plan in
                let rate = ProxyRate(
                    configuration, plan: plan, journal: journal, usage: { sync?.progress.linkUsage ?? [:] }, energyDayBytes: { energy?.links.energy.dayBytesMax },
                    subStreams: subStreams.map(\.sink), clocks: clocks, logger: Logger(label: "compress"))
                return CompressService(plan, folder: folder, journal: journal, clocks: clocks, energy: energy, rate: rate, logger: Logger(label: "compress"))
            }

            // Started in this order, stopped in reverse: capture seals and delivers, then sync ends, then the journal closes.
            var services: [any Service] = [JournalService(journal: journal)]
            services.append(
                StatusService(
                    file: StatusFile(folder), failure: { journal.failure }, figures: { try journal.status() }, sync: sync, reporter: reporter,
                    triggers: triggers, energy: energy, compress: compress?.engine, subStreams: subStreams.map(\.sink), clocks: clocks, registry: node.registry, intervalSeconds: configuration.metrics.intervalSeconds, logger: Logger(label: "status")))
            services.append(ClockService(journal: journal, clocks: clocks, boots: boots, logger: Logger(label: "clock")))
            if let sync { services.append(SyncRunner(sync: sync, links: LinkChanges())) }
            if let desk = try ReceiptDesk(folder) { services.append(ReceiptService(desk: desk, journal: journal, logger: Logger(label: "receipt"))) }
            if let triggers { services.append(EventService(configuration: configuration, triggers: triggers, clocks: clocks, logger: Logger(label: "events"))) }
            if let power = configuration.power, let energy {
                services.append(
                    PowerService(power, energy: energy, folder: folder, journal: journal, hasHub: sync != nil, mayHalt: mayHalt, clocks: clocks, logger: Logger(label: "power")))
            }
            if let compress { services.append(compress) }
            services.append(CaptureService(recorders: recorders + subStreams.map(\.recorder)))
            // What ends one part ends all of them in order: a disk that fails, or a machine that halts.
            group = ServiceGroup(
                configuration: ServiceGroupConfiguration(
                    services: services.map { .init(service: $0, failureTerminationBehavior: $0 is PowerService ? .gracefullyShutdownGroup : .cancelGroup) }, logger: logger))
            logger.info(
                "recording", metadata: ["cameras": "\(recorders.count)", "node": "\(identity.nodeID)", "config": "\(configuration.version)"])
        } catch {
            journal.close()
            throw error
        }
    }

    func run() async throws {
        ServiceNotifier().ready()
        let result: Result<Void, any Error>
        do { result = .success(try await group.run()) } catch { result = .failure(error) }
        await blocking {
            reporter?.keep(isLast: true)
            journal.close()
        }
        try result.get()
    }
}
