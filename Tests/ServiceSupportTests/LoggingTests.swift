import FoundationEssentials
import Logging
import ServiceSupport
import Synchronization
import Testing

private final class Lines: Sendable {
    private let all = Mutex<[String]>([])
    func add(_ bytes: [UInt8]) { all.withLock { $0.append(String(decoding: bytes, as: UTF8.self)) } }
    var texts: [String] { all.withLock { $0 } }
}

/// A field's value; `truncated` is the one that is no text.
private struct TextOrFlag: Decodable {
    init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if (try? container.decode(Bool.self)) == nil { _ = try container.decode(String.self) }
    }
}

private func logged(_ format: LogFormat = .text, _ use: (inout Logger) -> Void) -> [String] {
    let lines = Lines()
    var logger = Logger(label: "capture") { label in
        LineLogHandler(component: label, level: .info, format: format, unixMilliseconds: { 1_795_249_679_123 }, write: { lines.add($0) })
    }
    use(&logger)
    return lines.texts
}

@Suite struct LoggingTests {
    @Test func `an event is one line of time, level, component, context, message and fields`() {
        let lines = logged { logger in
            logger[metadataKey: "camera"] = "gate"
            logger.info("segment sealed", metadata: ["seq": "7", "bytes": "1024", "why": "key frame"])
            logger.debug("not written")
        }
        #expect(lines == ["2026-11-21T08:27:59.123Z info component=capture camera=gate message=\"segment sealed\" bytes=1024 seq=7 why=\"key frame\"\n"])
    }

    @Test func `the same event as JSON`() {
        let lines = logged(.json) { $0.warning("a \"quoted\"\nword", metadata: ["list": ["a", "b"], "map": ["k": "v"]]) }
        #expect(lines == [#"{"time":"2026-11-21T08:27:59.123Z","level":"warning","component":"capture","message":"a \"quoted\"\nword","list":"[a, b]","map":"{k: v}"}"# + "\n"])
    }

    @Test func `nobody can write a line of their own`() {
        let lines = logged { $0.info("a\n2026 info component=forged", metadata: ["x\ny": "b\r\u{1B}[31m\u{2028}\u{202E}=\\"]) }
        #expect(lines == ["2026-11-21T08:27:59.123Z info component=capture message=\"a\\n2026 info component=forged\" x_y=\"b\\r\\u001b[31m\\u2028\\u202e=\\\\\"\n"])
    }

    @Test func `a field with the name of one of the line's own gets another name`() {
        let lines = logged { $0.info("m", metadata: ["message": "x", "component": "y"]) }
        #expect(lines == ["2026-11-21T08:27:59.123Z info component=capture message=m component_=y message_=x\n"])
    }

    @Test(arguments: LogFormat.allCases) func `a line never passes 4 KiB and stays well formed`(format: LogFormat) {
        let lines = logged(format) { logger in
            logger.info("\(String(repeating: "ü\n", count: 5000))")
            logger.info("m", metadata: Dictionary(uniqueKeysWithValues: (0..<200).map { ("key\($0)", .string(String(repeating: "x", count: 100))) }))
            logger.info("\(String(repeating: "\u{1}", count: 5000))", metadata: ["a": .string(String(repeating: "\"", count: 5000)), "b": .string(String(repeating: "é", count: 5000))])
        }
        #expect(lines.count == 3)
        for line in lines {
            #expect(line.utf8.count <= 4096)
            #expect(line.hasSuffix(format == .json ? "}\n" : "\n"))
            #expect(line.filter { $0 == "\n" }.count == 1)
            if format == .json { #expect((try? JSONDecoder().decode([String: TextOrFlag].self, from: Data(line.utf8)))?["message"] != nil) }
            #expect(String(validating: Array(line.utf8), as: UTF8.self) == line)
        }
        #expect(lines[1].contains("truncated"))
        #expect(lines[0].contains("…"))
    }

    @Test(arguments: [
        ("open rtsp://admin:geheim@10.0.0.1/s failed", "open rtsp://***@10.0.0.1/s failed"),
        ("rtsp://admin:ge/he?im@host/s", "rtsp://***@host/s"),
        ("rtsp://admin:ge@he@host:554/s and http://u:p@h", "rtsp://***@host:554/s and http://***@h"),
        ("rtsp://token@host", "rtsp://***@host"),
        ("\"rtsp://a:b@c\",\"https://d:e@f\"", "\"rtsp://***@c\",\"https://***@f\""),
        ("http://host/path and mail@example.org", "http://host/path and mail@example.org"),
        ("http://cam/mjpg?user=a&pwd=geheim&x=1", "http://cam/mjpg?user=a&pwd=***&x=1"),
        ("password=geheim, Pass=x; secret=y", "password=***, Pass=***; secret=***"),
        ("nothing to see = here", "nothing to see = here"),
        ("://", "://"), ("://@", "://***@"), ("", ""),
    ]) func `passwords are taken out of text`(text: String, expected: String) {
        #expect(Redaction.scrub(text) == expected)
    }

    @Test func `no way of logging lets a password through`() {
        struct Failure: Error { var url = "rtsp://a:geheim@h" }
        let lines = logged { logger in
            logger[metadataKey: "url"] = "rtsp://a:geheim@h"
            logger.info("rtsp://a:geheim@h", metadata: ["password": "geheim", "Authorization": "Basic geheim", "map": ["token": "geheim", "u": "http://b:geheim@i"]])
            logger.error("failed", error: Failure())
        }
        #expect(lines.count == 2 && !lines.joined().contains("geheim"))
    }

    @Test func `the environment overrides the configuration and nonsense there is ignored`() {
        let environment = ["FIELDPOST_LOG_LEVEL": "debug", "FIELDPOST_LOG_FORMAT": "xml"]
        let settings = ServiceLogging.settings(level: .error, format: .json) { environment[$0] }
        #expect(settings.level == .debug && settings.format == .json && settings.ignored == ["FIELDPOST_LOG_FORMAT"])
    }

    @Test(arguments: [
        (Int64(0), "1970-01-01T00:00:00.000Z"), (951_782_400_000, "2000-02-29T00:00:00.000Z"), (-1, "1969-12-31T23:59:59.999Z"),
        (4_102_444_799_999, "2099-12-31T23:59:59.999Z"),
    ]) func `times are written in UTC with milliseconds`(milliseconds: Int64, text: String) {
        #expect(UTCTimestamp.text(unixMilliseconds: milliseconds) == text)
    }
}
