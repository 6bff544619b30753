import FoundationEssentials
import RecordingModel

/// One line of a log with the path that leads from it to the root of a checkpoint (`checkpoints[checkpoint]`).
package struct ProvenEntry: Hashable, Sendable, Codable {
    package var index: UInt64
    package var line: String
    package var path: [ContentHash]
    package var checkpoint: Int
    package init(index: UInt64, line: String, path: [ContentHash], checkpoint: Int) {
        self.index = index
        self.line = line
        self.path = path
        self.checkpoint = checkpoint
    }
}

/// What somebody needs to check footage offline, trusting neither node nor hub: the entries of the segments, each
/// under a checkpoint of its own epoch, the chain of keys from the node's identity, and the hub's cosignatures.
package struct ProofBundle: Hashable, Sendable, Codable {
    package static let currentVersion = 1
    package var version = Self.currentVersion
    package var node: NodeID
    package var log: LogID
    package var hubKey: String
    package var checkpoints: [SignedCheckpoint]
    /// The `key` entries, from epoch 0 on, each under a checkpoint of the epoch before it.
    package var keys: [ProvenEntry]
    package var segments: [ProvenEntry]

    package init(node: NodeID, log: LogID, hubKey: String, checkpoints: [SignedCheckpoint], keys: [ProvenEntry], segments: [ProvenEntry]) {
        self.node = node
        self.log = log
        self.hubKey = hubKey
        self.checkpoints = checkpoints
        self.keys = keys
        self.segments = segments
    }

    /// A segment whose entry is proven, and how long ago the hub vouched for it.
    package struct ProvenSegment: Hashable, Sendable {
        package var record: SegmentRecord
        /// When the hub cosigned the checkpoint above it; nil without a valid cosignature.
        package var witnessedUnixSeconds: UInt64?
    }

    package enum Fault: Error, Hashable, Sendable, CustomStringConvertible {
        case unknownVersion(Int)
        case keyChain(epoch: Int)
        case segment(index: UInt64)

        package var description: String {
            switch self {
            case .unknownVersion(let version): "the proof has version \(version), this program knows \(ProofBundle.currentVersion)"
            case .keyChain(let epoch): "the chain of log keys breaks at epoch \(epoch)"
            case .segment(let index): "entry \(index) is not proven by a checkpoint of its own epoch"
            }
        }
    }

    /// Checks every signature and path. The keys are judged first, then each segment under its own epoch's key.
    package func verified() throws(Fault) -> [ProvenSegment] {
        guard version == Self.currentVersion else { throw .unknownVersion(version) }
        let (noteKeys, firstIndexes) = try keyChain()
        let hub = NoteKey(text: hubKey)
        var result: [ProvenSegment] = []
        for proven in segments {
            // The epoch of an entry is that of the last key entry before it.
            guard let epoch = firstIndexes.lastIndex(where: { $0 < proven.index || $0 == 0 }),
                let signed = signedCheckpoint(above: proven), signed.isSigned(by: noteKeys[epoch]),
                let entry = try? LogEntry(line: Array(proven.line.utf8)), case .segment(let record) = entry.body
            else { throw .segment(index: proven.index) }
            result.append(ProvenSegment(record: record, witnessedUnixSeconds: hub.flatMap { signed.note.cosignatureUnixSeconds(by: $0) }))
        }
        return result
    }

    private func keyChain() throws(Fault) -> (keys: [NoteKey], indexes: [UInt64]) {
        var noteKeys: [NoteKey] = []
        var indexes: [UInt64] = []
        for (epoch, proven) in keys.enumerated() {
            guard let signed = signedCheckpoint(above: proven), let entry = try? LogEntry(line: Array(proven.line.utf8)),
                case .key(let record) = entry.body, record.epoch == UInt64(epoch),
                let key = NoteKey(text: record.key), key.name == log.origin
            else { throw .keyChain(epoch: epoch) }
            let signer = noteKeys.last ?? key
            let isRooted = epoch > 0 ? (indexes.last ?? .max) < proven.index : proven.index == 0 && LogVerifier.isAttested(record, by: node)
            guard isRooted, signed.isSigned(by: signer) else { throw .keyChain(epoch: epoch) }
            noteKeys.append(key)
            indexes.append(proven.index)
        }
        guard !noteKeys.isEmpty else { throw .keyChain(epoch: 0) }
        return (noteKeys, indexes)
    }

    /// The checkpoint that the entry names, if it is of this log and the path leads to its root.
    private func signedCheckpoint(above proven: ProvenEntry) -> SignedCheckpoint? {
        guard checkpoints.indices.contains(proven.checkpoint) else { return nil }
        let signed = checkpoints[proven.checkpoint]
        let leaf = MerkleTree.leafHash(Array(proven.line.utf8))
        guard signed.checkpoint.log == log,
            MerkleTree.verifyInclusion(leaf: leaf, index: proven.index, size: signed.checkpoint.size, path: proven.path, root: signed.checkpoint.root)
        else { return nil }
        return signed
    }
}
