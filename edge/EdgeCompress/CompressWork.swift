import EdgeCapture
import EvidenceLog
import LibAV
import Logging
import RecordingModel
import StorageIO

/// The engine's thread. Between two jobs everything that it knows but the pictures of the running hour is in the log:
/// after a power cut these are made again from their segments.
final class CompressWork {
    /// How long nothing to do is nothing to do, where no signal comes.
    private static let idleMilliseconds = 30_000
    /// A worker is replaced after so many jobs, whatever it has leaked or kept by then.
    private static let jobsOfOneWorker = 256
    /// For a camera's last segment of an hour to be sealed.
    private static let hourGraceMilliseconds: Int64 = 120_000
    private static let pauseMillisecondsMax = 60_000

    private struct CameraState {
        var pack = ThumbnailPack()
        var grid: ThumbnailGrid
        /// Number in the main stream of what comes next; nil until the log was asked.
        var nextThumbnails: UInt64?
        var nextProxy: UInt64?
        var budget: RateBudget
        /// Of the newest run that was looked at: a run is transcoded as a whole or not at all, though its rate varies.
        var decision: (run: UInt64, isTranscoded: Bool)?
    }

    private let plan: CompressPlan
    private let settings: WorkerSettings
    private let around: CompressEngine.Surroundings
    private let writer: ObjectWriter
    private let logger: Logger
    private let isStopping: () -> Bool
    private let note: ((inout CompressFigures) -> Void) -> Void
    private var cameras: [CameraID: CameraState] = [:]
    /// In the order in which they get their turns; at most `camerasMax`.
    private var order: [CameraID] = []
    private static let camerasMax = 1_024
    private var worker: WorkerProcess?
    private var fates = JobFates()
    private var choice = EncoderChoice()
    private var failures = 0
    private var lastReason = ""

    init(
        _ plan: CompressPlan, worker: WorkerSettings, surroundings: CompressEngine.Surroundings, logger: Logger, isStopping: @escaping () -> Bool,
        note: @escaping ((inout CompressFigures) -> Void) -> Void
    ) {
        self.plan = plan
        settings = worker
        around = surroundings
        writer = ObjectWriter(storage: surroundings.storage, segmentsRoot: surroundings.segmentsRoot, sink: surroundings.sink)
        self.logger = logger
        self.isStopping = isStopping
        self.note = note
        for camera in plan.cameras { add(camera) }
    }

    private func add(_ camera: CameraID) {
        guard cameras[camera] == nil, order.count < Self.camerasMax else { return }
        order.append(camera)
        cameras[camera] = CameraState(
            grid: ThumbnailGrid(everyMilliseconds: Int64(plan.thumbnails?.everySeconds ?? 30) * 1_000),
            budget: RateBudget(bitsPerSecond: plan.proxy?.bitsPerSecond ?? 100_000))
    }

    /// Those of whose footage proxies are made.
    private var proxied: [CameraID] { order.filter { !plan.withOwnProxy.contains($0) } }

    func run(_ wake: WakeSignal) {
        tryEncoders()
        while !isStopping() {
            var pause = Self.idleMilliseconds
            do {
                if around.sink.refusal == nil, around.mayDecode(), try pass() { pause = 0 } else { worker = nil }
                said(nil)
            } catch WorkerFailure.stopped {
                break
            } catch {
                worker = nil
                failures += 1
                pause = min(1_000 << min(failures - 1, 6), Self.pauseMillisecondsMax)
                said("\(error)")
            }
            if pause > 0 { wake.wait(milliseconds: pause) }
        }
        worker = nil
        for camera in order {
            do { try pack(camera, .stopped, withEvents: false) } catch {
                logger.error("thumbnails cannot be packed; the next start makes them again", metadata: ["camera": "\(camera)", "error": "\(error)"])
            }
        }
    }

    /// The same trouble is said once.
    private func said(_ reason: String?) {
        note { $0.note = reason }
        if let reason, reason != lastReason { logger.error("nothing is made small for now; recording goes on", metadata: ["reason": "\(reason)"]) }
        lastReason = reason ?? ""
    }

    /// One piece of work for each camera; false when there was none.
    private func pass() throws -> Bool {
        var hasWorked = false
        for camera in try around.store.cameras() { add(camera) }
        for camera in order where plan.thumbnails != nil && !isStopping() { hasWorked = try thumbnails(camera) || hasWorked }
        // Thumbnails first, everywhere: they are what a thin link carries.
        if hasWorked { return true }
        let hasProxies = plan.proxy != nil || plan.transcoding != nil
        for camera in proxied where hasProxies && !isStopping() && around.mayTranscode() { hasWorked = try proxy(camera) || hasWorked }
        return hasWorked
    }

    // MARK: Thumbnails

    /// What pictures are made of: the camera's own small stream where it is recorded, since that costs less to decode.
    private func pictured(_ camera: CameraID) -> StreamID { StreamID(camera: camera, kind: plan.withOwnProxy.contains(camera) ? .proxy : .main) }

    private func thumbnails(_ camera: CameraID) throws -> Bool {
        guard let plan = plan.thumbnails, var state = cameras[camera] else { return false }
        let stream = pictured(camera)
        let from = try state.nextThumbnails ?? firstToDo(stream, after: StreamID(camera: camera, kind: .thumbs))
        guard let record = try around.store.next(stream, from: from) else {
            cameras[camera]?.nextThumbnails = from
            if state.pack.isOver(around.clocks.now(), bootID: around.clocks.bootID, graceMilliseconds: Self.hourGraceMilliseconds) { try pack(camera, .length) }
            return false
        }
        if state.pack.mustPack(before: record) {
            try pack(camera, .length)
            state.pack = ThumbnailPack()
        }
        let dues = state.grid.dues(in: record)
        var images: [ThumbnailImage] = []
        if !dues.isEmpty { images = try self.images(of: record, dues, plan) ?? [] }
        state.grid.missed(dues.count - images.count, in: record)
        state.pack.add(record, images)
        state.nextThumbnails = record.sequence + 1
        cameras[camera] = state
        note { $0.thumbnails += images.count }
        return true
    }

    /// Where the log says that work stands: after the newest source of the newest object.
    private func firstToDo(_ source: StreamID, after made: StreamID) throws -> UInt64 {
        guard let newest = try around.store.newest(made) else { return 0 }
        if let last = newest.made?.sources.last, newest.made?.sourceKind ?? .main == source.kind { return last + 1 }
        // Until now it was made of the other stream, or, a proxy, recorded: what has that needs nothing.
        return try around.store.newest(source)?.sequence ?? 0
    }

    /// Nil when the segment is given up.
    private func images(of record: SegmentRecord, _ dues: [Int64], _ plan: CompressPlan.Thumbnails) throws -> [ThumbnailImage]? {
        var images: [ThumbnailImage] = []
        let job = WorkerJob.thumbnails(ThumbnailJob(sourceBytes: record.bytes, dueTicks90k: dues, bytesMax: plan.bytesMax))
        let figures = try perform(job, on: record, cpuSeconds: 60) { answer in
            guard case .image(let image) = answer, image.jpeg.count <= plan.bytesMax, images.count < dues.count, image.jpeg.starts(with: [0xFF, 0xD8]),
                image.ticks90k > images.last?.ticks90k ?? -1, image.ticks90k <= record.mediaStartTicks90k + record.mediaDurationTicks90k + 90_000
            else { throw MalformedMessage(description: "gave a picture that was not asked for") }
            images.append(image)
        } begin: { images = [] }
        return figures == nil ? nil : images
    }

    private func pack(_ camera: CameraID, _ end: SegmentEnd, withEvents: Bool = true) throws {
        guard let plan = plan.thumbnails, var pack = cameras[camera]?.pack, !pack.sources.isEmpty else { return }
        if withEvents { try addEvents(camera, &pack, plan) }
        let settings = "every \(plan.everySeconds) s and at events, at most \(plan.bytesMax) bytes"
        if let record = try writer.write(pack, camera: camera, of: pictured(camera).kind, settings: settings, configVersion: self.plan.configVersion, end: end) {
            logger.debug("thumbnails packed", metadata: ["segment": "\(record.id)", "pictures": "\(record.frames)", "bytes": "\(record.bytes)"])
            note { $0.thumbnailObjects += 1 }
        }
        cameras[camera]?.pack = ThumbnailPack()
    }

    /// A picture of each event's beginning, from the segment that holds it.
    private func addEvents(_ camera: CameraID, _ pack: inout ThumbnailPack, _ plan: CompressPlan.Thumbnails) throws {
        guard let first = pack.sources.first, let last = pack.sources.last, !pack.isFull else { return }
        let end = last.startWall.unixMilliseconds + last.endBootMilliseconds - last.startBootMilliseconds
        let events = try around.store.events(
            camera, fromUnixMilliseconds: first.startWall.unixMilliseconds, toUnixMilliseconds: end, limit: ThumbnailPack.imagesMax - pack.images.count)
        let stream = pictured(camera)
        for source in pack.sources {
            let startUnix = source.startWall.unixMilliseconds
            let within = events.filter { $0 >= startUnix && $0 < startUnix + source.endBootMilliseconds - source.startBootMilliseconds }
            guard !within.isEmpty, let record = try around.store.next(stream, from: source.sequence), record.sequence == source.sequence else { continue }
            let dues = within.map { record.mediaStartTicks90k + ($0 - startUnix) * 90 }.sorted()
            for image in try images(of: record, Array(dues.prefix(WorkerBounds.duesMax)), plan) ?? [] { pack.add(image, of: record) }
        }
    }

    // MARK: Proxies

    private func proxy(_ camera: CameraID) throws -> Bool {
        guard var state = cameras[camera] else { return false }
        let main = StreamID(camera: camera, kind: .main)
        let stream = StreamID(camera: camera, kind: .proxy)
        let from = try state.nextProxy ?? firstProxyToDo(main, after: stream)
        defer { cameras[camera]?.nextProxy = state.nextProxy ?? from }
        guard let record = try around.store.next(main, from: from), isDue(record) else { return false }
        let seconds = max(0.1, Double(record.mediaDurationTicks90k) / 90_000)
        guard let settings = try settings(for: record, seconds: seconds, state) else {
            state.nextProxy = record.sequence + 1
            return true
        }
        var made: SegmentWriter?
        defer { made?.discard() }
        let figures = try perform(.proxy(settings.job), on: record, cpuSeconds: settings.cpuSeconds) { [self] answer in
            switch answer {
            case .header(let header):
                guard made == nil else { throw MalformedMessage(description: "gave two headers") }
                made = try open(header, stream, record, settings)
            case .fragment(let bytes, let frames, let duration):
                guard let made else { throw MalformedMessage(description: "gave a fragment before its header") }
                guard made.complete.durationTicks + duration <= record.mediaDurationTicks90k + 900_000, made.complete.frames + frames <= record.frames + 1,
                    made.complete.bytes + Int64(bytes.count) <= settings.bytesMax
                else { throw MalformedMessage(description: "gave more than a proxy of its source can be") }
                try bytes.withUnsafeBytes { try made.append($0, summary: FragmentWriter.Summary(frames: frames, durationTicks: duration)) }
            default: throw MalformedMessage(description: "gave a picture that was not asked for")
            }
        } begin: {
            made?.discard()
            made = nil
        }
        state.nextProxy = record.sequence + 1
        guard figures != nil, let done = made else { return true }
        made = nil
        guard let entry = try writer.finish(done, stream: stream, endBootMilliseconds: record.endBootMilliseconds, end: record.end) else { return true }
        if settings.job.bitsPerSecond > 0 { cameras[camera]?.budget.spent(bytes: entry.bytes, seconds: seconds) }
        note {
            $0.proxies += 1
            if settings.job.keepsEveryPicture { $0.transcoded += 1 }
            $0.proxyBytes += entry.bytes
            $0.proxyMilliseconds += record.durationMilliseconds
        }
        return true
    }

    /// Where nothing but transcoding is wanted and the camera needs none, its past is not looked through at each start.
    private func firstProxyToDo(_ main: StreamID, after made: StreamID) throws -> UInt64 {
        let first = try firstToDo(main, after: made)
        guard plan.proxy == nil, let newest = try around.store.newest(main), plan.transcoding?.isWanted(for: newest) != true else { return first }
        return max(first, newest.sequence)
    }

    /// Footage is worked through in its order: what is too young has nothing older behind it.
    private func isDue(_ record: SegmentRecord) -> Bool {
        guard let days = plan.proxy?.onlyAfterDays, plan.transcoding?.isWanted(for: record) != true else { return true }
        let now = around.clocks.now().wall
        let endUnixMilliseconds = record.startWall.unixMilliseconds + record.durationMilliseconds
        return now.source >= .hub && now.unixMilliseconds - endUnixMilliseconds >= Int64(days) * 86_400_000
    }

    /// Nil when no proxy of this segment is wanted.
    private func settings(for record: SegmentRecord, seconds: Double, _ state: CameraState) throws -> ProxySettings? {
        var budget = state.budget
        let isTranscoded = state.decision.flatMap { $0.run == record.run ? $0.isTranscoded : nil } ?? (plan.transcoding?.isWanted(for: record) == true)
        cameras[record.stream.camera]?.decision = (record.run, isTranscoded)
        if isTranscoded, let wanted = plan.transcoding { return ProxySettings(wanted, try encoder(of: wanted.encoders), threads: plan.threads, record) }
        guard var wanted = plan.proxy else { return nil }
        if wanted.onlyAfterDays != nil, try around.store.isHeld(record.id) { return nil }
        // What is key frames already gets no smaller.
        if wanted.copiesKeyFrames { return record.isKeyFramesOnly == true ? nil : ProxySettings(keyFramesOf: record) }
        if let rate = around.proxyRate() {
            budget.aim(at: rate.bitsPerSecond)
            cameras[record.stream.camera]?.budget = budget
            wanted.bitsPerSecond = rate.bitsPerSecond
            note { $0.proxyRate = rate }
        }
        return ProxySettings(wanted, try encoder(of: wanted.encoders), threads: plan.threads, bitsPerSecond: budget.next(seconds: seconds), record)
    }

    // MARK: Encoders

    /// At the start, so that the log says what this machine can do before the first proxy is due.
    private func tryEncoders() {
        guard around.mayDecode(), !proxied.isEmpty else { return }
        for wanted in [plan.proxy.flatMap({ $0.copiesKeyFrames ? nil : $0.encoders }), plan.transcoding?.encoders].compactMap({ $0 }) where !isStopping() {
            do { _ = try encoder(of: wanted) } catch WorkerFailure.stopped { return } catch { said("\(error)") }
        }
    }

    private func encoder(of wanted: [ProxyEncoder]) throws -> ProxyEncoder {
        try choice.first(of: wanted, trial: refusal) { encoder, refusal in
            note { $0.encoders[encoder.name] = refusal ?? "works" }
            if let refusal {
                logger.warning("an encoder does not work here; the next one is tried", metadata: ["encoder": "\(encoder.name)", "reason": "\(refusal)"])
            } else {
                logger.info("an encoder works here, and is used", metadata: ["encoder": "\(encoder.name)"])
            }
        }
    }

    /// Why an encoder cannot be used; nil when it can.
    private func refusal(of encoder: ProxyEncoder) throws -> String? {
        for job in ProxySettings.trials(plan, encoder) {
            let worker = try readyWorker()
            switch Result(catching: { () throws(WorkerFailure) in
                try worker.perform(.trial(job), source: NoSource(), cpuSeconds: Self.trialCPUSecondsMax, wallSeconds: Self.trialSecondsMax, unless: isStopping) { _ in
                    throw MalformedMessage(description: "gave what was not asked for")
                }
            }) {
            case .success: continue
            case .failure(.refused(let reason)): return reason
            case .failure(.died(let how)):
                self.worker = nil
                note { $0.workerDeaths += 1 }
                return "the worker \(how)"
            case .failure(let failure): throw failure
            }
        }
        return nil
    }
    /// 60 small pictures take a second where they take long; a driver can hang.
    private static let trialCPUSecondsMax: Int64 = 60
    private static let trialSecondsMax: Int64 = 300

    private func open(_ header: ProxyHeader, _ stream: StreamID, _ source: SegmentRecord, _ settings: ProxySettings) throws -> SegmentWriter {
        guard abs(header.startTicks90k - source.mediaStartTicks90k) <= 900_000, header.initBytes.count > 8 else {
            throw MalformedMessage(description: "gave a header that is none of its source")
        }
        let side = SideHeader(
            run: source.run, bootID: source.bootID, startBootMilliseconds: source.startBootMilliseconds, startWall: source.startWall,
            initBytes: Int64(header.initBytes.count), initSHA256: ContentHash.sha256(header.initBytes), codecs: header.codecs, widthPixels: header.widthPixels,
            heightPixels: header.heightPixels, mediaStartTicks90k: header.startTicks90k, configVersion: plan.configVersion,
            isKeyFramesOnly: settings.job.copiesKeyFrames ? true : nil,
            made: MadeRecord(
                kind: settings.job.copiesKeyFrames ? .keyFrames : .transcoded,
                encoder: settings.job.copiesKeyFrames ? "none, \(LibraryVersion.libavcodec)" : "\(settings.job.encoder), \(LibraryVersion.libavcodec)", settings: settings.text(header),
                sources: SequenceRanges(closed: source.sequence...source.sequence), sourceSHA256: source.sha256,
                sourcePacketsSHA256: header.sourcePacketsSHA256), encodedSound: header.isSoundCopied ? source.encodedSound : nil)
        return try SegmentWriter(
            storage: around.storage, directory: writer.directory(of: stream), sequence: around.sink.nextSequence(for: stream), header: side, initBytes: header.initBytes)
    }

    // MARK: The worker

    /// Does a job, a second time by another worker where the first one dies of it.
    /// - Parameter begin: what an attempt before has given is void.
    /// - Returns: nil when the job is given up: its source is none, is gone, or kills every worker.
    private func perform(
        _ job: WorkerJob, on record: SegmentRecord, cpuSeconds: Int64, _ take: (WorkerAnswer) throws -> Void, begin: () -> Void
    ) throws -> WorkerFigures? {
        let name = "\(record.id) \(record.sha256) \(job.name)"
        while true {
            begin()
            guard let file = try around.store.open(record.id) else { return nil }
            let worker = try readyWorker()
            switch Result(catching: { () throws(WorkerFailure) in
                try worker.perform(job, source: file, cpuSeconds: cpuSeconds, unless: isStopping, take)
            }) {
            case .success(let figures):
                failures = 0
                note { $0.cpuMilliseconds += figures.cpuMilliseconds }
                return figures
            case .failure(.refused(let reason)):
                logger.warning("a segment is passed over", metadata: ["segment": "\(record.id)", "job": "\(job.name)", "reason": "\(reason)"])
                note { $0.setAside += 1 }
                return nil
            case .failure(.died(let how)):
                self.worker = nil
                note { $0.workerDeaths += 1 }
                let isLast = fates.died(name)
                logger.warning(
                    "the decoding worker \(how)",
                    metadata: ["segment": "\(record.id)", "job": "\(job.name)", "next": isLast ? "the segment is passed over" : "another worker tries again"])
                guard isLast else { continue }
                note { $0.setAside += 1 }
                return nil
            case .failure(let failure): throw failure
            }
        }
    }

    private func readyWorker() throws -> WorkerProcess {
        if let worker, worker.jobs < Self.jobsOfOneWorker, worker.cpuSecondsUsed ?? 0 < Int64(settings.cpuSeconds / 2) { return worker }
        worker = nil
        let new = try WorkerProcess(settings, unless: isStopping)
        worker = new
        let isFirst = { () -> Bool in
            var isFirst = false
            note { figures in
                isFirst = figures.workerStarts == 0
                figures.workerStarts += 1
                figures.confinement = new.confinement
            }
            return isFirst
        }()
        if isFirst { logger.info("decoding runs in a process of its own", metadata: ["confined_by": "\(new.confinement)"]) }
        return new
    }
}
