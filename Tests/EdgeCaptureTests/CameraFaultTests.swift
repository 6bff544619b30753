@testable import EdgeCapture
import Foundation
import RecordingModel
import Testing
import TestSupport

@Suite("Cameras that misbehave")
struct CameraFaultTests {
    @Test("Only the right user name and password open a camera, and a wrong one is named as the cause", arguments: ["basic", "digest"])
    func rtspAuthentication(kind: String) async throws {
        try await Turns.shared.run {
            let server = try Helper.cameras("--camera", "gate=h264,160x96", "--user", "viewer", "--password", "s3c:ret", "--auth", kind)
            defer { withExtendedLifetime(server) {} }
            try await expectAuthentication(right: "rtsp://viewer:s3c%3Aret@127.0.0.1:\(server.port)/gate", wrong: "rtsp://viewer:s3cretly@127.0.0.1:\(server.port)/gate")
        }
    }

    @Test("The same over HTTP and SRT")
    func otherAuthentication() async throws {
        try await Turns.shared.run {
            let port = try freePort()
            let server = try Helper(
                """
                import base64, http.server, subprocess, sys
                class H(http.server.BaseHTTPRequestHandler):
                    def log_message(self, *_): pass
                    def do_GET(self):
                        if self.headers.get('Authorization') != 'Basic ' + base64.b64encode(b'viewer:s3cret').decode():
                            self.send_response(401); self.send_header('WWW-Authenticate', 'Basic realm="x"'); self.end_headers(); return
                        self.send_response(200); self.end_headers()
                        child = subprocess.Popen(['ffmpeg', '-nostdin', '-v', 'quiet'] + sys.argv[1:], stdout=subprocess.PIPE)
                        try:
                            while data := child.stdout.read1(65536): self.wfile.write(data)
                        except OSError: pass
                        child.kill()
                s = http.server.ThreadingHTTPServer(('127.0.0.1', 0), H); s.daemon_threads = True
                print(s.server_address[1], flush=True)
                s.serve_forever()
                """, arguments: Streamer.picture + Streamer.h264 + ["-f", "mpegts", "-"])
            let streamer = try Streamer(Streamer.picture + Streamer.h264 + ["-f", "mpegts", "srt://127.0.0.1:\(port)?mode=listener&passphrase=0123456789s3cret"])
            defer { withExtendedLifetime((server, streamer)) {} }
            try await expectAuthentication(right: "http://viewer:s3cret@127.0.0.1:\(server.port)/", wrong: "http://viewer:s3cretly@127.0.0.1:\(server.port)/")
            try await expectAuthentication(right: "srt://127.0.0.1:\(port)?passphrase=0123456789s3cret", wrong: "srt://127.0.0.1:\(port)?passphrase=0123456789s3cretly")
        }
    }

    private func expectAuthentication(right: String, wrong: String) async throws {
        let refused = try Bench(url: wrong)
        refused.recorder.start()
        try await refused.wait(seconds: 8) { refused.sink.health.contains { $0.state == .waiting } }
        refused.recorder.stop()
        #expect(refused.sink.segments.isEmpty && refused.sink.gaps.contains { $0.cause == .cameraRefused }, "\(refused.sink.gaps)")
        #expect(!"\(refused.sink.gaps) \(refused.sink.health)".contains("s3c"))
        let accepted = try Bench(url: right)
        accepted.recorder.start()
        try await accepted.wait(seconds: 15) { accepted.sink.segments.contains { $0.end == .length } }
        accepted.recorder.stop()
        #expect(accepted.sink.segments.contains { $0.end == .length }, "\(accepted.sink.gaps)")
    }

    @Test("Where nobody sends or answers, the gap says so, whatever the protocol", arguments: [
        ("udp://127.0.0.1:PORT", GapCause.cameraSilent), ("udp://239.77.1.3:PORT?localaddr=127.0.0.1", .cameraSilent), ("rtp://127.0.0.1:PORT", .cameraSilent),
        ("srt://127.0.0.1:PORT?mode=listener", .cameraSilent), ("srt://127.0.0.1:PORT", .cameraUnreachable), ("rtmp://127.0.0.1:PORT/live/gate", .cameraUnreachable),
        ("udp://192.0.2.1:PORT", .cameraUnreachable),
    ])
    func nobody(address: String, cause: GapCause) async throws {
        try await Turns.shared.run {
            let port = String(try freePort())
            let bench = try Bench(url: address.replacing("PORT", with: port), change: { $0.connectTimeoutMilliseconds = 1_000 })
            bench.recorder.start()
            try await bench.wait(seconds: 8) { bench.sink.health.contains { $0.state == .waiting } }
            try await Task.sleep(for: .milliseconds(300))
            let stopping = Date()
            #expect(bench.recorder.stop() && Date().timeIntervalSince(stopping) < 1)
            #expect(!bench.sink.gaps.isEmpty && bench.sink.gaps.allSatisfy { $0.cause == cause }, "\(bench.sink.gaps)")
        }
    }

    @Test("Servers that accept and then say nothing are silent, not absent")
    func silent() async throws {
        try await Turns.shared.run {
            let server = try SilentServer()
            let port = try freePort()
            // A picture every minute: connected, and nothing to see.
            let streamer = try Streamer(["-re", "-f", "lavfi", "-i", "testsrc2=rate=1/60", "-f", "mpegts", "srt://127.0.0.1:\(port)?mode=listener"])
            defer { withExtendedLifetime((server, streamer)) {} }
            try await Task.sleep(for: .milliseconds(700))
            for url in ["rtmp://127.0.0.1:\(server.port)/live/gate", "http://127.0.0.1:\(server.port)/", "rtsps://127.0.0.1:\(server.port)/", "srt://127.0.0.1:\(port)"] {
                let bench = try Bench(url: url, change: { $0.connectTimeoutMilliseconds = 800 })
                bench.recorder.start()
                try await bench.wait(seconds: 5) { bench.sink.health.contains { $0.state == .waiting } }
                bench.recorder.stop()
                #expect(bench.sink.gaps.contains { $0.cause == .cameraSilent }, "\(url): \(bench.sink.gaps)")
            }
        }
    }

    @Test("A camera that sends no key frame at all is told from one that sends nothing")
    func noKeyFrame() async throws {
        try await Turns.shared.run {
            let port = try freePort()
            let streamer = try Streamer(Streamer.picture + Streamer.h264 + ["-g", "100000", "-f", "mpegts", "udp://127.0.0.1:\(port)?pkt_size=1316"])
            defer { withExtendedLifetime(streamer) {} }
            // The only key frame is over before anybody listens.
            try await Task.sleep(for: .milliseconds(1_500))
            let bench = try Bench(url: "udp://127.0.0.1:\(port)", change: { $0.noKeyFrameTimeoutMilliseconds = 1_500 })
            bench.recorder.start()
            try await bench.wait(seconds: 12) { bench.sink.health.contains { $0.state == .waiting } }
            bench.recorder.stop()
            #expect(bench.sink.segments.isEmpty && bench.sink.gaps.contains { $0.cause == .noKeyFrame }, "\(bench.sink.gaps)")
        }
    }

    /// Serves one file after another as one live stream of the time that they last.
    private static let concatenator = """
        import http.server, sys, time
        class H(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_): pass
            def do_GET(self):
                self.send_response(200); self.end_headers()
                for path in sys.argv[1:]:
                    data = open(path, 'rb').read()
                    for part in range(20):
                        self.wfile.write(data[len(data) * part // 20 // 188 * 188:len(data) * (part + 1) // 20 // 188 * 188]); self.wfile.flush()
                        time.sleep(0.1)
        s = http.server.ThreadingHTTPServer(('127.0.0.1', 0), H)
        print(s.server_address[1], flush=True)
        s.serve_forever()
        """

    @Test("A live camera's clock that jumps, and a codec that changes, end the segment; what comes after is recorded", arguments: [
        ("h264", "0.7", SegmentEnd.discontinuity), ("h264", "6", .discontinuity), ("h264", "90000", .discontinuity), ("hevc", "2", .cameraLost),
    ])
    func changesWhileLive(codec: String, offsetSeconds: String, end: SegmentEnd) async throws {
        try await Turns.shared.run {
            let scratch = try Scratch()
            var paths: [String] = []
            for (codec, offset) in [("h264", "0"), (codec, offsetSeconds)] {
                paths.append(scratch.file("\(paths.count).ts"))
                let made = try runTool(
                    ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=size=160x96:rate=25", "-t", "2"] + (codec == "h264" ? Streamer.h264 : Streamer.h265)
                        + ["-output_ts_offset", offset, paths[paths.count - 1]])
                try #require(made.status == 0, "\(made.errors)")
            }
            let server = try Helper(Self.concatenator, arguments: paths)
            defer { withExtendedLifetime(server) {} }
            let bench = try Bench(url: "http://127.0.0.1:\(server.port)/", change: { $0.segmentMilliseconds = 60_000 }, scratch: scratch)
            bench.recorder.start()
            try await bench.wait(seconds: 12) { bench.sink.segments.count >= 2 }
            bench.recorder.stop()
            let segments = Array(bench.sink.segments.prefix(2))
            #expect(segments.first?.end == end, "\(bench.sink.segments.map(\.end)) \(bench.sink.gaps)")
            #expect(segments.first.map { (48...51).contains($0.frames) } == true, "\(segments.map(\.frames))")
            #expect(segments.count == 2)
            if end == .cameraLost { #expect(bench.sink.gaps.contains { $0.cause == .cameraLost && $0.detail.contains("changed its video codec") }, "\(bench.sink.gaps)") }
            #expect(bench.sink.firstHole == nil)
            for record in segments { try expectDecodes(bench.path(record)) }
        }
    }

    @Test("Repeated timestamps cost no picture and no time")
    func repeatedTimestamps() async throws {
        try await Turns.shared.run {
            var script = ScriptedCamera.Script(groupFrames: 10, frames: 75)
            script.packets = { frame, bytes, isKey in [ScriptedPacket(bytes, time: frame / 3 * 3 * 3_600, isKey: isKey)] }
            let bench = try Bench(url: "scripted:", change: { $0.segmentMilliseconds = 60_000 }, script: script)
            bench.recorder.start()
            try await bench.wait(seconds: 8) { !bench.sink.segments.isEmpty }
            bench.recorder.stop()
            let first = try #require(bench.sink.segments.first)
            #expect(first.frames == 75 && abs(first.mediaDurationTicks90k - 75 * 3_600) < 11_000, "\(first.mediaDurationTicks90k)")
            #expect(try decodedFrames(bench.path(first)) == 75)
            try expectDecodes(bench.path(first))
        }
    }

    @Test("A dead, a silent and a flapping camera do not touch the good one beside them")
    func neighbours() async throws {
        try await Turns.shared.run {
            let silent = try SilentServer()
            let flapping = try Helper(
                """
                import socket, sys
                s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True)
                while True:
                    c, _ = s.accept(); c.recv(4096); c.close()
                """)
            let good = try Helper.rtsp(Helper.rtspH264)
            defer { withExtendedLifetime((silent, flapping, good)) {} }
            let bad = try [1, silent.port, flapping.port].map { port in
                try Bench(url: "rtsp://127.0.0.1:\(port)/gate", change: { $0.connectTimeoutMilliseconds = 800 })
            }
            let bench = try Bench(url: "rtsp://127.0.0.1:\(good.port)/gate")
            for other in bad { other.recorder.start() }
            bench.recorder.start()
            try await bench.wait(seconds: 20) { bench.sink.segments.filter { $0.end == .length }.count >= 4 }
            for other in bad { other.recorder.requestStop() }
            bench.recorder.stop()
            for other in bad { other.recorder.stop() }
            // Between the last picture and the stop a frame's length may pass.
            #expect(bench.sink.gaps.filter { $0.cause != .stopped || $0.durationMilliseconds > 100 }.map(\.cause) == [.starting], "\(bench.sink.gaps)")
            #expect(Set(bench.sink.segments.map(\.run)) == [0] && bench.sink.segments.allSatisfy { $0.drops == 0 } && bench.sink.health.last?.drops == 0)
            #expect(bench.sink.firstHole == nil)
            for (other, cause) in zip(bad, [GapCause.cameraUnreachable, .cameraSilent, .cameraUnreachable]) {
                #expect(other.sink.segments.isEmpty && !other.sink.gaps.isEmpty && other.sink.gaps.allSatisfy { $0.cause == cause }, "\(other.sink.gaps)")
            }
        }
    }

    @Test("Pauses between attempts grow to 30 s and differ from camera to camera")
    func backoff() {
        let pauses = (1...20).map { seed -> [Int64] in
            var backoff = Backoff(SeededRandomness(state: UInt64(seed)))
            return (0..<10).map { _ in backoff.next() }
        }
        for (attempt, ceiling) in [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000].enumerated() {
            let drawn = pauses.map { $0[attempt] }
            #expect(drawn.allSatisfy { (Int64(ceiling / 2)...Int64(ceiling)).contains($0) })
            #expect(Set(drawn).count > 15)
        }
    }
}
