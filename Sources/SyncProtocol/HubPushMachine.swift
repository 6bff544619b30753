import EvidenceLog
import RecordingModel

/// What the hub knows of a segment when a frame for it comes.
package struct SegmentState: Hashable, Sendable {
    package var sha256: ContentHash
    package var bytes: Int64
    /// Stored as a whole, file, directory and catalogue synced.
    package var isHeld: Bool
    package var partialBytes: Int64
    package init(sha256: ContentHash, bytes: Int64, isHeld: Bool, partialBytes: Int64) {
        self.sha256 = sha256
        self.bytes = bytes
        self.isHeld = isHeld
        self.partialBytes = partialBytes
    }
}

/// The hub's side of a push as a value: what each frame means, given what is known. The driver does what it says
/// and reports success; nothing is claimed before that.
package struct HubPushMachine: Sendable {
    package enum Action: Hashable, Sendable {
        /// Write the lines and the checkpoint, then call `storedEntries`.
        case storeEntries(EntryBatch, entries: [LogEntry], verifier: LogVerifier)
        /// Append the frame's bytes after leaving out the first `skip`, which the hub has.
        case append(segment: SegmentID, sha256: ContentHash, at: Int64, skip: Int)
        /// Compare the file's hash, sync, and make it held.
        case commit(segment: SegmentID, sha256: ContentHash, bytes: Int64)
        /// The hub has this already.
        case duplicate(bytes: Int64)
        case refuse(Refusal)
        /// Nothing after this frame can be taken: end the push with this answer.
        case stop(Problem)
    }

    package private(set) var verifier: LogVerifier
    package private(set) var frames = 0
    package private(set) var refusals: [Refusal] = []
    package private(set) var duplicateBytes: Int64 = 0
    /// Refusals listed in an answer at most; the rest is counted by the partial offsets.
    package static let refusalLimit = 256

    private let dictionaries: SharedDictionaries

    package init(verifier: LogVerifier, dictionaries: SharedDictionaries = .shipped) {
        self.verifier = verifier
        self.dictionaries = dictionaries
    }

    package mutating func receive(_ frame: Frame, state: (SegmentID) throws -> SegmentState?) throws -> Action {
        defer { frames += 1 }
        let action =
            switch frame {
            case .entries(let bytes): receiveEntries(bytes)
            case .data(let segment, let offset, let bytes):
                receiveData(segment, offset: offset, count: bytes.count, state: try state(segment))
            case .end(let segment, let length, let sha256):
                receiveEnd(segment, length: length, sha256: sha256, state: try state(segment))
            }
        switch action {
        case .refuse(let refusal): refused(refusal)
        case .duplicate(let bytes): duplicateBytes += bytes
        case .append(_, _, _, let skip): duplicateBytes += Int64(skip)
        case .storeEntries, .commit, .stop: break
        }
        return action
    }

    /// The driver refuses what only it could see: a wrong hash, a disk that failed.
    package mutating func refused(_ refusal: Refusal) {
        if refusals.count < Self.refusalLimit { refusals.append(refusal) }
    }

    package mutating func storedEntries(_ verifier: LogVerifier) { self.verifier = verifier }

    private mutating func receiveEntries(_ bytes: [UInt8]) -> Action {
        // Decoding bounds start and count, so that their sum cannot overflow.
        if let id = dictionaries.missing(for: bytes) {
            return .stop(.unknownDictionary(id))
        }
        guard var batch = EntryBatch(decoding: bytes, knowing: dictionaries) else {
            return .stop(Problem(status: 400, title: "The entry batch cannot be read.", field: "entries"))
        }
        // A batch that was sent before, or overlaps what is known, is taken from where it becomes new.
        let known = verifier.size
        let end = batch.start + UInt64(batch.lines.count)
        if batch.start < known {
            guard end > known else { return .duplicate(bytes: Int64(bytes.count)) }
            batch.lines.removeFirst(Int(known - batch.start))
            batch.start = known
        }
        var next = verifier
        do throws(LogFault) {
            let entries = try next.append(batch.lines, from: batch.start, leadingTo: batch.checkpoint)
            return .storeEntries(batch, entries: entries, verifier: next)
        } catch .wrongStart(let expected) {
            return .stop(Problem(status: 409, title: "The entries begin beyond the hub's log.", detail: "The hub has \(expected) entries.", field: "\(expected)"))
        } catch {
            return .stop(Problem(status: 422, title: "The entries are not accepted.", detail: error.description, field: "entries"))
        }
    }

    private func receiveData(_ segment: SegmentID, offset: Int64, count: Int, state: SegmentState?) -> Action {
        func refuse(_ reason: Refusal.Reason, _ detail: String, expected: Int64? = nil) -> Action {
            .refuse(Refusal(frame: frames, reason: reason, detail: detail, segment: segment, expected: expected))
        }
        guard let state else { return refuse(.unknownSegment, "no entry for this segment has been accepted") }
        if state.isHeld { return .duplicate(bytes: Int64(count)) }
        let (end, overflow) = offset.addingReportingOverflow(Int64(count))
        guard count > 0, !overflow, end <= state.bytes else { return refuse(.wrongLength, "the bytes go beyond the segment's length", expected: state.bytes) }
        guard offset <= state.partialBytes else { return refuse(.wrongOffset, "the bytes do not follow what the hub has", expected: state.partialBytes) }
        guard end > state.partialBytes else { return .duplicate(bytes: Int64(count)) }
        return .append(segment: segment, sha256: state.sha256, at: state.partialBytes, skip: Int(state.partialBytes - offset))
    }

    private func receiveEnd(_ segment: SegmentID, length: Int64, sha256: ContentHash, state: SegmentState?) -> Action {
        func refuse(_ reason: Refusal.Reason, _ detail: String, expected: Int64? = nil) -> Action {
            .refuse(Refusal(frame: frames, reason: reason, detail: detail, segment: segment, expected: expected))
        }
        guard let state else { return refuse(.unknownSegment, "no entry for this segment has been accepted") }
        guard sha256 == state.sha256 else { return refuse(.wrongHash, "the hash is not the one in the segment's entry") }
        if state.isHeld { return .duplicate(bytes: 0) }
        guard length == state.bytes else { return refuse(.wrongLength, "the length is not the one in the segment's entry", expected: state.bytes) }
        guard state.partialBytes == length else { return refuse(.wrongOffset, "bytes are missing", expected: state.partialBytes) }
        return .commit(segment: segment, sha256: sha256, bytes: length)
    }
}
