import EvidenceLog
import Foundation
import RecordingModel
import Testing

@testable import fieldpost

@Suite struct SyncTextTests {
    private static let now: Int64 = 1_795_248_000_000

    private func status(_ name: String, _ presence: NodeSyncStatus.Presence, announced: Int64? = nil, report: SyncReport? = nil, ageSeconds: Int64? = nil) -> NodeSyncStatus {
        NodeSyncStatus(
            node: NodeID(keyHash: .sha256(Array(name.utf8))), name: name, state: .active, presence: presence, lastContactUnixMilliseconds: Self.now - 10_800_000,
            expectedByUnixMilliseconds: Self.now - 7_200_000, announcedContactUnixMilliseconds: announced, contactSecondsLastDay: 3_600, contactSecondsLast7Days: 25_200,
            report: report, reportAgeSeconds: ageSeconds, openRequests: 2)
    }

    private var report: SyncReport {
        var inputs = SyncReport.Inputs(now: WallEstimate(unixMilliseconds: Self.now - 10_800_000, source: .ntp, uncertaintyMilliseconds: 1))
        inputs.backlog = [.init(footageClass: .event, segments: 3, bytes: 6_000_000, durationMilliseconds: 180_000, oldestUnixMilliseconds: Self.now - 20_000_000)]
        inputs.observedSinceUnixMilliseconds = Self.now - 10_800_000 - 86_400_000
        inputs.contacts = [ContactRecord(startUnixMilliseconds: Self.now - 14_400_000, endUnixMilliseconds: Self.now - 10_800_000, connectedMilliseconds: 3_600_000, busyMilliseconds: 3_600_000, acknowledgedBytes: 360_000_000)]
        inputs.recorded = .init(bytes: 80_000_000, milliseconds: 86_400_000)
        inputs.statement = .init(logSize: 44, generation: 2, issuedUnixMilliseconds: Self.now - 11_000_000)
        return SyncReport(inputs)
    }

    @Test func theTableSaysWhoNeedsAttentionAndHowOldItsFiguresAre() {
        let list = SyncStatusList(
            asOfUnixMilliseconds: Self.now,
            nodes: [status("bridge", .late, report: report, ageSeconds: 10_800), status("quarry\u{1B}[2J", .quiet, announced: Self.now + 27_600_000), status("pass", .inContact)])
        let lines = SyncText.table(list)
        #expect(lines.count == 4 && lines[0].hasPrefix("NODE"))
        #expect(lines[1].contains("late: 3.0 h ago, expected by 2026-11-21T06:00:00Z") && lines[1].hasSuffix("3.0 h ago"))
        #expect(lines[2].contains("3.0 h ago, will call at 2026-11-21T15:40:00Z") && lines[2].contains("not reported") && !lines[2].contains("\u{1B}"))
        #expect(lines[3].contains("in contact"))
    }

    @Test func oneNodeIsToldWithWhatItsEstimateRestsOn() {
        let lines = SyncText.lines(status("bridge", .late, report: report, ageSeconds: 10_800), now: Self.now)
        func line(_ name: String) -> String? { lines.first { $0.hasPrefix(name) }.map { String($0.dropFirst(name.count).drop { $0 == " " }) } }
        // 80 MB a day are 10 MB in the three hours since the report.
        #expect(line("because")?.hasPrefix("16.0 MB wait; the link carries 100.0 kB a second while in contact (one contact)") == true)
        #expect(line("waits: event") == "3 segments, 6.0 MB, 3 min, the oldest of 2026-11-21T02:26:40Z")
        #expect(line("throughput") == "100.0 kB/s in contact (median of 1)")
        #expect(line("statement") == "of 44 entries at 2026-11-21T04:56:40Z, generation 2")
        #expect(line("open requests") == "2" && line("contact time") == "60 min in 24 h, 7.0 h in 7 d, as the hub saw it")
        #expect(SyncText.lines(status("new", .never), now: Self.now).contains { $0.contains("the node has said nothing of its sync yet") })
    }
}
