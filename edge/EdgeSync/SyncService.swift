import EvidenceLog
import Logging
import NodeIdentity
import RecordingModel
import Synchronization
import SyncProtocol

/// Keeps the node in contact with its hub: one contact after another, with a growing pause between failures.
package final class SyncService: Sendable {
    private let contact: SyncContact
    private let identity: IdentityKey
    private let changes: @Sendable () -> AsyncStream<Void>

    /// - Parameters:
    ///   - changes: a new stream of "something was sealed" for each contact
    ///   - nowMilliseconds: the boot clock, or any that only rises
    ///   - statement: the newest one that was kept
    ///   - hubTime: told the hub's clock at each hello
    package init(
        endpoint: HubEndpoint, identity: IdentityKey, source: any SyncSource, sessions: SessionCounter, timeouts: SyncTimeouts = SyncTimeouts(),
        limits: NodeSyncMachine.Limits = .init(), statement: SignedStatement? = nil, changes: @escaping @Sendable () -> AsyncStream<Void>,
        nowMilliseconds: @escaping @Sendable () -> Int64, hubTime: @escaping @Sendable (HubTime) -> Void = { _ in }, logger: Logger
    ) throws {
        guard let hubKey = NoteKey(text: endpoint.hubKey) else { throw SyncFault.foreignStatement }
        machine = Mutex(NodeSyncMachine(hub: endpoint.hub, hubKey: hubKey, node: identity.nodeID, log: source.log, limits: limits, statement: statement))
        self.identity = identity
        self.changes = changes
        let box = ProgressBox()
        progressBox = box
        contact = SyncContact(
            endpoint: endpoint, node: identity.nodeID, source: source, sessions: sessions, timeouts: timeouts, limits: limits,
            nowMilliseconds: nowMilliseconds, progress: { box.update($0) }, hubTime: hubTime, logger: logger)
    }

    private let progressBox: ProgressBox
    /// What is known of the hub from one contact to the next. One contact at a time has it.
    private let machine: Mutex<NodeSyncMachine>

    package var progress: SyncProgress { progressBox.value }

    /// One contact that ends when the hub's statement covers everything sealed before it.
    package func syncOnce() async throws { try await connect(.untilCaughtUp) }

    /// Contact after contact until cancelled.
    /// - Parameter sleep: waits before the next attempt, and ends early when there is a reason to hope.
    package func run(plan: DialPlan = DialPlan(), sleep: @Sendable (_ milliseconds: Int64) async throws -> Void) async {
        var generator = SystemRandomNumberGenerator()
        var failures = 0
        var lastContact = contact.nowMilliseconds()
        while !Task.isCancelled {
            let began = contact.nowMilliseconds()
            let contacts = progressBox.value.contacts
            do {
                try await connect(.stay)
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
            let pause = plan.pauseMilliseconds(failures: failures, quietMilliseconds: now - lastContact, attemptMilliseconds: now - began, using: &generator)
            do { try await sleep(pause) } catch { return }
        }
    }

    private func connect(_ mode: SyncContact.Mode) async throws {
        let contact = contact
        let changes = changes()
        let (endpoint, timeouts) = (contact.endpoint, contact.timeouts)
        try await HubConnection.with(
            host: endpoint.host, port: endpoint.port, pin: endpoint.hub.keyHash, identity: identity, timeouts: timeouts
        ) { [self] connection in
            var known = machine.withLock { $0 }
            let meter = LinkMeter(bytesPerSecond: progressBox.value.linkBytesPerSecond, nowMilliseconds: contact.nowMilliseconds)
            defer {
                known.disconnected()
                machine.withLock { $0 = known }
                progressBox.update {
                    $0.isConnected = false
                    $0.linkBytesPerSecond = meter.bytesPerSecond
                }
            }
            try await contact.run(
                on: connection, &known, meter: meter, mode: mode,
                dial: { await HubConnection.isReachable(host: endpoint.host, port: endpoint.port, seconds: timeouts.connectSeconds) }, changes: changes)
        }
    }
}

private final class ProgressBox: Sendable {
    private let state = Mutex(SyncProgress())
    var value: SyncProgress { state.withLock { $0 } }
    func update(_ change: @Sendable (inout SyncProgress) -> Void) { state.withLock { change(&$0) } }
}

/// Joins a hub with a token: the hub's key is compared in the handshake, before the secret is sent.
package func enrol(with token: JoinToken, identity: IdentityKey, timeouts: SyncTimeouts = SyncTimeouts()) async throws -> HubEndpoint {
    try await HubConnection.with(host: token.host, port: token.port, pin: token.hubKeyHash, identity: identity, timeouts: timeouts) { connection in
        let reply = try await connection.call(SyncRoutes.enrol, EnrolRequest(secret: token.secret), reply: EnrolReply.self)
        guard reply.hub.keyHash == token.hubKeyHash, NoteKey(text: reply.hubKey) != nil else { throw SyncError.malformedAnswer }
        return HubEndpoint(host: token.host, port: token.port, hub: reply.hub, hubKey: reply.hubKey, name: reply.name)
    }
}
