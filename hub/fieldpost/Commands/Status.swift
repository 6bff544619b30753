import ArgumentParser
import RecordingModel

struct Status: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Show every node: last contact, what is still on it, its cameras.")

    @Flag(help: "Print the hub's answer as JSON.") var json = false

    func run() async throws {
        let list = try await HubClient.with(try Credentials.load()) { try await $0.nodes() }
        if json { return try Terminal.json(list) }
        if list.nodes.isEmpty { return print("No node is enrolled at this hub yet.") }
        func ago(_ time: Int64?) -> String { time.map { Words.duration(max(0, list.asOfUnixMilliseconds - $0)) + " ago" } ?? "never" }
        var rows = [["NODE", "LAST CONTACT", "STILL ON THE NODE", "ON THE HUB", "CLOCK", "CAMERAS (NEWEST ON THE HUB)"]]
        for node in list.nodes {
            let cameras = node.cameras.map { "\($0.camera) (\(ago($0.newestOnHubUnixMilliseconds)))" }.joined(separator: ", ")
            let clock = node.status.map { "\($0.clock.source.rawValue) ±\($0.clock.uncertaintyMilliseconds) ms" } ?? "-"
            rows.append([
                node.state == .active ? node.name : "\(node.name) [\(node.state.rawValue)]", ago(node.lastContactUnixMilliseconds),
                "\(Words.bytes(node.onlyOnNode.bytes)), \(Words.duration(node.onlyOnNode.durationMilliseconds))", Words.bytes(node.onHub.bytes), clock,
                cameras.isEmpty ? "none" : cameras,
            ])
        }
        Terminal.table(rows)
    }
}
