import ArgumentParser
import RecordingModel

struct Status: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Show every node: last contact, what is still on it, its cameras.")

    @Flag(help: "Print the hub's answer as JSON, with the keys that fieldpost verify takes.") var json = false

    /// The hub's list, and above it whose it is.
    private struct Answer: Encodable {
        var hub: HubID?
        var hubKey: String?
        var asOfUnixMilliseconds: Int64
        var nodes: [NodeSummary]
    }

    func run() async throws {
        let (list, identity) = try await HubClient.with(try Credentials.load()) { client in
            let list = try await client.nodes()
            return (list, try await KnownHubs.refresh(from: client, list))
        }
        if json {
            return try Terminal.json(Answer(
                hub: identity?.hub, hubKey: identity?.hubKey, asOfUnixMilliseconds: list.asOfUnixMilliseconds, nodes: list.nodes))
        }
        if list.nodes.isEmpty { return print("No node is enrolled at this hub yet.") }
        func ago(_ time: Int64?) -> String { time.map { Words.duration(max(0, list.asOfUnixMilliseconds - $0)) + " ago" } ?? "never" }
        var rows = [["NODE", "LAST CONTACT", "STILL ON THE NODE", "ON THE HUB", "CLOCK", "ENERGY", "CAMERAS (NEWEST ON THE HUB)"]]
        for node in list.nodes {
            let cameras = node.cameras.map { "\($0.camera) (\(ago($0.newestOnHubUnixMilliseconds)))" }.joined(separator: ", ")
            let clock = node.status.map { "\($0.clock.source.rawValue) ±\($0.clock.uncertaintyMilliseconds) ms" } ?? "-"
            rows.append([
                node.state == .active ? node.name : "\(node.name) [\(node.state.rawValue)]", ago(node.lastContactUnixMilliseconds),
                "\(AmountText.bytes(node.onlyOnNode.bytes)), \(Words.duration(node.onlyOnNode.durationMilliseconds))", AmountText.bytes(node.onHub.bytes), clock, node.status?.power.map { "\($0.state.name), \($0.estimate?.batteryWords ?? "no valid reading")" } ?? "-",
                cameras.isEmpty ? "none" : cameras,
            ])
        }
        Terminal.table(rows)
    }
}
