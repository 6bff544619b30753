import Foundation
import Testing
import TestSupport

/// ffmpeg as a camera: it listens or sends as its arguments say, until this object goes.
final class Streamer {
    private let child: Child

    init(_ arguments: [String]) throws {
        let null = open("/dev/null", O_RDWR | O_CLOEXEC)
        defer { close(null) }
        child = try Child("/usr/bin/env", ["ffmpeg", "-nostdin", "-v", "error"] + arguments, input: null, output: null, errors: null) { _ in }
    }

    deinit { kill(child.pid, SIGKILL) }

    /// A picture of 160x96 and 25 a second with a key frame each second, and a tone, in real time.
    static let picture = ["-re", "-f", "lavfi", "-i", "testsrc2=size=160x96:rate=25"]
    static let tone = ["-re", "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000"]
    static let h264 = ["-pix_fmt", "yuv420p", "-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-g", "25"]
    static let h265 = ["-pix_fmt", "yuv420p", "-c:v", "libx265", "-preset", "ultrafast", "-tune", "zerolatency", "-x265-params", "log-level=none:keyint=25"]
    static let aac = ["-c:a", "aac", "-ar", "48000"]
}

extension Helper {
    /// GStreamer's RTSP server with one pipeline; the path is /gate.
    static func rtsp(_ launch: String) throws -> Helper {
        try Helper(
            """
            import gi, sys
            gi.require_version('Gst', '1.0'); gi.require_version('GstRtspServer', '1.0')
            from gi.repository import GLib, Gst, GstRtspServer
            Gst.init(None)
            server = GstRtspServer.RTSPServer(); server.set_address('127.0.0.1'); server.set_service('0')
            factory = GstRtspServer.RTSPMediaFactory(); factory.set_shared(True); factory.set_launch('( ' + sys.argv[1] + ' )')
            server.get_mount_points().add_factory('/gate', factory)
            server.attach(None)
            print(server.get_bound_port(), flush=True)
            GLib.MainLoop().run()
            """, launch)
    }

    static let rtspPicture = "videotestsrc is-live=true ! video/x-raw,width=160,height=96,framerate=25/1"
    static let rtspH264 = "\(rtspPicture) ! x264enc tune=zerolatency key-int-max=25 ! rtph264pay name=pay0 pt=96 config-interval=-1"
    static let rtspTone = "audiotestsrc is-live=true ! audioconvert ! audioresample"

    /// The project's own cameras, as the demo has them.
    static func cameras(_ arguments: String...) throws -> Helper {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        let path = root.appendingPathComponent("deploy/rtsp-cameras.py").path
        // Its first line is JSON; the port is wanted as the last number.
        return try Helper(
            """
            import json, subprocess, sys, signal
            child = subprocess.Popen(sys.argv[1:] + ['--die-with-parent'], stdout=subprocess.PIPE, text=True)
            signal.signal(signal.SIGTERM, lambda *_: (child.kill(), sys.exit(0)))
            print(json.loads(child.stdout.readline())['port'], flush=True)
            child.wait()
            """, arguments: [path] + arguments)
    }
}

extension Helper {
    /// Ends TLS with the certificate of the first argument, and passes on to the port of the second.
    static let tlsRelay = """
        import socket, ssl, sys, threading
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER); context.load_cert_chain(sys.argv[1])
        server = socket.create_server(('127.0.0.1', 0)); print(server.getsockname()[1], flush=True)
        def copy(source, target):
            try:
                while data := source.recv(65536): target.sendall(data)
            except OSError: pass
            for end in (source, target):
                try: end.shutdown(socket.SHUT_RDWR)
                except OSError: pass
        while True:
            client, _ = server.accept()
            try:
                client = context.wrap_socket(client, server_side=True)
                inner = socket.create_connection(('127.0.0.1', int(sys.argv[2])))
            except OSError: client.close(); continue
            for pair in ((client, inner), (inner, client)): threading.Thread(target=copy, args=pair, daemon=True).start()
        """
}

/// A certificate and its key in one file.
func makeCertificate(_ scratch: Scratch) throws -> String {
    let path = scratch.file("tls.pem")
    let made = try runTool(
        "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", scratch.file("key.pem"), "-out", scratch.file("cert.pem"), "-days", "2",
        "-subj", "/CN=127.0.0.1")
    try #require(made.status == 0, "\(made.errors)")
    try Data(["cert.pem", "key.pem"].map { try Data(contentsOf: URL(fileURLWithPath: scratch.file($0))) }.joined())
        .write(to: URL(fileURLWithPath: path))
    return path
}
