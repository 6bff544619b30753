@testable import EdgeCapture
import EdgeMotion
import Foundation
import LibAV
import RecordingModel
import Testing

@Suite("What energy allows a camera")
struct PowerGateTests {
    private func bench(_ gate: PowerGate, script: ScriptedCamera.Script? = ScriptedCamera.Script(), segmentMilliseconds: Int = 60_000, change: (inout CameraConfiguration) -> Void = { _ in }) throws -> Bench {
        try Bench(
            url: script == nil ? "test:pattern" : "scripted:",
            change: {
                $0.segmentMilliseconds = segmentMilliseconds
                change(&$0)
            }, script: script, prepare: { $0.power = gate })
    }

    @Test("Switched off within a second: the segment is sealed, the camera let go, and the gap says why; on again, it records on")
    func offAndOn() throws {
        let gate = PowerGate()
        let bench = try bench(gate)
        bench.recorder.start()
        bench.wait(seconds: 5) { bench.sink.health.last?.state == .recording }
        usleep(2_300_000)
        let told = MachineClocks().now().bootMilliseconds
        gate.set(.off, reason: "Hibernate: 11 % battery")
        bench.wait(seconds: 3) { bench.sink.segments.count == 1 }
        let took = MachineClocks().now().bootMilliseconds - told
        #expect(took < 1_000, "\(took) ms")
        #expect(bench.sink.segments.first?.end == .power)
        #expect(abs((bench.sink.segments.first?.endBootMilliseconds ?? 0) - told) < 500)
        let connects = bench.sink.health.last?.connects
        usleep(1_500_000)
        #expect(bench.sink.health.last?.state == .waiting && bench.sink.health.last?.connects == connects)
        #expect(bench.sink.health.last?.lastError == "the camera is off to save energy: Hibernate: 11 % battery")
        gate.set(.full, reason: "Sparse: 28 % battery")
        bench.wait(seconds: 3) { bench.sink.health.last?.state == .recording }
        #expect(bench.sink.health.last?.connects == (connects ?? 0) + 1)
        usleep(1_500_000)
        bench.recorder.stop()
        #expect(bench.sink.segments.map(\.end) == [.power, .stopped] && bench.sink.segments.allSatisfy { $0.isKeyFramesOnly == nil })
        #expect(bench.sink.gaps.contains { $0.cause == .power && $0.detail.contains("11 % battery") })
        #expect(Set(bench.sink.gaps.map(\.cause)).isSubset(of: [.starting, .power, .stopped]))
        try expectWhole(bench)
    }

    @Test("A camera's own small stream stays whole where the main one is reduced to key frames, and rests where that is recorded now and then")
    func subStream() throws {
        let gate = PowerGate(.keyFrames, reason: "Reduced")
        let (main, small) = (PowerWatch(gate, randomness: SeededRandomness()), PowerWatch(gate, isSubStream: true, randomness: SeededRandomness()))
        for watch in [main, small] { watch.look(0) }
        #expect(main.isKeyFramesOnly && !small.isKeyFramesOnly && main.closedDetail == nil && small.closedDetail == nil)
        gate.set(.sparse(recordMilliseconds: 1_000, everyMilliseconds: 1_000), reason: "Sparse: 28 % battery")
        for watch in [main, small] { watch.look(500) }
        #expect(main.closedDetail == nil)
        #expect(small.closedDetail == "to save energy only the main stream is recorded, now and then: Sparse: 28 % battery")
        gate.set(.off, reason: "")
        small.look(600)
        #expect(small.closedDetail == "the camera is off to save energy")
    }

    @Test("A camera that says nothing, or is still being connected to, is let go within a second as well")
    func silentCamera() throws {
        let listener = try SilentListener()
        let gate = PowerGate()
        let bench = try Bench(url: "rtsp://127.0.0.1:\(listener.port)/", prepare: { $0.power = gate })
        bench.recorder.start()
        bench.wait(seconds: 3) { bench.sink.health.last?.state == .connecting }
        usleep(300_000)
        let told = MachineClocks().now().bootMilliseconds
        gate.set(.off, reason: "Hibernate")
        bench.wait(seconds: 3) { bench.sink.health.last?.state == .waiting }
        let took = MachineClocks().now().bootMilliseconds - told
        #expect(took < 1_000, "\(took) ms")
        bench.recorder.stop()
        #expect(Set(bench.sink.gaps.map(\.cause)) == [.power])
        #expect(bench.sink.firstHole == nil)
    }

    @Test("Key frames only: each is shown until the next, without a hole before or after, and the files decode to so many pictures")
    func keyFrames() throws {
        let gate = PowerGate()
        let bench = try bench(gate, script: ScriptedCamera.Script(groupFrames: 25))
        bench.recorder.start()
        bench.wait(seconds: 5) { bench.sink.health.last?.state == .recording }
        usleep(2_300_000)
        gate.set(.keyFrames, reason: "Reduced")
        usleep(4_000_000)
        gate.set(.full, reason: "Full")
        usleep(2_500_000)
        bench.recorder.stop()
        let segments = bench.sink.segments
        #expect(segments.map(\.isKeyFramesOnly) == [nil, true, nil] && segments.map(\.end) == [.power, .power, .stopped], "\(segments.map(\.end))")
        let reduced = try #require(segments.count == 3 ? segments[1] : nil)
        // A group lasts a second.
        #expect((3...6).contains(reduced.frames) && Int64(reduced.frames) * 90_000 == reduced.mediaDurationTicks90k, "\(reduced.frames) pictures, \(reduced.mediaDurationTicks90k) ticks")
        #expect(abs(reduced.durationMilliseconds - Int64(reduced.frames) * 1_000) < 100)
        // What came of the group in which the change was is recorded to the picture, and shown until the next.
        #expect(segments[0].frames % 25 != 0 && segments[0].mediaDurationTicks90k % 90_000 == 0)
        try expectWhole(bench)
        #expect(Set(bench.sink.gaps.map(\.cause)).isSubset(of: [.starting, .stopped]), "\(bench.sink.gaps.map(\.cause))")
    }

    @Test("Of a stream with B-frames and sound only its key frames are recorded, silently, each a group long")
    func keyFramesAmongBFrames() throws {
        let scratch = try Scratch()
        let source = scratch.file("source.mp4")
        let made = try runTool(
            "ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25", "-f", "lavfi", "-i", "sine=sample_rate=16000", "-t", "4", "-pix_fmt", "yuv420p",
            "-c:v", "libx264", "-bf", "3", "-g", "25", "-sc_threshold", "0", "-c:a", "aac", source)
        try #require(made.status == 0, "\(made.errors)")
        let bench = try Bench(
            url: "file:\(source)", change: { $0.audio = .record(reason: "a test") }, scratch: scratch, prepare: { $0.power = PowerGate(.keyFrames, reason: "Reduced") })
        bench.recorder.start()
        bench.wait(seconds: 10) { bench.sink.segments.contains { $0.end == .cameraLost } }
        bench.recorder.stop()
        let whole = try bench.joined(run: 0)
        try expectDecodes(whole)
        #expect(try decodedFrames(whole) == 4)
        let segments = bench.sink.segments.filter { $0.run == 0 }
        #expect(segments.allSatisfy { $0.isKeyFramesOnly == true && !$0.codecs.contains("mp4a") })
        // The last is shown until the last picture that was passed over.
        let ticks = segments.reduce(0) { $0 + $1.mediaDurationTicks90k }
        #expect(ticks > 4 * 90_000 - 4 * 3_600 && ticks <= 4 * 90_000, "\(ticks)")
        #expect(bench.sink.firstHole == nil)
    }

    @Test("The end of a recording of key frames is its last picture, however long ago its last key frame was")
    func keyFramesEnd() throws {
        let gate = PowerGate(.keyFrames, reason: "Reduced")
        let bench = try bench(gate, script: ScriptedCamera.Script(groupFrames: 100))
        bench.recorder.start()
        bench.wait(seconds: 5) { bench.sink.health.last?.state == .recording }
        bench.wait(seconds: 6) { bench.sink.health.last.map { $0.packets >= 160 } ?? false }
        let stopped = MachineClocks().now().bootMilliseconds
        bench.recorder.stop()
        let record = try #require(bench.sink.segments.first)
        #expect(record.frames == 2 && record.isKeyFramesOnly == true)
        #expect(abs(record.endBootMilliseconds - stopped) < 300, "\(record.endBootMilliseconds - stopped)")
        #expect(abs(record.mediaDurationTicks90k / 90 - record.durationMilliseconds) < 300)
        try expectWhole(bench)
    }

    @Test("Where events are recorded, their footage is as energy allows, and off means off for them too")
    func events() throws {
        let (box, gate) = (TriggerBox(), PowerGate(.keyFrames, reason: "Reduced"))
        let bench = try Bench(
            url: "scripted:",
            change: {
                $0.segmentMilliseconds = 60_000
                $0.recording = RecordingPlan(mode: .events, preRollMilliseconds: 1_000, postRollMilliseconds: 1_000)
            }, script: ScriptedCamera.Script(),
            prepare: {
                $0.power = gate
                $0.triggers = box
            })
        bench.recorder.start()
        bench.wait(seconds: 5) { bench.sink.health.last?.state == .standby }
        usleep(2_000_000)
        raise(box, milliseconds: 500)
        bench.wait(seconds: 12) { bench.sink.segments.count == 1 }
        let record = try #require(bench.sink.segments.first)
        #expect(record.isKeyFramesOnly == true && record.end == .eventOver && record.frames >= 2 && record.frames < 12)
        gate.set(.off, reason: "Hibernate")
        bench.wait(seconds: 2) { bench.sink.health.last?.state == .waiting }
        raise(box, label: "while off")
        usleep(1_000_000)
        bench.recorder.stop()
        #expect(bench.sink.segments.count == 1 && bench.sink.events.map(\.label).contains("while off"))
        #expect(bench.sink.gaps.contains { $0.cause == .power })
        try expectWhole(bench)
    }

    @Test("Sparse: recorded once in each period at a moment of its own, all else a gap that says so")
    func sparse() throws {
        let gate = PowerGate(.sparse(recordMilliseconds: 1_500, everyMilliseconds: 4_000), reason: "Sparse: 24 % battery")
        let bench = try bench(gate)
        bench.recorder.start()
        bench.wait(seconds: 14) { bench.sink.segments.count == 3 }
        bench.recorder.stop()
        let segments = bench.sink.segments
        #expect(segments.count >= 3 && segments.dropLast().allSatisfy { $0.end == .power && (300...2_100).contains($0.durationMilliseconds) }, "\(segments.map(\.durationMilliseconds))")
        #expect(bench.sink.gaps.contains { $0.cause == .power && $0.detail.contains("1 s in 4 s") && $0.detail.contains("24 % battery") })
        try expectWhole(bench)
    }

    @Test("Sparse times: one window a period, wholly within it, at every place of it, and never twice the same for another draw", arguments: [UInt64(1), 2, 3])
    func sparseTimes(seed: UInt64) {
        var generator: any RandomNumberGenerator = SeededRandomness(state: seed)
        func run(_ generator: inout some RandomNumberGenerator) -> [Int64] {
            var times = SparseTimes(recordMilliseconds: 60_000, everyMilliseconds: 600_000, from: 0, using: &generator)
            var starts: [Int64] = []
            var (was, seconds) = (false, 0)
            for second in Int64(0)..<600 * 200 {
                let isDue = times.isDue(at: second * 1_000, using: &generator)
                if isDue, !was { starts.append(second * 1_000) }
                seconds += isDue ? 1 : 0
                was = isDue
            }
            // Two windows may touch where one ends a period and the other begins the next.
            #expect(starts.count >= 195 && (11_800...12_200).contains(seconds), "\(starts.count), \(seconds)")
            return starts
        }
        let starts = run(&generator)
        let places = Set(starts.map { $0 % 600_000 / 60_000 })
        #expect(places.count == 10 || places.count == 9, "\(places)")
        #expect(run(&generator) != starts)
    }
}

/// Accepts connections, and says nothing.
private final class SilentListener {
    private let descriptor: Int32
    let port: Int

    init() throws {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isBound = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, length) == 0 && listen(descriptor, 8) == 0 && getsockname(descriptor, $0, &length) == 0 }
        }
        guard isBound else { throw CocoaError(.featureUnsupported) }
        self.descriptor = descriptor
        port = Int(UInt16(bigEndian: address.sin_port))
    }

    deinit { close(descriptor) }
}
