/// A segment file that is complete and synced under its open name; the journal gives it its final name and its entry.
package struct ClosedSegment: Sendable {
    package var record: SegmentRecord
    /// Absolute paths of the open file and of its side file (see `SegmentFiles`).
    package var openPath: String
    package var sidePath: String

    package init(record: SegmentRecord, openPath: String, sidePath: String) {
        self.record = record
        self.openPath = openPath
        self.sidePath = sidePath
    }
}

/// What a camera is doing, for status pages. Counters run from the start of the process.
package struct CameraHealth: Sendable, Codable, Hashable {
    /// `standby`: connected, and nothing is kept just now, because there is no event or the schedule says so.
    package enum State: String, Sendable, Codable { case connecting, recording, standby, waiting, stopped }
    package var camera: CameraID
    package var state: State
    package var sinceBootMilliseconds: Int64
    /// The last failure, in one sentence without secrets; nil while all is well.
    package var lastError: String?
    package var packets: UInt64
    package var drops: UInt64
    package var bytes: UInt64
    package var connects: UInt64

    package init(camera: CameraID, state: State, sinceBootMilliseconds: Int64, lastError: String? = nil, packets: UInt64 = 0, drops: UInt64 = 0, bytes: UInt64 = 0, connects: UInt64 = 0) {
        self.camera = camera
        self.state = state
        self.sinceBootMilliseconds = sinceBootMilliseconds
        self.lastError = lastError
        self.packets = packets
        self.drops = drops
        self.bytes = bytes
        self.connects = connects
    }
}

/// Where capture puts what it makes. Called from camera threads; a call may block while the disk is slow,
/// and that is the back-pressure.
package protocol RecordingSink: Sendable {
    /// The sequence that the stream's next segment will have, and its next run number.
    func nextSequence(for stream: StreamID) -> UInt64
    func nextRun(for stream: StreamID) -> UInt64
    func deliver(_ segment: ClosedSegment) throws
    func deliver(_ gap: GapRecord) throws
    func deliver(_ event: EventRecord) throws
    func report(_ health: CameraHealth)
    /// Why nothing may be recorded now; nil while it may. Cheap: asked with every fragment.
    var refusal: RecordingRefusal? { get }
}

/// Why the node takes no footage, and the cause that the gap then has.
package struct RecordingRefusal: Hashable, Sendable {
    package var cause: GapCause
    package var detail: String
    package init(cause: GapCause, detail: String) {
        self.cause = cause
        self.detail = detail
    }
}

/// Names of the files of a stream, relative to `segments/` in the node's data directory. Names hold no time.
package enum SegmentFiles {
    package static func directory(of stream: StreamID) -> String { stream.description }
    package static func sealedName(_ sequence: UInt64) -> String { "\(padded(sequence)).mp4" }
    package static func openName(_ sequence: UInt64) -> String { "\(padded(sequence)).open.mp4" }
    /// Side file: one record a fragment, `SideFile.recordBytes` long; kept beside the sealed segment.
    package static func sideName(_ sequence: UInt64) -> String { "\(padded(sequence)).fragments" }

    package static func sequence(ofName name: String) -> UInt64? {
        name.split(separator: ".").first.flatMap { $0.count == 10 ? UInt64($0) : nil }
    }

    private static func padded(_ sequence: UInt64) -> String {
        let digits = String(sequence)
        return String(repeating: "0", count: max(0, 10 - digits.count)) + digits
    }
}
