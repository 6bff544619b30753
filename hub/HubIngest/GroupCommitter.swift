import Dispatch
import HubStore
import Metrics
import Synchronization

/// Writes groups, one at a time, on a thread of its own: one sync and one transaction serve many nodes. While a group is
/// written the next one gathers.
final class GroupCommitter: Sendable {
    private struct Item {
        var work: CommitItem
        var ticket: CommitTicket
    }
    private struct State {
        var group = CommitGroup<Item>()
        var isWriting = false
        var isTimerSet = false
    }
    private let store: HubStore
    private let state = Mutex(State())
    private let queue = DispatchQueue(label: "fieldpost.ingest.commit", qos: .userInitiated)
    private let nowMilliseconds: @Sendable () -> Int64
    private let segmentsTotal = Counter(label: "fieldpost_ingest_segments_total")
    private let entriesTotal = Counter(label: "fieldpost_ingest_entries_total")
    private let groupsTotal = Counter(label: "fieldpost_ingest_groups_total")

    init(store: HubStore, nowMilliseconds: @escaping @Sendable () -> Int64 = GroupCommitter.monotonicMilliseconds) {
        self.store = store
        self.nowMilliseconds = nowMilliseconds
    }

    static func monotonicMilliseconds() -> Int64 { Int64(DispatchTime.now().uptimeNanoseconds / 1_000_000) }

    /// Whether whoever brings more must wait first.
    var isFull: Bool { state.withLock { $0.group.isFull } }

    func pushBegan() { state.withLock { $0.group.pushBegan() } }

    func pushEnded() {
        state.withLock { $0.group.pushEnded() }
        schedule()
    }

    func add(_ work: CommitItem, _ ticket: CommitTicket) {
        ticket.added()
        state.withLock { $0.group.add(Item(work: work, ticket: ticket), bytes: work.bytes, nowMilliseconds: nowMilliseconds()) }
        schedule()
    }

    /// Waits until all that was added with this ticket is durable or has failed.
    /// - Throws: the first failure.
    func settled(_ ticket: CommitTicket) async throws {
        state.withLock { $0.group.waitBegan() }
        schedule()
        await ticket.wait()
        state.withLock { $0.group.waitEnded() }
        try ticket.result()
    }

    /// Writes what waits now, on the caller's thread.
    func writeNow() {
        let items = state.withLock { $0.group.take() }
        guard !items.isEmpty else { return }
        let failures = store.write(items.map(\.work))
        var (segmentCount, entryCount) = (0, 0)
        for (item, failure) in zip(items, failures) {
            guard failure == nil else { continue }
            switch item.work {
            case .segment: segmentCount += 1
            case .entries(_, let entries, _, _): entryCount += entries.count
            case .heard: break
            }
        }
        segmentsTotal.increment(by: segmentCount)
        entriesTotal.increment(by: entryCount)
        groupsTotal.increment()
        // Whoever hears of it finds it counted.
        for (item, failure) in zip(items, failures) { item.ticket.finished(failure) }
    }

    private func schedule() {
        state.withLock { state in
            guard !state.isWriting, let milliseconds = state.group.dueInMilliseconds(nowMilliseconds: nowMilliseconds()) else { return }
            if milliseconds == 0 {
                state.isWriting = true
                queue.async {
                    self.writeNow()
                    self.state.withLock { $0.isWriting = false }
                    self.schedule()
                }
            } else if !state.isTimerSet {
                state.isTimerSet = true
                queue.asyncAfter(deadline: .now() + .milliseconds(Int(milliseconds))) {
                    self.state.withLock { $0.isTimerSet = false }
                    self.schedule()
                }
            }
        }
    }
}

/// What one push has given to be written: how much of it is still under way, and the first failure.
final class CommitTicket: Sendable {
    private struct State {
        var pending = 0
        var failure: (any Error)?
        var waiter: CheckedContinuation<Void, Never>?
    }
    private let state = Mutex(State())

    func added() { state.withLock { $0.pending += 1 } }

    func finished(_ failure: (any Error)?) {
        let waiter = state.withLock { state -> CheckedContinuation<Void, Never>? in
            state.pending -= 1
            state.failure = state.failure ?? failure
            guard state.pending == 0 else { return nil }
            defer { state.waiter = nil }
            return state.waiter
        }
        waiter?.resume()
    }

    /// One waiter at a time: the push itself.
    func wait() async {
        await withCheckedContinuation { continuation in
            let isDone = state.withLock { state in
                if state.pending > 0 { state.waiter = continuation }
                return state.pending == 0
            }
            if isDone { continuation.resume() }
        }
    }

    /// - Throws: the first failure.
    func result() throws {
        if let failure = state.withLock({ $0.failure }) { throw failure }
    }
}
