import EvidenceLog
import Foundation
import RecordingModel
import Testing

@testable import fieldpost

@Suite struct TimelineTextTests {
    @Test func aDayIsToldWithItsCorrectedTimesEventsAndImports() throws {
        let start: Int64 = 1_795_248_000_000
        let camera = try #require(CameraID("gate"))
        let node = NodeID(keyHash: .sha256([1]))
        let record = ImportRecord(
            camera: camera, bootID: "import-1", sequences: SequenceRanges(), originalName: "DCIM/0001.mp4", originalBytes: 1, originalSHA256: .sha256([2]), container: "mov",
            containerStartUnixMilliseconds: nil, timeSource: .operatorOffset, clockOffsetMilliseconds: 0, operatorName: "Asel", missing: nil)
        let timeline = CameraTimeline(
            asOfUnixMilliseconds: start + 7_200_000, node: node, camera: camera, startUnixMilliseconds: start, endUnixMilliseconds: start + 86_400_000,
            spans: [
                TimelineSpan(startUnixMilliseconds: start, endUnixMilliseconds: start + 60_000, state: .onHub, detail: "clock corrected by the node later (\u{b1}1.3 s)", isTimeCorrected: true),
                TimelineSpan(startUnixMilliseconds: start + 60_000, endUnixMilliseconds: start + 90_000, state: .notRecorded, cause: .powerCut, detail: "dark"),
                TimelineSpan(startUnixMilliseconds: start + 90_000, endUnixMilliseconds: start + 86_400_000, state: .unknown),
            ], segments: [],
            events: [
                TimelineEvent(startUnixMilliseconds: start + 1_000, endUnixMilliseconds: start + 3_000, source: .webhook, score: 70, label: "door\u{1B}[2J", isTimeCorrected: true),
                TimelineEvent(startUnixMilliseconds: start + 70_000, endUnixMilliseconds: start + 71_000, source: .motion, score: 55, label: "yard"),
            ],
            imports: [TimelineImport(record: record, startUnixMilliseconds: start + 5_000, endUnixMilliseconds: start + 6_000)])
        #expect(TimelineText.lines(timeline) == [
            "FROM                    TO                    LENGTH      STATE         REASON",
            "2026-11-21T08:00:00Z *  2026-11-21T08:01:00Z  1 min 0 s   on-hub        clock corrected by the node later (\u{b1}1.3 s)",
            "2026-11-21T08:01:00Z    2026-11-21T08:01:30Z  30 s        not-recorded  power-cut: dark",
            "2026-11-21T08:01:30Z    2026-11-21T10:00:00Z  1 h 58 min  unknown       ",
            "Events:",
            "FROM                    LENGTH  SOURCE   SCORE  LABEL",
            "2026-11-21T08:00:01Z *  2.0 s   webhook  70     door?[2J",
            "2026-11-21T08:01:10Z    1.0 s   motion   55     yard",
            "2026-11-21T08:00:05Z: imported from DCIM/0001.mp4 by Asel, time from operator-offset",
            "* corrected by a later clock fix of the node",
        ])
        var plain = timeline
        plain.spans = [plain.spans[1]]
        (plain.events, plain.imports) = ([], [])
        #expect(TimelineText.lines(plain).count == 2 && !TimelineText.lines(plain).joined().contains("*"))
    }
}
