import EvidenceLog
import Foundation
import RecordingModel
import Testing

@testable import HubReview

/// What the pages say of a node's energy.
@Suite struct PowerPageTests {
    private static let now: Int64 = 1_795_248_000_000

    private var report: PowerReport {
        PowerReport(
            state: .hibernate, sinceUnixMilliseconds: Self.now - 3_600_000, reason: "Hibernating: 11 % battery",
            estimate: EnergyEstimate(bootMilliseconds: 1, batteryPercent: 11.2, batteryConfidence: .high, batteryBasis: "shunt", batteryVolts: 12.1), readingAgeMilliseconds: 2_000,
            darkUntilUnixMilliseconds: Self.now + 36_000_000, alerts: [.init(kind: "panel-weak", sentence: "the panel gives a third of what the sky does; <look> for snow")])
    }

    @Test func theNodesPageTellsItsEnergyByTheHubsClock() throws {
        let node = NodeID(keyHash: .sha256([1]))
        let status = NodeStatus(
            software: "t", bootID: "b", uptimeMilliseconds: 1, clock: WallEstimate(unixMilliseconds: Self.now, source: .ntp, uncertaintyMilliseconds: 1), disk: nil, cameras: [], power: report)
        // The node's clock is a minute fast.
        let summary = NodeSummary(
            node: node, name: "north", state: .active, lastContactUnixMilliseconds: Self.now, status: status, clockOffsetMilliseconds: 60_000, logSize: 1, onlyOnNode: Backlog(),
            onHub: Backlog(), cameras: [])
        let change = PowerChange(unixMilliseconds: Self.now - 3_660_000, record: PowerRecord(from: .sparse, state: .hibernate, reason: "Hibernating: 11 % battery", estimate: nil))
        let values = NodeValues(summary, [change], now: Self.now)
        #expect(values.energy == "S4 Hibernate, 11 % (shunt), 12.1 V" && values.hasPower && values.hasChanges)
        func fact(_ name: String) -> String? { values.power.first { $0.name == name }?.text }
        #expect(fact("dark until") == WallText.readable(Self.now + 36_000_000 - 60_000))
        #expect(fact("energy")?.hasPrefix("S4 Hibernate since \(WallText.readable(Self.now - 3_660_000)): Hibernating") == true)
        #expect(values.changes.map(\.words) == ["S3 Sparse to S4 Hibernate: Hibernating: 11 % battery"])
        var plain = summary
        plain.status?.power = nil
        let bare = NodeValues(plain, now: Self.now)
        #expect(bare.energy == nil && !bare.hasPower && !bare.hasChanges)
    }

    @Test func theSyncPageSaysDarkUntil() {
        let status = NodeSyncStatus(
            node: NodeID(keyHash: .sha256([1])), name: "north", state: .active, presence: .quiet, lastContactUnixMilliseconds: Self.now - 3_600_000,
            expectedByUnixMilliseconds: Self.now + 36_600_000, announcedContactUnixMilliseconds: Self.now + 36_000_000, contactSecondsLastDay: 0, contactSecondsLast7Days: 0, report: nil,
            reportAgeSeconds: nil, openRequests: 0, power: report)
        let values = SyncListValues([status], after: nil, now: Self.now)
        #expect(values.rows.first?.presenceDetail == "dark until \(WallText.readable(Self.now + 36_000_000))")
        #expect(values.rows.first?.energy == "S4 Hibernate, 11 % (shunt), 12.1 V" && values.rows.first?.warnings == ["energy"])
    }
}
