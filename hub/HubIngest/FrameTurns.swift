import Dispatch
import Synchronization

/// Lets so many pushes at a time have more than the beginning of a frame in memory. Thousands of nodes that come back in one
/// moment would otherwise each have half of one, though the hub can only take in a few at a time. First come, first served; whoever
/// waited for `waitMilliseconds` goes on without a turn, so that frames that never end hold nobody up for long.
///
/// A node sends frames of half a second of its link at most: so many turns let more bytes pass in a second than a hub with so many nodes takes in.
final class FrameTurns: Sendable {
    static let count = 512
    static let waitMilliseconds = 1_000

    private struct State {
        var free: Int
        var waiting: [UInt64: CheckedContinuation<Bool, Never>] = [:]
        /// Those that wait are between the two numbers, some gone already.
        var first: UInt64 = 0
        var next: UInt64 = 0
    }
    /// What a push may have of a frame without a turn: the whole frame of a slow link.
    let freeBytes: Int
    private let state: Mutex<State>
    private let queue = DispatchQueue(label: "fieldpost.ingest.turns")
    private let waitMilliseconds: Int

    init(count: Int = FrameTurns.count, waitMilliseconds: Int = FrameTurns.waitMilliseconds, freeBytes: Int = 16 << 10) {
        state = Mutex(State(free: count))
        self.freeBytes = freeBytes
        self.waitMilliseconds = waitMilliseconds
    }

    /// Waits for a turn.
    /// - Returns: false when none came in time: there is nothing to give back then.
    func take() async -> Bool {
        await withCheckedContinuation { continuation in
            let number = state.withLock { state -> UInt64? in
                guard state.free == 0 else {
                    state.free -= 1
                    return nil
                }
                defer { state.next += 1 }
                state.waiting[state.next] = continuation
                return state.next
            }
            guard let number else { return continuation.resume(returning: true) }
            queue.asyncAfter(deadline: .now() + .milliseconds(waitMilliseconds)) {
                self.state.withLock { $0.waiting.removeValue(forKey: number) }?.resume(returning: false)
            }
        }
    }

    /// The turn goes to whoever waits longest.
    func giveBack() {
        let waiting = state.withLock { state -> CheckedContinuation<Bool, Never>? in
            while state.first < state.next {
                defer { state.first += 1 }
                if let longest = state.waiting.removeValue(forKey: state.first) { return longest }
            }
            state.free += 1
            return nil
        }
        waiting?.resume(returning: true)
    }

    /// For tests.
    var waiting: Int { state.withLock { $0.waiting.count } }
}
