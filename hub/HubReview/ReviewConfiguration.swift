import NIOSSL

/// What the people-facing service needs from its composition root.
package struct ReviewConfiguration: Sendable {
    package var host: String
    /// 0 takes a free port; `onServerRunning` says which.
    package var port: Int
    /// PEM texts. Without them the service speaks plain HTTP, which only tests do.
    package var certificateChainPEM: String?
    package var privateKeyPEM: String?
    package var connectionsMax = 2_000
    /// Called once with the bound port.
    package var onServerRunning: @Sendable (_ port: Int) async -> Void = { _ in }
    /// The text of `/metrics`.
    package var metricsText: @Sendable () -> String = { "" }
    package var clock: @Sendable () -> Int64

    package init(host: String, port: Int, certificateChainPEM: String?, privateKeyPEM: String?, nowUnixMilliseconds clock: @escaping @Sendable () -> Int64) {
        self.host = host
        self.port = port
        self.certificateChainPEM = certificateChainPEM
        self.privateKeyPEM = privateKeyPEM
        self.clock = clock
    }

    func tlsConfiguration() throws -> TLSConfiguration? {
        guard let certificateChainPEM, let privateKeyPEM else { return nil }
        let chain = try NIOSSLCertificate.fromPEMBytes(Array(certificateChainPEM.utf8))
        let key = try NIOSSLPrivateKey(bytes: Array(privateKeyPEM.utf8), format: .pem)
        var configuration = TLSConfiguration.makeServerConfiguration(certificateChain: chain.map { .certificate($0) }, privateKey: .privateKey(key))
        configuration.minimumTLSVersion = .tlsv12
        configuration.applicationProtocols = ["http/1.1"]
        return configuration
    }
}

/// Sizes beyond which a request is refused.
enum ReviewLimits {
    static let formBytes = 8 << 10
    static let sessionBytes = 8 << 10
    static let proofBytes = 512 << 10
    static let proofSegments = 5_000
    static let playlistMilliseconds: Int64 = 2 * 3_600_000
    static let playMilliseconds: Int64 = 26 * 3_600_000
    static let timelineMilliseconds: Int64 = 32 * 86_400_000
    static let rowsPerPage = 100
    static let powerChanges = 100
    /// Pictures in a strip: one in half an hour of a day, one in a minute of an hour.
    static let thumbnailsOfDay = 48
    static let thumbnailsOfHour = 60
    static let thumbnailsOfWindow = 720
    /// Pictures looked up for one list; a day at one in 10 s has 8,640.
    static let thumbnailReads = 20_000
    static let mediaChunkBytes = 256 << 10
}
