import EdgeJournal
import EdgeSync
import EvidenceLog
import FoundationEssentials
import Logging
import NodeIdentity
import RecordingModel
import ServiceSupport
import StorageIO
import SystemPackage

/// The node's data directory as the commands see it: the identity key, the hub it has joined, the journal.
struct NodeFolder: Sendable {
    let root: FilePath
    let storage = RealStorage()

    init(_ configuration: EdgeConfiguration) { root = FilePath(configuration.dataDirectory) }

    private var keys: FilePath { root.appending("keys") }
    var segments: FilePath { root.appending("segments") }
    var statusFile: FilePath { root.appending("status.json") }

    /// The node's lasting key; made at first use.
    func identity() throws -> IdentityKey {
        let (keyFile, certificateFile) = (keys.appending("identity.key"), keys.appending("identity.crt"))
        if try storage.size(certificateFile) != nil {
            return try IdentityKey(
                privateKeyPEM: String(decoding: storage.read(keyFile), as: UTF8.self), certificatePEM: String(decoding: storage.read(certificateFile), as: UTF8.self))
        }
        try storage.makeDirectory(keys)
        let identity = try IdentityKey(commonName: "fieldpost node")
        try storage.replace(keyFile, with: Array(identity.privateKeyPEM.utf8))
        // Written last: with it the pair is complete.
        try storage.replace(certificateFile, with: Array(identity.certificatePEM.utf8))
        return identity
    }

    /// The hub that the node has joined; nil before `enrol`.
    func hub() throws -> HubEndpoint? {
        let file = keys.appending("hub.json")
        guard try storage.size(file) != nil else { return nil }
        return try JSONDecoder().decode(HubEndpoint.self, from: Data(storage.read(file)))
    }

    func join(_ endpoint: HubEndpoint) throws {
        try storage.replace(keys.appending("hub.json"), with: Array(json(endpoint).utf8))
    }

    func openJournal(_ configuration: EdgeConfiguration, identity: IdentityKey, clocks: any Clocks, logger: Logger) throws -> Journal {
        try Journal(
            options: Journal.Options(
                dataDirectory: root, node: identity.nodeID, software: softwareVersion, configVersion: configuration.version,
                cameras: configuration.cameras.map(\.id)),
            storage: storage, clocks: clocks, randomness: SystemRandomNumberGenerator(),
            attest: { key in
                KeyRecord.Attestation(identityKey: Data(identity.publicKeyDER), signature: Data(try identity.sign(KeyRecord.attestedBytes(key: key))))
            }, logger: logger)
    }

    func reader() throws -> JournalReader { try JournalReader(dataDirectory: root, storage: storage) }
}

extension EdgeConfiguration {
    var timeouts: SyncTimeouts {
        var timeouts = SyncTimeouts()
        timeouts.connectSeconds = sync.connectTimeoutSeconds
        timeouts.stallSeconds = sync.stallTimeoutSeconds
        timeouts.heartbeatSeconds = sync.heartbeatSeconds
        return timeouts
    }

    func syncService(_ endpoint: HubEndpoint, identity: IdentityKey, journal: Journal, clocks: any Clocks) throws -> SyncService {
        try SyncService(
            endpoint: endpoint, identity: identity, source: JournalSource(journal: journal, clocks: clocks, site: site),
            sessions: SessionCounter(startingAt: UInt64(max(0, clocks.now().wall.unixMilliseconds))), timeouts: timeouts,
            changes: { journal.changes }, nowMilliseconds: { clocks.now().bootMilliseconds }, logger: Logger(label: "sync"))
    }
}
