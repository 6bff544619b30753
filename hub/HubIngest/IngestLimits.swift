import HubStore
import SyncProtocol

/// Every bound of the node-facing service. What an operator may change has a key in hub.yaml.
package struct IngestLimits: Sendable, Hashable {
    /// Connections in all: 2,000 nodes, and as many again half that come anew before the old connection is known to be dead.
    package var connections = 3_000
    /// Connections of one node. The oldest gives way to a new one: it is the one whose link is gone.
    package var connectionsPerNode = 4
    /// Connections of one address that have not yet shown the key of a joined node. Behind one router or VPN concentrator
    /// many nodes may come back at once: raise it there.
    package var connectionsPerAddress = 64
    /// TLS handshake and first request's header together.
    package var greetingSeconds: Int64 = 20
    /// Between requests, the next one's header included.
    package var idleSeconds: Int64 = 120
    /// Within a body without a byte. An outage of a minute on a mobile link is no reason to begin anew.
    package var silenceSeconds: Int64 = 120
    /// A body must bring `rateFloorBytes` in each such window. A link of 2 kbit/s brings 250 bytes a second.
    package var rateWindowSeconds: Int64 = 120
    package var rateFloorBytes: Int64 = 8 << 10
    /// Beyond this share of the connections all these times are divided by `scarcityDivisor`.
    package var scarcityPercent = 75
    package var scarcityDivisor: Int64 = 4
    /// Bytes that the hub keeps of one node; nil for as many as there is room for.
    package var nodeQuotaBytes: Int64?

    /// What nodes may have been granted together.
    static let grantedBytesTotal: Int64 = 8 << 30
    static let grantBytesLeast: Int64 = 2 << 20
    /// Bytes of one push at most: a node that ignores its grant is cut off.
    let pushBytes = Int(HubStore.grant.bytes) + (64 << 20)

    package init() {}

    /// What a node is granted while so many are connected: all of them together fill neither the link's time nor memory.
    func grant(connected: Int) -> Grant {
        let share = Self.grantedBytesTotal / Int64(max(1, connected))
        return Grant(bytes: max(Self.grantBytesLeast, min(share, HubStore.grant.bytes)), seconds: HubStore.grant.seconds)
    }
}
