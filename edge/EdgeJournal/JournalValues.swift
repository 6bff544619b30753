import EvidenceLog
import RecordingModel
import StorageIO

/// A stretch of the log that a verifier takes at once: all its entries belong to one key epoch, and they lead
/// to its checkpoint, which that epoch's key signed.
package struct LogBatch: Sendable {
    package var start: UInt64
    /// Exactly as hashed, without newlines.
    package var lines: [[UInt8]]
    package var checkpoint: SignedCheckpoint
    package var end: UInt64 { checkpoint.checkpoint.size }
}

/// A sealed segment to read or send.
package struct JournalSegment: Sendable {
    package var record: SegmentRecord
    package var logIndex: UInt64
    package var file: any ReadingFile
}

/// One segment, gap, event or import in a listing.
package struct JournalRow: Hashable, Sendable {
    package enum Kind: Hashable, Sendable {
        case segment(sequence: UInt64, run: UInt64, bytes: Int64, end: SegmentEnd?, isHeld: Bool)
        case gap(GapCause?)
        case event(source: EventRecord.Source?, label: String)
        /// With the name and the size of the original; its time is that of its segments.
        case imported(name: String, bytes: Int64)
    }
    /// What became of a segment's file: given up under the hub's statement, or before it.
    package enum Removal: String, Sendable, Codable { case released, evicted }
    /// What a listing may hold besides segments.
    package enum Other: String, Sendable { case gaps = "gap", events = "event", imports = "import" }
    static func kinds(_ others: [Other]) -> [String] { ["segment"] + others.map(\.rawValue) }

    package var logIndex: UInt64
    package var stream: StreamID
    package var kind: Kind
    package var bootID: String
    package var startUnixMilliseconds: Int64
    package var endUnixMilliseconds: Int64
    /// Where the node first thought that it was, and how it knew; another time than `startUnixMilliseconds` was put
    /// right by a later clock fix.
    package var recordedStartUnixMilliseconds: Int64
    package var source: ClockSource
    package var uncertaintyMilliseconds: Int64
    package var removal: Removal?
    package var segment: SegmentID? {
        if case .segment(let sequence, _, _, _, _) = kind { SegmentID(stream: stream, sequence: sequence) } else { nil }
    }
    package var bytes: Int64? { if case .segment(_, _, let bytes, _, _) = kind { bytes } else { nil } }
    package var run: UInt64? { if case .segment(_, let run, _, _, _) = kind { run } else { nil } }
    /// By at least a second.
    package var isTimeCorrected: Bool { abs(startUnixMilliseconds - recordedStartUnixMilliseconds) >= 1_000 }

    init?(_ row: IndexRow) {
        guard let stream = row.stream.flatMap({ StreamID($0) }), let start = row.startUnixMilliseconds, let end = row.endUnixMilliseconds else { return nil }
        logIndex = row.index
        self.stream = stream
        bootID = row.bootID
        startUnixMilliseconds = start
        endUnixMilliseconds = end
        recordedStartUnixMilliseconds = row.recordedStartUnixMilliseconds ?? start
        source = row.source ?? .none
        uncertaintyMilliseconds = row.uncertaintyMilliseconds ?? WallEstimate.unsetUncertaintyMilliseconds
        removal = row.removal.map { $0 == .released ? .released : .evicted }
        if row.kind == "event" {
            kind = .event(source: row.reason.flatMap { EventRecord.Source(rawValue: $0) }, label: row.label ?? "")
        } else if row.kind == "import" {
            kind = .imported(name: row.label ?? "", bytes: row.bytes ?? 0)
        } else if let sequence = row.sequence {
            kind = .segment(
                sequence: sequence, run: row.run ?? 0, bytes: row.bytes ?? 0, end: row.reason.flatMap { SegmentEnd(rawValue: $0) }, isHeld: row.isHeld)
        } else {
            kind = .gap(row.reason.flatMap { GapCause(rawValue: $0) })
        }
    }
}

/// What a journal says of itself.
package struct JournalStatus: Sendable {
    package struct Newest: Hashable, Sendable {
        package var sequence: UInt64
        package var endUnixMilliseconds: Int64
    }
    package var node: NodeID
    package var log: LogID
    package var logSize: UInt64
    package var lastCheckpoint: Checkpoint?
    package var segments: Int
    package var bytes: Int64
    /// Sealed, and not covered by the hub's latest statement.
    package var backlog: Backlog
    package var newest: [StreamID: Newest]
    package var space: DiskSpace?
    /// Why nothing may be recorded, or what else is wrong with the disk; nil while all is well.
    package var diskProblem: String?
    /// As the cameras reported it; empty when asked from another process.
    package var cameras: [CameraHealth]
    /// Whether a recorder has the data directory open.
    package var isRecording: Bool
    /// Why the journal stopped; nil while all is well.
    package var failure: String?
}

/// The hub's latest statement as the node keeps it.
package struct JournalStatement: Hashable, Sendable {
    /// The bytes as received, with the hub's signature.
    package var encoded: [UInt8]
    package var held: [StreamID: SequenceRanges]
    package var logSize: UInt64

    package init(encoded: [UInt8], held: [StreamID: SequenceRanges], logSize: UInt64) {
        self.encoded = encoded
        self.held = held
        self.logSize = logSize
    }
}
