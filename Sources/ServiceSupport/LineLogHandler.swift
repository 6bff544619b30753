import Glibc
import Logging

/// How log lines are written.
package enum LogFormat: String, Sendable, CaseIterable, Codable {
    /// logfmt: `2026-11-21T08:27:59.123Z info component=capture camera=gate message="…" key=value`.
    case text
    /// One JSON object a line, with the same fields.
    case json
}

/// Writes each event as one line of at most `lineBytesMax` bytes, in one write, with secrets taken out and nothing
/// in it that could begin another line.
package struct LineLogHandler: LogHandler {
    package static let lineBytesMax = 4096
    package static let messageBytesMax = 2048
    package static let fieldBytesMax = 1024

    package var logLevel: Logger.Level
    package var metadata: Logger.Metadata = [:]
    package var metadataProvider: Logger.MetadataProvider?
    private let component: String
    private let format: LogFormat
    private let unixMilliseconds: @Sendable () -> Int64
    private let write: @Sendable ([UInt8]) -> Void

    /// - Parameters:
    ///   - component: the logger's label.
    ///   - unixMilliseconds: the wall clock.
    ///   - write: takes one whole line with its newline.
    package init(
        component: String, level: Logger.Level, format: LogFormat, metadataProvider: Logger.MetadataProvider? = nil,
        unixMilliseconds: @escaping @Sendable () -> Int64 = Self.systemTime, write: @escaping @Sendable ([UInt8]) -> Void = { StandardError.write($0) }
    ) {
        self.component = component
        logLevel = level
        self.format = format
        self.metadataProvider = metadataProvider
        self.unixMilliseconds = unixMilliseconds
        self.write = write
    }

    package subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    package func log(event: LogEvent) {
        var context = metadata
        if let provided = metadataProvider?.get() { context.merge(provided) { _, new in new } }
        let own = event.metadata ?? [:]
        // What the event says of a key wins over what its logger says.
        for key in own.keys { context[key] = nil }
        var line = LogLine(format: format, time: UTCTimestamp.text(unixMilliseconds: unixMilliseconds()), level: event.level.rawValue)
        line.add("component", component)
        for (key, value) in context.sorted(by: { $0.key < $1.key }) { line.add(Self.fieldName(key), text(of: value)) }
        line.add("message", event.message.description, limitBytes: Self.messageBytesMax)
        for (key, value) in own.sorted(by: { $0.key < $1.key }) { line.add(Self.fieldName(key), text(of: value)) }
        if let error = event.error { line.add("error", String(describing: error)) }
        write(line.finished())
    }

    /// The names of the line's own fields are taken: one name twice is read differently by every reader.
    private static func fieldName(_ key: String) -> String {
        ["time", "level", "component", "message", "truncated"].contains(key) ? key + "_" : key
    }

    private func text(of value: Logger.MetadataValue) -> String {
        switch value {
        case .string(let text): text
        case .stringConvertible(let value): value.description
        case .array(let values): "[" + values.map { text(of: $0) }.joined(separator: ", ") + "]"
        case .dictionary(let values):
            "{" + values.sorted { $0.key < $1.key }.map { key, value in
                "\(key): \(Redaction.isSecret(key: key) ? Redaction.mark : text(of: value))"
            }.joined(separator: ", ") + "}"
        }
    }

    package static func systemTime() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
    }
}

/// A line in the making. Fields that no longer fit are left out, and `truncated=true` says so.
private struct LogLine {
    private let format: LogFormat
    private var text: String
    private var bytes: Int
    private var isTruncated = false
    /// Room kept for `truncated=true`, a closing brace and the newline.
    private static let reserveBytes = 24

    init(format: LogFormat, time: String, level: String) {
        self.format = format
        text = format == .text ? "\(time) \(level)" : "{\"time\":\"\(time)\",\"level\":\"\(level)\""
        bytes = text.utf8.count
    }

    mutating func add(_ name: String, _ value: String, limitBytes: Int = LineLogHandler.fieldBytesMax) {
        let key = LineEscape.key(name)
        let clean = Redaction.isSecret(key: name) ? Redaction.mark : Redaction.scrub(value)
        let overhead = key.utf8.count + 6  // separator, `=` or `":`, quotes
        let room = min(limitBytes, LineLogHandler.lineBytesMax - Self.reserveBytes - bytes - overhead)
        guard room >= 8 else {
            isTruncated = true
            return
        }
        let field = format == .text ? " \(key)=\(LineEscape.logfmt(clean, limitBytes: room))" : ",\"\(key)\":\"\(LineEscape.escaped(clean, limitBytes: room))\""
        text += field
        bytes += field.utf8.count
    }

    func finished() -> [UInt8] {
        switch format {
        case .text: Array((text + (isTruncated ? " truncated=true\n" : "\n")).utf8)
        case .json: Array((text + (isTruncated ? ",\"truncated\":true}\n" : "}\n")).utf8)
        }
    }
}
