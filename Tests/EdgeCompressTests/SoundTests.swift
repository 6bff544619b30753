import Foundation
import RecordingModel
import Synchronization
import Testing
import TestSupport

@testable import EdgeCompress

@Suite("Sound in made proxies")
struct ProxySoundTests {
    private let scratch: TemporaryDirectory
    init() throws { scratch = try TemporaryDirectory("sound") }

    private func footage(soundBitsPerSecond: Int, seconds: Int = 20) throws -> String {
        let path = scratch.path("a-\(soundBitsPerSecond).mp4")
        let outcome = try runBlocking(
            "/usr/bin/ffmpeg",
            [
                "-nostdin", "-v", "error", "-y", "-f", "lavfi", "-i", "testsrc2=size=640x360:rate=15,noise=alls=6:allf=t", "-f", "lavfi", "-i",
                "anoisesrc=sample_rate=16000:amplitude=0.3", "-t", "\(seconds)", "-pix_fmt", "yuv420p", "-c:v", "libx264", "-preset", "ultrafast", "-g", "30", "-bf", "0", "-c:a", "aac",
                "-b:a", "\(soundBitsPerSecond)", "-movflags", "+frag_keyframe+empty_moov+default_base_moof", "-f", "mp4", path,
            ])
        guard outcome.status == 0 else { throw TestFailure("ffmpeg: \(outcome.errors)") }
        return path
    }

    private func made(_ path: String, bitsPerSecond: Int) throws -> (path: String, header: ProxyHeader?, bytes: Int) {
        let file = try memoryFile(path)
        let worker = try WorkerProcess(workerSettings())
        let settings = ProxySettings(.init(bitsPerSecond: bitsPerSecond), .h264, threads: 1, bitsPerSecond: bitsPerSecond, sampleRecord(bytes: file.length, seconds: 20, frames: 300))
        let (bytes, header, _) = try worker.proxy(file, settings.job)
        let proxy = scratch.path("proxy.mp4")
        try Data(bytes).write(to: URL(fileURLWithPath: proxy))
        return (proxy, header, bytes.count)
    }

    /// Time and hash of each packet of sound.
    private func sound(_ path: String) throws -> [String] {
        let outcome = try runBlocking("/usr/bin/ffmpeg", ["-nostdin", "-v", "error", "-ignore_editlist", "1", "-i", path, "-map", "0:a:0", "-c", "copy", "-copyts", "-f", "framehash", "-hash", "sha256", "-"])
        // Stream, decoding time, presentation time, duration, size, hash; how long the last one lasts nobody knows.
        return outcome.output.split(separator: "\n").filter { !$0.hasPrefix("#") }.map { line in
            let fields = line.split(separator: ",").map { $0.trimmingCharacters(in: .whitespaces) }
            return fields.count > 5 ? "\(fields[2]) \(fields[5])" : String(line)
        }
    }

    @Test func `Each packet is the source's, at its time, and picture and sound together hold the rate`() throws {
        let source = try footage(soundBitsPerSecond: 24_000)
        let proxy = try made(source, bitsPerSecond: 100_000)
        let wanted = try sound(source)
        #expect(wanted.count > 300)
        #expect(try sound(proxy.path) == wanted)
        #expect(proxy.header?.codecs.hasSuffix(",mp4a.40.2") == true && proxy.header?.isSoundCopied == true, "\(proxy.header?.codecs ?? "")")
        let rate = Double(proxy.bytes) * 8 / 20
        #expect(abs(rate / 100_000 - 1) < 0.15, "\(rate) bit/s")
        let decoded = try runBlocking("/usr/bin/ffmpeg", ["-nostdin", "-v", "warning", "-xerror", "-i", proxy.path, "-f", "null", "-"])
        #expect(decoded.status == 0 && decoded.errors.isEmpty, "\(decoded.errors)")
        // A fragment holds the sound of its own pictures: what a player gets first must not wait for what comes later.
        let interleaved = try runBlocking("/usr/bin/ffprobe", ["-v", "error", "-show_entries", "packet=codec_type,pts_time,pos", "-of", "csv=p=0", proxy.path])
        let packets = interleaved.output.split(separator: "\n").compactMap { line -> (kind: Substring, time: Double, place: Int)? in
            let fields = line.split(separator: ",")
            guard fields.count >= 3, let time = Double(fields[1]), let place = Int(fields[2]) else { return nil }
            return (fields[0], time, place)
        }.sorted { $0.place < $1.place }
        var newest: [Substring: Double] = [:]
        for packet in packets {
            newest[packet.kind] = packet.time
            if let video = newest["video"], let audio = newest["audio"] { #expect(abs(video - audio) < 4.5, "\(packet)") }
        }
        #expect(packets.contains { $0.kind == "audio" })
    }

    @Test func `Sound that alone is more than half of the rate is left out, and the entry says so`() throws {
        let proxy = try made(try footage(soundBitsPerSecond: 96_000), bitsPerSecond: 100_000)
        #expect(try sound(proxy.path).isEmpty)
        let header = try #require(proxy.header)
        #expect(!header.isSoundCopied && header.soundBitsPerSecond > 50_000 && header.codecs.hasPrefix("avc1.") && !header.codecs.contains(","))
        let settings = ProxySettings(.init(), .h264, threads: 1, bitsPerSecond: 100_000, sampleRecord(bytes: 1, seconds: 20, frames: 300))
        #expect(settings.text(header).contains(", its sound of \(header.soundBitsPerSecond) bit/s left out"), "\(settings.text(header))")
    }

    @Test func `What is transcoded at full size keeps its sound, whatever its rate, and the entry names who encoded it first`() async throws {
        let file = try memoryFile(try footage(soundBitsPerSecond: 96_000, seconds: 4))
        let store = MemoryStore()
        store.record(file, seconds: 4, frames: 60)
        let first = EncodedSound(encoder: "aac", settings: "32000 bit/s", source: "G.711 A-law, 8000 Hz")
        store.state.withLock { $0.main[0].record.encodedSound = first }
        let camera = try #require(CameraID("a"))
        let engine = try engine(store, scratch, CompressPlan(cameras: [camera], thumbnails: nil, proxy: nil, transcoding: .init(cameras: [camera]), configVersion: "1"))
        #expect(engine.start())
        try await until("the segment was transcoded") { !store.made(.proxy).isEmpty }
        #expect(engine.stop(withinMilliseconds: 10_000))
        let made = store.made(.proxy)[0]
        #expect(try sound(made.openPath).count > 50)
        #expect(made.record.codecs.contains("mp4a.40.2") && made.record.encodedSound == first && made.record.made?.settings.contains("bit/s copied") == true, "\(made.record)")
    }
}
