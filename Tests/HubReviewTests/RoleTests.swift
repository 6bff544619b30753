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

/// Every route, for everybody, on what exists and on what does not.
@Suite struct RoleTests {
    private struct Row {
        var method: HTTPRequest.Method = .get
        var address: String
        var body = ""
        /// For nobody in particular, for a maintainer without the right to see footage, for an administrator.
        var expected: [Int]
    }

    private func rows(_ bench: Bench) -> [Row] {
        let start = SmallStore.day + 3_600_000
        let window = "?from=\(start)&to=\(start + 1_000)"
        let node = "/nodes/\(bench.store.node)"
        let stranger = "/nodes/\(String(repeating: "cd", count: 32))"
        let hash = bench.store.records[0].sha256
        let unknown = ContentHash.sha256([9])
        func proof(_ sequence: Int) -> String { "{\"segments\":[{\"stream\":\"yard/main\",\"sequence\":\(sequence)}]}" }
        func pull(_ camera: String, length: Int64 = 1_000) -> String {
            "{\"kind\":\"pull\",\"camera\":\"\(camera)\",\"startUnixMilliseconds\":\(start),\"endUnixMilliseconds\":\(start + length)}"
        }
        var rows = [
            Row(address: "/healthz", expected: [200, 200, 200]), Row(address: "/favicon.ico", expected: [204, 204, 204]),
            Row(address: "/sign-in", expected: [200, 303, 303]), Row(address: "/set-password", expected: [303, 200, 200]),
            Row(address: "/metrics", expected: [401, 200, 200]), Row(address: "/", expected: [303, 200, 200]),
            Row(address: node, expected: [303, 200, 200]), Row(address: stranger, expected: [303, 404, 404]),
            Row(address: "\(node)/cameras/yard?day=2026-11-21", expected: [303, 200, 200]),
            Row(address: "\(node)/cameras/barn?day=2026-11-21", expected: [303, 404, 404]),
            Row(address: "\(stranger)/cameras/yard?day=2026-11-21", expected: [303, 404, 404]),
            Row(address: "/api/v1/hub", expected: [401, 200, 200]), Row(address: "/api/v1/nodes", expected: [401, 200, 200]),
            Row(address: "/api/v1\(node)/cameras/yard/timeline\(window)", expected: [401, 200, 200]),
            Row(address: "/api/v1\(node)/cameras/barn/timeline\(window)", expected: [401, 404, 404]),
            Row(address: "/api/v1/segments/\(hash)?node=\(bench.store.node)&camera=yard", expected: [401, 403, 200]),
            Row(address: "/api/v1/segments/\(hash)?node=\(bench.store.node)&camera=barn", expected: [401, 403, 404]),
            Row(address: "/api/v1/segments/\(unknown)?node=\(bench.store.node)&camera=yard", expected: [401, 403, 404]),
            Row(method: .post, address: "/api/v1\(node)/proof", body: proof(0), expected: [401, 403, 200]),
            Row(method: .post, address: "/api/v1\(node)/proof", body: proof(77), expected: [401, 403, 404]),
            Row(method: .post, address: "/api/v1\(stranger)/proof", body: proof(0), expected: [401, 403, 404]),
            Row(address: "/sync", expected: [303, 200, 200]), Row(address: "/requests", expected: [303, 200, 200]),
            Row(address: "/api/v1/sync", expected: [401, 200, 200]), Row(address: "/api/v1\(node)/sync", expected: [401, 200, 200]),
            Row(address: "/api/v1\(stranger)/sync", expected: [401, 404, 404]), Row(address: "/api/v1/requests?ended=1", expected: [401, 200, 200]),
            Row(address: "/api/v1/requests?ended=2", expected: [401, 400, 400]), Row(address: "/api/v1/requests?node=x", expected: [401, 400, 400]),
            Row(method: .post, address: "/api/v1\(node)/requests", body: pull("yard"), expected: [401, 403, 200]),
            Row(method: .post, address: "/api/v1\(node)/requests", body: pull("barn"), expected: [401, 403, 404]),
            Row(method: .post, address: "/api/v1\(stranger)/requests", body: pull("yard"), expected: [401, 403, 404]),
            Row(method: .post, address: "/api/v1\(node)/requests", body: pull("yard", length: -1), expected: [401, 403, 400]),
            Row(method: .post, address: "/api/v1\(node)/requests", body: "{}", expected: [401, 400, 400]),
            Row(method: .delete, address: "/api/v1/requests/1", expected: [401, 403, 200]), Row(method: .delete, address: "/api/v1/requests/99", expected: [401, 403, 404]),
            Row(method: .delete, address: "/api/v1/requests/x", expected: [401, 403, 404]), Row(method: .post, address: "/requests/1/withdraw", expected: [303, 403, 409]),
            Row(address: "/hls/00.00/index.m3u8", expected: [403, 403, 403]), Row(address: "/hls/00.00/\(hash).mp4", expected: [403, 403, 403]),
            // Last, since they end the session.
            Row(method: .post, address: "/api/v1/session/end", expected: [204, 204, 204]), Row(method: .post, address: "/sign-out", expected: [303, 303, 303]),
        ]
        for page in ["play", "play.json", "index.m3u8"] {
            rows.insert(Row(address: "\(node)/cameras/yard/\(page)\(window)", expected: [303, 403, 200]), at: 0)
            rows.insert(Row(address: "\(node)/cameras/barn/\(page)\(window)", expected: [303, 403, 404]), at: 0)
        }
        return rows
    }

    @Test func everyRouteAnswersEveryRoleAsIntended() async throws {
        let bench = try Bench()
        let tokens = [nil, try await bench.signedIn("mike", role: .maintainer), try await bench.signedIn()]
        let rows = rows(bench)
        try await bench.run { client async throws in
            for row in rows {
                for (token, expected) in zip(tokens, row.expected) {
                    let headers: HTTPFields = token.map { [.authorization: "Bearer \($0)"] } ?? [:]
                    let answer = try await client.execute(uri: row.address, method: row.method, headers: headers, body: ByteBuffer(string: row.body))
                    #expect(answer.status.code == expected, "\(row.method) \(row.address) \(token == nil ? "anonymous" : "with a session")")
                }
            }
        }
    }

    @Test func theHubSaysWhoItIs() async throws {
        let bench = try Bench()
        let token = try await bench.signedIn()
        try await bench.run { client async throws in
            let answer = try await client.execute(uri: "/api/v1/hub", method: .get, headers: [.authorization: "Bearer \(token)"])
            let object = try JSONDecoder().decode([String: String].self, from: Data(answer.body.readableBytesView))
            #expect(object == ["hub": bench.store.hub.description, "hubKey": bench.store.hubKey.text])
        }
    }

    @Test func metricsAreForThisMachineAndForPeopleWithASession() async throws {
        let bench = try Bench()
        let token = try await bench.signedIn("mike", role: .maintainer)
        try await bench.run(.live) { client async throws in
            let answer = try await client.execute(uri: "/metrics", method: .get)
            #expect(answer.status == .ok)
            #expect(answer.headers[.contentType]?.hasPrefix("text/plain; version=0.0.4") == true)
            #expect(String(buffer: answer.body).contains("# TYPE fieldpost_pushes counter\nfieldpost_pushes 3\n"))
        }
        // Without a network nobody comes from this machine.
        try await bench.run { client async throws in
            let answer = try await client.execute(uri: "/metrics", method: .get)
            #expect(answer.status == .unauthorized)
            #expect(!String(buffer: answer.body).contains("fieldpost_pushes"))
            #expect(try await client.execute(uri: "/metrics", method: .get, headers: [.authorization: "Bearer \(token)"]).status == .ok)
        }
    }
}
