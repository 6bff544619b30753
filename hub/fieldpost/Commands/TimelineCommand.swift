import ArgumentParser
import RecordingModel

struct TimelineCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "timeline", abstract: "Show what is known of a camera's day, second by second.")

    @Argument(help: "The camera, or NODE/CAMERA where several nodes have one of that name.") var camera: String
    @Option(help: "The day in UTC, such as 2026-11-21.") var day: String
    @Option(help: "The node's name or id.") var node: String?
    @Flag(help: "Print the hub's answer as JSON.") var json = false

    func run() async throws {
        guard let window = Words.day(day) else { throw Failure("--day must be a day such as 2026-11-21, not \(day).") }
        let timeline = try await HubClient.with(try Credentials.load()) { client in
            let found = try CameraChoice(camera, node: node).find(in: try await client.nodes())
            return try await client.timeline(node: found.node, camera: found.camera, window)
        }
        if json { return try Terminal.json(timeline) }
        for line in TimelineText.lines(timeline) { print(line) }
    }
}

/// A camera's day for a person at a terminal.
enum TimelineText {
    private static let mark = " *"

    static func lines(_ timeline: CameraTimeline) -> [String] {
        var rows = [["FROM", "TO", "LENGTH", "STATE", "REASON"]]
        // What lies ahead is nobody's unknown.
        for span in timeline.spans where span.startUnixMilliseconds < timeline.asOfUnixMilliseconds {
            var span = span
            if span.state == .unknown { span.endUnixMilliseconds = min(span.endUnixMilliseconds, timeline.asOfUnixMilliseconds) }
            rows.append([
                time(span.startUnixMilliseconds, span.isTimeCorrected), Words.time(span.endUnixMilliseconds), Words.duration(span.durationMilliseconds),
                Words.state(span), [span.cause?.rawValue, span.detail].compactMap { $0 }.joined(separator: ": "),
            ])
        }
        var lines = Terminal.aligned(rows)
        if !timeline.events.isEmpty {
            lines.append("Events:")
            lines += Terminal.aligned(
                [["FROM", "LENGTH", "SOURCE", "SCORE", "LABEL"]]
                    + timeline.events.map { event in
                        [
                            time(event.startUnixMilliseconds, event.isTimeCorrected), Words.duration(event.endUnixMilliseconds - event.startUnixMilliseconds),
                            event.source.rawValue, "\(event.score)", event.label,
                        ]
                    })
        }
        lines += timeline.imports.map { item in
            "\(Words.time(item.startUnixMilliseconds)): imported from \(item.record.originalName) by \(item.record.operatorName), time from \(item.record.timeSource.rawValue)"
        }
        lines += (timeline.powers ?? []).map { change in "\(Words.time(change.unixMilliseconds)): \(change.words { Words.time($0) })" }
        if (timeline.spans.map(\.isTimeCorrected) + timeline.events.map(\.isTimeCorrected)).contains(true) {
            lines.append("* corrected by a later clock fix of the node")
        }
        return lines.map(Terminal.printable)
    }

    private static func time(_ unixMilliseconds: Int64, _ isCorrected: Bool?) -> String { Words.time(unixMilliseconds) + (isCorrected == true ? mark : "") }
}

/// A camera as somebody names it: its name alone, with its node before it, or with `--node`.
struct CameraChoice {
    private let node: String?
    private let camera: CameraID

    init(_ text: String, node: String?) throws {
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        guard let camera = parts.last.flatMap({ CameraID($0) }) else { throw Failure("A camera's name has \(CameraID.expectation); \(text) has not.") }
        self.camera = camera
        self.node = node ?? (parts.count == 2 ? parts[0] : nil)
    }

    func find(in list: NodeList) throws -> (node: NodeID, name: String, camera: CameraID) {
        let nodes = list.nodes.filter { node == nil || $0.name == node || $0.node.description == node }
        if let node, nodes.isEmpty { throw Failure("The hub knows no node \(node). fieldpost status lists them.") }
        let found = nodes.filter { $0.cameras.contains { $0.camera == camera } }
        guard let first = found.first else { throw Failure("No node has a camera \(camera). fieldpost status lists them.") }
        guard found.count == 1 else {
            throw Failure("Several nodes have a camera \(camera). Say which: \(found.map { "\($0.name)/\(camera)" }.joined(separator: ", ")).")
        }
        return (first.node, first.name, camera)
    }
}
