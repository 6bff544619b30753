import EvidenceLog
import Foundation
import RecordingModel
import TestSupport
import Testing

extension EndToEnd {
    /// A minute, or half an hour with `FIELDPOST_LONG=1`.
    private static var saturatedSeconds: Int { ProcessInfo.processInfo.environment["FIELDPOST_LONG"] == "1" ? 1_800 : 60 }
    private static let saturatedCameras = ["a", "b", "c", "d"]

    /// Four cameras whose footage is transcoded at full size by a slow encoder, on as many threads as there are processors: there is always
    /// more to encode than can be. Recording loses nothing, whatever the encoders take.
    @Test(.timeLimit(.minutes(45)))
    func nothingIsDroppedWhileEncodersTakeAllProcessors() async throws {
        let scratch = try TemporaryDirectory("saturation")
        let footage = scratch.path("camera.h264")
        try await runSuccessfully(
            "/usr/bin/ffmpeg",
            [
                "-nostdin", "-v", "error", "-f", "lavfi", "-i", "testsrc2=size=1280x720:rate=25,noise=alls=8:allf=t", "-t", "10", "-pix_fmt", "yuv420p", "-c:v", "libx264",
                "-preset", "veryfast", "-b:v", "2M", "-maxrate", "2M", "-bufsize", "2M", "-g", "50", "-bf", "0", "-f", "h264", footage,
            ])
        let cameras = try await CameraServer.start(Self.saturatedCameras.map { "\($0)=h264,1280x720,25,2000,file=\(footage)" })
        let node = try await Node(cameras: cameras.urls, segmentSeconds: 4)
        let processors = ProcessInfo.processInfo.activeProcessorCount
        try node.configure {
            $0.replacing("# transcode: {enabled: true, encoders: [h264], quality: 23, above_kilobits_per_second: 8000, cameras: [gate]}",
                with: "transcode: {enabled: true, encoders: [h265], quality: 18, cameras: [\(Self.saturatedCameras.joined(separator: ", "))]}")
                .replacing("\n  threads: 1\n", with: "\n  threads: \(min(4, processors))\n").replacing("interval_seconds: 10", with: "interval_seconds: 1")
        }
        try node.start()
        _ = try await eventually("something is being transcoded; log: \(node.log)", within: .seconds(60)) {
            try Self.metric("fieldpost_edge_compress_cpu_seconds", try await node.status()).map { $0 > 0 ? true : nil } ?? nil
        }
        let before = try Self.processorTime()
        // Time is what is tested here.
        try await Task.sleep(for: .seconds(Self.saturatedSeconds))
        let after = try Self.processorTime()
        let status = try await node.status()
        let encoderSeconds = try Self.metric("fieldpost_edge_compress_cpu_seconds", status) ?? 0
        #expect(try await node.stop().status == 0)

        let bodies = try files(under: node.data).filter { $0.hasSuffix(".jsonl") }.sorted().flatMap { path in
            try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n").map { try LogEntry(line: Array($0.utf8)).body }
        }
        let segments = bodies.compactMap { if case .segment(let record) = $0 { record } else { nil } }
        let gaps = bodies.compactMap { if case .gap(let gap) = $0, gap.cause != .starting, gap.cause != .stopped { gap } else { nil } }
        let main = segments.filter { $0.stream.kind == .main }
        let busyPercent = 100 * (after.busy - before.busy) / max(1, after.all - before.all)
        let drops = main.reduce(0) { $0 + $1.drops }
        var missing = 0
        for camera in Self.saturatedCameras {
            let records = main.filter { $0.stream.camera.description == camera }
            #expect(records.reduce(0) { $0 + $1.durationMilliseconds } > Int64(Self.saturatedSeconds) * 1_000, "\(camera) was recorded for less than the test took")
            // At 25 pictures a second each lasts 3,600 ticks: a lost one makes its neighbour longer.
            missing += records.reduce(0) { $0 + Int($1.mediaDurationTicks90k / 3_600) - $1.frames }
        }
        let figures =
            "\(Self.saturatedSeconds) s, \(Self.saturatedCameras.count) cameras on \(processors) processors: \(busyPercent) % busy, encoders took \(Int(encoderSeconds)) s; "
            + "\(main.reduce(0) { $0 + $1.frames }) pictures recorded, \(drops) packets dropped, \(missing) pictures missing, \(gaps.count) gaps, "
            + "\(segments.count { $0.stream.kind == .proxy }) of \(main.count) segments transcoded"
        print(figures)
        #expect(drops == 0 && missing == 0 && gaps.isEmpty, "\(figures): \(gaps.first?.detail ?? "")")
        #expect(busyPercent >= 90, "the encoders did not take all processors: \(figures)")
        #expect(segments.contains { $0.stream.kind == .proxy } && segments.count { $0.stream.kind == .proxy } < main.count, "\(figures)")
        let metrics = (status["running"] as? [String: any Sendable])?["metrics"] as? String ?? ""
        #expect(metrics.contains("fieldpost_edge_compress_worker_deaths 0"), "\(metrics)")
    }

    /// Of all processors since the machine started, in its ticks.
    private static func processorTime() throws -> (busy: Int, all: Int) {
        let line = try String(contentsOfFile: "/proc/stat", encoding: .utf8).split(separator: "\n").first ?? ""
        let ticks = line.split(separator: " ").dropFirst().prefix(8).compactMap { Int($0) }
        let all = ticks.reduce(0, +)
        // Fourth and fifth: idle, and waiting for a disk.
        return (all - (ticks.count > 4 ? ticks[3] + ticks[4] : 0), all)
    }

    private static func metric(_ name: String, _ status: [String: any Sendable]) throws -> Double? {
        let text = (status["running"] as? [String: any Sendable])?["metrics"] as? String ?? ""
        return text.split(separator: "\n").first { $0.hasPrefix("\(name) ") }.flatMap { Double($0.split(separator: " ")[1]) }
    }
}
