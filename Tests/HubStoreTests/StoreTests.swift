import EvidenceLog
import Foundation
import HubStore
import LogFixtures
import RecordingModel
import StorageIO
import SyncProtocol
import Synchronization
import Testing

@Suite struct StoreTests {
    private static let origin = Moment.sample(milliseconds: 0).wall.unixMilliseconds

    @Test("A batch of entries that comes again, overlaps or comes twice at once is written once")
    func duplicateBatches() throws {
        let node = try PushedNode()
        let folder = try StoreFolder()
        let store = try folder.open()
        try node.join(store)
        try node.contact(store, session: 1, only: [], cutAfterFrames: 1)
        let known = try store.verifier(node.node, node.log)
        #expect(known.size == node.sample.checkpoints[0].checkpoint.size)

        func batch(_ index: Int, from start: Int? = nil) throws -> EntryBatch {
            let (lines, first, checkpoint) = node.sample.batch(index)
            let skipped = Int(first) - (start ?? Int(first))
            return EntryBatch(start: UInt64(Int(first) - skipped), lines: skipped > 0 ? Array(node.sample.lines[(Int(first) - skipped)..<Int(first)]) + lines : lines, checkpoint: checkpoint)
        }
        func receive(_ batch: EntryBatch) throws -> HubPushMachine.Action {
            var machine = HubPushMachine(verifier: try store.verifier(node.node, node.log))
            return try machine.receive(.entries(try batch.encoded())) { _ in nil }
        }
        guard case .duplicate = try receive(try batch(0)) else { Issue.record("a known batch is not a duplicate"); return }
        // Two pushes judged against the same log: the second finds that it has grown.
        guard case .storeEntries(let first, let entries, let verifier) = try receive(try batch(1)) else { Issue.record("a new batch is not taken"); return }
        try store.storeEntries(first, entries: entries, verifier: verifier, nowUnixMilliseconds: PushedNode.now)
        let problem = #expect(throws: Problem.self) {
            try store.storeEntries(first, entries: entries, verifier: verifier, nowUnixMilliseconds: PushedNode.now)
        }
        #expect(problem?.status == 409)
        #expect(folder.lines(of: node) == Array(node.sample.lines[..<Int(verifier.size)]))
        // A batch that begins in what is known is taken from where it becomes new.
        guard case .storeEntries(let rest, let more, let end) = try receive(try batch(2, from: 2)) else { Issue.record("an overlapping batch is not taken"); return }
        #expect(rest.start == verifier.size)
        try store.storeEntries(rest, entries: more, verifier: end, nowUnixMilliseconds: PushedNode.now)
        #expect(folder.lines(of: node) == node.sample.lines)
        let report = try store.report()
        #expect(report.verified && report.segmentsKnown == 5 && report.segmentsOnHub == 0, "\(report)")
    }

    @Test("A token that many nodes show at once is won by one, and one name by one of two tokens")
    func tokenRaces() throws {
        let folder = try StoreFolder()
        let store = try folder.open()
        let nodes = (0..<16).map { NodeID(keyHash: .sha256([UInt8($0)])) }
        try store.addJoinToken(secretHash: .sha256([1]), name: "north", expiresUnixSeconds: PushedNode.now / 1000 + 60)
        let winners = Mutex<[NodeID]>([])
        DispatchQueue.concurrentPerform(iterations: nodes.count) { number in
            // Each asks twice, as after a lost answer.
            for _ in 0..<2 {
                if case .enrolled? = try? store.enrol(nodes[number], secretHash: .sha256([1]), nowUnixMilliseconds: PushedNode.now) { winners.withLock { $0.append(nodes[number]) } }
            }
        }
        let won = winners.withLock { $0 }
        #expect(won.count == 2 && Set(won).count == 1, "\(won)")
        #expect(try nodes.filter { try store.nodeState($0) == .active } == Array(Set(won)))

        let names = Mutex(0)
        for secret in [UInt8(2), 3] { try store.addJoinToken(secretHash: .sha256([secret]), name: "south", expiresUnixSeconds: PushedNode.now / 1000 + 60) }
        DispatchQueue.concurrentPerform(iterations: 2) { number in
            let node = NodeID(keyHash: .sha256([100, UInt8(number)]))
            if case .enrolled? = try? store.enrol(node, secretHash: .sha256([UInt8(2 + number)]), nowUnixMilliseconds: PushedNode.now) { names.withLock { $0 += 1 } }
        }
        #expect(names.withLock { $0 } == 1)
        // The last second of a token is still good; the one after is not.
        try store.addJoinToken(secretHash: .sha256([4]), name: "east", expiresUnixSeconds: PushedNode.now / 1000)
        #expect(try store.enrol(NodeID(keyHash: .sha256([200])), secretHash: .sha256([4]), nowUnixMilliseconds: PushedNode.now) == .refused)
        #expect(try store.enrol(NodeID(keyHash: .sha256([200])), secretHash: .sha256([4]), nowUnixMilliseconds: PushedNode.now - 1000) == .enrolled(name: "east"))
    }

    @Test("A timeline tiles its window: held, only on the node, not recorded with its cause, unknown; wherever it is cut")
    func timeline() async throws {
        let node = try PushedNode()
        let folder = try StoreFolder()
        let store = try folder.open()
        try node.join(store)
        try node.contact(store, session: 1, only: [0, 2, 4])
        let camera = try CameraID("gate").orThrow("a camera")
        let all: [(Int64, Int64, SpanState)] = [
            (-10_000, 0, .unknown), (0, 60_000, .onHub), (60_000, 120_000, .onlyOnNode), (120_000, 180_000, .notRecorded), (180_000, 240_000, .onHub),
            (240_000, 300_000, .onlyOnNode), (300_000, 330_000, .unknown), (330_000, 390_000, .onHub), (390_000, 400_000, .unknown),
        ]
        let borders = [-10_000, -1, 0, 30_000, 60_000, 119_999, 150_000, 180_000, 239_000, 299_000, 310_000, 330_000, 389_000, 400_000] as [Int64]
        for (from, to) in borders.flatMap({ from in borders.filter { $0 > from }.map { (from, $0) } }) {
            let window = try await store.timeline(node: node.node, camera: camera, from: Self.origin + from, to: Self.origin + to, nowUnixMilliseconds: PushedNode.now)
            let found = try #require(window, "\(from) to \(to)")
            let expected = all.filter { $0.0 < to && $0.1 > from }.map { (max($0.0, from), min($0.1, to), $0.2) }
            let spans = found.spans.map { ($0.startUnixMilliseconds - Self.origin, $0.endUnixMilliseconds - Self.origin, $0.state) }
            #expect(spans.map { "\($0)" } == expected.map { "\($0)" }, "\(from) to \(to)")
            #expect(found.spans.filter { $0.state == .notRecorded }.allSatisfy { $0.cause == .cameraLost && $0.detail != nil })
            #expect(found.segments.map(\.record.sequence) == [0, 2, 4].filter { PushedNode.start($0) < to && PushedNode.start($0) + 60_000 > from }, "\(from) to \(to)")
        }
        let other = try CameraID("yard").orThrow("a camera")
        #expect(try await store.timeline(node: node.node, camera: other, from: 0, to: 1, nowUnixMilliseconds: 0) == nil)
        #expect(try await store.timeline(node: NodeID(keyHash: .zero), camera: camera, from: 0, to: 1, nowUnixMilliseconds: 0) == nil)
        let summary = try #require(try await store.nodeSummary(node.node))
        #expect(summary.onHub == Backlog(segments: 3, bytes: 9_000, durationMilliseconds: 180_000))
        #expect(summary.onlyOnNode == Backlog(segments: 2, bytes: 6_000, durationMilliseconds: 120_000))
    }
}
