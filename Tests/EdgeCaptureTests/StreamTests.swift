@testable import EdgeCapture
import Foundation
import RecordingModel
import Testing
import TestSupport

@Suite("Streams of every kind")
struct StreamTests {
    /// Records until there are two segments of 2 s, and judges them.
    private func expectFootage(_ bench: Bench, codecs: String, sound: String?, seconds: Double = 25, sourceLocation: SourceLocation = #_sourceLocation) async throws {
        bench.recorder.start()
        try await bench.wait(seconds: seconds) { bench.sink.segments.filter { $0.end == .length }.count >= 2 }
        #expect(bench.recorder.stop(), sourceLocation: sourceLocation)
        let whole = bench.sink.segments.filter { $0.end == .length }
        let first = try #require(whole.first, "\(bench.sink.gaps) \(bench.sink.health.compactMap(\.lastError))", sourceLocation: sourceLocation)
        #expect(first.codecs.hasPrefix(codecs) && first.codecs.contains(",") == (sound != nil), "\(first.codecs)", sourceLocation: sourceLocation)
        #expect(first.codecs.hasSuffix(sound ?? ""), "\(first.codecs)", sourceLocation: sourceLocation)
        #expect(bench.sink.firstHole == nil, sourceLocation: sourceLocation)
        for record in bench.sink.segments { try expectDecodes(bench.path(record)) }
        let run = try bench.joined(run: first.run)
        try expectDecodes(run)
        #expect(try decodedFrames(run) == bench.sink.segments.filter { $0.run == first.run }.reduce(0) { $0 + $1.frames }, sourceLocation: sourceLocation)
        // Time is real: 2 s and the wait for a key frame, and what the boot clock says is what the media says.
        #expect((1_900...3_200).contains(first.durationMilliseconds), "\(first.durationMilliseconds)", sourceLocation: sourceLocation)
        guard sound != nil else { return }
        let times = try runTool("ffprobe", "-v", "error", "-show_entries", "stream=codec_type,duration", "-of", "csv=p=0", run).output
        let durations = times.split(separator: "\n").compactMap { $0.split(separator: ",").last.flatMap { Double($0) } }
        #expect(durations.count == 2 && abs(durations[0] - durations[1]) < 0.6, "\(times)", sourceLocation: sourceLocation)
    }

    private func keepSound(_ configuration: inout CameraConfiguration) { configuration.audio = .record(reason: "test") }

    @Test("A transport stream over UDP, RTP and SRT, to one and to many, is recorded with its sound", arguments: [
        ("udp://127.0.0.1:PORT", "udp://127.0.0.1:PORT?pkt_size=1316", "mpegts", Streamer.h264, "avc1"),
        ("udp://239.77.1.2:PORT?localaddr=127.0.0.1", "udp://239.77.1.2:PORT?pkt_size=1316&localaddr=127.0.0.1", "mpegts", Streamer.h265, "hvc1"),
        ("rtp://127.0.0.1:PORT", "rtp://127.0.0.1:PORT", "rtp_mpegts", Streamer.h264, "avc1"),
        ("srt://127.0.0.1:PORT?passphrase=0123%34567890", "srt://127.0.0.1:PORT?mode=listener&passphrase=01234567890", "mpegts", Streamer.h264, "avc1"),
        ("srt://127.0.0.1:PORT?mode=listener", "srt://127.0.0.1:PORT", "mpegts", Streamer.h265, "hvc1"),
    ])
    func transportStream(address: String, target: String, format: String, encoder: [String], codecs: String) async throws {
        try await Turns.shared.run {
            let port = String(try freePort())
            func sender() throws -> Streamer {
                try Streamer(Streamer.picture + Streamer.tone + encoder + Streamer.aac + ["-f", format, target.replacing("PORT", with: port)])
            }
            let bench = try Bench(url: address.replacing("PORT", with: port), change: keepSound)
            guard address.contains("mode=listener") else {
                let streamer = try sender()
                defer { withExtendedLifetime(streamer) {} }
                return try await expectFootage(bench, codecs: codecs, sound: "mp4a.40.2")
            }
            // A camera that calls goes on calling.
            let caller = try Helper(
                """
                import subprocess, sys, signal, time
                print(0, flush=True)
                child = None
                signal.signal(signal.SIGTERM, lambda *_: (child.kill(), sys.exit(0)))
                while True:
                    child = subprocess.Popen(['ffmpeg', '-nostdin', '-v', 'quiet'] + sys.argv[1:])
                    child.wait(); time.sleep(0.2)
                """, arguments: Streamer.picture + Streamer.tone + encoder + Streamer.aac + ["-f", format, target.replacing("PORT", with: port)])
            defer { withExtendedLifetime(caller) {} }
            try await expectFootage(bench, codecs: codecs, sound: "mp4a.40.2")
        }
    }

    @Test("RTMP is recorded with its sound", arguments: ["rtmp", "rtmps"])
    func rtmp(scheme: String) async throws {
        try await Turns.shared.run {
            let port = try freePort()
            let streamer = try Streamer(
                Streamer.picture + Streamer.tone + Streamer.h264 + Streamer.aac + ["-f", "flv", "-listen", "1", "rtmp://127.0.0.1:\(port)/live/gate"])
            let scratch = try Scratch()
            // ffmpeg's server knows no TLS: a relay ends it, as on many a camera.
            let relay = scheme == "rtmps" ? try Helper(Helper.tlsRelay, try makeCertificate(scratch), String(port)) : nil
            defer { withExtendedLifetime((streamer, relay)) {} }
            let bench = try Bench(url: "\(scheme)://127.0.0.1:\(relay?.port ?? port)/live/gate", change: keepSound, scratch: scratch)
            try await expectFootage(bench, codecs: "avc1", sound: "mp4a.40.2")
        }
    }

    @Test("A live stream over HTTP, without a length, is recorded as it comes", arguments: [
        ("mpegts", Streamer.h264, "avc1"), ("mpegts", Streamer.h265, "hvc1"), ("flv", Streamer.h264, "avc1"),
        ("matroska", ["-pix_fmt", "yuv420p", "-c:v", "libsvtav1", "-preset", "12", "-g", "25"], "av01"),
    ])
    func liveHTTP(format: String, encoder: [String], codecs: String) async throws {
        try await Turns.shared.run {
            let port = try freePort()
            let streamer = try Streamer(Streamer.picture + encoder + ["-flush_packets", "1", "-f", format, "-listen", "1", "http://127.0.0.1:\(port)/live"])
            defer { withExtendedLifetime(streamer) {} }
            try await expectFootage(try Bench(url: "http://127.0.0.1:\(port)/live"), codecs: codecs, sound: nil)
        }
    }

    @Test("MJPEG over HTTP lasts as long as it lasted, whatever its rate", arguments: [8, 40])
    func motionJPEGOverHTTP(framesPerSecond: Int) async throws {
        try await Turns.shared.run {
            let port = try freePort()
            let streamer = try Streamer([
                "-re", "-f", "lavfi", "-i", "testsrc2=size=160x96:rate=\(framesPerSecond)", "-c:v", "mjpeg", "-f", "mpjpeg", "-listen", "1", "http://127.0.0.1:\(port)/v",
            ])
            defer { withExtendedLifetime(streamer) {} }
            let bench = try Bench(url: "http://127.0.0.1:\(port)/v")
            try await expectFootage(bench, codecs: "mp4v.6C", sound: nil)
            let first = try #require(bench.sink.segments.first { $0.end == .length })
            let rate = Double(first.frames) / Double(first.durationMilliseconds) * 1_000
            #expect(abs(rate / Double(framesPerSecond) - 1) < 0.2, "\(first.frames) in \(first.durationMilliseconds) ms")
        }
    }

    @Test("RTSP's codecs are recorded, and their sound with them", arguments: [
        ("\(Helper.rtspH264) \(Helper.rtspTone) ! mulawenc ! rtppcmupay name=pay1 pt=0", "avc1", "mp4a.40.2"),
        ("\(Helper.rtspH264) \(Helper.rtspTone) ! alawenc ! rtppcmapay name=pay1 pt=8", "avc1", "mp4a.40.2"),
        ("\(Helper.rtspH264) \(Helper.rtspTone) ! opusenc ! rtpopuspay name=pay1 pt=97", "avc1", "opus"),
        ("\(Helper.rtspH264) \(Helper.rtspTone) ! avenc_aac ! rtpmp4gpay name=pay1 pt=97", "avc1", "mp4a.40.2"),
        ("\(Helper.rtspPicture) ! x265enc tune=zerolatency key-int-max=25 ! rtph265pay name=pay0 pt=96 config-interval=-1", "hvc1", nil),
        ("\(Helper.rtspPicture),format=I420 ! jpegenc ! rtpjpegpay name=pay0 pt=26", "mp4v.6C", nil),
        ("\(Helper.rtspPicture) ! x264enc bframes=2 b-adapt=false key-int-max=25 ! rtph264pay name=pay0 pt=96 config-interval=-1", "avc1", nil),
    ] as [(String, String, String?)])
    func rtspCodecs(launch: String, codecs: String, sound: String?) async throws {
        try await Turns.shared.run {
            let server = try Helper.rtsp(launch)
            defer { withExtendedLifetime(server) {} }
            let bench = try Bench(url: "rtsp://127.0.0.1:\(server.port)/gate", change: keepSound)
            try await expectFootage(bench, codecs: codecs, sound: sound)
        }
    }

    @Test("Sound that cannot be kept costs no picture, and the camera's health says so")
    func soundLeftOut() async throws {
        try await Turns.shared.run {
            let server = try Helper.rtsp("\(Helper.rtspH264) \(Helper.rtspTone) ! audio/x-raw,rate=16000,channels=1 ! avenc_g722 ! rtpg722pay name=pay1 pt=9")
            defer { withExtendedLifetime(server) {} }
            let bench = try Bench(url: "rtsp://127.0.0.1:\(server.port)/gate", change: keepSound)
            try await expectFootage(bench, codecs: "avc1", sound: nil)
            #expect(bench.sink.health.contains { $0.state == .recording && $0.lastError?.contains("sound is not recorded: it is adpcm_g722") == true })
        }
    }

    @Test("RTSP comes over UDP where the configuration says so")
    func rtspOverUDP() async throws {
        try await Turns.shared.run {
            let server = try Helper.rtsp(Helper.rtspH264)
            defer { withExtendedLifetime(server) {} }
            try await expectFootage(try Bench(url: "rtsp://127.0.0.1:\(server.port)/gate", change: { $0.transport = .udp }), codecs: "avc1", sound: nil)
        }
    }

    @Test("A flash and its beep stay together, also when telephone sound is encoded", arguments: [
        ("mkv", ["-c:a", "pcm_mulaw", "-ar", "8000", "-ac", "1"]), ("mkv", ["-c:a", "pcm_alaw", "-ar", "8000", "-ac", "1"]), ("ts", ["-c:a", "aac"]),
    ])
    func together(container: String, encoder: [String]) async throws {
        try await Turns.shared.run {
            let scratch = try Scratch()
            let source = scratch.file("source.\(container)")
            // In every second, black but for 200 ms, and silent but for the same.
            let made = try runTool(
                ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "color=black:size=160x96:rate=50,geq=lum='if(lt(mod(T+0.5,1),0.2),255,0)':cb=128:cr=128", "-f", "lavfi", "-i",
                 "aevalsrc='if(lt(mod(t+0.5,1),0.2),0.8*sin(2*PI*1000*t),0)':s=48000", "-t", "4", "-pix_fmt", "yuv420p", "-c:v", "libx264", "-g", "50", "-bf", "0"] + encoder + [source])
            try #require(made.status == 0, "\(made.errors)")
            let bench = try Bench(url: "file:\(source)", change: { keepSound(&$0); $0.segmentMilliseconds = 60_000 }, scratch: scratch)
            bench.recorder.start()
            try await bench.wait(seconds: 10) { !bench.sink.segments.isEmpty }
            bench.recorder.stop()
            let segment = try #require(bench.sink.segments.first)
            // What the recorder has encoded itself is said in the entry.
            let origins: [String: String] = ["pcm_mulaw": "G.711 µ-law, 8000 Hz", "pcm_alaw": "G.711 A-law, 8000 Hz"]
            #expect(segment.encodedSound?.source == origins[encoder[1]])
            #expect(segment.encodedSound.map { $0.encoder.hasPrefix("aac, libavcodec") && $0.settings.contains("32000 bit/s") } ?? (encoder[1] == "aac"))
            let file = bench.path(segment)
            try expectDecodes(file)
            let found = try runTool(
                "ffmpeg", "-v", "info", "-i", file, "-vf", "blackdetect=d=0.1:pix_th=0.5", "-af", "silencedetect=noise=-20dB:d=0.1", "-f", "null", "-").errors
            // Where darkness ends light begins, and where silence ends sound.
            let flashes = times(behind: "black_end:", in: found)
            let beeps = times(behind: "silence_end: ", in: found)
            try #require(flashes.count >= 3 && beeps.count >= 3, "\(found)")
            for (flash, beep) in zip(flashes.prefix(3), beeps.prefix(3)) { #expect(abs(flash - beep) < 0.05, "\(flashes) \(beeps)") }
        }
    }

    private func times(behind mark: String, in text: String) -> [Double] {
        text.split(separator: "\n").compactMap { line in
            line.firstRange(of: mark).flatMap { Double(line[$0.upperBound...].prefix { $0.isNumber || $0 == "." }) }
        }
    }
}
