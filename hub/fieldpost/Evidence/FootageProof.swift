import EvidenceLog
import FoundationEssentials
import RecordingModel

/// `FILE.proof.json`: what a joined file is made of, and the proof of each part. The list of parts is only a map:
/// what counts is that the bytes it points to have the hashes that the log's proven entries say.
struct FootageProof: Codable, Equatable {
    static let currentVersion = 1

    struct Fragment: Codable, Equatable {
        var length: Int64
        var sha256: ContentHash
    }
    struct Part: Codable, Equatable {
        var segment: SegmentID
        var sha256: ContentHash
        /// Where the segment's fragments lie in the joined file. Its init is the file's own.
        var offset: Int64
        var length: Int64
        /// What was added to the times of each track (by number).
        var trackShifts: [String: Int64]
        /// Hashes of the fragments before the shift; empty where the log's fragment root does not prove them.
        var fragments: [Fragment]

        static func named(_ shifts: [UInt32: Int64]) -> [String: Int64] {
            Dictionary(uniqueKeysWithValues: shifts.map { (String($0.key), $0.value) })
        }

        /// What a log entry calls `fragmentRoot`: the tree whose leaves hold the fragments' hashes.
        static func root(of fragments: [Fragment]) -> ContentHash {
            MerkleTree.root(ofLeafData: fragments.map(\.sha256.bytes))
        }
    }

    var version = Self.currentVersion
    var nodeName: String
    var camera: CameraID
    var fromUnixMilliseconds: Int64
    var toUnixMilliseconds: Int64
    var initBytes: Int64
    var parts: [Part]
    /// What of the range is not in the file, and why.
    var gaps: [TimelineSpan]
    var bundle: ProofBundle

    static func path(for file: String) -> String { file + ".proof.json" }
}

/// The verdicts of a check, worst last in a folder's sum.
enum Verdict: String, Codable, CaseIterable, Comparable {
    case intact = "INTACT"
    case intactWithGaps = "INTACT_WITH_GAPS"
    case incompleteTail = "INCOMPLETE_TAIL"
    case unwitnessed = "UNWITNESSED"
    case unsigned = "UNSIGNED"
    case unknownKey = "UNKNOWN_KEY"
    case unreadable = "UNREADABLE"
    case altered = "ALTERED"

    var isGood: Bool { self <= .incompleteTail }

    static func < (left: Verdict, right: Verdict) -> Bool {
        (allCases.firstIndex(of: left) ?? 0) < (allCases.firstIndex(of: right) ?? 0)
    }
}

/// What a check of one thing found.
struct Report: Codable, Equatable {
    struct Damage: Codable, Equatable {
        var firstByte: Int64
        var endByte: Int64
        var what: String
    }
    var file: String
    var verdict: Verdict
    /// One sentence that says why.
    var reason: String
    var damage: Damage?
    var segments = 0
    var gaps: [String] = []
    /// The node whose key signed, and whether somebody told this check to expect it.
    var node: NodeID?
    var isNodeExpected = false
    var witnessedUnixSeconds: UInt64?
    /// The key that the proof calls the hub's, for two people to compare.
    var hubKeyFingerprint: String?
    var isHubKeyExpected = false
    var camera: CameraID?
    /// From the start of the first segment to the end of the last: whoever asked for more sees here that it is not there.
    var fromUnixMilliseconds: Int64?
    var toUnixMilliseconds: Int64?
    /// What was asked for and lies before the first segment or after the last.
    var missing: [String] = []

    static let proven = "Proven: from the moment the node wrote a fragment, nothing was changed, removed, inserted or reordered without it showing, and the record existed no later than the hub's cosignature time."
    static let notProven = "Not proven: what was in front of the lens, and the way from the camera to the node, unless the camera signs its video itself."
}
