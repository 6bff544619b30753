// What the hub's API says of sync: what a node said last, and what only the hub knows.

/// `GET /api/v1/nodes/<node>/sync`
package struct NodeSyncStatus: Hashable, Sendable, Codable {
    package enum Presence: String, Hashable, Sendable, Codable {
        case inContact = "in-contact"
        /// Not in contact, and it had said so, or does not call more often.
        case quiet
        case late
        case never
    }
    /// Why somebody should look, the most urgent first.
    package enum Attention: String, Hashable, Sendable, Codable {
        case late
        case never = "never-at-this-rate"
        case overwriteSoon = "overwrite-soon"
        /// The node's own alerts of its energy.
        case energy = "energy-alert"
    }
    package var node: NodeID
    package var name: String
    package var state: NodeSummary.State
    package var presence: Presence
    package var lastContactUnixMilliseconds: Int64?
    /// Until then it is not late.
    package var expectedByUnixMilliseconds: Int64?
    /// The node said that it would be dark until then; by the hub's clock.
    package var announcedContactUnixMilliseconds: Int64?
    /// As the hub saw it.
    package var contactSecondsLastDay: Int64
    package var contactSecondsLast7Days: Int64
    /// What the node said last, and for how long ago by the hub's clock. Nil for a node that has not said anything of it.
    package var report: SyncReport?
    package var reportAgeSeconds: Int64?
    /// With what was recorded since the report, where there was no contact any more.
    package var estimate: SyncEstimate
    package var secondsUntilOverwrite: Int64?
    package var openRequests: Int
    /// What the node said last of its energy; nil for one that does not live on a battery.
    package var power: PowerReport?
    package var attention: [Attention]

    /// Below this footage that the hub lacks is soon overwritten, unless it will be here before.
    package static let overwriteSoonSeconds: Int64 = 48 * 3_600

    package init(
        node: NodeID, name: String, state: NodeSummary.State, presence: Presence, lastContactUnixMilliseconds: Int64?, expectedByUnixMilliseconds: Int64?,
        announcedContactUnixMilliseconds: Int64?, contactSecondsLastDay: Int64, contactSecondsLast7Days: Int64, report: SyncReport?, reportAgeSeconds: Int64?,
        openRequests: Int, power: PowerReport? = nil
    ) {
        self.node = node
        self.name = name
        self.state = state
        self.presence = presence
        self.lastContactUnixMilliseconds = lastContactUnixMilliseconds
        self.expectedByUnixMilliseconds = expectedByUnixMilliseconds
        self.announcedContactUnixMilliseconds = announcedContactUnixMilliseconds
        self.contactSecondsLastDay = contactSecondsLastDay
        self.contactSecondsLast7Days = contactSecondsLast7Days
        self.report = report
        self.reportAgeSeconds = reportAgeSeconds
        self.openRequests = openRequests
        self.power = power
        let darkSeconds = presence == .inContact ? 0 : reportAgeSeconds ?? 0
        estimate = report?.estimate(darkSeconds: darkSeconds) ?? SyncEstimate(kind: .unknown, basis: "the node has said nothing of its sync yet")
        secondsUntilOverwrite = report?.secondsUntilOverwrite(darkSeconds: darkSeconds)
        attention = []
        if presence == .late { attention.append(.late) }
        if estimate.kind == .never { attention.append(.never) }
        // A small disk alone is no reason: what waits may long be here by then.
        if estimate.kind != .nothingWaits, let seconds = secondsUntilOverwrite, seconds < Self.overwriteSoonSeconds,
            presence == .late || estimate.pessimisticSeconds ?? .max > seconds
        {
            attention.append(.overwriteSoon)
        }
        if power?.alerts.isEmpty == false { attention.append(.energy) }
    }

    /// Who needs looking after comes first: late, never at this rate, soon overwritten, energy; then by name.
    package static func isBefore(_ left: Self, _ right: Self) -> Bool {
        func key(_ status: Self) -> (Int, Int64) {
            let urgency: Int =
                switch status.attention.first {
                case .late: 0
                case .never: 1
                case .overwriteSoon: 2
                case .energy: 3
                case nil: 4
                }
            return (urgency, urgency >= 3 ? 0 : status.secondsUntilOverwrite ?? .max)
        }
        let (one, two) = (key(left), key(right))
        return (one.0, one.1, left.name, left.node.description) < (two.0, two.1, right.name, right.node.description)
    }
}

/// `GET /api/v1/sync`, sorted by who needs attention.
package struct SyncStatusList: Hashable, Sendable, Codable {
    package var asOfUnixMilliseconds: Int64
    package var nodes: [NodeSyncStatus]
    package init(asOfUnixMilliseconds: Int64, nodes: [NodeSyncStatus]) {
        self.asOfUnixMilliseconds = asOfUnixMilliseconds
        self.nodes = nodes
    }
}
