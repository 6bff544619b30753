import RecordingModel

/// What became of one file of a card.
package struct FileReport: Sendable, Hashable {
    package enum Status: String, Sendable, Codable, CaseIterable {
        case imported
        /// In part: `missing` says what is not there.
        case damaged
        /// Its content is in the log, waits for the journal, or came earlier on the same card.
        case known
        /// Would be imported, but for a dry run.
        case new
        case unsupported
        case unreadable
    }
    package var name: String
    package var status: Status
    package var bytes: Int64
    package var sha256: ContentHash?
    package var container: String?
    package var containerStartUnixMilliseconds: Int64?
    package var start: WallEstimate?
    package var timeSource: ImportRecord.TimeSource?
    package var clockOffsetMilliseconds: Int64?
    package var durationMilliseconds: Int64 = 0
    package var segments = 0
    package var missing: String?
    /// Why nothing was imported.
    package var reason: String?

    init(_ entry: CardEntry, _ status: Status) {
        name = entry.name
        bytes = entry.bytes
        self.status = status
    }

    /// Whether the card holds something that the node does not.
    package var isFailure: Bool { status == .unsupported || status == .unreadable }
}

package struct ImportSummary: Sendable, Hashable {
    package private(set) var counts: [FileReport.Status: Int] = [:]
    /// Of the files that were imported.
    package private(set) var bytes: Int64 = 0
    package private(set) var durationMilliseconds: Int64 = 0
    package private(set) var segments = 0

    package init() {}

    mutating func add(_ report: FileReport) {
        counts[report.status, default: 0] += 1
        guard report.status == .imported || report.status == .damaged || report.status == .new else { return }
        bytes += report.bytes
        durationMilliseconds += report.durationMilliseconds
        segments += report.segments
    }
}

/// Why an import ended early. What was imported before it stays.
package struct ImportStopped: Error, CustomStringConvertible {
    package let description: String
}
