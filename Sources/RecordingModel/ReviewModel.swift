// What the hub's API says to its pages and to the maintainers' command line.

/// One row of the node list.
package struct NodeSummary: Hashable, Sendable, Codable {
    package struct Camera: Hashable, Sendable, Codable {
        package var camera: CameraID
        /// End of the newest footage that the node has reported, and of the newest that the hub holds.
        package var newestUnixMilliseconds: Int64?
        package var newestOnHubUnixMilliseconds: Int64?
        package var health: CameraHealth?
        package init(camera: CameraID, newestUnixMilliseconds: Int64?, newestOnHubUnixMilliseconds: Int64?, health: CameraHealth?) {
            self.camera = camera
            self.newestUnixMilliseconds = newestUnixMilliseconds
            self.newestOnHubUnixMilliseconds = newestOnHubUnixMilliseconds
            self.health = health
        }
    }
    /// `forked`: two signed histories of one log exist; somebody cloned or restored the node.
    package enum State: String, Sendable, Codable { case active, suspended, forked }

    package var node: NodeID
    package var name: String
    package var state: State
    package var lastContactUnixMilliseconds: Int64?
    package var status: NodeStatus?
    /// The node's clock minus the hub's at the last hello.
    package var clockOffsetMilliseconds: Int64?
    package var logSize: UInt64
    /// Known to the hub from the log, but not held by it.
    package var onlyOnNode: Backlog
    package var onHub: Backlog
    package var cameras: [Camera]

    package init(
        node: NodeID, name: String, state: State, lastContactUnixMilliseconds: Int64?, status: NodeStatus?, clockOffsetMilliseconds: Int64?,
        logSize: UInt64, onlyOnNode: Backlog, onHub: Backlog, cameras: [Camera]
    ) {
        self.node = node
        self.name = name
        self.state = state
        self.lastContactUnixMilliseconds = lastContactUnixMilliseconds
        self.status = status
        self.clockOffsetMilliseconds = clockOffsetMilliseconds
        self.logSize = logSize
        self.onlyOnNode = onlyOnNode
        self.onHub = onHub
        self.cameras = cameras
    }
}

/// A segment that the hub holds, as a player needs it. Its bytes are at `/api/v1/segments/<sha256>`.
package struct PlayableSegment: Hashable, Sendable, Codable {
    package var record: SegmentRecord
    package var logIndex: UInt64
    /// Where it began and how far off that may be, if a later `clock` entry moved it from where the record says.
    package var correctedStartUnixMilliseconds: Int64?
    package var correctedUncertaintyMilliseconds: Int64?
    package init(record: SegmentRecord, logIndex: UInt64, correctedStartUnixMilliseconds: Int64? = nil, correctedUncertaintyMilliseconds: Int64? = nil) {
        self.record = record
        self.logIndex = logIndex
        self.correctedStartUnixMilliseconds = correctedStartUnixMilliseconds
        self.correctedUncertaintyMilliseconds = correctedUncertaintyMilliseconds
    }

    /// By all that is known.
    package var startUnixMilliseconds: Int64 { correctedStartUnixMilliseconds ?? record.startUnixMilliseconds }
    package var endUnixMilliseconds: Int64 { startUnixMilliseconds + record.durationMilliseconds }
    package var isTimeCorrected: Bool { correctedStartUnixMilliseconds != nil }
}

/// An `event` entry on a camera's timeline.
package struct TimelineEvent: Hashable, Sendable, Codable {
    package var startUnixMilliseconds: Int64
    package var endUnixMilliseconds: Int64
    package var source: EventRecord.Source
    package var score: Int
    package var label: String
    package var isTimeCorrected: Bool?
    package init(startUnixMilliseconds: Int64, endUnixMilliseconds: Int64, source: EventRecord.Source, score: Int, label: String, isTimeCorrected: Bool? = nil) {
        self.startUnixMilliseconds = startUnixMilliseconds
        self.endUnixMilliseconds = endUnixMilliseconds
        self.source = source
        self.score = score
        self.label = label
        self.isTimeCorrected = isTimeCorrected
    }
}

/// A file from a card that became footage on a camera's timeline.
package struct TimelineImport: Hashable, Sendable, Codable {
    package var record: ImportRecord
    /// Of its segments.
    package var startUnixMilliseconds: Int64
    package var endUnixMilliseconds: Int64
    package init(record: ImportRecord, startUnixMilliseconds: Int64, endUnixMilliseconds: Int64) {
        self.record = record
        self.startUnixMilliseconds = startUnixMilliseconds
        self.endUnixMilliseconds = endUnixMilliseconds
    }
}

/// A change of a node's power state, at the time that all clock entries give it.
package struct PowerChange: Hashable, Sendable, Codable {
    package var unixMilliseconds: Int64
    package var record: PowerRecord
    package init(unixMilliseconds: Int64, record: PowerRecord) {
        self.unixMilliseconds = unixMilliseconds
        self.record = record
    }

    /// `S1 Full to S2 Reduced: 54 % battery; battery 54 % (shunt), 12.4 V; dark until …`
    package func words(_ time: (_ unixMilliseconds: Int64) -> String) -> String { record.words(time) }
}

/// `GET /api/v1/nodes`
package struct NodeList: Hashable, Sendable, Codable {
    package var asOfUnixMilliseconds: Int64
    package var nodes: [NodeSummary]
    package init(asOfUnixMilliseconds: Int64, nodes: [NodeSummary]) {
        self.asOfUnixMilliseconds = asOfUnixMilliseconds
        self.nodes = nodes
    }
}

/// `GET /api/v1/nodes/<node>/cameras/<camera>/timeline?from=…&to=…` (milliseconds since 1970)
package struct CameraTimeline: Hashable, Sendable, Codable {
    package var asOfUnixMilliseconds: Int64
    package var node: NodeID
    package var camera: CameraID
    package var startUnixMilliseconds: Int64
    package var endUnixMilliseconds: Int64
    /// Tiles the window: no hole, no overlap.
    package var spans: [TimelineSpan]
    package var segments: [PlayableSegment]
    /// At most `listMax` each, in order.
    package var events: [TimelineEvent]
    package var imports: [TimelineImport]
    /// Of the node, as many; nil from a hub of an earlier version.
    package var powers: [PowerChange]?
    package static let listMax = 1_000
    package init(
        asOfUnixMilliseconds: Int64, node: NodeID, camera: CameraID, startUnixMilliseconds: Int64, endUnixMilliseconds: Int64, spans: [TimelineSpan],
        segments: [PlayableSegment], events: [TimelineEvent] = [], imports: [TimelineImport] = [], powers: [PowerChange]? = nil
    ) {
        self.asOfUnixMilliseconds = asOfUnixMilliseconds
        self.node = node
        self.camera = camera
        self.startUnixMilliseconds = startUnixMilliseconds
        self.endUnixMilliseconds = endUnixMilliseconds
        self.spans = spans
        self.segments = segments
        self.events = events
        self.imports = imports
        self.powers = powers
    }
}
