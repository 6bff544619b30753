import HTTPTypes
import HubStore
import Hummingbird

/// Finds out who asks: by cookie (a browser) or bearer token (the command line). It refuses nobody.
struct Authentication: RouterMiddleware {
    typealias Context = ReviewContext
    static let cookieName = "__Host-fieldpost"
    let accounts: Accounts
    let clock: @Sendable () -> Int64

    func handle(_ request: Request, context: ReviewContext, next: (Request, ReviewContext) async throws -> Response) async throws -> Response {
        var context = context
        let bearer = Self.bearerToken(request)
        let kind: Session.Kind = bearer == nil ? .browser : .api
        if let token = bearer ?? request.cookies[Self.cookieName].flatMap({ SessionToken($0.value) }),
            let session = try await accounts.session(forToken: token, nowUnixMilliseconds: clock()), session.kind == kind {
            context.session = session
            context.token = token
        }
        return try await next(request, context)
    }

    private static func bearerToken(_ request: Request) -> SessionToken? {
        guard let value = request.headers[.authorization], value.hasPrefix("Bearer ") else { return nil }
        return SessionToken(String(value.dropFirst("Bearer ".count)))
    }

    static func cookie(_ token: SessionToken) -> String {
        "\(cookieName)=\(token.text); Path=/; Secure; HttpOnly; SameSite=Strict"
    }

    static let expiredCookie = "\(cookieName)=; Path=/; Max-Age=0; Secure; HttpOnly; SameSite=Strict"
}

/// Lets only people with a session through, and those with a one-time password only to the page that changes it.
struct RequireSession: RouterMiddleware {
    typealias Context = ReviewContext

    func handle(_ request: Request, context: ReviewContext, next: (Request, ReviewContext) async throws -> Response) async throws -> Response {
        guard let session = context.session else {
            if request.isForAPI { throw Problem(.unauthorized, "Sign in first: this address needs a session.") }
            return Response.redirect(to: "/sign-in?next=\(request.uri.string.prefix(1_000).formEncoded)")
        }
        if session.mustChangePassword {
            if request.isForAPI { throw Problem(.forbidden, "Set a new password first: this one was for one sign-in.", code: "password-change-required") }
            return Response.redirect(to: "/set-password")
        }
        return try await next(request, context)
    }
}

extension Response {
    /// See other: the browser asks with GET, whatever it sent before.
    static func redirect(to location: String) -> Response {
        Response(status: .seeOther, headers: [.location: location, .cacheControl: "no-store"])
    }
}
