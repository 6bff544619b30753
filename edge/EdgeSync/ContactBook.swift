import FoundationEssentials
import RecordingModel
import Synchronization

/// The contacts of the last 7 days as a value that can be kept: the newest one by one, older ones added up by the hour,
/// so that there are never more than `recordsMax`.
package struct ContactHistory: Hashable, Sendable, Codable {
    /// Kept one by one.
    package static let newestMax = 64
    /// With an hour's sum each for a week.
    package static let recordsMax = newestMax + 7 * 24 + 1
    private static let keptMilliseconds: Int64 = 7 * 86_400_000
    private static let hourMilliseconds: Int64 = 3_600_000
    /// The wall clock was set, and did not only drift.
    private static let stepMilliseconds: Int64 = 2_000

    private struct Entry: Hashable, Sendable, Codable {
        var record: ContactRecord
        /// Its times follow this boot's clock when that is put right.
        var isOfThisBoot: Bool
    }
    private struct Running: Hashable, Sendable {
        var startBootMilliseconds: Int64
        var lastBootMilliseconds: Int64
        var busyMilliseconds: Int64 = 0
        var acknowledgedBytes: Int64 = 0
        /// What the connection's kernel counted last.
        var counter: Int64?
        var isUnderWay = false
    }

    private var entries: [Entry] = []
    private var observedSinceUnixMilliseconds: Int64
    private var isObservedSinceThisBoot = true
    private var bootID: String
    /// Wall minus boot clock, as it was last.
    private var offsetMilliseconds: Int64
    package private(set) var duplicateBytes: Int64 = 0
    package private(set) var resentBytes: Int64 = 0
    private var running: Running?

    private enum CodingKeys: String, CodingKey {
        case entries, observedSinceUnixMilliseconds, isObservedSinceThisBoot, bootID, offsetMilliseconds, duplicateBytes, resentBytes
    }

    package init(bootID: String, now: Moment) {
        self.bootID = bootID
        offsetMilliseconds = now.wall.unixMilliseconds - now.bootMilliseconds
        observedSinceUnixMilliseconds = now.wall.unixMilliseconds
    }

    /// Goes on with what an earlier process kept.
    package mutating func resume(bootID: String, now: Moment) {
        if bootID != self.bootID {
            for index in entries.indices { entries[index].isOfThisBoot = false }
            isObservedSinceThisBoot = false
            self.bootID = bootID
            offsetMilliseconds = now.wall.unixMilliseconds - now.bootMilliseconds
        }
        follow(now)
    }

    package mutating func began(_ now: Moment) {
        if running != nil { ended(now) }
        follow(now)
        running = Running(startBootMilliseconds: now.bootMilliseconds, lastBootMilliseconds: now.bootMilliseconds)
    }

    /// - Parameter acknowledgedBytes: since the connection began.
    package mutating func moved(acknowledgedBytes: Int64, isUnderWay: Bool, _ now: Moment) {
        guard var contact = running else { return }
        let passed = max(0, now.bootMilliseconds - contact.lastBootMilliseconds)
        let new = max(0, acknowledgedBytes - (contact.counter ?? acknowledgedBytes))
        if contact.isUnderWay || new > 0 { contact.busyMilliseconds += passed }
        contact.acknowledgedBytes += new
        (contact.counter, contact.isUnderWay, contact.lastBootMilliseconds) = (acknowledgedBytes, isUnderWay, now.bootMilliseconds)
        running = contact
        follow(now)
    }

    package mutating func ended(_ now: Moment) {
        follow(now)
        guard let contact = running else { return }
        running = nil
        entries.append(Entry(record: record(contact, until: now), isOfThisBoot: true))
        shorten(now)
    }

    package mutating func sentInVain(duplicateBytes: Int64 = 0, resentBytes: Int64 = 0) {
        self.duplicateBytes += duplicateBytes
        self.resentBytes += resentBytes
    }

    /// With the one that is going on.
    package func records(_ now: Moment) -> [ContactRecord] { entries.map(\.record) + (running.map { [record($0, until: now)] } ?? []) }
    package func observedSince(_ now: Moment) -> Int64 { min(observedSinceUnixMilliseconds, now.wall.unixMilliseconds) }

    private func record(_ contact: Running, until now: Moment) -> ContactRecord {
        let offset = now.wall.unixMilliseconds - now.bootMilliseconds
        return ContactRecord(
            startUnixMilliseconds: contact.startBootMilliseconds + offset, endUnixMilliseconds: now.wall.unixMilliseconds,
            connectedMilliseconds: max(0, now.bootMilliseconds - contact.startBootMilliseconds), busyMilliseconds: contact.busyMilliseconds,
            acknowledgedBytes: contact.acknowledgedBytes)
    }

    /// Where the wall clock was set, what this boot has noted moves with it.
    private mutating func follow(_ now: Moment) {
        let offset = now.wall.unixMilliseconds - now.bootMilliseconds
        let step = offset - offsetMilliseconds
        guard abs(step) >= Self.stepMilliseconds else { return }
        offsetMilliseconds = offset
        for index in entries.indices where entries[index].isOfThisBoot {
            entries[index].record.startUnixMilliseconds += step
            entries[index].record.endUnixMilliseconds += step
        }
        if isObservedSinceThisBoot { observedSinceUnixMilliseconds += step }
    }

    /// Adds up older contacts by the hour, and drops those of more than a week ago where the clock says so.
    private mutating func shorten(_ now: Moment) {
        if now.wall.source > .none {
            entries.removeAll { $0.record.endUnixMilliseconds < now.wall.unixMilliseconds - Self.keptMilliseconds }
            observedSinceUnixMilliseconds = max(observedSinceUnixMilliseconds, now.wall.unixMilliseconds - Self.keptMilliseconds)
        }
        var index = 0
        while index + 1 < entries.count - Self.newestMax {
            let (first, second) = (entries[index], entries[index + 1])
            let isSameHour = first.record.startUnixMilliseconds / Self.hourMilliseconds == second.record.startUnixMilliseconds / Self.hourMilliseconds
            guard first.isOfThisBoot == second.isOfThisBoot, isSameHour else {
                index += 1
                continue
            }
            entries[index].record.endUnixMilliseconds = second.record.endUnixMilliseconds
            entries[index].record.connectedMilliseconds += second.record.connectedMilliseconds
            entries[index].record.busyMilliseconds += second.record.busyMilliseconds
            entries[index].record.acknowledgedBytes += second.record.acknowledgedBytes
            entries.remove(at: index + 1)
        }
        if entries.count > Self.recordsMax { entries.removeFirst(entries.count - Self.recordsMax) }
    }
}

/// Notes the contacts of a running node. Thread-safe; keeping it on disk is the composition root's work.
package final class ContactBook: Sendable {
    /// What is not kept yet may be lost in a power cut.
    package static let keepMilliseconds: Int64 = 600_000
    /// Segments of which it is known how much was sent; of an older one a repetition is not noticed.
    static let sentMax = 256

    private struct State {
        var history: ContactHistory
        var isChanged = false
        var keptBootMilliseconds: Int64
        var sent: [SegmentID: Int64] = [:]
        var sentOrder: [SegmentID] = []
    }
    private let state: Mutex<State>
    private let now: @Sendable () -> Moment

    /// - Parameter kept: what `encoded` gave an earlier process; what cannot be read is forgotten.
    package init(bootID: String, kept: [UInt8]? = nil, now: @escaping @Sendable () -> Moment) {
        self.now = now
        let present = now()
        var history = kept.flatMap { try? JSONDecoder().decode(ContactHistory.self, from: Data($0)) } ?? ContactHistory(bootID: bootID, now: present)
        history.resume(bootID: bootID, now: present)
        state = Mutex(State(history: history, keptBootMilliseconds: present.bootMilliseconds))
    }

    package var history: ContactHistory { state.withLock { $0.history } }

    /// What to keep now; nil while there is nothing new, or something was kept within ten minutes.
    package func dueForKeeping(isLast: Bool = false) throws -> [UInt8]? {
        let present = now()
        let history = state.withLock { state -> ContactHistory? in
            guard state.isChanged, isLast || present.bootMilliseconds - state.keptBootMilliseconds >= Self.keepMilliseconds else { return nil }
            state.isChanged = false
            state.keptBootMilliseconds = present.bootMilliseconds
            // The one that is going on counts so far as it has gone.
            var history = state.history
            history.ended(present)
            return history
        }
        return try history.map { Array(try JSONEncoder().encode($0)) }
    }

    func progressed(from before: SyncProgress, to after: SyncProgress) {
        guard before.isConnected != after.isConnected || before.duplicateBytes != after.duplicateBytes else { return }
        let present = now()
        state.withLock { state in
            if after.isConnected, !before.isConnected { state.history.began(present) }
            if before.isConnected, !after.isConnected { state.history.ended(present) }
            state.history.sentInVain(duplicateBytes: after.duplicateBytes - before.duplicateBytes)
            state.isChanged = true
        }
    }

    func moved(acknowledgedBytes: Int64, isUnderWay: Bool) {
        let present = now()
        state.withLock { state in
            state.history.moved(acknowledgedBytes: acknowledgedBytes, isUnderWay: isUnderWay, present)
            state.isChanged = true
        }
    }

    /// A piece of a segment was handed to the link; what lies before the farthest that went already is sent again.
    func sent(_ segment: SegmentID, offset: Int64, count: Int) {
        state.withLock { state in
            let end = offset + Int64(count)
            guard let farthest = state.sent[segment] else {
                if state.sentOrder.count >= Self.sentMax { state.sent[state.sentOrder.removeFirst()] = nil }
                state.sentOrder.append(segment)
                return state.sent[segment] = end
            }
            state.history.sentInVain(resentBytes: max(0, min(end, farthest) - offset))
            state.sent[segment] = max(farthest, end)
        }
    }
}
