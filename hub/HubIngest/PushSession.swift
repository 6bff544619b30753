import EvidenceLog
import HubStore
import Metrics
import RecordingModel
import StorageIO
import Synchronization
import SyncProtocol

/// One push being taken in. Used from the disk queue only; the lock is there because a request's task hands it over.
final class PushSession: Sendable {
    /// Bytes of one push at most, above what the hub grants: a node that ignores its grant is cut off.
    static let byteLimit = Int(HubStore.grant.bytes) + (64 << 20)

    private struct State {
        var parser = FrameParser()
        var machine: HubPushMachine
        var received = 0
        /// The segment that frames are coming for, so that the catalogue is asked once and not for every frame.
        var current: (segment: SegmentID, state: SegmentState)?
    }
    private let state: Mutex<State>
    private let store: HubStore
    private let sessions: Sessions
    private let node: NodeID
    private let log: LogID
    private let number: UInt64
    private let clock: @Sendable () -> Int64

    init(store: HubStore, sessions: Sessions, node: NodeID, log: LogID, number: UInt64, clock: @escaping @Sendable () -> Int64) throws {
        self.store = store
        self.sessions = sessions
        self.node = node
        self.log = log
        self.number = number
        self.clock = clock
        guard try store.hasSpace() else { throw Problem(status: 507, title: "The hub's disk is full.", detail: "Nothing is taken until there is space.") }
        state = Mutex(State(machine: HubPushMachine(verifier: try store.verifier(node, log))))
    }

    /// Takes the next bytes of the body.
    /// - Returns: the answer that ends the push early, or nil to go on.
    func receive(_ bytes: [UInt8]) throws -> Problem? {
        guard sessions.isCurrent(number, of: node) else { return Problem(status: 409, title: "A newer session has taken over.", field: SyncRoutes.sessionHeader) }
        return try state.withLock { state in
            state.received += bytes.count
            guard state.received <= Self.byteLimit else { return Problem(status: 413, title: "The push is longer than what was granted.") }
            state.parser.append(bytes)
            do {
                while let frame = try state.parser.next() {
                    if let problem = try take(frame, &state) { return problem }
                }
            } catch let fault as FrameFault {
                let status = if case .tooLarge = fault { 413 } else { 400 }
                return Problem(status: status, title: "A frame cannot be read.", detail: fault.description, field: "frame \(state.machine.frames)")
            }
            return nil
        }
    }

    func finish() throws -> PushReply {
        try state.withLock { state in
            guard state.parser.pendingBytes == 0 else { throw Problem(status: 400, title: "The push ends within a frame.", field: "frame \(state.machine.frames)") }
            let now = clock()
            try store.heard(node, nowUnixMilliseconds: now)
            return PushReply(
                logSize: state.machine.verifier.size, statement: try store.statement(for: node, log: log, nowUnixMilliseconds: now),
                partials: try store.partials(node, log), refusals: state.machine.refusals, grant: HubStore.grant,
                duplicateBytes: state.machine.duplicateBytes)
        }
    }

    private func take(_ frame: Frame, _ state: inout State) throws -> Problem? {
        let current = state.current
        let action = try state.machine.receive(frame) { segment in
            if let current, current.segment == segment { return current.state }
            return try store.segmentState(segment, node: node, log: log)
        }
        switch action {
        case .stop(let problem):
            return problem
        case .refuse, .duplicate:
            return nil
        case .storeEntries(let batch, let entries, let verifier):
            try store.storeEntries(batch, entries: entries, verifier: verifier, nowUnixMilliseconds: clock())
            state.machine.storedEntries(verifier)
            Counter(label: "fieldpost_ingest_entries_total").increment(by: entries.count)
        case .append(let segment, let hash, let offset, let skip):
            guard case .data(_, _, let bytes) = frame else { return nil }
            guard store.hasRoom(for: hash, node: node) else {
                state.machine.refused(Refusal(frame: state.machine.frames - 1, reason: .tooManyPartials, detail: "too many segments have begun and not ended", segment: segment))
                return nil
            }
            var known = try state.current?.segment == segment ? state.current?.state : store.segmentState(segment, node: node, log: log)
            try store.appendPartial(bytes[skip...], to: hash, node: node)
            known?.partialBytes = offset + Int64(bytes.count - skip)
            state.current = known.map { (segment, $0) }
        case .commit(let segment, let hash, let bytes):
            state.current = nil
            if try store.commit(HubStore.StoredSegment(segment: segment, sha256: hash, bytes: bytes), node: node, log: log) {
                Counter(label: "fieldpost_ingest_segments_total").increment()
            } else {
                state.machine.refused(Refusal(frame: state.machine.frames - 1, reason: .wrongHash, detail: "the bytes received do not have the entry's hash; they were discarded", segment: segment, expected: 0))
            }
        }
        return nil
    }
}
