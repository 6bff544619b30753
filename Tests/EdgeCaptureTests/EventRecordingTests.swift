@testable import EdgeCapture
import EdgeMotion
import Foundation
import RecordingModel
import StorageIO
import Testing

/// The machine's boot clock beside a wall clock that a test sets.
struct SetClocks: Clocks {
    let bootID = "test-boot"
    let startBootMilliseconds: Int64
    let startUnixMilliseconds: Int64
    var source = ClockSource.ntp

    init(startUnixMilliseconds: Int64, source: ClockSource = .ntp) {
        startBootMilliseconds = MachineClocks().now().bootMilliseconds
        self.startUnixMilliseconds = startUnixMilliseconds
        self.source = source
    }

    func now() -> Moment {
        var moment = MachineClocks().now()
        moment.wall = WallEstimate(
            unixMilliseconds: startUnixMilliseconds + moment.bootMilliseconds - startBootMilliseconds, source: source, uncertaintyMilliseconds: 10)
        return moment
    }
}

/// Raises an event in a camera's box, now.
@discardableResult
func raise(_ box: TriggerBox, milliseconds: Int64 = 0, label: String = "door") -> Int64 {
    let now = MachineClocks().now().bootMilliseconds
    box.put(EventTrigger(source: .webhook, label: label, score: 80, phase: .lasting(milliseconds: milliseconds), bootMilliseconds: now))
    return now
}

/// Footage and gaps tile the time from the first to the last of them, and every file decodes.
func expectWhole(_ bench: Bench, sourceLocation: SourceLocation = #_sourceLocation) throws {
    #expect(bench.sink.firstHole == nil, sourceLocation: sourceLocation)
    let spans = bench.sink.spans
    let first = try #require(spans.first, sourceLocation: sourceLocation)
    let last = try #require(spans.last, sourceLocation: sourceLocation)
    #expect(spans.reduce(0) { $0 + $1.end - $1.start } == last.end - first.start, sourceLocation: sourceLocation)
    #expect(abs(MachineClocks().now().bootMilliseconds - last.end) < 1_000, "the last span ends when the recorder did", sourceLocation: sourceLocation)
    for record in bench.sink.segments {
        try expectDecodes(bench.path(record))
        #expect(try decodedFrames(bench.path(record)) == record.frames, sourceLocation: sourceLocation)
    }
}

@Suite("Recording of events")
struct EventRecordingTests {
    private func bench(
        _ box: TriggerBox, preRoll: Int64 = 2_000, postRoll: Int64 = 1_000, script: ScriptedCamera.Script = ScriptedCamera.Script(),
        storage: any StorageIO = RealStorage(), segmentMilliseconds: Int = 60_000
    ) throws -> Bench {
        try Bench(
            url: "scripted:", storage: storage,
            change: {
                $0.segmentMilliseconds = segmentMilliseconds
                $0.recording = RecordingPlan(mode: .events, preRollMilliseconds: preRoll, postRollMilliseconds: postRoll)
            }, script: script, prepare: { $0.triggers = box })
    }

    @Test("An event's footage begins at a key frame before its pre-roll, ends with a group of pictures after its post-roll, and all else is a gap with its cause")
    func preAndPostRoll() throws {
        let box = TriggerBox()
        // Longer than the cool-down, through which an event is recorded anyway.
        let bench = try bench(box, postRoll: 6_000, segmentMilliseconds: 2_000)
        bench.recorder.start()
        bench.wait(seconds: 3) { bench.sink.health.last?.state == .standby }
        usleep(5_000_000)
        #expect(bench.sink.segments.isEmpty && bench.sink.health.last?.state == .standby)
        // In the middle of a group of pictures.
        let raised = raise(box, milliseconds: 500)
        bench.wait(seconds: 15) { bench.sink.segments.last?.end == .eventOver }
        bench.wait(seconds: 8) { !bench.sink.events.isEmpty }
        bench.recorder.stop()
        let segments = bench.sink.segments
        try #require(segments.count >= 2)
        let start = segments[0].startBootMilliseconds
        #expect(start <= raised - 2_000 + 5 && start >= raised - 3_200, "\(raised - start) ms before")
        let end = segments[segments.count - 1].endBootMilliseconds
        #expect(end >= raised + 6_500 - 45 && end <= raised + 6_500 + 1_300, "\(end - raised) ms after")
        #expect(Set(segments.map(\.run)) == [0] && segments.map(\.end) == Array(repeating: .length, count: segments.count - 1) + [.eventOver])
        // Whole groups of 25 pictures.
        #expect(segments.allSatisfy { $0.frames % 25 == 0 })
        try expectWhole(bench)
        #expect(Set(bench.sink.gaps.map(\.cause)) == [.starting, .noEvent])
        #expect(bench.sink.gaps.first?.cause == .starting && bench.sink.gaps.first?.durationMilliseconds ?? 9_999 < 1_000)
        let event = try #require(bench.sink.events.first)
        #expect(bench.sink.events.count == 1 && event.source == .webhook && event.label == "door" && event.score == 80)
        #expect(event.startBootMilliseconds == raised && event.durationMilliseconds == 500 && event.isPlausible)
        #expect(abs(event.startWall.unixMilliseconds - segments[0].startWall.unixMilliseconds - (raised - start)) <= 20)
    }

    @Test("Two events within one post-roll are one recording and two entries; a later one is a run of its own")
    func eventsJoin() throws {
        let box = TriggerBox()
        let bench = try bench(box, preRoll: 1_000, postRoll: 6_500)
        bench.recorder.start()
        bench.wait(seconds: 3) { bench.sink.health.last?.state == .standby }
        usleep(1_500_000)
        raise(box)
        // Later than the cool-down, within the post-roll.
        usleep(6_000_000)
        raise(box, label: "gate")
        bench.wait(seconds: 12) { bench.sink.segments.last?.end == .eventOver }
        #expect(bench.sink.segments.count == 1 && bench.sink.events.map(\.label).contains("door"))
        usleep(2_000_000)
        raise(box, label: "third")
        usleep(500_000)
        bench.recorder.stop()
        #expect(bench.sink.segments.map(\.run) == [0, 1] && bench.sink.segments.map(\.end) == [.eventOver, .stopped])
        #expect(bench.sink.events.map(\.label) == ["door", "gate", "third"])
        try expectWhole(bench)
        #expect(Set(bench.sink.gaps.map(\.cause)) == [.starting, .noEvent, .stopped] || Set(bench.sink.gaps.map(\.cause)) == [.starting, .noEvent])
    }

    @Test("A camera that is lost while nothing is kept gives a gap for no event and one for the camera, and an event meanwhile is told")
    func lostInStandby() throws {
        let box = TriggerBox()
        let bench = try bench(box, script: ScriptedCamera.Script(frames: 60))
        bench.recorder.start()
        bench.wait(seconds: 8) { bench.sink.health.last?.state == .waiting }
        let raised = raise(box)
        bench.wait(seconds: 9) { bench.sink.events.count == 1 && bench.sink.segments.count == 1 }
        bench.recorder.stop()
        #expect(bench.sink.events.first?.startBootMilliseconds == raised)
        // Within the post-roll the camera is back, and what comes then is kept.
        #expect(bench.sink.segments.first?.startBootMilliseconds ?? 0 > raised)
        let causes = bench.sink.gaps.map(\.cause)
        #expect(Array(causes.prefix(3)) == [.starting, .noEvent, .cameraLost], "\(causes)")
        #expect(bench.sink.gaps.first { $0.cause == .noEvent }?.durationMilliseconds ?? 0 > 2_000)
        try expectWhole(bench)
    }

    @Test("When the disk fails as the pre-roll is written, time is still accounted for, and the next event is recorded")
    func diskFault() throws {
        let box = TriggerBox()
        let storage = FaultyStorage { operation, count in operation == .append && count == 3 }
        let bench = try bench(box, storage: storage)
        bench.recorder.start()
        bench.wait(seconds: 3) { bench.sink.health.last?.state == .standby }
        usleep(3_000_000)
        raise(box, milliseconds: 3_000)
        bench.wait(seconds: 12) { bench.sink.segments.last?.end == .eventOver }
        bench.recorder.stop()
        #expect(bench.sink.gaps.contains { $0.cause == .diskFault } && bench.sink.segments.last?.end == .eventOver)
        try expectWhole(bench)
    }

    @Test("Footage is kept within the schedule's hours, and outside of them only for events where it says so", arguments: [RecordingPlan.Outside.nothing, .events])
    func schedule(outside: RecordingPlan.Outside) throws {
        let box = TriggerBox()
        let window = try #require(WeeklySchedule.Window("mon 07:00-07:01"))
        // 2026-07-06 was a Monday; it is 2.5 s before the window's end.
        let clocks = SetClocks(startUnixMilliseconds: 1_783_296_000_000 + (7 * 60 + 1) * 60_000 - 2_500)
        let bench = try Bench(
            url: "scripted:",
            change: {
                $0.segmentMilliseconds = 60_000
                $0.recording = RecordingPlan(
                    mode: .schedule, schedule: WeeklySchedule(windows: [window]), outside: outside, preRollMilliseconds: 1_000, postRollMilliseconds: 500)
            }, script: ScriptedCamera.Script(),
            prepare: {
                $0.triggers = box
                $0.clocks = clocks
            })
        bench.recorder.start()
        bench.wait(seconds: 6) { bench.sink.segments.count == 1 }
        usleep(2_500_000)
        raise(box)
        bench.wait(seconds: outside == .events ? 8 : 3) { bench.sink.segments.count == 2 }
        bench.recorder.stop()
        let segments = bench.sink.segments
        #expect(segments.first?.end == .eventOver)
        #expect(abs((segments.first?.endUnixMilliseconds ?? 0) % 60_000) < 1_500, "it ended with the group of pictures in which the hours did")
        #expect(segments.count == (outside == .events ? 2 : 1))
        #expect(Set(bench.sink.gaps.map(\.cause)).isSubset(of: outside == .events ? [.starting, .noEvent] : [.starting, .schedule]))
        #expect(bench.sink.events.count == 1)
        try expectWhole(bench)
    }

    @Test("A clock that was never set records as if there were no schedule")
    func unsetClock() throws {
        let bench = try Bench(
            url: "scripted:", change: { $0.recording = RecordingPlan(mode: .schedule, schedule: WeeklySchedule(windows: [])) },
            script: ScriptedCamera.Script(), prepare: { $0.clocks = SetClocks(startUnixMilliseconds: 5_000, source: .none) })
        bench.recorder.start()
        bench.wait(seconds: 5) { !bench.sink.segments.isEmpty }
        bench.recorder.stop()
        #expect(bench.sink.segments.first?.end == .length)
        try expectWhole(bench)
    }

    @Test("Where everything is recorded an event is an entry and nothing else")
    func continuous() throws {
        let box = TriggerBox()
        let bench = try Bench(url: "scripted:", change: { $0.segmentMilliseconds = 60_000 }, script: ScriptedCamera.Script(), prepare: { $0.triggers = box })
        bench.recorder.start()
        bench.wait(seconds: 3) { bench.sink.health.last?.state == .recording }
        usleep(1_200_000)
        raise(box)
        usleep(600_000)
        bench.recorder.stop()
        #expect(bench.sink.segments.map(\.end) == [.stopped] && bench.sink.events.map(\.label) == ["door"])
        try expectWhole(bench)
    }

    @Test("Sound is part of the pre-roll")
    func sound() throws {
        let scratch = try Scratch()
        let source = scratch.file("source.mp4")
        let made = try runTool(
            "ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=size=160x90:rate=25", "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000",
            "-t", "15", "-pix_fmt", "yuv420p", "-c:v", "libx264", "-g", "25", "-c:a", "aac", source)
        try #require(made.status == 0, "\(made.errors)")
        let box = TriggerBox()
        let bench = try Bench(
            url: "file:\(source)",
            change: {
                $0.segmentMilliseconds = 60_000
                $0.audio = .record(reason: "test")
                $0.recording = RecordingPlan(mode: .events, preRollMilliseconds: 2_000, postRollMilliseconds: 500)
            }, scratch: scratch, prepare: { $0.triggers = box })
        bench.recorder.start()
        bench.wait(seconds: 3) { bench.sink.health.last?.state == .standby }
        usleep(4_000_000)
        let raised = raise(box)
        bench.wait(seconds: 9) { !bench.sink.segments.isEmpty }
        bench.recorder.stop()
        let first = try #require(bench.sink.segments.first)
        #expect(first.startBootMilliseconds <= raised - 1_990 && first.end == .eventOver)
        try expectWhole(bench)
        let streams = try runTool("ffprobe", "-v", "error", "-show_entries", "stream=codec_name,duration", "-of", "csv=p=0", bench.path(first)).output
        let durations = streams.split(separator: "\n").compactMap { $0.split(separator: ",").last.flatMap { Double($0) } }
        #expect(durations.count == 2 && streams.contains("aac"), "\(streams)")
        // The last frame of sound waits for its successor, which does not come.
        #expect(abs((durations.first ?? 0) - (durations.last ?? 9)) < 0.15, "\(streams)")
    }

    @Test("Motion in the compressed stream begins a recording that holds it, and the still parts are no event")
    func motion() throws {
        let scratch = try Scratch()
        let source = scratch.file("scene.mp4")
        // Still for 13 s, a square that crosses the picture until 16 s, still again.
        let made = try runTool(
            "ffmpeg", "-v", "error", "-f", "lavfi", "-i", "mandelbrot=size=320x180:rate=1:maxiter=200", "-f", "lavfi", "-i", "color=c=white:size=40x40:rate=25",
            "-filter_complex",
            "[0]trim=end_frame=1,loop=loop=-1:size=1,fps=25,setpts=N/25/TB,noise=alls=3:allf=t[back];[back][1]overlay=x='mod((t-13)*80,280)':y=80:enable='between(t,13,16)'",
            "-t", "24", "-pix_fmt", "yuv420p", "-c:v", "libx264", "-preset", "veryfast", "-crf", "26", "-g", "25", source)
        try #require(made.status == 0, "\(made.errors)")
        let bench = try Bench(
            url: "file:\(source)",
            change: {
                $0.segmentMilliseconds = 60_000
                $0.recording = RecordingPlan(mode: .events, preRollMilliseconds: 3_000, postRollMilliseconds: 2_000)
                $0.motion = MotionSettings(coolDownMilliseconds: 2_000)
            }, scratch: scratch)
        bench.recorder.start()
        bench.wait(seconds: 4) { bench.sink.health.last?.state == .standby }
        let opened = MachineClocks().now().bootMilliseconds
        bench.wait(seconds: 26) { !bench.sink.segments.isEmpty && !bench.sink.events.isEmpty }
        usleep(1_000_000)
        bench.recorder.stop()
        let event = try #require(bench.sink.events.first)
        #expect(bench.sink.events.count == 1 && event.source == .motion && event.label == "motion" && event.score >= 20)
        // Found within two groups of pictures of a second each.
        let start = event.startBootMilliseconds - opened
        #expect((12_300...15_100).contains(start), "the event began at \(start) ms")
        #expect((1_500...5_000).contains(event.durationMilliseconds), "\(event.durationMilliseconds)")
        let first = try #require(bench.sink.segments.first)
        #expect(bench.sink.segments.count == 1 && first.end == .eventOver && first.startBootMilliseconds <= event.startBootMilliseconds - 2_990)
        try expectWhole(bench)
    }
}
