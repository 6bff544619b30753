import HTTPTypes
import Hummingbird

/// What every answer carries: nothing from elsewhere runs, frames or learns of these pages.
struct SecurityHeaders: RouterMiddleware {
    typealias Context = ReviewContext

    static let contentSecurityPolicy = [
        "default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self' data:", "media-src 'self' blob:", "connect-src 'self'",
        "form-action 'self'", "base-uri 'none'", "frame-ancestors 'none'",
    ].joined(separator: "; ")

    func handle(_ request: Request, context: ReviewContext, next: (Request, ReviewContext) async throws -> Response) async throws -> Response {
        var response = try await next(request, context)
        response.headers[.contentSecurityPolicy] = Self.contentSecurityPolicy
        response.headers[.xContentTypeOptions] = "nosniff"
        response.headers[.referrerPolicy] = "no-referrer"
        response.headers[.permissionsPolicy] = "camera=(), microphone=(), geolocation=(), payment=(), usb=()"
        response.headers[.crossOriginOpenerPolicy] = "same-origin"
        response.headers[.crossOriginResourcePolicy] = "same-origin"
        response.headers[.strictTransportSecurity] = "max-age=31536000"
        if response.headers[.cacheControl] == nil { response.headers[.cacheControl] = "no-store" }
        return response
    }
}

extension HTTPField.Name {
    // These names are tokens by construction; the fallback is never taken.
    private static func named(_ text: String) -> HTTPField.Name { HTTPField.Name(text) ?? .server }
    static let referrerPolicy = named("Referrer-Policy")
    static let permissionsPolicy = named("Permissions-Policy")
    static let crossOriginOpenerPolicy = named("Cross-Origin-Opener-Policy")
    static let crossOriginResourcePolicy = named("Cross-Origin-Resource-Policy")
    static let secFetchSite = named("Sec-Fetch-Site")
}

/// Refuses a form or call that another site's page made the browser send. The cookie is SameSite=Strict already;
/// this also covers sign-in itself, where there is no cookie yet.
struct CrossSiteGuard: RouterMiddleware {
    typealias Context = ReviewContext

    func handle(_ request: Request, context: ReviewContext, next: (Request, ReviewContext) async throws -> Response) async throws -> Response {
        if request.method != .get, request.method != .head, !Self.isAllowed(request) {
            throw Problem(.forbidden, "This request came from another site's page, so it was not carried out.")
        }
        return try await next(request, context)
    }

    private static func isAllowed(_ request: Request) -> Bool {
        if let site = request.headers[.secFetchSite] { return site == "same-origin" || site == "none" }
        // Browsers without Sec-Fetch-Site send Origin with every POST; programs send neither.
        guard let origin = request.headers[.origin] else { return true }
        return origin == "https://\(request.head.authority ?? "")"
    }
}
