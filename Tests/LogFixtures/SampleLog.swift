import Crypto
import EvidenceLog
import FoundationEssentials
import RecordingModel

/// What could not be made; a test that sees it has a mistake in its own values.
package struct FixtureError: Error {
    package var what: String
    package init(what: String) { self.what = what }
}

extension Optional {
    package func orThrow(_ what: String) throws -> Wrapped {
        guard let self else { throw FixtureError(what: what) }
        return self
    }
}

/// A node's log in memory, signed as a node signs it.
package struct SampleLog: Sendable {
    package let identity: P256.Signing.PrivateKey
    package let log: LogID
    package private(set) var signer: NoteSigner
    package private(set) var epoch: UInt64 = 0
    package private(set) var lines: [[UInt8]] = []
    package private(set) var frontier = MerkleFrontier()
    package private(set) var checkpoints: [SignedCheckpoint] = []
    package private(set) var batches: [Range<Int>] = []
    package private(set) var keyIndexes: [Int] = []
    private var batchStart = 0

    package var node: NodeID { NodeID(keyHash: .sha256(identity.publicKey.derRepresentation)) }
    package var leaves: [ContentHash] { lines.map { MerkleTree.leafHash($0) } }

    package init(seed: UInt8 = 1, isAttested: Bool = true, identity: P256.Signing.PrivateKey = P256.Signing.PrivateKey()) throws {
        self.identity = identity
        log = try (LogID(String(repeating: "0\(seed)", count: 16))).orThrow("sample")
        signer = try Self.signer(log, 0, seed)
        let key = signer.verifier.text
        let attestation = KeyRecord.Attestation(
            identityKey: identity.publicKey.derRepresentation, signature: try identity.signature(for: KeyRecord.attestedBytes(key: key)).derRepresentation)
        try append(.key(KeyRecord(epoch: 0, key: key, attestation: isAttested ? attestation : nil)))
    }

    package static func signer(_ log: LogID, _ epoch: UInt64, _ seed: UInt8 = 1) throws -> NoteSigner {
        try (NoteSigner(name: log.origin, algorithm: .ed25519, privateKeyBytes: [UInt8](repeating: UInt8(epoch) &+ seed &* 16, count: 32))).orThrow("sample")
    }

    package mutating func append(_ body: EntryBody) throws {
        let line = try LogEntry(bootID: "boot", at: .sample(milliseconds: Int64(lines.count)), body: body).encoded()
        if case .key = body { keyIndexes.append(lines.count) }
        append(line: line)
    }

    package mutating func append(line: [UInt8]) {
        lines.append(line)
        frontier.append(MerkleTree.leafHash(line))
    }

    @discardableResult
    package mutating func seal(with other: NoteSigner? = nil) throws -> SignedCheckpoint {
        let signed = try SignedCheckpoint(Checkpoint(log: log, size: frontier.size, root: frontier.root), signer: other ?? signer)
        checkpoints.append(signed)
        batches.append(batchStart..<lines.count)
        batchStart = lines.count
        return signed
    }

    package mutating func handOver() throws {
        epoch += 1
        let next = try Self.signer(log, epoch)
        try append(.key(KeyRecord(epoch: epoch, key: next.verifier.text)))
        try seal()
        signer = next
    }

    /// Lines of one batch with the checkpoint they lead to.
    package func batch(_ index: Int) -> (lines: [[UInt8]], start: UInt64, checkpoint: SignedCheckpoint) {
        (Array(lines[batches[index]]), UInt64(batches[index].lowerBound), checkpoints[index])
    }

    /// Three epochs: [key boot seg] [seg key] [seg seg key] [seg]
    package static func threeEpochs() throws -> SampleLog {
        var log = try SampleLog()
        try log.append(.boot(BootRecord(software: "test", previousStopWasClean: true)))
        try log.append(.segment(.sample(sequence: 0)))
        try log.seal()
        try log.append(.segment(.sample(sequence: 1)))
        try log.handOver()
        try log.append(.segment(.sample(sequence: 2)))
        try log.append(.segment(.sample(sequence: 3)))
        try log.handOver()
        try log.append(.segment(.sample(sequence: 4)))
        try log.seal()
        return log
    }
}

extension Moment {
    package static func sample(milliseconds: Int64) -> Moment {
        Moment(bootNanoseconds: milliseconds * 1_000_000, wall: WallEstimate(unixMilliseconds: 1_700_000_000_000 + milliseconds, source: .ntp, uncertaintyMilliseconds: 20))
    }
}

extension SegmentRecord {
    package static func sample(sequence: UInt64, bytes: Int64 = 1_900_000, sha256: ContentHash? = nil) throws -> SegmentRecord {
        let stream = try (StreamID("gate/main")).orThrow("sample")
        return SegmentRecord(
            stream: stream, sequence: sequence, run: 0, bootID: "boot", startBootMilliseconds: Int64(sequence) * 60_000,
            endBootMilliseconds: Int64(sequence + 1) * 60_000, startWall: Moment.sample(milliseconds: 0).wall, bytes: bytes,
            sha256: sha256 ?? .sha256([UInt8(truncatingIfNeeded: sequence)]), fragmentRoot: MerkleTree.emptyRoot, fragmentCount: 30, initBytes: min(800, bytes), initSHA256: MerkleTree.emptyRoot,
            codecs: "avc1.42c01e", widthPixels: 640, heightPixels: 360, mediaStartTicks90k: 0, mediaDurationTicks90k: 5_400_000, frames: 900, drops: 0,
            end: .length, configVersion: "c1")
    }
}
