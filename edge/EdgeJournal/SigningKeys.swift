import EvidenceLog
import RecordingModel
import StorageIO
import SystemPackage

/// The private halves of the log's signing keys: `log-signing.key`, and during a change `log-signing.next`.
/// Each file is 32 raw bytes, mode 0600.
struct SigningKeys {
    let files: JournalFiles
    let log: LogID
    let storage: any StorageIO

    private var currentPath: FilePath { files.keys.appending("log-signing.key") }
    private var nextPath: FilePath { files.keys.appending("log-signing.next") }

    func current() throws -> NoteSigner? { try load(currentPath) }
    func next() throws -> NoteSigner? { try load(nextPath) }

    private func load(_ path: FilePath) throws -> NoteSigner? {
        guard try storage.size(path) == 32 else { return nil }
        return signer(try storage.read(path, limitBytes: 32))
    }

    private func signer(_ bytes: [UInt8]) -> NoteSigner? {
        NoteSigner(name: log.origin, algorithm: .ed25519, privateKeyBytes: bytes)
    }

    func generate(using random: inout any RandomNumberGenerator & Sendable) throws -> NoteSigner {
        guard let signer = signer(randomBytes(32, using: &random)) else { throw JournalError.failed(reason: "no signing key could be made") }
        return signer
    }

    func writeCurrent(_ signer: NoteSigner) throws {
        try storage.makeDirectory(files.keys)
        try storage.syncDirectory(files.root)
        try storage.replace(currentPath, with: signer.privateKeyBytes)
    }

    func writeNext(_ signer: NoteSigner) throws {
        try storage.replace(nextPath, with: signer.privateKeyBytes)
    }

    /// Puts the next key in the place of the current one, whose private half is gone with that.
    func promoteNext() throws {
        try storage.rename(nextPath, to: currentPath)
        try storage.syncDirectory(files.keys)
    }

    func discardNext() throws {
        try storage.remove(nextPath)
        try storage.syncDirectory(files.keys)
    }
}
