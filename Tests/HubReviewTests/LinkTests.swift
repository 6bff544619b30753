import Foundation
import GRDB
import HTTPTypes
import HubStore
import Hummingbird
import HummingbirdTesting
import RecordingModel
import Testing

@testable import HubReview

/// A link to footage needs no cookie, so that it must end with everything that a cookie would end with.
@Suite struct LinkTests {
    enum Event: CaseIterable { case signOut, resetPassword, ownPassword, removal, lostRight }

    private func link(_ bench: Bench, _ token: String, _ client: any TestClientProtocol) async throws -> String {
        let start = SmallStore.day + 3_600_000
        let page = try await client.execute(
            uri: "/nodes/\(bench.store.node)/cameras/yard/play?from=\(start)&to=\(start + 360_000)", method: .get, headers: [.authorization: "Bearer \(token)"])
        return String(try #require(String(buffer: page.body).firstMatch(of: /href="(\/hls\/[^"]+)\/index\.m3u8"/)).1)
    }

    @Test(arguments: Event.allCases)
    func aLinkEndsWithItsMakersSession(event: Event) async throws {
        let bench = try Bench()
        let text = try await bench.signedIn()
        let token = try #require(SessionToken(text))
        let hash = bench.store.records[0].sha256
        try await bench.run { client async throws in
            let link = try await link(bench, text, client)
            let addresses = ["\(link)/index.m3u8", "\(link)/\(hash).mp4"]
            for address in addresses { #expect(try await client.execute(uri: address, method: .get).status == .ok) }
            switch event {
            case .signOut: try await bench.accounts.signOut(token)
            case .resetPassword: _ = try await bench.accounts.resetPassword(name: "anna", nowUnixMilliseconds: bench.clock.now)
            case .ownPassword: try await bench.accounts.setPassword(name: "anna", to: "quite another phrase")
            case .removal: try await bench.database.write { try $0.execute(sql: "DELETE FROM user WHERE name = 'anna'") }
            case .lostRight: try await bench.database.write { try $0.execute(sql: "UPDATE user SET role = 'maintainer'") }
            }
            for address in addresses { #expect(try await client.execute(uri: address, method: .get).status == .forbidden, "\(event)") }
        }
    }

    @Test func aLinkPlaysOnWhenItsBrowserRests() async throws {
        let bench = try Bench()
        _ = try await bench.signedIn()
        guard case .ok(let token, _) = try await bench.accounts.signIn(
            name: "anna", password: "four random words here", address: "a", kind: .browser, nowUnixMilliseconds: bench.clock.now)
        else { throw Missing() }
        let reference = token.reference
        func isGood(after milliseconds: Int64) async throws -> Bool {
            try await bench.accounts.session(forReference: reference, of: "anna", nowUnixMilliseconds: bench.clock.now + milliseconds) != nil
        }
        #expect(try await bench.accounts.session(forToken: token, nowUnixMilliseconds: bench.clock.now + 2 * 3_600_000) == nil)
        #expect(try await isGood(after: 2 * 3_600_000))
        #expect(try await !isGood(after: 12 * 3_600_000))
        #expect(try await bench.accounts.session(forReference: reference, of: "ben", nowUnixMilliseconds: bench.clock.now) == nil)
    }
}
