import EvidenceLog
import HubStore
import Metrics
import NIOCore
import RecordingModel
import StorageIO
import Synchronization
import SyncProtocol

/// One push being taken in, by one task at a time; the lock is there because that task hands it from thread to thread.
/// Bytes become frames on the task's own thread (`receive`), frames become files on the node's disk lane (`take`), and
/// what must be durable goes into a group.
final class PushSession: Sendable {
    enum Progress: Sendable {
        case more
        /// Nothing more can be judged until the group is written: await the ticket, then call `take` again.
        case waits
        /// The answer that ends the push early.
        case ended(Problem)
    }

    private struct State {
        var parser = FrameParser()
        var machine: HubPushMachine
        var received = 0
        var isClosed = false
        /// Bytes of an unfinished frame, as they are counted among all pushes' bytes.
        var counted = 0
        var frames: ArraySlice<Frame> = []
        /// Taken for the frame that is coming.
        var turn: FrameTurns.Turn?
        /// What ends the push once the frames before it are taken.
        var fault: Problem?
        /// The log as it will be when the group is written.
        var pendingVerifier: LogVerifier?
        /// The segment that frames are coming for, so that the catalogue is asked once and not for every frame.
        var current: (segment: SegmentID, state: SegmentState)?
    }
    private let state: Mutex<State>
    private let writer: IngestWriter
    private let sessions: Sessions
    private let node: NodeID
    private let log: LogID
    private let number: UInt64
    private let clock: @Sendable () -> Int64
    private let isOverLink: Bool
    let ticket = CommitTicket()

    private var store: HubStore { writer.store }
    private var committer: GroupCommitter { writer.committer }
    private var limits: IngestLimits { writer.limits }

    /// - Parameter isOverLink: false for what a courier brought: the node itself was not heard then.
    /// - Throws: `Problem` 507 before a byte is read when the hub's disk or the node's share of it is full.
    init(
        writer: IngestWriter, sessions: Sessions, node: NodeID, log: LogID, number: UInt64, clock: @escaping @Sendable () -> Int64, isOverLink: Bool = true
    ) throws {
        self.writer = writer
        self.sessions = sessions
        self.isOverLink = isOverLink
        self.node = node
        self.log = log
        self.number = number
        self.clock = clock
        guard try writer.store.hasSpace() else { throw Problem(status: 507, title: "The hub's disk is full.", detail: "Nothing is taken until there is space.") }
        if let quota = writer.limits.nodeQuotaBytes, try writer.store.heldBytes(of: node) >= quota {
            throw Problem(status: 507, title: "This node's share of the hub is full.", detail: "The hub holds \(quota) bytes of it, as many as it may.")
        }
        state = Mutex(State(machine: HubPushMachine(verifier: try writer.store.verifier(node, log), dictionaries: writer.dictionaries)))
        writer.committer.pushBegan()
    }

    deinit { close() }

    /// However the push ended, nothing of it is awaited any more.
    func close() {
        let isFirst = state.withLock { state in
            defer { state.isClosed = true }
            return !state.isClosed
        }
        guard isFirst else { return }
        committer.pushEnded()
        state.withLock { state in
            writer.memory.count(from: state.counted, to: 0)
            state.counted = 0
            giveBackTurn(&state)
        }
    }

    /// Waits until there is room for more than the beginning of a frame. Call it before `receive`.
    func awaitTurn() async {
        guard state.withLock({ $0.turn == nil && $0.parser.pendingBytes >= writer.turns.freeBytes }) else { return }
        let turn = await writer.turns.take()
        state.withLock { $0.turn = turn }
    }

    private func giveBackTurn(_ state: inout State) {
        if let turn = state.turn { writer.turns.giveBack(turn) }
        state.turn = nil
    }

    /// Takes the next bytes of the body and checks the frames that are whole.
    /// - Returns: whether there is something to `take`.
    func receive(_ buffer: ByteBuffer) throws -> Bool {
        try state.withLock { state in
            guard state.fault == nil else { return true }
            state.received += buffer.readableBytes
            buffer.withUnsafeReadableBytes { state.parser.append($0) }
            do {
                while let frame = try state.parser.next() { state.frames.append(frame) }
            } catch let fault as FrameFault {
                let status = if case .tooLarge = fault { 413 } else { 400 }
                state.fault = Problem(
                    status: status, title: "A frame cannot be read.", detail: fault.description, field: "frame \(state.machine.frames + state.frames.count)")
                return true
            }
            guard state.received <= limits.pushBytes else {
                state.fault = Problem(status: 413, title: "The push is longer than what was granted.")
                return true
            }
            if !state.frames.isEmpty, let turn = state.turn { writer.turns.stopTime(turn) }
            let pending = state.parser.pendingBytes
            if writer.memory.count(from: state.counted, to: pending) == .isFull, pending > FrameMemory.freeBytes {
                state.fault = Problem(status: 429, title: "The hub's memory for frames is in use; try again later.")
            }
            state.counted = pending
            return !state.frames.isEmpty || state.fault != nil
        }
    }

    /// Does what the frames ask for. On the node's disk lane.
    /// - Throws: what a group that was awaited failed with, or what the disk said.
    func take() throws -> Progress {
        guard sessions.isCurrent(number, of: node) else { return .ended(Problem(status: 409, title: "A newer session has taken over.", field: SyncRoutes.sessionHeader)) }
        try ticket.result()
        return try state.withLock { state in
            if let verifier = state.pendingVerifier {
                state.machine.storedEntries(verifier)
                state.pendingVerifier = nil
            }
            while let frame = state.frames.first {
                // A lane that is ahead of the disk waits here, and TCP makes the node wait.
                if committer.isFull { return .waits }
                guard let step = try take(frame, &state) else { return .waits }
                state.frames.removeFirst()
                if case .more = step { continue }
                return step
            }
            state.frames = []
            giveBackTurn(&state)
            return state.fault.map { .ended($0) } ?? .more
        }
    }

    /// Says that the body has come to its end; await the ticket, then `finish`.
    /// - Throws: `Problem` 400 for a body that ends within a frame.
    func end() throws {
        try state.withLock { state in
            guard state.parser.pendingBytes == 0 else { throw Problem(status: 400, title: "The push ends within a frame.", field: "frame \(state.machine.frames)") }
        }
        if isOverLink { committer.add(.heard(node, nowUnixMilliseconds: clock()), ticket) }
    }

    var refusals: [Refusal] { state.withLock { $0.machine.refusals } }

    func finish(grant: Grant) throws -> PushReply {
        try state.withLock { state in
            PushReply(
                logSize: state.machine.verifier.size, statement: try store.statement(for: node, log: log, nowUnixMilliseconds: clock()),
                partials: try store.partials(node, log), refusals: state.machine.refusals, grant: grant,
                duplicateBytes: state.machine.duplicateBytes)
        }
    }

    /// - Returns: nil when the frame must be judged again after the group is written.
    private func take(_ frame: Frame, _ state: inout State) throws -> Progress? {
        var known: SegmentState?
        switch frame {
        case .entries: break
        case .data(let segment, _, _), .end(let segment, _, _):
            if let current = state.current, current.segment == segment {
                known = current.state
            } else {
                guard case .known(let found) = try store.lookUp(segment, node: node, log: log) else { return nil }
                known = found
            }
        }
        switch try state.machine.receive(frame, state: { _ in known }) {
        case .stop(let problem):
            return .ended(problem)
        case .refuse, .duplicate:
            return .more
        case .storeEntries(let batch, let entries, let verifier):
            committer.add(.entries(batch, entries: entries, verifier: verifier, nowUnixMilliseconds: clock()), ticket)
            state.pendingVerifier = verifier
            return .waits
        case .append(let segment, let hash, let offset, let skip):
            guard case .data(_, _, let bytes) = frame else { return .more }
            guard store.hasRoom(for: hash, node: node) else {
                refuse(.tooManyPartials, "too many segments have begun and not ended", segment, &state)
                return .more
            }
            state.current = nil
            do {
                try store.appendPartial(bytes[skip...], to: hash, node: node, at: offset)
            } catch let moved as HubStore.PartialMoved {
                refuse(.wrongOffset, "the segment is coming another way too", segment, &state, expected: moved.length)
                return .more
            }
            known?.partialBytes = offset + Int64(bytes.count - skip)
            state.current = known.map { (segment, $0) }
            return .more
        case .commit(let segment, let hash, let bytes):
            state.current = nil
            if let sealed = try store.seal(hash, node: node) {
                committer.add(.segment(HubStore.StoredSegment(segment: segment, sha256: hash, bytes: bytes), node: node, log: log, sealed), ticket)
            } else {
                refuse(.wrongHash, "the bytes received do not have the entry's hash; they were discarded", segment, &state, expected: 0)
            }
            return .more
        }
    }

    private func refuse(_ reason: Refusal.Reason, _ detail: String, _ segment: SegmentID, _ state: inout State, expected: Int64? = nil) {
        state.machine.refused(Refusal(frame: state.machine.frames - 1, reason: reason, detail: detail, segment: segment, expected: expected))
    }
}

/// Bytes of unfinished frames of all pushes together: what many nodes that each declare a large frame could fill.
final class FrameMemory: Sendable {
    enum Level {
        case hasRoom
        case isFull
    }
    /// Of all pushes together.
    static let limitBytes = 128 << 20
    /// What each push may hold whatever the others do.
    static let freeBytes = 64 << 10
    private let bytes = Atomic<Int>(0)

    @discardableResult
    func count(from old: Int, to new: Int) -> Level {
        bytes.add(new - old, ordering: .relaxed).newValue > Self.limitBytes ? .isFull : .hasRoom
    }
}
