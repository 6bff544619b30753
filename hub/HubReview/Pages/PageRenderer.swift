import HTTPTypes
import HubStore
import Hummingbird
import Mustache
import NIOCore

/// Templates to pages. Values are escaped by Mustache; only what this module has built itself goes in unescaped.
struct PageRenderer: Sendable {
    private let library: MustacheLibrary
    let assets: Assets

    private struct Layout {
        var title: String
        var body: String
        var user: String?
        var style: String
        var script: String?
    }

    init() throws {
        assets = Assets()
        var library = MustacheLibrary()
        for (name, bytes) in Self.templates { try library.register(String(decoding: bytes, as: UTF8.self), named: name) }
        self.library = library
    }

    private static let templates: [(String, [UInt8])] = [
        ("layout", PackageResources.layout_mustache),
        ("sign-in", PackageResources.sign_in_mustache),
        ("set-password", PackageResources.set_password_mustache),
        ("nodes", PackageResources.nodes_mustache),
        ("node", PackageResources.node_mustache),
        ("day", PackageResources.day_mustache),
        ("sync", PackageResources.sync_mustache),
        ("requests", PackageResources.requests_mustache),
        ("play", PackageResources.play_mustache),
        ("strip", PackageResources.strip_mustache),
        ("error", PackageResources.error_mustache),
    ]

    func page(_ name: String, title: String, _ values: Any, session: Session?, status: HTTPResponse.Status = .ok, script: String? = nil) throws -> Response {
        guard let body = library.render(values, withTemplate: name) else { throw Problem(.internalServerError, "A page is missing from this hub.") }
        let layout = Layout(title: title, body: body, user: session?.user, style: assets.address("style.css"), script: script.map { assets.address($0) })
        let page = library.render(layout, withTemplate: "layout") ?? body
        return Response(
            status: status, headers: [.contentType: "text/html; charset=utf-8", .cacheControl: "no-store"],
            body: .init(byteBuffer: ByteBuffer(string: page)))
    }

    private struct ErrorValues {
        var title: String
        var detail: String
    }

    func errorPage(_ problem: Problem, session: Session?) throws -> Response {
        let title = switch problem.status {
        case .notFound: "Not found"
        case .forbidden: "Not allowed"
        case .unauthorized: "Sign in"
        case .tooManyRequests: "Too many tries"
        case .badRequest, .unprocessableContent, .contentTooLarge, .unsupportedMediaType: "Not understood"
        default: "Not just now"
        }
        var response = try page("error", title: title, ErrorValues(title: title, detail: problem.detail), session: session, status: problem.status)
        for field in problem.headers { response.headers[field.name] = field.value }
        return response
    }
}
