import Synchronization
import SyncProtocol

/// Reads what the kernel knows of a connection, and ends one that is dead while the hub can be reached.
final class LinkMeter: Sendable {
    private struct State {
        var meter: DeliveryMeter
        /// Since when an answer is due, or the last one came while another is.
        var dueSinceMilliseconds: Int64?
        var note = ""
        var carriedBytes: UInt64 = 0
        /// Somebody waits for room.
        var isAwaited = false
    }
    private let state: Mutex<State>
    private let nowMilliseconds: @Sendable () -> Int64
    private let bytesPerSecondMax: Int64?
    private let carried: @Sendable (Int64) async -> Void
    private let contacts: ContactBook?
    /// A packet of 1,500 bytes carries 1,448 of the stream.
    private static let packetBytes: (whole: Int64, payload: Int64) = (1_500, 1_448)

    /// - Parameters:
    ///   - bytesPerSecond: what the last connection found; 0 when there was none
    ///   - bytesPerSecondMax: what the link is sent at most; nil for no bound
    ///   - contacts: told eight times a second what has arrived
    ///   - carried: told how many bytes have crossed the link since it was told last
    init(
        bytesPerSecond: Int64, bytesPerSecondMax: Int64? = nil, nowMilliseconds: @escaping @Sendable () -> Int64, contacts: ContactBook? = nil,
        carried: @escaping @Sendable (Int64) async -> Void = { _ in }
    ) {
        self.bytesPerSecondMax = bytesPerSecondMax
        self.carried = carried
        self.contacts = contacts
        state = Mutex(State(meter: DeliveryMeter(bytesPerSecond: bytesPerSecond)))
        self.nowMilliseconds = nowMilliseconds
    }

    /// Whether footage may follow. When not, the next tick that finds room says so.
    func hasRoom() -> Bool {
        state.withLock { state in
            state.isAwaited = !state.meter.hasRoom
            return !state.isAwaited
        }
    }

    var deliveredFrames: Int { state.withLock { $0.meter.deliveredFrames } }
    var pace: LinkPace { state.withLock { $0.meter.pace } }
    var bytesPerSecond: Int64 { state.withLock { $0.meter.bytesPerSecond } }
    /// Why the connection was ended from here; empty when it was not.
    var note: String { state.withLock { $0.note } }

    func answer(isDue: Bool) {
        let now = nowMilliseconds()
        state.withLock { $0.dueSinceMilliseconds = isDue ? $0.dueSinceMilliseconds ?? now : nil }
    }
    func answered() { state.withLock { $0.dueSinceMilliseconds = nil } }

    func wrote(_ connection: HubConnection) async {
        let reading = await connection.reading()
        let now = nowMilliseconds()
        state.withLock { $0.meter.wrote(reading, nowMilliseconds: now) }
        await tune(connection)
    }

    /// Tells the kernel what the link is known to bear.
    func tune(_ connection: HubConnection) async {
        let (rate, pace) = state.withLock { ($0.meter.pacingRate, $0.meter.pace) }
        await connection.tune(pacingRate: min(rate, bytesPerSecondMax ?? .max), unsentBytes: pace.unsentBytes)
    }

    private func stalledMilliseconds(_ connection: HubConnection) async -> Int64 {
        guard let reading = await connection.reading() else { return 0 }
        contacts?.moved(acknowledgedBytes: Int64(clamping: reading.acknowledgedBytes), isUnderWay: reading.outstandingBytes > 0)
        let now = nowMilliseconds()
        await count(reading)
        return state.withLock {
            $0.meter.read(reading, isAnswerDue: $0.dueSinceMilliseconds != nil, nowMilliseconds: now)
            return $0.meter.stalledMilliseconds
        }
    }

    /// Counts what has crossed since the last reading: at a contact's end.
    func settle(_ connection: HubConnection) async {
        if let reading = await connection.reading() { await count(reading) }
    }

    private func count(_ reading: TransportReading) async {
        let new = state.withLock { state in
            defer { state.carriedBytes = max(state.carriedBytes, reading.carriedBytes) }
            return Int64(clamping: reading.carriedBytes) - Int64(clamping: state.carriedBytes)
        }
        if new > 0 { await carried(new * Self.packetBytes.whole / Self.packetBytes.payload) }
    }

    /// Keeps the kernel's bounds up to date, and watches for silence. A silent connection is kept: the kernel knocks every
    /// second, and goes on at once when the link is back. Only when a new one could be made, and the old one is silent all
    /// the same, is it of no use any more: an address has changed.
    /// - Parameters:
    ///   - ticks: eight a second, so that what is learnt of a link of long round trips is used well within one
    ///   - onRoom: called when there is room again that somebody waits for
    func watch(
        _ connection: HubConnection, _ timeouts: SyncTimeouts, _ dial: @Sendable () async -> Bool, onRoom: @Sendable () -> Void, _ ticks: AsyncStream<Void>
    ) async {
        let limit = Int64(timeouts.stallSeconds) * 1_000
        var reachableSince: Int64?
        var renewed = nowMilliseconds()
        for await _ in ticks {
            let stalled = await stalledMilliseconds(connection)
            if state.withLock({ $0.isAwaited && $0.meter.hasRoom }) { onRoom() }
            let now = nowMilliseconds()
            // After an outage BBR's memory of the link is what it goes on with.
            if state.withLock({ $0.meter.isAfterOutage(now) }) { renewed = now }
            if now - renewed >= Self.renewalMilliseconds {
                renewed = now
                await connection.renewCongestionControl()
            }
            await tune(connection)
            guard stalled >= limit else {
                reachableSince = nil
                guard isOverdue(Int64(timeouts.answerSeconds) * 1_000) else { continue }
                return end(connection, "the hub did not answer within \(timeouts.answerSeconds) s")
            }
            // What the link takes away counts for the hub.
            state.withLock { if $0.dueSinceMilliseconds != nil { $0.dueSinceMilliseconds = nowMilliseconds() } }
            if reachableSince == nil, await dial() { reachableSince = nowMilliseconds() }
            guard let since = reachableSince, nowMilliseconds() - since >= Int64(timeouts.reviveSeconds) * 1_000 else { continue }
            return end(connection, "the hub answers, but not on this connection; the address may have changed")
        }
    }

    private func isOverdue(_ milliseconds: Int64) -> Bool {
        let now = nowMilliseconds()
        return state.withLock { $0.dueSinceMilliseconds.map { now - $0 >= milliseconds } ?? false }
    }

    private func end(_ connection: HubConnection, _ note: String) {
        state.withLock { $0.note = note }
        connection.close()
    }

    static let ticksPerSecond = 8
    /// Before BBR's own 10 s are over.
    private static let renewalMilliseconds: Int64 = 8_000
}
