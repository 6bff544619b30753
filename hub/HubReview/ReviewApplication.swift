import Crypto
import HubStore
import Hummingbird
import HummingbirdCore
import HummingbirdTLS
import Logging
import NIOCore

/// The people-facing service over HTTPS/1.1. Every bound that Hummingbird leaves open is set here. A graceful stop
/// waits for clients that never close; the composition root bounds it with `maximumGracefulShutdownDuration`.
package func makeReviewApplication(
    store: some ReviewStore, accounts: Accounts, configuration: ReviewConfiguration, logger: Logger
) throws -> some ApplicationProtocol {
    let service = try ReviewService(store: store, accounts: accounts, configuration: configuration)
    let channel = HTTP1Channel.Configuration(
        idleTimeout: .seconds(30),
        httpDecoderConfiguration: .init(maxHeaderFieldSize: 16 << 10, maxHeaderListSize: 16 << 10, maxHeaderFieldCount: 100)
    )
    let http = HTTPServerBuilder.http1(configuration: channel)
    return Application(
        router: service.makeRouter(),
        server: try configuration.tlsConfiguration().map { try .tls(http, tlsConfiguration: $0) } ?? http,
        configuration: ApplicationConfiguration(
            address: .hostname(configuration.host, port: configuration.port),
            availableConnectionsDelegate: MaximumAvailableConnections(configuration.connectionsMax)
        ),
        onServerRunning: { channel in await configuration.onServerRunning(channel.localAddress?.port ?? 0) },
        logger: logger
    )
}

/// Everything that the routes share.
struct ReviewService: Sendable {
    let store: any ReviewStore
    let accounts: Accounts
    let configuration: ReviewConfiguration
    let pages: PageRenderer
    let capabilities: CapabilityIssuer

    init(store: any ReviewStore, accounts: Accounts, configuration: ReviewConfiguration) throws {
        self.store = store
        self.accounts = accounts
        self.configuration = configuration
        pages = try PageRenderer()
        // A new key at every start: links to footage do not outlive the process.
        capabilities = CapabilityIssuer(key: SymmetricKey(size: .bits256))
    }

    var now: Int64 { configuration.clock() }

    func makeRouter() -> Router<ReviewContext> {
        let router = Router(context: ReviewContext.self, options: .autoGenerateHeadEndpoints)
        router.add(middleware: SecurityHeaders())
        router.add(middleware: ErrorAnswers(pages: pages))
        router.add(middleware: CrossSiteGuard())
        router.add(middleware: Authentication(accounts: accounts, clock: configuration.clock))
        addAssetRoutes(to: router)
        addHealthRoutes(to: router)
        addSignInRoutes(to: router)
        addSessionRoutes(to: router)
        addLinkedPlaylistRoutes(to: router)

        let people = router.group().add(middleware: RequireSession())
        addNodePages(to: people)
        addCameraPages(to: people)
        addPlayerPages(to: people)
        addNodeRoutes(to: people)
        addSegmentRoutes(to: people)
        addThumbnailRoutes(to: people)
        addProofRoutes(to: people)
        addPlaylistRoutes(to: people)
        addRequestRoutes(to: people)
        addRequestPages(to: people)
        addSyncRoutes(to: people)
        return router
    }
}
