import EvidenceLog
import Foundation
@testable import HubIngest
import HubStore
import LogFixtures
import RecordingModel
import StorageIO
import SyncProtocol
import Testing
import TestSupport

@Suite struct GroupCommitTests {
    @Test("A group is due when it is full, old, or when everybody who pushes waits for it")
    func due() {
        var group = CommitGroup<Int>()
        #expect(group.dueInMilliseconds(nowMilliseconds: 0) == nil)
        group.pushBegan()
        group.pushBegan()
        group.add(1, bytes: 10, nowMilliseconds: 100)
        group.add(2, bytes: 10, nowMilliseconds: 110)
        #expect(group.dueInMilliseconds(nowMilliseconds: 110) == 10)
        #expect(group.dueInMilliseconds(nowMilliseconds: 130) == 0)
        group.waitBegan()
        #expect(group.dueInMilliseconds(nowMilliseconds: 110) == 10)
        group.waitBegan()
        #expect(group.dueInMilliseconds(nowMilliseconds: 110) == 0)
        group.waitEnded()
        group.add(3, bytes: CommitGroup<Int>.dueBytes, nowMilliseconds: 111)
        #expect(group.dueInMilliseconds(nowMilliseconds: 111) == 0 && !group.isFull)
        #expect(group.take() == [1, 2, 3])
        #expect(group.bytes == 0 && group.dueInMilliseconds(nowMilliseconds: 500) == nil)
        for number in 0..<CommitGroup<Int>.fullItems { group.add(number, bytes: 0, nowMilliseconds: 0) }
        #expect(group.isFull)
    }

    /// Segments of several nodes, sealed and ready for one group.
    private func sealed(_ nodes: [PushedNode], _ store: HubStore) throws -> [CommitItem] {
        try nodes.flatMap { node -> [CommitItem] in
            try node.join(store)
            _ = try node.contact(store, session: 1, only: [])
            // Segment 4 has the bytes of segment 0, and there is one file for both.
            return try node.segments.filter { $0.sequence < 4 }.map { segment -> CommitItem in
                let bytes = node.contents[segment] ?? []
                try store.appendPartial(bytes[...], to: .sha256(bytes), node: node.node, at: 0)
                let file = try store.seal(.sha256(bytes), node: node.node).orThrow("a sealed file")
                return .segment(HubStore.StoredSegment(segment: segment, sha256: .sha256(bytes), bytes: Int64(bytes.count)), node: node.node, log: node.log, file)
            }
        }
    }

    @Test("A group of many segments costs two syncs of the file system and one transaction, and the power may go right after it")
    func oneSync() throws {
        let nodes = try (1...4).map { try PushedNode(seed: $0, name: "node \($0)") }
        let folder = try StoreFolder()
        let storage = FailingStorage(root: folder.directory.path, failing: 0..<0, syncsAsOne: true) { $0.hasPrefix("sync") }
        let store = try folder.open(storage)
        let items = try sealed(nodes, store)
        let before = storage.calls
        #expect(store.write(items).allSatisfy { $0 == nil })
        #expect(storage.calls - before == 2)
        try storage.cutPower()
        let after = try folder.open()
        for node in nodes {
            #expect(try folder.lies(in: after, of: node).isEmpty)
            let held = try after.held(node.node, node.log).values.reduce(0) { $0 + $1.count }
            #expect(held == 4)
        }
        #expect(try after.report().faults.isEmpty)
    }

    @Test("Whichever sync of a group fails: what is claimed is there after a power cut, and only the victim's node is refused", arguments: [false, true])
    func failures(_ syncsAsOne: Bool) throws {
        let nodes = try (1...2).map { try PushedNode(seed: $0, name: "node \($0)") }
        var number = 0
        while true {
            let folder = try StoreFolder()
            // A whole sync that fails is asked again file by file; then one of those fails too.
            let storage = FailingStorage(root: folder.directory.path, failing: number..<(number + 2), syncsAsOne: syncsAsOne) { $0.hasPrefix("sync") && !$0.contains("logs") }
            // The first one is of the store's own folder, as it opens.
            guard let store = try? folder.open(storage) else {
                number += 1
                continue
            }
            let items = try sealed(nodes, store)
            let failures = store.write(items)
            let refused = failures.filter { $0 != nil }.count
            for node in nodes { #expect(try folder.lies(in: store, of: node).isEmpty, "from call \(number)") }
            try storage.cutPower()
            let after = try folder.open()
            for node in nodes { #expect(try folder.lies(in: after, of: node).isEmpty, "from call \(number): \(storage.failed)") }
            let held = try nodes.reduce(0) { sum, node in try sum + after.held(node.node, node.log).values.reduce(0) { $0 + $1.count } }
            #expect(held == items.count - refused, "from call \(number): \(storage.failed)")
            if storage.failed.allSatisfy({ $0.hasPrefix("sync partials/") }) { #expect(refused <= 2, "from call \(number): \(storage.failed)") }
            for node in nodes {
                let reply = try node.contact(after, session: 2)
                #expect(reply.refusals.isEmpty && reply.partials.isEmpty, "from call \(number)")
            }
            #expect(try after.report().verified, "from call \(number)")
            if storage.failed.isEmpty { break }
            number += 1
        }
        #expect(number >= 2, "only \(number) syncs: the test has lost its subject")
    }

    @Test("Entries of many logs in one group: the one that leads nowhere is refused, the others are taken")
    func entries() throws {
        let nodes = try (1...3).map { try PushedNode(seed: $0, name: "node \($0)") }
        let folder = try StoreFolder()
        let store = try folder.open()
        var items: [CommitItem] = []
        for node in nodes {
            try node.join(store)
            _ = try node.contact(store, session: 1, cutAfterFrames: 0)
            var verifier = try store.verifier(node.node, node.log)
            let (lines, start, checkpoint) = node.sample.batch(0)
            let entries = try verifier.append(lines, from: start, leadingTo: checkpoint)
            items.append(.entries(EntryBatch(start: start, lines: lines, checkpoint: checkpoint), entries: entries, verifier: verifier, nowUnixMilliseconds: PushedNode.now))
        }
        // The second node's batch comes twice at once.
        let failures = store.write(items + [items[1]])
        #expect(failures.map { $0 == nil } == [true, true, true, false])
        #expect((failures[3] as? Problem)?.status == 409)
        for node in nodes { #expect(folder.lines(of: node) == node.sample.batch(0).lines) }
        #expect(try store.report().faults.isEmpty)
    }
}
