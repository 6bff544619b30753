import RecordingModel
import Synchronization
import SyncProtocol

/// What the node's energy allows on its links now.
package struct LinkEnergy: Hashable, Sendable {
    /// By which each link's own limits go (`Uplink.limits`); nil where energy is no question.
    package var state: PowerState?
    /// Footage that may be sent; a link's own configuration may allow less. Status and log always may, while the radio is on.
    package var classes: Set<TrafficClass>
    /// No contact is begun, and the one under way ends.
    package var isRadioOff: Bool
    /// Why less is sent than usual; one sentence, nil where energy is no question.
    package var reason: String?
    /// A node that has nothing to send calls this often; nil for one that stays in contact.
    package var callSeconds: Int?
    /// Over all links together, both directions, in a day of each link's own.
    package var dayBytesMax: Int64?

    package init(state: PowerState? = nil, classes: Set<TrafficClass> = Set(TrafficClass.allCases), isRadioOff: Bool = false, reason: String? = nil, callSeconds: Int? = nil, dayBytesMax: Int64? = nil) {
        self.state = state
        self.classes = classes
        self.isRadioOff = isRadioOff
        self.reason = reason
        self.callSeconds = callSeconds
        self.dayBytesMax = dayBytesMax
    }
}

/// The box from which sync takes it. Whoever decides over energy puts it in, and learns when the hub has been told.
package final class LinkEnergyBox: Sendable {
    private struct State {
        var energy: LinkEnergy
        /// Of what the node has to say: raised with each change that the hub should hear of.
        var news: UInt64 = 0
        var told: UInt64 = 0
        /// The hub should hear of it although the node would not call yet.
        var isUrgent = false
        var next = 0
        var changed: [Int: AsyncStream<Void>.Continuation] = [:]
        var answered: [Int: AsyncStream<Void>.Continuation] = [:]
    }
    private let state: Mutex<State>

    package init(_ energy: LinkEnergy = LinkEnergy()) { state = Mutex(State(energy: energy)) }

    package var energy: LinkEnergy { state.withLock { $0.energy } }

    /// - Parameters:
    ///   - isNews: the status has changed, so that a contact under way says hello again
    ///   - isUrgent: a contact is begun for it as well
    package func set(_ energy: LinkEnergy, isNews: Bool = false, isUrgent: Bool = false) {
        let listeners = state.withLock { state -> [AsyncStream<Void>.Continuation] in
            guard energy != state.energy || isNews || isUrgent else { return [] }
            state.energy = energy
            if isNews || isUrgent { state.news += 1 }
            if isUrgent { state.isUrgent = true }
            return Array(state.changed.values)
        }
        for listener in listeners { listener.yield() }
    }

    /// Waits until the hub has answered a hello that was made after the last `set`.
    /// - Returns: false when it had not within that time.
    package func told(withinMilliseconds milliseconds: Int64) async -> Bool {
        let answers = stream(\.answered)
        if isTold { return true }
        return await withTaskGroup(of: Bool.self) { group in
            group.addTask { [self] in
                for await _ in answers where isTold { return true }
                return false
            }
            group.addTask {
                try? await Task.sleep(for: .milliseconds(milliseconds))
                return false
            }
            defer { group.cancelAll() }
            return await group.next() ?? false
        }
    }

    private var isTold: Bool { state.withLock { $0.told >= $0.news } }

    // MARK: for sync

    var news: UInt64 { state.withLock { $0.news } }
    var isCallUrgent: Bool { state.withLock { $0.isUrgent && !$0.energy.isRadioOff } }

    /// The hub has answered a hello that said as much.
    func told(_ news: UInt64) {
        let listeners = state.withLock { state -> [AsyncStream<Void>.Continuation] in
            state.told = max(state.told, news)
            if state.told >= state.news { state.isUrgent = false }
            return Array(state.answered.values)
        }
        for listener in listeners { listener.yield() }
    }

    /// A new stream that yields after each change; several that nobody has looked at are one.
    func changes() -> AsyncStream<Void> { stream(\.changed) }

    private func stream(_ listeners: any WritableKeyPath<State, [Int: AsyncStream<Void>.Continuation]> & Sendable) -> AsyncStream<Void> {
        let (stream, continuation) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        let id = state.withLock { state in
            defer { state.next += 1 }
            state[keyPath: listeners][state.next] = continuation
            return state.next
        }
        continuation.onTermination = { [weak self] _ in self?.state.withLock { $0[keyPath: listeners][id] = nil } }
        return stream
    }
}

extension UplinkAllowance {
    /// What is left of it.
    func limited(by energy: LinkEnergy, usedTodayBytes: Int64) -> UplinkAllowance {
        guard isUsable else { return self }
        let reason = energy.reason ?? "to save energy"
        if energy.isRadioOff { return UplinkAllowance(isUsable: false, classes: [], reason: "the radio is off: \(reason)") }
        if let most = energy.dayBytesMax, usedTodayBytes >= most {
            return UplinkAllowance(isUsable: true, classes: [], reason: "today's \(most) bytes are used up, which is what energy allows; only status and log are sent")
        }
        let left = classes.intersection(energy.classes)
        return UplinkAllowance(isUsable: true, classes: left, reason: left == classes ? self.reason : "less is sent: \(reason)")
    }
}

extension SyncService {
    /// A node that calls only now and then: returns when a call is due. It is due when it is time, when there is something to send
    /// that may be sent, and when the hub should hear of something now.
    /// - Parameter endedMilliseconds: when the last contact ended that the hub answered; nil while the last attempt failed
    func callIsDue(after endedMilliseconds: Int64?) async throws {
        guard let box = contact.uplinks.energy else { return }
        while !Task.isCancelled {
            // Both before it is looked at: what happens in between is not missed.
            let (changed, sealed) = (box.changes(), changes())
            let energy = box.energy
            var wait: Int64 = Self.radioOffMilliseconds
            if !energy.isRadioOff {
                guard let seconds = energy.callSeconds, let ended = endedMilliseconds, !box.isCallUrgent else { return }
                wait = ended + Int64(seconds) * 1_000 - contact.nowMilliseconds()
                guard wait > 0, try await !hasWork() else { return }
            }
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { [wait] in try await Task.sleep(for: .milliseconds(wait)) }
                group.addTask { for await _ in changed { return } }
                if !energy.isRadioOff { group.addTask { for await _ in sealed { return } } }
                try await group.next()
                group.cancelAll()
            }
        }
        try Task.checkCancellation()
    }

    /// The pause after an attempt; what the hub should hear of at once ends it.
    func pause(_ milliseconds: Int64, _ sleep: @escaping @Sendable (_ milliseconds: Int64) async throws -> Void) async throws {
        guard let box = contact.uplinks.energy else { return try await sleep(milliseconds) }
        let changes = box.changes()
        if box.isCallUrgent { return try await sleep(min(milliseconds, Self.urgentMilliseconds)) }
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await sleep(milliseconds) }
            group.addTask { for await _ in changes where box.isCallUrgent { return } }
            try await group.next()
            group.cancelAll()
        }
    }

    /// Between two attempts to tell the hub something before the radio goes off.
    private static let urgentMilliseconds: Int64 = 1_000
    /// While the radio is off nothing but a change of it ends the wait; this only bounds a mistake.
    private static let radioOffMilliseconds: Int64 = 3_600_000

    /// By what a contact itself may send: footage that waits for hours or for tomorrow's budget is no reason to call.
    private func hasWork() async throws -> Bool {
        let uplinks = contact.uplinks
        let allowed = uplinks.links.reduce(into: Set<TrafficClass>()) { $0.formUnion(uplinks.allowance(of: $1).classes) }
        guard !allowed.isEmpty else { return false }
        return try await !contact.source.waiting(query(allowed)).isEmpty
    }
}
