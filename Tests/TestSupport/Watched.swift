import Synchronization

public struct TestFailure: Error, CustomStringConvertible {
    public let description: String

    public init(_ description: String) {
        self.description = description
    }
}

/// A value that other threads change, and that a test can wait on: events instead of sleeps.
public final class Watched<Value: Sendable>: Sendable {
    private struct Waiter: Sendable {
        let isSatisfied: @Sendable (Value) -> Bool
        let continuation: CheckedContinuation<Void, Never>
    }

    private struct State: Sendable {
        var value: Value
        var waiters: [Int: Waiter] = [:]
        var nextWaiter = 0
        var cancelled: Set<Int> = []
    }

    private let state: Mutex<State>

    public init(_ value: Value) {
        state = Mutex(State(value: value))
    }

    public var value: Value {
        state.withLock { $0.value }
    }

    /// Changes the value and wakes those whose condition now holds.
    @discardableResult
    public func update<Result: Sendable>(_ change: @Sendable (inout Value) -> Result) -> Result {
        let (result, woken) = state.withLock { state in
            let result = change(&state.value)
            let value = state.value
            let woken = state.waiters.filter { $0.value.isSatisfied(value) }
            for id in woken.keys { state.waiters[id] = nil }
            return (result, woken.values.map(\.continuation))
        }
        for continuation in woken { continuation.resume() }
        return result
    }

    /// Waits until `find` gives something, and says what it waited for when that takes too long.
    @discardableResult
    public func wait<Found: Sendable>(
        for what: String, within limit: Duration, _ find: @escaping @Sendable (Value) throws -> Found?
    ) async throws -> Found {
        try await withThrowingTaskGroup(of: Found?.self) { group in
            group.addTask {
                while !Task.isCancelled {
                    if let found = try find(self.value) { return found }
                    await self.waitForChange { value in
                        do { return try find(value) != nil } catch { return true }
                    }
                }
                return nil
            }
            group.addTask {
                try await Task.sleep(for: limit)
                return nil
            }
            defer { group.cancelAll() }
            guard let first = try await group.next(), let found = first else {
                throw TestFailure("waited \(limit) in vain for \(what)")
            }
            return found
        }
    }

    private func waitForChange(_ isSatisfied: @escaping @Sendable (Value) -> Bool) async {
        let id = state.withLock { state in
            state.nextWaiter += 1
            return state.nextWaiter
        }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let resumesNow = state.withLock { state in
                    if state.cancelled.remove(id) != nil || isSatisfied(state.value) { return true }
                    state.waiters[id] = Waiter(isSatisfied: isSatisfied, continuation: continuation)
                    return false
                }
                if resumesNow { continuation.resume() }
            }
        } onCancel: {
            let waiter = state.withLock { state in
                let waiter = state.waiters.removeValue(forKey: id)
                if waiter == nil { state.cancelled.insert(id) }
                return waiter
            }
            waiter?.continuation.resume()
        }
    }
}

/// Asks again and again, for what no event can be had from: another process's files and answers.
public func eventually<Found: Sendable>(
    _ what: String, within limit: Duration, every pause: Duration = .milliseconds(250), _ find: () async throws -> Found?
) async throws -> Found {
    let deadline = ContinuousClock.now + limit
    while ContinuousClock.now < deadline {
        if let found = try await find() { return found }
        try await Task.sleep(for: pause)
    }
    throw TestFailure("waited \(limit) in vain for \(what)")
}
