import Dispatch
import Synchronization

/// Lets so many pushes at a time have more than the beginning of a frame in memory. Thousands of nodes that come back in one
/// moment would otherwise each have half of one, though the hub can only take in a few at a time. First come, first served.
///
/// A node sends frames of half a second of its link at most, and a turn lasts a second, and then as long as the hub needs for a frame
/// that is whole: frames that never end hold nobody up, and with `IngestLimits.connections` all waiting the last one waits six seconds.
final class FrameTurns: Sendable {
    static let count = 512
    static let lastMilliseconds = 1_000

    typealias Turn = UInt64
    private struct State {
        var free: Int
        var held: Set<Turn> = []
        /// Of those, whose time runs.
        var timed: Set<Turn> = []
        var waiting: [Turn: @Sendable (Turn) -> Void] = [:]
        /// Those that wait are between the two numbers.
        var first: Turn = 0
        var next: Turn = 0

        mutating func hold(_ turn: Turn) {
            held.insert(turn)
            timed.insert(turn)
        }
    }
    /// What a push may have of a frame without a turn: the whole frame of a slow link.
    let freeBytes: Int
    private let state: Mutex<State>
    /// Calls back when a turn's time is over.
    private let later: @Sendable (_ isOver: @escaping @Sendable () -> Void) -> Void

    init(count: Int = FrameTurns.count, freeBytes: Int = 16 << 10, later: @escaping @Sendable (_ isOver: @escaping @Sendable () -> Void) -> Void = FrameTurns.afterItsTime()) {
        state = Mutex(State(free: count))
        self.freeBytes = freeBytes
        self.later = later
    }

    static func afterItsTime() -> @Sendable (@escaping @Sendable () -> Void) -> Void {
        let queue = DispatchQueue(label: "fieldpost.ingest.turns")
        return { isOver in queue.asyncAfter(deadline: .now() + .milliseconds(lastMilliseconds), execute: isOver) }
    }

    /// Waits for a turn.
    func take() async -> Turn {
        await withCheckedContinuation { continuation in take { continuation.resume(returning: $0) } }
    }

    /// - Parameter taken: called once, here or wherever a turn is given back; its time runs from then on
    func take(_ taken: @escaping @Sendable (Turn) -> Void) {
        let turn = state.withLock { state -> Turn? in
            let turn = state.next
            state.next += 1
            guard state.free > 0 else {
                state.waiting[turn] = taken
                return nil
            }
            state.free -= 1
            state.first = state.next
            state.hold(turn)
            return turn
        }
        if let turn { begin(turn, taken) }
    }

    private func begin(_ turn: Turn, _ taken: @Sendable (Turn) -> Void) {
        taken(turn)
        later { self.isOver(turn) }
    }

    /// The frame is whole: what is still to wait for is the hub's own disk.
    func stopTime(_ turn: Turn) { state.withLock { _ = $0.timed.remove(turn) } }

    private func isOver(_ turn: Turn) {
        if state.withLock({ $0.timed.contains(turn) }) { giveBack(turn) }
    }

    /// The turn goes to whoever waits longest. Nothing happens to one that is over already.
    func giveBack(_ turn: Turn) {
        let next = state.withLock { state -> (turn: Turn, taken: @Sendable (Turn) -> Void)? in
            guard state.held.remove(turn) != nil else { return nil }
            state.timed.remove(turn)
            while state.first < state.next {
                defer { state.first += 1 }
                guard let taken = state.waiting.removeValue(forKey: state.first) else { continue }
                state.hold(state.first)
                return (state.first, taken)
            }
            state.free += 1
            return nil
        }
        if let next { begin(next.turn, next.taken) }
    }

    /// For tests.
    var waiting: Int { state.withLock { $0.waiting.count } }
}
