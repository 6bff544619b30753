import Crypto
import FoundationEssentials
import RecordingModel

/// Why a piece of a log was not accepted.
package enum LogFault: Error, Hashable, Sendable, CustomStringConvertible {
    case entryTooLong
    /// A time, length or count beyond what can be.
    case implausibleEntry
    case malformedEntry(index: UInt64)
    case otherLog
    /// The batch does not begin where the log ends.
    case wrongStart(expected: UInt64)
    /// The entries do not lead to the size or root of their checkpoint.
    case wrongRoot
    /// The checkpoint is not signed by the key of its entries' own epoch.
    case wrongSigner
    /// The log does not begin with a key that the node's identity attests.
    case unattested
    /// A `key` entry that is not the last of its batch, or out of order.
    case misplacedKey(index: UInt64)

    package var description: String {
        switch self {
        case .entryTooLong: "an entry is longer than \(LogEntry.byteLimit) bytes or holds a newline"
        case .implausibleEntry: "an entry holds a time, length or count that cannot be"
        case .malformedEntry(let index): "entry \(index) is not a log entry"
        case .otherLog: "the checkpoint belongs to another log"
        case .wrongStart(let expected): "the batch does not begin at entry \(expected)"
        case .wrongRoot: "the entries do not lead to the checkpoint's size and root"
        case .wrongSigner: "the checkpoint is not signed by the key of these entries' epoch"
        case .unattested: "the log's first key is not attested by the node's identity"
        case .misplacedKey(let index): "entry \(index) changes the key out of order"
        }
    }
}

/// Follows one node's log batch by batch, and accepts only what leads to a root signed by the key of that very
/// epoch: an old entry sealed again with today's key is refused (see CVE-2023-31439 for what happens otherwise).
/// It is a value and small enough to store: its state is the right edge of the tree and the key in force.
package struct LogVerifier: Hashable, Sendable, Codable {
    package let node: NodeID
    package let log: LogID
    package private(set) var frontier = MerkleFrontier()
    package private(set) var key: NoteKey?
    package private(set) var epoch: UInt64 = 0

    package init(node: NodeID, log: LogID) {
        self.node = node
        self.log = log
    }

    package var size: UInt64 { frontier.size }
    package var root: ContentHash { frontier.root }

    /// Takes the lines (without newlines) from `start`, and the checkpoint they lead to. On any fault nothing changes.
    package mutating func append(_ lines: [[UInt8]], from start: UInt64, leadingTo signed: SignedCheckpoint) throws(LogFault) -> [LogEntry] {
        guard signed.checkpoint.log == log else { throw .otherLog }
        guard start == size else { throw .wrongStart(expected: size) }
        var next = self
        var entries: [LogEntry] = []
        entries.reserveCapacity(lines.count)
        var successor: NoteKey?
        for line in lines {
            let index = next.size
            if successor != nil { throw .misplacedKey(index: index - 1) }
            guard let entry = try? LogEntry(line: line) else { throw .malformedEntry(index: index) }
            if case .key(let record) = entry.body {
                guard let key = NoteKey(text: record.key), key.name == log.origin, key.algorithm == .ed25519 else { throw .malformedEntry(index: index) }
                if index == 0 {
                    guard record.epoch == 0, Self.isAttested(record, by: node) else { throw .unattested }
                    next.key = key
                } else {
                    guard record.epoch == next.epoch + 1 else { throw .misplacedKey(index: index) }
                    successor = key
                }
            }
            guard next.key != nil else { throw .unattested }
            next.frontier.append(MerkleTree.leafHash(line))
            entries.append(entry)
        }
        guard signed.checkpoint.size == next.size, signed.checkpoint.root == next.root else { throw .wrongRoot }
        guard let key = next.key, signed.isSigned(by: key) else { throw .wrongSigner }
        if let successor {
            next.key = successor
            next.epoch += 1
        }
        self = next
        return entries
    }

    /// Follows a line that was verified when it was stored, to come to an earlier size of a log. It proves nothing.
    package mutating func replay(_ line: [UInt8]) {
        let index = size
        frontier.append(MerkleTree.leafHash(line))
        // A quote inside a JSON string is escaped, so these bytes can only be the field itself.
        guard line.contains(Self.keyKind), case .key(let record)? = (try? LogEntry(line: line))?.body else { return }
        key = NoteKey(text: record.key)
        if index > 0 { epoch += 1 }
    }
    private static let keyKind = Array(#""kind":"key""#.utf8)

    /// Whether the identity key in the record is the node's, and signed this log key.
    package static func isAttested(_ record: KeyRecord, by node: NodeID) -> Bool {
        guard let attestation = record.attestation, ContentHash.sha256(attestation.identityKey) == node.keyHash,
            let key = try? P256.Signing.PublicKey(derRepresentation: attestation.identityKey),
            let signature = try? P256.Signing.ECDSASignature(derRepresentation: attestation.signature)
        else { return false }
        return key.isValidSignature(signature, for: KeyRecord.attestedBytes(key: record.key))
    }
}
