import EvidenceLog
import FoundationEssentials
import LogFixtures
import RecordingModel
@testable import SyncProtocol
import Testing

/// What a hub has of a node that lost its log.
@Suite struct ReconcileTests {
    /// - Parameter shared: segments that begin in the same millisecond
    private static func items(_ count: Int, from first: Int = 0, shared: Int = 4) -> [ReconcileItem] {
        (first..<first + count).map { ReconcileItem(startUnixMilliseconds: Int64($0 / shared) * 60_000, sha256: .sha256(Array("\($0)".utf8))) }
    }

    /// Asks until everything is known; the bytes of all messages, both ways.
    private static func run(_ node: [ReconcileItem], _ hub: [ReconcileItem]) throws -> (machine: ReconcileMachine, bytes: Int) {
        var machine = ReconcileMachine(node)
        let held = hub.sorted()
        var bytes = 0
        while let request = machine.request() {
            let message = try MessageCoding.encode(request)
            let reply = try Reconcile.answer(MessageCoding.decode(Reconcile.Request.self, from: message), from: held)
            let answer = try MessageCoding.encode(reply)
            bytes += message.count + answer.count
            try machine.answered(MessageCoding.decode(Reconcile.Reply.self, from: answer))
        }
        return (machine, bytes)
    }

    @Test("Equal sets cost one exchange of a few hundred bytes, however large they are", arguments: [0, 1, 40, 20_000])
    func equal(count: Int) throws {
        let all = Self.items(count)
        let (machine, bytes) = try Self.run(all, all.shuffled())
        #expect(machine.common == Set(all.map(\.sha256)) && machine.exchanges == 1 && machine.foreignCount == 0)
        #expect(bytes < 300)
    }

    @Test("Whatever either side lacks, what both have is found and nothing else", arguments: 0..<40)
    func random(seed: UInt64) throws {
        var numbers = SeededNumbers(seed: seed)
        let all = Self.items(Int.random(in: 0...3_000, using: &numbers), shared: [1, 4, 500].randomElement(using: &numbers) ?? 1)
        let share = Double.random(in: 0...1, using: &numbers)
        let node = all.filter { _ in Double.random(in: 0...1, using: &numbers) < share }
        let hub = all.filter { _ in Double.random(in: 0...1, using: &numbers) < 0.98 }
        let (machine, _) = try Self.run(node, hub)
        let both = Set(node).intersection(hub)
        #expect(machine.common == Set(both.map(\.sha256)), "seed \(seed)")
        #expect(machine.foreignCount == hub.count - both.count, "seed \(seed)")
        #expect(machine.exchanges < 10, "seed \(seed)")
    }

    @Test("A hundred holes among twenty thousand cost a fraction of what a list would")
    func holes() throws {
        let all = Self.items(20_000)
        var numbers = SeededNumbers(seed: 9)
        let hub = Array(all.shuffled(using: &numbers).dropFirst(100))
        let (machine, bytes) = try Self.run(all, hub)
        #expect(machine.common.count == 19_900)
        #expect(bytes < 20_000 * ContentHash.byteCount / 2)
    }

    @Test("Ranges that are none, and answers to what was not asked, are refused; a hub without end is left")
    func malformed() throws {
        let one = Reconcile.Fingerprint(Self.items(1))
        #expect(throws: Problem.self) { try Reconcile.answer(.init(ranges: [.init(from: 5, to: 5, fingerprint: one)]), from: []) }
        #expect(throws: Problem.self) { try Reconcile.answer(.init(ranges: Array(repeating: .init(from: 0, to: 5, fingerprint: one), count: 257)), from: []) }
        // The same range again and again would cost the hub a pass each.
        #expect(throws: Problem.self) { try Reconcile.answer(.init(ranges: Array(repeating: .init(from: 0, to: 5, fingerprint: one), count: 2)), from: []) }
        var short = one
        short.digest = Data()
        #expect(throws: Problem.self) { try Reconcile.answer(.init(ranges: [.init(from: 0, to: 5, fingerprint: short)]), from: []) }

        var machine = ReconcileMachine(Self.items(100))
        #expect(throws: SyncFault.unexpectedAnswer) { try machine.answered(.init(answers: [.same])) }
        _ = machine.request()
        #expect(throws: SyncFault.unexpectedAnswer) { try machine.answered(.init(answers: [])) }
        let whole = Reconcile.Range(from: .min, to: .max, fingerprint: one)
        #expect(throws: SyncFault.unexpectedAnswer) { try machine.answered(.init(answers: [.parts([whole])])) }
        var endless = ReconcileMachine(Self.items(100))
        while let request = endless.request() {
            try endless.answered(.init(answers: request.ranges.map { range in
                .parts([.init(from: range.from, to: range.from + 1, fingerprint: one), .init(from: range.from + 1, to: range.to, fingerprint: one)])
            }))
        }
        #expect(endless.exchanges <= ReconcileMachine.exchangesMax)
    }
}
