import EvidenceLog
import Foundation
import HTTPTypes
import HubStore
import Hummingbird
import HummingbirdTesting
import NIOCore
import RecordingModel
import Testing

@testable import HubReview

@Suite struct RouteTests {
    private let start = SmallStore.day + 3_600_000

    private func bearer(_ token: String) -> HTTPFields { [.authorization: "Bearer \(token)"] }

    @Test func everyAnswerCarriesTheStrictPolicy() async throws {
        let bench = try Bench()
        let token = try await bench.signedIn()
        try await bench.run { client async throws in
            for address in ["/", "/sign-in", "/nothing", "/api/v1/nodes", "/nodes/\(bench.store.node)", "/healthz", "/set-password"] {
                let answer = try await client.execute(uri: address, method: .get, headers: bearer(token))
                #expect(answer.headers[.contentSecurityPolicy] == SecurityHeaders.contentSecurityPolicy, "\(address)")
                #expect(answer.headers[.xContentTypeOptions] == "nosniff")
                #expect(answer.headers[.referrerPolicy] == "no-referrer")
                let page = String(buffer: answer.body)
                #expect(!page.contains("style=\"") && !page.contains("<script>") && !page.contains("onclick"), "\(address)")
                #expect(!page.contains("{{"), "\(address)")
            }
        }
    }

    @Test func nothingButSignInAndHealthOpensWithoutASession() async throws {
        let bench = try Bench()
        let base = "/nodes/\(bench.store.node)/cameras/yard"
        let window = "?from=\(start)&to=\(start + 1_000)"
        try await bench.run { client async throws in
            for address in ["/", "/nodes/\(bench.store.node)", base, base + "/play" + window, base + "/play.json" + window, base + "/index.m3u8" + window] {
                #expect(try await client.execute(uri: address, method: .get).status == .seeOther, "\(address)")
            }
            let hash = bench.store.records[0].sha256
            for address in ["/api/v1/nodes", "/api/v1\(base)/timeline\(window)", "/api/v1/segments/\(hash)?node=\(bench.store.node)&camera=yard", "/metrics"] {
                let answer = try await client.execute(uri: address, method: .get)
                #expect(answer.status == .unauthorized, "\(address)")
                #expect(answer.headers[.contentType] == "application/problem+json")
            }
            #expect(try await client.execute(uri: "/api/v1/nodes/\(bench.store.node)/proof", method: .post).status == .unauthorized)
            #expect(try await client.execute(uri: "/healthz", method: .get).status == .ok)
        }
    }

    @Test func nothingAClientSendsMakesAServerError() async throws {
        let bench = try Bench()
        let token = try await bench.signedIn()
        let base = "/nodes/\(bench.store.node)/cameras/yard"
        let addresses = [
            "/nodes/x", "/nodes/..%2f..", "/nodes/\(bench.store.node)/cameras/%2e%2e", base + "?day=2026-02-30", base + "?day=", base + "?day=0000-01-01",
            base + "/play", base + "/play?from=1", base + "/play?from=2&to=1", base + "/play?from=0&to=999999999999", base + "/play?from=-1&to=2",
            base + "/play?from=1&from=2&to=3", base + "/play.json?from=99999999999999999999&to=1", base + "/index.m3u8?from=0&to=99999999",
            "/api/v1/segments/abc?node=1&camera=2", "/api/v1/segments/\(String(repeating: "f", count: 64))?node=\(bench.store.node)&camera=..",
            "/?sort=size", "/?after=1", "/?search=%ff%00", "/?search=%", "/assets/x/style.css", "/hls/x/index.m3u8", "/hls/a.b/c.mp4", "/sign-in?next=%zz",
        ]
        try await bench.run { client async throws in
            for address in addresses {
                let answer = try await client.execute(uri: address, method: .get, headers: bearer(token))
                #expect((400..<500).contains(answer.status.code), "\(address): \(answer.status)")
            }
            for body in ["", "{", "[]", "{\"segments\":[]}", "{\"segments\":[{\"stream\":\"../x\",\"sequence\":1}]}", "{\"segments\":1}"] {
                let answer = try await client.execute(
                    uri: "/api/v1/nodes/\(bench.store.node)/proof", method: .post, headers: bearer(token), body: ByteBuffer(string: body))
                #expect(answer.status == .badRequest, "\(body): \(answer.status)")
            }
            let large = ByteBuffer(repeating: UInt8(ascii: "a"), count: 20_000)
            #expect(try await client.execute(uri: "/api/v1/session", method: .post, body: large).status == .contentTooLarge)
        }
    }

    @Test func aDayShowsEveryStateInWordsAndEscapesWhatANodeSays() async throws {
        let bench = try Bench()
        let token = try await bench.signedIn()
        try await bench.run { client async throws in
            let answer = try await client.execute(uri: "/nodes/\(bench.store.node)/cameras/yard?day=2026-11-21", method: .get, headers: bearer(token))
            #expect(answer.status == .ok)
            let page = String(buffer: answer.body)
            #expect(page.contains("power cut or killed process: &lt;i&gt;dark&lt;/i&gt;"))
            #expect(!page.contains("<i>dark"))
            for word in ["on the hub", "only on the node", "not recorded", "unknown", "lost", "on its way", "requested"] { #expect(page.contains(word)) }
            #expect(page.contains("data-play href=\"/nodes/\(bench.store.node)/cameras/yard/play?from=\(start)&amp;to=\(start + 360_000)\""))
        }
    }

    @Test func aSegmentComesWholeInPartsOrNotAtAll() async throws {
        let bench = try Bench()
        let token = try await bench.signedIn()
        let record = bench.store.records[1]
        let bytes = try #require(bench.store.contents[record.sha256])
        let address = "/api/v1/segments/\(record.sha256)?node=\(bench.store.node)&camera=yard"
        try await bench.run { client async throws in
            let whole = try await client.execute(uri: address, method: .get, headers: bearer(token))
            #expect(whole.status == .ok)
            #expect(Array(whole.body.readableBytesView) == bytes)
            #expect(whole.headers[.eTag] == "\"\(record.sha256)\"")
            #expect(whole.headers[.cacheControl]?.contains("immutable") == true)

            for (range, expected) in [("bytes=0-999", 0..<1_000), ("bytes=1000-", 1_000..<5_000), ("bytes=-10", 4_990..<5_000), ("bytes=4999-9000", 4_999..<5_000)] {
                var headers = bearer(token)
                headers[.range] = range
                let part = try await client.execute(uri: address, method: .get, headers: headers)
                #expect(part.status == .partialContent)
                #expect(Array(part.body.readableBytesView) == Array(bytes[expected]), "\(range)")
                #expect(part.headers[.contentRange] == "bytes \(expected.lowerBound)-\(expected.upperBound - 1)/5000")
            }
            var headers = bearer(token)
            headers[.range] = "bytes=5000-"
            #expect(try await client.execute(uri: address, method: .get, headers: headers).status == .rangeNotSatisfiable)
            headers = bearer(token)
            headers[.ifNoneMatch] = "\"\(record.sha256)\""
            #expect(try await client.execute(uri: address, method: .get, headers: headers).status == .notModified)
            let other = "/api/v1/segments/\(record.sha256)?node=\(bench.store.node)&camera=other"
            #expect(try await client.execute(uri: other, method: .get, headers: bearer(token)).status == .notFound)
        }
        let seen = try await bench.accounts.auditRecords().filter { $0.action == AuditRecord.Action.viewSegment.rawValue }
        #expect(!seen.isEmpty)
        #expect(seen.allSatisfy { $0.user == "anna" && $0.object.contains("yard/main/1") })
    }

    @Test func aMaintainerSeesStatesButNoFootage() async throws {
        let bench = try Bench()
        let token = try await bench.signedIn("mike", role: .maintainer)
        let base = "/nodes/\(bench.store.node)/cameras/yard"
        let window = "?from=\(start)&to=\(start + 1_000)"
        try await bench.run { client async throws in
            #expect(try await client.execute(uri: base + "?day=2026-11-21", method: .get, headers: bearer(token)).status == .ok)
            let hash = bench.store.records[0].sha256
            for address in [base + "/play" + window, base + "/play.json" + window, base + "/index.m3u8" + window, "/api/v1/segments/\(hash)?node=\(bench.store.node)&camera=yard"] {
                #expect(try await client.execute(uri: address, method: .get, headers: bearer(token)).status == .forbidden, "\(address)")
            }
        }
    }

    @Test func thePlayerPageHoldsWhatThePlayerNeeds() async throws {
        let bench = try Bench()
        let token = try await bench.signedIn()
        let window = "?from=\(start)&to=\(start + 360_000)"
        try await bench.run { client async throws in
            let answer = try await client.execute(uri: "/nodes/\(bench.store.node)/cameras/yard/play\(window)", method: .get, headers: bearer(token))
            let page = String(buffer: answer.body)
            #expect(page.contains("data-segment-starts=\"[0.0,60.0,300.0]\""))
            let script = try #require(page.firstMatch(of: /src="(\/assets\/[0-9a-f]{16}\/player\.js)"/)).1
            let asset = try await client.execute(uri: String(script), method: .get)
            #expect(asset.status == .ok)
            #expect(asset.body.readableBytes < 25_000)
            #expect(asset.headers[.cacheControl]?.contains("immutable") == true)

            // The list that it links to plays without a session, and only it.
            let link = try #require(page.firstMatch(of: /href="(\/hls\/[^"]+)\/index\.m3u8"/)).1
            let list = try await client.execute(uri: "\(link)/index.m3u8", method: .get)
            #expect(list.status == .ok)
            #expect(String(buffer: list.body).contains("#EXT-X-ENDLIST"))
            let hash = bench.store.records[0].sha256
            #expect(try await client.execute(uri: "\(link)/\(hash).mp4", method: .get).status == .ok)
            #expect(try await client.execute(uri: "\(link)/\(ContentHash.sha256([9])).mp4", method: .get).status == .notFound)
            #expect(try await client.execute(uri: "\(link.dropLast())\(link.hasSuffix("0") ? 1 : 0)/index.m3u8", method: .get).status == .forbidden)
            bench.clock.advance(Capability.lifetimeMilliseconds)
            #expect(try await client.execute(uri: "\(link)/index.m3u8", method: .get).status == .forbidden)
        }
    }
}
