import EdgeCapture
import EvidenceLog
import Foundation
import LibAV
import Logging
import RecordingModel
import StorageIO
import Synchronization
import SystemPackage
import Testing
import TestSupport

@testable import EdgeCompress

/// A journal in memory: what was recorded, and what the engine delivered.
final class MemoryStore: CompressStore, RecordingSink {
    struct State {
        var main: [(record: SegmentRecord, file: MemoryFile)] = []
        var made: [ClosedSegment] = []
        var events: [Int64] = []
        var refusal: RecordingRefusal?
        var held: Set<SegmentID> = []
    }
    let state = Mutex(State())

    func cameras() throws -> [CameraID] { state.withLock { Set($0.main.map(\.record.stream.camera)).sorted() } }
    func next(_ stream: StreamID, from sequence: UInt64) throws -> SegmentRecord? {
        state.withLock { $0.main.first { $0.record.stream == stream && $0.record.sequence >= sequence }?.record }
    }
    func newest(_ stream: StreamID) throws -> SegmentRecord? {
        state.withLock { state in
            stream.kind == .main ? state.main.last { $0.record.stream == stream }?.record : state.made.last { $0.record.stream == stream }?.record
        }
    }
    func isHeld(_ segment: SegmentID) throws -> Bool { state.withLock { $0.held.contains(segment) } }
    func open(_ segment: SegmentID) throws -> (any ReadingFile)? { state.withLock { $0.main.first { $0.record.id == segment }?.file } }
    func events(_ camera: CameraID, fromUnixMilliseconds: Int64, toUnixMilliseconds: Int64, limit: Int) throws -> [Int64] {
        state.withLock { $0.events.filter { $0 >= fromUnixMilliseconds && $0 < toUnixMilliseconds } }
    }

    func nextSequence(for stream: StreamID) -> UInt64 { state.withLock { UInt64($0.made.count { $0.record.stream == stream }) } }
    func nextRun(for stream: StreamID) -> UInt64 { nextSequence(for: stream) }
    func deliver(_ segment: ClosedSegment) throws { state.withLock { $0.made.append(segment) } }
    func deliver(_ gap: GapRecord) throws {}
    func deliver(_ event: EventRecord) throws {}
    func report(_ health: CameraHealth) {}
    var refusal: RecordingRefusal? { state.withLock { $0.refusal } }

    func record(_ file: MemoryFile, seconds: Int64, frames: Int, gapMilliseconds: Int64 = 0, codecs: String = "avc1.42c01e") {
        state.withLock { state in
            let start = (state.main.last?.record.endBootMilliseconds ?? 0) + gapMilliseconds
            var record = sampleRecord(bytes: file.length, seconds: seconds, frames: frames, sequence: UInt64(state.main.count), startMilliseconds: start)
            // Each of these files has a timeline of its own.
            record.mediaStartTicks90k = 0
            record.run = UInt64(state.main.count)
            record.sha256 = ContentHash.sha256(file.bytes)
            record.codecs = codecs
            state.main.append((record, file))
        }
    }
    func made(_ kind: StreamKind) -> [ClosedSegment] { state.withLock { $0.made.filter { $0.record.stream.kind == kind } } }
}

struct StandingClocks: Clocks {
    var bootID: String { "boot" }
    var bootMilliseconds: Int64
    func now() -> Moment {
        Moment(bootNanoseconds: bootMilliseconds * 1_000_000, wall: WallEstimate(unixMilliseconds: 1_800_000_000_000 + bootMilliseconds, source: .ntp, uncertaintyMilliseconds: 10))
    }
}

func engine(
    _ store: MemoryStore, _ scratch: TemporaryDirectory, _ plan: CompressPlan, bootMilliseconds: Int64 = 0, mayTranscode: @escaping @Sendable () -> Bool = { true },
    proxyRate: @escaping @Sendable () -> DayRate? = { nil }
) throws -> CompressEngine {
    CompressEngine(
        plan, worker: try workerSettings(threads: plan.workerThreads),
        surroundings: CompressEngine.Surroundings(
            store: store, sink: store, storage: RealStorage(), segmentsRoot: FilePath(scratch.path), clocks: StandingClocks(bootMilliseconds: bootMilliseconds), mayTranscode: mayTranscode, proxyRate: proxyRate),
        logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
}

@Suite struct EngineTests {
    @Test func anHourOfThumbnailsIsOneObjectWithAPictureInEachFragment() async throws {
        let scratch = try TemporaryDirectory("engine")
        let file = try memoryFile(makeFootage(scratch, "a.mp4", source: "testsrc2=size=640x360:rate=10", seconds: 60, framesPerSecond: 10))
        let store = MemoryStore()
        for _ in 0..<5 { store.record(file, seconds: 60, frames: 600) }
        // In the next hour: the first one is packed.
        store.record(file, seconds: 60, frames: 600, gapMilliseconds: 3_600_000)
        store.state.withLock { $0.events = [$0.main[2].record.startWall.unixMilliseconds + 17_000] }
        let camera = CameraID("a")!
        let engine = try EdgeCompressTests.engine(store, scratch, CompressPlan(cameras: [camera], thumbnails: .init(everySeconds: 20), proxy: nil, configVersion: "1"))
        #expect(engine.start())
        try await until("an hour was packed") { !store.made(.thumbs).isEmpty && engine.figures.thumbnails == 18 }
        #expect(engine.stop(withinMilliseconds: 10_000))
        let objects = store.made(.thumbs)
        // The second is what was at hand when it stopped.
        #expect(objects.count == 2)
        let record = objects[0].record
        // 5 min, one in 20 s, and one for the event.
        #expect(record.frames == 16 && record.fragmentCount == 16)
        #expect(record.made?.kind == .thumbnails && record.made?.sources.description == "0-4")
        let leaves = store.state.withLock { $0.main[0..<5].map(\.record.sha256.bytes) }
        #expect(record.made?.sourceSHA256 == MerkleTree.root(ofLeafData: leaves))
        #expect(record.isPlausible && record.durationMilliseconds == 300_000)
        // A box tells where each picture is; each is a whole JPEG.
        let bytes = try memoryFile(objects[0].openPath).bytes
        #expect(Int64(bytes.count) == record.bytes && ContentHash.sha256(bytes) == record.sha256)
        let pictures = try picturesOf(bytes, from: Int(record.initBytes))
        #expect(pictures.count == 16)
        let expected: [Int64] = (Array(stride(from: Int64(0), to: 300_000, by: 20_000)) + [138_000]).sorted()
        #expect(pictures.map(\.milliseconds) == expected)
        // The index that the hub finds them by says the same.
        let index = try ThumbnailIndex(length: Int64(bytes.count), initBytes: record.initBytes) { Array(bytes[Int($0)...].prefix($1)) }
        #expect(index.pictures.map(\.offsetMilliseconds) == expected && index.pictures.map { Array(bytes[Int($0.bytes.lowerBound)..<Int($0.bytes.upperBound)]) } == pictures.map(\.jpeg))
        for picture in pictures { #expect(picture.jpeg.prefix(2) == [0xFF, 0xD8] && picture.jpeg.suffix(2) == [0xFF, 0xD9] && picture.jpeg.count <= 8_192) }
        let probe = try runBlocking("/usr/bin/ffprobe", ["-v", "error", "-count_frames", "-show_entries", "stream=codec_name,nb_read_frames", "-of", "csv=p=0", objects[0].openPath])
        #expect(probe.output.trimmingCharacters(in: .whitespacesAndNewlines) == "mjpeg,16", "\(probe.output)\(probe.errors)")
    }

    @Test func aStartGoesOnWhereTheLogStands() async throws {
        let scratch = try TemporaryDirectory("engine")
        let file = try memoryFile(makeFootage(scratch, "a.mp4", source: "testsrc2=size=320x180:rate=10", seconds: 10, framesPerSecond: 10))
        let store = MemoryStore()
        let camera = CameraID("a")!
        let plan = CompressPlan(cameras: [camera], thumbnails: .init(everySeconds: 10), proxy: .init(bitsPerSecond: 64_000), configVersion: "1")
        for _ in 0..<2 {
            for _ in 0..<3 { store.record(file, seconds: 10, frames: 100) }
            let wanted = store.state.withLock { $0.main.count }
            let engine = try EdgeCompressTests.engine(store, scratch, plan)
            #expect(engine.start())
            try await until("proxies were made") { store.made(.proxy).count >= wanted }
            #expect(engine.stop(withinMilliseconds: 10_000))
        }
        #expect(store.made(.proxy).compactMap { $0.record.made?.sources.description } == ["0", "1", "2", "3", "4", "5"])
        #expect(store.made(.thumbs).compactMap { $0.record.made?.sources.description } == ["0-2", "3-5"])
        for (proxy, main) in zip(store.made(.proxy).map(\.record), store.state.withLock({ $0.main.map(\.record) })) {
            #expect(proxy.made?.sourceSHA256 == main.sha256 && proxy.run == main.run)
            #expect(proxy.startBootMilliseconds == main.startBootMilliseconds && proxy.endBootMilliseconds == main.endBootMilliseconds && proxy.startWall == main.startWall)
            #expect(proxy.mediaStartTicks90k == main.mediaStartTicks90k && abs(proxy.mediaDurationTicks90k - main.mediaDurationTicks90k) < 18_000)
            #expect(proxy.isPlausible)
        }
    }

    @Test func withoutEnergyThereAreThumbnailsOnly() async throws {
        let scratch = try TemporaryDirectory("engine")
        let file = try memoryFile(makeFootage(scratch, "a.mp4", source: "testsrc2=size=320x180:rate=10", seconds: 10, framesPerSecond: 10))
        let store = MemoryStore()
        store.record(file, seconds: 10, frames: 100)
        let asked = Mutex(0)
        let plan = CompressPlan(cameras: [CameraID("a")!], thumbnails: .init(), proxy: .init(), configVersion: "1")
        let engine = try EdgeCompressTests.engine(store, scratch, plan) {
            asked.withLock { $0 += 1 }
            return false
        }
        #expect(engine.start())
        try await until("the power was asked about") { asked.withLock { $0 } > 0 }
        #expect(engine.stop(withinMilliseconds: 10_000))
        #expect(store.made(.proxy).isEmpty && store.made(.thumbs).count == 1)
    }

    @Test func ofACameraWhoseOwnSmallStreamIsRecordedNoProxyIsMade() async throws {
        let scratch = try TemporaryDirectory("engine")
        let file = try memoryFile(makeFootage(scratch, "a.mp4", source: "testsrc2=size=320x180:rate=10", seconds: 10, framesPerSecond: 10))
        let smallPath = try makeFootage(scratch, "b.mp4", source: "testsrc2=size=160x90:rate=10", seconds: 10, framesPerSecond: 10)
        let smallFile = try memoryFile(smallPath)
        let store = MemoryStore()
        store.record(file, seconds: 10, frames: 100)
        let camera = CameraID("a")!
        var small = sampleRecord(bytes: smallFile.length, seconds: 10, frames: 100, sequence: 0, startMilliseconds: 0)
        small.stream = StreamID(camera: camera, kind: .proxy)
        store.state.withLock { [small] in
            $0.made = [ClosedSegment(record: small, openPath: smallPath, sidePath: "")]
            $0.main.append((small, smallFile))
        }
        var plan = CompressPlan(cameras: [camera], thumbnails: .init(everySeconds: 10), proxy: .init(), withOwnProxy: [camera], configVersion: "1")
        let engine = try EdgeCompressTests.engine(store, scratch, plan)
        #expect(engine.start())
        try await until("a picture was made") { engine.figures.thumbnails == 1 }
        #expect(engine.stop(withinMilliseconds: 10_000))
        #expect(engine.figures.proxies == 0 && engine.figures.encoders.isEmpty)
        #expect(store.made(.thumbs).map(\.record.made?.sourceKind) == [.proxy] && store.made(.thumbs).map(\.record.widthPixels) == [160])
        // It is not recorded any more: what has it needs no proxy, what follows does.
        plan.withOwnProxy = []
        store.record(file, seconds: 10, frames: 100)
        let later = try EdgeCompressTests.engine(store, scratch, plan)
        #expect(later.start())
        try await until("a proxy was made") { store.made(.proxy).count == 2 }
        #expect(later.stop(withinMilliseconds: 10_000))
        #expect(store.made(.proxy).map(\.record.made?.sources.description) == [nil, "2"])
    }

    @Test func footageFromACardOfACameraThatNobodyConfiguredHasPicturesAndAProxyOnceItIsThere() async throws {
        let scratch = try TemporaryDirectory("engine")
        let file = try memoryFile(makeFootage(scratch, "a.mp4", source: "testsrc2=size=320x180:rate=10", seconds: 10, framesPerSecond: 10))
        let store = MemoryStore()
        let plan = CompressPlan(cameras: [CameraID("gate")!], thumbnails: .init(everySeconds: 10), proxy: .init(bitsPerSecond: 64_000), configVersion: "1")
        let engine = try EdgeCompressTests.engine(store, scratch, plan)
        #expect(engine.start())
        try await until("an encoder was tried") { engine.figures.encoders["libx264"] == "works" }
        var record = sampleRecord(bytes: file.length, seconds: 10, frames: 100, bootID: "import-card")
        record.stream = StreamID("patrol-7/main")!
        record.sha256 = ContentHash.sha256(file.bytes)
        store.state.withLock { [record] in $0.main.append((record, file)) }
        engine.notice()
        try await until("a proxy was made, and the pictures were packed") { store.made(.proxy).count == 1 && store.made(.thumbs).count == 1 }
        #expect(engine.stop(withinMilliseconds: 10_000))
        let records = store.state.withLock { $0.made.map(\.record) }
        #expect(records.allSatisfy { $0.stream.camera == record.stream.camera && $0.bootID == "import-card" && $0.made?.sources.description == "0" })
    }

    @Test func proxiesAreAimedAtTheRateOfTheDayAndTheFiguresTellIt() async throws {
        let scratch = try TemporaryDirectory("engine")
        let file = try memoryFile(makeFootage(scratch, "a.mp4", source: "testsrc2=size=640x360:rate=15,noise=alls=8:allf=t", seconds: 20, framesPerSecond: 15))
        let store = MemoryStore()
        for _ in 0..<2 { store.record(file, seconds: 20, frames: 300) }
        let rates = Mutex([64_000, 150_000])
        let plan = CompressPlan(cameras: [CameraID("a")!], thumbnails: nil, proxy: .init(fittedBitsPerSecond: 64_000...150_000), configVersion: "1")
        let engine = try EdgeCompressTests.engine(
            store, scratch, plan, proxyRate: { rates.withLock { $0.isEmpty ? nil : DayRate(bitsPerSecond: $0.removeFirst(), reason: "a test") } })
        #expect(engine.start())
        try await until("two proxies were made") { store.made(.proxy).count == 2 }
        #expect(engine.stop(withinMilliseconds: 10_000))
        #expect(engine.figures.proxyRate == DayRate(bitsPerSecond: 150_000, reason: "a test"))
        let made = store.made(.proxy).map(\.record)
        #expect(made[0].made?.settings.hasPrefix("64000 bit/s, longer side 480 px") == true && made[1].made?.settings.contains("longer side 640 px") == true, "\(made.map(\.made?.settings))")
        #expect(made[1].bytes > made[0].bytes * 3 / 2, "\(made.map(\.bytes))")
    }

    @Test func aSegmentThatIsNoneIsPassedOver() async throws {
        let scratch = try TemporaryDirectory("engine")
        let file = try memoryFile(makeFootage(scratch, "a.mp4", source: "testsrc2=size=320x180:rate=10", seconds: 10, framesPerSecond: 10))
        let store = MemoryStore()
        store.record(MemoryFile(Array(repeating: 1, count: 5_000)), seconds: 10, frames: 100)
        store.record(file, seconds: 10, frames: 100)
        let plan = CompressPlan(cameras: [CameraID("a")!], thumbnails: .init(), proxy: .init(bitsPerSecond: 64_000), configVersion: "1")
        let engine = try EdgeCompressTests.engine(store, scratch, plan)
        #expect(engine.start())
        try await until("a proxy was made") { !store.made(.proxy).isEmpty }
        #expect(engine.stop(withinMilliseconds: 10_000))
        #expect(store.made(.proxy).map(\.record.made?.sources.description) == ["1"])
        #expect(engine.figures.setAside == 2 && engine.figures.workerDeaths == 0)
    }

    @Test func footageThatIsToBeReducedGetsItsProxyWhenItIsOldAndTheHubLacksIt() async throws {
        let scratch = try TemporaryDirectory("engine")
        let file = try memoryFile(makeFootage(scratch, "a.mp4", source: "testsrc2=size=320x180:rate=10", seconds: 10, framesPerSecond: 10))
        let day: Int64 = 86_400_000
        let store = MemoryStore()
        for gap in [0, 0, 3 * day] { store.record(file, seconds: 10, frames: 100, gapMilliseconds: gap) }
        store.state.withLock { $0.held = [$0.main[0].record.id] }
        let plan = CompressPlan(cameras: [CameraID("a")!], thumbnails: nil, proxy: .init(bitsPerSecond: 64_000, onlyAfterDays: 2), configVersion: "1")
        for (days, wanted) in [(2, ["1"]), (6, ["1", "2"])] {
            let engine = try EdgeCompressTests.engine(store, scratch, plan, bootMilliseconds: Int64(days) * day + 60_000)
            #expect(engine.start())
            try await until("\(wanted.count) proxies were made") { store.made(.proxy).count >= wanted.count }
            #expect(engine.stop(withinMilliseconds: 10_000))
            #expect(store.made(.proxy).compactMap { $0.record.made?.sources.description } == wanted)
        }
    }
}

/// The pictures of an object of thumbnails, found by nothing but its boxes.
func picturesOf(_ bytes: [UInt8], from start: Int) throws -> [(milliseconds: Int64, jpeg: [UInt8])] {
    func number(_ position: Int, _ count: Int) -> Int { bytes[position..<(position + count)].reduce(0) { $0 << 8 | Int($1) } }
    var pictures: [(Int64, [UInt8])] = []
    var position = start
    while position < bytes.count {
        let moof = number(position, 4)
        guard moof == 104, String(decoding: bytes[(position + 4)..<(position + 8)], as: UTF8.self) == "moof" else { throw TestFailure("no moof of 104 bytes at \(position)") }
        // moof 8, mfhd 16, traf 8, tfhd 16, then tfdt: length, name, version.
        let ticks = number(position + 8 + 16 + 8 + 16 + 12, 8)
        let mdat = number(position + moof, 4)
        pictures.append((Int64(ticks) / 90, Array(bytes[(position + moof + 8)..<(position + moof + mdat)])))
        position += moof + mdat
    }
    return pictures
}

func until(_ what: String, within duration: Duration = .seconds(60), _ condition: () -> Bool) async throws {
    let deadline = ContinuousClock.now + duration
    while !condition() {
        guard ContinuousClock.now < deadline else { throw TestFailure("not within \(duration): \(what)") }
        // The engine's thread tells nobody of a pass; asking is all there is.
        try await Task.sleep(for: .milliseconds(20))
    }
}
