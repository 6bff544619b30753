import Foundation
import TestSupport
import Testing

/// Real programs on which faults are brought down. One suite after another: they measure time.
@Suite(.serialized) enum Faults {
    /// `deploy/test --long`: exhaustive where the usual run takes a sample.
    static let isLong = ProcessInfo.processInfo.environment["FIELDPOST_LONG"] == "1"

    /// What a camera may lose to a kill beside the open group of pictures: half of what is promised for a power cut. What the
    /// kernel has taken stays; this is how far a recorder may lag behind its camera on a busy machine.
    static let lossToKillMilliseconds: Int64 = 2_500

    /// A seed or the number of a call, given to replay a failure.
    static func replayed(_ name: String) -> UInt64? {
        ProcessInfo.processInfo.environment[name].flatMap { UInt64($0) }
    }

    /// New ones in every run, or the one to be replayed.
    static func seeds(_ count: Int) -> [UInt64] {
        if let seed = replayed("FIELDPOST_FAULT_SEED") { return [seed] }
        return (0..<count).map { _ in .random(in: 1...999_999_999) }
    }

    /// Works on several items at a time: most of a recorder's life is waiting.
    static func inLanes<Item: Sendable>(_ lanes: Int, _ items: [Item], _ work: @escaping @Sendable (Item) async throws -> Void) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            var rest = items[...]
            for _ in 0..<lanes { if let item = rest.popFirst() { group.addTask { try await work(item) } } }
            while try await group.next() != nil {
                if let item = rest.popFirst() { group.addTask { try await work(item) } }
            }
        }
    }
}

/// Boot-clock milliseconds, the clock of the recorder's entries.
func bootMilliseconds() -> Int64 {
    var time = timespec()
    clock_gettime(CLOCK_BOOTTIME, &time)
    return Int64(time.tv_sec) * 1_000 + Int64(time.tv_nsec) / 1_000_000
}
