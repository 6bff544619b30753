import Foundation
import TestSupport

/// A real fieldpost-hub with a data directory of its own, started and stopped at will on the same ports.
final class Hub {
    let directory: TemporaryDirectory
    let nodesPort: Int
    let peoplePort: Int
    let oneTimePassword: String
    private(set) var process: RunningProcess?
    /// SHA-256 of the pages' public key, as the hub says when it starts.
    private(set) var pin = ""
    private var password: String?

    var data: String { directory.path("hub") }
    var page: String { "https://127.0.0.1:\(peoplePort)/" }

    init(nodesPort: Int? = nil) async throws {
        directory = try TemporaryDirectory("hub")
        self.nodesPort = try nodesPort ?? freePort()
        peoplePort = try freePort()
        let outcome = try await runSuccessfully(
            Here.product("fieldpost-hub"),
            ["init", "--data", directory.path("hub"), "--nodes-port", "\(self.nodesPort)", "--people-port", "\(peoplePort)", "--json"])
        guard let password = try outcome.json()["one_time_password"] as? String else { throw TestFailure("init gave no one-time password") }
        oneTimePassword = password
    }

    func start() async throws {
        let process = try RunningProcess(Here.product("fieldpost-hub"), ["serve", "--data", data])
        let line = try await process.jsonLine()
        guard line["event"] as? String == "listening" else { throw TestFailure("the hub's first line is not that it listens: \(line)") }
        pin = line["people_pin"] as? String ?? ""
        self.process = process
    }

    @discardableResult
    func stop() async throws -> (status: Int32, took: Duration) {
        guard let process else { throw TestFailure("the hub does not run") }
        self.process = nil
        return try await process.stop()
    }

    /// - Parameter port: another port that leads here, for a link that fails.
    func joinToken(_ name: String, port: Int? = nil, hours: Double = 1) async throws -> String {
        let address = ["--address", "127.0.0.1:\(port ?? nodesPort)"]
        let outcome = try await runSuccessfully(
            Here.product("fieldpost-hub"), ["join-token", name, "--data", data, "--hours", "\(hours)"] + (port == nil ? [] : address))
        return outcome.output.trimmingCharacters(in: .whitespacesAndNewlines)
    }

    func report() async throws -> [String: any Sendable] {
        try await run(Here.product("fieldpost-hub"), ["report", "--data", data, "--json"], within: .seconds(120)).json()
    }

    func segmentCount() async throws -> Int {
        (try await report()["segments_on_hub"] as? Int) ?? 0
    }

    /// Makes the first user's password a lasting one, over the API.
    func setPassword() async throws -> String {
        if let password { return password }
        let new = "end to end \(UUID().uuidString)"
        let body = try JSONSerialization.data(withJSONObject: ["user": "admin", "password": oneTimePassword, "newPassword": new])
        let outcome = try await run(
            "/usr/bin/curl",
            ["-sS", "-k", "--fail-with-body", "-H", "Content-Type: application/json", "-d", String(decoding: body, as: UTF8.self), page + "api/v1/session"])
        guard outcome.succeeded else { throw TestFailure("no lasting password: \(outcome.output)\(outcome.errors)") }
        password = new
        return new
    }

    /// A browser has set this one.
    func passwordWasSet(to new: String) {
        password = new
    }
}
