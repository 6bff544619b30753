import EvidenceLog
import Foundation
import HubStore
import LogFixtures
import RecordingModel
import StorageIO
import SyncProtocol
import Testing
import TestSupport

@Suite struct FailingDiskTests {
    enum Failure: String, CaseIterable, Sendable {
        /// One call fails; the process goes on, and then the power goes.
        case once
        /// Two calls in a row fail: whatever cleans up after the first fails too.
        case twice
        /// Nothing works any more, and the process ends with its unsynced bytes in the files.
        case forGood
        /// The same, and the power goes with it.
        case forGoodAndPower

        func calls(from number: Int) -> Range<Int> {
            switch self {
            case .once: number..<(number + 1)
            case .twice: number..<(number + 2)
            case .forGood, .forGoodAndPower: number..<Int.max
            }
        }
        var goesOn: Bool { self == .once || self == .twice }
        var cutsPower: Bool { self != .forGood }
    }

    @Test("Whichever call to the disk fails: no statement claims what is not there, the log replays, and a repeated push completes", arguments: Failure.allCases)
    func everyCall(_ failure: Failure) throws {
        let node = try PushedNode()
        var number = 0
        while true {
            let folder = try StoreFolder()
            let storage = FailingStorage(root: folder.directory.path, failing: failure.calls(from: number))
            try attempt(node, folder, storage, failure, "\(failure) from call \(number)")
            if storage.failed.isEmpty { break }
            number += 1
        }
        #expect(number > 40, "only \(number) calls changed anything: the test has lost its subject")
    }

    private func attempt(_ node: PushedNode, _ folder: StoreFolder, _ storage: FailingStorage, _ failure: Failure, _ label: String) throws {
        var at: Comment { "\(label): \(storage.failed.first ?? "nothing")" }
        var session: UInt64 = 0
        do {
            let store = try folder.open(storage)
            try node.join(store)
            // Goes on in the same process as a node does: it says hello again and sends what is lacking.
            for _ in 0..<(failure.goesOn ? 5 : 1) {
                session += 1
                do {
                    try node.contact(store, session: session)
                    break
                } catch is StorageError {
                    #expect(try folder.lies(in: store, of: node).isEmpty, at)
                }
            }
            #expect(try folder.lies(in: store, of: node).isEmpty, at)
        } catch is StorageError where !storage.failed.isEmpty {}
        if failure.cutsPower { try storage.cutPower() }

        let store = try folder.open()
        #expect(try folder.lies(in: store, of: node).isEmpty, "\(at) after the power cut")
        let before = try store.report()
        #expect(before.faults.isEmpty, "\(at): \(before.faults)")
        try node.join(store)
        let reply = try node.contact(store, session: session + 1)
        try expectWhole(node, folder, store, reply, at)
        // And once more: nothing is taken twice.
        try expectWhole(node, folder, store, try node.contact(store, session: session + 2), at)
    }

    private func expectWhole(_ node: PushedNode, _ folder: StoreFolder, _ store: HubStore, _ reply: PushReply, _ at: Comment) throws {
        #expect(reply.refusals.isEmpty && reply.partials.isEmpty, "\(at): \(reply.refusals)")
        let statement = try #require(reply.statement.verified(by: store.hubKey))
        #expect(statement.logSize == UInt64(node.sample.lines.count) && statement.logRoot == node.sample.frontier.root, at)
        #expect(node.segments.allSatisfy { statement.heldByStream[$0.stream]?.contains($0.sequence) == true }, at)
        #expect(try folder.lies(in: store, of: node).isEmpty, at)
        #expect(folder.lines(of: node) == node.sample.lines, "\(at): the log's file is not what the node wrote")
        #expect(folder.partials.isEmpty, "\(at): \(folder.partials)")
        let report = try store.report()
        #expect(report.verified && report.segmentsOnHub == 5 && report.segmentsKnown == 5, "\(at): \(report)")
        #expect(report.blobFiles == 4 && report.duplicateBlobs == 0, "\(at): \(report)")
    }

    @Test("After a failed sync the bytes are gone from the hub: no later sync of the same file passes for theirs", arguments: [1, 2])
    func failedSync(_ failures: Int) throws {
        let node = try PushedNode()
        let folder = try StoreFolder()
        let storage = FailingStorage(root: folder.directory.path, failing: 0..<failures) { $0.hasPrefix("sync partials/") }
        let store = try folder.open(storage)
        try node.join(store)
        let first = try #require(node.segments.first)
        for session in 1...UInt64(failures) {
            #expect(throws: StorageError.self) { try node.contact(store, session: session, only: [first.sequence]) }
            #expect(try store.segmentState(first, node: node.node, log: node.log)?.partialBytes == 0)
            #expect(try store.partials(node.node, node.log).isEmpty)
            #expect(folder.partials.isEmpty)
        }
        #expect(storage.failed.count == failures)
        try node.contact(store, session: 9, only: [first.sequence])
        try storage.cutPower()
        let after = try folder.open()
        #expect(try after.segmentState(first, node: node.node, log: node.log)?.isHeld == true)
        #expect(try folder.lies(in: after, of: node).isEmpty)
        #expect(try after.report().verified)
    }

    @Test("A partial segment whose bytes the disk changed is refused and discarded, and the next push brings it whole")
    func rottenPartial() throws {
        let node = try PushedNode()
        let folder = try StoreFolder()
        var store = try folder.open()
        try node.join(store)
        // Three batches of entries, then two of the first segment's three pieces.
        let begun = try node.contact(store, session: 1, cutAfterFrames: 5)
        #expect(begun.partials.map(\.offset) == [2_000])
        let path = try #require(folder.partials.first)
        var bytes = try #require(FileManager.default.contents(atPath: path))
        bytes[700] ^= 1
        try bytes.write(to: URL(fileURLWithPath: path))
        store = try folder.open()
        let refused = try node.contact(store, session: 2)
        #expect(refused.refusals.map(\.reason) == [.wrongHash])
        #expect(try folder.lies(in: store, of: node).isEmpty)
        let reply = try node.contact(store, session: 3)
        try expectWhole(node, folder, store, reply, "after the refusal")
    }
}
