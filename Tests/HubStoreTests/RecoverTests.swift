import EvidenceLog
import HubStore
import LogFixtures
import RecordingModel
import StorageIO
import SyncProtocol
import SystemPackage
import TestSupport
import Testing

/// A hub that lost blobs.
@Suite struct RecoverTests {
    @Test("What is missing or damaged is not claimed any more, the rest is, and the node's next contact brings exactly that again")
    func lostBlobs() throws {
        let node = try PushedNode(seed: 1, name: "north")
        let folder = try StoreFolder()
        let store = try folder.open()
        try node.join(store)
        try node.contact(store, session: 1)
        let before = try store.held(node.node, node.log)
        let (missing, damaged) = (node.segments[0], node.segments[1])
        let path = { (segment: SegmentID) -> FilePath in
            let name = ContentHash.sha256(node.contents[segment] ?? []).hex
            return FilePath(folder.directory.path("blobs/\(name.prefix(2))/\(name)"))
        }
        let storage = RealStorage()
        try storage.remove(path(missing))
        try storage.replace(path(damaged), with: [1, 2, 3])
        #expect(try !store.report().verified)

        let report = try store.forgetMissing()
        // Two segments may have the same bytes.
        #expect(report.segmentsLost >= 2 && report.segmentsChecked == Int(before.values.reduce(0) { $0 + $1.count }))
        let after = try store.held(node.node, node.log)
        #expect(after[missing.stream]?.contains(missing.sequence) != true && after[damaged.stream]?.contains(damaged.sequence) != true)
        #expect(try store.report().verified)
        let reply = try node.contact(store, session: 2)
        #expect(reply.refusals.isEmpty)
        #expect(try store.held(node.node, node.log) == before)
        #expect(try store.report().verified)
        #expect(try store.forgetMissing().segmentsLost == 0)
    }

    @Test("A node that finds another history of its log at the hub says so: nothing more is taken, and an operator is told")
    func conflict() throws {
        let node = try PushedNode(seed: 1, name: "north")
        let folder = try StoreFolder()
        let store = try folder.open()
        try node.join(store)
        let size = try node.contact(store, session: 1).logSize
        let checkpoint = try node.sample.checkpoints.last.orThrow("a checkpoint")
        var hello = HelloRequest(
            session: 2, status: NodeStatus(software: "test", bootID: "boot", uptimeMilliseconds: 1, clock: Moment.sample(milliseconds: 0).wall, disk: nil, cameras: []),
            log: node.log, logSize: checkpoint.checkpoint.size + 7, checkpoint: nil, holdings: [], backlog: Backlog(), statementLogSize: nil, statementGeneration: nil)
        // At another size it is no news: the hub has gone on since.
        hello.conflictLogSize = size - 1
        #expect(throws: Never.self) { try store.hello(hello, from: node.node, nowUnixMilliseconds: PushedNode.now) }
        hello.session = 3
        hello.conflictLogSize = size
        #expect { try store.hello(hello, from: node.node, nowUnixMilliseconds: PushedNode.now) } throws: { ($0 as? Problem)?.status == 422 }
        #expect(try store.nodeState(node.node) == .forked)
    }
}
