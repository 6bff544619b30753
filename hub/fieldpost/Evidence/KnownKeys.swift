import EvidenceLog
import RecordingModel

/// What the person who checks knows already, and the proof does not have to be believed about. Anybody can make a
/// key pair and sign with it; only keys that are known from elsewhere make a signature worth something.
struct KnownKeys {
    static let advice =
        "Compare them with what fieldpost status --json says at the hub, and give them with --node ID --hub-key KEY, or run fieldpost login on this machine."

    var node: NodeID?
    var hubKey: NoteKey?
    /// From sign-ins on this machine. A key that was given takes their place.
    var hubs: [KnownHub] = []

    func isKnown(hubKey text: String) -> Bool {
        hubKey.map { $0.text == text } ?? hubs.contains { $0.hubKey == text }
    }

    /// - Parameter text: the hub's key that stands with the node's in one proof; a node is believed by its own hub.
    func isKnown(_ id: NodeID, with text: String?) -> Bool {
        if let node { return node == id }
        return hubs.contains { hub in (text == nil || hub.hubKey == text) && hub.nodes.contains { $0.node == id } }
    }

    /// All keys whose cosignature counts.
    var hubKeys: [NoteKey] { hubKey.map { [$0] } ?? hubs.compactMap { NoteKey(text: $0.hubKey) } }

    static func fingerprint(ofHubKey text: String) -> String {
        NoteKey(text: text).map { "\($0.name) \(ContentHash.sha256($0.publicKey).fingerprint)" } ?? "no key at all"
    }
}
