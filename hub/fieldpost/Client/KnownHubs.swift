import EvidenceLog
import FoundationEssentials
import RecordingModel
import SystemPackage

/// `GET /api/v1/hub`
struct HubIdentity: Codable, Equatable {
    var hub: HubID
    /// The key of its statements and cosignatures, as vkey text.
    var hubKey: String
}

/// A hub that somebody here signed in to, with the keys it vouched for over the pinned connection.
struct KnownHub: Codable, Equatable {
    struct Node: Codable, Equatable {
        var node: NodeID
        var name: String
    }
    var url: String
    var hub: HubID
    var hubKey: String
    var nodes: [Node]
}

/// Whose signatures `fieldpost verify` may believe on this machine. It outlives the sign-in: footage is checked
/// years after the hub is gone, so nothing is ever forgotten here.
struct KnownHubs: Codable, Equatable {
    var hubs: [KnownHub] = []

    static func path() throws -> FilePath { try ConfigFolder.path(of: "known-hubs.json") }

    static func load() throws -> KnownHubs {
        // Without a place for such a file there is none.
        guard let path = try? path(), let bytes = try? Data(contentsOf: URL(filePath: path.string)) else { return KnownHubs() }
        guard let known = try? JSONDecoder().decode(KnownHubs.self, from: bytes) else {
            throw Failure("The file \(path) is damaged. Delete it and run fieldpost login again.")
        }
        return known
    }

    mutating func learn(_ identity: HubIdentity, url: String, _ list: NodeList) {
        let place = hubs.firstIndex { $0.hubKey == identity.hubKey } ?? hubs.count
        if place == hubs.count { hubs.append(KnownHub(url: url, hub: identity.hub, hubKey: identity.hubKey, nodes: [])) }
        hubs[place].url = url
        for node in list.nodes {
            hubs[place].nodes.removeAll { $0.node == node.node }
            hubs[place].nodes.append(.init(node: node.node, name: node.name))
        }
    }

    /// Asks the hub and saves what it says; nil when the hub is too old to say.
    @discardableResult
    static func refresh(from client: HubClient, _ list: NodeList) async throws -> HubIdentity? {
        guard let identity = try await client.identity() else { return nil }
        var known = try load()
        let before = known
        known.learn(identity, url: client.base, list)
        if known != before { try ConfigFolder.write(known, to: path()) }
        return identity
    }
}
