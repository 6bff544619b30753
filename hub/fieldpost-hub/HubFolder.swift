import EvidenceLog
import FoundationEssentials
import HubStore
import Logging
import NodeIdentity
import RecordingModel
import ServiceSupport
import StorageIO
import SystemPackage

/// The hub's data directory: its configuration, its keys, its generation, and the store.
struct HubFolder: Sendable {
    private struct Facts: Codable {
        var format: Int
        var generation: UInt64
    }

    let path: FilePath
    let configuration: HubConfiguration
    /// The lasting key, by whose hash nodes know the hub.
    let identity: IdentityKey
    /// The certificate that browsers see.
    let peopleIdentity: IdentityKey
    /// Signs statements and cosignatures.
    let signer: NoteSigner
    let generation: UInt64
    private static let storage = RealStorage()

    static func exists(_ path: FilePath) throws -> Bool { try storage.size(path.appending("hub.yaml")) != nil }

    /// Makes a new hub. `hub.yaml` is written last, so that a folder with it is complete.
    static func create(_ path: FilePath, nodes: HubConfiguration.Listener, people: HubConfiguration.Listener) throws -> HubFolder {
        let keys = path.appending("keys")
        try storage.makeDirectory(keys)
        let identity = try IdentityKey(commonName: "fieldpost hub")
        try write(identity, keys, "identity")
        try write(IdentityKey(commonName: "fieldpost hub", alternativeNames: ["localhost", people.host]), keys, "people")
        guard let signer = NoteSigner(name: noteName(identity), algorithm: .cosignature) else { throw CommandError("cannot make a statement key") }
        try storage.replace(keys.appending("statement.key"), with: Array(Hex.encode(signer.privateKeyBytes).utf8))
        try storage.replace(path.appending("hub.json"), with: Array(JSONEncoder().encode(Facts(format: 1, generation: 1))))
        try storage.replace(path.appending("hub.yaml"), with: Array(HubConfiguration.text(nodes: nodes, people: people).utf8))
        return try open(path)
    }

    static func open(_ path: FilePath) throws -> HubFolder {
        guard try exists(path) else { throw CommandError("\(path) is not a hub's data directory; make one with: fieldpost-hub init --data \(path)") }
        let keys = path.appending("keys")
        let facts = try JSONDecoder().decode(Facts.self, from: Data(storage.read(path.appending("hub.json"))))
        guard facts.format == 1 else { throw CommandError("\(path) has format \(facts.format), this program knows 1; use a newer fieldpost-hub") }
        let identity = try readIdentity(keys, "identity")
        let secret = Hex.decode(String(decoding: try storage.read(keys.appending("statement.key")), as: UTF8.self))
        guard let secret, let signer = NoteSigner(name: noteName(identity), algorithm: .cosignature, privateKeyBytes: secret) else {
            throw CommandError("\(keys)/statement.key is damaged; restore it from a backup")
        }
        let file = path.appending("hub.yaml")
        return HubFolder(
            path: path, configuration: try HubConfiguration.decode(storage.read(file), file: file.string), identity: identity,
            peopleIdentity: try readIdentity(keys, "people"), signer: signer, generation: facts.generation)
    }

    /// Statements of the generations before license nothing from now on.
    func beginningGeneration() throws -> HubFolder {
        try Self.storage.replace(path.appending("hub.json"), with: Array(JSONEncoder().encode(Facts(format: 1, generation: generation + 1))))
        return try Self.open(path)
    }

    /// - Parameter partialsOpenMax: files of segments on their way in that are kept open.
    func store(partialsOpenMax: Int = 64, logger: Logger) throws -> HubStore {
        try HubStore(
            dataDirectory: path, hub: identity.hubID, signer: signer, generation: generation, storage: Self.storage,
            partialsOpenMax: max(64, min(partialsOpenMax, 4_096)), logger: logger)
    }

    /// The certificate chain and key for people's listener, PEM.
    func peopleCertificate() throws -> (chain: String, key: String) {
        guard let chain = configuration.certificateFile, let key = configuration.privateKeyFile else {
            return (peopleIdentity.certificatePEM, peopleIdentity.privateKeyPEM)
        }
        return (String(decoding: try Self.storage.read(FilePath(chain)), as: UTF8.self), String(decoding: try Self.storage.read(FilePath(key)), as: UTF8.self))
    }

    private static func noteName(_ identity: IdentityKey) -> String { "fieldpost.hub/\(identity.keyHash.hex.prefix(16))" }

    private static func write(_ identity: IdentityKey, _ keys: FilePath, _ name: String) throws {
        try storage.replace(keys.appending("\(name).key"), with: Array(identity.privateKeyPEM.utf8))
        try storage.replace(keys.appending("\(name).crt"), with: Array(identity.certificatePEM.utf8))
    }

    private static func readIdentity(_ keys: FilePath, _ name: String) throws -> IdentityKey {
        try IdentityKey(
            privateKeyPEM: String(decoding: storage.read(keys.appending("\(name).key")), as: UTF8.self),
            certificatePEM: String(decoding: storage.read(keys.appending("\(name).crt")), as: UTF8.self))
    }
}

/// A sentence for the person at the terminal, ending with what to do.
struct CommandError: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}
