import Foundation

/// A real fieldpost-hub with a data directory of its own, started and stopped at will on the same ports.
public final class Hub {
    public let directory: TemporaryDirectory
    public let nodesPort: Int
    public let peoplePort: Int
    public let oneTimePassword: String
    public private(set) var process: RunningProcess?
    private var finishedLogs = ""
    /// SHA-256 of the pages' public key, as the hub says when it starts.
    public private(set) var pin = ""
    private var password: String?

    public var data: String { directory.path("hub") }
    /// Everything that `serve` has logged, over all its runs.
    public var log: String { finishedLogs + (process?.errors ?? "") }
    public var page: String { "https://127.0.0.1:\(peoplePort)/" }

    public init(nodesPort: Int? = nil) async throws {
        directory = try TemporaryDirectory("hub")
        self.nodesPort = try nodesPort ?? freePort()
        peoplePort = try freePort()
        let outcome = try await runSuccessfully(
            Here.product("fieldpost-hub"),
            ["init", "--data", directory.path("hub"), "--nodes-port", "\(self.nodesPort)", "--people-port", "\(peoplePort)", "--json"])
        guard let password = try outcome.json()["one_time_password"] as? String else { throw TestFailure("init gave no one-time password") }
        oneTimePassword = password
    }

    public func start() async throws {
        let process = try RunningProcess(Here.product("fieldpost-hub"), ["serve", "--data", data])
        let line = try await process.jsonLine()
        guard line["event"] as? String == "listening" else { throw TestFailure("the hub's first line is not that it listens: \(line)") }
        pin = line["people_pin"] as? String ?? ""
        self.process = process
    }

    @discardableResult
    public func stop() async throws -> (status: Int32, took: Duration) {
        guard let process else { throw TestFailure("the hub does not run") }
        let result = try await process.stop()
        finishedLogs += process.errors
        self.process = nil
        return result
    }

    /// SIGKILL, and its end.
    public func kill() async throws {
        process?.send(SIGKILL)
        _ = try await process?.exit(within: .seconds(10))
        finishedLogs += process?.errors ?? ""
        process = nil
    }

    /// - Parameter port: another port that leads here, for a link that fails.
    public func joinToken(_ name: String, port: Int? = nil, hours: Double = 1) async throws -> String {
        let address = ["--address", "127.0.0.1:\(port ?? nodesPort)"]
        let outcome = try await runSuccessfully(
            Here.product("fieldpost-hub"), ["join-token", name, "--data", data, "--hours", "\(hours)"] + (port == nil ? [] : address))
        return outcome.output.trimmingCharacters(in: .whitespacesAndNewlines)
    }

    public func report() async throws -> [String: any Sendable] {
        try await run(Here.product("fieldpost-hub"), ["report", "--data", data, "--json"], within: .seconds(120)).json()
    }

    public func segmentCount() async throws -> Int {
        (try await report()["segments_on_hub"] as? Int) ?? 0
    }

    /// A counter or gauge of the hub, summed over its labels; 0 when there is none.
    public func metric(_ name: String) async throws -> Double {
        let text = try await runSuccessfully("/usr/bin/curl", ["-sS", "-k", "--fail-with-body", page + "metrics"]).output
        return text.split(separator: "\n").filter { $0.hasPrefix(name) && $0.dropFirst(name.utf8.count).first.map { " {".contains($0) } == true }
            .reduce(0) { $0 + (Double($1.split(separator: " ").last ?? "") ?? 0) }
    }

    /// What the catalogue and the folders say, counted without the hub's own code.
    public func inventory() async throws -> Inventory {
        let script = """
            import json, pathlib, sqlite3, sys
            root = pathlib.Path(sys.argv[1])
            db = sqlite3.connect(f"file:{root}/catalogue.sqlite?mode=ro", uri=True)
            one = lambda sql: db.execute(sql).fetchone()[0]
            files = {p.name: p.stat().st_size for p in (root / "blobs").rglob("*") if p.is_file()}
            held = dict(db.execute("SELECT sha256, bytes FROM segments WHERE held = 1"))
            print(json.dumps({
                "rows": one("SELECT COUNT(*) FROM segments"), "held": one("SELECT COUNT(*) FROM segments WHERE held = 1"),
                "counted": one("SELECT COALESCE(SUM(held_segments), 0) FROM nodes"),
                "entries": sum(p.read_bytes().count(b"\\n") for p in (root / "logs").rglob("entries-*.jsonl")),
                "partials": sorted(p.name for p in (root / "partials").iterdir()), "blobs": len(files),
                "stray": sorted(files.items() - held.items()), "missing": sorted(held.items() - files.items())}))
            """
        let outcome = try await runSuccessfully("/usr/bin/python3", ["-c", script, data])
        return try JSONDecoder().decode(Inventory.self, from: Data(outcome.output.utf8))
    }

    public struct Inventory: Decodable, Sendable {
        /// Rows of segments, those held, and how many the node's row counts.
        public var rows, held, counted: Int
        /// Lines of all logs.
        public var entries: Int
        public var partials: [String]
        public var blobs: Int
        private var stray: [Pair]
        private var missing: [Pair]

        /// Whether the blobs are exactly the contents that are held, each with its length.
        public var isExact: Bool { stray.isEmpty && missing.isEmpty }

        private struct Pair: Decodable, Sendable {
            var name: String
            var bytes: Int
            init(from decoder: any Decoder) throws {
                var container = try decoder.unkeyedContainer()
                name = try container.decode(String.self)
                bytes = try container.decode(Int.self)
            }
        }
    }

    /// Makes the first user's password a lasting one, over the API.
    public func setPassword() async throws -> String {
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
    public func passwordWasSet(to new: String) {
        password = new
    }
}
