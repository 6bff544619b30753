import RecordingModel

/// What is known of when a file's first picture was taken.
struct TimeEvidence: Hashable {
    /// As the container says it.
    var container: Int64?
    /// As its name says it, local time as if it were UTC.
    var name: Int64?
    /// Of the card's file system: when the camera wrote last, which is the end of the recording.
    var modified: Int64?
    var durationMilliseconds: Int64
}

/// How the operator wants times to be read.
package struct TimeRules: Hashable, Sendable {
    /// Added to what the camera says; nil when nobody compared its clock.
    package var clockOffsetMilliseconds: Int64?
    /// How far the local time of file names is ahead of UTC.
    package var nameZoneMilliseconds: Int64
    /// The start, known from elsewhere.
    package var startUnixMilliseconds: Int64?

    package init(clockOffsetMilliseconds: Int64? = nil, nameZoneMilliseconds: Int64 = 0, startUnixMilliseconds: Int64? = nil) {
        self.clockOffsetMilliseconds = clockOffsetMilliseconds
        self.nameZoneMilliseconds = nameZoneMilliseconds
        self.startUnixMilliseconds = startUnixMilliseconds
    }
}

/// The start that a file is given, and why.
struct ChosenTime: Hashable {
    var wall: WallEstimate
    var source: ImportRecord.TimeSource
    /// What was added to what the source says.
    var offsetMilliseconds: Int64

    /// Somebody compared the camera's clock with a good one.
    static let comparedUncertaintyMilliseconds: Int64 = 60_000
    /// A camera's clock that nobody looked at for a year.
    static let cameraUncertaintyMilliseconds: Int64 = 3_600_000
    /// FAT stores local time without its zone, which is at most 14 hours off.
    static let modifiedUncertaintyMilliseconds: Int64 = 15 * 3_600_000
    static let unknownUncertaintyMilliseconds: Int64 = 365 * 86_400_000
    /// FAT's first day, 1980-01-01, is what cameras write that have no clock; nor is 1990 a time for one.
    private static let firstPlausible: Int64 = 631_152_000_000

    /// The most trusted of what is there. Containers and names may both hold local time where they should hold UTC: only
    /// the operator can tell, by `clockOffsetMilliseconds`.
    init(_ evidence: TimeEvidence, rules: TimeRules) {
        if let start = rules.startUnixMilliseconds {
            wall = WallEstimate(unixMilliseconds: start, source: .rtc, uncertaintyMilliseconds: Self.comparedUncertaintyMilliseconds)
            (source, offsetMilliseconds) = (.operatorStart, 0)
            return
        }
        let found: (time: Int64, source: ImportRecord.TimeSource, added: Int64, uncertainty: Int64)?
        if let time = evidence.container, time >= Self.firstPlausible {
            found = (time, .container, 0, Self.cameraUncertaintyMilliseconds)
        } else if let time = evidence.name {
            found = (time - rules.nameZoneMilliseconds, .fileName, -rules.nameZoneMilliseconds, Self.cameraUncertaintyMilliseconds)
        } else if let time = evidence.modified, time >= Self.firstPlausible {
            found = (time - evidence.durationMilliseconds, .fileModified, 0, Self.modifiedUncertaintyMilliseconds)
        } else {
            found = nil
        }
        guard let found else {
            wall = WallEstimate(unixMilliseconds: 0, source: .none, uncertaintyMilliseconds: Self.unknownUncertaintyMilliseconds)
            (source, offsetMilliseconds) = (.none, 0)
            return
        }
        let offset = rules.clockOffsetMilliseconds
        wall = WallEstimate(
            unixMilliseconds: min(max(0, found.time + (offset ?? 0)), Plausibility.magnitudeMax), source: .rtc,
            uncertaintyMilliseconds: offset == nil ? found.uncertainty : Self.comparedUncertaintyMilliseconds)
        source = offset == nil ? found.source : .operatorOffset
        offsetMilliseconds = found.added + (offset ?? 0)
    }
}
