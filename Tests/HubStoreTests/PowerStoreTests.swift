import EvidenceLog
import Foundation
import GRDB
@testable import HubStore
import LogFixtures
import RecordingModel
import SyncProtocol
import Testing

/// What the hub makes of a node's energy.
@Suite struct PowerStoreTests {
    private static let now = ToldLog.now
    private static let hour: Int64 = 3_600_000

    private func record(_ from: PowerState?, _ state: PowerState, _ reason: String) -> PowerRecord {
        PowerRecord(from: from, state: state, reason: reason, estimate: EnergyEstimate(bootMilliseconds: 1, batteryPercent: 24, batteryBasis: "shunt"), darkUntilUnixMilliseconds: nil)
    }

    @Test("Changes of the power state are on the timeline, move with the clock of their boot, and are read again by a version that understands them")
    func changes() async throws {
        let folder = try StoreFolder()
        let store = try folder.open()
        var log = try ToldLog()
        let wall = ToldLog.wall(Self.now - 4 * Self.hour, .rtc, 60_000)
        try log.tellSegment(0, boot: "b", at: 0, wall: wall)
        try log.tell(.power(record(nil, .full, "Full: 72 % battery")), at: 60_000, wall: wall.advanced(byMilliseconds: 60_000))
        try log.tell(.power(record(.full, .reduced, "Reduced: 54 % battery")), at: 120_000, wall: wall.advanced(byMilliseconds: 120_000))
        try log.push(store)
        let told = try await store.powerChanges(of: log.node, limit: 10)
        #expect(told.map(\.record.state) == [.reduced, .full] && told.map(\.unixMilliseconds) == [Self.now - 4 * Self.hour + 120_000, Self.now - 4 * Self.hour + 60_000])
        #expect(try await store.powerChanges(of: log.node, limit: 1).map(\.record.state) == [.reduced])
        try log.tellClock("b", at: 180_000, ToldLog.wall(Self.now - Self.hour + 180_000, .ntp))
        try log.push(store)
        let timeline = try await log.timeline(store, from: Self.now - 2 * Self.hour, to: Self.now)
        #expect(timeline.powers?.map(\.unixMilliseconds) == [Self.now - Self.hour + 60_000, Self.now - Self.hour + 120_000])
        #expect(timeline.powers?.map(\.record.reason) == ["Full: 72 % battery", "Reduced: 54 % battery"])
        // As after an upgrade of a hub that had passed them over.
        try await store.catalogue.write { try $0.execute(sql: "DELETE FROM powers; UPDATE logs SET catalogued = 1") }
        try store.catalogueAnew()
        #expect(try await log.timeline(store, from: Self.now - 2 * Self.hour, to: Self.now) == timeline)
    }

    @Test("A node that said until when it is dark is not late before, by the hub's clock; its alerts need attention")
    func dark() async throws {
        let folder = try StoreFolder()
        let store = try folder.open()
        var log = try ToldLog()
        try log.tellSegment(0, boot: "a", at: 0, wall: ToldLog.wall(Self.now - 600_000, .ntp))
        try log.push(store)
        // The node's clock is an hour slow.
        let clock = Self.now - Self.hour
        var report = PowerReport(state: .hibernate, sinceUnixMilliseconds: clock, reason: "Hibernate: 11 % battery", darkUntilUnixMilliseconds: clock + 9 * Self.hour)
        func hello(_ session: UInt64, _ report: PowerReport) throws {
            let checkpoint = try log.sample.checkpoints.last.orThrow("a checkpoint")
            _ = try store.hello(
                HelloRequest(
                    session: session,
                    status: NodeStatus(
                        software: "t", bootID: "b", uptimeMilliseconds: 1, clock: ToldLog.wall(clock, .ntp), disk: nil, cameras: [], nextContactUnixMilliseconds: clock + Self.hour, power: report),
                    log: log.sample.log, logSize: checkpoint.checkpoint.size, checkpoint: checkpoint, holdings: [], backlog: Backlog(), statementLogSize: nil, statementGeneration: nil),
                from: log.node, nowUnixMilliseconds: Self.now)
        }
        func status(_ hours: Int64) async throws -> NodeSyncStatus { try #require(try await store.syncStatuses(of: log.node, nowUnixMilliseconds: Self.now + hours * Self.hour).first) }
        try hello(100, report)
        let dark = try await status(8)
        #expect(dark.presence == .quiet && dark.attention.isEmpty && dark.announcedContactUnixMilliseconds == Self.now + 9 * Self.hour)
        #expect(dark.power?.darkUntilUnixMilliseconds == Self.now + 9 * Self.hour && dark.power?.sinceUnixMilliseconds == Self.now)
        #expect(try await status(10).presence == .late)
        report.alerts = [.init(kind: "panel-weak", sentence: "the panel gives a third of what the sky does")]
        try hello(101, report)
        #expect(try await status(1).attention == [.energy])
        #expect(try await store.nodeSummary(log.node)?.status?.power == report)
        report.estimate = EnergyEstimate(bootMilliseconds: 1, batteryPercent: 130)
        #expect(throws: Problem.self) { try hello(102, report) }
    }
}
