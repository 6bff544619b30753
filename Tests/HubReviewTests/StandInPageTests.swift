import EvidenceLog
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

/// Proxies and thumbnails on the pages, in the player's index and in the lists.
@Suite struct StandInPageTests {
    private let start = SmallStore.day + 3_600_000

    private func bearer(_ token: String) -> HTTPFields { [.authorization: "Bearer \(token)"] }

    private static func box(_ type: String, _ body: [UInt8]) -> [UInt8] { number(UInt64(8 + body.count), 4) + Array(type.utf8) + body }
    private static func number(_ value: UInt64, _ count: Int) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        BigEndian.put(value, count: count, into: &bytes, at: 0)
        return bytes
    }

    /// An object as a node writes it, with pictures at these milliseconds.
    static func object(_ offsets: [UInt64], initBytes: Int = 100, jpeg: (UInt64) -> [UInt8] = { [0xFF, 0xD8] + Array("picture at \($0)".utf8) + [0xFF, 0xD9] }) -> [UInt8] {
        offsets.reduce(into: [UInt8](repeating: 0, count: initBytes)) { bytes, offset in
            let traf = box("traf", box("tfhd", number(0x02_0000, 4) + number(1, 4)) + box("tfdt", number(1 << 24, 4) + number(offset * 90, 8)) + box("trun", [UInt8](repeating: 0, count: 28)))
            bytes += box("moof", box("mfhd", [UInt8](repeating: 0, count: 8)) + traf) + box("mdat", jpeg(offset))
        }
    }

    /// A camera of which the minute 4 to 5 is only on the node: its thumbnails are here, and of the half minute before its proxy.
    private func bench() throws -> (Bench, pack: SegmentRecord) {
        var bench = try Bench()
        let bytes = Self.object([0, 20_000, 40_000])
        var pack = bench.store.records[0]
        pack.stream = StreamID(camera: bench.store.camera, kind: .thumbs)
        (pack.bytes, pack.sha256, pack.initBytes) = (Int64(bytes.count), .sha256(bytes), 100)
        pack.startWall.unixMilliseconds = start + 240_000
        bench.store.packs = [pack]
        bench.store.contents[pack.sha256] = bytes
        return (bench, pack)
    }

    private func timeline(_ store: SmallStore) async throws -> CameraTimeline {
        var timeline = try #require(try await store.timeline(node: store.node, camera: store.camera, from: start, to: start + 360_000, nowUnixMilliseconds: SmallStore.now))
        // 0-120 footage, 120-180 a proxy for what is lost, 180-240 a gap, 240-300 thumbnails, 300-360 footage.
        timeline.spans = Timeline.tile(
            timeline.segments.map { TimelineSpan(startUnixMilliseconds: $0.startUnixMilliseconds, endUnixMilliseconds: $0.endUnixMilliseconds, state: .onHub) } + [
                TimelineSpan(startUnixMilliseconds: start + 120_000, endUnixMilliseconds: start + 180_000, state: .lost, standIn: .proxy),
                TimelineSpan(startUnixMilliseconds: start + 180_000, endUnixMilliseconds: start + 240_000, state: .notRecorded, cause: .powerCut),
                TimelineSpan(startUnixMilliseconds: start + 240_000, endUnixMilliseconds: start + 300_000, state: .onlyOnNode, standIn: .thumbnails),
            ], from: start, to: start + 360_000)
        var proxy = store.records[1]
        proxy.stream = StreamID(camera: store.camera, kind: .proxy)
        proxy.codecs = "avc1.64000d"
        proxy.made = MadeRecord(kind: .transcoded, encoder: "none", settings: "none", sources: SequenceRanges([1]), sourceSHA256: .zero)
        (proxy.sequence, proxy.sha256, proxy.initSHA256) = (9, .sha256([9]), .sha256([8]))
        proxy.startWall.unixMilliseconds = start + 120_004
        proxy.mediaStartTicks90k = 120 * 90_000
        timeline.segments.append(PlayableSegment(record: proxy, logIndex: 9))
        return timeline
    }

    @Test("A picture is found by its object and its place in it, comes as a JPEG that browsers may keep, and is written down; nobody else's comes")
    func picture() async throws {
        let (bench, pack) = try bench()
        let token = try await bench.signedIn()
        let maintainer = try await bench.signedIn("mike", role: .maintainer)
        let cameras = "/api/v1/nodes/\(bench.store.node)/cameras"
        let object = "\(cameras)/yard/thumbnails/\(pack.sha256)"
        try await bench.run { client async throws in
            let answer = try await client.execute(uri: "\(object)/20000.jpg", method: .get, headers: bearer(token))
            #expect(answer.status == .ok && Array(answer.body.readableBytesView) == [0xFF, 0xD8] + Array("picture at 20000".utf8) + [0xFF, 0xD9])
            #expect(answer.headers[.contentType] == "image/jpeg" && answer.headers[.xContentTypeOptions] == "nosniff")
            #expect(answer.headers[.cacheControl] == "private, max-age=31536000, immutable")
            for address in [
                "\(object)/20001.jpg", "\(object)/-1.jpg", "\(object)/x.jpg", "\(object)/99999999999999999999.jpg", "\(cameras)/gate/thumbnails/\(pack.sha256)/20000.jpg",
                "\(cameras)/yard/thumbnails/\(bench.store.records[0].sha256)/0.jpg", "\(cameras)/yard/thumbnails/..%2f..%2fkeys/0.jpg",
            ] {
                #expect(try await client.execute(uri: address, method: .get, headers: bearer(token)).status == .notFound, "\(address)")
            }
            #expect(try await client.execute(uri: "\(object)/20000.jpg", method: .get, headers: bearer(maintainer)).status == .forbidden)
            #expect(try await client.execute(uri: "\(object)/20000.jpg", method: .get).status == .unauthorized)
            // The object itself is no footage that plays.
            #expect(try await client.execute(uri: "/api/v1/segments/\(pack.sha256)?node=\(bench.store.node)&camera=yard", method: .get, headers: bearer(token)).status == .notFound)
            let list = try await client.execute(uri: "\(cameras)/yard/thumbnails?from=\(start + 250_000)&to=\(start + 310_000)", method: .get, headers: bearer(token))
            #expect(String(buffer: list.body).contains("\"thumbnails\":[{\"address\":\"\(object)/20000.jpg\",\"unixMilliseconds\":\(start + 260_000)},{\"address\":\"\(object)/40000.jpg\""))
            #expect(try await client.execute(uri: "\(cameras)/yard/thumbnails?from=\(start)&to=\(start + 1)", method: .get, headers: bearer(maintainer)).status == .forbidden)
        }
        let seen = try await bench.accounts.auditRecords().filter { $0.action == AuditRecord.Action.viewSegment.rawValue }.map { "\($0.user) \($0.object)" }
        #expect(seen.contains("anna \(bench.store.node)/yard/thumbs/0 \(pack.sha256) picture at 20000 ms") && !seen.contains { $0.hasPrefix("mike") })
    }

    @Test("An object that is damaged, cut, no object or no pictures gives 404, and the day's page does without it")
    func damaged() async throws {
        let whole = Self.object([0, 20_000])
        var endless = whole
        endless.replaceSubrange(100..<104, with: [0, 0, 0, 0])
        var large = whole
        large.replaceSubrange(204..<208, with: [0x7F, 0xFF, 0xFF, 0xFF])
        let contents: [[UInt8]] = [
            [], Array(whole.prefix(100)), Array(whole.prefix(150)), Array(whole.dropLast(1)), endless, large, whole + [0], Self.object([20_000, 0]), Self.object([1 << 57]),
            Self.object([0, 20_000]) { _ in Array("<script>".utf8) }, Self.object([0, 20_000]) { _ in [] }, Self.object([0, 20_000]) { _ in [UInt8](repeating: 0xFF, count: 70_000) },
            [UInt8](repeating: 0xFF, count: 400), Self.object(Array(0..<600)),
        ]
        for (number, bytes) in contents.enumerated() {
            var (bench, pack) = try bench()
            (pack.sha256, bench.store.packs[0].sha256) = (.sha256([UInt8(number)]), .sha256([UInt8(number)]))
            bench.store.contents[pack.sha256] = bytes
            let token = try await bench.signedIn()
            try await bench.run { [bench, pack] client async throws in
                for offset in [0, 20_000] {
                    let address = "/api/v1/nodes/\(bench.store.node)/cameras/yard/thumbnails/\(pack.sha256)/\(offset).jpg"
                    #expect(try await client.execute(uri: address, method: .get, headers: bearer(token)).status == .notFound, "\(number)")
                }
                let page = try await client.execute(uri: "/nodes/\(bench.store.node)/cameras/yard?day=2026-11-21", method: .get, headers: bearer(token))
                #expect(page.status == .ok, "\(number)")
            }
        }
    }

    @Test("The day's page has a strip of thumbnails with times, of the day or of an hour, and says in words what stands in for what")
    func day() async throws {
        var (made, _) = try bench()
        made.store.otherTimeline = try await timeline(made.store)
        made.store.otherTimeline?.startUnixMilliseconds = SmallStore.day
        let bench = made
        let token = try await bench.signedIn()
        let maintainer = try await bench.signedIn("mike", role: .maintainer)
        let day = "/nodes/\(bench.store.node)/cameras/yard?day=2026-11-21"
        try await bench.run { client async throws in
            let page = String(buffer: try await client.execute(uri: day, method: .get, headers: bearer(token)).body)
            // Of the three within one half hour the first.
            #expect(page.matches(of: #/<img src=/#).count == 1)
            #expect(page.contains("alt=\"yard at 2026-11-21 01:04:00 UTC\" loading=\"lazy\""))
            #expect(page.contains("/play?from=\(start + 240_000)&amp;to=\(start + 840_000)\""))
            #expect(page.contains("lost; a small picture is here") && page.contains("only on the node; thumbnails are here"))
            #expect(page.contains("class=\"s-proxy\"") && page.contains("class=\"s-thumbnails\"") && page.contains("id=\"p-proxy\""))
            #expect(page.contains("data-stand-in=\"proxy\"") && page.contains("<b>small picture</b> 59 s <small>"))
            #expect(!page.contains("{{") && !page.contains("style=\""))
            let hour = String(buffer: try await client.execute(uri: day + "&hour=1", method: .get, headers: bearer(token)).body)
            #expect(hour.matches(of: #/<img src=/#).count == 1 && hour.contains("Thumbnails from 1:00 to 2:00 UTC") && hour.contains("hour=1#thumbnails\" aria-current=\"true\""))
            let empty = String(buffer: try await client.execute(uri: day + "&hour=2", method: .get, headers: bearer(token)).body)
            #expect(empty.contains("No thumbnails of this hour") && !empty.contains("<img "))
            for bad in ["24", "-1", "x", ""] { #expect(try await client.execute(uri: day + "&hour=\(bad)", method: .get, headers: bearer(token)).status == .badRequest, "\(bad)") }
            let other = String(buffer: try await client.execute(uri: day, method: .get, headers: bearer(maintainer)).body)
            #expect(!other.contains("<img ") && other.contains("thumbnails are here"))
        }
    }

    @Test("The player's page says that not all of it is footage, asks for it with one button and comes back, and lists the pictures")
    func player() async throws {
        var (made, pack) = try bench()
        made.store.otherTimeline = try await timeline(made.store)
        let bench = made
        let token = try await bench.signedIn()
        let camera = "/nodes/\(bench.store.node)/cameras/yard"
        try await bench.run { [pack] client async throws in
            let address = "\(camera)/play?from=\(start)&to=\(start + 360_000)"
            let page = String(buffer: try await client.execute(uri: address, method: .get, headers: bearer(token)).body)
            #expect(page.contains("They are marked as such, and are no evidence."))
            #expect(page.contains("small picture: the full one is lost"))
            #expect(page.matches(of: #/<img src=/#).count == 3 && !page.contains("{{") && !page.contains("id=\"coming\""))
            #expect(page.contains("<form method=\"post\" action=\"\(camera)/requests\"><input type=\"hidden\" name=\"from\" value=\"\(start + 240_000)\"><input type=\"hidden\" name=\"to\" value=\"\(start + 300_000)\">"))
            var form = bearer(token)
            form[.contentType] = "application/x-www-form-urlencoded"
            let body = "from=\(start + 240_000)&to=\(start + 300_000)&play_from=\(start)"
            #expect(try await client.execute(uri: camera + "/requests", method: .post, headers: form, body: ByteBuffer(string: body)).status == .badRequest)
            #expect(bench.store.asked.all.withLock { $0.isEmpty })
            let answer = try await client.execute(uri: camera + "/requests", method: .post, headers: form, body: ByteBuffer(string: "\(body)&play_to=\(start + 360_000)"))
            #expect(answer.status == .seeOther && answer.headers[.location] == address)
            #expect(bench.store.asked.all.withLock { $0.map(\.stream) } == [.main])
            let index = String(buffer: try await client.execute(uri: "\(camera)/play.json?from=\(start)&to=\(start + 360_000)", method: .get, headers: bearer(token)).body)
            #expect(index.contains("\"note\":\"small picture: the full one is lost\"") && index.contains("thumbnails/\(pack.sha256)/0.jpg"))
        }
    }

    @Test("In the index a proxy lies on its source's timeline and is marked; thumbnails follow one another through the time that has only them")
    func index() async throws {
        let (bench, _) = try bench()
        let timeline = try await timeline(bench.store)
        let thumbnails = [Thumbnail(unixMilliseconds: start + 5_000, address: "a"), Thumbnail(unixMilliseconds: start + 250_000, address: "b"), Thumbnail(unixMilliseconds: start + 270_000, address: "c")]
        let sorted = timeline.segments.sorted { $0.startUnixMilliseconds < $1.startUnixMilliseconds }
        var ordered = timeline
        ordered.segments = sorted
        let index = PlayIndex(ordered, thumbnails: thumbnails)
        #expect(index.segments.map(\.start) == [0, 60, 120, 300])
        #expect(index.segments.map(\.note) == [nil, nil, "small picture: the full one is lost", nil])
        #expect(index.segments.map(\.codec) == [0, 0, 1, 0])
        #expect(index.stills.map { "\($0.address) \($0.start) \($0.end)" } == ["b 240.0 270.0", "c 270.0 300.0"])
        #expect(index.stills.first?.note == "thumbnails: the full footage is on the node")
        // A picture shows what follows it, too: the segment's own first one, whose time is an estimate of its own, and the one of before.
        for (before, isShown) in [(1, true), (30_000, true), (90_000, true), (90_001, false)] {
            let early = Thumbnail(unixMilliseconds: start + 240_000 - Int64(before), address: "early")
            #expect(PlayIndex(ordered, thumbnails: [early]).stills.map { "\($0.address) \($0.start) \($0.end)" } == (isShown ? ["early 240.0 300.0"] : []))
            #expect(PlayIndex(ordered, thumbnails: [early, thumbnails[1]]).stills.map(\.start) == (isShown ? [240, 250] : [240]))
            let own = Thumbnail(unixMilliseconds: start + 240_002, address: "own")
            #expect(PlayIndex(ordered, thumbnails: [early, own]).stills.map { "\($0.address) \($0.start) \($0.end)" } == ["own 240.0 300.0"])
        }
        // A list for other players: a break and a header of its own for the proxy, and no hole where it is.
        let lines = Playlist(ordered, nowUnixMilliseconds: SmallStore.now).text { "\($0.stream.kind)\($0.sequence).mp4" }.split(separator: "\n").map(String.init)
        let proxy = try #require(lines.firstIndex(of: "#EXT-X-MAP:URI=\"proxy9.mp4\",BYTERANGE=\"1000@0\""))
        #expect(lines[proxy - 1] == "#EXT-X-DISCONTINUITY" && lines[proxy + 1] == "# small picture: not what the camera sent")
        #expect(lines.filter { $0 == "#EXT-X-GAP" }.count == 1 && lines.filter { $0 == "#EXT-X-DISCONTINUITY" }.count == 3)
    }
}
