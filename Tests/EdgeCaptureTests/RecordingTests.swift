import Crypto
import EdgeCapture
import EvidenceLog
import Foundation
import RecordingModel
import StorageIO
import SystemPackage
import Testing

func decodedFrames(_ path: String) throws -> Int? {
    let result = try runTool(
        "ffprobe", "-v", "error", "-count_frames", "-select_streams", "v:0", "-show_entries", "stream=nb_read_frames", "-of", "csv=p=0", path)
    #expect(result.errors == "", "\(path)")
    return Int(result.output.trimmingCharacters(in: .whitespacesAndNewlines))
}

func expectDecodes(_ path: String) throws {
    // With the file's own time base: at a rate that ffmpeg guesses, pictures close together would be complained about.
    let result = try runTool("ffmpeg", "-v", "error", "-i", path, "-fps_mode", "passthrough", "-enc_time_base", "-1", "-f", "null", "-")
    #expect(result.status == 0 && result.errors == "", "\(path): \(result.errors)")
}

@Suite("Recording")
struct RecordingTests {
    @Test("A test camera's segments follow one another without a hole, prove themselves and play")
    func testCamera() throws {
        let bench = try Bench(url: "test:?size=320x180&fps=20&gop=20&bitrate=200k")
        #expect(bench.recorder.start())
        bench.wait(seconds: 12) { bench.sink.segments.count >= 3 }
        usleep(500_000)
        let stopping = Date()
        #expect(bench.recorder.stop())
        #expect(Date().timeIntervalSince(stopping) < 1)

        let segments = bench.sink.segments
        try #require(segments.count >= 4)
        #expect(segments.map(\.sequence) == (0..<UInt64(segments.count)).map { $0 })
        #expect(Set(segments.map(\.run)) == [0])
        #expect(segments.map(\.end) == Array(repeating: .length, count: segments.count - 1) + [.stopped])
        #expect(bench.sink.firstHole == nil)
        #expect(bench.sink.gaps.first?.cause == .starting)
        for (left, right) in zip(segments, segments.dropFirst()) {
            #expect(left.mediaStartTicks90k + left.mediaDurationTicks90k == right.mediaStartTicks90k)
            #expect(left.mediaDurationTicks90k == 180_000)
        }
        for record in segments {
            try expectDecodes(bench.path(record))
            try expectProven(record, bench)
        }
        let whole = try bench.joined(run: 0)
        try expectDecodes(whole)
        #expect(try decodedFrames(whole) == segments.reduce(0) { $0 + $1.frames })
        #expect(segments[0].widthPixels == 320 && segments[0].heightPixels == 180)
        #expect(segments[0].codecs.hasPrefix("avc1.42"))
        #expect(bench.sink.health.last?.state == .stopped)
        #expect(try RealStorage().list(bench.directory).count == segments.count * 2)
    }

    /// File, side file and record must tell the same.
    private func expectProven(_ record: SegmentRecord, _ bench: Bench) throws {
        let bytes = try bench.bytes(record)
        #expect(Int64(bytes.count) == record.bytes)
        #expect(ContentHash(Array(SHA256.hash(data: bytes))) == record.sha256)
        #expect(ContentHash(Array(SHA256.hash(data: bytes.prefix(Int(record.initBytes))))) == record.initSHA256)
        let side = try RealStorage().read(bench.directory.appending(SegmentFiles.sideName(record.sequence)))
        let line = try #require(side.firstIndex(of: UInt8(ascii: "\n")))
        let header = try JSONDecoder().decode(SideHeader.self, from: Data(side[..<line]))
        #expect(header.startBootMilliseconds == record.startBootMilliseconds && header.run == record.run)
        #expect(header.mediaStartTicks90k == record.mediaStartTicks90k && header.initBytes == record.initBytes)
        var offset = record.initBytes
        var leaves: [[UInt8]] = []
        var frames = 0
        var duration: Int64 = 0
        for start in stride(from: line + 1, to: side.count, by: FragmentRecord.recordBytes) {
            let fragment = try #require(FragmentRecord(side[start..<(start + FragmentRecord.recordBytes)]))
            #expect(fragment.offset == offset)
            offset += fragment.length
            #expect(ContentHash(Array(SHA256.hash(data: bytes[Int(fragment.offset)..<Int(offset)]))) == fragment.sha256)
            leaves.append(fragment.sha256.bytes)
            frames += fragment.frames
            duration += fragment.durationTicks90k
        }
        #expect(offset == record.bytes && leaves.count == record.fragmentCount)
        #expect(frames == record.frames && duration == record.mediaDurationTicks90k)
        #expect(MerkleTree.root(ofLeafData: leaves) == record.fragmentRoot)
    }

    @Test("A long group of pictures is written in fragments of 2 s, and the segment waits for its key frame")
    func longGroup() throws {
        let bench = try Bench(url: "test:?size=160x90&fps=10&gop=45&bitrate=50k")
        bench.recorder.start()
        bench.wait(seconds: 8) { !bench.sink.segments.isEmpty }
        bench.recorder.stop()
        let first = try #require(bench.sink.segments.first)
        #expect(first.frames == 45 && first.fragmentCount == 3 && first.mediaDurationTicks90k == 405_000)
        try expectDecodes(bench.path(first))
    }

    @Test("A file's slices are recorded byte for byte, B-frames, H.265 and all", arguments: [
        ("h264", "mp4", ["-c:v", "libx264", "-bf", "3", "-g", "25"]), ("h264", "ts", ["-c:v", "libx264", "-bf", "2", "-g", "25"]),
        ("hevc", "mp4", ["-c:v", "libx265", "-x265-params", "log-level=none:keyint=25:bframes=3"]),
        ("hevc", "ts", ["-c:v", "libx265", "-x265-params", "log-level=none:keyint=25:bframes=3"]),
    ])
    func byteForByte(codec: String, container: String, encoder: [String]) throws {
        let scratch = try Scratch()
        let source = scratch.file("source.\(container)")
        let made = try runTool(
            ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25", "-t", "3", "-pix_fmt", "yuv420p"] + encoder + [source])
        try #require(made.status == 0, "\(made.errors)")
        let bench = try Bench(url: "file:\(source)", scratch: scratch)
        bench.recorder.start()
        bench.wait(seconds: 10) { bench.sink.segments.contains { $0.end == .cameraLost } }
        bench.recorder.stop()
        #expect(bench.sink.firstHole == nil)
        let whole = try bench.joined(run: 0)
        try expectDecodes(whole)
        #expect(try decodedFrames(whole) == 75)
        #expect(try slices(whole, codec) == slices(source, codec))
        let times = try timestamps(whole)
        #expect(times.count == 75)
        #expect(try times == timestamps(source))
        let record = try #require(bench.sink.segments.first)
        #expect(record.codecs.hasPrefix(codec == "hevc" ? "hvc1.1.6.L" : "avc1.64"))
    }

    /// The coded slices alone, in decoding order.
    private func slices(_ path: String, _ codec: String) throws -> String {
        let types = codec == "h264" ? "1-5" : "0-31"
        let result = try runTool(
            "ffmpeg", "-v", "error", "-i", path, "-map", "0:v", "-c", "copy", "-bsf:v",
            "\(codec)_mp4toannexb,filter_units=pass_types=\(types)", "-f", "md5", "-")
        #expect(result.status == 0 && result.output.hasPrefix("MD5="), "\(result.errors)")
        return result.output
    }

    /// Presentation and decode times from the first decode time on, in 90 kHz ticks.
    private func timestamps(_ path: String) throws -> [[Int]] {
        let result = try runTool("ffprobe", "-v", "error", "-select_streams", "v:0", "-show_entries", "packet=pts_time,dts_time", "-of", "csv=p=0", path)
        let rows = result.output.split(separator: "\n").map { line in
            line.split(separator: ",").compactMap { Double($0) }.map { Int(($0 * 90_000).rounded()) }
        }
        guard let first = rows.first?.last else { return rows }
        // Microseconds in the text: within a tick is the same.
        return rows.map { row in row.map { ($0 - first + 1) / 3 } }
    }

    @Test("A new picture size or a jump of the timestamps ends the run, and the next begins on the same connection", arguments: [
        ("320x180", "0", SegmentEnd.parametersChanged), ("160x90", "100", .discontinuity),
    ])
    func runEnds(size: String, offsetSeconds: String, end: SegmentEnd) throws {
        let scratch = try Scratch()
        var joined = Data()
        for (index, part) in [("160x90", "0"), (size, offsetSeconds)].enumerated() {
            let path = scratch.file("\(index).ts")
            let made = try runTool(
                "ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=size=\(part.0):rate=25", "-t", "2", "-pix_fmt", "yuv420p", "-c:v", "libx264",
                "-g", "25", "-bf", "0", "-output_ts_offset", part.1, path)
            try #require(made.status == 0, "\(made.errors)")
            joined += try Data(contentsOf: URL(fileURLWithPath: path))
        }
        try joined.write(to: URL(fileURLWithPath: scratch.file("joined.ts")))
        let bench = try Bench(url: "file:\(scratch.file("joined.ts"))", change: { $0.segmentMilliseconds = 60_000 }, scratch: scratch)
        bench.recorder.start()
        bench.wait(seconds: 8) { bench.sink.segments.count >= 2 }
        bench.recorder.stop()
        let segments = Array(bench.sink.segments.prefix(2))
        #expect(segments.map(\.end) == [end, .cameraLost])
        #expect(segments.map(\.run) == [0, 1])
        #expect(segments.map(\.frames) == [50, 50])
        #expect(segments.map { "\($0.widthPixels)x\($0.heightPixels)" } == ["160x90", size])
        #expect(bench.sink.firstHole == nil)
        #expect(bench.sink.health.last?.connects ?? 0 <= 2)
        for record in segments { try expectDecodes(bench.path(record)) }
    }

    @Test("Sound is copied only when a reason is given, and lies beside the picture")
    func sound() throws {
        let scratch = try Scratch()
        let source = scratch.file("source.mp4")
        let made = try runTool(
            "ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=size=160x90:rate=25", "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000",
            "-t", "3", "-pix_fmt", "yuv420p", "-c:v", "libx264", "-g", "25", "-c:a", "aac", source)
        try #require(made.status == 0, "\(made.errors)")
        for policy in [AudioPolicy.off, .record(reason: "test")] {
            let bench = try Bench(url: "file:\(source)", change: { $0.audio = policy })
            bench.recorder.start()
            bench.wait(seconds: 10) { bench.sink.segments.contains { $0.end == .cameraLost } }
            bench.recorder.stop()
            let whole = try bench.joined(run: 0)
            try expectDecodes(whole)
            let streams = try runTool("ffprobe", "-v", "error", "-show_entries", "stream=codec_name", "-of", "csv=p=0", whole).output
            #expect(streams == (policy.isRecorded ? "h264\naac\n" : "h264\n"))
            guard policy.isRecorded else { continue }
            #expect(bench.sink.segments.first?.codecs.hasSuffix(",mp4a.40.2") == true)
            let packets = try runTool("ffprobe", "-v", "error", "-select_streams", "a", "-count_packets", "-show_entries", "stream=nb_read_packets,duration", "-of", "csv=p=0", whole)
            let expected = try runTool("ffprobe", "-v", "error", "-select_streams", "a", "-count_packets", "-show_entries", "stream=nb_read_packets,duration", "-of", "csv=p=0", source)
            let got = packets.output.split(separator: ",").last.flatMap { Int($0.trimmingCharacters(in: .whitespacesAndNewlines)) } ?? 0
            let all = expected.output.split(separator: ",").last.flatMap { Int($0.trimmingCharacters(in: .whitespacesAndNewlines)) } ?? 0
            // The encoder's priming lies before the first picture.
            #expect(got >= all - 2 && got <= all, "\(got) of \(all)")
        }
    }
}
