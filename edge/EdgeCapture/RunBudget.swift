/// Bounds what one camera may make of the disk that it shares: each run is a file of its own, synced when it ends. A camera
/// whose timestamps or parameters change with every picture would have a file for each.
struct RunBudget {
    /// So many short runs within `windowNanoseconds` end the connection.
    static let limit = 6
    private static let shortNanoseconds: Int64 = 2_000_000_000
    private static let windowNanoseconds: Int64 = 60_000_000_000
    private var ends: [Int64] = []

    var isSpent: Bool { ends.count >= Self.limit }

    /// A run ended because of what the camera sent.
    mutating func runEnded(after nanoseconds: Int64, at now: Int64) {
        guard nanoseconds < Self.shortNanoseconds else { return }
        ends.removeAll { now - $0 > Self.windowNanoseconds }
        ends.append(now)
    }
}

/// After the disk refused a camera's footage, also on a later connection: no file is tried for 1 s, then for twice as long each time, up to 30 s.
final class StoragePause {
    private static let firstNanoseconds: Int64 = 1_000_000_000
    private static let lastNanoseconds: Int64 = 30_000_000_000
    private var pauseNanoseconds: Int64 = 0
    private(set) var untilNanoseconds: Int64 = 0

    func isOver(_ now: Int64) -> Bool { now >= untilNanoseconds }

    func failed(_ now: Int64) {
        // Half a minute of footage says that the disk was well.
        if now - untilNanoseconds > Self.lastNanoseconds { pauseNanoseconds = 0 }
        pauseNanoseconds = min(max(pauseNanoseconds * 2, Self.firstNanoseconds), Self.lastNanoseconds)
        untilNanoseconds = now + pauseNanoseconds
    }
}
