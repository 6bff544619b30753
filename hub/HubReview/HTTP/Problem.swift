import FoundationEssentials
import HTTPTypes
import Hummingbird
import Logging
import NIOCore

/// A refusal, in one sentence that says what was wrong. It never holds a path, a version or a stack.
struct Problem: Error, Equatable {
    var status: HTTPResponse.Status
    var detail: String
    /// The field of the request that was not accepted.
    var field: String?
    var retryAfterSeconds: Int?
    /// A word for programs, such as `password-change-required`.
    var code: String?

    init(_ status: HTTPResponse.Status, _ detail: String, field: String? = nil, retryAfterSeconds: Int? = nil, code: String? = nil) {
        self.status = status
        self.detail = detail
        self.field = field
        self.retryAfterSeconds = retryAfterSeconds
        self.code = code
    }

    static let notFound = Problem(.notFound, "There is nothing at this address.")
    static let noRequestRight = Problem(.forbidden, "Your role does not include asking nodes for footage.")
    static let noFootageRight = Problem(.forbidden, "Your role does not include viewing footage.")

    /// RFC 9457.
    private struct Document: Encodable {
        var title: String
        var status: Int
        var detail: String
        var field: String?
        var code: String?
    }

    var headers: HTTPFields {
        var headers: HTTPFields = [.cacheControl: "no-store"]
        if let retryAfterSeconds { headers[.retryAfter] = String(retryAfterSeconds) }
        if status == .unauthorized { headers[.wwwAuthenticate] = "Bearer" }
        return headers
    }

    var document: Response {
        let document = Document(title: status.reasonPhrase, status: status.code, detail: detail, field: field, code: code)
        var headers = headers
        headers[.contentType] = "application/problem+json"
        let encoder = JSONEncoder()
        // The same refusal is the same bytes, whoever asks.
        encoder.outputFormatting = .sortedKeys
        let bytes = (try? encoder.encode(document)).map { Array($0) } ?? []
        return Response(status: status, headers: headers, body: .init(byteBuffer: ByteBuffer(bytes: bytes)))
    }
}

/// Turns every error into a problem document or a small page. Nothing that a client sent makes a 500.
struct ErrorAnswers: RouterMiddleware {
    typealias Context = ReviewContext
    let pages: PageRenderer

    func handle(_ request: Request, context: ReviewContext, next: (Request, ReviewContext) async throws -> Response) async throws -> Response {
        do {
            return try await next(request, context)
        } catch {
            let problem = Self.problem(for: error, context: context)
            return request.isForAPI ? problem.document : try pages.errorPage(problem, session: context.session)
        }
    }

    private static func problem(for error: any Error, context: ReviewContext) -> Problem {
        switch error {
        case let problem as Problem: return problem
        case let error as HTTPError where error.status == .notFound: return .notFound
        case let error as any HTTPResponseError:
            let isTooLarge = error.status == .contentTooLarge
            return Problem(error.status, isTooLarge ? "The request's body is larger than this address takes." : "The request could not be understood.")
        case is CancellationError: return Problem(.serviceUnavailable, "The hub is stopping.", retryAfterSeconds: 30)
        default:
            context.logger.error("request failed", metadata: ["error": "\(String(reflecting: type(of: error)))", "detail": "\(error)"])
            return Problem(.serviceUnavailable, "The hub could not answer just now.", retryAfterSeconds: 10)
        }
    }
}
