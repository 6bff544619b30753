@testable import EdgeCapture
import Foundation
import LibAV
import Logging
import RecordingModel
import Synchronization
import SystemPackage
import Testing
import TestSupport

@Suite("Servers that really do it")
struct LiveServerTests {
    private typealias Step = PacedServer.Step

    @Test("A live camera that changes its resolution in mid-stream begins a new run, and no picture is missing")
    func resolutionChange() async throws {
        try await Turns.shared.run {
            let scratch = try Scratch()
            let pieces = try PacedServer.pieces(scratch, seconds: 4) + PacedServer.pieces(scratch, seconds: 4, size: "320x176", offsetSeconds: 4)
            let server = try PacedServer.start(pieces, plan: [[Step(pieces: pieces.count, seconds: 0.2)]], holds: true)
            defer { withExtendedLifetime(server) {} }
            let bench = try Bench(url: "http://127.0.0.1:\(server.port)/", change: { $0.segmentMilliseconds = 60_000 }, scratch: scratch)
            let start = MachineClocks().now().bootMilliseconds
            bench.recorder.start()
            try await Task.sleep(for: .seconds(8))
            let stop = MachineClocks().now().bootMilliseconds
            bench.recorder.stop()
            #expect(bench.sink.segments.map(\.end) == [.parametersChanged, .stopped], "\(bench.sink.segments.map(\.end)) \(bench.sink.gaps)")
            #expect(bench.sink.segments.map { "\($0.widthPixels)x\($0.heightPixels)" } == ["160x96", "320x176"])
            #expect(bench.sink.segments.first?.frames == 100 && bench.sink.health.last?.connects == 1)
            #expect(bench.sink.gaps.filter { $0.detail.contains("parameters") }.allSatisfy { $0.durationMilliseconds <= 250 }, "\(bench.sink.gaps)")
            try expectAccounted(bench, from: start, to: stop)
            for record in bench.sink.segments { try expectDecodes(bench.path(record)) }
        }
    }

    @Test("A live camera that gives three pictures the same time loses none of them, and no time")
    func repeatedTimestamps() async throws {
        try await Turns.shared.run {
            let scratch = try Scratch()
            let pieces = try PacedServer.pieces(scratch, seconds: 10, groupFrames: 6)
            try PacedServer.repeatTimes(pieces, count: 3)
            let server = try PacedServer.start(pieces, plan: [[Step(pieces: pieces.count, seconds: 0.24)]], holds: true)
            defer { withExtendedLifetime(server) {} }
            let bench = try Bench(url: "http://127.0.0.1:\(server.port)/", scratch: scratch)
            let start = MachineClocks().now().bootMilliseconds
            bench.recorder.start()
            try await Task.sleep(for: .seconds(8))
            let stop = MachineClocks().now().bootMilliseconds
            bench.recorder.stop()
            #expect(Set(bench.sink.segments.map(\.run)) == [0], "\(bench.sink.segments.map(\.end)) \(bench.sink.gaps)")
            let footage = bench.sink.segments.reduce(0) { $0 + $1.durationMilliseconds }
            let frames = bench.sink.segments.reduce(0) { $0 + $1.frames }
            #expect(abs(Double(frames) / 25 - Double(footage) / 1_000) < 0.5, "\(frames) pictures in \(footage) ms")
            try expectAccounted(bench, from: start, to: stop)
            for record in bench.sink.segments {
                try expectDecodes(bench.path(record))
                #expect(try decodedFrames(bench.path(record)) == record.frames)
            }
        }
    }

    @Test("A camera that falls silent in mid-stream: the footage ends with its last picture, and the gap says that nothing came")
    func silentInMidStream() async throws {
        try await Turns.shared.run {
            let scratch = try Scratch()
            let pieces = try PacedServer.pieces(scratch, seconds: 5)
            let server = try PacedServer.start(pieces, plan: [[Step(pieces: 20, seconds: 0.2)], []], holds: true)
            defer { withExtendedLifetime(server) {} }
            let bench = try Bench(url: "http://127.0.0.1:\(server.port)/", change: { $0.stallTimeoutMilliseconds = 2_000 }, scratch: scratch)
            let start = MachineClocks().now().bootMilliseconds
            bench.recorder.start()
            try await bench.wait(seconds: 12) { bench.sink.health.contains { $0.state == .waiting } }
            let stop = MachineClocks().now().bootMilliseconds
            bench.recorder.stop()
            #expect(bench.sink.segments.last?.end == .cameraLost)
            let gap = try #require(bench.sink.gaps.last { $0.durationMilliseconds > 1_000 })
            #expect(gap.cause == .cameraLost && gap.detail.contains("no answer in time"), "\(bench.sink.gaps)")
            // The silence, and not a part of it, is the gap.
            #expect((1_800...2_300).contains(gap.durationMilliseconds), "\(gap.durationMilliseconds) ms")
            try expectAccounted(bench, from: start, to: stop)
        }
    }

    /// Speaks as much RTSP as a camera must, and then sends nothing.
    private static let silentRTSP = """
        import socket, threading
        server = socket.create_server(('127.0.0.1', 0)); port = server.getsockname()[1]; print(port, flush=True)
        sdp = ('v=0\\r\\no=- 1 1 IN IP4 127.0.0.1\\r\\ns=x\\r\\nt=0 0\\r\\nm=video 0 RTP/AVP 96\\r\\na=control:track1\\r\\n'
               'a=rtpmap:96 H264/90000\\r\\na=fmtp:96 packetization-mode=1;sprop-parameter-sets=Z0LAHtkAoD2hAAADAAEAAAMAMg8WLkg=,aMuDyyA=\\r\\n')
        def serve(client):
            text = b''
            while True:
                data = client.recv(4096)
                if not data: return
                text += data
                while b'\\r\\n\\r\\n' in text:
                    head, text = text.split(b'\\r\\n\\r\\n', 1)
                    lines = head.decode().split('\\r\\n'); method = lines[0].split()[0]
                    number = next(l.split(':')[1].strip() for l in lines if l.lower().startswith('cseq'))
                    extra, body = '', ''
                    if method == 'OPTIONS': extra = 'Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN\\r\\n'
                    if method == 'DESCRIBE': body = sdp; extra = f'Content-Type: application/sdp\\r\\nContent-Length: {len(sdp)}\\r\\n'
                    if method == 'SETUP': extra = 'Transport: RTP/AVP/TCP;unicast;interleaved=0-1\\r\\nSession: 7\\r\\n'
                    if method == 'PLAY': extra = 'Session: 7\\r\\n'
                    client.sendall(f'RTSP/1.0 200 OK\\r\\nCSeq: {number}\\r\\n{extra}\\r\\n{body}'.encode())
        while True: threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()
        """

    @Test("RTSP that answers PLAY and then sends nothing is a silent camera")
    func playAndNothing() async throws {
        try await Turns.shared.run {
            let server = try Helper(Self.silentRTSP)
            defer { withExtendedLifetime(server) {} }
            let bench = try Bench(url: "rtsp://127.0.0.1:\(server.port)/gate", change: { ($0.connectTimeoutMilliseconds, $0.stallTimeoutMilliseconds) = (1_500, 1_500) })
            bench.recorder.start()
            try await bench.wait(seconds: 10) { bench.sink.health.contains { $0.state == .waiting } }
            bench.recorder.stop()
            #expect(bench.sink.segments.isEmpty && bench.sink.gaps.contains { $0.cause == .cameraSilent }, "\(bench.sink.gaps)")
            #expect(bench.sink.firstHole == nil)
        }
    }

    @Test("RTSP that announces no parameter sets is recorded with those in the stream")
    func withoutAnnouncedParameters() async throws {
        try await Turns.shared.run {
            let inner = try Helper.rtsp(Helper.rtspH264)
            // The word is as long as the one that it hides, so that every length stays right.
            let relay = try Helper(
                """
                import socket, sys, threading
                server = socket.create_server(('127.0.0.1', 0)); print(server.getsockname()[1], flush=True)
                def copy(source, target, hides):
                    try:
                        while data := source.recv(65536): target.sendall(data.replace(b'sprop-parameter-sets', b'nosuch-parameter-set') if hides else data)
                    except OSError: pass
                while True:
                    client, _ = server.accept()
                    camera = socket.create_connection(('127.0.0.1', int(sys.argv[1])))
                    for source, target, hides in ((client, camera, False), (camera, client, True)):
                        threading.Thread(target=copy, args=(source, target, hides), daemon=True).start()
                """, String(inner.port))
            defer { withExtendedLifetime((inner, relay)) {} }
            let bench = try Bench(url: "rtsp://127.0.0.1:\(relay.port)/gate")
            bench.recorder.start()
            try await bench.wait(seconds: 15) { bench.sink.segments.filter { $0.end == .length }.count >= 2 }
            bench.recorder.stop()
            let first = try #require(bench.sink.segments.first, "\(bench.sink.gaps)")
            #expect(first.end == .length && first.codecs.hasPrefix("avc1") && Set(bench.sink.segments.map(\.run)) == [0] && bench.sink.firstHole == nil)
            for record in bench.sink.segments { try expectDecodes(bench.path(record)) }
        }
    }

    @Test("HTTP digest authentication opens a camera for the right password only")
    func digest() async throws {
        try await Turns.shared.run {
            let server = try Helper(
                """
                import hashlib, http.server, re, subprocess, sys
                md5 = lambda text: hashlib.md5(text.encode()).hexdigest()
                class H(http.server.BaseHTTPRequestHandler):
                    def log_message(self, *_): pass
                    def allowed(self):
                        said = dict((k, a or b) for k, a, b in re.findall(r'(\\w+)=(?:"([^"]*)"|([^,\\s]+))', self.headers.get('Authorization', '')))
                        if said.get('username') != 'viewer' or said.get('nonce') != 'n0nce': return False
                        secret, what = md5('viewer:x:s3cret'), md5('GET:' + said['uri'])
                        middle = f"{said['nc']}:{said['cnonce']}:{said['qop']}:" if 'qop' in said else ''
                        return said['response'] == md5(f"{secret}:n0nce:{middle}{what}")
                    def do_GET(self):
                        if not self.allowed():
                            self.send_response(401); self.send_header('WWW-Authenticate', 'Digest realm="x", nonce="n0nce", qop="auth", algorithm=MD5')
                            self.end_headers(); return
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
            defer { withExtendedLifetime(server) {} }
            let wrong = try Bench(url: "http://viewer:s3cretly@127.0.0.1:\(server.port)/")
            wrong.recorder.start()
            try await wrong.wait(seconds: 8) { wrong.sink.health.contains { $0.state == .waiting } }
            wrong.recorder.stop()
            #expect(wrong.sink.segments.isEmpty && wrong.sink.gaps.contains { $0.cause == .cameraRefused }, "\(wrong.sink.gaps)")
            let right = try Bench(url: "http://viewer:s3cret@127.0.0.1:\(server.port)/")
            right.recorder.start()
            try await right.wait(seconds: 12) { right.sink.segments.contains { $0.end == .length } }
            right.recorder.stop()
            #expect(right.sink.segments.contains { $0.end == .length }, "\(right.sink.gaps)")
        }
    }

    @Test("A picture that never ends takes bounded memory, and the camera fails with a sentence", arguments: ["multipart/x-mixed-replace;boundary=x", "image/jpeg"])
    func endlessPicture(type: String) async throws {
        try await Turns.shared.run {
            try CaptureLibrary.prepare(logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
            let server = try Helper(
                """
                import http.server, sys
                class H(http.server.BaseHTTPRequestHandler):
                    def log_message(self, *_): pass
                    def do_GET(self):
                        self.send_response(200); self.send_header('Content-Type', sys.argv[1]); self.end_headers()
                        if 'multipart' in sys.argv[1]: self.wfile.write(b'--x\\r\\nContent-Type: image/jpeg\\r\\n\\r\\n')
                        jpeg = bytes.fromhex('ffd8ffe000104a46494600010100000100010000ffc0001108006000a003012200021101031101')
                        self.wfile.write(jpeg + bytes.fromhex('ffda000c03010002110311003f00'))
                        try:
                            while True: self.wfile.write(b'\\x55' * 65536)
                        except OSError: pass
                s = http.server.ThreadingHTTPServer(('127.0.0.1', 0), H); s.daemon_threads = True
                print(s.server_address[1], flush=True)
                s.serve_forever()
                """, type)
            defer { withExtendedLifetime(server) {} }
            let bench = try Bench(
                url: "http://127.0.0.1:\(server.port)/", change: { ($0.connectTimeoutMilliseconds, $0.stallTimeoutMilliseconds) = (6_000, 6_000) })
            let before = residentBytes()
            let peak = Mutex<Int>(0)
            bench.recorder.start()
            try await bench.wait(seconds: 20) {
                peak.withLock { $0 = max($0, residentBytes()) }
                return bench.sink.health.contains { $0.state == .waiting }
            }
            bench.recorder.stop()
            let grown = peak.withLock { $0 } - before
            #expect(grown < 200 << 20, "\(grown >> 20) MiB more")
            #expect(bench.sink.segments.isEmpty && bench.sink.gaps.contains { !$0.detail.isEmpty && $0.cause != .starting && $0.cause != .stopped }, "\(bench.sink.gaps)")
            print("endless picture as \(type): \(grown >> 20) MiB more at most; \(bench.sink.gaps.map { "\($0.cause.rawValue): \($0.detail)" })")
        }
    }

    private func residentBytes() -> Int {
        let pages = (try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8))?.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0
        return pages * sysconf(Int32(_SC_PAGESIZE))
    }

    @Test("MJPEG that claims a length is still a camera, and lasts as long as it lasted")
    func claimedLength() async throws {
        try await Turns.shared.run {
            let scratch = try Scratch()
            let made = try runTool("ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=size=160x96:rate=8", "-t", "20", "-c:v", "mjpeg", "-f", "image2", scratch.file("%03d.jpg"))
            try #require(made.status == 0, "\(made.errors)")
            let server = try Helper(
                """
                import http.server, sys, time
                class H(http.server.BaseHTTPRequestHandler):
                    def log_message(self, *_): pass
                    def do_GET(self):
                        self.send_response(200); self.send_header('Content-Type', 'multipart/x-mixed-replace;boundary=x')
                        self.send_header('Content-Length', '9999999999'); self.end_headers()
                        for index in range(1, 161):
                            data = open(f'{sys.argv[1]}/{index:03d}.jpg', 'rb').read()
                            self.wfile.write(b'--x\\r\\nContent-Type: image/jpeg\\r\\nContent-Length: %d\\r\\n\\r\\n' % len(data) + data + b'\\r\\n'); self.wfile.flush()
                            time.sleep(0.125)
                s = http.server.ThreadingHTTPServer(('127.0.0.1', 0), H); s.daemon_threads = True
                print(s.server_address[1], flush=True)
                s.serve_forever()
                """, scratch.path.string)
            defer { withExtendedLifetime(server) {} }
            let bench = try Bench(url: "http://127.0.0.1:\(server.port)/", scratch: scratch)
            bench.recorder.start()
            try await bench.wait(seconds: 12) { bench.sink.segments.filter { $0.end == .length }.count >= 2 }
            bench.recorder.stop()
            let first = try #require(bench.sink.segments.first { $0.end == .length }, "\(bench.sink.gaps)")
            let rate = Double(first.frames) / Double(first.mediaDurationTicks90k) * 90_000
            #expect(abs(rate / 8 - 1) < 0.2, "\(rate) pictures a second")
            #expect(bench.sink.firstHole == nil)
        }
    }
}
