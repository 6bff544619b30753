import EvidenceLog
import HubStore
import Logging
import NIOCore
import RecordingModel
import StorageIO
import Synchronization
import SyncProtocol

/// Where a bundle's records go: the store itself, or the hub that serves it. One call at a time.
package protocol BundleSink: Sendable {
    /// A bundle begins.
    func begin(_ header: BundleHeader) async throws -> BundleAnswer
    /// One `entries` frame as it is on the wire.
    func entries(_ wire: [UInt8]) async throws -> BundleAnswer
    /// Whole frames of footage, `BundleAnswer.messageBytes` at most.
    func frames(_ wire: [UInt8]) async throws -> BundleAnswer
    /// Says what the hub has of the node now, and what of the frames since the last call was refused.
    func settle() async throws -> BundleAnswer
}

package struct BundleAnswer: Hashable, Sendable, Codable {
    /// Largest message between the program that reads the medium and the hub that serves.
    package static let messageBytes = 8 << 20

    /// Why no more of this bundle is taken.
    package var problem: Problem?
    package var nodeName: String?
    package var logSize: UInt64 = 0
    package var held: [StreamHoldings] = []
    package var partials: [PartialSegment] = []
    package var refusals: [Refusal] = []
    package var statement: SignedStatement?

    package init(problem: Problem? = nil) { self.problem = problem }
}

/// Takes bundles into the store by the same session as a push.
package final class BundleIntake: BundleSink {
    private struct State {
        var header: BundleHeader?
        var session: PushSession?
        /// For comparing entries that the hub has with the bundle's.
        var walk: LogWalk?
    }
    private let state = Mutex(State())
    private let writer: IngestWriter
    private let sessions = Sessions()
    private let clock: @Sendable () -> Int64
    private let logger: Logger

    /// Sessions are those of a link; a courier has but one, beside them.
    private static let session: UInt64 = 1

    private var store: HubStore { writer.store }

    /// - Parameter writer: the one of this process.
    package init(writer: IngestWriter, nowUnixMilliseconds clock: @escaping @Sendable () -> Int64, logger: Logger) {
        self.writer = writer
        self.clock = clock
        self.logger = logger
    }

    package func begin(_ header: BundleHeader) async throws -> BundleAnswer {
        try await answer(header.node) { [store, sessions, logger] state in
            state = State()
            guard header.hub == store.hub else { throw Problem(status: 403, title: "The bundle is for another hub.", detail: "Its hub's key begins \(header.hub.description.prefix(8)), this one's \(store.hub.description.prefix(8)).") }
            switch try store.nodeState(header.node) {
            case nil: throw Problem(status: 401, title: "The bundle's node has not joined this hub.", detail: "Its key begins \(header.node.description.prefix(8)).")
            case .suspended: throw Problem(status: 403, title: "The bundle's node is suspended.", detail: "Nothing of it is taken; let it in again with: fieldpost-hub resume NAME")
            case .forked: throw Problem(status: 422, title: "The log of the bundle's node has a second history.", detail: "An operator must decide; see: fieldpost-hub resume --help", field: "log")
            case .active: break
            }
            sessions.raise(header.node, to: Self.session)
            state.header = header
            logger.info("a bundle is being imported", metadata: ["node": "\(header.node)", "bundle": "\(Hex.encode(header.bundle))"])
        }
    }

    package func entries(_ wire: [UInt8]) async throws -> BundleAnswer {
        let checked = try await answer(node) { [store, clock] state in
            let header = try Self.begun(state)
            var parser = FrameParser()
            parser.append(wire)
            guard case .entries(let encoded)? = try? parser.next(), let batch = EntryBatch(decoding: encoded) else {
                throw Problem(status: 400, title: "The entry batch cannot be read.", field: "entries")
            }
            if try store.hasLog(header.node, header.log) {
                if batch.start < (try store.verifier(header.node, header.log).size) {
                    var walk = if let walk = state.walk, walk.verifier.size <= batch.start { walk } else { try store.walk(header.node, header.log) }
                    if try store.provesFork(batch, header.node, header.log, walk: &walk) {
                        try store.foundFork(batch, of: header.node, header.log, nowUnixMilliseconds: clock())
                        throw Problem(status: 422, title: "This log has a second history.", detail: "The bundle shows entries that the hub has otherwise: the node was copied or restored. An operator must decide.", field: "log")
                    }
                    state.walk = walk
                }
            } else {
                guard batch.start == 0 else { throw Problem(status: 409, title: "The entries begin beyond the hub's log.", detail: "The hub has 0 entries.", field: "0") }
                var verifier = LogVerifier(node: header.node, log: header.log)
                do throws(LogFault) { _ = try verifier.append(batch.lines, from: 0, leadingTo: batch.checkpoint) } catch {
                    throw Problem(status: 422, title: "The entries are not accepted.", detail: error.description, field: "entries")
                }
                try store.beginLog(header.node, header.log)
            }
        }
        return checked.problem == nil ? try await frames(wire) : checked
    }

    package func frames(_ wire: [UInt8]) async throws -> BundleAnswer {
        let session = Mutex<PushSession?>(nil)
        let opened = try await answer(node) { [writer, store, sessions, clock] state in
            let header = try Self.begun(state)
            guard try store.hasLog(header.node, header.log) else { throw Problem(status: 409, title: "The footage comes before its entries.", field: "entries") }
            let known =
                try state.session ?? PushSession(writer: writer, sessions: sessions, node: header.node, log: header.log, number: Self.session, clock: clock, isOverLink: false)
            state.session = known
            session.withLock { $0 = known }
        }
        guard opened.problem == nil, let session = session.withLock({ $0 }) else { return opened }
        return try await problems {
            if try session.receive(ByteBuffer(bytes: wire)) { try await writer.take(session, node) }
        }
    }

    package func settle() async throws -> BundleAnswer {
        let answer = Mutex(BundleAnswer())
        let session = state.withLock { state in
            defer { state.session = nil }
            return state.session
        }
        let ended = Mutex<[Refusal]>([])
        let unsettled = try await problems {
            guard let session else { return }
            try session.end()
            try await writer.committer.settled(session.ticket)
            ended.withLock { $0 = session.refusals }
        }
        guard unsettled.problem == nil else { return unsettled }
        let refusals = ended.withLock { $0 }
        let failed = try await self.answer(node) { [store, clock] state in
            let header = try Self.begun(state)
            var result = BundleAnswer()
            result.nodeName = try store.nodeName(header.node)
            result.refusals = refusals
            if try store.hasLog(header.node, header.log) {
                let statement = try store.statement(for: header.node, log: header.log, nowUnixMilliseconds: clock())
                let said = statement.verified(by: store.hubKey)
                (result.statement, result.logSize, result.held) = (statement, said?.logSize ?? 0, said?.held ?? [])
                result.partials = try store.partials(header.node, header.log)
            }
            answer.withLock { [result] in $0 = result }
        }
        return failed.problem == nil ? answer.withLock { $0 } : failed
    }

    private static func begun(_ state: State) throws -> BundleHeader {
        guard let header = state.header else { throw Problem(status: 409, title: "No bundle has begun.") }
        return header
    }

    /// Whose bundle it is; any when none has begun.
    private var node: NodeID { state.withLock { $0.header?.node } ?? NodeID(keyHash: .sha256([])) }

    /// Runs on the node's lane.
    private func answer(_ node: NodeID, _ body: @escaping @Sendable (inout State) throws -> Void) async throws -> BundleAnswer {
        try await problems { try await writer.disk.run(node) { [self] in try state.withLock { try body(&$0) } } }
    }

    /// After a problem the session is over; what it has kept stays.
    private func problems(_ body: () async throws -> Void) async throws -> BundleAnswer {
        do {
            try await body()
            return BundleAnswer()
        } catch let problem as Problem {
            state.withLock { $0.session = nil }
            return BundleAnswer(problem: problem)
        }
    }
}
