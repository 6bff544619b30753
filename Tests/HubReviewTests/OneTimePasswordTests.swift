import HTTPTypes
import HubStore
import Hummingbird
import HummingbirdTesting
import NIOCore
import Testing

@testable import HubReview

@Suite struct OneTimePasswordTests {
    private func signIn(_ bench: Bench, _ password: String) async throws -> Accounts.SignIn {
        try await bench.accounts.signIn(name: "ben", password: password, address: "a", kind: .browser, nowUnixMilliseconds: bench.clock.now)
    }

    @Test(arguments: [false, true])
    func itIsGoodForThreeDays(isReset: Bool) async throws {
        let bench = try Bench()
        var password = try await bench.accounts.createUser(name: "ben", nowUnixMilliseconds: bench.clock.now)
        if isReset {
            bench.clock.advance(Accounts.oneTimeMilliseconds)
            #expect(try await signIn(bench, password) == .refused)
            password = try await bench.accounts.resetPassword(name: "ben", nowUnixMilliseconds: bench.clock.now)
        }
        bench.clock.advance(Accounts.oneTimeMilliseconds - 1_000)
        guard case .ok(let token, mustChangePassword: true) = try await signIn(bench, password) else { throw Missing() }
        #expect(try await bench.accounts.session(forToken: token, nowUnixMilliseconds: bench.clock.now) != nil)
        bench.clock.advance(1_000)
        #expect(try await signIn(bench, password) == .refused)
        #expect(try await bench.accounts.session(forToken: token, nowUnixMilliseconds: bench.clock.now) == nil)
    }

    @Test func itSetsOnePasswordAndNoSecond() async throws {
        let bench = try Bench()
        let password = try await bench.accounts.createUser(name: "ben", nowUnixMilliseconds: bench.clock.now)
        guard case .ok(let first, _) = try await signIn(bench, password), case .ok(let second, _) = try await signIn(bench, password) else { throw Missing() }
        await #expect(throws: Accounts.Fault.unfitPassword("The new password must not be the one-time password.")) {
            try await bench.accounts.setPassword(name: "ben", to: password, keeping: first, isOneTimeSpent: true)
        }
        try await bench.accounts.setPassword(name: "ben", to: "four random words", keeping: first, isOneTimeSpent: true)
        for token in [first, second] {
            await #expect(throws: Accounts.Fault.sessionOver) {
                try await bench.accounts.setPassword(name: "ben", to: "somebody else's words", keeping: token, isOneTimeSpent: true)
            }
        }
        #expect(try await signIn(bench, password) == .refused)
        guard case .ok(_, mustChangePassword: false) = try await signIn(bench, "four random words") else { throw Missing() }
    }

    @Test func whoKnocksWithoutEndFillsNoAudit() async throws {
        let bench = try Bench()
        _ = try await bench.signedIn()
        func knock(_ name: String, from address: String) async throws {
            _ = try await bench.accounts.signIn(name: name, password: "wrong", address: address, kind: .api, nowUnixMilliseconds: bench.clock.now)
        }
        func limited() async throws -> Int {
            try await bench.accounts.auditRecords(limit: 1_000).filter { $0.action == AuditRecord.Action.signInLimited.rawValue }.count
        }
        for number in 0..<100 { try await knock("anna", from: "10.0.0.\(number)") }
        #expect(try await limited() == 1)
        for number in 0..<100 { try await knock("user\(number)", from: "10.0.1.1") }
        #expect(try await limited() == 2)
        bench.clock.advance(60_000)
        for _ in 0..<100 { try await knock("anna", from: "10.0.0.1") }
        #expect(try await limited() == 3)
    }
}
