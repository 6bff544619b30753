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

@Suite struct RequestPageTests {
    private let start = SmallStore.day + 3_600_000

    private func headers(_ token: String, form: Bool = false) -> HTTPFields {
        var headers: HTTPFields = [.authorization: "Bearer \(token)"]
        if form { headers[.contentType] = "application/x-www-form-urlencoded" }
        return headers
    }

    @Test("The day's page asks the node for what is only there; it is written down before it happens, and the page of requests shows it")
    func askFromTheDay() async throws {
        let bench = try Bench()
        let token = try await bench.signedIn()
        let viewer = try await bench.signedIn("mike", role: .maintainer)
        let day = "/nodes/\(bench.store.node)/cameras/yard"
        try await bench.run { client async throws in
            let page = String(buffer: try await client.execute(uri: day + "?day=2026-11-21", method: .get, headers: headers(token)).body)
            #expect(page.contains("<form method=\"post\" action=\"\(day)/requests\"><input type=\"hidden\" name=\"from\" value=\"\(start + 240_000)\"><input type=\"hidden\" name=\"to\" value=\"\(start + 300_000)\">"))
            #expect(!String(buffer: try await client.execute(uri: day + "?day=2026-11-21", method: .get, headers: headers(viewer)).body).contains("Ask the node"))
            let body = ByteBuffer(string: "from=\(start + 240_000)&to=\(start + 300_000)")
            #expect(try await client.execute(uri: day + "/requests", method: .post, headers: headers(viewer, form: true), body: body).status == .forbidden)
            let answer = try await client.execute(uri: day + "/requests", method: .post, headers: headers(token, form: true), body: body)
            #expect(answer.status == .seeOther && answer.headers[.location] == day + "?day=2026-11-21")
            for bad in ["from=1", "from=a&to=b", "from=-1&to=2", "from=5&to=5", ""] {
                #expect(try await client.execute(uri: day + "/requests", method: .post, headers: headers(token, form: true), body: ByteBuffer(string: bad)).status == .badRequest, "\(bad)")
            }
            // Another site's page may not make the browser ask.
            var foreign = headers(token, form: true)
            foreign[.secFetchSite] = "cross-site"
            #expect(try await client.execute(uri: day + "/requests", method: .post, headers: foreign, body: body).status == .forbidden)
            let list = String(buffer: try await client.execute(uri: "/requests", method: .get, headers: headers(token)).body)
            #expect(list.contains("1 of 3 segments on the hub, 1 lost, 38.2 MB only on the node") && list.contains("action=\"/requests/1/withdraw\""))
            #expect(list.contains("north &lt;b&gt;gate") && !list.contains("{{"))
            #expect(!String(buffer: try await client.execute(uri: "/requests", method: .get, headers: headers(viewer)).body).contains("/withdraw"))
            #expect(try await client.execute(uri: "/requests/1/withdraw", method: .post, headers: headers(token)).status == .seeOther)
            #expect(String(buffer: try await client.execute(uri: "/requests", method: .get, headers: headers(token)).body).contains("withdrawn just now by anna"))
        }
        let audit = try await bench.accounts.auditRecords().map { "\($0.user) \($0.action) \($0.object)" }
        #expect(audit.contains("anna request-footage pull \(bench.store.node)/yard/main \(start + 240_000)-\(start + 300_000) "))
        #expect(audit.contains("anna withdraw-request 1 pull \(bench.store.node)/yard \(start + 240_000)-\(start + 300_000)"))
        #expect(!audit.contains { $0.hasPrefix("mike request") })
    }

    @Test("A hold is asked for with its reason, answered as it was taken, and withdrawn once")
    func hold() async throws {
        let bench = try Bench()
        let token = try await bench.signedIn()
        let new = NewFootageRequest(kind: .hold, camera: bench.store.camera, stream: .main, startUnixMilliseconds: start, endUnixMilliseconds: start + 1_000, reason: "case 12")
        try await bench.run { client async throws in
            let body = ByteBuffer(bytes: Array(try JSONEncoder().encode(new)))
            let answer = try await client.execute(uri: "/api/v1/nodes/\(bench.store.node)/requests", method: .post, headers: headers(token), body: body)
            let request = try JSONDecoder().decode(FootageRequest.self, from: Data(answer.body.readableBytesView))
            #expect(request.kind == .hold && request.reason == "case 12" && request.user == "anna" && request.stream == .main && request.state == .open)
            let withdrawn = try await client.execute(uri: "/api/v1/requests/\(request.id)", method: .delete, headers: headers(token))
            #expect(try JSONDecoder().decode(FootageRequest.self, from: Data(withdrawn.body.readableBytesView)).endedBy == "anna")
            #expect(try await client.execute(uri: "/api/v1/requests/\(request.id)", method: .delete, headers: headers(token)).status == .conflict)
            let list = try await client.execute(uri: "/api/v1/requests", method: .get, headers: headers(token))
            #expect(try JSONDecoder().decode(FootageRequestList.self, from: Data(list.body.readableBytesView)).requests.isEmpty)
        }
    }

    @Test("The sync page puts who needs attention first, escapes what a node says, and goes on from page to page")
    func syncPage() async throws {
        var bench = try Bench()
        let now = SmallStore.now
        var inputs = SyncReport.Inputs(now: WallEstimate(unixMilliseconds: now, source: .ntp, uncertaintyMilliseconds: 1))
        inputs.backlog = [.init(footageClass: .event, segments: 2, bytes: 4_000_000, durationMilliseconds: 120_000, oldestUnixMilliseconds: now - 3_600_000)]
        func status(_ number: Int, _ presence: NodeSyncStatus.Presence, _ report: SyncReport?) throws -> NodeSyncStatus {
            NodeSyncStatus(
                node: NodeID(keyHash: .sha256([UInt8(number)])), name: "node <\(number)>", state: .active, presence: presence, lastContactUnixMilliseconds: now - 7_200_000,
                expectedByUnixMilliseconds: now - 3_600_000, announcedContactUnixMilliseconds: nil, contactSecondsLastDay: 600, contactSecondsLast7Days: 4_200, report: report,
                reportAgeSeconds: 7_200, openRequests: 3)
        }
        let quiet = try (0..<120).map { try status($0, .quiet, nil) }
        let late = try status(200, .late, SyncReport(inputs))
        bench.store.otherSync = (quiet + [late]).sorted(by: NodeSyncStatus.isBefore)
        let token = try await bench.signedIn("mike", role: .maintainer)
        try await bench.run { [bench] client async throws in
            let page = String(buffer: try await client.execute(uri: "/sync", method: .get, headers: headers(token)).body)
            #expect(page.contains("121 nodes, 1 needs attention") && page.contains("as of 2 h 0 min ago") && page.contains("events: 4.0 MB, 2 min"))
            let first = try #require(page.range(of: "node &lt;200&gt;")), second = try #require(page.range(of: "node &lt;0&gt;"))
            #expect(first.lowerBound < second.lowerBound)
            #expect(page.contains("3 open requests") && !page.contains("{{"))
            let last = try #require(bench.store.otherSync?[99].node)
            #expect(page.contains("/sync?after=\(last)"))
            let next = String(buffer: try await client.execute(uri: "/sync?after=\(last)", method: .get, headers: headers(token)).body)
            #expect(next.components(separatedBy: "<tr>").count - 2 == 21)
            #expect(try await client.execute(uri: "/sync?after=1", method: .get, headers: headers(token)).status == .badRequest)
            let list = try await client.execute(uri: "/api/v1/sync", method: .get, headers: headers(token))
            #expect(try JSONDecoder().decode(SyncStatusList.self, from: Data(list.body.readableBytesView)).nodes == bench.store.otherSync)
        }
    }
}
