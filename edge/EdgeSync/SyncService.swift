import EvidenceLog
import Logging
import NodeIdentity
import RecordingModel
import Synchronization
import SyncProtocol

/// Keeps the node in contact with its hub: one contact after another, with a growing pause between failures.
package final class SyncService: Sendable {
    let contact: SyncContact
    private let identity: IdentityKey
    let changes: @Sendable () -> AsyncStream<Void>

    /// - Parameters:
    ///   - changes: a new stream of "something was sealed" for each contact
    ///   - nowMilliseconds: the boot clock, or any that only rises
    ///   - statement: the newest one that was kept
    ///   - hubTime: told the hub's clock at each hello
    ///   - uplinks: the ways to the hub; nil for whatever the routes say
    ///   - contacts: where contacts are noted
    ///   - dictionaries: what this program may compress with
    package init(
        endpoint: HubEndpoint, identity: IdentityKey, source: any SyncSource, sessions: SessionCounter, timeouts: SyncTimeouts = SyncTimeouts(),
        limits: NodeSyncMachine.Limits = .init(), uplinks: Uplinks? = nil, statement: SignedStatement? = nil, changes: @escaping @Sendable () -> AsyncStream<Void>,
        nowMilliseconds: @escaping @Sendable () -> Int64, hubTime: @escaping @Sendable (HubTime) -> Void = { _ in }, contacts: ContactBook? = nil, dictionaries: SharedDictionaries = .shipped, logger: Logger
    ) throws {
        guard let hubKey = NoteKey(text: endpoint.hubKey) else { throw SyncFault.foreignStatement }
        machine = Mutex(NodeSyncMachine(hub: endpoint.hub, hubKey: hubKey, node: identity.nodeID, log: source.log, limits: limits, statement: statement, dictionaries: dictionaries))
        self.identity = identity
        self.changes = changes
        let box = ProgressBox(contacts)
        progressBox = box
        contact = SyncContact(
            endpoint: endpoint, node: identity.nodeID, source: source, sessions: sessions, timeouts: timeouts, limits: limits,
            nowMilliseconds: nowMilliseconds, progress: { box.update($0) }, hubTime: hubTime,
            uplinks: uplinks ?? Uplinks(wall: { WallEstimate(unixMilliseconds: 0, source: .none, uncertaintyMilliseconds: 0) }, nowMilliseconds: nowMilliseconds),
            contacts: contacts, logger: logger)
    }

    private let progressBox: ProgressBox
    /// What is known of the hub from one contact to the next. One contact at a time has it.
    private let machine: Mutex<NodeSyncMachine>
    /// What the last contact over each link found it to carry, in bytes a second.
    private let rates = Mutex<[String: Int64]>([:])

    /// What is wanted next, one segment of it.
    func query(_ classes: Set<TrafficClass>) -> WorkQuery {
        machine.withLock { machine in
            var query = WorkQuery(limit: 1)
            query.pulled = machine.wants.pulls
            query.excluded = machine.excludedSegments
            query.presumed = machine.presumed
            query.classes = classes
            return query
        }
    }

    package var progress: SyncProgress {
        var progress = progressBox.value
        progress.linkUsage = contact.uplinks.usage
        return progress
    }

    /// One contact that ends when the hub's statement covers everything sealed before it.
    package func syncOnce() async throws { try await connect(.untilCaughtUp) }

    /// Contact after contact until cancelled.
    /// - Parameter sleep: waits before the next attempt, and ends early when there is a reason to hope.
    package func run(plan: DialPlan = DialPlan(), sleep: @escaping @Sendable (_ milliseconds: Int64) async throws -> Void) async {
        var generator = SystemRandomNumberGenerator()
        var failures = 0
        var lastContact = contact.nowMilliseconds()
        var ended: Int64?
        while !Task.isCancelled {
            do { try await callIsDue(after: ended) } catch { return }
            let began = contact.nowMilliseconds()
            let contacts = progressBox.value.contacts
            do {
                try await connect(.stay)
                failures = 0
            } catch {
                if Task.isCancelled { return }
                // A contact that said hello was a success, whatever ended it, but for the hub's own word.
                let isRefused = if case SyncError.refused = error { true } else { false }
                failures = progressBox.value.contacts > contacts && !isRefused ? 0 : failures + 1
                let text = "\(error)"
                progressBox.update { $0.lastError = text }
                contact.logger.warning("contact ended", metadata: ["reason": "\(text)", "failures": "\(failures)"])
            }
            let now = contact.nowMilliseconds()
            if failures == 0 { lastContact = now }
            ended = failures == 0 ? now : nil
            var pause = plan.pauseMilliseconds(failures: failures, quietMilliseconds: now - lastContact, attemptMilliseconds: now - began, using: &generator)
            // A link that is away is not dialled for all day by a node that would call once an hour.
            if failures > 0, let seconds = contact.uplinks.energy?.energy.callSeconds { pause = max(pause, Int64(seconds) * 100) }
            do { try await self.pause(pause, sleep) } catch { return }
        }
    }

    private func connect(_ mode: SyncContact.Mode) async throws {
        let contact = contact
        let changes = changes()
        let choice = contact.uplinks.choose()
        progressBox.update { $0.link = choice.link?.name ?? $0.link; $0.linkReason = choice.reason }
        guard let link = choice.link else { throw SyncError.linkClosed(choice.reason ?? "no link may be used") }
        let contacts = progressBox.value.contacts
        let ended: Result<Void, any Error>
        do { ended = .success(try await connect(mode, over: link, changes)) } catch { ended = .failure(error) }
        if progressBox.value.contacts > contacts { contact.uplinks.succeeded(link) } else { contact.uplinks.failed(link) }
        await contact.uplinks.settle()
        try ended.get()
    }

    private func connect(_ mode: SyncContact.Mode, over link: Uplink, _ changes: AsyncStream<Void>) async throws {
        let contact = contact
        let (endpoint, timeouts) = (contact.endpoint, contact.timeouts)
        try await HubConnection.with(
            host: endpoint.host, port: endpoint.port, pin: endpoint.hub.keyHash, identity: identity, timeouts: timeouts, device: link.device
        ) { [self] connection in
            var known = machine.withLock { $0 }
            let meter = LinkMeter(
                bytesPerSecond: rates.withLock { $0[link.name] } ?? 0, bytesPerSecondMax: link.bytesPerSecondMax, nowMilliseconds: contact.nowMilliseconds,
                contacts: contact.contacts, carried: { await contact.uplinks.add($0, to: link) })
            defer {
                known.disconnected()
                machine.withLock { $0 = known }
                progressBox.update {
                    $0.isConnected = false
                    $0.linkBytesPerSecond = meter.bytesPerSecond
                }
                rates.withLock { $0[link.name] = meter.bytesPerSecond }
            }
            let ended: Result<Void, any Error>
            do {
                try await contact.run(
                    on: connection, over: link, &known, meter: meter, mode: mode,
                    dial: { await HubConnection.isReachable(host: endpoint.host, port: endpoint.port, device: link.device, seconds: timeouts.connectSeconds) }, changes: changes)
                ended = .success(())
            } catch {
                ended = .failure(error)
            }
            await meter.settle(connection)
            try ended.get()
        }
    }
}

private final class ProgressBox: Sendable {
    private let state = Mutex(SyncProgress())
    private let contacts: ContactBook?
    init(_ contacts: ContactBook?) { self.contacts = contacts }
    var value: SyncProgress { state.withLock { $0 } }
    func update(_ change: @Sendable (inout SyncProgress) -> Void) {
        let (before, after) = state.withLock { state in
            let before = state
            change(&state)
            return (before, state)
        }
        contacts?.progressed(from: before, to: after)
    }
}

/// Joins a hub with a token: the hub's key is compared in the handshake, before the secret is sent.
package func enrol(with token: JoinToken, identity: IdentityKey, timeouts: SyncTimeouts = SyncTimeouts()) async throws -> HubEndpoint {
    try await HubConnection.with(host: token.host, port: token.port, pin: token.hubKeyHash, identity: identity, timeouts: timeouts) { connection in
        let reply = try await connection.call(SyncRoutes.enrol, EnrolRequest(secret: token.secret), reply: EnrolReply.self)
        guard reply.hub.keyHash == token.hubKeyHash, NoteKey(text: reply.hubKey) != nil else { throw SyncError.malformedAnswer }
        return HubEndpoint(host: token.host, port: token.port, hub: reply.hub, hubKey: reply.hubKey, name: reply.name)
    }
}
