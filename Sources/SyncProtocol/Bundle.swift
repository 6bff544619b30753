import EvidenceLog
import RecordingModel

/// A bundle: the frames of a push in files, for a courier to carry.
///
///     FIELDPST/<node>/<bundle>/00000001.FPB …   node and bundle by eight hex digits
///     FIELDPST/<node>/STATEMNT.FPS              the hub's answer, for the way back
///
/// Every name is upper case and 8.3, so that any FAT keeps it as it is. Nothing is renamed, and no time of change matters.
///
/// A bundle has no signature of its own: its entries lead to checkpoints that the node's key signed, they name the hash of
/// every segment, and the CRCs find what a medium has damaged. Whoever alters a bundle gets it refused.
/// Nor is it encrypted: who has the medium can watch the footage, as who has the node's disk can.
package enum BundleNames {
    package static let root = "FIELDPST"
    package static let receipt = "STATEMNT.FPS"

    package static func folder(of node: NodeID) -> String { node.description.prefix(8).uppercased() }
    package static func folder(ofBundle id: [UInt8]) -> String { Hex.encode(Array(id.prefix(4))).uppercased() }
    package static func fileName(_ number: UInt32) -> String {
        let digits = String(number)
        return String(repeating: "0", count: max(0, 8 - digits.count)) + digits + ".FPB"
    }

    package static func isFolder(_ name: String) -> Bool { name.utf8.count == 8 && Hex.decode(name.lowercased()) != nil }

    /// Some mounts of FAT show names in lower case.
    package static func isSame(_ one: String, _ other: String) -> Bool { one.uppercased() == other.uppercased() }
}

package enum BundleLimits {
    /// Far below the 4 GiB of FAT32, and little enough to be read through again after a cut.
    package static let fileBytes: Int64 = 1 << 30
    /// Footage of one record.
    package static let recordBytes = 1 << 20
    package static let filesMax: UInt32 = 99_999_999
    /// So that reading one takes little memory, whatever it holds: a terabyte of segments of 256 KB.
    package static let segmentsMax = 4_000_000
}

/// What every file of a bundle begins with: 160 bytes, integers big-endian.
///
///     0 magic 8 · 8 format version 2 · 10 zero 2 · 12 number of the file 4, from 1 · 16 bundle id 16 · 32 node 32 · 64 hub 32
///     96 log 16 · 112 made at, Unix milliseconds 8 · 120 first entry 8 · 128 zero 28 · 156 CRC-32C of all before 4
package struct BundleHeader: Hashable, Sendable {
    package static let byteCount = 160
    package static let version: UInt16 = 1
    private static let magic = Array("FPBUNDLE".utf8)

    package var number: UInt32
    /// 16 random bytes.
    package var bundle: [UInt8]
    package var node: NodeID
    package var hub: HubID
    package var log: LogID
    package var madeUnixMilliseconds: Int64
    /// Index of the first entry that the bundle brings. A hub whose log is shorter cannot take it.
    package var firstEntry: UInt64

    package init(number: UInt32, bundle: [UInt8], node: NodeID, hub: HubID, log: LogID, madeUnixMilliseconds: Int64, firstEntry: UInt64) {
        self.number = number
        self.bundle = bundle
        self.node = node
        self.hub = hub
        self.log = log
        self.madeUnixMilliseconds = madeUnixMilliseconds
        self.firstEntry = firstEntry
    }

    package var encoded: [UInt8] {
        var bytes = Self.magic
        FrameCoding.append(Self.version, to: &bytes)
        FrameCoding.append(UInt16(0), to: &bytes)
        FrameCoding.append(number, to: &bytes)
        bytes += bundle
        bytes += node.keyHash.bytes
        bytes += hub.keyHash.bytes
        bytes += Hex.decode(log.description) ?? []
        FrameCoding.append(madeUnixMilliseconds, to: &bytes)
        FrameCoding.append(firstEntry, to: &bytes)
        bytes += [UInt8](repeating: 0, count: Self.byteCount - 4 - bytes.count)
        FrameCoding.append(bytes.withUnsafeBytes { CRC32C.checksum($0) }, to: &bytes)
        return bytes
    }

    package enum Fault: Error, Hashable, Sendable, CustomStringConvertible {
        case isNone
        case isDamaged
        case isNewer(version: UInt64)

        package var description: String {
            switch self {
            case .isNone: "the file does not begin as a bundle's"
            case .isDamaged: "the file's first bytes are damaged"
            case .isNewer(let version): "the bundle has format \(version), this program knows \(BundleHeader.version); use a newer one"
            }
        }
    }

    package init(decoding bytes: [UInt8]) throws(Fault) {
        guard bytes.count >= Self.byteCount, bytes.starts(with: Self.magic) else { throw .isNone }
        var reader = ByteReader(bytes.dropFirst(Self.magic.count).prefix(Self.byteCount - Self.magic.count))
        guard let version = reader.integer(2) else { throw .isNone }
        guard version == UInt64(Self.version) else { throw .isNewer(version: version) }
        let sum = bytes[0..<Self.byteCount - 4].withUnsafeBytes { CRC32C.checksum($0) }
        guard bytes[(Self.byteCount - 4)..<Self.byteCount].reduce(UInt32(0), { $0 << 8 | UInt32($1) }) == sum else { throw .isDamaged }
        guard reader.integer(2) != nil, let number = reader.integer(4), let bundle = reader.bytes(16), let node = reader.bytes(32).flatMap({ ContentHash($0) }),
            let hub = reader.bytes(32).flatMap({ ContentHash($0) }), let log = reader.bytes(16).flatMap({ LogID(Hex.encode(Array($0))) }),
            let made = reader.integer(8), let first = reader.integer(8), first <= Plausibility.sequenceMax
        else { throw .isDamaged }
        self.init(
            number: UInt32(truncatingIfNeeded: number), bundle: Array(bundle), node: NodeID(keyHash: node), hub: HubID(keyHash: hub), log: log,
            madeUnixMilliseconds: Int64(bitPattern: made), firstEntry: first)
    }

    /// Whether both are files of one bundle.
    package func isOfSameBundle(as other: BundleHeader) -> Bool {
        var other = other
        other.number = number
        return self == other
    }
}

/// What a bundle's file holds beside a push's frames, in the same coding: length, kind, payload, CRC-32C.
package enum BundleMark: Hashable, Sendable {
    /// What the bundle will hold when it is whole. The last one counts.
    case plan(segments: UInt64, bytes: Int64)
    /// The bundle is whole: how many records it has before this one, their bytes over all files without the headers, and the
    /// checkpoint that its entries lead to.
    case end(records: UInt64, bytes: Int64, checkpoint: SignedCheckpoint)

    static let planKind: UInt8 = 0x70
    static let endKind: UInt8 = 0x71

    package var encoded: [UInt8] {
        var body: [UInt8] = []
        switch self {
        case .plan(let segments, let bytes):
            body.append(Self.planKind)
            FrameCoding.append(segments, to: &body)
            FrameCoding.append(bytes, to: &body)
        case .end(let records, let bytes, let checkpoint):
            body.append(Self.endKind)
            FrameCoding.append(records, to: &body)
            FrameCoding.append(bytes, to: &body)
            body += Array(checkpoint.note.encoded.utf8)
        }
        return FrameCoding.wrap(body)
    }

    /// Of kind and payload; nil for anything else.
    init?(decoding body: ArraySlice<UInt8>) {
        var reader = ByteReader(body.dropFirst())
        guard let kind = body.first, let count = reader.integer(8), let bytes = reader.integer(8), bytes <= UInt64(Int64.max) else { return nil }
        switch kind {
        case Self.planKind where reader.rest.isEmpty: self = .plan(segments: count, bytes: Int64(bytes))
        case Self.endKind:
            guard reader.rest.count <= SignedNote.byteLimit, let checkpoint = SignedCheckpoint(encoded: String(decoding: reader.rest, as: UTF8.self)) else { return nil }
            self = .end(records: count, bytes: Int64(bytes), checkpoint: checkpoint)
        default: return nil
        }
    }
}
