import ArgumentParser
import RecordingModel

/// What `pull`, `pin` and `hold` take.
struct RequestRange: ParsableArguments {
    @Argument(help: "The node's name or id.") var node: String
    @Argument(help: "The camera.") var camera: String
    @Argument(help: "Start, such as 2026-11-21T08:30:00Z (UTC when no offset is given).") var from: String
    @Argument(help: "End, in the same form; at most 31 days later.") var to: String
    @Option(help: "Why; a hold needs it.") var reason: String?
    @Option(help: ArgumentHelp("Only this stream: main, proxy or thumbs.", valueName: "stream")) var stream: String?
    @Flag(help: "Print the hub's answer as JSON.") var json = false

    func send(_ kind: FootageRequest.Kind) async throws {
        guard let start = TimeText.unixMilliseconds(from) else { throw Failure("The start must be a time such as 2026-11-21T08:30:00Z, not \(from).") }
        guard let end = TimeText.unixMilliseconds(to) else { throw Failure("The end must be a time such as 2026-11-21T08:30:00Z, not \(to).") }
        guard start < end else { throw Failure("The end must be later than the start.") }
        let streamKind = try stream.map { text in
            guard let kind = StreamKind(rawValue: text) else { throw Failure("--stream takes main, proxy or thumbs, not \(text).") }
            return kind
        }
        if kind == .hold, reason?.contains(where: { !$0.isWhitespace }) != true { throw Failure("A hold needs --reason.") }
        let request = try await HubClient.with(try Credentials.load()) { client in
            let found = try CameraChoice(camera, node: node).find(in: try await client.nodes())
            let new = NewFootageRequest(
                kind: kind, camera: found.camera, stream: streamKind, startUnixMilliseconds: start, endUnixMilliseconds: end, reason: reason)
            return try await client.ask(found.node, new)
        }
        if json { return try Terminal.json(request) }
        print("Request \(request.id): \(request.kind.rawValue) of \(Terminal.printable(request.nodeName))/\(request.camera), \(Words.time(start)) to \(Words.time(end)).")
        print("\(request.progress?.words ?? "-"). fieldpost requests shows what becomes of it.")
    }
}

struct Pull: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Ask a node for a camera's footage before all other.")
    @OptionGroup var range: RequestRange
    func run() async throws { try await range.send(.pull) }
}

struct Pin: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Keep a camera's footage on its node until the hub has it.")
    @OptionGroup var range: RequestRange
    func run() async throws { try await range.send(.pin) }
}

struct Hold: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Forbid that a camera's footage is deleted anywhere: a legal hold, with --reason.")
    @OptionGroup var range: RequestRange
    func run() async throws { try await range.send(.hold) }
}

struct Requests: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Show what nodes were asked for, and what has become of it.")

    @Flag(help: "Those that have ended too, the newest 200.") var all = false
    @Flag(help: "Print the hub's answer as JSON.") var json = false

    func run() async throws {
        let list = try await HubClient.with(try Credentials.load()) { try await $0.requests(withEnded: all) }
        if json { return try Terminal.json(list) }
        if list.requests.isEmpty { return print("Nothing is asked for just now.") }
        var rows = [["ID", "WHAT", "CAMERA", "FROM", "TO", "WHO", "STATE", "WHAT HAS BECOME OF IT", "REASON"]]
        for request in list.requests {
            rows.append([
                "\(request.id)", request.kind.rawValue, "\(request.nodeName)/\(request.camera)\(request.stream.map { "/\($0.rawValue)" } ?? "")",
                Words.time(request.startUnixMilliseconds), Words.time(request.endUnixMilliseconds), request.user, request.state.rawValue,
                (request.progress?.words ?? "-"), request.reason,
            ].map(Terminal.printable))
        }
        Terminal.table(rows)
    }
}

struct Withdraw: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Withdraw a request: a pull, a pin or a hold.")

    @Argument(help: "Its number, as fieldpost requests shows it.") var id: Int64
    @Flag(help: "Print the hub's answer as JSON.") var json = false

    func run() async throws {
        let request = try await HubClient.with(try Credentials.load()) { try await $0.withdraw(id) }
        if json { return try Terminal.json(request) }
        print("Withdrawn: request \(request.id), \(request.kind.rawValue) of \(Terminal.printable(request.nodeName))/\(request.camera).")
    }
}
