import EvidenceLog
import RecordingModel

/// A segment that waits to be sent.
package struct SegmentWork: Hashable, Sendable {
    package var segment: SegmentID
    package var sha256: ContentHash
    package var bytes: Int64
    /// Index of its entry: the entry must be at the hub before the bytes are.
    package var logIndex: UInt64
    package init(segment: SegmentID, sha256: ContentHash, bytes: Int64, logIndex: UInt64) {
        self.segment = segment
        self.sha256 = sha256
        self.bytes = bytes
        self.logIndex = logIndex
    }
}

/// Why a contact cannot go on.
package enum SyncFault: Error, Hashable, Sendable, CustomStringConvertible {
    case unknownVersion(Int)
    /// The statement is not signed by the hub's key, or speaks of another hub, node or log.
    case foreignStatement
    /// The hub holds another history of this log.
    case forked(hubSize: UInt64)

    package var description: String {
        switch self {
        case .unknownVersion(let version): "the hub speaks protocol version \(version), which this node does not know"
        case .foreignStatement: "the hub's statement is not signed by its key or is not about this node and log"
        case .forked(let size): "the hub holds another history of this log (at \(size) entries): this node was copied or restored; ask an operator"
        }
    }
}

/// The node's side of the protocol as a value: what to send next, what an answer means. No clock, no disk, no network;
/// the driver asks `nextStep`, does it, reports back, and feeds answers in.
package struct NodeSyncMachine: Sendable {
    package struct Limits: Hashable, Sendable {
        /// Bytes of footage in one data frame.
        package var frameBytes = 64 << 10
        /// A push ends after this time, so that a statement comes back.
        package var pushMilliseconds: Int64 = 30_000
        /// Segments that wait in memory at most; the rest wait on disk.
        package var queueLimit = 64
        /// Times that a segment may be refused before it is set aside and reported, and for how long it stays aside.
        package var refusalLimit = 3
        package var setAsideMilliseconds: Int64 = 3_600_000
        package init() {}
    }

    package enum Step: Hashable, Sendable {
        /// Send the batch of entries that begins here; then call `sentEntries`.
        case entries(from: UInt64)
        case data(SegmentWork, offset: Int64, count: Int)
        case end(SegmentWork)
        /// Call `offer` with more segments, or with none when there are none.
        case needWork
        /// End the push and await its answer.
        case finish
    }

    private let hub: HubID
    private let hubKey: NoteKey
    private let node: NodeID
    private let log: LogID
    private let limits: Limits

    /// The newest statement that was verified, and its exact signed form.
    package private(set) var statement: HoldingsStatement?
    package private(set) var signedStatement: SignedStatement?
    package private(set) var setAside: [SegmentID: Refusal] = [:]
    package private(set) var duplicateBytes: Int64 = 0

    private var sentLogSize: UInt64 = 0
    private var grantBytes: Int64 = 0
    private var grantMilliseconds: Int64 = 0
    private var setAsideUntil: [SegmentID: Int64] = [:]
    private var partials: [SegmentID: PartialSegment] = [:]
    private var queue: [SegmentWork] = []
    private var current: (work: SegmentWork, offset: Int64)?
    private var sentInPush: Set<SegmentID> = []
    private var refusals: [SegmentID: Int] = [:]
    private var pushStarted: Int64?
    private var isExhausted = false

    package init(hub: HubID, hubKey: NoteKey, node: NodeID, log: LogID, limits: Limits = Limits()) {
        self.hub = hub
        self.hubKey = hubKey
        self.node = node
        self.log = log
        self.limits = limits
    }

    // MARK: Answers

    /// Takes the hub's answer to a hello.
    /// - Parameter rootAtSize: the root of this node's own log at the hub's size; nil when its log is shorter.
    package mutating func helloAnswered(_ reply: HelloReply, rootAtSize: (UInt64) throws -> ContentHash?) throws {
        guard ProtocolVersion.supported.contains(reply.version) else { throw SyncFault.unknownVersion(reply.version) }
        guard try rootAtSize(reply.logSize) == reply.logRoot else { throw SyncFault.forked(hubSize: reply.logSize) }
        try take(reply.statement)
        sentLogSize = reply.logSize
        take(reply.grant)
        takePartials(reply.partials)
        beginAfresh()
    }

    /// Takes the hub's answer to a push. Refused segments go back in line, or aside after `refusalLimit` times.
    package mutating func pushAnswered(_ reply: PushReply, nowMilliseconds now: Int64) throws {
        try take(reply.statement)
        sentLogSize = reply.logSize
        take(reply.grant)
        duplicateBytes += reply.duplicateBytes
        takePartials(reply.partials)
        for refusal in reply.refusals {
            guard let segment = refusal.segment, refusal.reason != .wrongOffset else { continue }
            countRefusal(refusal, of: segment, now)
        }
        beginAfresh()
    }

    private mutating func countRefusal(_ refusal: Refusal, of segment: SegmentID, _ now: Int64) {
        refusals[segment, default: 0] += 1
        guard refusals[segment, default: 0] >= limits.refusalLimit else { return }
        setAside[segment] = refusal
        setAsideUntil[segment] = now + limits.setAsideMilliseconds
    }

    /// What was set aside long enough is tried afresh: the disk, or the hub, may have been mended.
    private mutating func tryAgain(_ now: Int64) {
        for (segment, until) in setAsideUntil where until <= now {
            setAsideUntil[segment] = nil
            setAside[segment] = nil
            refusals[segment] = nil
        }
    }

    private mutating func take(_ grant: Grant) {
        grantBytes = grant.bytes
        grantMilliseconds = Int64(clamping: max(0, min(grant.seconds, 86_400))) * 1000
    }

    /// The connection ended before the answer came. What the hub kept will be in its next hello.
    package mutating func disconnected() { beginAfresh() }

    private mutating func take(_ signed: SignedStatement) throws {
        guard let next = signed.verified(by: hubKey), next.hub == hub, next.node == node, next.log == log else { throw SyncFault.foreignStatement }
        statement = next
        signedStatement = signed
    }

    private mutating func takePartials(_ list: [PartialSegment]) {
        partials = list.reduce(into: [:]) { $0[$1.segment] = $1 }
    }

    private mutating func beginAfresh() {
        queue = []
        current = nil
        sentInPush = []
        pushStarted = nil
        isExhausted = false
    }

    // MARK: Steps

    /// What to do next.
    /// - Parameters:
    ///   - logSize: present size of the node's own log
    ///   - nowMilliseconds: any clock that only rises
    package mutating func nextStep(logSize: UInt64, nowMilliseconds: Int64) -> Step {
        if pushStarted == nil { tryAgain(nowMilliseconds) }
        let started = pushStarted ?? nowMilliseconds
        pushStarted = started
        let isOver = nowMilliseconds - started >= min(limits.pushMilliseconds, grantMilliseconds) || grantBytes <= 0
        if let (work, offset) = current {
            if offset >= work.bytes { return .end(work) }
            // A segment may take longer than a push: the hub keeps its beginning, and the next push goes on.
            if isOver { return .finish }
            return .data(work, offset: offset, count: Int(min(Int64(limits.frameBytes), work.bytes - offset)))
        }
        if isOver { return .finish }
        if sentLogSize < logSize { return .entries(from: sentLogSize) }
        if queue.isEmpty { return isExhausted ? .finish : .needWork }
        let work = queue.removeFirst()
        let partial = partials[work.segment]
        current = (work, partial?.sha256 == work.sha256 ? max(0, min(partial?.offset ?? 0, work.bytes)) : 0)
        return nextStep(logSize: logSize, nowMilliseconds: nowMilliseconds)
    }

    /// Gives the machine segments to send, most wanted first.
    package mutating func offer(_ work: [SegmentWork]) {
        let fresh = work.filter { !isDone($0.segment) }
        queue = Array(fresh.prefix(limits.queueLimit))
        isExhausted = fresh.isEmpty
    }

    /// Whether a segment needs no sending: held by the hub, sent in this push, or set aside.
    package func isDone(_ segment: SegmentID) -> Bool {
        sentInPush.contains(segment) || setAside[segment] != nil
            || statement?.held.contains { $0.stream == segment.stream && $0.sequences.contains(segment.sequence) } == true
    }

    package mutating func sentEntries(upTo size: UInt64) { sentLogSize = max(sentLogSize, size) }

    package mutating func sentData(count: Int) {
        guard let (work, offset) = current else { return }
        current = (work, offset + Int64(count))
        grantBytes -= Int64(count)
    }

    package mutating func sentEnd() {
        if let work = current?.work { sentInPush.insert(work.segment) }
        current = nil
    }

    /// The file could not be read: leave it out of this push, and after `refusalLimit` times aside.
    package mutating func couldNotRead(_ reason: String, nowMilliseconds now: Int64) {
        guard let work = current?.work else { return }
        current = nil
        sentInPush.insert(work.segment)
        countRefusal(Refusal(frame: 0, reason: .storage, detail: reason, segment: work.segment), of: work.segment, now)
    }
}
