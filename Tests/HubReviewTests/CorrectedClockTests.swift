import Foundation
import HTTPTypes
import HubStore
import Hummingbird
import HummingbirdTesting
import NIOCore
import RecordingModel
import Synchronization
import Testing

@testable import HubReview

/// A node whose clock was an hour late, and put right later.
@Suite struct CorrectedClockTests {
    private let start = SmallStore.day + 3_600_000
    private let hour: Int64 = 3_600_000

    private func corrected() async throws -> CameraTimeline {
        let store = try SmallStore()
        var timeline = try #require(try await store.timeline(node: store.node, camera: store.camera, from: start, to: start + 360_000, nowUnixMilliseconds: SmallStore.now))
        timeline.startUnixMilliseconds += hour
        timeline.endUnixMilliseconds += hour
        timeline.spans = timeline.spans.map { span in
            var span = span
            span.startUnixMilliseconds += hour
            span.endUnixMilliseconds += hour
            if span.state == .onHub { (span.isTimeCorrected, span.detail) = (true, "clock corrected by the node later (±20 ms)") }
            return span
        }
        timeline.segments = timeline.segments.map { segment in
            PlayableSegment(
                record: segment.record, logIndex: segment.logIndex, correctedStartUnixMilliseconds: segment.record.startUnixMilliseconds + hour, correctedUncertaintyMilliseconds: 20)
        }
        timeline.events = [
            TimelineEvent(startUnixMilliseconds: start + hour + 30_000, endUnixMilliseconds: start + hour + 35_000, source: .motion, score: 87, label: "<b>yard</b>"),
            TimelineEvent(startUnixMilliseconds: start + 8 * hour, endUnixMilliseconds: start + 8 * hour, source: .webhook, score: 100, label: ""),
        ]
        let record = ImportRecord(
            camera: timeline.camera, bootID: "import-00", sequences: SequenceRanges(), originalName: "GX01<i>.MP4", originalBytes: 1, originalSHA256: .zero, container: "mov",
            containerStartUnixMilliseconds: nil, timeSource: .operatorOffset, clockOffsetMilliseconds: -7_200_000, operatorName: "Anna & Bo", missing: nil)
        timeline.imports = [TimelineImport(record: record, startUnixMilliseconds: start + hour, endUnixMilliseconds: start + hour + 60_000)]
        return timeline
    }

    @Test("The player lays segments out at the corrected time and marks them")
    func index() async throws {
        let index = PlayIndex(try await corrected())
        #expect(index.baseUnixMilliseconds == start + hour)
        #expect(index.segments.map(\.start) == [0, 60, 300])
        #expect(index.segments.allSatisfy { $0.corrected == true })
        #expect(index.begin == 0 && index.duration == 360)
    }

    @Test("The list of an other player has the corrected time, and says what was recorded")
    func list() async throws {
        let text = Playlist(try await corrected(), nowUnixMilliseconds: SmallStore.now).text { "\($0.sequence).mp4" }
        #expect(text.contains("# clock corrected by the node later; recorded as 2026-11-21T01:00:00.000Z\n#EXT-X-PROGRAM-DATE-TIME:2026-11-21T02:00:00.000Z\n"))
        #expect(!text.contains("DATE-TIME:2026-11-21T01:"))
    }

    @Test("The day says that times were corrected, marks events with label and score, and names what came from cards, escaped")
    func day() async throws {
        var timeline = try await corrected()
        timeline.startUnixMilliseconds = SmallStore.day
        timeline.endUnixMilliseconds = SmallStore.day + 24 * hour
        let values = CameraDayValues(timeline, nodeName: "north", day: "2026-11-21", now: SmallStore.now, mayView: true)
        var bench = try Bench()
        bench.store.otherTimeline = timeline
        let token = try await bench.signedIn()
        let address = "/nodes/\(bench.store.node)/cameras/yard?day=2026-11-21"
        let page = try await bench.page(address, token)
        #expect(page.contains("data-corrected"))
        #expect(page.contains("clock corrected by the node later (±20 ms)"))
        #expect(page.contains("<title>02:00:30 UTC: &lt;b&gt;yard&lt;/b&gt;: motion, score 87</title>"))
        #expect(page.components(separatedBy: "class=\"event\"").count >= 3)
        #expect(page.contains("02:00:00 to 02:01:00: imported from GX01&lt;i&gt;.MP4 by Anna &amp; Bo, time from the file, as the operator corrected it (\u{2212}2 h 0 min)"))
        #expect(!page.contains("<i>.MP4") && !page.contains("<b>yard"))
        #expect(values.events.map { $0.watch != nil } == [true, false])
        // Nothing of it where nothing was corrected and nothing happened.
        let store = try SmallStore()
        let plain = try #require(try await store.timeline(node: store.node, camera: store.camera, from: SmallStore.day, to: SmallStore.day + 24 * hour, nowUnixMilliseconds: SmallStore.now))
        let bare = CameraDayValues(plain, nodeName: "north", day: "2026-11-21", now: SmallStore.now, mayView: true)
        #expect(!bare.isTimeCorrected && !bare.hasEvents && !bare.hasImports)
    }

    @Test("The list of segments says what each was recorded as")
    func player() async throws {
        let values = PlayerValues(try await corrected(), nodeName: "north", link: "/hls/x/index.m3u8")
        #expect(values.segments.first?.start == "2026-11-21 02:00:00 UTC")
        #expect(values.segments.first?.correction == "clock corrected by the node later; recorded as 2026-11-21 01:00:00 UTC")
    }
}

extension Bench {
    fileprivate func page(_ address: String, _ token: String) async throws -> String {
        let kept = Mutex("")
        try await run { client async throws in
            let answer = try await client.execute(uri: address, method: .get, headers: [.authorization: "Bearer \(token)"])
            kept.withLock { $0 = String(buffer: answer.body) }
        }
        return kept.withLock { $0 }
    }
}
