import RecordingModel

/// Why the journal refused something. Each is a sentence for people.
package enum JournalError: Error, Hashable, Sendable, CustomStringConvertible {
    /// Another recorder holds the data directory's lock.
    case inUse(directory: String)
    /// The folder belongs to another node.
    case otherNode(directory: String, found: String)
    /// The folder has files in it and none says that it is a data directory.
    case foreignDirectory(directory: String, example: String)
    case unknownFormat(directory: String, version: Int)
    case notADataDirectory(directory: String)
    case unreadable(file: String, reason: String)
    /// A segment out of the order that `nextSequence(for:)` gave.
    case unexpectedSequence(SegmentID, expected: UInt64)
    /// Numbers in a segment's record that cannot be (see `Plausibility`).
    case implausible(SegmentID)
    case implausibleEvent(CameraID)
    case implausiblePower
    /// The log asked for is longer than this one.
    case beyondLog(size: UInt64, asked: UInt64)
    case closed
    /// A write that must not fail did; nothing more is accepted until the recorder starts again and recovers.
    case failed(reason: String, isNoSpace: Bool = false)

    package var description: String {
        switch self {
        case .inUse(let directory): "another recorder is using \(directory)"
        case .otherNode(let directory, let found): "\(directory) belongs to another node (\(found)); it is not touched"
        case .foreignDirectory(let directory, let example):
            "\(directory) is not a data directory of this recorder and is not empty (it holds \(example)); it is not touched"
        case .unknownFormat(let directory, let version): "\(directory) has format \(version), which this version does not know"
        case .notADataDirectory(let directory): "\(directory) is not a data directory: fieldpost-node.json is missing"
        case .unreadable(let file, let reason): "\(file) cannot be understood: \(reason)"
        case .unexpectedSequence(let segment, let expected): "segment \(segment) is out of order: \(expected) is next"
        case .implausible(let segment): "the record of segment \(segment) holds a time, length or count that cannot be"
        case .implausibleEvent(let camera): "an event of camera \(camera) holds a number that cannot be"
        case .implausiblePower: "a change of the power state holds a number or a text that cannot be"
        case .beyondLog(let size, let asked): "entry \(asked) is beyond the log's \(size) entries"
        case .closed: "the journal is closed"
        case .failed(let reason, _): "the journal stopped: \(reason)"
        }
    }
}
