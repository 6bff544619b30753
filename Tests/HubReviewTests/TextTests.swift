import Crypto
import Foundation
import RecordingModel
import Testing

@testable import HubReview

@Suite struct TextTests {
    private let start = SmallStore.day + 3_600_000

    private func timeline() async throws -> CameraTimeline {
        let store = try SmallStore()
        return try #require(try await store.timeline(node: store.node, camera: store.camera, from: start, to: start + 360_000, nowUnixMilliseconds: SmallStore.now))
    }

    @Test func aPlaylistSaysWhereEachByteIsAndMarksBreaksAndWhatIsMissing() async throws {
        let timeline = try await timeline()
        let text = Playlist(timeline, nowUnixMilliseconds: SmallStore.now).text { "\($0.sequence).mp4" }
        #expect(text == """
            #EXTM3U
            #EXT-X-VERSION:7
            #EXT-X-TARGETDURATION:60
            #EXT-X-MEDIA-SEQUENCE:0
            #EXT-X-INDEPENDENT-SEGMENTS
            #EXT-X-PLAYLIST-TYPE:VOD
            #EXT-X-MAP:URI="0.mp4",BYTERANGE="1000@0"
            #EXT-X-PROGRAM-DATE-TIME:2026-11-21T01:00:00.000Z
            #EXTINF:60.000,
            #EXT-X-BYTERANGE:4000@1000
            0.mp4
            #EXTINF:60.000,
            #EXT-X-BYTERANGE:4000@1000
            1.mp4
            #EXT-X-DISCONTINUITY
            #EXT-X-PROGRAM-DATE-TIME:2026-11-21T01:04:00.000Z
            #EXT-X-GAP
            #EXTINF:60.000,
            not-on-the-hub.mp4
            #EXT-X-DISCONTINUITY
            #EXT-X-MAP:URI="2.mp4",BYTERANGE="1000@0"
            #EXT-X-PROGRAM-DATE-TIME:2026-11-21T01:05:00.000Z
            #EXTINF:60.000,
            #EXT-X-BYTERANGE:4000@1000
            2.mp4
            #EXT-X-ENDLIST

            """)
    }

    @Test func withinARunMediaTimeRulesAndBetweenRunsTheWallClock() async throws {
        let index = PlayIndex(try await timeline())
        // The second segment's wall time is 4 ms off; on the timeline it meets the first without a seam.
        #expect(index.segments.map(\.start) == [0, 60, 300])
        #expect(index.segments.map(\.offset) == [0, 0, 300])
        #expect(index.codecs == ["avc1.42c01e,mp4a.40.2"])
        #expect(index.spans.map(\.state) == [.notRecorded, .onlyOnNode])
    }

    @Test func aSegmentThatBeganBeforeTheWindowIsKeptWhole() async throws {
        let store = try SmallStore()
        let timeline = try #require(try await store.timeline(
            node: store.node, camera: store.camera, from: start + 30_000, to: start + 90_000, nowUnixMilliseconds: SmallStore.now))
        let index = PlayIndex(timeline)
        #expect(index.baseUnixMilliseconds == start)
        #expect(index.begin == 30)
        #expect(index.segments.first?.start == 0)
    }

    @Test func daysGoThereAndBack() {
        for day in ["1970-01-01", "2000-02-29", "2024-12-31", "2026-11-21", "2100-03-01"] {
            #expect(WallText.startOfDay(day).map { WallText.day($0) } == day)
            #expect(WallText.startOfDay(day).map { WallText.day($0 + 86_399_999) } == day)
        }
        for day in ["2026-02-30", "2026-13-01", "26-01-01", "2026-1-1", "", "2026-11-21x", "1969-12-31"] { #expect(WallText.startOfDay(day) == nil) }
        #expect(WallText.iso(1_795_219_200_007) == "2026-11-21T00:00:00.007Z")
    }

    @Test func theBarTilesTheDayAndHasNoInlineStyle() throws {
        let spans = [
            TimelineSpan(startUnixMilliseconds: 0, endUnixMilliseconds: 43_200_000, state: .onHub),
            TimelineSpan(startUnixMilliseconds: 43_200_000, endUnixMilliseconds: 86_400_000, state: .lost),
        ]
        let bar = DayBar.svg(spans, from: 0, to: 86_400_000, label: "a \"<b>\"")
        #expect(bar.contains("class=\"s-on-hub\" x=\"0\" y=\"1\" width=\"720\""))
        #expect(bar.contains("class=\"s-lost\" x=\"720\" y=\"1\" width=\"720\""))
        #expect(bar.contains("aria-label=\"a &quot;&lt;b&gt;&quot;\""))
        #expect(!bar.contains("style"))
        _ = try XMLDocumentCheck.parse(bar)
    }

    @Test func aLinkIsGoodForItsOwnContentOnly() throws {
        let store = try SmallStore()
        let issuer = CapabilityIssuer(key: SymmetricKey(size: .bits256))
        let capability = Capability(user: "anna", session: "s", node: store.node, camera: store.camera, from: start, to: start + 60_000, until: 1_000)
        let word = try issuer.word(for: capability)
        #expect(issuer.capability(in: word, nowUnixMilliseconds: 999) == capability)
        #expect(issuer.capability(in: word, nowUnixMilliseconds: 1_000) == nil)
        #expect(CapabilityIssuer(key: SymmetricKey(size: .bits256)).capability(in: word, nowUnixMilliseconds: 0) == nil)
        var bytes = Array(word.utf8)
        for index in bytes.indices {
            let kept = bytes[index]
            bytes[index] = kept == UInt8(ascii: "0") ? UInt8(ascii: "1") : UInt8(ascii: "0")
            #expect(issuer.capability(in: String(decoding: bytes, as: UTF8.self), nowUnixMilliseconds: 0) == nil)
            bytes[index] = kept
        }
        #expect(capability.window == start..<(start + 60_000))
    }

    @Test(arguments: [("bytes=0-0", ByteRange.part(0..<1)), ("bytes=-0", .unsatisfiable), ("bytes=5-4", .whole), ("bytes=0-1,3-4", .whole), ("items=0-1", .whole), ("bytes=9-", .part(9..<10)), ("bytes=10-", .unsatisfiable), ("bytes=+1-2", .whole)])
    func rangesAreReadAsTheStandardSays(header: String, expected: ByteRange) {
        #expect(ByteRange.parse(header, length: 10) == expected)
    }
}

/// Whether every tag that opens closes, which is what an SVG within a page needs.
enum XMLDocumentCheck {
    static func parse(_ text: String) throws -> Int {
        var open: [Substring] = []
        var count = 0
        for match in text.matches(of: /<(\/?)([a-zA-Z]+)[^>]*?(\/?)>/) {
            count += 1
            if match.1 == "/" {
                guard open.popLast() == match.2 else { throw Missing() }
            } else if match.3 != "/" {
                open.append(match.2)
            }
        }
        guard open.isEmpty else { throw Missing() }
        return count
    }
}
