import Foundation
import SystemPackage
import Testing
import TestSupport

/// A live camera over HTTP, as far as a client can see: pieces of a transport stream, each of them when a plan says so.
enum PacedServer {
    /// Pieces of one group of pictures each, in the order of their times.
    static func pieces(
        _ scratch: Scratch, seconds: Double, size: String = "160x96", groupFrames: Int = 5, offsetSeconds: Double = 0
    ) throws -> [String] {
        let name = "\(size)-\(offsetSeconds)"
        let whole = scratch.file("\(name).ts")
        let made = try runTool(
            ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=size=\(size):rate=25", "-t", "\(seconds)"] + Streamer.h264
                + ["-g", "\(groupFrames)", "-x264-params", "keyint=\(groupFrames):min-keyint=\(groupFrames):scenecut=0", "-output_ts_offset", "\(offsetSeconds)", whole])
        try #require(made.status == 0, "\(made.errors)")
        let cut = try runTool(
            "ffmpeg", "-v", "error", "-copyts", "-i", whole, "-map", "0:v", "-c", "copy", "-f", "segment", "-segment_time", "0.01", "-segment_format", "mpegts",
            scratch.file("\(name)-%04d.piece"))
        try #require(cut.status == 0, "\(cut.errors)")
        let names = try FileManager.default.contentsOfDirectory(atPath: scratch.path.string).filter { $0.hasPrefix("\(name)-") && $0.hasSuffix(".piece") }
        return names.sorted().map { scratch.file($0) }
    }

    /// Gives every `count` pictures in a row the time of the first of them. FFmpeg's muxers would move them apart.
    static func repeatTimes(_ pieces: [String], count: Int) throws {
        var (picture, kept) = (0, [UInt8]())
        for piece in pieces {
            var bytes = try [UInt8](Data(contentsOf: URL(fileURLWithPath: piece)))
            for packet in stride(from: 0, to: bytes.count, by: 188) where bytes[packet + 1] & 0x40 != 0 {
                // ISO/IEC 13818-1: payload behind an adaptation field; a picture's packet has its time behind 9 bytes.
                let payload = packet + 4 + (bytes[packet + 3] & 0x20 != 0 ? 1 + Int(bytes[packet + 4]) : 0)
                guard payload + 14 <= packet + 188, bytes[payload..<(payload + 4)].elementsEqual([0, 0, 1, 0xe0]) else { continue }
                try #require(bytes[payload + 7] & 0xc0 == 0x80, "a picture has one time only")
                if picture % count == 0 { kept = Array(bytes[(payload + 9)..<(payload + 14)]) }
                bytes.replaceSubrange((payload + 9)..<(payload + 14), with: kept)
                picture += 1
            }
            try Data(bytes).write(to: URL(fileURLWithPath: piece))
        }
        try #require(picture > count)
    }

    /// What one connection gets: so many pieces, so many seconds apart, in turn; a step without pieces is a pause.
    struct Step: Encodable {
        var pieces: Int
        var seconds: Double
    }

    /// - Parameters:
    ///   - plan: one entry a connection; the last one serves all that follow. Pieces go on where the connection before ended.
    ///   - holds: says nothing more afterwards, instead of closing.
    static func start(_ pieces: [String], plan: [[Step]], holds: Bool = false) throws -> Helper {
        try Helper(
            """
            import http.server, json, sys, time
            plan, holds, pieces = json.loads(sys.argv[1]), sys.argv[2] == 'true', sys.argv[3:]
            at, served = 0, 0
            class H(http.server.BaseHTTPRequestHandler):
                def log_message(self, *_): pass
                def do_GET(self):
                    global at, served
                    self.send_response(200); self.end_headers()
                    steps = plan[min(served, len(plan) - 1)]; served += 1
                    due = time.monotonic()
                    for step in steps:
                        for _ in range(step['pieces']):
                            if at == len(pieces): return
                            due += step['seconds']
                            time.sleep(max(0, due - time.monotonic()))
                            self.wfile.write(open(pieces[at], 'rb').read()); self.wfile.flush(); at += 1
                        if not step['pieces']: due += step['seconds']; time.sleep(max(0, due - time.monotonic()))
                    if holds: time.sleep(60)
            s = http.server.ThreadingHTTPServer(('127.0.0.1', 0), H); s.daemon_threads = True
            print(s.server_address[1], flush=True)
            s.serve_forever()
            """, arguments: [String(decoding: try JSONEncoder().encode(plan), as: UTF8.self), "\(holds)"] + pieces)
    }
}

/// Footage and gaps together are the time from the start to the stop, without overlap or hole, and nothing is from the future.
func expectAccounted(_ bench: Bench, from start: Int64, to stop: Int64, sourceLocation: SourceLocation = #_sourceLocation) throws {
    #expect(bench.sink.firstHole == nil, sourceLocation: sourceLocation)
    let spans = bench.sink.spans
    let (first, last) = (try #require(spans.first, sourceLocation: sourceLocation), try #require(spans.last, sourceLocation: sourceLocation))
    #expect(abs(first.start - start) <= 100, "it begins \(first.start - start) ms after the start", sourceLocation: sourceLocation)
    #expect(abs(last.end - stop) <= 250, "it ends \(last.end - stop) ms after the stop", sourceLocation: sourceLocation)
    let sum = spans.reduce(0) { $0 + $1.end - $1.start }
    #expect(abs(sum - (stop - start)) <= 250, "\(sum) ms of \(stop - start)", sourceLocation: sourceLocation)
}
