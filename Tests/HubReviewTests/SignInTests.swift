import GRDB
import HTTPTypes
import HubStore
import Hummingbird
import HummingbirdTesting
import NIOCore
import Testing

@testable import HubReview

@Suite struct SignInTests {
    private let form: HTTPFields = [.contentType: "application/x-www-form-urlencoded"]

    @Test func aOneTimePasswordLeadsToAPasswordOfOnesOwnAndThenToTheNodes() async throws {
        let bench = try Bench()
        let password = try await bench.accounts.createUser(name: "anna", nowUnixMilliseconds: bench.clock.now)
        try await bench.run { [form] client async throws in
            let first = try await client.execute(uri: "/", method: .get)
            #expect(first.status == .seeOther)
            #expect(first.headers[.location] == "/sign-in?next=%2F")

            let signIn = try await client.execute(uri: "/sign-in", method: .post, headers: form, body: ByteBuffer(string: "user=anna&password=\(password)"))
            #expect(signIn.headers[.location] == "/set-password")
            let cookie = try #require(signIn.headers[.setCookie])
            #expect(cookie.hasPrefix("__Host-fieldpost="))
            for attribute in ["Path=/", "Secure", "HttpOnly", "SameSite=Strict"] { #expect(cookie.contains(attribute)) }
            let sent = try #require(cookie.split(separator: ";").first).description

            let early = try await client.execute(uri: "/", method: .get, headers: [.cookie: sent])
            #expect(early.headers[.location] == "/set-password")

            var headers = form
            headers[.cookie] = sent
            let short = try await client.execute(uri: "/set-password", method: .post, headers: headers, body: ByteBuffer(string: "new_password=short&new_password_again=short"))
            #expect(short.status == .unprocessableContent)
            let set = try await client.execute(
                uri: "/set-password", method: .post, headers: headers, body: ByteBuffer(string: "new_password=four+random+words&new_password_again=four+random+words"))
            #expect(set.headers[.location] == "/")

            let nodes = try await client.execute(uri: "/", method: .get, headers: [.cookie: sent])
            #expect(nodes.status == .ok)
            let page = String(buffer: nodes.body)
            #expect(page.contains("<table id=\"nodes\">"))
            #expect(page.contains("north &lt;b&gt;gate&lt;/b&gt;"))
            #expect(page.contains("38.2 MB, 1.5 h"))

            _ = try await client.execute(uri: "/sign-out", method: .post, headers: headers)
            #expect(try await client.execute(uri: "/", method: .get, headers: [.cookie: sent]).status == .seeOther)
        }
    }

    @Test func aWrongNameAndAWrongPasswordGetTheSameAnswer() async throws {
        let bench = try Bench()
        _ = try await bench.signedIn()
        try await bench.run { client async throws in
            var answers: [String] = []
            for user in ["anna", "nobody"] {
                let answer = try await client.execute(
                    uri: "/api/v1/session", method: .post, body: ByteBuffer(string: "{\"user\":\"\(user)\",\"password\":\"wrong\"}"))
                #expect(answer.status == .unauthorized)
                answers.append(String(buffer: answer.body))
            }
            #expect(answers[0] == answers[1])
        }
    }

    @Test func theSixthTryInAMinuteIsRefusedAndAfterAMinuteItIsNot() async throws {
        let bench = try Bench()
        _ = try await bench.signedIn()
        try await bench.run { client async throws in
            let wrong = ByteBuffer(string: "{\"user\":\"anna\",\"password\":\"wrong\"}")
            for _ in 0..<5 { #expect(try await client.execute(uri: "/api/v1/session", method: .post, body: wrong).status == .unauthorized) }
            let right = ByteBuffer(string: "{\"user\":\"anna\",\"password\":\"four random words here\"}")
            let sixth = try await client.execute(uri: "/api/v1/session", method: .post, body: right)
            #expect(sixth.status == .tooManyRequests)
            #expect(sixth.headers[.retryAfter] == "60")
            bench.clock.advance(60_000)
            #expect(try await client.execute(uri: "/api/v1/session", method: .post, body: right).status == .ok)
        }
    }

    @Test func anAddressMayTryTwentyTimesAMinuteOverAllNames() async throws {
        let bench = try Bench()
        try await bench.run { client async throws in
            for number in 0..<20 {
                let body = ByteBuffer(string: "{\"user\":\"user\(number)\",\"password\":\"wrong\"}")
                #expect(try await client.execute(uri: "/api/v1/session", method: .post, body: body).status == .unauthorized)
            }
            let body = ByteBuffer(string: "{\"user\":\"another\",\"password\":\"wrong\"}")
            #expect(try await client.execute(uri: "/api/v1/session", method: .post, body: body).status == .tooManyRequests)
        }
    }

    @Test func sessionsEndAfterHalfAnHourOfRest() async throws {
        let bench = try Bench()
        _ = try await bench.signedIn()
        guard case .ok(let token, _) = try await bench.accounts.signIn(
            name: "anna", password: "four random words here", address: "a", kind: .browser, nowUnixMilliseconds: bench.clock.now)
        else { throw Missing() }
        #expect(try await bench.accounts.session(forToken: token, nowUnixMilliseconds: bench.clock.now + 29 * 60_000) != nil)
        #expect(try await bench.accounts.session(forToken: token, nowUnixMilliseconds: bench.clock.now + 60 * 60_000) == nil)
    }

    @Test func signingInForTheAPIWithAOneTimePasswordNeedsANewOne() async throws {
        let bench = try Bench()
        let password = try await bench.accounts.createUser(name: "ben", nowUnixMilliseconds: bench.clock.now)
        try await bench.run { client async throws in
            let without = try await client.execute(
                uri: "/api/v1/session", method: .post, body: ByteBuffer(string: "{\"user\":\"ben\",\"password\":\"\(password)\"}"))
            #expect(without.status == .forbidden)
            #expect(String(buffer: without.body).contains("password-change-required"))
            let with = try await client.execute(
                uri: "/api/v1/session", method: .post,
                body: ByteBuffer(string: "{\"user\":\"ben\",\"password\":\"\(password)\",\"newPassword\":\"four random words\"}"))
            #expect(with.status == .ok)
        }
    }

    @Test func aFormFromAnotherSiteIsRefused() async throws {
        let bench = try Bench()
        try await bench.run { [form] client async throws in
            var headers = form
            headers[.secFetchSite] = "cross-site"
            #expect(try await client.execute(uri: "/sign-in", method: .post, headers: headers, body: ByteBuffer(string: "user=a&password=b")).status == .forbidden)
            headers = form
            headers[.origin] = "https://elsewhere.example"
            #expect(try await client.execute(uri: "/sign-in", method: .post, headers: headers, body: ByteBuffer(string: "user=a&password=b")).status == .forbidden)
        }
    }

    @Test(arguments: ["//evil.example", "https://evil.example", "/\\evil", "x", "/sign-in", "/a\r\nb", ""])
    func afterSignInOneStaysOnThisHub(next: String) {
        #expect(ReviewService.safeNext(next) == "/")
    }
}
