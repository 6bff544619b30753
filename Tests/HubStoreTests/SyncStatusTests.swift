import EvidenceLog
import Foundation
import GRDB
@testable import HubStore
import LogFixtures
import RecordingModel
import SyncProtocol
import Testing

@Suite struct SyncStatusTests {
    private static let now = ToldLog.now
    private static let minute: Int64 = 60_000

    private func contacts(everyMinutes minutes: Int64, count: Int64) -> [ContactRecord] {
        (0..<count).map { number in
            let end = Self.now - (count - 1 - number) * minutes * Self.minute
            return ContactRecord(startUnixMilliseconds: end - 10_000, endUnixMilliseconds: end, connectedMilliseconds: 10_000, busyMilliseconds: 0, acknowledgedBytes: 0)
        }
    }

    private func presence(_ contacts: [ContactRecord], announced: Int64? = nil, minutesLater: Int64) -> NodeSyncStatus.Presence {
        HubStore.Punctuality(lastContact: contacts.last?.endUnixMilliseconds, announced: announced, contacts: contacts, now: Self.now + minutesLater * Self.minute).presence
    }

    @Test("A node that stays in contact is late after three heartbeats")
    func staying() {
        let contact = [ContactRecord(startUnixMilliseconds: 0, endUnixMilliseconds: Self.now, connectedMilliseconds: Self.now, busyMilliseconds: 0, acknowledgedBytes: 0)]
        #expect(presence(contact, minutesLater: 0) == .inContact)
        #expect(presence(contact, minutesLater: 1) == .quiet)
        #expect(presence(contact, minutesLater: 2) == .late)
        #expect(presence([], minutesLater: 0) == .never)
    }

    @Test("A node that calls every half hour is late after twice that, and one that said 'dark until 07:40' not before 07:50")
    func habitsAndPromises() {
        let halfHourly = contacts(everyMinutes: 30, count: 40)
        #expect(presence(halfHourly, minutesLater: 55) == .quiet && presence(halfHourly, minutesLater: 61) == .late)
        let promise = Self.now + 600 * Self.minute
        #expect(presence(halfHourly, announced: promise, minutesLater: 609) == .quiet)
        #expect(presence(halfHourly, announced: promise, minutesLater: 611) == .late)
        // A promise that a contact has fulfilled since is none any more.
        #expect(presence(halfHourly, announced: Self.now - 5 * Self.minute, minutesLater: 61) == .late)
    }

    /// A node that joins, and says hello at these times.
    private struct Caller {
        let folder: StoreFolder
        let store: HubStore
        var log: ToldLog
        private var session: UInt64 = 100

        init() throws {
            folder = try StoreFolder()
            store = try folder.open()
            log = try ToldLog()
            try log.tellSegment(0, boot: "a", at: 0, wall: ToldLog.wall(SyncStatusTests.now - 600_000, .ntp))
            try log.push(store)
        }

        mutating func hello(at time: Int64, report: SyncReport? = nil, nodeClock: Int64? = nil, next: Int64? = nil) throws {
            session += 1
            let checkpoint = try log.sample.checkpoints.last.orThrow("a checkpoint")
            _ = try store.hello(
                HelloRequest(
                    session: session,
                    status: NodeStatus(
                        software: "test", bootID: "b", uptimeMilliseconds: 1, clock: ToldLog.wall(nodeClock ?? time, .ntp), disk: nil, cameras: [], nextContactUnixMilliseconds: next, sync: report),
                    log: log.sample.log, logSize: checkpoint.checkpoint.size, checkpoint: checkpoint, holdings: [], backlog: Backlog(), statementLogSize: nil,
                    statementGeneration: nil), from: log.node, nowUnixMilliseconds: time)
        }

        func status(at time: Int64) async throws -> NodeSyncStatus { try #require(try await store.syncStatuses(of: log.node, nowUnixMilliseconds: time).first) }
    }

    private func report(recordedBytesPerDay: Int64 = 100_000_000) -> SyncReport {
        var inputs = SyncReport.Inputs(now: ToldLog.wall(Self.now, .ntp))
        inputs.backlog = [.init(footageClass: .main, segments: 1, bytes: 50_000_000, durationMilliseconds: 60_000, oldestUnixMilliseconds: Self.now - 600_000)]
        inputs.recorded = .init(bytes: recordedBytesPerDay, milliseconds: 86_400_000)
        inputs.observedSinceUnixMilliseconds = Self.now - 86_400_000
        inputs.contacts = [ContactRecord(startUnixMilliseconds: Self.now - 3_600_000, endUnixMilliseconds: Self.now, connectedMilliseconds: 3_600_000, busyMilliseconds: 3_600_000, acknowledgedBytes: 360_000_000)]
        inputs.disk = .init(availableBytes: 400_000_000, lowMarkBytes: 0, releasableBytes: 0)
        return SyncReport(inputs)
    }

    @Test("Signs of life within 45 s are one contact; what the hub saw of a day is their sum, and eight days are kept")
    func contactTime() async throws {
        var caller = try Caller()
        let start = Self.now + 3_600_000
        for beat in 0...20 as ClosedRange<Int64> { try caller.hello(at: start + beat * 30_000) }
        for beat in 0...2 as ClosedRange<Int64> { #expect(caller.store.write([.heard(caller.log.node, nowUnixMilliseconds: start + 1_200_000 + beat * 40_000)]).allSatisfy { $0 == nil }) }
        let status = try await caller.status(at: start + 1_300_000)
        #expect(status.contactSecondsLastDay == 680 && status.presence == .inContact)
        func rows() async throws -> Int { try await caller.store.catalogue.read { try Int.fetchOne($0, sql: "SELECT COUNT(*) FROM contacts") ?? 0 } }
        #expect(try await rows() == 3)
        try caller.hello(at: start + 9 * 86_400_000)
        #expect(try await rows() == 1)
    }

    @Test("The hub keeps what a node said last, says how long ago, and counts what is recorded while it is dark")
    func darkNode() async throws {
        var caller = try Caller()
        #expect(try await caller.status(at: Self.now).estimate.kind == .unknown)
        try caller.hello(at: Self.now, report: report())
        // A hello that says nothing of it leaves the last.
        try caller.hello(at: Self.now + 30_000)
        let fresh = try await caller.status(at: Self.now + 31_000)
        #expect(fresh.report == report() && fresh.reportAgeSeconds == 31 && fresh.estimate == report().estimate() && fresh.attention.isEmpty)
        #expect(fresh.secondsUntilOverwrite == 345_600)
        let dark = try await caller.status(at: Self.now + 3 * 86_400_000)
        #expect(dark.presence == .late && dark.reportAgeSeconds == 3 * 86_400)
        #expect(dark.estimate.basis.hasPrefix("350.0 MB wait") && dark.secondsUntilOverwrite == 86_400)
        #expect(dark.attention == [.late, .overwriteSoon])
        // The status itself is kept without it, so that a list of nodes is not longer for it.
        #expect(try await caller.store.nodeSummary(caller.log.node)?.status?.sync == nil)
    }

    @Test("A promise counts by the hub's clock, whatever the node's own says")
    func promise() async throws {
        var caller = try Caller()
        let nodeClock = Self.now - 5 * 365 * 86_400_000
        try caller.hello(at: Self.now, nodeClock: nodeClock, next: nodeClock + 8 * 3_600_000)
        let status = try await caller.status(at: Self.now + 8 * 3_600_000)
        #expect(status.presence == .quiet && status.announcedContactUnixMilliseconds == Self.now + 8 * 3_600_000)
        #expect(status.expectedByUnixMilliseconds == Self.now + 8 * 3_600_000 + 600_000)
        #expect(try await caller.status(at: Self.now + 9 * 3_600_000).presence == .late)
    }

    @Test("Late comes before never at this rate, that before soon overwritten, and names decide the rest; suspended nodes are left out")
    func sorting() async throws {
        func status(_ name: String, _ presence: NodeSyncStatus.Presence, recorded: Int64 = 100_000_000, free: Int64 = 40_000_000_000) -> NodeSyncStatus {
            var report = report(recordedBytesPerDay: recorded)
            report.bytesUntilOverwrite = free
            return NodeSyncStatus(
                node: NodeID(keyHash: .sha256(Array(name.utf8))), name: name, state: .active, presence: presence, lastContactUnixMilliseconds: Self.now, expectedByUnixMilliseconds: nil,
                announcedContactUnixMilliseconds: nil, contactSecondsLastDay: 0, contactSecondsLast7Days: 0, report: report, reportAgeSeconds: 0, openRequests: 0)
        }
        let sorted = [
            status("b-well", .inContact, free: 50_000_000), status("a-well", .quiet), status("soon", .inContact, free: 10_000_000), status("sooner", .inContact, free: 4_000_000),
            status("never", .inContact, recorded: 400_000_000, free: 4_000_000_000_000), status("late", .late),
        ].sorted(by: NodeSyncStatus.isBefore)
        #expect(sorted.map(\.name) == ["late", "never", "sooner", "soon", "a-well", "b-well"])
        #expect(sorted[1].estimate.kind == .never && sorted[1].attention == [.never])
        let caller = try Caller()
        #expect(try await caller.store.syncStatuses(nowUnixMilliseconds: Self.now).count == 1)
        _ = try caller.store.setState(.suspended, ofNodeNamed: "north")
        #expect(try await caller.store.syncStatuses(nowUnixMilliseconds: Self.now).isEmpty)
    }

    @Test("What a report adds to a hello")
    func size() throws {
        let status = NodeStatus(software: "fieldpost-edge 0.3", site: "north", bootID: "c0ffee00-1234-4321-8765-0123456789ab", uptimeMilliseconds: 123_456, clock: ToldLog.wall(Self.now, .ntp), disk: nil, cameras: [])
        var with = status
        with.sync = report()
        let (plain, added) = (try MessageCoding.encode(status).count, try MessageCoding.encode(with).count)
        print("a report adds \(added - plain) bytes to a status of \(plain)")
        #expect(added - plain < 500)
    }
}
