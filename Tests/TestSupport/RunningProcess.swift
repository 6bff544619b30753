import Foundation
import Synchronization

/// A program that runs beside the test: its lines can be awaited, it can be signalled, and it never outlives the object.
public final class RunningProcess: Sendable {
    private struct State: Sendable {
        var output = Data()
        var isOutputClosed = false
        var status: Int32?

        var text: String { String(decoding: output, as: UTF8.self) }
        var wholeLines: [Substring] { text.split(separator: "\n", omittingEmptySubsequences: false).dropLast() }
    }

    public let name: String
    public let pid: Int32
    private let state: Watched<State>
    private let errorLog: String
    private let scratch: TemporaryDirectory
    private let input: FileHandle

    /// Standard error goes to a file: `errors` reads it at any time. Standard input stays open and empty until `write`.
    public init(_ program: String, _ arguments: [String], environment: [String: String] = [:]) throws {
        let state = Watched(State())
        let scratch = try TemporaryDirectory("process")
        let errorLog = scratch.path("errors")
        let errorFile = open(errorLog, O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
        var output: [Int32] = [-1, -1]
        var input: [Int32] = [-1, -1]
        guard errorFile >= 0, pipe(&output) == 0, pipe(&input) == 0 else { throw TestFailure("no pipes: \(String(cString: strerror(errno)))") }
        defer { for descriptor in [errorFile, output[1], input[0]] { close(descriptor) } }
        let child = try Child(program, arguments, environment: environment, input: input[0], output: output[1], errors: errorFile) { status in
            state.update { $0.status = status }
        }
        let reading = FileHandle(fileDescriptor: output[0], closeOnDealloc: true)
        // A thread of its own: `readabilityHandler` crashed libdispatch when a handle went away under its source.
        Thread {
            while true {
                let data = reading.availableData
                state.update { state in
                    state.output.append(data)
                    if data.isEmpty { state.isOutputClosed = true }
                }
                if data.isEmpty { return }
            }
        }.start()
        name = URL(fileURLWithPath: program).lastPathComponent
        pid = child.pid
        self.state = state
        self.errorLog = errorLog
        self.scratch = scratch
        self.input = FileHandle(fileDescriptor: input[1], closeOnDealloc: true)
    }

    deinit {
        send(SIGKILL)
    }

    public var errors: String {
        (try? String(contentsOfFile: errorLog, encoding: .utf8)) ?? ""
    }

    public var output: String { state.value.text }
    public var hasExited: Bool { state.value.status != nil }

    /// What a client types; the connection stays open until the object goes away.
    public func write(_ text: String) throws {
        try input.write(contentsOf: Data(text.utf8))
    }

    /// The first line of standard output, from the start, that is like this.
    public func line(
        within limit: Duration = .seconds(30), where matches: @escaping @Sendable (Substring) -> Bool = { _ in true }
    ) async throws -> String {
        do {
            return try await state.wait(for: "a line of \(name)", within: limit) { state in
                if let line = state.wholeLines.first(where: matches) { return String(line) }
                if state.isOutputClosed, let status = state.status {
                    throw TestFailure("ended with \(status) before its line came")
                }
                return nil
            }
        } catch {
            throw TestFailure("\(name): \(error); its log ends: \(errors.suffix(2000))")
        }
    }

    /// As `line`, for a program whose first line is a JSON object.
    public func jsonLine(within limit: Duration = .seconds(30)) async throws -> [String: any Sendable] {
        let line = try await line(within: limit) { $0.hasPrefix("{") }
        guard let object = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: any Sendable] else {
            throw TestFailure("\(name): no JSON object: \(line)")
        }
        return object
    }

    public func send(_ signal: Int32) {
        guard !hasExited else { return }
        kill(pid, signal)
    }

    /// The exit status; 128 and the signal's number when a signal ended it.
    public func exit(within limit: Duration) async throws -> Int32 {
        try await state.wait(for: "the end of \(name)", within: limit) { $0.status }
    }

    /// SIGTERM, and the time until it was gone.
    @discardableResult
    public func stop(within limit: Duration = .seconds(10)) async throws -> (status: Int32, took: Duration) {
        let began = ContinuousClock.now
        send(SIGTERM)
        let status = try await exit(within: limit)
        return (status, ContinuousClock.now - began)
    }

    func wholeOutput() async throws -> String {
        // A grandchild may hold the pipe for longer than the program lives: what is there after a second is the output.
        _ = try? await state.wait(for: "the end of the output", within: .seconds(1)) { $0.isOutputClosed ? true : nil }
        return state.value.text
    }
}
