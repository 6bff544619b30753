@testable import EdgeCapture
import Foundation
import RecordingModel
import StorageIO
import Synchronization
import Testing

@Suite("Odd cameras")
struct OddCameraTests {
    @Test("Timestamps at the ends of 64 bits cost footage at most, never the recorder")
    func extremeTimestamps() throws {
        var script = ScriptedCamera.Script(groupFrames: 5)
        let odd: [Int64] = [.max, .min, .min + 1, 1 << 61, (1 << 60) - 1, -(1 << 60), 1 << 59, -(1 << 59), 1 << 40, 0]
        script.packets = { frame, bytes, isKey in
            // A second of sense, one of nonsense, and then sense again, with the odd time at key frames and between.
            let time = (25..<50).contains(frame) ? odd[Int(frame) % odd.count] &+ frame : frame * 3_600
            var packet = ScriptedPacket(bytes, time: time, isKey: isKey)
            if frame % 7 == 0, (25..<50).contains(frame) { packet.presentationTime = odd[Int(frame / 7) % odd.count] }
            return [packet]
        }
        let bench = try Bench(url: "scripted:", script: script)
        bench.recorder.start()
        bench.wait(seconds: 10) { bench.sink.segments.contains { $0.end == .length && $0.frames >= 50 } }
        #expect(bench.recorder.stop())
        let segments = bench.sink.segments
        #expect(segments.contains { $0.end == .discontinuity })
        #expect(segments.contains { $0.end == .length && $0.frames >= 50 }, "\(segments.map(\.end)) \(segments.map(\.frames))")
        for record in segments where record.frames >= 25 { #expect(try decodedFrames(bench.path(record)) == record.frames) }
    }

    @Test("A fragmented MP4 file with a decode time near 2^63 is recorded up to there, and the recorder lives")
    func extremeFile() throws {
        let scratch = try Scratch()
        let source = scratch.file("source.mp4")
        let made = try runTool(
            "ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=size=160x90:rate=25", "-t", "3", "-pix_fmt", "yuv420p", "-c:v", "libx264", "-g",
            "25", "-movflags", "+frag_keyframe+empty_moov+default_base_moof", source)
        try #require(made.status == 0, "\(made.errors)")
        var bytes = try Array(Data(contentsOf: URL(fileURLWithPath: source)))
        let places = bytes.indices.dropLast(16).filter { bytes[$0..<($0 + 4)].elementsEqual("tfdt".utf8) }
        for place in places.dropFirst() {
            // Version 1: 64 bits follow version and flags.
            try #require(bytes[place + 4] == 1)
            bytes.replaceSubrange((place + 8)..<(place + 10), with: [0x7f, 0xff])
        }
        try Data(bytes).write(to: URL(fileURLWithPath: source))
        let bench = try Bench(url: "file:\(source)", scratch: scratch)
        bench.recorder.start()
        bench.wait(seconds: 8) { bench.sink.health.contains { $0.state == .waiting } }
        #expect(bench.recorder.stop())
        #expect(bench.sink.segments.first?.frames ?? 0 >= 25)
        #expect(bench.sink.firstHole == nil)
    }

    @Test("A camera that sends no further key frame is sealed and the gap says so")
    func noFurtherKeyFrame() throws {
        let bench = try Bench(
            url: "scripted:", change: { $0.noKeyFrameTimeoutMilliseconds = 1_500 }, script: ScriptedCamera.Script(groupFrames: 10_000))
        bench.recorder.start()
        bench.wait(seconds: 6) { bench.sink.gaps.contains { $0.cause == .noKeyFrame } }
        bench.wait(seconds: 2) { bench.sink.segments.count >= 2 }
        bench.recorder.stop()
        let first = try #require(bench.sink.segments.first)
        #expect(first.end == .cameraLost && (35...42).contains(first.frames))
        #expect(bench.sink.gaps.contains { $0.cause == .noKeyFrame && $0.detail.contains("1500 ms") }, "\(bench.sink.gaps)")
        #expect(bench.sink.firstHole == nil)
        try expectDecodes(bench.path(first))
    }

    @Test("A segment has a greatest size: at a key frame it is cut, and without one it is sealed", arguments: [10, 10_000])
    func greatestSize(groupFrames: Int) throws {
        var script = ScriptedCamera.Script(groupFrames: groupFrames)
        script.bitsPerSecond = 2_000_000
        let bench = try Bench(url: "scripted:", change: { $0.segmentMilliseconds = 60_000 }, script: script, limitBytes: 100_000)
        bench.recorder.start()
        bench.wait(seconds: 10) { bench.sink.segments.count >= 2 }
        bench.recorder.stop()
        let first = try #require(bench.sink.segments.first)
        #expect(first.end == (groupFrames == 10 ? .length : .cameraLost))
        #expect(bench.sink.gaps.contains { $0.cause == .noKeyFrame } == (groupFrames != 10))
        #expect(bench.sink.firstHole == nil)
    }

    @Test("A camera that comes and goes is asked less and less often")
    func flapping() throws {
        let bench = try Bench(url: "scripted:", script: ScriptedCamera.Script(groupFrames: 5, frames: 5))
        bench.recorder.start()
        usleep(5_000_000)
        bench.recorder.stop()
        #expect((3...5).contains(bench.sink.health.last?.connects ?? 0), "\(String(describing: bench.sink.health.last))")
        #expect(bench.sink.firstHole == nil)
    }

    @Test("Parameter sets in a packet of their own belong to the picture of the same time")
    func separateParameterSets() throws {
        var script = ScriptedCamera.Script(groupFrames: 10, frames: 50)
        script.packets = { frame, bytes, isKey in
            var sets: [UInt8] = []
            var rest: [UInt8] = [0, 0, 0, 1, 9, 0x10]  // an access unit delimiter behind the parameter sets, as seen
            bytes.withUnsafeBytes { bytes in
                AnnexB.forEachUnit(bytes) { unit in
                    if [7, 8].contains(unit[0] & 0x1f) { sets += [0, 0, 0, 1] + unit } else { rest += [0, 0, 0, 1] + unit }
                    return true
                }
            }
            let time = frame * 3_600
            return (sets.isEmpty ? [] : [ScriptedPacket(sets, time: time, isKey: true)]) + [ScriptedPacket(rest, time: frame == 10 ? nil : time, isKey: isKey)]
        }
        let bench = try Bench(url: "scripted:", change: { $0.segmentMilliseconds = 60_000 }, script: script)
        bench.recorder.start()
        bench.wait(seconds: 6) { !bench.sink.segments.isEmpty }
        bench.recorder.stop()
        let first = try #require(bench.sink.segments.first)
        #expect(first.frames == 50 && first.mediaDurationTicks90k == 180_000)
        try expectDecodes(bench.path(first))
        #expect(try decodedFrames(bench.path(first)) == 50)
        let packets = try runTool("ffprobe", "-v", "error", "-show_entries", "packet=duration", "-of", "csv=p=0", bench.path(first)).output
        #expect(Set(packets.split(separator: "\n").map { $0.prefix { $0 != "," } }) == ["3600"])
        // Nothing is lost: each key frame's parameter sets come before its delimiter and slice.
        #expect(try bench.bytes(first).indices(of: 0x67).ranges.isEmpty == false)
    }

    @Test("MJPEG pictures of another size begin a new run")
    func motionJPEG() throws {
        let scratch = try Scratch()
        var joined = Data()
        for (index, size) in ["160x96", "320x176"].enumerated() {
            let path = scratch.file("\(index).mjpeg")
            let made = try runTool("ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=size=\(size):rate=25", "-t", "2", "-c:v", "mjpeg", path)
            try #require(made.status == 0, "\(made.errors)")
            joined += try Data(contentsOf: URL(fileURLWithPath: path))
        }
        try joined.write(to: URL(fileURLWithPath: scratch.file("joined.mjpeg")))
        // As a file of its own FFmpeg takes it for single pictures.
        let wrapped = try runTool("ffmpeg", "-v", "error", "-f", "mjpeg", "-i", scratch.file("joined.mjpeg"), "-c", "copy", scratch.file("joined.mkv"))
        try #require(wrapped.status == 0, "\(wrapped.errors)")
        let bench = try Bench(url: "file:\(scratch.file("joined.mkv"))", change: { $0.segmentMilliseconds = 60_000 }, scratch: scratch)
        bench.recorder.start()
        bench.wait(seconds: 8) { bench.sink.segments.count >= 2 }
        bench.recorder.stop()
        let segments = Array(bench.sink.segments.prefix(2))
        #expect(segments.map(\.end) == [.parametersChanged, .cameraLost], "\(bench.sink.gaps)")
        #expect(segments.map { "\($0.widthPixels)x\($0.heightPixels)" } == ["160x96", "320x176"])
        #expect(segments.map(\.frames) == [50, 50])
        for record in segments { try expectDecodes(bench.path(record)) }
    }
}
