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

package enum EntryBody: Hashable, Sendable {
    case boot(BootRecord)
    case key(KeyRecord)
    case config(ConfigRecord)
    case segment(SegmentRecord)
    case gap(GapRecord)
    case recovered(RecoveredRecord)
    /// A kind of a later version: kept, counted and proven, but not understood.
    case other(kind: String)

    package var kind: String {
        switch self {
        case .boot: "boot"
        case .key: "key"
        case .config: "config"
        case .segment: "segment"
        case .gap: "gap"
        case .recovered: "recovered"
        case .other(let kind): kind
        }
    }
}

/// One line of a node's log. The bytes first written are what is hashed, kept and sent; they are never made again
/// from the value.
package struct LogEntry: Hashable, Sendable {
    package static let byteLimit = 64 << 10

    package var bootID: String
    package var bootMilliseconds: Int64
    package var wall: WallEstimate
    package var body: EntryBody

    package init(bootID: String, at moment: Moment, body: EntryBody) {
        self.bootID = bootID
        bootMilliseconds = moment.bootMilliseconds
        wall = moment.wall
        self.body = body
    }

    /// One JSON object without its newline, keys sorted.
    package func encoded() throws -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return Array(try encoder.encode(self))
    }

    package init(line: some Collection<UInt8>) throws {
        guard line.count <= Self.byteLimit, !line.contains(UInt8(ascii: "\n")) else { throw LogFault.entryTooLong }
        self = try JSONDecoder().decode(LogEntry.self, from: Data(line))
        guard isPlausible else { throw LogFault.implausibleEntry }
    }

    /// Whether its numbers are within `Plausibility`: what is not is no entry, whoever signed it.
    private var isPlausible: Bool {
        guard wall.isPlausible, (0...Plausibility.magnitudeMax).contains(bootMilliseconds) else { return false }
        return switch body {
        case .segment(let record): record.isPlausible
        case .gap(let gap): gap.isPlausible
        case .recovered(let record): record.segment.sequence <= Plausibility.sequenceMax
        case .boot, .key, .config, .other: true
        }
    }
}

extension LogEntry: Codable {
    private enum Key: String, CodingKey {
        case kind, bootID, bootMilliseconds, wall, boot, key, config, segment, gap, recovered
    }

    package init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: Key.self)
        bootID = try container.decode(String.self, forKey: .bootID)
        bootMilliseconds = try container.decode(Int64.self, forKey: .bootMilliseconds)
        wall = try container.decode(WallEstimate.self, forKey: .wall)
        body = switch try container.decode(String.self, forKey: .kind) {
        case "boot": .boot(try container.decode(BootRecord.self, forKey: .boot))
        case "key": .key(try container.decode(KeyRecord.self, forKey: .key))
        case "config": .config(try container.decode(ConfigRecord.self, forKey: .config))
        case "segment": .segment(try container.decode(SegmentRecord.self, forKey: .segment))
        case "gap": .gap(try container.decode(GapRecord.self, forKey: .gap))
        case "recovered": .recovered(try container.decode(RecoveredRecord.self, forKey: .recovered))
        case let kind: .other(kind: kind)
        }
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: Key.self)
        try container.encode(body.kind, forKey: .kind)
        try container.encode(bootID, forKey: .bootID)
        try container.encode(bootMilliseconds, forKey: .bootMilliseconds)
        try container.encode(wall, forKey: .wall)
        switch body {
        case .boot(let record): try container.encode(record, forKey: .boot)
        case .key(let record): try container.encode(record, forKey: .key)
        case .config(let record): try container.encode(record, forKey: .config)
        case .segment(let record): try container.encode(record, forKey: .segment)
        case .gap(let record): try container.encode(record, forKey: .gap)
        case .recovered(let record): try container.encode(record, forKey: .recovered)
        case .other: break
        }
    }
}
