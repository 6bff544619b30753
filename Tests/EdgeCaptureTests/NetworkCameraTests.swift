@testable import EdgeCapture
import Foundation
import RecordingModel
import StorageIO
import Synchronization
import SystemPackage
import Testing
import TestSupport

/// A Python program that serves on the port that it prints in its first line; ended with this object.
final class Helper {
    private let child: Child
    private let output: FileHandle
    let port: Int

    convenience init(_ program: String, _ arguments: String...) throws { try self.init(program, arguments: arguments) }

    init(_ program: String, arguments: [String]) throws {
        var ends: [Int32] = [-1, -1]
        let null = open("/dev/null", O_RDWR | O_CLOEXEC)
        try #require(pipe(&ends) == 0 && null >= 0)
        defer { for descriptor in [null, ends[1]] where descriptor >= 0 { close(descriptor) } }
        child = try Child("/usr/bin/python3", ["-c", program] + arguments, input: null, output: ends[1], errors: null) { _ in }
        output = FileHandle(fileDescriptor: ends[0], closeOnDealloc: true)
        close(ends[1])
        ends[1] = -1
        var line = ""
        while !line.contains("\n") {
            let data = output.availableData
            if data.isEmpty { break }
            line += String(decoding: data, as: UTF8.self)
        }
        port = try #require(line.split { !$0.isNumber }.last.flatMap { Int($0) }, "the program printed: \(line)")
    }

    deinit { kill(child.pid, SIGTERM) }
}

@Suite("Cameras over the network")
struct NetworkCameraTests {
    /// Serves a folder; with a second argument over TLS. Or sends a file and then says nothing more.
    private static let webServer = """
        import http.server, ssl, sys, time, functools
        class H(http.server.SimpleHTTPRequestHandler):
            def do_GET(self):
                super().do_GET()
                if 'stall' in self.path:
                    self.wfile.flush(); time.sleep(60)
        s = http.server.ThreadingHTTPServer(('127.0.0.1', 0), functools.partial(H, directory=sys.argv[1]))
        if len(sys.argv) > 2:
            c = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER); c.load_cert_chain(sys.argv[2])
            s.socket = c.wrap_socket(s.socket, server_side=True)
        print(s.server_address[1], flush=True)
        s.serve_forever()
        """

    private static let rtspsServer = """
        import gi, sys
        gi.require_version('Gst', '1.0'); gi.require_version('GstRtspServer', '1.0')
        from gi.repository import Gio, GLib, Gst, GstRtspServer
        Gst.init(None)
        server = GstRtspServer.RTSPServer(); server.set_address('127.0.0.1'); server.set_service('0')
        auth = GstRtspServer.RTSPAuth(); auth.set_tls_certificate(Gio.TlsCertificate.new_from_file(sys.argv[1]))
        token = GstRtspServer.RTSPToken(); token.set_string('media.factory.role', 'anonymous')
        auth.set_default_token(token)
        server.set_auth(auth)
        factory = GstRtspServer.RTSPMediaFactory(); factory.set_shared(True)
        factory.set_launch('( videotestsrc is-live=true ! video/x-raw,width=160,height=96,framerate=25/1 ! x264enc tune=zerolatency key-int-max=25 ! rtph264pay name=pay0 pt=96 config-interval=-1 )')
        permissions = GstRtspServer.RTSPPermissions()
        permissions.add_permission_for_role('anonymous', 'media.factory.access', True)
        permissions.add_permission_for_role('anonymous', 'media.factory.construct', True)
        factory.set_permissions(permissions)
        server.get_mount_points().add_factory('/gate', factory)
        server.attach(None)
        print(server.get_bound_port(), flush=True)
        GLib.MainLoop().run()
        """

    private func makeSource(_ path: String, seconds: Int) throws {
        let made = try runTool(
            "ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=size=160x90:rate=25", "-t", "\(seconds)", "-pix_fmt", "yuv420p", "-c:v", "libx264",
            "-g", "25", "-bf", "0", "-movflags", "+faststart", path)
        try #require(made.status == 0, "\(made.errors)")
    }

    @Test("A camera over HTTP and HTTPS is recorded whole", arguments: [("http", "mp4"), ("http", "ts"), ("https", "ts")])
    func web(scheme: String, format: String) throws {
        let scratch = try Scratch()
        try makeSource(scratch.file("camera.\(format)"), seconds: 3)
        let server =
            scheme == "https" ? try Helper(Self.webServer, scratch.path.string, try makeCertificate(scratch)) : try Helper(Self.webServer, scratch.path.string)
        defer { withExtendedLifetime(server) {} }
        let bench = try Bench(
            url: "\(scheme)://127.0.0.1:\(server.port)/camera.\(format)", change: { $0.segmentMilliseconds = 60_000 }, scratch: scratch)
        bench.recorder.start()
        bench.wait(seconds: 10) { !bench.sink.segments.isEmpty }
        bench.recorder.stop()
        let first = try #require(bench.sink.segments.first, "\(bench.sink.gaps)")
        #expect(first.frames == 75 && first.end == .cameraLost)
        #expect(bench.sink.firstHole == nil)
        try expectDecodes(bench.path(first))
    }

    @Test("A camera over RTSPS is recorded")
    func rtsps() throws {
        let scratch = try Scratch()
        let server = try Helper(Self.rtspsServer, try makeCertificate(scratch))
        defer { withExtendedLifetime(server) {} }
        let bench = try Bench(url: "rtsps://127.0.0.1:\(server.port)/gate", scratch: scratch)
        bench.recorder.start()
        bench.wait(seconds: 10) { !bench.sink.segments.isEmpty }
        bench.recorder.stop()
        let first = try #require(bench.sink.segments.first, "\(bench.sink.gaps)")
        #expect(first.end == .length)
        try expectDecodes(bench.path(first))
    }

    @Test("What is written is synced within 5 s also when the camera falls silent")
    func syncedWhileSilent() throws {
        let scratch = try Scratch()
        // Three seconds in real time. Their end says nothing of the length, so the demuxer waits for more.
        try makeSource(scratch.file("stall.ts"), seconds: 3)
        let server = try Helper(Self.webServer.replacing("super().do_GET()", with: """
            self.send_response(200); self.end_headers(); data = open(sys.argv[1] + self.path, 'rb').read()
                    for i in range(30): self.wfile.write(data[len(data) * i // 30:len(data) * (i + 1) // 30]); time.sleep(0.1)
            """), scratch.path.string)
        defer { withExtendedLifetime(server) {} }
        let syncs = Mutex<[Date]>([])
        let storage = FaultyStorage { operation, _ in
            if operation == .sync { syncs.withLock { $0.append(Date()) } }
            return false
        }
        let bench = try Bench(
            url: "http://127.0.0.1:\(server.port)/stall.ts", storage: storage, change: { $0.segmentMilliseconds = 60_000 }, scratch: scratch)
        bench.recorder.start()
        bench.wait(seconds: 5) { bench.sink.health.contains { $0.state == .recording } }
        let began = Date()
        bench.wait(seconds: 9) { syncs.withLock { !$0.isEmpty } }
        let first = try #require(syncs.withLock { $0.first })
        #expect(first.timeIntervalSince(began) < 5.2)
        #expect(bench.sink.segments.isEmpty)
        bench.recorder.stop()
        #expect(bench.sink.segments.count == 1)
    }
}
