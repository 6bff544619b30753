import EdgeJournal
import EdgeSync
import EvidenceLog
import FoundationEssentials
import Logging
import NodeIdentity
import RecordingModel
import ServiceSupport
import StorageIO
import SyncProtocol
import SystemPackage

/// The node's data directory as the commands see it: the identity key, the hub it has joined, the journal.
struct NodeFolder: Sendable {
    let root: FilePath
    let storage: RealStorage
    private let isMountRequired: Bool

    /// - Parameter anchored: looks everything up from the folder as it is now, so that nothing is ever written to the
    ///   disk below when the folder's own one is unmounted. A recorder does so.
    init(_ configuration: EdgeConfiguration, anchored: Bool = false) throws {
        root = FilePath(configuration.dataDirectory)
        isMountRequired = configuration.storage.isMountRequired
        if anchored { try Self.requireMount(root, isMountRequired) }
        storage = anchored ? try RealStorage(anchoredAt: root) : RealStorage()
    }

    /// Whether somebody has made this folder a node's data directory. An empty folder may be the mount point of a disk
    /// that did not come up, so only `init` and `enrol` make one of it.
    var isPrepared: Bool { (try? storage.size(keys.appending("identity.crt"))) ?? nil != nil }

    /// Makes the folder a data directory, with the node's lasting key; once made it stays as it is.
    func prepare() throws {
        try Self.requireMount(root, isMountRequired)
        try storage.makeDirectory(root)
        try Journal.prepare(dataDirectory: root, storage: storage) { try identity().nodeID }
    }

    func requirePrepared(configFile: String) throws {
        guard !isPrepared else { return }
        throw CommandError(
            "\(root) is not a data directory: if it lies on a disk of its own, mount that; for a new node prepare it with: fieldpost-edge init --prepare --config \(configFile)")
    }

    private static func requireMount(_ root: FilePath, _ isRequired: Bool) throws {
        guard isRequired, try !MountPoint.isOnOwnDisk(root) else { return }
        throw CommandError("\(root) is on the system's own disk, and storage.require_mount asks for another: mount the disk")
    }

    private var keys: FilePath { root.appending("keys") }
    var segments: FilePath { root.appending("segments") }

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

    func openJournal(
        _ configuration: EdgeConfiguration, identity: IdentityKey, clocks: any Clocks, interruption: Journal.Interruption? = nil, logger: Logger
    ) throws -> Journal {
        try Journal(
            options: Journal.Options(
                dataDirectory: root, node: identity.nodeID, software: softwareVersion, configVersion: configuration.version,
                cameras: configuration.cameras.map(\.id), limits: configuration.limits, interruption: interruption),
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

    func syncService(
        _ endpoint: HubEndpoint, identity: IdentityKey, folder: NodeFolder, journal: Journal, clocks: any Clocks, reporter: SyncReporter? = nil, energy: NodeEnergy? = nil
    ) throws -> SyncService {
        try SyncService(
            endpoint: endpoint, identity: identity, source: JournalSource(journal: journal, clocks: clocks, site: site, reporter: reporter, energy: energy),
            sessions: SessionCounter(startingAt: UInt64(max(0, clocks.now().wall.unixMilliseconds))), timeouts: timeouts,
            uplinks: uplinks(folder, energy: energy?.links, clocks: clocks, logger: Logger(label: "sync")),
            statement: journal.latestStatement().flatMap { try? JSONDecoder().decode(SignedStatement.self, from: Data($0.encoded)) },
            changes: { journal.changes }, nowMilliseconds: { clocks.now().bootMilliseconds },
            hubTime: { (clocks as? NodeClocks)?.learn($0) }, contacts: reporter?.contacts, logger: Logger(label: "sync"))
    }
}
