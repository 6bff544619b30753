import Synchronization

/// What energy allows one camera, from least to most.
package enum CapturePower: Hashable, Sendable {
    /// Not connected.
    case off
    /// Connected and recorded for so long at a time, on average once in `everyMilliseconds`, at times that nobody outside can know.
    case sparse(recordMilliseconds: Int64, everyMilliseconds: Int64)
    case keyFrames
    case full
}

/// One camera's box: whoever decides over energy puts in what the camera may do, its thread looks within half a second.
package final class PowerGate: Sendable {
    struct Order: Hashable, Sendable {
        var power: CapturePower
        var reason: String
    }
    private let state: Mutex<Order>

    package init(_ power: CapturePower = .full, reason: String = "") { state = Mutex(Order(power: power, reason: reason)) }

    /// - Parameter reason: one sentence, for the gap that it makes; without secrets.
    package func set(_ power: CapturePower, reason: String) { state.withLock { $0 = Order(power: power, reason: reason) } }

    var order: Order { state.withLock { $0 } }
}

/// When a sparse camera is recorded: once in each period, at a moment that is drawn when the period begins.
struct SparseTimes {
    private let recordMilliseconds: Int64
    private let everyMilliseconds: Int64
    private var periodEnd: Int64
    private var window: Range<Int64>

    init(recordMilliseconds: Int64, everyMilliseconds: Int64, from now: Int64, using generator: inout some RandomNumberGenerator) {
        self.recordMilliseconds = max(1_000, recordMilliseconds)
        self.everyMilliseconds = max(self.recordMilliseconds, everyMilliseconds)
        (periodEnd, window) = (now, now..<now)
        begin(at: now, &generator)
    }

    mutating func isDue(at now: Int64, using generator: inout some RandomNumberGenerator) -> Bool {
        // A thread that was held up for long begins anew, and makes up for nothing.
        if now >= periodEnd { begin(at: now - periodEnd < everyMilliseconds ? periodEnd : now, &generator) }
        return window.contains(now)
    }

    private mutating func begin(at start: Int64, _ generator: inout some RandomNumberGenerator) {
        periodEnd = start + everyMilliseconds
        let first = start + Int64.random(in: 0...(everyMilliseconds - recordMilliseconds), using: &generator)
        window = first..<(first + recordMilliseconds)
    }
}

/// What its box says of a camera now, on the camera's thread.
final class PowerWatch {
    private let gate: PowerGate?
    private let isSubStream: Bool
    private var randomness: any RandomNumberGenerator & Sendable
    private var order = PowerGate.Order(power: .full, reason: "")
    private var sparse: SparseTimes?
    /// Why the camera may not be connected now; nil while it may.
    private(set) var closedDetail: String?

    /// - Parameters:
    ///   - isSubStream: what is recorded is small. It stays whole where the main stream is reduced to its key frames, and rests
    ///     where that is recorded now and then: the camera must not be woken twice.
    ///   - randomness: the system's, so that nobody can foretell when a sparse camera is recorded.
    init(_ gate: PowerGate?, isSubStream: Bool = false, randomness: any RandomNumberGenerator & Sendable) {
        self.gate = gate
        self.isSubStream = isSubStream
        self.randomness = randomness
    }

    /// Only key frames are to be recorded.
    var isKeyFramesOnly: Bool { order.power == .keyFrames && !isSubStream }

    /// To be called with every packet, and twice a second while none comes.
    func look(_ nowMilliseconds: Int64) {
        guard let gate else { return }
        let new = gate.order
        if new.power != order.power { sparse = nil }
        order = new
        switch order.power {
        case .off: closedDetail = "the camera is off to save energy\(suffix)"
        case .keyFrames, .full: closedDetail = nil
        case .sparse where isSubStream: closedDetail = "to save energy only the main stream is recorded, now and then\(suffix)"
        case .sparse(let record, let every):
            var generator = AnyGenerator(randomness)
            var times = sparse ?? SparseTimes(recordMilliseconds: record, everyMilliseconds: every, from: nowMilliseconds, using: &generator)
            let isDue = times.isDue(at: nowMilliseconds, using: &generator)
            (sparse, randomness) = (times, generator.base)
            closedDetail = isDue ? nil : "to save energy the camera records \(record / 1_000) s in \(every / 1_000) s, at times chosen by chance\(suffix)"
        }
    }

    private var suffix: String { order.reason.isEmpty ? "" : ": \(order.reason)" }
}

private struct AnyGenerator: RandomNumberGenerator {
    var base: any RandomNumberGenerator & Sendable
    init(_ base: any RandomNumberGenerator & Sendable) { self.base = base }
    mutating func next() -> UInt64 { base.next() }
}
