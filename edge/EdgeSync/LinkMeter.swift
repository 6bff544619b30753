import Synchronization
import SyncProtocol

/// Reads what the kernel knows of a connection, and ends one that is dead while the hub can be reached.
final class LinkMeter: Sendable {
    private struct State {
        var meter = DeliveryMeter()
        var isAnswerDue = false
        var note = ""
    }
    private let state = Mutex(State())
    private let nowMilliseconds: @Sendable () -> Int64

    init(nowMilliseconds: @escaping @Sendable () -> Int64) { self.nowMilliseconds = nowMilliseconds }

    var deliveredFrames: Int { state.withLock { $0.meter.deliveredFrames } }
    var pace: LinkPace { state.withLock { LinkPace(bytesPerSecond: $0.meter.bytesPerSecond) } }
    var meter: DeliveryMeter { state.withLock { $0.meter } }
    /// Why the connection was ended from here; empty when it was not.
    var note: String { state.withLock { $0.note } }
    func answerIsDue(_ isDue: Bool) { state.withLock { $0.isAnswerDue = isDue } }

    func wrote(_ connection: HubConnection) async {
        let reading = await connection.reading()
        let now = nowMilliseconds()
        state.withLock { $0.meter.wrote(reading, nowMilliseconds: now) }
    }

    private func stalledMilliseconds(_ connection: HubConnection) async -> Int64 {
        guard let reading = await connection.reading() else { return 0 }
        let now = nowMilliseconds()
        return state.withLock {
            $0.meter.read(reading, isAnswerDue: $0.isAnswerDue, nowMilliseconds: now)
            return $0.meter.stalledMilliseconds
        }
    }

    /// A silent connection is kept: the kernel knocks every second, and goes on at once when the link is back. Only when
    /// a new one could be made, and the old one is silent all the same, is it of no use any more: an address has changed.
    /// - Parameter ticks: one a second
    func watch(_ connection: HubConnection, _ ticks: AsyncStream<Void>, _ timeouts: SyncTimeouts, _ dial: @Sendable () async -> Bool) async {
        let limit = Int64(timeouts.stallSeconds) * 1_000
        var secondsReachable = 0
        for await _ in ticks {
            guard await stalledMilliseconds(connection) >= limit else {
                secondsReachable = 0
                continue
            }
            if secondsReachable == 0 {
                secondsReachable = await dial() ? 1 : 0
            } else {
                secondsReachable += 1
            }
            guard secondsReachable > timeouts.reviveSeconds else { continue }
            state.withLock { $0.note = "the hub answers, but not on this connection; the address may have changed" }
            connection.close()
            return
        }
    }
}
