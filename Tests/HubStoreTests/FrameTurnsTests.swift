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
        let turns = FrameTurns(count: 2, lastMilliseconds: 600_000)
        var held = [await turns.take(), await turns.take()]
        let taken = Order()
        try await withThrowingTaskGroup(of: FrameTurns.Turn.self) { group in
            for number in 0..<3 {
                group.addTask {
                    let turn = await turns.take()
                    taken.numbers.withLock { $0.append(number) }
                    return turn
                }
                _ = try await eventually("number \(number) waits", within: .seconds(60), every: .milliseconds(1)) { turns.waiting == number + 1 ? true : nil }
            }
            for number in 0..<3 {
                turns.giveBack(held.removeFirst())
                held.append(try #require(try await group.next()))
                #expect(taken.numbers.withLock { $0 } == Array(0...number))
            }
        }
        for turn in held + held { turns.giveBack(turn) }
        // Twice given back is once given back.
        held = [await turns.take(), await turns.take()]
        async let third = turns.take()
        _ = try await eventually("the third waits", within: .seconds(60), every: .milliseconds(1)) { turns.waiting == 1 ? true : nil }
        turns.giveBack(held[0])
        turns.giveBack(await third)
    }

    @Test("A turn is over after its time, whoever has it, but not while the hub is busy with a frame that is whole")
    func time() async throws {
        let turns = FrameTurns(count: 1, lastMilliseconds: 20)
        let first = await turns.take()
        let second = await turns.take()
        turns.giveBack(first)
        let third = await turns.take()
        #expect(Set([first, second, third]).count == 3)
        turns.stopTime(third)
        async let fourth = turns.take()
        try await Task.sleep(for: .milliseconds(100))
        #expect(turns.waiting == 1)
        turns.giveBack(third)
        turns.giveBack(await fourth)
    }

    @Test("A push with the beginning of a frame waits while another has its own, whose turn comes back with the frame or with the push's end")
    func pushes() async throws {
        let folder = try StoreFolder()
        defer { withExtendedLifetime(folder) {} }
        let store = try folder.open()
        let turns = FrameTurns(count: 1, lastMilliseconds: 600_000, freeBytes: 100)
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
        #expect(try !first.push.receive(first.frame.readSlice(length: 99).orThrow("bytes")))
        await first.push.awaitTurn()
        turns.giveBack(await turns.take())

        #expect(try !first.push.receive(first.frame.readSlice(length: 1).orThrow("bytes")))
        await first.push.awaitTurn()
        #expect(try !second.push.receive(second.frame.readSlice(length: 100).orThrow("bytes")))
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
        turns.giveBack(await turns.take())
        first.push.close()
    }
}
