import EvidenceLog
import Foundation
import RecordingModel
import Synchronization
import Testing
import TestSupport

@testable import EdgeCompress

@Suite("Footage reduced to its key frames")
struct KeyFrameTests {
    private static let day: Int64 = 86_400_000

    /// Of each key frame: when it is shown, and its hash.
    private func keyFrames(_ path: String) throws -> [String] {
        let outcome = try runBlocking(
            "/usr/bin/ffprobe", ["-v", "error", "-select_streams", "v", "-show_data_hash", "sha256", "-show_entries", "packet=pts_time,flags,data_hash", "-of", "csv=p=0", path])
        return outcome.output.split(separator: "\n").filter { $0.contains(",K") }.map { line in
            let fields = line.split(separator: ",")
            return "\(fields.first ?? "") \(fields.first { $0.hasPrefix("SHA256:") } ?? "")"
        }
    }

    @Test(arguments: [["-c:v", "libx264", "-preset", "ultrafast", "-g", "20", "-bf", "0"], ["-c:v", "libx264", "-g", "20", "-bf", "2", "-sc_threshold", "0"], ["-c:v", "libx265", "-x265-params", "keyint=20:log-level=none", "-tag:v", "hvc1"]])
    func `Each key frame is the source's, at its time, shown until the next, and the entry names the whole source`(encoding: [String]) async throws {
        let scratch = try TemporaryDirectory("key-frames")
        let path = try makeFootage(scratch, "a.mp4", source: "testsrc2=size=640x360:rate=10,noise=alls=8:allf=t", seconds: 9, arguments: encoding)
        let file = try memoryFile(path)
        let store = MemoryStore()
        store.record(file, seconds: 9, frames: 90)
        store.record(file, seconds: 9, frames: 90, gapMilliseconds: 3 * Self.day)
        let camera = try #require(CameraID("a"))
        let plan = CompressPlan(cameras: [camera], thumbnails: nil, proxy: .init(onlyAfterDays: 2, copiesKeyFrames: true), configVersion: "1")
        let engine = try engine(store, scratch, plan, bootMilliseconds: 2 * Self.day + 60_000)
        #expect(engine.start())
        try await until("the old segment's key frames were kept") { !store.made(.proxy).isEmpty }
        #expect(engine.stop(withinMilliseconds: 10_000))
        #expect(engine.figures.encoders.isEmpty && engine.figures.workerDeaths == 0 && store.made(.proxy).count == 1)
        let made = store.made(.proxy)[0]
        let wanted = try keyFrames(path)
        #expect(wanted.count == 5)
        #expect(try keyFrames(made.openPath) == wanted)
        #expect(try times(made.openPath).count == wanted.count, "there is more in it than key frames")
        let record = made.record
        #expect(record.isPlausible && record.isKeyFramesOnly == true && record.frames == 5 && record.widthPixels == 640)
        #expect(abs(record.mediaDurationTicks90k - 9 * 90_000) < 18_000, "\(record.mediaDurationTicks90k)")
        #expect(record.bytes < file.length)
        let origin = try #require(record.made)
        #expect(origin.kind == .keyFrames && origin.sources.description == "0" && origin.sourceSHA256 == ContentHash.sha256(file.bytes) && origin.encoder.hasPrefix("none"))
        #expect(origin.settings == "its key frames, each shown until the next" && origin.isPlausible)
        #expect(record.startBootMilliseconds == 0 && record.endBootMilliseconds == 9_000)
        let decoded = try runBlocking("/usr/bin/ffmpeg", ["-nostdin", "-v", "warning", "-xerror", "-i", made.openPath, "-fps_mode", "passthrough", "-f", "null", "-"])
        #expect(decoded.status == 0 && decoded.errors.isEmpty, "\(decoded.errors)")
        let hash = try runBlocking("/usr/bin/ffmpeg", ["-nostdin", "-v", "error", "-i", path, "-map", "0:v:0", "-c", "copy", "-f", "hash", "-hash", "sha256", "-"])
        #expect(hash.output.trimmingCharacters(in: .whitespacesAndNewlines) == "SHA256=\(origin.sourcePacketsSHA256?.hex ?? "none")")
    }

    @Test func `Of footage that is key frames already, and of what is no footage, nothing is made, and the worker goes on`() async throws {
        let scratch = try TemporaryDirectory("key-frames")
        let file = try memoryFile(makeFootage(scratch, "a.mp4", source: "testsrc2=size=320x180:rate=10", seconds: 4, framesPerSecond: 10))
        let store = MemoryStore()
        store.record(file, seconds: 4, frames: 2)
        store.state.withLock { $0.main[0].record.isKeyFramesOnly = true }
        store.record(MemoryFile(Array(repeating: 1, count: 5_000)), seconds: 4, frames: 40)
        store.record(file, seconds: 4, frames: 40)
        let plan = CompressPlan(cameras: [try #require(CameraID("a"))], thumbnails: nil, proxy: .init(onlyAfterDays: 2, copiesKeyFrames: true), configVersion: "1")
        let engine = try engine(store, scratch, plan, bootMilliseconds: 3 * Self.day)
        #expect(engine.start())
        try await until("the third was reduced") { !store.made(.proxy).isEmpty }
        #expect(engine.stop(withinMilliseconds: 10_000))
        #expect(store.made(.proxy).map(\.record.made?.sources.description) == ["2"] && engine.figures.setAside == 1)
    }
}
