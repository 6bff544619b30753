@testable import EdgeEvents
import EdgeMotion
import Foundation
import Logging
import RecordingModel
import TestSupport
import Testing

struct BootClocks: Clocks {
    let bootID = "test-boot"
    func now() -> Moment {
        var boot = timespec()
        clock_gettime(CLOCK_BOOTTIME, &boot)
        return Moment(
            bootNanoseconds: Int64(boot.tv_sec) * 1_000_000_000 + Int64(boot.tv_nsec),
            wall: WallEstimate(unixMilliseconds: 1_783_296_000_000, source: .ntp, uncertaintyMilliseconds: 10))
    }
}

/// A plain socket that sends what a test wants.
final class Wire {
    private let descriptor: Int32

    init(port: Int) throws {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        self.descriptor = descriptor
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        address.sin_port = UInt16(port).bigEndian
        var limit = timeval(tv_sec: 15, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        let size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let connected = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(descriptor, $0, size) == 0 }
        }
        try #require(connected)
    }

    deinit { close(descriptor) }

    @discardableResult
    func send(_ text: String) -> Bool {
        let bytes = Array(text.utf8)
        return Glibc.send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL)) == bytes.count
    }

    /// Until the other side closes, the answer is whole, or nothing comes for 15 s.
    func answer() -> String {
        var all: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = recv(descriptor, &chunk, chunk.count, 0)
            guard count > 0 else { return String(decoding: all, as: UTF8.self) }
            all += chunk[..<count]
            let text = String(decoding: all, as: UTF8.self)
            if let end = text.range(of: "\r\n\r\n"), let length = text.firstMatch(of: #/(?i)content-length: (\d+)/#).flatMap({ Int($0.1) }),
                text[end.upperBound...].utf8.count >= length
            {
                return text
            }
        }
    }

    var isClosed: Bool {
        var byte: UInt8 = 0
        return recv(descriptor, &byte, 1, 0) == 0
    }
}

/// A running listener, ended with `stop`.
final class Bench: Sendable {
    static let token = "0123456789abcdef0123456789abcdef"
    let triggers: EventTriggers
    let port: Int
    private let task: Task<Void, Never>

    init() async throws {
        let triggers = EventTriggers(cameras: try ["gate", "yard"].map { try #require(CameraID($0)) })
        let listener = EventListener(
            host: "127.0.0.1", port: 0, token: Self.token, triggers: triggers, clocks: BootClocks(), logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        let port = Watched(0)
        task = Task { await listener.run { found in port.update { $0 = found } } }
        self.triggers = triggers
        self.port = try await port.wait(for: "the listener", within: .seconds(5)) { $0 == 0 ? nil : $0 }
    }

    func taken(_ camera: String = "gate") throws -> [EventTrigger] {
        let id = try #require(CameraID(camera))
        return try #require(triggers[id]).take()
    }

    func post(_ path: String, _ body: String = "", token: String? = Bench.token, method: String = "POST", headers: String = "") throws -> String {
        let wire = try Wire(port: port)
        let authorization = token.map { "Authorization: Bearer \($0)\r\n" } ?? ""
        wire.send("\(method) \(path) HTTP/1.1\r\nHost: x\r\n\(authorization)\(headers)Content-Length: \(body.utf8.count)\r\n\r\n\(body)")
        return wire.answer()
    }

    func stop() async {
        task.cancel()
        await task.value
    }
}

@Suite("Events by HTTP")
struct ListenerTests {
    @Test("A posted event reaches its camera's box, with what it says")
    func good() async throws {
        let bench = try await Bench()
        let before = BootClocks().now().bootMilliseconds
        #expect(try bench.post("/events/gate", #"{"label":"door open","score":70,"duration_seconds":2.5,"other":[1]}"#).hasPrefix("HTTP/1.1 200 OK"))
        let event = try #require(bench.taken().first)
        #expect(event.source == .webhook && event.label == "door open" && event.score == 70 && event.phase == .lasting(milliseconds: 2_500))
        #expect((before...(before + 2_000)).contains(event.bootMilliseconds))
        #expect(try bench.post("/events/yard").hasPrefix("HTTP/1.1 200 OK"))
        #expect(try bench.taken("yard").map(\.label) == ["webhook"] && bench.taken().isEmpty)
        // What a camera's own alarm page can do: a name in the address, a password, a body of its own.
        let basic = Data("camera:\(Bench.token)".utf8).base64EncodedString()
        #expect(try bench.post("/events/gate/line-crossing?x=1", "<Event/>", token: nil, headers: "Authorization: Basic \(basic)\r\n").hasPrefix("HTTP/1.1 200 OK"))
        #expect(try bench.taken().map(\.label) == ["line-crossing"])
        await bench.stop()
    }

    @Test("One connection may post several times")
    func keptAlive() async throws {
        let bench = try await Bench()
        let wire = try Wire(port: bench.port)
        for index in 0..<5 {
            let body = "{\"label\":\"\(index)\"}"
            wire.send("POST /events/gate HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer \(Bench.token)\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)")
            #expect(wire.answer().hasPrefix("HTTP/1.1 200 OK"))
        }
        #expect(try bench.taken().map(\.label) == ["0", "1", "2", "3", "4"])
        await bench.stop()
    }

    @Test("Whoever shows no token, or a wrong one, is told nothing else", arguments: ["/events/gate", "/events/nobody", "/", "/onvif/gate", "/events/gate/x"])
    func unauthorized(path: String) async throws {
        let bench = try await Bench()
        for header in [
            nil, "Bearer", "Bearer ", "Bearer \(Bench.token)x", "Bearer \(Bench.token.dropLast())", "Digest \(Bench.token)", "Basic \(Bench.token)", "Basic OjA=",
            "Bearer \(String(repeating: "a", count: 5_000))",
        ] {
            let answer = try bench.post(path, "{}", token: nil, headers: header.map { "Authorization: \($0)\r\n" } ?? "")
            #expect(answer.hasPrefix("HTTP/1.1 401 ") && answer.lowercased().contains("www-authenticate: bearer") && answer.contains("application/problem+json"))
            #expect(!answer.contains(Bench.token))
        }
        #expect(try bench.taken().isEmpty)
        await bench.stop()
    }

    @Test("What cannot be taken is refused with a sentence", arguments: [
        ("/events/gate", "[]", 400), ("/events/gate", "{", 400), ("/events/gate", #"{"score":101}"#, 400), ("/events/gate", #"{"score":1.5}"#, 400),
        ("/events/gate", #"{"label":""}"#, 400), ("/events/gate", #"{"label":"a\u0007"}"#, 400), ("/events/gate", #"{"duration_seconds":-1}"#, 400),
        ("/events/gate", #"{"duration_seconds":1e300}"#, 400), ("/events/gate", "\u{0}", 400), ("/events/gate", String(repeating: "[", count: 60_000), 400),
        ("/events/nobody", "{}", 404), ("/events/", "{}", 404), ("/events", "{}", 404), ("/events/gate/", "{}", 404), ("/events/gate/a%20b", "{}", 404),
        ("/events/gate/a/b", "{}", 404), ("/events/../gate", "{}", 404), ("/onvif/nobody", "", 404), ("/onvif/gate", "", 400), ("/onvif/gate", "<a/>", 400),
        ("/events/gate", String(repeating: " ", count: 65_537), 413),
    ])
    func refused(path: String, body: String, status: Int) async throws {
        let bench = try await Bench()
        let answer = try bench.post(path, body)
        #expect(answer.hasPrefix("HTTP/1.1 \(status) "), "\(answer)")
        let document = try #require(answer.range(of: "\r\n\r\n")).upperBound
        let problem = try #require(try JSONSerialization.jsonObject(with: Data(answer[document...].utf8)) as? [String: Any])
        #expect(problem["status"] as? Int == status && (problem["detail"] as? String)?.hasSuffix(".") == true && (problem["title"] as? String)?.isEmpty == false)
        #expect(try bench.taken().isEmpty)
        await bench.stop()
    }

    @Test("Other methods are refused, and a body without a length is bounded too")
    func methodAndChunks() async throws {
        let bench = try await Bench()
        for method in ["GET", "PUT", "DELETE", "OPTIONS"] {
            let answer = try bench.post("/events/gate", method: method)
            #expect(answer.hasPrefix("HTTP/1.1 405 ") && answer.lowercased().contains("allow: post"))
        }
        let wire = try Wire(port: bench.port)
        wire.send("POST /events/gate HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer \(Bench.token)\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in 0..<9 { wire.send("2000\r\n\(String(repeating: "x", count: 8_192))\r\n") }
        #expect(wire.answer().hasPrefix("HTTP/1.1 413 "))
        #expect(wire.isClosed)
        #expect(try bench.taken().isEmpty)
        await bench.stop()
    }

    @Test("Nonsense, huge headers and half requests end the connection and nothing else")
    func hostile() async throws {
        let bench = try await Bench()
        for text in ["\u{1}\u{2}\u{3}\r\n\r\n", "POST\r\n\r\n", "POST /events/gate HTTP/9.9\r\n\r\n", "POST /events/gate HTTP/1.1\r\nContent-Length: x\r\n\r\n"] {
            let wire = try Wire(port: bench.port)
            wire.send(text)
            let answer = wire.answer()
            #expect(answer.isEmpty || answer.hasPrefix("HTTP/1.1 4"), "\(answer)")
        }
        let wire = try Wire(port: bench.port)
        wire.send("POST /events/gate HTTP/1.1\r\nX: ")
        for _ in 0..<200 where !wire.send(String(repeating: "y", count: 4_096)) { break }
        let answer = wire.answer()
        #expect(answer.isEmpty || answer.hasPrefix("HTTP/1.1 4"), "\(answer.prefix(200))")
        #expect(try bench.post("/events/gate").hasPrefix("HTTP/1.1 200 OK"))
        await bench.stop()
    }

    @Test("A slow sender is cut off after ten seconds, and does not hold up others")
    func slow() async throws {
        let bench = try await Bench()
        let wires = try (0..<20).map { _ in try Wire(port: bench.port) }
        let started = ContinuousClock.now
        for wire in wires.prefix(10) { wire.send("POST /events/gate HTTP/1.1\r\nHost:") }
        for wire in wires.suffix(10) {
            wire.send("POST /events/gate HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer \(Bench.token)\r\nContent-Length: 10\r\n\r\n{")
        }
        #expect(try bench.post("/events/yard").hasPrefix("HTTP/1.1 200 OK"))
        #expect(ContinuousClock.now - started < .seconds(2))
        for wire in wires { #expect(wire.isClosed) }
        let passed = ContinuousClock.now - started
        #expect(passed > .seconds(8) && passed < .seconds(13), "\(passed)")
        #expect(try bench.taken().count <= 1)
        await bench.stop()
    }

    @Test("A flood is bounded: ten events a second for a camera, 64 connections, and the stop is quick")
    func flood() async throws {
        let bench = try await Bench()
        var statuses: [String: Int] = [:]
        let started = ContinuousClock.now
        for _ in 0..<100 { statuses[String(try bench.post("/events/gate").dropFirst(9).prefix(3)), default: 0] += 1 }
        let seconds = Double((ContinuousClock.now - started).components.seconds) + 1
        #expect(statuses["200"] ?? 0 >= 20 && statuses["200"] ?? 0 <= 20 + Int(seconds * 10) && statuses["429"] ?? 0 >= 20, "\(statuses) in \(seconds) s")
        #expect(try bench.taken().count <= TriggerBox.limit)
        // The other camera's rate is its own.
        #expect(try bench.post("/events/yard").hasPrefix("HTTP/1.1 200 OK"))
        let limited = try bench.post("/events/gate")
        #expect(limited.hasPrefix("HTTP/1.1 200") || limited.lowercased().contains("retry-after: 1"))
        let idle = try (0..<90).map { _ in try Wire(port: bench.port) }
        #expect(idle.suffix(10).allSatisfy { $0.isClosed }, "the sixty-fifth is not admitted")
        let stopping = ContinuousClock.now
        await bench.stop()
        #expect(ContinuousClock.now - stopping < .seconds(2))
        #expect(idle.allSatisfy { $0.isClosed })
    }

    @Test("An address that another has is asked for again until it is free")
    func occupied() async throws {
        let bench = try await Bench()
        let port = bench.port
        let second = EventListener(
            host: "127.0.0.1", port: port, token: Bench.token, triggers: bench.triggers, clocks: BootClocks(), logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        let ready = Watched(0)
        let task = Task { await second.run { found in ready.update { $0 = found } } }
        try await Task.sleep(for: .milliseconds(300))
        #expect(ready.value == 0)
        await bench.stop()
        #expect(try await ready.wait(for: "the second listener", within: .seconds(8)) { $0 == 0 ? nil : $0 } == port)
        task.cancel()
        await task.value
    }
}
