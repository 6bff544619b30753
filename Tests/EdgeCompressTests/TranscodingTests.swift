import EdgeCapture
import EvidenceLog
import Foundation
import LibAV
import RecordingModel
import Testing
import TestSupport

@testable import EdgeCompress

@Suite struct TranscodingTests {
    private let camera = CameraID("a")!

    @Test func motionJPEGBecomesH264WithItsPicturesAndTimes() async throws { try await transcode(.h264, tag: "avc1", codecs: "avc1.64") }

    @Test(.enabled(if: LibraryVersion.hasEncoder("libx265"), "this machine's FFmpeg has no libx265"))
    func motionJPEGBecomesH265WithItsPicturesAndTimes() async throws { try await transcode(.h265, tag: "hvc1", codecs: "hvc1.1.") }

    @Test(.enabled(if: LibraryVersion.hasEncoder("libsvtav1"), "this machine's FFmpeg has no libsvtav1"))
    func motionJPEGBecomesAV1WithItsPicturesAndTimes() async throws { try await transcode(.av1, tag: "av01", codecs: "av01.0.") }

    /// Through the engine and the confined worker, from footage with holes in its times.
    private func transcode(_ encoder: ProxyEncoder, tag: String, codecs: String) async throws {
        let scratch = try TemporaryDirectory("transcode")
        let path = try makeFootage(
            scratch, "a.mp4", source: "testsrc2=size=640x360:rate=25,select=not(eq(mod(n\\,7)\\,3))", seconds: 6,
            arguments: ["-fps_mode", "passthrough", "-c:v", "mjpeg", "-q:v", "3"])
        let file = try memoryFile(path)
        let sourceTimes = try times(path)
        #expect(sourceTimes.count > 100 && sourceTimes.count < 140, "\(sourceTimes.count) pictures: there are no holes")
        let store = MemoryStore()
        store.record(file, seconds: 6, frames: sourceTimes.count, codecs: "mp4v.6C")
        let engine = try engine(store, scratch, CompressPlan(cameras: [camera], thumbnails: nil, proxy: nil, transcoding: .init(encoders: [encoder]), configVersion: "1"))
        #expect(engine.start())
        try await until("the segment was transcoded") { !store.made(.proxy).isEmpty }
        #expect(engine.stop(withinMilliseconds: 10_000))
        #expect(engine.figures.encoders == [encoder.name: "works"] && engine.figures.transcoded == 1 && engine.figures.workerDeaths == 0)

        let made = store.made(.proxy)[0]
        #expect(made.record.codecs.hasPrefix(codecs), "\(made.record.codecs)")
        #expect(made.record.isPlausible && made.record.frames == sourceTimes.count)
        #expect(try times(made.openPath) == sourceTimes)
        let probe = try runBlocking("/usr/bin/ffprobe", ["-v", "error", "-show_entries", "stream=codec_tag_string,width,height", "-of", "csv=p=0", made.openPath])
        #expect(probe.output.trimmingCharacters(in: .whitespacesAndNewlines) == "\(tag),640,360" && probe.errors.isEmpty, "\(probe.output)\(probe.errors)")
        // Every picture decodes without a word, and looks like the source's.
        let decoded = try runBlocking("/usr/bin/ffmpeg", ["-nostdin", "-v", "warning", "-xerror", "-i", made.openPath, "-fps_mode", "passthrough", "-f", "null", "-"])
        #expect(decoded.status == 0 && decoded.errors.isEmpty, "\(decoded.errors)")
        let compared = try runBlocking("/usr/bin/ffmpeg", ["-nostdin", "-hide_banner", "-i", made.openPath, "-i", path, "-filter_complex", "[1:v]scale=out_range=tv,format=yuv420p[s];[0:v][s]psnr", "-f", "null", "-"])
        // Full range that was only called limited would be below 25 dB.
        let decibels = compared.errors.firstRange(of: "PSNR y:").flatMap { Double(compared.errors[$0.upperBound...].prefix { $0.isNumber || $0 == "." }) }
        #expect(decibels ?? 0 > 32, "\(compared.errors.suffix(300))")

        let record = try #require(made.record.made)
        #expect(record.kind == .transcoded && record.sources.description == "0" && record.sourceSHA256 == ContentHash.sha256(file.bytes) && record.isPlausible)
        #expect(record.encoder.hasPrefix("\(encoder.name), libavcodec") || record.encoder.hasPrefix("\(encoder.name), "), "\(record.encoder)")
        #expect(record.settings.contains("every picture") && record.settings.contains("crf="), "\(record.settings)")
        let hash = try runBlocking("/usr/bin/ffmpeg", ["-nostdin", "-v", "error", "-i", path, "-map", "0:v:0", "-c", "copy", "-f", "hash", "-hash", "sha256", "-"])
        #expect(hash.output.trimmingCharacters(in: .whitespacesAndNewlines) == "SHA256=\(record.sourcePacketsSHA256?.hex ?? "none")")
    }

    @Test func aProxyAtARateIsMadeByEveryEncoderThatIsHere() throws {
        let scratch = try TemporaryDirectory("rates")
        let path = try makeFootage(scratch, "a.mp4", source: "testsrc2=size=640x360:rate=15,noise=alls=6:allf=t", seconds: 12, framesPerSecond: 15)
        let file = try memoryFile(path)
        for encoder in ProxyEncoder.allCases where LibraryVersion.hasEncoder(encoder.name) {
            let worker = try WorkerProcess(workerSettings(threads: 2))
            let settings = ProxySettings(.init(bitsPerSecond: 150_000), encoder, threads: 1, bitsPerSecond: 150_000, sampleRecord(bytes: file.length, seconds: 12, frames: 180))
            let (bytes, _, frames) = try worker.proxy(file, settings.job)
            let proxy = scratch.path("\(encoder).mp4")
            try Data(bytes).write(to: URL(fileURLWithPath: proxy))
            #expect(frames == 180)
            #expect(try times(proxy) == times(path), "\(encoder)")
            let rate = Double(bytes.count) * 8 / 12
            // What an encoder takes too much the budget takes from the next segments.
            #expect(rate > 75_000 && rate < 225_000, "\(encoder): \(rate) bit/s")
            let decoded = try runBlocking("/usr/bin/ffmpeg", ["-nostdin", "-v", "warning", "-xerror", "-i", proxy, "-f", "null", "-"])
            #expect(decoded.status == 0 && decoded.errors.isEmpty, "\(encoder): \(decoded.errors)")
        }
    }

    @Test func anEncoderThatIsNotHereIsRefusedWithAReasonAndTheWorkerGoesOn() throws {
        let worker = try WorkerProcess(workerSettings())
        func trial(_ encoder: String, _ options: [[String]]) throws -> WorkerFigures {
            let job = ProxyJob(
                sourceBytes: 0, encoder: encoder, options: options, bitsPerSecond: 0, peakBitsPerSecond: 0, bufferBits: 0, sidePixels: 320, framesPerSecondMax: 15)
            return try worker.perform(.trial(job), source: MemoryFile([]), cpuSeconds: 60, unless: { false }) { _ in }
        }
        for (encoder, options) in [("libnothing", []), ("h264_v4l2m2m", []), ("libx264", [["no-such-option", "1"]])] {
            do {
                _ = try trial(encoder, options)
                Issue.record("\(encoder) works")
            } catch WorkerFailure.refused(let reason) {
                #expect(reason.contains(encoder), "\(reason)")
            }
        }
        #expect(try trial("libx264", [["preset", "veryfast"], ["crf", "23"]]).pictures == 60)
        #expect(worker.jobs == 4)
    }

    @Test func aCameraThatNeedsNoTranscodingIsNotLookedThrough() async throws {
        let scratch = try TemporaryDirectory("skipped")
        let plain = try memoryFile(makeFootage(scratch, "a.mp4", source: "testsrc2=size=320x180:rate=10", seconds: 2, framesPerSecond: 10))
        let jpeg = try memoryFile(makeFootage(scratch, "b.mp4", source: "testsrc2=size=320x180:rate=10", seconds: 2, arguments: ["-c:v", "mjpeg"]))
        let store = MemoryStore()
        for _ in 0..<3 { store.record(plain, seconds: 2, frames: 20) }
        let plan = CompressPlan(cameras: [camera], thumbnails: nil, proxy: nil, transcoding: .init(), configVersion: "1")
        let engine = try engine(store, scratch, plan)
        #expect(engine.start())
        try await until("the encoder was tried") { engine.figures.encoders["libx264"] == "works" }
        store.record(jpeg, seconds: 2, frames: 20, codecs: "mp4v.6C")
        store.record(plain, seconds: 2, frames: 20)
        engine.notice()
        try await until("the segment was transcoded") { !store.made(.proxy).isEmpty }
        #expect(engine.stop(withinMilliseconds: 10_000))
        #expect(store.made(.proxy).map(\.record.made?.sources.description) == ["3"] && engine.figures.setAside == 0)
    }
}
