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
        let process = Process()
        process.executableURL = URL(fileURLWithPath: program)
        process.arguments = arguments
        process.environment = ProcessInfo.processInfo.environment.merging(environment) { _, new in new }
        let scratch = try TemporaryDirectory("process")
        let errorLog = scratch.path("errors")
        guard FileManager.default.createFile(atPath: errorLog, contents: nil),
            let errorHandle = FileHandle(forWritingAtPath: errorLog)
        else { throw TestFailure("cannot write \(errorLog)") }
        let output = Pipe()
        let input = Pipe()
        process.standardError = errorHandle
        process.standardOutput = output
        process.standardInput = input
        process.terminationHandler = { process in
            let status = process.terminationReason == .exit ? process.terminationStatus : 128 + process.terminationStatus
            state.update { $0.status = status }
        }
        try withSignalsUnblocked { try process.run() }
        // A thread of its own: `readabilityHandler` crashed libdispatch when a handle went away under its source.
        let reading = output.fileHandleForReading
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
        pid = process.processIdentifier
        self.state = state
        self.errorLog = errorLog
        self.scratch = scratch
        self.input = input.fileHandleForWriting
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

/// A dispatch thread blocks every signal and a child inherits that: without this, SIGTERM would never reach it.
private func withSignalsUnblocked(_ body: () throws -> Void) rethrows {
    var none = sigset_t()
    var before = sigset_t()
    sigemptyset(&none)
    pthread_sigmask(SIG_SETMASK, &none, &before)
    defer { pthread_sigmask(SIG_SETMASK, &before, nil) }
    try body()
}
