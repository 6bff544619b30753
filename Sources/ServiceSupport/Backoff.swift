/// How long to wait before the next attempt: exponential, with full jitter, so that many nodes that lost the same
/// hub do not come back in step. A pure value; the caller sleeps and brings the randomness.
package struct Backoff: Sendable, Hashable {
    /// The bound of the first wait; it doubles with every further one.
    package let first: Duration
    /// No wait is longer.
    package let longest: Duration
    /// No wait is shorter: a jitter of nothing would make a busy loop.
    package let shortest: Duration
    /// Waits handed out since the start or the last `reset()`.
    package private(set) var attempts = 0

    /// Bounds that contradict each other are brought in order: shortest ≤ first ≤ longest.
    package init(first: Duration = .seconds(1), longest: Duration = .seconds(60), shortest: Duration = .milliseconds(100)) {
        self.shortest = max(.zero, shortest)
        self.first = max(self.shortest, first)
        self.longest = max(self.first, longest)
    }

    /// The upper bound of the wait that `next` would draw now.
    package var bound: Duration {
        var bound = first
        // Stops at the cap, so that ten years of failures overflow nothing.
        for _ in 0..<attempts where bound < longest { bound = min(bound * 2, longest) }
        return min(bound, longest)
    }

    /// A wait, evenly drawn between `shortest` and the present bound.
    package mutating func next(using generator: inout some RandomNumberGenerator) -> Duration {
        let span = bound - shortest
        attempts = min(attempts + 1, 64)
        let nanoseconds = span.components.seconds * 1_000_000_000 + span.components.attoseconds / 1_000_000_000
        return shortest + .nanoseconds(Int64.random(in: 0...max(0, nanoseconds), using: &generator))
    }

    /// Call when an attempt has worked for long enough to be trusted.
    package mutating func reset() { attempts = 0 }
}
