import Foundation
import RecordingModel
import Testing

@testable import fieldpost

@Suite struct WordsTests {
    @Test(arguments: [
        ("2026-11-21T08:30:00Z", 1_795_249_800_000), ("2026-11-21T08:30:00.250Z", 1_795_249_800_250), ("2026-11-21T13:30:00+05:00", 1_795_249_800_000),
        ("2026-11-21 08:30:00", 1_795_249_800_000), ("2026-11-21T08:30", 1_795_249_800_000), ("2026-11-21T08:30Z", 1_795_249_800_000),
    ] as [(String, Int64)])
    func timesAreReadAsUTCUnlessTheyCarryAnOffset(text: String, expected: Int64) {
        #expect(TimeText.unixMilliseconds(text) == expected)
    }

    @Test(arguments: ["", "yesterday", "2026-13-01T00:00:00Z", "1795249800", "2026-11-21"])
    func whatIsNoTimeIsRefused(text: String) {
        #expect(TimeText.unixMilliseconds(text) == nil)
    }

    @Test func laterFilesGetANumberBeforeTheirEnding() {
        #expect(Get.name("a.b/clip.mp4", part: 0) == "a.b/clip.mp4")
        #expect(Get.name("a.b/clip.mp4", part: 1) == "a.b/clip-2.mp4")
        #expect(Get.name("a.b/clip", part: 2) == "a.b/clip-3")
    }

    @Test(arguments: ["http://hub", "hub:8443", "https://", "https://hub/path", "https://user@hub", "https://hub?x"])
    func anAddressThatIsNoHubIsRefused(text: String) {
        #expect(throws: Failure.self) { try HubAddress(text) }
    }

    @Test func aHubsAddressIsKeptInOneForm() throws {
        #expect(try HubAddress("https://hub.example/").url == "https://hub.example:443")
        #expect(try HubAddress("https://127.0.0.1:8443").host == "127.0.0.1")
    }

    @Test func aSpanSaysWhatTheHubHasInItsPlace() {
        var span = TimelineSpan(startUnixMilliseconds: 1_795_249_800_000, endUnixMilliseconds: 1_795_249_860_000, state: .onlyOnNode, standIn: .proxy)
        #expect(Words.span(span).hasSuffix("(1 min 0 s): only-on-node, proxy on-hub"))
        span.standIn = nil
        #expect(Words.span(span).hasSuffix("(1 min 0 s): only-on-node"))
    }
}
