import EvidenceLog
import RecordingModel

/// The node's side of the protocol as a value: what to send next, what an answer means. No clock, no disk, no network;
/// the driver asks `nextStep`, does it, reports back, and feeds answers in. It outlives connections: what the last one
/// brought across is where the next one begins, before the hub has said a word.
package struct NodeSyncMachine: Sendable {
    private let hub: HubID
    private let hubKey: NoteKey
    private let node: NodeID
    private let log: LogID
    private let limits: Limits

    /// The newest statement that was verified, and its exact signed form.
    package private(set) var statement: HoldingsStatement?
    package private(set) var signedStatement: SignedStatement?
    private var held: [StreamID: SequenceRanges] = [:]
    package private(set) var duplicateBytes: Int64 = 0

    private var refused: RefusedSegments
    package var setAside: [SegmentID: Refusal] { refused.aside }
    private var begun: [SegmentID: Begun] = [:]
    /// Ended, and by which push; the statement does not speak of them yet.
    private var ended: [SegmentID: Int] = [:]
    /// Ended in an earlier contact, whose answer did not come.
    private var unheard: Set<SegmentID> = []
    /// Left out of the present push, because the node could not read them.
    private var unread: Set<SegmentID> = []
    /// What the hub has of this node by its content, though it does not know this log yet; until its statement covers the log
    /// as it was then.
    package private(set) var presumed: [StreamID: SequenceRanges] = [:]
    private var presumedLogSize: UInt64 = 0
    /// Where the hub was found to hold another history of this log; it is told in the next hello.
    package private(set) var conflictLogSize: UInt64?
    private var reconciliation = Reconciliation.unasked
    private enum Reconciliation { case unasked, due, done }
    private var sentLogSize: UInt64 = 0
    /// What the hub asked for in its newest answer to a hello.
    package private(set) var wants = Wants.none
    /// Footage that may be sent now.
    package private(set) var allowed = Set(TrafficClass.allCases)
    /// How the next hello is written, and its answer read.
    package var helloMemory: NodeHelloMemory
    private var arrivedLogSize: UInt64 = 0

    // Of this connection:
    private var isHelloDue = true
    private var isGreeted = false
    /// What is known of the hub is worth sending by, before it has said hello.
    private var mayAnticipate = false
    private var unanswered: [Unanswered] = []
    private var push: Push?
    private var pushes = 0
    private var grantBytes = NodeSyncMachine.firstGrantBytes
    private var grantMilliseconds = Int64.max
    private var queue: [SegmentWork] = []
    private var isExhausted = false
    private var frames = 0
    private var underway: [(frame: Int, cargo: Cargo)] = []

    /// - Parameter statement: the newest one that was kept: what the hub had then is not asked for again.
    package init(hub: HubID, hubKey: NoteKey, node: NodeID, log: LogID, limits: Limits = Limits(), statement: SignedStatement? = nil, dictionaries: SharedDictionaries = .shipped) {
        helloMemory = NodeHelloMemory(node: node, hub: hub, dictionaries: dictionaries)
        self.hub = hub
        self.hubKey = hubKey
        self.node = node
        self.log = log
        self.limits = limits
        refused = RefusedSegments(limits)
        if let statement, (try? take(statement)) != nil {
            sentLogSize = self.statement?.logSize ?? 0
            arrivedLogSize = sentLogSize
            mayAnticipate = true
        }
    }

    /// What a node may send before the hub of this contact has granted anything.
    private static let firstGrantBytes: Int64 = 4 << 20

    // MARK: Connections

    /// The connection ended. What the hub kept will be in its next hello; what surely arrived is not sent again before it.
    package mutating func disconnected() {
        let asked = Set(unanswered.compactMap { if case .push(let push) = $0.kind { push.number } else { nil } } + (push.map { [$0.number] } ?? []))
        unheard.formUnion(ended.filter { asked.contains($0.value) }.keys)
        for case (_, .end(let segment)) in underway { unheard.remove(segment) }
        helloMemory.disconnected()
        ended = [:]
        unread = []
        for (segment, known) in begun { begun[segment]?.offset = known.arrived }
        begun = begun.filter { $0.value.offset > 0 }
        sentLogSize = arrivedLogSize
        isHelloDue = true
        isGreeted = false
        unanswered = []
        push = nil
        queue = []
        isExhausted = false
        frames = 0
        underway = []
        grantBytes = Self.firstGrantBytes
        grantMilliseconds = .max
    }

    /// The hub refused a request: what was assumed of it may be wrong.
    package mutating func wasRefused() {
        mayAnticipate = false
        helloMemory.forget()
    }

    // MARK: Answers

    package var isAnswerDue: Bool { !unanswered.isEmpty }
    /// What the next answer belongs to; nil when none is due.
    package var nextAnswer: Question? {
        switch unanswered.first?.kind {
        case .hello: .hello
        case .push: .push
        case .reconcile: .reconcile
        case nil: nil
        }
    }
    /// Everything is said and answered, up to this size of the log.
    package func isSettled(logSize: UInt64) -> Bool {
        isGreeted && push == nil && unanswered.isEmpty && isExhausted && !isHelloDue && (statement?.logSize ?? 0) >= logSize
    }

    /// Takes the hub's answer to a hello.
    /// - Parameter rootAtSize: the root of this node's own log at the hub's size; nil when its log is shorter.
    package mutating func helloAnswered(_ reply: HelloReply, rootAtSize: (UInt64) throws -> ContentHash?) throws {
        guard case .hello? = unanswered.first?.kind else { throw SyncFault.unexpectedAnswer }
        guard ProtocolVersion.supported.contains(reply.version) else { throw SyncFault.unknownVersion(reply.version) }
        guard try rootAtSize(reply.logSize) == reply.logRoot else {
            conflictLogSize = reply.logSize
            throw SyncFault.forked(hubSize: reply.logSize)
        }
        conflictLogSize = nil
        let request = unanswered.removeFirst()
        try take(reply.statement)
        if !isGreeted { unheard = [] }
        if reply.logSize == 0, reconciliation == .unasked { reconciliation = .due }
        isGreeted = true
        mayAnticipate = true
        take(reply.grant)
        takeLogSize(reply.logSize, request)
        takePartials(reply.partials, request)
        wants = reply.wants ?? .none
        lookAgain()
    }

    /// Takes the hub's answer to a push. Refused segments go back in line, or aside after `refusalLimit` times.
    package mutating func pushAnswered(_ reply: PushReply, nowMilliseconds now: Int64) throws {
        guard case .push(let answered)? = unanswered.first?.kind else { throw SyncFault.unexpectedAnswer }
        let request = unanswered.removeFirst()
        try take(reply.statement)
        take(reply.grant)
        duplicateBytes += reply.duplicateBytes
        takeLogSize(reply.logSize, request)
        takePartials(reply.partials, request)
        unread = []
        var named: Set<SegmentID> = []
        for refusal in reply.refusals {
            guard let segment = refusal.segment, named.insert(segment).inserted else { continue }
            // The node guessed where the hub was.
            if refusal.reason == .wrongOffset, answered.isAnticipated { continue }
            refused.count(refusal, of: segment, now)
        }
        for (segment, pushed) in ended where pushed <= answered.number {
            ended[segment] = nil
            // Sent, not refused, and yet not there: without a count it would be sent for ever.
            if !isHeld(segment), !named.contains(segment) {
                refused.count(Refusal(frame: 0, reason: .storage, detail: "the hub does not hold it, and does not say why", segment: segment), of: segment, now)
            }
        }
        lookAgain()
    }

    package mutating func reconcileAnswered() throws {
        guard case .reconcile? = unanswered.first?.kind else { throw SyncFault.unexpectedAnswer }
        unanswered.removeFirst()
    }

    /// All was asked. What the hub has need not be sent: it will say so once it knows the log's entries.
    /// - Parameter logSize: of this log now: the entries of what is present are in it
    package mutating func reconciled(present: [StreamID: SequenceRanges], logSize: UInt64) {
        presumed = present
        presumedLogSize = logSize
        reconciliation = .done
        lookAgain()
    }

    private mutating func take(_ grant: Grant) {
        grantBytes = grant.bytes
        grantMilliseconds = Int64(clamping: max(0, min(grant.seconds, 86_400))) * 1000
    }

    private mutating func take(_ signed: SignedStatement) throws {
        guard let next = signed.verified(by: hubKey), next.hub == hub, next.node == node, next.log == log else { throw SyncFault.foreignStatement }
        if let known = statement?.generation, next.generation < known { throw SyncFault.oldGeneration(next.generation, known: known) }
        (statement, signedStatement) = (next, signed)
        held = next.heldByStream
        begun = begun.filter { !isHeld($0.key) }
        refused.forget(held)
    }

    private mutating func takeLogSize(_ size: UInt64, _ request: Unanswered) {
        // Entries sent since that begin where the hub is go on; any other are lost on it.
        sentLogSize = if let base = request.logSizeSince, base <= size { max(sentLogSize, size) } else { size }
        arrivedLogSize = size
    }

    /// The hub's offsets are of the moment of its answer. What was sent since counts only where it follows them.
    private mutating func takePartials(_ list: [PartialSegment], _ request: Unanswered) {
        let partials = list.reduce(into: [SegmentID: PartialSegment]()) { $0[$1.segment] = $1 }
        for (segment, known) in begun {
            let there = partials[segment].flatMap { $0.sha256 == known.sha256 ? $0.offset : nil } ?? 0
            begun[segment]?.arrived = there
            if request.since[segment].map({ there < $0 }) ?? true { begun[segment]?.offset = there }
        }
        for partial in partials.values where begun[partial.segment] == nil && !isDone(partial.segment) {
            begun[partial.segment] = Begun(sha256: partial.sha256, offset: partial.offset, arrived: partial.offset)
        }
        begun = begun.filter { $0.value.offset > 0 || request.since[$0.key] != nil }
    }

    // MARK: Steps

    /// A hello is wanted again: a heartbeat, or something of the node's state that the hub should know now.
    package mutating func helloIsDue() { isHelloDue = true }

    /// What the link may carry has changed, or not.
    package mutating func allow(_ classes: Set<TrafficClass>) {
        guard classes != allowed else { return }
        allowed = classes
        lookAgain()
    }

    /// Something new was recorded, asked for or released: what is most wanted may be something else.
    package mutating func lookAgain() {
        isExhausted = false
        queue = []
    }

    /// What to do next.
    /// - Parameters:
    ///   - logSize: present size of the node's own log
    ///   - nowMilliseconds: any clock that only rises
    package mutating func nextStep(logSize: UInt64, nowMilliseconds now: Int64, pace: LinkPace) -> Step {
        guard let push else {
            if refused.release(now) { lookAgain() }
            guard unanswered.count < limits.unansweredLimit else { return .wait }
            if isHelloDue { return .hello }
            if isGreeted, reconciliation == .due {
                guard logSize >= limits.reconcileLogSizeMin else {
                    reconciliation = .done
                    return nextStep(logSize: logSize, nowMilliseconds: now, pace: pace)
                }
                return isAnswerDue ? .wait : .reconcile
            }
            if reconciliation == .done, !presumed.isEmpty, let statement, statement.logSize >= presumedLogSize { presumed = [:] }
            guard isGreeted || mayAnticipate, grantBytes > 0, unconfirmed < limits.unconfirmedLimit else { return .wait }
            switch cargo(logSize, pace) {
            case nil: return .wait
            case let step? where step.needsNoPush: return step
            default: return .beginPush
            }
        }
        let started = push.startedMilliseconds ?? now
        self.push?.startedMilliseconds = started
        let isOver = isHelloDue || grantBytes <= 0 || unconfirmed >= limits.unconfirmedLimit
            || now - started >= min(limits.pushMilliseconds, grantMilliseconds)
        // A segment may take longer than a push: the hub keeps its beginning, and the next push goes on.
        return isOver ? .endPush : cargo(logSize, pace) ?? .endPush
    }

    private mutating func cargo(_ logSize: UInt64, _ pace: LinkPace) -> Step? {
        if sentLogSize < logSize { return .entries(from: sentLogSize, plainBytes: pace.batchBytes) }
        while let work = queue.first {
            // The entry has to be there before the bytes are.
            guard !isDone(work.segment), work.logIndex < sentLogSize else {
                queue.removeFirst()
                continue
            }
            if refused.isDoubted(work.segment) { return .examine(work) }
            let known = begun[work.segment].flatMap { $0.sha256 == work.sha256 ? $0.offset : nil } ?? 0
            let offset = max(0, min(known, work.bytes))
            return offset >= work.bytes ? .end(work) : .data(work, offset: offset, count: Int(min(Int64(pace.frameBytes), work.bytes - offset)))
        }
        return isExhausted ? nil : .needWork
    }

    private var unconfirmed: Int { ended.count + unheard.count }

    /// Segments of which the hub has a part.
    package var begunSegments: [SegmentID] { begun.keys.sorted() }
    /// Segments that need no sending for now, beyond what the statement covers.
    package var excludedSegments: Set<SegmentID> { unheard.union(unread).union(ended.keys).union(setAside.keys) }

    /// Gives the machine segments to send. The most wanted class goes first; within a class what has begun is ended
    /// first, and the rest keeps its order.
    package mutating func offer(_ work: [SegmentWork]) {
        let fresh = work.enumerated().filter { allowed.contains($0.element.trafficClass) && !isDone($0.element.segment) }
        func key(_ item: (offset: Int, element: SegmentWork)) -> (Int, Int, Int) {
            (item.element.trafficClass.rawValue, begun[item.element.segment] == nil ? 1 : 0, item.offset)
        }
        queue = setAside.count < limits.setAsideLimit ? fresh.sorted { key($0) < key($1) }.prefix(limits.queueLimit).map(\.element) : []
        isExhausted = queue.isEmpty
    }

    /// Whether a segment needs no sending: held by the hub, sent and not answered, or set aside.
    package func isDone(_ segment: SegmentID) -> Bool {
        ended[segment] != nil || unheard.contains(segment) || unread.contains(segment) || setAside[segment] != nil || isHeld(segment)
            || presumed[segment.stream]?.contains(segment.sequence) == true
    }

    private func isHeld(_ segment: SegmentID) -> Bool { held[segment.stream]?.contains(segment.sequence) == true }

    // MARK: Reports of the driver

    package mutating func sentHello() {
        isHelloDue = false
        unanswered.append(Unanswered(kind: .hello))
    }

    package mutating func sentReconcile() { unanswered.append(Unanswered(kind: .reconcile)) }

    package mutating func beganPush() {
        pushes += 1
        push = Push(number: pushes, isAnticipated: !isGreeted)
    }

    package mutating func endedPush() {
        guard let push else { return }
        unanswered.append(Unanswered(kind: .push(push)))
        self.push = nil
    }

    package mutating func sentEntries(upTo size: UInt64) {
        for index in unanswered.indices where unanswered[index].logSizeSince == nil { unanswered[index].logSizeSince = sentLogSize }
        sentLogSize = max(sentLogSize, size)
        wrote(.entries(upTo: size))
    }

    package mutating func sentData(_ work: SegmentWork, offset: Int64, count: Int) {
        for index in unanswered.indices where unanswered[index].since[work.segment] == nil { unanswered[index].since[work.segment] = offset }
        let arrived = begun[work.segment].flatMap { $0.sha256 == work.sha256 ? $0.arrived : nil } ?? 0
        begun[work.segment] = Begun(sha256: work.sha256, offset: offset + Int64(count), arrived: arrived)
        grantBytes -= Int64(count)
        wrote(.data(work.segment, upTo: offset + Int64(count)))
    }

    package mutating func sentEnd(_ work: SegmentWork) {
        guard let push else { return }
        ended[work.segment] = push.number
        wrote(.end(work.segment))
    }

    /// The file could not be read: leave it out of this push, and after `refusalLimit` times aside.
    package mutating func couldNotRead(_ work: SegmentWork, _ reason: String, nowMilliseconds now: Int64) {
        queue.removeAll { $0.segment == work.segment }
        begun[work.segment] = nil
        refused.count(Refusal(frame: 0, reason: .storage, detail: reason, segment: work.segment), of: work.segment, now)
        unread.insert(work.segment)
    }

    /// The node has looked at its file. One that is not what its entry says is never sent again, however slow the link that it
    /// would cost: it is looked at again when its time aside is over.
    package mutating func examined(_ work: SegmentWork, isIntact: Bool, nowMilliseconds now: Int64) {
        if isIntact { return refused.vouched(work.segment) }
        queue.removeAll { $0.segment == work.segment }
        begun[work.segment] = nil
        refused.setAside(work.segment, Refusal(frame: 0, reason: .wrongHash, detail: "the file on the node is not what its entry says; fieldpost-edge check tells more", segment: work.segment), now)
    }

    private mutating func wrote(_ cargo: Cargo) {
        frames += 1
        underway.append((frames, cargo))
        // Older ones count as not arrived: at worst they are sent again.
        if underway.count > DeliveryMeter.framesMax { underway.removeFirst() }
    }

    /// So many of the frames written on this connection have reached the hub.
    package mutating func delivered(frames count: Int) {
        while let first = underway.first, first.frame <= count {
            underway.removeFirst()
            switch first.cargo {
            case .entries(let size): arrivedLogSize = max(arrivedLogSize, size)
            case .data(let segment, let offset):
                if let known = begun[segment] { begun[segment]?.arrived = max(known.arrived, offset) }
            case .end: break
            }
        }
    }
}
