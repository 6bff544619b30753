/// Footage that somebody asked a node for, or that must not be given up.
package struct FootageRequest: Hashable, Sendable, Codable {
    package enum Kind: String, Hashable, Sendable, Codable, CaseIterable {
        /// Bring it to the hub, before all other footage.
        case pull
        /// The node must not give it up before the hub has it.
        case pin
        /// A legal hold: it is deleted nowhere.
        case hold
    }
    package enum State: String, Hashable, Sendable, Codable {
        case open
        /// A pull whose footage is here, or known to be lost.
        case done
        case withdrawn
    }
    /// What has become of it: segments of the range that the hub knows of.
    package struct Progress: Hashable, Sendable, Codable {
        package var segments: Int
        package var segmentsOnHub: Int
        /// Nowhere to be had any more.
        package var segmentsLost: Int
        package var waitingBytes: Int64
        /// The node has told of this time to its end.
        package var isReported: Bool
        package init(segments: Int = 0, segmentsOnHub: Int = 0, segmentsLost: Int = 0, waitingBytes: Int64 = 0, isReported: Bool = false) {
            self.segments = segments
            self.segmentsOnHub = segmentsOnHub
            self.segmentsLost = segmentsLost
            self.waitingBytes = waitingBytes
            self.isReported = isReported
        }
        package var isSettled: Bool { isReported && segmentsOnHub + segmentsLost >= segments }

        /// `12 of 60 segments on the hub, 2 lost, 38.2 MB only on the node; the node has not told of all of it yet`
        package var words: String {
            var words = segments == 0 ? "nothing recorded is known" : "\(segmentsOnHub) of \(segments) segments on the hub"
            if segmentsLost > 0 { words += ", \(segmentsLost) lost" }
            if waitingBytes > 0 { words += ", \(AmountText.bytes(waitingBytes)) only on the node" }
            return isReported ? words : words + "; the node has not told of all of it yet"
        }
    }

    package var id: Int64
    package var kind: Kind
    package var node: NodeID
    package var nodeName: String
    package var camera: CameraID
    /// Nil for all streams of the camera.
    package var stream: StreamKind?
    package var startUnixMilliseconds: Int64
    package var endUnixMilliseconds: Int64
    package var user: String
    /// Empty where none was given; a hold has one.
    package var reason: String
    package var createdUnixMilliseconds: Int64
    package var state: State
    package var endedUnixMilliseconds: Int64?
    /// Who withdrew it.
    package var endedBy: String?
    /// Nil in a list where it would have taken too long.
    package var progress: Progress?

    package static let rangeMillisecondsMax: Int64 = 31 * 86_400_000
    package static let openPerNodeMax = 1_000
    package static let reasonBytesMax = 500
    /// Ended requests in an answer, and open ones whose progress is looked up for it.
    package static let endedListMax = 200
    package static let progressMax = 50

    package init(
        id: Int64, kind: Kind, node: NodeID, nodeName: String, camera: CameraID, stream: StreamKind?, startUnixMilliseconds: Int64, endUnixMilliseconds: Int64,
        user: String, reason: String, createdUnixMilliseconds: Int64, state: State, endedUnixMilliseconds: Int64? = nil, endedBy: String? = nil, progress: Progress? = nil
    ) {
        self.id = id
        self.kind = kind
        self.node = node
        self.nodeName = nodeName
        self.camera = camera
        self.stream = stream
        self.startUnixMilliseconds = startUnixMilliseconds
        self.endUnixMilliseconds = endUnixMilliseconds
        self.user = user
        self.reason = reason
        self.createdUnixMilliseconds = createdUnixMilliseconds
        self.state = state
        self.endedUnixMilliseconds = endedUnixMilliseconds
        self.endedBy = endedBy
        self.progress = progress
    }
}

/// `POST /api/v1/nodes/<node>/requests`
package struct NewFootageRequest: Hashable, Sendable, Codable {
    package var kind: FootageRequest.Kind
    package var camera: CameraID
    package var stream: StreamKind?
    package var startUnixMilliseconds: Int64
    package var endUnixMilliseconds: Int64
    package var reason: String?
    package init(kind: FootageRequest.Kind, camera: CameraID, stream: StreamKind? = nil, startUnixMilliseconds: Int64, endUnixMilliseconds: Int64, reason: String? = nil) {
        self.kind = kind
        self.camera = camera
        self.stream = stream
        self.startUnixMilliseconds = startUnixMilliseconds
        self.endUnixMilliseconds = endUnixMilliseconds
        self.reason = reason
    }
}

/// `GET /api/v1/requests`: all that are open, and with `ended=1` the newest that are not.
package struct FootageRequestList: Hashable, Sendable, Codable {
    package var asOfUnixMilliseconds: Int64
    package var requests: [FootageRequest]
    package init(asOfUnixMilliseconds: Int64, requests: [FootageRequest]) {
        self.asOfUnixMilliseconds = asOfUnixMilliseconds
        self.requests = requests
    }
}
