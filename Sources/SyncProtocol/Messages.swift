import EvidenceLog
import RecordingModel

/// Versions of the protocol, newest first. Hub and node speak the newest that both know.
package enum ProtocolVersion {
    package static let supported = [2, 1]
}

package enum SyncRoutes {
    package static let enrol = "/sync/v1/enrol"
    package static let hello = "/sync/v1/hello"
    package static let push = "/sync/v1/push"
    package static let statement = "/sync/v1/statement"
    package static let reconcile = "/sync/v1/reconcile"
    /// Headers of a push: which log, and which session it belongs to.
    package static let logHeader = "Fieldpost-Log"
    package static let sessionHeader = "Fieldpost-Session"
    package static let messageType = "application/vnd.fieldpost.message+zstd"
    /// A `ReferencedMessage`: hello and its answer, from version 2 on.
    package static let referencedType = "application/vnd.fieldpost.v2"
    package static let framesType = "application/vnd.fieldpost.frames"
    package static let problemType = "application/problem+json"
}

/// Joining a hub. Sent only after the hub's key has been compared with the token's.
package struct EnrolRequest: Hashable, Sendable, Codable {
    /// The token's 128-bit secret in hex; the hub keeps only its hash.
    package var secret: String
    package init(secret: String) { self.secret = secret }
}

package struct EnrolReply: Hashable, Sendable, Codable {
    package var hub: HubID
    /// The hub's key for statements and cosignatures (C2SP vkey text).
    package var hubKey: String
    package var generation: UInt64
    /// The name under which the hub lists the node.
    package var name: String
    package init(hub: HubID, hubKey: String, generation: UInt64, name: String) {
        self.hub = hub
        self.hubKey = hubKey
        self.generation = generation
        self.name = name
    }
}

package struct HelloRequest: Hashable, Sendable, Codable {
    package var versions: [Int]
    /// Rises with every hello; frames of an older session are dropped.
    package var session: UInt64
    package var status: NodeStatus
    package var log: LogID
    package var logSize: UInt64
    package var checkpoint: SignedCheckpoint?
    /// What the node still has.
    package var holdings: [StreamHoldings]
    package var backlog: Backlog
    /// Size and generation of the newest statement that the node has seen.
    package var statementLogSize: UInt64?
    package var statementGeneration: UInt64?
    /// The hub's size of this log at which the node found another root than its own: two histories. Since version 2.
    package var conflictLogSize: UInt64?
    /// Ids of the dictionaries that the node has (`SharedDictionaries`). Since version 2.
    package var dictionaries: [UInt32]?

    package init(
        versions: [Int] = ProtocolVersion.supported, session: UInt64, status: NodeStatus, log: LogID, logSize: UInt64,
        checkpoint: SignedCheckpoint?, holdings: [StreamHoldings], backlog: Backlog, statementLogSize: UInt64?, statementGeneration: UInt64?
    ) {
        self.versions = versions
        self.session = session
        self.status = status
        self.log = log
        self.logSize = logSize
        self.checkpoint = checkpoint
        self.holdings = holdings
        self.backlog = backlog
        self.statementLogSize = statementLogSize
        self.statementGeneration = statementGeneration
    }
}

/// Bytes of a segment that the hub has, not yet all of them.
package struct PartialSegment: Hashable, Sendable, Codable {
    package var segment: SegmentID
    package var sha256: ContentHash
    package var offset: Int64
    package init(segment: SegmentID, sha256: ContentHash, offset: Int64) {
        self.segment = segment
        self.sha256 = sha256
        self.offset = offset
    }
}

/// How much the hub takes before it wants to answer.
package struct Grant: Hashable, Sendable, Codable {
    package var bytes: Int64
    package var seconds: Int
    package init(bytes: Int64, seconds: Int) {
        self.bytes = bytes
        self.seconds = seconds
    }
}

package struct HelloReply: Hashable, Sendable, Codable {
    package var version: Int
    package var hubUnixMilliseconds: Int64
    package var logSize: UInt64
    package var logRoot: ContentHash
    package var statement: SignedStatement
    package var partials: [PartialSegment]
    package var grant: Grant
    /// Everything that the hub asks of this node; nil for nothing. Since version 2.
    package var wants: Wants?
    /// The one of the node's dictionaries that both may use from here on; nil for none. Since version 2.
    package var dictionary: UInt32?

    package init(
        version: Int, hubUnixMilliseconds: Int64, logSize: UInt64, logRoot: ContentHash, statement: SignedStatement, partials: [PartialSegment], grant: Grant,
        wants: Wants? = nil
    ) {
        self.wants = wants
        self.version = version
        self.hubUnixMilliseconds = hubUnixMilliseconds
        self.logSize = logSize
        self.logRoot = logRoot
        self.statement = statement
        self.partials = partials
        self.grant = grant
    }
}

/// Why a frame was not taken. The rest of the push goes on where it can.
package struct Refusal: Hashable, Sendable, Codable, Error {
    package enum Reason: String, Sendable, Codable {
        case unknownSegment = "unknown-segment"
        case wrongOffset = "wrong-offset"
        case wrongLength = "wrong-length"
        case wrongHash = "wrong-hash"
        case tooManyPartials = "too-many-partials"
        case storage
    }
    /// Position of the frame in the push, from 0.
    package var frame: Int
    package var reason: Reason
    package var detail: String
    package var segment: SegmentID?
    /// The hub's own value where one would help: its offset or its log size.
    package var expected: Int64?

    package init(frame: Int, reason: Reason, detail: String, segment: SegmentID? = nil, expected: Int64? = nil) {
        self.frame = frame
        self.reason = reason
        self.detail = detail
        self.segment = segment
        self.expected = expected
    }
}

package struct PushReply: Hashable, Sendable, Codable {
    package var logSize: UInt64
    package var statement: SignedStatement
    package var partials: [PartialSegment]
    package var refusals: [Refusal]
    package var grant: Grant
    /// Frames that the hub already had: retransmitted in vain.
    package var duplicateBytes: Int64

    package init(logSize: UInt64, statement: SignedStatement, partials: [PartialSegment], refusals: [Refusal], grant: Grant, duplicateBytes: Int64) {
        self.logSize = logSize
        self.statement = statement
        self.partials = partials
        self.refusals = refusals
        self.grant = grant
        self.duplicateBytes = duplicateBytes
    }
}

/// RFC 9457 problem document: the body of every refusal.
package struct Problem: Hashable, Sendable, Codable, Error {
    package var status: Int
    package var title: String
    package var detail: String?
    /// The field that was wrong, or the hub's value for a mismatch.
    package var field: String?
    package init(status: Int, title: String, detail: String? = nil, field: String? = nil) {
        self.status = status
        self.title = title
        self.detail = detail
        self.field = field
    }
}
