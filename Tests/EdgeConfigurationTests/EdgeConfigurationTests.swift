import EdgeCapture
import EdgeCompress
import EdgeJournal
import EdgeMotion
import EdgeSync
import Logging
import RecordingModel
import ServiceSupport
import Testing

@testable import fieldpost_edge

private func decode(_ yaml: String) throws -> EdgeConfiguration { try EdgeConfiguration.decode(Array(yaml.utf8), file: "edge.yaml") }

private func problems(_ yaml: String) -> [String] {
    do {
        _ = try decode(yaml)
        return []
    } catch let error as ConfigurationError {
        return error.problems.map(\.description)
    } catch {
        return ["other error: \(error)"]
    }
}

private func camera(_ lines: String..., after: String = "") -> String {
    "data_directory: /d\ncameras:\n  - id: gate\n" + lines.map { "    \($0)\n" }.joined() + after
}

private let expectedURL = CameraSource.expectation

private let cameraMistakes: [(yaml: String, expected: String)] = [
    (camera("url: rtsp://h/s", "segment_secods: 10"), "cameras[0].segment_secods (line 5, column 5): unknown key; accepted here: audio, id, mode, motion, onvif_events, password_file, post_roll_seconds, pre_roll_seconds, schedule, segment_seconds, sub_stream, transport, url, username"),
    (camera("url: rtsp://h/s", "segment_seconds: 1"), "cameras[0].segment_seconds (line 5, column 22): 1 is out of range; expected a whole number from 2 to 600 seconds"),
    (camera("url: rtsp://h/s", "transport: quic"), "cameras[0].transport (line 5, column 16): expected one of tcp, udp"),
    (camera("url: rtsp://h/s", "audio: on"), "cameras[0].audio (line 5, column 12): expected off, or a section with the key reason"),
    (camera("url: rtsp://h/s", "audio: {}"), "cameras[0].audio.reason (line 5, column 12): missing; expected the reason for recording sound, text of 3 to 200 bytes in one line"),
    (camera("url: rtsp://h/s", "audio: {record: yes}"), "cameras[0].audio.reason (line 5, column 12): missing; expected the reason for recording sound, text of 3 to 200 bytes in one line|cameras[0].audio.record (line 5, column 13): unknown key; accepted here: reason"),
    (camera("transport: tcp"), "cameras[0].url (line 3, column 5): missing; expected \(expectedURL)"),
]

private let addressMistakes: [(yaml: String, expected: String)] = [
    (camera("url: ftp://h/s"), "cameras[0].url (line 4, column 10): the address begins with no scheme known here; expected \(expectedURL)"),
    (camera("url: rtsp:/h/s"), "cameras[0].url (line 4, column 10): the scheme is not followed by //; expected \(expectedURL)"),
    (camera("url: rtsp:///s"), "cameras[0].url (line 4, column 10): the address has no valid host; expected \(expectedURL)"),
    (camera("url: rtsp://h:99999/s"), "cameras[0].url (line 4, column 10): the address has no valid port; expected \(expectedURL)"),
    (camera("url: rtsp://a:geheim@h:p/s"), "cameras[0].url (line 4, column 10): the address has no valid port; expected \(expectedURL)"),
    (camera("url: rtsp://a:ge/heim@h/s"), "cameras[0].url (line 4, column 10): the address has no valid port; expected \(expectedURL)"),
    (camera("url: \"rtsp://a:geheim@h/\\ns\""), "cameras[0].url (line 4, column 10): the address has a space, a control character or one outside of ASCII (write it as %XX); expected \(expectedURL)"),
    (camera("url: rtsp://a:geheim%0A@h/s"), "cameras[0].url (line 4, column 10): the user name or password in the address is not valid (write @ : / ? # % in them as %XX); expected \(expectedURL)"),
    (camera("url: file:video.mp4"), "cameras[0].url (line 4, column 10): a file address needs an absolute path; expected \(expectedURL)"),
]

private let streamMistakes: [(yaml: String, expected: String)] = [
    (camera("url: srt://h"), "cameras[0].url (line 4, column 10): srt:// needs a host and a port; expected \(expectedURL)"),
    (camera("url: srt://h:9000?mode=rendezvous"), "cameras[0].url (line 4, column 10): mode is caller or listener; expected \(expectedURL)"),
    (camera("url: srt://h:9000?passphrase=geheim"), "cameras[0].url (line 4, column 10): an SRT passphrase has 10 to 79 bytes; expected \(expectedURL)"),
    (camera("url: srt://a:geheim@h:9000"), "cameras[0].url (line 4, column 10): srt:// takes no user name or password; expected \(expectedURL)"),
    (camera("url: srt://h:9000", "username: a"), "cameras[0].username (line 5, column 15): an srt source takes no user name; password_file alone holds its passphrase"),
    (camera("url: srt://h:9000?passphrase=geheimgeheim", "password_file: /p"), "cameras[0].password_file (line 5, column 20): the url already has a password; give it in one place"),
    (camera("url: udp://0.0.0.0:5000", "password_file: /p"), "cameras[0].password_file (line 5, column 20): a udp source takes no user name or password"),
    (camera("url: udp://h:5000"), "cameras[0].url (line 4, column 10): udp:// names the IP address to listen on: 0.0.0.0 for any, one of this machine, or a multicast group; expected \(expectedURL)"),
    (camera("url: udp://0.0.0.0:5000?fifo_size=999999999"), "cameras[0].url (line 4, column 10): udp:// takes only localaddr, sources behind its ?, each as key=value; expected \(expectedURL)"),
    (camera("url: rtp://239.0.0.1:5000/x"), "cameras[0].url (line 4, column 10): rtp:// takes no path; expected \(expectedURL)"),
    (camera("url: udp://239.0.0.1:5000?localaddr=eth0"), "cameras[0].url (line 4, column 10): localaddr is an IP address of this machine; expected \(expectedURL)"),
    (camera("url: udp://239.0.0.1:5000?sources=10.0.0.1%26fifo_size=1"), "cameras[0].url (line 4, column 10): sources are at most 8 IP addresses with commas between; expected \(expectedURL)"),
]

private let credentialMistakes: [(yaml: String, expected: String)] = [
    (camera("url: rtsp://a:b@h/s", "username: c"), "cameras[0].username (line 5, column 15): the url already has a user name; give it in one place"),
    (camera("url: rtsp://a:b@h/s", "password_file: /p"), "cameras[0].password_file (line 5, column 20): the url already has a password; give it in one place"),
    (camera("url: rtsp://h/s", "password_file: /p"), "cameras[0].password_file (line 5, column 20): a password needs a user name; add username"),
    (camera("url: test:pattern", "username: a"), "cameras[0].username (line 5, column 15): a test source takes no user name or password"),
    (camera("url: rtsp://h/s", "password: geheim"), "cameras[0].password (line 5, column 5): unknown key; accepted here: audio, id, mode, motion, onvif_events, password_file, post_roll_seconds, pre_roll_seconds, schedule, segment_seconds, sub_stream, transport, url, username"),
    (camera("url: rtsp://h/s", after: "  - id: gate\n    url: rtsp://i/s\n"), "cameras[1].id (line 5, column 9): camera id gate is already used by cameras[0]; each id may be used once"),
]

private let fileMistakes: [(yaml: String, expected: String)] = [
    ("data_directory: /d\ncameras: [{id: Gate!, url: 'test:pattern'}]", "cameras[0].id (line 2, column 16): expected \(CameraID.expectation)"),
    ("data_directory: /d\n", "cameras (line 1, column 1): missing; expected a list of 1 to 64 items"),
    ("data_directory: /d\ncameras:\n", "cameras (line 2, column 9): 0 items; expected a list of 1 to 64 items"),
    ("cameras: [{id: a, url: 'test:pattern'}]", "data_directory (line 1, column 1): missing; expected an absolute path, such as /var/lib/fieldpost"),
    (camera("url: rtsp://h/s", after: "log: {level: loud}\n"), "log.level (line 5, column 14): expected one of trace, debug, info, notice, warning, error, critical"),
    (camera("url: rtsp://h/s", after: "sync: {heartbeat_seconds: 0}\n"), "sync.heartbeat_seconds (line 5, column 27): 0 is out of range; expected a whole number from 1 to 3600 seconds"),
    (camera("url: rtsp://h/s", after: "hub: {enabled: yes}\n"), "hub.enabled (line 5, column 16): expected true or false"),
    (camera("url: rtsp://h/s", after: "metrics: {interval_seconds: x}\n"), "metrics.interval_seconds (line 5, column 29): expected a whole number from 1 to 300 seconds"),
    (camera("url: rtsp://h/s", after: "site: ''\n"), "site (line 5, column 7): expected text of 1 to 200 bytes in one line"),
]

@Suite struct EdgeConfigurationTests {
    @Test(arguments: [
        ("test:pattern?rate=5", "test: the options are size, fps, gop and bitrate"), ("test:?size=63x64", "test: size is WIDTHxHEIGHT, even, 64 to 4096"),
        ("test:?fps", "test: options are written name=value"), ("test:?fps=0", "test: fps is 1 to 120"),
    ]) func `what capture would refuse is refused with the file`(url: String, sentence: String) {
        #expect(problems(camera("url: '\(url)'")) == ["cameras[0].url (line 4, column 10): \(sentence)"])
    }

    @Test func `the example that init writes is accepted and means the defaults`() throws {
        let text = EdgeConfiguration.example(
            dataDirectory: "/srv/\"field\" post", cameras: [.init(id: "gate", url: "rtsp://a:b@10.0.0.1/s#x"), .init(id: "yard", url: "test:pattern")], segmentSeconds: 10)
        let configuration = try decode(text)
        #expect(configuration.dataDirectory == "/srv/\"field\" post" && configuration.segmentSeconds == 10 && configuration.site == nil)
        #expect(configuration.cameras.map(\.id.description) == ["gate", "yard"])
        #expect(configuration.cameras.allSatisfy { $0.segmentSeconds == 10 && $0.audioReason == nil && $0.transport == .tcp })
        #expect(configuration.sync == .init(heartbeatSeconds: 30, connectTimeoutSeconds: 4, stallTimeoutSeconds: 4))
        #expect(configuration.hub.isEnabled && configuration.log == .init(level: .info, format: .text) && configuration.metrics.intervalSeconds == 10)
        // What the file leaves out means the same as what the example writes.
        let bare = try decode("data_directory: /d\ncameras: [{id: a, url: 'test:pattern'}]")
        #expect(bare.sync == configuration.sync && bare.log == configuration.log && bare.metrics == configuration.metrics && bare.hub == configuration.hub)
        #expect(bare.segmentSeconds == 60)
    }

    @Test func `every commented line of the example is accepted as well`() throws {
        var text = EdgeConfiguration.example()
        for key in ["site", "username", "password_file", "transport", "audio", "segment_seconds"] {
            text = text.split(separator: "\n", omittingEmptySubsequences: false).map { line -> String in
                let bare = line.drop { $0 == " " }
                return bare.hasPrefix("# \(key): ") ? String(line).replacing("# \(key)", with: key, maxReplacements: 1) : String(line)
            }.joined(separator: "\n")
        }
        text = text.replacing("test:pattern\"", with: "rtsp://h/s\"")
        let configuration = try decode(text)
        #expect(configuration.site == "North gate" && configuration.cameras[0].segmentSeconds == 10 && configuration.cameras[0].source.userName == "viewer")
    }

    @Test func `the version is the beginning of the file's hash`() throws {
        let yaml = "data_directory: /d\ncameras: [{id: a, url: 'test:pattern'}]\n"
        #expect(try decode(yaml).version == "302b75417a08")
        #expect(try decode(yaml + "# x\n").version != decode(yaml).version)
    }

    @Test(arguments: cameraMistakes + addressMistakes + streamMistakes + credentialMistakes + fileMistakes)
    func `each mistake is named with its place, what is accepted, and no secret`(yaml: String, expected: String) {
        let found = problems(yaml)
        #expect(found.joined(separator: "|") == expected)
        #expect(!found.joined().contains("heim"))
    }

    @Test(arguments: [
        ("rtsp://h/s", "rtsp://h/s", "rtsp://h/s"), ("RTSP://h:8554", "rtsp://h:8554", "rtsp://h:8554"),
        ("rtsps://[fe80::1]:322/s", "rtsps://[fe80::1]:322/s", "rtsps://[fe80::1]:322/s"),
        ("rtsp://a:b%40c@h/s", "rtsp://a:b%40c@h/s", "rtsp://***@h/s"), ("rtsp://a@h/s", "rtsp://a@h/s", "rtsp://***@h/s"),
        ("http://h/m?user=a&pwd=b", "http://h/m?user=a&pwd=b", "http://h/m?***"),
        ("rtsp://h/user=a_password=b_c=1", "rtsp://h/user=a_password=b_c=1", "rtsp://h/user=a_password=***"),
        ("file:/v/a.mp4", "file:/v/a.mp4", "file:/v/a.mp4"), ("file:///v/a.mp4", "file:/v/a.mp4", "file:/v/a.mp4"),
        ("rtmp://a:b@h/live/x?c=1", "rtmp://a:b@h/live/x?c=1", "rtmp://***@h/live/x?***"), ("rtmps://h/x", "rtmps://h/x", "rtmps://h/x"),
        ("srt://h:9000?mode=listener&passphrase=0123456789", "srt://h:9000?mode=listener&passphrase=0123456789", "srt://h:9000?***"),
        ("udp://[ff02::1]:5000", "udp://[ff02::1]:5000", "udp://[ff02::1]:5000"), ("rtp://0.0.0.0:5000/", "rtp://0.0.0.0:5000/", "rtp://0.0.0.0:5000/"),
        ("test:pattern", "test:pattern", "test:pattern"),
    ]) func `addresses go to the camera whole and to people without secrets`(text: String, whole: String, shown: String) throws {
        let source = try CameraSource(text)
        #expect(try source.connectionURL { _ in "" } == whole)
        #expect(source.description == shown)
    }

    @Test(arguments: ["", "rtsp", ":", "rtsp:", "rtsp://", "rtsp://@h", "rtsp://:b@h", "rtsp://a:b@c@h/s", "rtsp://a%4@h", "rtsp://a%zz@h", "rtsp://a%ff@h", "rtsp://[", "rtsp://[]", "rtsp://[::1]x", "rtsp://h:", "rtsp://h:-1", "rtsp://h h", "rtsp://hü", "-i:x", "file:", "file:/", "file:a"])
    func `addresses that no library would agree about are refused`(text: String) {
        #expect(throws: ServiceSupportError.self) { _ = try CameraSource(text) }
    }

    @Test func `five thousand mutated files are accepted or refused, without a crash`() {
        var generator = SeededGenerator(seed: 11)
        let pieces = ["\n", " ", ":", "-", "[", "]", "{", "}", "\"", "'", "&a ", "*a", "#", "!!int ", "<<: ", "? ", "|", ">", "\t", "%", "---\n", "...\n", "~", ",", "\u{0}", "\u{FEFF}", "ü"].map { Array($0.utf8) }
        let text = Array(EdgeConfiguration.example().split(separator: "\n").filter { !$0.drop { $0 == " " }.hasPrefix("#") }.joined(separator: "\n").utf8)
        var accepted = 0
        for _ in 0..<5000 {
            var mutant = text
            for _ in 0..<Int.random(in: 1...4, using: &generator) {
                let index = Int.random(in: 0..<mutant.count, using: &generator)
                switch Int.random(in: 0..<4, using: &generator) {
                case 0: mutant.replaceSubrange(index...index, with: pieces.randomElement(using: &generator) ?? [])
                case 1: mutant.insert(contentsOf: pieces.randomElement(using: &generator) ?? [], at: index)
                case 2: mutant.removeSubrange(index..<min(mutant.count - 1, index + 5))
                default: mutant += text.dropFirst(index).prefix(60)
                }
            }
            do {
                _ = try EdgeConfiguration.decode(mutant, file: "edge.yaml")
                accepted += 1
            } catch { #expect(error is ConfigurationError) }
        }
        #expect((1...2500).contains(accepted))
    }

    @Test func `a password comes from its file, encoded, and shows in no printed form`() throws {
        let configuration = try decode(camera("url: rtsp://h/s", "username: \"a@b\"", "password_file: /etc/p"))
        let source = configuration.cameras[0].source
        #expect(try source.connectionURL { path in path == "/etc/p" ? "ge:h/e im\n" : "" } == "rtsp://a%40b:ge%3Ah%2Fe%20im@h/s")
        #expect(throws: ServiceSupportError("/etc/p holds no password")) { try source.connectionURL { _ in "\n" } }
        let called = try decode(camera("url: srt://h:9000?mode=listener", "password_file: /etc/p")).cameras[0].source
        #expect(try called.connectionURL { _ in "ge:h/e im very much\n" } == "srt://h:9000?mode=listener&passphrase=ge%3Ah%2Fe%20im%20very%20much")
        let secret = try decode(camera("url: rtsp://a:geheim@h/s"))
        var dumped = ""
        dump(secret, to: &dumped)
        #expect(!"\(secret) \(String(reflecting: secret)) \(dumped)".contains("geheim"))
    }

    @Test func `a camera's own small stream signs in like the camera, is recorded all the time, and takes the place of a made proxy`() throws {
        let configuration = try decode(
            camera("url: rtsp://h/s", "sub_stream: rtsp://h/small", "username: viewer", "password_file: /etc/p", "mode: events", "motion: {enabled: true}", after: "compress: {proxy: {enabled: true}}\n"))
        let found = configuration.cameras[0]
        #expect(try found.subStream?.connectionURL { _ in "geheim" } == "rtsp://viewer:geheim@h/small")
        let capture = try #require(found.subStreamCapture(configVersion: "1"))
        #expect(capture.recording.mode == .continuous && capture.motion == nil && capture.url == "rtsp://viewer@h/small" && capture.id == found.id)
        #expect(configuration.compressPlan()?.withOwnProxy == [found.id])
        #expect(try decode(camera("url: rtsp://h/s")).compressPlan()?.withOwnProxy == [])
        // Its own user goes before the camera's; hours of the camera hold for it, and its events do not.
        let own = try decode(
            camera("url: rtsp://a:geheim@h/s", "sub_stream: rtsp://c:geheimer@h/small", "mode: schedule", "motion: {enabled: true}", "schedule: {hours: [\"mon-fri 07:00-19:00\"], outside: events}")).cameras[0]
        #expect(try own.subStream?.connectionURL { _ in "" } == "rtsp://c:geheimer@h/small")
        #expect(own.subStreamCapture(configVersion: "1")?.recording.mode == .schedule && own.subStreamCapture(configVersion: "1")?.recording.outside == .nothing)
        var dumped = ""
        dump(own, to: &dumped)
        #expect(!"\(own) \(String(reflecting: own)) \(dumped)".contains("geheim"))
        let wrong = problems(camera("url: rtsp://h/s", "sub_stream: rtsp://a:ge/heim@h/s"))
        #expect(wrong == ["cameras[0].sub_stream (line 5, column 17): the address has no valid port; expected \(expectedURL)"])
        #expect(problems(camera("url: test:pattern", "sub_stream: test:pattern?colour=red")).first?.hasPrefix("cameras[0].sub_stream (line 5, column 17)") == true)
        #expect(problems(camera("url: rtsp://h/s", "sub_stream: rtsp://h/t", after: "compress: {transcode: {cameras: [gate]}}\n")) == [
            "compress.transcode.cameras (line 6, column 33): camera gate records its sub_stream in the proxy's place; leave one of the two out",
        ])
    }

    @Test func `old footage is reduced to a proxy or to its key frames, and never to both`() throws {
        let base = "data_directory: /d\ncameras: [{id: gate, url: 'test:pattern'}]\n"
        let keyFrames = try decode(base + "compress: {reduce: {after_days: 14, to: key-frames}}\n")
        #expect(keyFrames.limits.reduceAfterDays == 14 && keyFrames.compressPlan()?.proxy?.copiesKeyFrames == true && keyFrames.compressPlan()?.proxy?.onlyAfterDays == 14)
        #expect(try decode(base + "compress: {reduce: {after_days: 14, to: proxy}}\n").compressPlan()?.proxy?.copiesKeyFrames == false)
        #expect(problems(base + "compress: {reduce: {to: key-frames}}\n").first?.contains("nothing is reduced without after_days") == true)
        #expect(problems(base + "compress: {proxy: {enabled: true}, reduce: {after_days: 2, to: key-frames}}\n").first?.contains("all footage has a proxy") == true)
        #expect(problems(base + "compress: {reduce: {after_days: 2, to: nothing}}\n").first?.contains("expected one of proxy, key-frames") == true)
    }

    @Test func `a proxy's rate is one, or a range for the day's budget of the links`() throws {
        let base = "data_directory: /d\ncameras: [{id: gate, url: 'test:pattern'}]\n"
        #expect(try decode(base + "compress: {proxy: {enabled: true}}\n").compressPlan()?.proxy?.fittedBitsPerSecond == 64_000...150_000)
        #expect(try decode(base + "compress: {proxy: {enabled: true, min_kilobits_per_second: 40, max_kilobits_per_second: 300}}\n").compressPlan()?.proxy?.fittedBitsPerSecond == 40_000...300_000)
        #expect(try decode(base + "compress: {proxy: {enabled: true, kilobits_per_second: 80}}\n").compressPlan()?.proxy == .init(bitsPerSecond: 80_000))
        #expect(problems(base + "compress: {proxy: {kilobits_per_second: 80, max_kilobits_per_second: 90}}\n").first?.contains("max_kilobits_per_second") == true)
        #expect(problems(base + "compress: {proxy: {min_kilobits_per_second: 90, max_kilobits_per_second: 80}}\n").first?.contains("more than max_kilobits_per_second, 80") == true)
    }

    @Test func `only links that carry proxies bound them, all with a budget, by what is left of their own day; and energy bounds all`() throws {
        let base = "data_directory: /d\ncameras: [{id: gate, url: 'test:pattern'}, {id: yard, url: 'test:pattern'}]\n"
        let links = try decode(base + "links: [{name: lte, day_megabytes: 2000, utc_offset: \"+05:00\"}, {name: sat, send: [thumbnails]}, {name: old, month_megabytes: 3100}]\n").links
        // 2027-01-15 08:00:00 UTC, when it is 13:00 in the first link's hours.
        let wall = WallEstimate(unixMilliseconds: 1_800_000_000_000, source: .ntp, uncertaintyMilliseconds: 10)
        var used = UplinkUsage()
        used.add(500_000_000, day: 20_833)
        let bounds = ProxyRate.links(links, ["lte": used, "sat": used], energyDayBytes: 700, at: wall)
        let own = [
            DayRate.Link(dayBudgetBytes: 2_000_000_000, usedBytes: 500_000_000, secondsLeft: 39_600), DayRate.Link(dayBudgetBytes: 100_000_000, usedBytes: 0, secondsLeft: 57_600),
        ]
        let all = [DayRate.Link(dayBudgetBytes: 700, usedBytes: 1_000_000_000, secondsLeft: 57_600)]
        #expect(bounds == [own, all])
        // Yesterday's use is over.
        #expect(ProxyRate.links([links[0]], ["lte": used], energyDayBytes: nil, at: wall.advanced(byMilliseconds: 86_400_000)).first?.first?.usedBytes == 0)
        #expect(ProxyRate.links(try decode(base + "links: [{name: a, day_megabytes: 5}, {name: b}]\n").links, [:], energyDayBytes: nil, at: wall).isEmpty)
        #expect(ProxyRate.links([], [:], energyDayBytes: nil, at: wall).isEmpty)
        // Two cameras: a picture of 8,192 bytes in 30 s; two entries a minute, a hello in 30 s.
        let others = ProxyRate.others(try decode(base))
        #expect(others == DayRate.Others(thumbnailBytesPerDay: 47_185_920, logBytesPerDay: 4_320_000))
    }

    @Test func `what is to be reduced gets proxies for that alone, unless all footage has them`() throws {
        let base = "data_directory: /d\ncameras: [{id: gate, url: 'test:pattern'}]\n"
        let off = try decode(base)
        #expect(off.limits.reduceAfterDays == nil && off.compressPlan()?.proxy == nil)
        let old = try decode(base + "compress: {reduce: {after_days: 14}, proxy: {kilobits_per_second: 64}}\n")
        #expect(old.limits.reduceAfterDays == 14 && old.compressPlan()?.proxy == .init(bitsPerSecond: 64_000, onlyAfterDays: 14))
        let both = try decode(base + "compress: {reduce: {after_days: 14}, proxy: {enabled: true}}\n")
        #expect(both.limits.reduceAfterDays == 14 && both.compressPlan()?.proxy == .init(fittedBitsPerSecond: 64_000...150_000))
        #expect(problems(base + "compress: {reduce: {after_days: 0}}\n").contains { $0.contains("after_days") })
    }
}
