import HTTPTypes
import HubStore
import Hummingbird

extension ReviewService {
    private struct SessionRequest: Decodable {
        var user: String
        var password: String
        /// Set at the same time as signing in with a one-time password.
        var newPassword: String?
    }

    private struct SessionAnswer: Encodable {
        var token: String
    }

    func addSessionRoutes(to router: some RouterMethods<ReviewContext>) {
        router.post("api/v1/session") { [self] request, context in
            let asked = try await request.json(SessionRequest.self, upTo: ReviewLimits.sessionBytes)
            let (token, mustChange) = try await signIn(name: asked.user, password: asked.password, kind: .api, context: context)
            if mustChange {
                guard let newPassword = asked.newPassword else {
                    try await accounts.signOut(token)
                    throw Problem(
                        .forbidden, "This password was for one sign-in. Send newPassword with it, or set a password on the hub's page.",
                        code: "password-change-required")
                }
                do {
                    try await changePassword(of: asked.user, to: newPassword, keeping: token, isOneTimeSpent: true, context: context)
                } catch {
                    // Nobody has this token yet, and nobody will get it.
                    try await accounts.signOut(token)
                    throw error
                }
            }
            return try Response.json(SessionAnswer(token: token.text))
        }
        router.post("api/v1/session/end") { [self] _, context in
            if let token = context.token { try await accounts.signOut(token) }
            return Response(status: .noContent)
        }
    }

    /// Signs in or throws the refusal: the same for a wrong name and a wrong password.
    func signIn(name: String, password: String, kind: Session.Kind, context: ReviewContext) async throws -> (token: SessionToken, mustChange: Bool) {
        switch try await accounts.signIn(name: name, password: password, address: context.address, kind: kind, nowUnixMilliseconds: now) {
        case .ok(let token, let mustChange):
            return (token, mustChange)
        case .refused:
            throw Problem(.unauthorized, "The name or the password is wrong.", code: "refused")
        case .tooMany(let seconds):
            throw Problem(.tooManyRequests, "Too many tries. Wait \(seconds) s and try again.", retryAfterSeconds: seconds)
        case .busy:
            throw Problem(.serviceUnavailable, "Many people are signing in. Try again in a minute.", retryAfterSeconds: 60)
        }
    }

    func changePassword(of name: String, to password: String, keeping token: SessionToken?, isOneTimeSpent: Bool, context: ReviewContext) async throws {
        do {
            try await accounts.setPassword(name: name, to: password, keeping: token, isOneTimeSpent: isOneTimeSpent)
        } catch Accounts.Fault.unfitPassword(let sentence) {
            throw Problem(.unprocessableContent, sentence, field: "new_password")
        } catch Accounts.Fault.sessionOver {
            throw Problem(.unauthorized, "This session is over. Sign in again.")
        } catch Accounts.Fault.busy {
            throw Problem(.serviceUnavailable, "The hub is busy with sign-ins. Try again in a minute.", retryAfterSeconds: 60)
        }
        try await accounts.record(user: name, address: context.address, action: .setPassword, object: name, nowUnixMilliseconds: now)
    }

    /// Writes down who did what, before it happens.
    func audit(_ action: AuditRecord.Action, _ object: String, context: ReviewContext) async throws {
        let user = try context.requireSession().user
        try await accounts.record(user: user, address: context.address, action: action, object: object, nowUnixMilliseconds: now)
    }
}
