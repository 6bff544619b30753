import Glibc
import RecordingModel
import ServiceSupport
import Synchronization
import Testing

@Suite struct SupportTests {
    @Test func `waits grow, stay within their bounds and start again after a reset`() {
        var backoff = Backoff(first: .seconds(1), longest: .seconds(60), shortest: .milliseconds(100))
        var generator = SeededGenerator(seed: 1)
        var bounds: [Duration] = []
        for _ in 0..<200 {
            bounds.append(backoff.bound)
            let wait = backoff.next(using: &generator)
            #expect(wait >= .milliseconds(100) && wait <= bounds[bounds.count - 1])
        }
        #expect(bounds.prefix(8) == [.seconds(1), .seconds(2), .seconds(4), .seconds(8), .seconds(16), .seconds(32), .seconds(60), .seconds(60)])
        backoff.reset()
        #expect(backoff.bound == .seconds(1) && backoff.attempts == 0)
    }

    @Test func `the same seed gives the same waits, another one others`() {
        func waits(_ seed: UInt64) -> [Duration] {
            var backoff = Backoff()
            var generator = SeededGenerator(seed: seed)
            return (0..<10).map { _ in backoff.next(using: &generator) }
        }
        #expect(waits(5) == waits(5) && waits(5) != waits(6))
    }

    @Test func `the generator is SplitMix64`() {
        var generator = SeededGenerator(seed: 1_234_567)
        #expect([generator.next(), generator.next()] == [6_457_827_717_110_365_317, 3_203_168_211_198_807_973])
    }

    @Test func `a wall clock is worth what keeps it`() {
        let now: Int64 = 1_795_249_679_123
        #expect(SystemClocks.estimate(unixMilliseconds: now, synchronised: 2500) == WallEstimate(unixMilliseconds: now, source: .ntp, uncertaintyMilliseconds: 3))
        #expect(SystemClocks.estimate(unixMilliseconds: now, synchronised: nil) == WallEstimate(unixMilliseconds: now, source: .rtc, uncertaintyMilliseconds: 60_000))
        #expect(SystemClocks.estimate(unixMilliseconds: 5000, synchronised: nil) == WallEstimate(unixMilliseconds: 5000, source: .none, uncertaintyMilliseconds: 31_536_000_000))
    }

    @Test func `the machine's clocks run and its boot has an id`() throws {
        let clocks = try SystemClocks()
        let first = clocks.now()
        let second = clocks.now()
        #expect(clocks.bootID.utf8.count == 36 && first.bootNanoseconds > 0 && second.bootNanoseconds > first.bootNanoseconds)
        #expect(first.wall.unixMilliseconds > WallEstimate.firstPlausibleUnixMilliseconds && first.wall.source != .none)
        #expect(throws: ServiceSupportError("cannot read /nonexistent: No such file or directory")) { _ = try SystemClocks(bootIDPath: "/nonexistent") }
    }

    @Test func `a file is read whole or not at all`() throws {
        #expect(try SmallFile.text("/proc/self/comm").isEmpty == false)
        #expect(throws: ServiceSupportError("/proc/self/maps is larger than 100 bytes")) { _ = try SmallFile.bytes("/proc/self/maps", limitBytes: 100) }
        #expect(throws: ServiceSupportError("cannot read /tmp: Is a directory")) { _ = try SmallFile.bytes("/tmp") }
    }

    @Test(arguments: [false, true]) func `systemd is told, on a path and on an abstract socket`(isAbstract: Bool) throws {
        let name = isAbstract ? "@fieldpost-test-\(getpid())" : "/tmp/fieldpost-notify-\(getpid())"
        let descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0)
        defer {
            close(descriptor)
            if !isAbstract { unlink(name) }
        }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        var bytes = Array(name.utf8)
        if isAbstract { bytes[0] = 0 }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        let length = socklen_t(2 + bytes.count + (isAbstract ? 0 : 1))
        let bound = withUnsafePointer(to: &address) { $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, length) } }
        try #require(bound == 0)
        func received() -> String {
            var buffer = [UInt8](repeating: 0, count: 512)
            let count = recv(descriptor, &buffer, buffer.count, Int32(MSG_DONTWAIT))
            return String(decoding: buffer.prefix(max(0, count)), as: UTF8.self)
        }
        let environment = ["NOTIFY_SOCKET": name, "WATCHDOG_USEC": "30000000"]
        let notifier = ServiceNotifier { environment[$0] }
        #expect(notifier.watchdogInterval == .seconds(30))
        notifier.ready()
        #expect(received() == "READY=1")
        notifier.status("camera rtsp://a:b@c\nis back")
        #expect(received() == "STATUS=camera rtsp://***@c is back")
        notifier.watchdog()
        #expect(received() == "WATCHDOG=1")
        notifier.stopping()
        #expect(received() == "STOPPING=1")
    }

    @Test func `without a supervisor notices go nowhere`() {
        for value in [nil, "", "x", "relative/path", "/tmp/" + String(repeating: "x", count: 200), "/nonexistent/socket"] {
            let notifier = ServiceNotifier { $0 == "NOTIFY_SOCKET" ? value : nil }
            notifier.ready()
            #expect(notifier.watchdogInterval == nil)
        }
    }

    @Test func `a table aligns its columns and disarms control characters`() {
        var table = OutputTable(["camera", .init("bytes", .right), "state"])
        table.add(["gate", "12", "recording"])
        table.add(["yard-2", "1024", "wait\u{1B}[2J"])
        table.add(["x"])
        #expect(table.text() == "camera  bytes  state\ngate       12  recording\nyard-2   1024  wait?[2J\nx\n")
    }

    @Test func `a progress bar is drawn on a terminal only, and only when it changes`() {
        let written = Mutex<[String]>([])
        func run(columns: Int?) {
            var progress = TerminalProgress("get", columns: columns) { text in written.withLock { $0.append(text) } }
            for completed: Int64 in [0, 1, 2, 50, 100] { progress.update(completed: completed * 10, total: 10_000, detail: "") }
            progress.finish()
        }
        run(columns: nil)
        #expect(written.withLock { $0 } == [])
        run(columns: 24)
        #expect(written.withLock { $0 } == ["\r\u{1B}[Kget [-----------]   0 %", "\r\u{1B}[Kget [-----------]   5 %", "\r\u{1B}[Kget [#----------]  10 %", "\n"])
        #expect(TerminalProgress.line(title: "get", completed: 5, total: nil, detail: "5 B", columns: 80) == "get 5 B")
        #expect(TerminalProgress.line(title: "get", completed: 9, total: 3, detail: "", columns: 6) == "get 1")
    }
}
