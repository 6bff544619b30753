import Dispatch
import EdgeCapture
import EdgeJournal
import EdgeMotion
import Foundation
import Logging
import RecordingModel
import ServiceLifecycle
import ServiceSupport
import StorageIO
import Synchronization
import SystemPackage
import Testing
import TestSupport

@testable import fieldpost_edge

private let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

/// Takes everything; a camera's thread that reports its health can be made to hang.
private final class Sink: RecordingSink {
    let gate = DispatchSemaphore(value: 0)
    let hangs: Bool
    private let found = Watched<[GapRecord]>([])
    private let states = Watched<[CameraHealth]>([])

    init(hangs: Bool = false) { self.hangs = hangs }

    var gaps: Watched<[GapRecord]> { found }
    var health: Watched<[CameraHealth]> { states }
    func nextSequence(for stream: StreamID) -> UInt64 { 0 }
    func nextRun(for stream: StreamID) -> UInt64 { 0 }
    func deliver(_ segment: ClosedSegment) throws {}
    func deliver(_ gap: GapRecord) throws { found.update { $0.append(gap) } }
    func deliver(_ event: EventRecord) throws {}
    func report(_ health: CameraHealth) {
        states.update { $0.append(health) }
        guard hangs else { return }
        gate.wait()
        gate.signal()
    }
    var refusal: RecordingRefusal? { nil }
}

@Suite struct NodeServiceTests {
    private let scratch: TemporaryDirectory
    private let clocks: SystemClocks

    init() throws {
        scratch = try TemporaryDirectory("services")
        clocks = try SystemClocks()
    }

    private func configuration(_ more: String = "", camera: String = "url: 'test:pattern'") throws -> EdgeConfiguration {
        try EdgeConfiguration.decode(Array("data_directory: \(scratch.path)\n\(more)cameras:\n  - id: gate\n    \(camera)\n".utf8), file: "edge.yaml")
    }

    private func recorder(_ sink: Sink, _ configuration: EdgeConfiguration) throws -> CameraRecorder {
        let camera = configuration.cameras[0]
        return CameraRecorder(
            configuration: camera.capture(configVersion: "x"), url: { try camera.connectionURL() }, segmentsRoot: FilePath(scratch.path("segments")), storage: RealStorage(),
            sink: sink, clocks: clocks, randomness: SystemRandomNumberGenerator(), logger: quiet)
    }

    private func statusFile(_ runtime: String = "run") throws -> StatusFile {
        StatusFile(try NodeFolder(configuration()), runtimeFolders: [scratch.path(runtime)])
    }

    private struct Unreadable: Error, CustomStringConvertible { let description = "disk I/O error" }

    @Test func `figures that cannot be had are told, and end no recording; a journal that stopped does`() async throws {
        let stopped = Watched<JournalError?>(nil)
        let service = StatusService(
            file: try statusFile(), failure: { stopped.value }, figures: { throw Unreadable() }, sync: nil, triggers: nil, clocks: clocks,
            registry: PrometheusRegistry(), intervalSeconds: 1, logger: quiet)
        let task = Task { try await service.run() }
        let file = try statusFile()
        let told = try await eventually("the status file", within: .seconds(10)) { file.newest(bootID: clocks.bootID) }
        #expect(told.problem == "the figures cannot be had, and recording goes on: disk I/O error" && told.isOfRunningProcess(bootID: clocks.bootID))
        _ = try await eventually("another round", within: .seconds(10)) {
            file.newest(bootID: clocks.bootID).flatMap { $0.bootMilliseconds > told.bootMilliseconds ? true : nil }
        }
        stopped.update { $0 = .closed }
        await #expect(throws: JournalError.self) { try await task.value }
    }

    @Test func `a camera without a thread ends the attempt, and the others with it`() async throws {
        let configuration = try configuration(camera: "url: 'test:pattern?size=64x64'")
        let sink = Sink()
        let (first, second) = (try recorder(sink, configuration), try recorder(Sink(), configuration))
        // What was started before gives no second thread.
        #expect(second.start())
        await #expect(throws: CommandError.self) { try await CaptureService(recorders: [first, second]).run() }
        #expect(sink.health.value.last?.state == .stopped)
        second.stop()
    }

    @Test func `cameras that hang cost three seconds together`() async throws {
        let sink = Sink(hangs: true)
        let configuration = try configuration()
        let service = CaptureService(recorders: try (0..<6).map { _ in try recorder(sink, configuration) })
        let group = ServiceGroup(configuration: ServiceGroupConfiguration(services: [service], logger: quiet))
        let task = Task { try await group.run() }
        _ = try await sink.health.wait(for: "six threads", within: .seconds(10)) { $0.count == 6 ? true : nil }
        let began = ContinuousClock.now
        await group.triggerGracefulShutdown()
        try? await task.value
        let took = ContinuousClock.now - began
        #expect(took > .milliseconds(2_900) && took < .milliseconds(4_500), "\(took)")
        sink.gate.signal()
    }

    @Test func `a password that is missing is that camera's gap, and nothing before it is there`() async throws {
        let sink = Sink()
        let secret = scratch.path("password")
        let configuration = try configuration(camera: "url: rtsp://127.0.0.1:9/s\n    username: viewer\n    password_file: \(secret)")
        let recorder = try recorder(sink, configuration)
        #expect(recorder.start())
        let sentence = "its address is not known whole: cannot read \(secret): No such file or directory"
        _ = try await sink.health.wait(for: "its sentence", within: .seconds(10)) { $0.contains { $0.state == .waiting && $0.lastError == sentence } ? true : nil }
        let other = Sink()
        let second = try self.recorder(other, configuration)
        #expect(second.start())
        _ = try await other.health.wait(for: "its sentence", within: .seconds(10)) { $0.contains { $0.lastError == sentence } ? true : nil }
        // Long enough to be a gap.
        try await Task.sleep(for: .milliseconds(50))
        second.stop()
        #expect(other.gaps.value.map(\.cause) == [.cameraUnreachable] && other.gaps.value.map(\.detail) == [sentence], "\(other.gaps.value)")
        try Data("geheim\n".utf8).write(to: URL(fileURLWithPath: secret))
        // With the password it gets as far as the camera, which is not there.
        _ = try await sink.health.wait(for: "an attempt to connect", within: .seconds(10)) { $0.contains { $0.lastError.map { !$0.contains("not known") } == true } ? true : nil }
        recorder.stop()
        #expect(!sink.health.value.contains { $0.lastError?.contains("geheim") == true })
    }

    @Test func `a token that is missing keeps events away and nothing else, until it is there`() async throws {
        let port = try freePort()
        let configuration = try configuration("events: {listen: '127.0.0.1:\(port)', token_file: \(scratch.path("token"))}\n")
        let triggers = try #require(configuration.eventTriggers())
        let group = ServiceGroup(
            configuration: ServiceGroupConfiguration(
                services: [EventService(configuration: configuration, triggers: triggers, clocks: clocks, logger: quiet, retryPause: .milliseconds(100))], logger: quiet))
        let task = Task { try await group.run() }
        try await Task.sleep(for: .milliseconds(300))
        #expect(throws: TestFailure.self) { try IdleConnection(port: port) }
        try Data("short\n".utf8).write(to: URL(fileURLWithPath: scratch.path("token")))
        try await Task.sleep(for: .milliseconds(300))
        #expect(throws: TestFailure.self) { try IdleConnection(port: port) }
        try Data("0123456789abcdef\n".utf8).write(to: URL(fileURLWithPath: scratch.path("token")))
        _ = try await eventually("the listener", within: .seconds(10)) { try? IdleConnection(port: port) }
        await group.triggerGracefulShutdown()
        try await task.value
    }

    @Test func `of two boots the present one's figures count, whatever their wall clocks say`() throws {
        struct OtherBoot: Clocks {
            var bootID = "before"
            func now() -> Moment { Moment(bootNanoseconds: 1, wall: WallEstimate(unixMilliseconds: 9_000_000_000_000, source: .none, uncertaintyMilliseconds: 1)) }
        }
        let (older, newer) = (try statusFile("run-a"), try statusFile("run-b"))
        older.write(RunningStatus(OtherBoot(), problem: "old", metrics: ""))
        newer.write(RunningStatus(clocks, problem: "new", metrics: ""))
        let both = StatusFile(try NodeFolder(configuration()), runtimeFolders: [scratch.path("run-a"), scratch.path("run-b")])
        #expect(both.newest(bootID: clocks.bootID)?.problem == "new")
        let past = try #require(older.newest(bootID: clocks.bootID))
        #expect(past.problem == "old" && !past.isOfRunningProcess(bootID: clocks.bootID))
        var dead = try #require(newer.newest(bootID: clocks.bootID))
        dead.processID = 0x3FFF_FFFF
        #expect(!dead.isOfRunningProcess(bootID: clocks.bootID))
    }
}
