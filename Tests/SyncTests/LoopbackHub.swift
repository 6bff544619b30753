import EdgeSync
import EvidenceLog
import Foundation
import HubIngest
import HubStore
import Logging
import LogFixtures
import NodeIdentity
import RecordingModel
import ServiceLifecycle
import StorageIO
import SyncProtocol
import SystemPackage
import TestSupport

/// A real hub on the loopback interface: real TLS, real files, real SQLite.
struct LoopbackHub: Sendable {
    let directory: TemporaryDirectory
    let identity: IdentityKey
    let signer: NoteSigner
    let store: HubStore
    let port: Int

    /// Runs `body` against a hub.
    static func with<Result: Sendable>(
        directory: TemporaryDirectory? = nil, identity: IdentityKey? = nil, signer: NoteSigner? = nil, generation: UInt64 = 1, limits: IngestLimits = IngestLimits(),
        dictionaries: SharedDictionaries = .shipped,
        _ body: @Sendable @escaping (LoopbackHub) async throws -> Result
    ) async throws -> Result {
        let directory = try directory ?? TemporaryDirectory("hub")
        let identity = try identity ?? IdentityKey(commonName: "hub")
        let signer = try signer ?? NoteSigner(name: "fieldpost.hub/test", algorithm: .cosignature).orThrow("a signer")
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        let store = try HubStore(dataDirectory: FilePath(directory.path), hub: identity.hubID, signer: signer, generation: generation, storage: RealStorage(), logger: logger)
        let (ports, port) = AsyncStream.makeStream(of: Int.self, bufferingPolicy: .bufferingNewest(1))
        var configuration = IngestConfiguration(host: "127.0.0.1", port: 0, identity: identity, nowUnixMilliseconds: { Int64(Date().timeIntervalSince1970 * 1000) })
        configuration.onServerRunning = { number in port.yield(number) }
        let application = try makeIngestApplication(writer: IngestWriter(store: store, limits: limits, dictionaries: dictionaries), configuration: configuration, logger: logger)
        return try await withThrowingTaskGroup(of: Result?.self) { group in
            group.addTask {
                try await ServiceGroup(configuration: .init(services: [application], logger: logger)).run()
                return nil
            }
            group.addTask {
                for await port in ports {
                    return try await body(LoopbackHub(directory: directory, identity: identity, signer: signer, store: store, port: port))
                }
                throw FixtureError(what: "the hub did not start")
            }
            defer { group.cancelAll() }
            while let finished = try await group.next() {
                if let result = finished { return result }
            }
            throw FixtureError(what: "the hub ended")
        }
    }

    func token(_ name: String, secret: String = String(repeating: "5a", count: 16), expiresIn seconds: Int64 = 600, port: Int? = nil, pin: ContentHash? = nil) throws -> JoinToken {
        let expires = Int64(Date().timeIntervalSince1970) + seconds
        let bytes = try Hex.decode(secret).orThrow("hex")
        try? store.addJoinToken(secretHash: .sha256(bytes), name: name, expiresUnixSeconds: expires)
        return JoinToken(host: "127.0.0.1", port: port ?? self.port, hubKeyHash: pin ?? identity.keyHash, secret: secret, expiresUnixSeconds: expires)
    }

    func endpoint(port: Int? = nil, hubKey: NoteKey? = nil) -> HubEndpoint {
        HubEndpoint(host: "127.0.0.1", port: port ?? self.port, hub: identity.hubID, hubKey: (hubKey ?? signer.verifier).text, name: "node")
    }

    func service(
        _ source: MemorySource, port: Int? = nil, sessions: SessionCounter = SessionCounter(startingAt: 1), timeouts: SyncTimeouts = SyncTimeouts(), uplinks: Uplinks? = nil,
        hubKey: NoteKey? = nil, statement: SignedStatement? = nil, dictionaries: SharedDictionaries = .shipped
    ) throws -> SyncService {
        let start = ContinuousClock.now
        return try SyncService(
            endpoint: endpoint(port: port, hubKey: hubKey), identity: source.identity, source: source, sessions: sessions, timeouts: timeouts, uplinks: uplinks, statement: statement,
            changes: { AsyncStream { $0.finish() } }, nowMilliseconds: { Int64((ContinuousClock.now - start) / .milliseconds(1)) }, dictionaries: dictionaries,
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    }

    /// Names of whole segments on the hub's disk.
    var blobs: Set<String> { Set(files(under: directory.path("blobs")).map { ($0 as NSString).lastPathComponent }) }
}
