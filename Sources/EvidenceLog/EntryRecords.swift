import FoundationEssentials
import RecordingModel

/// The recorder started. The first entry of a boot after its `key`.
package struct BootRecord: Hashable, Sendable, Codable {
    package var software: String
    /// True when the recorder before this one ended by itself, with its segments sealed.
    package var previousStopWasClean: Bool
    package init(software: String, previousStopWasClean: Bool) {
        self.software = software
        self.previousStopWasClean = previousStopWasClean
    }
}

/// A new key signs checkpoints from the next entry on. The first key of a log is attested by the node's identity
/// key; every later one stands under a checkpoint of the key before it, whose private half is then destroyed.
package struct KeyRecord: Hashable, Sendable, Codable {
    package struct Attestation: Hashable, Sendable, Codable {
        /// SubjectPublicKeyInfo in DER; its SHA-256 is the node's id.
        package var identityKey: Data
        /// ECDSA P-256 with SHA-256 over `KeyRecord.attestedBytes`, in DER.
        package var signature: Data
        package init(identityKey: Data, signature: Data) {
            self.identityKey = identityKey
            self.signature = signature
        }
    }
    package var epoch: UInt64
    /// C2SP vkey text of the new key.
    package var key: String
    package var attestation: Attestation?
    package init(epoch: UInt64, key: String, attestation: Attestation? = nil) {
        self.epoch = epoch
        self.key = key
        self.attestation = attestation
    }

    package static func attestedBytes(key: String) -> [UInt8] { Array("fieldpost log key v1\n\(key)\n".utf8) }
}

/// The configuration in force from here on: its version (SHA-256 of the file's bytes, shortened) and its cameras.
package struct ConfigRecord: Hashable, Sendable, Codable {
    package var version: String
    package var cameras: [CameraID]
    package init(version: String, cameras: [CameraID]) {
        self.version = version
        self.cameras = cameras
    }
}

/// Recovery after an unclean stop touched a file: what was kept and what could not be.
package struct RecoveredRecord: Hashable, Sendable, Codable {
    package var segment: SegmentID
    package var keptBytes: Int64
    package var lostBytes: Int64
    /// Whether anything remained to be sealed. When not, the sequence number is used again.
    package var sealed: Bool
    package init(segment: SegmentID, keptBytes: Int64, lostBytes: Int64, sealed: Bool) {
        self.segment = segment
        self.keptBytes = keptBytes
        self.lostBytes = lostBytes
        self.sealed = sealed
    }
}

/// Content deleted at the node. As `released` the hub's current statement covered all of it; as `evicted` it did not,
/// and what the hub does not hold is lost. Durable before the first file of it is unlinked.
package struct RemovalRecord: Hashable, Sendable, Codable {
    package enum Reason: String, Sendable, OpenWord {
        /// Free space fell below the low watermark.
        case space
        /// Older than the configuration keeps footage.
        case age
        /// Old enough to be reduced: a smaller copy stays, whose entry names what it was made of and its hash.
        case reduced
        /// A sealed file that its entry names was not on the disk any more.
        case missing
        /// A word of a later version.
        case unrecognised
    }
    package var stream: StreamID
    package var sequences: SequenceRanges
    package var bytes: Int64
    package var durationMilliseconds: Int64
    package var reason: Reason
    package init(stream: StreamID, sequences: SequenceRanges, bytes: Int64, durationMilliseconds: Int64, reason: Reason) {
        self.stream = stream
        self.sequences = sequences
        self.bytes = bytes
        self.durationMilliseconds = durationMilliseconds
        self.reason = reason
    }
}

extension RemovalRecord {
    var isPlausible: Bool {
        Plausibility.isCount(bytes) && Plausibility.isCount(durationMilliseconds) && sequences.last ?? 0 <= Plausibility.sequenceMax
    }
}
