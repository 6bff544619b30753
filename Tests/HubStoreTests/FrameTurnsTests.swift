import EvidenceLog
@testable import HubIngest
import LogFixtures
import NIOCore
import Synchronization
import SyncProtocol
import TestSupport
import Testing

@Suite struct FrameTurnsTests {
    private final class Order: Sendable {
        let numbers = Mutex<[Int]>([])
    }

    @Test("So many have a turn at a time; one that is given back goes to whoever waits longest, and none is lost")
    func order() async throws {
        let turns = FrameTurns(count: 2, waitMilliseconds: 600_000)
        #expect(await turns.take())
        #expect(await turns.take())
        let taken = Order()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<3 {
                group.addTask {
                    #expect(await turns.take())
                    taken.numbers.withLock { $0.append(number) }
                }
                _ = try await eventually("number \(number) waits", within: .seconds(60), every: .milliseconds(1)) { turns.waiting == number + 1 ? true : nil }
            }
            for number in 0..<3 {
                turns.giveBack()
                _ = try await eventually("number \(number) has its turn", within: .seconds(60), every: .milliseconds(1)) { taken.numbers.withLock { $0 } == Array(0...number) ? true : nil }
            }
        }
        turns.giveBack()
        turns.giveBack()
        #expect(await turns.take())
        #expect(await turns.take())
        #expect(turns.waiting == 0)
    }

    @Test("Who waits in vain goes on without a turn, and the one that comes back later is whole again")
    func inVain() async {
        let turns = FrameTurns(count: 1, waitMilliseconds: 20)
        #expect(await turns.take())
        for _ in 0..<3 { #expect(await !turns.take()) }
        turns.giveBack()
        #expect(await turns.take())
        #expect(await !turns.take())
    }

    @Test("A push with the beginning of a frame waits while another has its own, whose turn comes back with the frame or with the push's end")
    func pushes() async throws {
        let folder = try StoreFolder()
        defer { withExtendedLifetime(folder) {} }
        let store = try folder.open()
        let turns = FrameTurns(count: 1, waitMilliseconds: 600_000, freeBytes: 100)
        let committer = GroupCommitter(store: store, nowMilliseconds: { 0 })
        let writer = IngestWriter(store: store, committer: committer, turns: turns)
        let sessions = Sessions()
        func begin(_ seed: UInt64) throws -> (push: PushSession, frame: ByteBuffer) {
            let node = try PushedNode(seed: seed, name: "node \(seed)")
            try node.join(store)
            try node.greet(store, session: 1)
            sessions.raise(node.node, to: 1)
            let (lines, start, checkpoint) = node.sample.batch(0)
            let frame = FrameCoding.encode(.entries(try EntryBatch(start: start, lines: lines, checkpoint: checkpoint).encoded()))
            return (try PushSession(writer: writer, sessions: sessions, node: node.node, log: node.log, number: 1, clock: { PushedNode.now }), ByteBuffer(bytes: frame))
        }
        var (first, second) = (try begin(1), try begin(2))
        defer { committer.writeNow() }
        // So much is everybody's.
        #expect(try !first.push.receive(first.frame.readSlice(length: 100).orThrow("bytes")))
        await first.push.awaitTurn()
        #expect(await turns.take())
        turns.giveBack()

        #expect(try !first.push.receive(first.frame.readSlice(length: 1).orThrow("bytes")))
        await first.push.awaitTurn()
        #expect(try !second.push.receive(second.frame.readSlice(length: 101).orThrow("bytes")))
        let (push, rest) = (second.push, second.frame)
        async let isWhole = {
            await push.awaitTurn()
            return try push.receive(rest)
        }()
        _ = try await eventually("the second push waits", within: .seconds(60), every: .milliseconds(1)) { turns.waiting == 1 ? true : nil }
        #expect(try first.push.receive(first.frame))
        while case .waits = try first.push.take() { committer.writeNow() }
        #expect(try await isWhole)
        // It has the turn until its own frame is taken, or until it ends.
        second.push.close()
        #expect(await turns.take() && turns.waiting == 0)
        first.push.close()
    }
}
