import EvidenceLog
@testable import HubIngest
import LogFixtures
import NIOCore
import Synchronization
import SyncProtocol
import TestSupport
import Testing

@Suite struct FrameTurnsTests {
    /// Whom a turn was given to, in order.
    private final class Taken: Sendable {
        private let all = Mutex<[(number: Int, turn: FrameTurns.Turn)]>([])
        var numbers: [Int] { all.withLock { $0.map(\.number) } }
        func turn(_ index: Int) -> FrameTurns.Turn { all.withLock { $0[index].turn } }
        func add(_ number: Int, _ turn: FrameTurns.Turn) { all.withLock { $0.append((number, turn)) } }
    }

    /// The times of turns, which are over when a test says so.
    private final class Clocks: Sendable {
        private let all = Mutex<[@Sendable () -> Void]>([])
        func add(_ isOver: @escaping @Sendable () -> Void) { all.withLock { $0.append(isOver) } }
        func run(_ index: Int) { all.withLock { $0[index] }() }
    }

    @Test("So many have a turn at a time; one that is given back goes to whoever waits longest, and none is lost")
    func order() {
        let turns = FrameTurns(count: 2, later: { _ in })
        let taken = Taken()
        for number in 0..<5 { turns.take { taken.add(number, $0) } }
        #expect(taken.numbers == [0, 1] && turns.waiting == 3)
        for number in 2..<5 {
            turns.giveBack(taken.turn(number - 2))
            // Given back twice is given back once.
            turns.giveBack(taken.turn(number - 2))
            #expect(taken.numbers == Array(0...number))
        }
        turns.giveBack(taken.turn(3))
        turns.giveBack(taken.turn(4))
        for number in 5..<8 { turns.take { taken.add(number, $0) } }
        #expect(taken.numbers == Array(0..<7) && turns.waiting == 1)
    }

    @Test("A turn is over after its time, whoever has it, but not while the hub is busy with a frame that is whole")
    func time() {
        let clocks = Clocks()
        let turns = FrameTurns(count: 1, later: clocks.add)
        let taken = Taken()
        for number in 0..<4 { turns.take { taken.add(number, $0) } }
        clocks.run(0)
        #expect(taken.numbers == [0, 1])
        // Its time was over: the turn is another's now.
        turns.giveBack(taken.turn(0))
        #expect(taken.numbers == [0, 1])
        turns.stopTime(taken.turn(1))
        clocks.run(1)
        #expect(taken.numbers == [0, 1])
        turns.giveBack(taken.turn(1))
        #expect(taken.numbers == [0, 1, 2])
        clocks.run(2)
        #expect(taken.numbers == [0, 1, 2, 3])
    }

    @Test("The time of a turn is over by itself")
    func clock() async {
        let turns = FrameTurns(count: 1)
        let first = await turns.take()
        #expect(await turns.take() != first)
    }

    @Test("A push with the beginning of a frame waits while another has its own, whose turn comes back with the frame or with the push's end", .timeLimit(.minutes(15)))
    func pushes() async throws {
        let folder = try StoreFolder()
        defer { withExtendedLifetime(folder) {} }
        let store = try folder.open()
        let turns = FrameTurns(count: 1, freeBytes: 100, later: { _ in })
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
        let isWhole = Task {
            await push.awaitTurn()
            return try push.receive(rest)
        }
        while turns.waiting == 0 {
            try Task.checkCancellation()
            await Task.yield()
        }
        #expect(try first.push.receive(first.frame))
        while case .waits = try first.push.take() { committer.writeNow() }
        #expect(try await isWhole.value)
        // It has the turn until its own frame is taken, or until it ends.
        second.push.close()
        turns.giveBack(await turns.take())
        first.push.close()
    }
}
