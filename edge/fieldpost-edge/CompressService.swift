import EdgeCompress
import EdgeJournal
import Logging
import Metrics
import RecordingModel
import ServiceLifecycle
import ServiceSupport
import StorageIO
import SystemPackage

/// Makes small things of what is sealed, until the node stops. Whatever fails in it, recording goes on.
struct CompressService: Service {
    let engine: CompressEngine
    let journal: Journal
    let logger: Logger

    /// - Parameters:
    ///   - energy: nil where energy is no question.
    ///   - rate: nil where the proxies' rate follows no budget.
    init(_ plan: CompressPlan, folder: NodeFolder, journal: Journal, clocks: any Clocks, energy: NodeEnergy?, rate: ProxyRate? = nil, logger: Logger) {
        self.journal = journal
        self.logger = logger
        var worker = WorkerSettings(program: "/proc/self/exe", arguments: ["compress-worker", "--threads", "\(plan.workerThreads)"])
        worker.dataBytes = plan.workerDataBytes
        engine = CompressEngine(
            plan, worker: worker,
            surroundings: CompressEngine.Surroundings(
                store: JournalFootage(journal: journal), sink: journal, storage: folder.storage, segmentsRoot: folder.segments, clocks: clocks,
                mayTranscode: { energy?.mayTranscode ?? true && MachineHeat.mayTranscode() }, mayDecode: { energy?.mayDecode ?? true },
                proxyRate: { rate?.now() }),
            logger: logger)
    }

    func run() async throws {
        guard engine.start() else {
            logger.error("the system gives no thread for thumbnails and proxies; recording goes on")
            try? await gracefulShutdown()
            return
        }
        await cancelWhenGracefulShutdown {
            await withTaskGroup(of: Void.self) { group in
                group.addTask { for await _ in journal.changes { engine.notice() } }
                group.addTask { await tellFigures() }
            }
        }
        try? await gracefulShutdown()
        let ended = await blocking { [engine] in engine.stop() }
        if !ended { logger.error("the making of thumbnails and proxies did not end in time; its thread is left behind") }
    }

    private func tellFigures() async {
        while !Task.isCancelled {
            let figures = engine.figures
            Gauge(label: "fieldpost_edge_thumbnails").record(figures.thumbnails)
            Gauge(label: "fieldpost_edge_thumbnail_objects").record(figures.thumbnailObjects)
            Gauge(label: "fieldpost_edge_proxies").record(figures.proxies)
            Gauge(label: "fieldpost_edge_proxies_transcoded").record(figures.transcoded)
            Gauge(label: "fieldpost_edge_proxy_bytes").record(figures.proxyBytes)
            if let rate = figures.proxyRate { Gauge(label: "fieldpost_edge_proxy_bits_per_second").record(rate.bitsPerSecond) }
            Gauge(label: "fieldpost_edge_compress_cpu_seconds").record(Double(figures.cpuMilliseconds) / 1_000)
            Gauge(label: "fieldpost_edge_compress_worker_deaths").record(figures.workerDeaths)
            Gauge(label: "fieldpost_edge_compress_set_aside").record(figures.setAside)
            guard (try? await Task.sleep(for: .seconds(5))) != nil else { return }
        }
    }
}

/// What the engine asks of the journal.
struct JournalFootage: CompressStore {
    let journal: Journal

    func cameras() throws -> [CameraID] { try journal.camerasWithFootage() }
    func next(_ stream: StreamID, from sequence: UInt64) throws -> SegmentRecord? { try journal.nextSegment(of: stream, from: sequence) }
    func newest(_ stream: StreamID) throws -> SegmentRecord? { try journal.newestSegment(of: stream) }
    func isHeld(_ segment: SegmentID) throws -> Bool { journal.latestStatement()?.held[segment.stream]?.contains(segment.sequence) == true }
    func open(_ segment: SegmentID) throws -> (any ReadingFile)? { try journal.segmentFile(segment)?.file }

    func events(_ camera: CameraID, fromUnixMilliseconds: Int64, toUnixMilliseconds: Int64, limit: Int) throws -> [Int64] {
        try journal.segments(
            of: StreamID(camera: camera, kind: .main), fromUnixMilliseconds: fromUnixMilliseconds, toUnixMilliseconds: toUnixMilliseconds, including: [.events],
            limit: max(0, limit) + Self.segmentsOfAnHour
        ).compactMap { row in
            if case .event = row.kind { row.recordedStartUnixMilliseconds } else { nil }
        }.prefix(max(0, limit)).map { $0 }
    }
    private static let segmentsOfAnHour = 2_000
}

/// A board that is too hot for its case is not made hotter.
enum MachineHeat {
    /// Raspberry Pi begins to slow down at 80 °C; most others at 85 °C or above.
    static let celsiusMax = 75

    /// True where nothing is known. Zones have gaps in their numbers, and some cannot be read.
    /// - Parameter read: the text of a zone's file; nil when there is none.
    static func mayTranscode(_ read: (_ zone: Int) -> String? = { try? SmallFile.text("/sys/class/thermal/thermal_zone\($0)/temp", limitBytes: 32) }) -> Bool {
        !(0..<zonesMax).contains { zone in
            guard let text = read(zone), let thousandths = Int(text.filter { $0.isNumber || $0 == "-" }) else { return false }
            return thousandths > celsiusMax * 1_000
        }
    }
    private static let zonesMax = 16
}
