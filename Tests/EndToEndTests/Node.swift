import Foundation
import TestSupport

/// A real fieldpost-edge with a data directory and configuration of its own.
final class Node {
    let directory: TemporaryDirectory
    private(set) var process: RunningProcess?
    private(set) var finishedLogs = ""

    var config: String { directory.path("node.yaml") }
    var data: String { directory.path("node") }
    /// Everything that `run` has logged, over all its runs.
    var log: String { finishedLogs + (process?.errors ?? "") + (process?.output ?? "") }

    init(cameras: [String: String], segmentSeconds: Int = 4) async throws {
        directory = try TemporaryDirectory("node")
        let list = cameras.sorted { $0.key < $1.key }.flatMap { ["--camera", "\($0.key)=\($0.value)"] }
        try await runSuccessfully(
            Here.product("fieldpost-edge"),
            ["init", "--data", directory.path("node"), "--config", directory.path("node.yaml"), "--segment-seconds", "\(segmentSeconds)"] + list)
    }

    func edge(_ subcommand: String, _ arguments: [String] = [], within limit: Duration = .seconds(60)) async throws -> Outcome {
        try await run(Here.product("fieldpost-edge"), [subcommand] + arguments + ["--config", config], within: limit)
    }

    func enrol(_ token: String) async throws {
        let outcome = try await edge("enrol", [token])
        guard outcome.succeeded else { throw TestFailure("enrol: \(outcome.errors)\(outcome.output)") }
    }

    func start() throws {
        process = try RunningProcess(Here.product("fieldpost-edge"), ["run", "--config", config])
    }

    @discardableResult
    func stop() async throws -> (status: Int32, took: Duration) {
        guard let process else { throw TestFailure("the node does not run") }
        let result = try await process.stop()
        finishedLogs += process.errors + process.output
        self.process = nil
        return result
    }

    func status() async throws -> [String: any Sendable] {
        try await edge("status", ["--json"]).json()
    }

    func segmentsSealed() async throws -> Int {
        (try await status()["segments_sealed"] as? Int) ?? 0
    }

    /// The text of every file of the node's data that is not footage: its log, above all.
    func records() -> String {
        files(under: data).filter { !$0.hasSuffix(".mp4") }.map { path in
            FileManager.default.contents(atPath: path).map { String(decoding: $0, as: UTF8.self) } ?? ""
        }.joined(separator: "\n")
    }
}
