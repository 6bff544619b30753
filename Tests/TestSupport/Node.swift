import Foundation

/// A real fieldpost-edge with a data directory and configuration of its own. Used by one task at a time.
public final class Node {
    public let directory: TemporaryDirectory
    /// The data directory, as the node itself names it.
    public let data: String
    public private(set) var process: RunningProcess?
    private var finishedLogs = ""
    /// What the run that ended last has logged.
    public private(set) var lastLog = ""

    public var config: String { directory.path("node.yaml") }
    /// Everything that `run` has logged, over all its runs.
    public var log: String { finishedLogs + (process?.errors ?? "") + (process?.output ?? "") }

    /// - Parameter data: where the data goes; in a temporary folder when it is nil.
    public init(cameras: [String: String], segmentSeconds: Int = 4, data: String? = nil) async throws {
        directory = try TemporaryDirectory("node")
        self.data = data ?? directory.path("node")
        let list = cameras.sorted { $0.key < $1.key }.flatMap { ["--camera", "\($0.key)=\($0.value)"] }
        try await runSuccessfully(
            Here.product("fieldpost-edge"),
            ["init", "--data", self.data, "--config", directory.path("node.yaml"), "--segment-seconds", "\(segmentSeconds)"] + list)
        // What a camera sends is all that most tests count; an hour's pictures would come among it as the hour ends.
        let text = try String(contentsOfFile: config, encoding: .utf8)
        try text.replacingOccurrences(of: "# thumbnails: {enabled: true,", with: "thumbnails: {enabled: false,").write(toFile: config, atomically: true, encoding: .utf8)
    }

    public func edge(_ subcommand: String, _ arguments: [String] = [], within limit: Duration = .seconds(60)) async throws -> Outcome {
        try await run(Here.product("fieldpost-edge"), [subcommand] + arguments + ["--config", config], within: limit)
    }

    public func enrol(_ token: String) async throws {
        let outcome = try await edge("enrol", [token])
        guard outcome.succeeded else { throw TestFailure("enrol: \(outcome.errors)\(outcome.output)") }
    }

    /// - Parameter launcher: a program and its arguments that start the node in a surrounding of its own.
    public func start(environment: [String: String] = [:], through launcher: [String] = []) throws {
        let words = try launcher + [Here.product("fieldpost-edge"), "run", "--config", config]
        process = try RunningProcess(words[0], Array(words.dropFirst()), environment: environment)
    }

    @discardableResult
    public func stop() async throws -> (status: Int32, took: Duration) {
        guard let process else { throw TestFailure("the node does not run") }
        let result = try await process.stop()
        ended()
        return result
    }

    /// SIGKILL, and its end.
    public func kill() async throws {
        process?.send(SIGKILL)
        _ = try await end(within: .seconds(10))
    }

    /// Waits until the node has ended by itself, or by what was done to it.
    public func end(within limit: Duration) async throws -> Int32 {
        guard let process else { throw TestFailure("the node does not run") }
        let status = try await process.exit(within: limit)
        ended()
        return status
    }

    private func ended() {
        lastLog = (process?.errors ?? "") + (process?.output ?? "")
        finishedLogs += lastLog
        process = nil
    }

    public func status() async throws -> [String: any Sendable] {
        try await edge("status", ["--json"]).json()
    }

    public func segmentsSealed() async throws -> Int {
        (try await status()["segments_sealed"] as? Int) ?? 0
    }

    /// The text of every file of the node's data that is not footage: its log, above all.
    public func records() -> String {
        files(under: data).filter { !$0.hasSuffix(".mp4") }.map { path in
            FileManager.default.contents(atPath: path).map { String(decoding: $0, as: UTF8.self) } ?? ""
        }.joined(separator: "\n")
    }
}
