import HTTPTypes
import HubStore
import Hummingbird

extension ReviewService {
    private struct SignInValues {
        var message: String?
        var user: String
        var next: String
    }

    private struct SetPasswordValues {
        var message: String?
        var user: String
        var mustChange: Bool
        var lengthMin: Int
    }

    func addSignInRoutes(to router: some RouterMethods<ReviewContext>) {
        router.get("sign-in") { [self] request, context in
            let next = Self.safeNext(try request.query("next"))
            if let session = context.session, !session.mustChangePassword { return Response.redirect(to: next) }
            return try signInPage(SignInValues(user: "", next: next))
        }
        router.post("sign-in") { [self] request, context in
            let form = try await request.form()
            let user = form["user"] ?? ""
            let next = Self.safeNext(form["next"])
            do {
                let (token, mustChange) = try await signIn(name: user, password: form["password"] ?? "", kind: .browser, context: context)
                var response = Response.redirect(to: mustChange ? "/set-password" : next)
                response.headers[.setCookie] = Authentication.cookie(token)
                return response
            } catch let problem as Problem {
                var response = try signInPage(SignInValues(message: problem.detail, user: String(user.prefix(64)), next: next), status: problem.status)
                for field in problem.headers where field.name != .wwwAuthenticate { response.headers[field.name] = field.value }
                return response
            }
        }
        router.get("set-password") { [self] _, context in
            guard let session = context.session else { return Response.redirect(to: "/sign-in") }
            return try setPasswordPage(session)
        }
        router.post("set-password") { [self] request, context in
            guard let session = context.session, let token = context.token else { return Response.redirect(to: "/sign-in") }
            let form = try await request.form()
            do {
                try await setPassword(form, session: session, token: token, context: context)
            } catch let problem as Problem {
                return try setPasswordPage(session, message: problem.detail, status: problem.status)
            }
            return Response.redirect(to: "/")
        }
        router.post("sign-out") { [self] _, context in
            if let token = context.token, let session = context.session {
                try await accounts.signOut(token)
                try await accounts.record(user: session.user, address: context.address, action: .signOut, object: "", nowUnixMilliseconds: now)
            }
            var response = Response.redirect(to: "/sign-in")
            response.headers[.setCookie] = Authentication.expiredCookie
            return response
        }
    }

    private func setPassword(_ form: [String: String], session: Session, token: SessionToken, context: ReviewContext) async throws {
        let password = form["new_password"] ?? ""
        guard password == form["new_password_again"] else { throw Problem(.unprocessableContent, "The two new passwords differ.") }
        // Who comes with a one-time password has just shown it; everybody else shows the present one again.
        if !session.mustChangePassword {
            do {
                let isRight = try await accounts.isPassword(form["password"] ?? "", of: session.user, address: context.address, nowUnixMilliseconds: now)
                guard isRight else { throw Problem(.unprocessableContent, "The present password is wrong.") }
            } catch Accounts.Fault.busy {
                throw Problem(.tooManyRequests, "Too many tries. Wait a minute and try again.", retryAfterSeconds: 60)
            }
        }
        try await changePassword(
            of: session.user, to: password, keeping: token, isOneTimeSpent: session.mustChangePassword, context: context)
    }

    private func signInPage(_ values: SignInValues, status: HTTPResponse.Status = .ok) throws -> Response {
        try pages.page("sign-in", title: "Sign in", values, session: nil, status: status)
    }

    private func setPasswordPage(_ session: Session, message: String? = nil, status: HTTPResponse.Status = .ok) throws -> Response {
        let values = SetPasswordValues(message: message, user: session.user, mustChange: session.mustChangePassword, lengthMin: Accounts.passwordLengthMin)
        return try pages.page("set-password", title: "Set a new password", values, session: session, status: status)
    }

    /// Only addresses of this hub: no scheme, no other host, nothing that a header would break on.
    static func safeNext(_ next: String?) -> String {
        guard let next, next.hasPrefix("/"), !next.hasPrefix("//"), !next.contains("\\"), next.utf8.count <= 1_000,
            next.utf8.allSatisfy({ (0x21...0x7E).contains($0) }), !next.hasPrefix("/sign-in")
        else { return "/" }
        return next
    }
}
