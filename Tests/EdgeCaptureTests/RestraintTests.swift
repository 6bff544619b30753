@testable import EdgeCapture
import EdgeMotion
import Foundation
import LibAV
import Logging
import RecordingModel
import StorageIO
import Synchronization
import SystemPackage
import Testing
import TestSupport

@Suite("What one camera may not do to the others")
struct RestraintTests {
    @Test("A camera whose timestamps jump with every picture is let go after a few files, with a sentence, and its neighbour is not touched")
    func jumpsAtEachPicture() throws {
        var script = ScriptedCamera.Script(groupFrames: 1)
        script.packets = { frame, bytes, isKey in [ScriptedPacket(bytes, time: frame % 2 * 90_000 * 3_600 + frame * 3_600, isKey: isKey)] }
        let bad = try Bench(url: "scripted:", script: script)
        let good = try Bench(url: "scripted:", script: ScriptedCamera.Script())
        bad.recorder.start()
        good.recorder.start()
        bad.wait(seconds: 8) { false }
        bad.recorder.stop()
        good.recorder.stop()
        let connects = Int(bad.sink.health.last?.connects ?? 0)
        // Pauses of 0.5, 1, 2 and 4 s at most between them, and half of that at least.
        #expect((2...6).contains(connects))
        #expect(bad.sink.segments.count <= connects * (RunBudget.limit + 1), "\(bad.sink.segments.count) files in \(connects) connections")
        #expect(bad.sink.gaps.contains { $0.cause == .cameraLost && $0.detail.contains("changed 6 times within a minute") }, "\(bad.sink.gaps)")
        #expect(bad.sink.firstHole == nil && good.sink.firstHole == nil)
        #expect(Set(good.sink.segments.map(\.run)) == [0] && good.sink.segments.allSatisfy { $0.drops == 0 })
    }

    @Test("Steady footage costs no budget, and runs that lasted cost none")
    func budget() {
        var budget = RunBudget()
        for index in 0..<100 { budget.runEnded(after: 2_000_000_000, at: Int64(index) * 2_000_000_000) }
        #expect(!budget.isSpent)
        // Five a minute are borne, for ever.
        for index in 0..<100 { budget.runEnded(after: 1, at: Int64(index) * 12_100_000_000) }
        #expect(!budget.isSpent)
        budget.runEnded(after: 1, at: 99 * 12_100_000_000 + 1)
        #expect(budget.isSpent)
    }

    @Test("While the disk refuses, files are tried 1, 2, 4 and up to 30 s apart, and the camera is not called recording")
    func diskRefuses() throws {
        let tries = Mutex<[Int64]>([])
        let storage = FaultyStorage(errno: .noSpace) { operation, _ in
            if operation == .append { tries.withLock { $0.append(monotonicNanoseconds()) } }
            return operation == .append
        }
        let bench = try Bench(url: "test:?size=160x90&fps=20&gop=4&bitrate=50k", storage: storage)
        let start = MachineClocks().now().bootMilliseconds
        bench.recorder.start()
        bench.wait(seconds: 8) { false }
        let stop = MachineClocks().now().bootMilliseconds
        bench.recorder.stop()
        let times = tries.withLock { $0 }
        // At about 0.5, 1.5, 3.5 and 7.5 s.
        #expect((3...4).contains(times.count), "\(times.count) tries")
        for (index, (left, right)) in zip(times, times.dropFirst()).enumerated() { #expect(right - left >= Int64(1_000_000_000) << index) }
        #expect(!bench.sink.health.contains { $0.state == .recording })
        #expect(bench.sink.gaps.dropFirst().allSatisfy { [.diskFull, .stopped].contains($0.cause) }, "\(bench.sink.gaps)")
        try expectAccounted(bench, from: start, to: stop)
    }

    @Test("Pauses after a fault of the disk double up to 30 s, and begin anew after half a minute of footage")
    func storagePause() {
        let pause = StoragePause()
        var now: Int64 = 100_000_000_000
        for seconds in [1, 2, 4, 8, 16, 30, 30] as [Int64] {
            pause.failed(now)
            #expect(pause.untilNanoseconds - now == seconds * 1_000_000_000 && !pause.isOver(pause.untilNanoseconds - 1) && pause.isOver(pause.untilNanoseconds))
            now = pause.untilNanoseconds
        }
        now += 30_000_000_001
        pause.failed(now)
        #expect(pause.untilNanoseconds - now == 1_000_000_000)
    }

    @Test("A segment that alone is refused stays for recovery, and the camera goes on")
    func oneRefusedSegment() throws {
        let bench = try Bench(url: "test:?size=160x90&fps=20&gop=10&bitrate=50k")
        bench.sink.refusedSegment.store(1, ordering: .relaxed)
        bench.recorder.start()
        bench.wait(seconds: 12) { bench.sink.segments.count >= 3 }
        bench.recorder.stop()
        #expect(bench.sink.refusedCount.load(ordering: .relaxed) == 1)
        #expect(bench.sink.segments.map(\.sequence) == (0..<UInt64(bench.sink.segments.count)).map { $0 } && bench.sink.segments.count >= 3)
        let left = try RealStorage().list(bench.directory).filter { $0.contains(".aside-") }
        #expect(left.count == 2, "\(left)")
        #expect(!bench.sink.health.contains { $0.state == .waiting })
    }

    @Test("Footage from before the wall clock's own beginning has the time 0, and not none")
    func wallClockAtZero() throws {
        let clocks = StepClocks(offset: -MachineClocks().now().bootMilliseconds - 3_600_000)
        let bench = try Bench(url: "test:?size=160x90&fps=20&gop=10&bitrate=50k", prepare: { $0.clocks = clocks })
        bench.recorder.start()
        bench.wait(seconds: 8) { !bench.sink.segments.isEmpty }
        bench.recorder.stop()
        #expect(!bench.sink.segments.isEmpty && bench.sink.segments.allSatisfy { $0.isPlausible && $0.startWall.unixMilliseconds == 0 })
    }

    @Test("A gap's cause is the newest one: first the fault of the disk, then the camera that went away meanwhile")
    func causesInTurn() throws {
        let storage = FaultyStorage { operation, count in operation == .append && count >= 6 }
        var script = ScriptedCamera.Script(groupFrames: 10, frames: 60)
        script.bitsPerSecond = 50_000
        let bench = try Bench(url: "scripted:", storage: storage, script: script)
        bench.recorder.start()
        bench.wait(seconds: 6) { bench.sink.gaps.contains { $0.cause == .cameraLost } || bench.sink.health.last?.connects ?? 0 >= 2 }
        bench.recorder.stop()
        let causes = bench.sink.gaps.map(\.cause)
        let disk = try #require(causes.firstIndex(of: .diskFault), "\(bench.sink.gaps)")
        #expect(causes[disk...].contains(.cameraLost), "\(bench.sink.gaps)")
        #expect(bench.sink.firstHole == nil)
    }

    @Test("Health and events are told while a connection is tried")
    func toldWhileConnecting() throws {
        let server = try SilentServer()
        let box = TriggerBox()
        let bench = try Bench(url: "rtsp://127.0.0.1:\(server.port)/gate", change: { $0.connectTimeoutMilliseconds = 10_000 }, prepare: { $0.triggers = box })
        bench.recorder.start()
        bench.wait(seconds: 0.5) { false }
        raise(box, milliseconds: 500)
        bench.wait(seconds: 2) { !bench.sink.events.isEmpty }
        #expect(bench.sink.events.map(\.durationMilliseconds) == [0])
        // Told again when it is over, after its cool-down.
        bench.wait(seconds: 8) { bench.sink.events.contains { $0.durationMilliseconds > 0 } }
        bench.recorder.stop()
        #expect(bench.sink.events.map(\.label) == ["door"])
        #expect(bench.sink.health.filter { $0.state == .connecting }.count >= 4 && !bench.sink.health.contains { $0.state == .waiting })
    }

    @Test("A long wait within a read tells so about every half second")
    func sleepTells() throws {
        let stop = StopSignal()
        let told = Mutex<Int>(0)
        stop.interrupt.onWait { told.withLock { $0 += 1 } }
        let began = monotonicNanoseconds()
        try stop.sleep(nanoseconds: 1_600_000_000)
        #expect((1_600...1_900).contains((monotonicNanoseconds() - began) / 1_000_000))
        #expect(told.withLock { $0 } == 3)
    }

    @Test("An event whose time makes no sense is dropped, and holds up no other")
    func implausibleEvent() throws {
        let scratch = try Scratch()
        let sink = CollectingSink()
        let box = TriggerBox()
        let camera = try #require(CameraID("gate"))
        let context = RecorderContext(
            configuration: CameraConfiguration(id: camera, url: "test:", configVersion: "1"), stream: StreamID(camera: camera, kind: .main),
            directory: scratch.path, storage: RealStorage(), sink: sink, clocks: MachineClocks(), logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() },
            triggers: box)
        func at(_ seconds: Int64, wall: Int64) -> Moment {
            Moment(bootNanoseconds: seconds * 1_000_000_000, wall: WallEstimate(unixMilliseconds: wall, source: .none, uncertaintyMilliseconds: 1))
        }
        let watch = EventWatch(context, now: at(1, wall: 0))
        for (seconds, label, wall) in [(10, "first", Int64.max / 2), (30, "second", 1_795_248_000_000)] as [(Int64, String, Int64)] {
            box.put(EventTrigger(source: .webhook, label: label, score: 50, phase: .lasting(milliseconds: 0), bootMilliseconds: seconds * 1_000))
            watch.tick(at(seconds, wall: wall))
            watch.tick(at(seconds + 8, wall: wall))
        }
        #expect(sink.events.map(\.label) == ["second"] && sink.events.allSatisfy(\.isPlausible))
    }

    @Test("The pre-roll's memory stays within its bound, whatever comes, and is given back", arguments: [60_000, 900_000])
    func preRollMemory(pictureBytes: Int) throws {
        var kept = PreRoll(spanNanoseconds: 7_000_000_000)
        let packet = try Packet()
        let bytes = [UInt8](repeating: 7, count: pictureBytes)
        for index in 0..<2_000 {
            try packet.fill(bytes, streamIndex: 0, presentationTime: nil, decodeTime: nil, isKey: index % 10 == 0)
            kept.append(packet, isVideo: true, arrivalNanoseconds: Int64(index) * 20_000_000)
            try #require(kept.memoryBytes <= PreRoll.memoryBytesMax, "\(kept.memoryBytes) bytes after \(index) pictures")
        }
        #expect(kept.byteCount > 6 << 20 && kept.byteCount <= PreRoll.bytesMax)
        kept.removeAll()
        #expect(kept.memoryBytes <= 64 << 10)
    }
}
