import EdgeCapture
import Foundation
import LibAV
import RecordingModel
import Testing
import TestSupport

@testable import EdgeCompress

@Suite struct WorkerTests {
    /// Threads of libdispatch were seen to end one worker in twenty of a busy machine: what they begin late is refused to them.
    @Test func aWorkerIsOneThread() throws {
        for _ in 0..<5 {
            let worker = try WorkerProcess(workerSettings())
            #expect(try String(contentsOfFile: "/proc/\(worker.pid)/status", encoding: .utf8).contains("Threads:\t1\n"))
        }
    }

    @Test(arguments: ["testsrc2=size=1280x720:rate=25", "mandelbrot=size=640x480:rate=25", "nullsrc=size=1280x720:rate=25,geq=random(1)*255:128:128,noise=alls=100:allf=t"])
    func noThumbnailIsLargerThanItMayBe(source: String) throws {
        let scratch = try TemporaryDirectory("thumbs")
        let file = try memoryFile(makeFootage(scratch, "a.mp4", source: source, seconds: 4, arguments: ["-c:v", "libx264", "-preset", "ultrafast", "-g", "25", "-qp", "24"]))
        let worker = try WorkerProcess(workerSettings())
        for limit in [8_192, 2_048] {
            let (images, _) = try worker.thumbnails(file, dues: [0, 90_000, 180_000, 270_000], bytesMax: limit)
            #expect(images.count == 4)
            for image in images {
                #expect(image.jpeg.count <= limit)
                #expect(image.jpeg.count > limit / 4, "\(image.jpeg.count) of \(limit) bytes: quality was given away")
                #expect(image.jpeg.prefix(2) == [0xFF, 0xD8] && image.jpeg.suffix(2) == [0xFF, 0xD9])
                #expect(max(image.widthPixels, image.heightPixels) <= 320)
            }
            #expect(images.map(\.ticks90k) == [0, 90_000, 180_000, 270_000])
        }
    }

    @Test func aThumbnailIsOfTheFirstKeyFrameAtOrAfterItsTime() throws {
        let scratch = try TemporaryDirectory("thumbs")
        // A key frame each 2 s, and picture n has the brightness n.
        let file = try memoryFile(makeFootage(scratch, "a.mp4", source: "color=c=black:size=320x180:rate=25,geq=lum=16+N:cb=128:cr=128", seconds: 6))
        let worker = try WorkerProcess(workerSettings())
        let (images, figures) = try worker.thumbnails(file, dues: [0, 45_000, 200_000, 100_000_000])
        #expect(images.map(\.ticks90k) == [0, 180_000, 360_000])
        #expect(figures.damaged == 0)
        for (image, frame) in zip(images, [0, 50, 100]) {
            try scratch.write("", to: "picture.jpg")
            try Data(image.jpeg).write(to: URL(fileURLWithPath: scratch.path("picture.jpg")))
            let outcome = try runBlocking(
                "/usr/bin/ffmpeg", ["-nostdin", "-loglevel", "error", "-y", "-i", scratch.path("picture.jpg"), "-pix_fmt", "yuvj420p", "-f", "rawvideo", scratch.path("level")])
            #expect(outcome.status == 0, "\(outcome.errors)")
            let level = Int(try #require(try Data(contentsOf: URL(fileURLWithPath: scratch.path("level"))).first))
            // The first byte of luma as it is stored, of a picture of one colour. Full range: what was 16 is 0.
            #expect(abs(level - Int(Double(frame) * 255 / 219)) <= 3, "the picture of frame \(frame) has the brightness \(level)")
        }
    }

    @Test(arguments: [80_000, 150_000])
    func aProxyHasTheSourcesTimesAndItsRate(rate: Int) throws {
        let scratch = try TemporaryDirectory("proxy")
        let file = try memoryFile(makeFootage(scratch, "a.mp4", source: "testsrc2=size=1280x720:rate=25,noise=alls=10:allf=t", seconds: 20))
        let worker = try WorkerProcess(workerSettings())
        var plan = CompressPlan.Proxy()
        plan.bitsPerSecond = rate
        let record = sampleRecord(bytes: file.length, seconds: 20, frames: 500)
        let job = ProxySettings(plan, .h264, threads: 1, bitsPerSecond: rate, record).job
        let (bytes, header, frames) = try worker.proxy(file, job)
        try Data(bytes).write(to: URL(fileURLWithPath: scratch.path("proxy.mp4")))
        let actual = Double(bytes.count) * 8 / 20
        #expect(abs(actual / Double(rate) - 1) < 0.12, "\(actual) bit/s where \(rate) is asked")
        #expect(header?.codecs.hasPrefix("avc1.64") == true, "\(header?.codecs ?? "no header") is not High")
        let source = try times(scratch.path("a.mp4")), proxy = try times(scratch.path("proxy.mp4"))
        #expect(proxy.count == frames && frames >= 290 && frames <= 310)
        #expect(Set(proxy).isSubset(of: Set(source)), "a time of the proxy that no picture of the source has")
        #expect(proxy.first == source.first)
    }

    @Test func aSourceWithoutVideoIsRefusedAndTheWorkerGoesOn() throws {
        let scratch = try TemporaryDirectory("refused")
        let worker = try WorkerProcess(workerSettings())
        #expect(throws: WorkerFailure.self) { try worker.thumbnails(MemoryFile(Array(repeating: 7, count: 10_000)), dues: [0]) }
        let file = try memoryFile(makeFootage(scratch, "a.mp4", source: "testsrc2=size=320x180:rate=25", seconds: 2))
        #expect(try worker.thumbnails(file, dues: [0]).images.count == 1)
    }

}

/// When each picture is shown, in tenths of a millisecond, since two files may count in different units.
func times(_ path: String) throws -> [Int] {
    let outcome = try runBlocking("/usr/bin/ffprobe", ["-v", "error", "-select_streams", "v", "-show_entries", "packet=pts_time", "-of", "csv=p=0", path])
    return outcome.output.split(whereSeparator: { $0.isNewline || $0 == "," }).compactMap { Double($0) }.map { Int(($0 * 10_000).rounded()) }
}

func sampleRecord(bytes: Int64 = 0, seconds: Int64 = 60, frames: Int = 1_500, sequence: UInt64 = 0, startMilliseconds: Int64 = 0, bootID: String = "boot") -> SegmentRecord {
    SegmentRecord(
        stream: StreamID("a/main")!, sequence: sequence, run: 0, bootID: bootID, startBootMilliseconds: startMilliseconds,
        endBootMilliseconds: startMilliseconds + seconds * 1_000,
        startWall: WallEstimate(unixMilliseconds: 1_800_000_000_000 + startMilliseconds, source: .ntp, uncertaintyMilliseconds: 10), bytes: bytes, sha256: .zero,
        fragmentRoot: .zero, fragmentCount: 1, initBytes: 0, initSHA256: .zero, codecs: "avc1.42c01e", widthPixels: 1280, heightPixels: 720,
        mediaStartTicks90k: startMilliseconds * 90, mediaDurationTicks90k: seconds * 90_000, frames: frames, drops: 0, end: .length, configVersion: "1")
}
