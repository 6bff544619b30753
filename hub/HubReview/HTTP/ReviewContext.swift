import HTTPTypes
import HubStore
import Hummingbird
import Logging
import NIOCore

/// What is known of a request besides itself: where it comes from and who sent it.
struct ReviewContext: RequestContext {
    var coreContext: CoreRequestContextStorage
    let address: String
    let isLoopback: Bool
    var session: Session?
    var token: SessionToken?

    init(source: ApplicationRequestContextSource) {
        coreContext = .init(source: source)
        let remote = source.channel.remoteAddress
        address = remote?.ipAddress ?? "unknown"
        isLoopback = switch remote {
        case .v4: address.hasPrefix("127.")
        case .v6: address == "::1" || address.hasPrefix("::ffff:127.")
        default: false
        }
    }

    /// The session, where `RequireSession` stands before the route.
    func requireSession() throws -> Session {
        guard let session else { throw Problem(.unauthorized, "Sign in first.") }
        return session
    }
}

extension Request {
    /// Whether a program asks, which wants problem documents, or a person, who wants a page.
    var isForAPI: Bool { uri.path.hasPrefix("/api/") || uri.path.hasPrefix("/hls/") || uri.path == "/metrics" || uri.path == "/healthz" }
}
