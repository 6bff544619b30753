@testable import EdgeCapture
import Foundation
import Logging
import RecordingModel
import StorageIO
import Synchronization
import SystemPackage
import Testing
import TestSupport

/// The machine's own clocks.
struct MachineClocks: Clocks {
    let bootID = "test-boot"
    func now() -> Moment {
        var boot = timespec()
        clock_gettime(CLOCK_BOOTTIME, &boot)
        var wall = timespec()
        clock_gettime(CLOCK_REALTIME, &wall)
        return Moment(
            bootNanoseconds: Int64(boot.tv_sec) * 1_000_000_000 + Int64(boot.tv_nsec),
            wall: WallEstimate(
                unixMilliseconds: Int64(wall.tv_sec) * 1_000 + Int64(wall.tv_nsec) / 1_000_000, source: .ntp, uncertaintyMilliseconds: 10))
    }
}

struct JournalHasFailed: Error {}

/// Does what the journal does with a closed segment, as far as capture can see: gives the file its name and counts on.
final class CollectingSink: RecordingSink {
    struct State {
        var segments: [SegmentRecord] = []
        var gaps: [GapRecord] = []
        var events: [EventRecord] = []
        var health: [CameraHealth] = []
    }
    private let state = Mutex(State())
    /// Throws for what it must not take.
    let refuses = Atomic<Bool>(false)
    private let storage: any StorageIO

    init(storage: any StorageIO = RealStorage()) { self.storage = storage }

    var segments: [SegmentRecord] { state.withLock { $0.segments } }
    var gaps: [GapRecord] { state.withLock { $0.gaps } }
    var events: [EventRecord] { state.withLock { $0.events } }
    var health: [CameraHealth] { state.withLock { $0.health } }

    func nextSequence(for stream: StreamID) -> UInt64 { UInt64(segments.count) }
    func nextRun(for stream: StreamID) -> UInt64 { segments.last.map { $0.run + 1 } ?? 0 }
    func deliver(_ segment: ClosedSegment) throws {
        if refuses.load(ordering: .relaxed) {
            hasFailed.store(true, ordering: .relaxed)
            throw JournalHasFailed()
        }
        if Int(segment.record.sequence) == refusedSegment.load(ordering: .relaxed) {
            refusedSegment.store(-1, ordering: .relaxed)
            refusedCount.add(1, ordering: .relaxed)
            throw JournalHasFailed()
        }
        let open = FilePath(segment.openPath)
        let sealed = open.removingLastComponent().appending(SegmentFiles.sealedName(segment.record.sequence))
        try storage.rename(open, to: sealed)
        state.withLock { $0.segments.append(segment.record) }
    }
    func deliver(_ gap: GapRecord) throws {
        gapsOffered.add(1, ordering: .relaxed)
        if refuses.load(ordering: .relaxed) { throw JournalHasFailed() }
        state.withLock { $0.gaps.append(gap) }
    }
    /// As the journal's lists do: what is told later of the same start takes the place of what was told as it began.
    func deliver(_ event: EventRecord) throws {
        state.withLock { state in
            state.events.removeAll { $0.camera == event.camera && $0.startBootMilliseconds == event.startBootMilliseconds }
            state.events.append(event)
        }
    }
    let gapsOffered = Atomic<Int>(0)
    /// As a journal that has failed: from the first segment on that it refused.
    var refusal: RecordingRefusal? {
        hasFailed.load(ordering: .relaxed) ? RecordingRefusal(cause: .diskFault, detail: "\(JournalHasFailed())") : nil
    }
    private let hasFailed = Atomic<Bool>(false)
    /// The number of a segment that alone is refused; -1 for none.
    let refusedSegment = Atomic<Int>(-1)
    let refusedCount = Atomic<Int>(0)
    func report(_ health: CameraHealth) { state.withLock { $0.health.append(health) } }

    /// Footage and gaps in order of time.
    var spans: [(start: Int64, end: Int64)] {
        (segments.map { ($0.startBootMilliseconds, $0.endBootMilliseconds) }
            + gaps.map { ($0.startBootMilliseconds, $0.startBootMilliseconds + $0.durationMilliseconds) })
            .sorted { ($0.0, $0.1) < ($1.0, $1.1) }
    }

    /// Nil when every span begins where the one before ends.
    var firstHole: String? {
        let spans = spans
        for (left, right) in zip(spans, spans.dropFirst()) where left.end != right.start { return "\(left) is followed by \(right)" }
        return nil
    }
}

/// A folder for one test, removed afterwards.
final class Scratch {
    let path: FilePath
    init() throws {
        path = FilePath(NSTemporaryDirectory()).appending("fieldpost-capture-\(UUID().uuidString)")
        try RealStorage().makeDirectory(path)
    }
    deinit { try? FileManager.default.removeItem(atPath: path.string) }
    func file(_ name: String) -> String { path.appending(name).string }
}

struct ToolResult {
    var status: Int32
    var output: String
    var errors: String
}

@discardableResult
func runTool(_ arguments: String...) throws -> ToolResult { try runTool(arguments) }

@discardableResult
func runTool(_ arguments: [String]) throws -> ToolResult {
    let (status, output, errors) = try runBlocking("/usr/bin/env", arguments)
    return ToolResult(status: status, output: output, errors: errors)
}

struct SeededRandomness: RandomNumberGenerator, Sendable {
    var state: UInt64 = 1
    mutating func next() -> UInt64 {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return state
    }
}

/// A recorder with its sink, in a folder of its own.
struct Bench {
    let scratch: Scratch
    let sink: CollectingSink
    let recorder: CameraRecorder
    let directory: FilePath

    init(
        url: String, storage: any StorageIO = RealStorage(), change: (inout CameraConfiguration) -> Void = { _ in }, scratch: Scratch? = nil,
        script: ScriptedCamera.Script? = nil, limitBytes: Int64 = 4 << 30, prepare: (inout RecorderContext) -> Void = { _ in }
    ) throws {
        let scratch = try scratch ?? Scratch()
        let camera = try #require(CameraID("gate"))
        var configuration = CameraConfiguration(id: camera, url: url, segmentMilliseconds: 2_000, configVersion: "1")
        change(&configuration)
        self.scratch = scratch
        sink = CollectingSink(storage: storage)
        directory = scratch.path.appending("segments").appending("gate").appending("main")
        var logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        logger.logLevel = .critical
        var context = RecorderContext(
            configuration: configuration, stream: StreamID(camera: camera, kind: .main), directory: directory, storage: storage, sink: sink,
            clocks: MachineClocks(), logger: logger)
        context.segmentLimitBytes = limitBytes
        if let script {
            context.openSource = { configuration, stop throws(CaptureFailure) in
                try ScriptedCamera(configuration, stop: stop, script: script)
            }
        }
        prepare(&context)
        recorder = CameraRecorder(context, randomness: SeededRandomness())
    }

    func path(_ record: SegmentRecord) -> String { directory.appending(SegmentFiles.sealedName(record.sequence)).string }
    func bytes(_ record: SegmentRecord) throws -> [UInt8] { try RealStorage().read(FilePath(path(record))) }

    /// Waits in small steps, off the cooperative pool's clock: a camera's thread needs no help from it.
    func wait(seconds: Double, until condition: () -> Bool) {
        let end = Date().addingTimeInterval(seconds)
        while Date() < end, !condition() { usleep(20_000) }
    }

    /// The same without holding a thread of the pool, which has as many as the machine has cores.
    func wait(seconds: Double, until condition: () -> Bool) async throws {
        let end = Date().addingTimeInterval(seconds)
        while Date() < end, !condition() { try await Task.sleep(for: .milliseconds(20)) }
    }

    /// `init` and all fragments of a run in one file.
    func joined(run: UInt64) throws -> String {
        var whole: [UInt8] = []
        for record in sink.segments where record.run == run {
            let content = try bytes(record)
            whole += whole.isEmpty ? content : Array(content.dropFirst(Int(record.initBytes)))
        }
        let path = scratch.file("run-\(run).mp4")
        try Data(whole).write(to: URL(fileURLWithPath: path))
        return path
    }
}

/// Lets a few cases at a time run side by side: each has a server of its own, and a small machine must keep real time.
actor Turns {
    static let shared = Turns(limit: 5)
    private var free: Int
    private var waiting: [CheckedContinuation<Void, Never>] = []

    init(limit: Int) { free = limit }

    func take() async {
        if free > 0 { free -= 1 } else { await withCheckedContinuation { waiting.append($0) } }
    }

    func give() {
        if waiting.isEmpty { free += 1 } else { waiting.removeFirst().resume() }
    }

    nonisolated func run(_ body: @Sendable () async throws -> Void) async throws {
        await take()
        do { try await body() } catch {
            await give()
            throw error
        }
        await give()
    }
}
