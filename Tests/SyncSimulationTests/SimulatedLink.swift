import EvidenceLog
@testable import HubIngest
import LogFixtures
import RecordingModel
import SyncProtocol

/// One connection: what is in flight each way, and how far the hub is with it. Bytes that were sent arrive in order and
/// whole, or the connection is cut: TLS over TCP leaves nothing else.
final class SimulatedConnection {
    enum Part {
        case hello(HelloRequest)
        case beginPush(log: LogID, session: UInt64)
        case frame([UInt8])
        case endPush
    }
    enum Answer {
        case hello(HelloReply)
        case push(PushReply)
        case problem(Problem)
    }

    /// It has its connection, and outlives it.
    unowned let node: SimulatedNode
    /// Written by the node, not yet at the hub's machine.
    var underway: [Part] = []
    /// Taken by the hub's kernel, which acknowledges it, and not yet by the hub.
    var atHub: [Part] = []
    /// With the hub's era in which each was given.
    var answers: [(answer: Answer, era: Int)] = []
    /// The last push as it arrived, from its beginning.
    private(set) var recorded: [Part] = []
    /// The push that the hub is taking in.
    var push: PushSession?
    /// Whole frames that the hub's kernel has acknowledged.
    private(set) var deliveredFrames = 0
    /// Nothing that is sent arrives any more, in either direction.
    private(set) var isCut = false
    /// The hub hears nothing more on it.
    var isOver = false

    init(node: SimulatedNode) { self.node = node }

    /// Moves what is in flight. Each part is lost with this probability, which cuts the connection: of a frame the beginning
    /// may have arrived. What arrived before a cut may be acted on long after it.
    func carry(loss: Double, _ random: inout SeededNumbers) {
        while !underway.isEmpty, !isCut {
            let part = underway.removeFirst()
            if Double.random(in: 0..<1, using: &random) < loss {
                if case .frame(let bytes) = part { atHub.append(.frame(Array(bytes.prefix(.random(in: 0...bytes.count, using: &random))))) }
                return cut()
            }
            atHub.append(part)
            if case .beginPush = part { recorded = [] }
            recorded.append(part)
            if case .frame = part { deliveredFrames += 1 }
        }
        if !answers.isEmpty, Double.random(in: 0..<1, using: &random) < loss { cut() }
    }

    func cut() {
        isCut = true
        underway = []
        answers = []
    }
}
