import RecordingModel

/// Thumbnails in a row, each a link to the player at its time.
struct ThumbnailStrip {
    struct Picture {
        var address: String
        var time: String
        /// Its accessible name.
        var name: String
        var watch: String
    }
    struct Hour {
        var address: String
        var name: String
        var isShown: Bool
    }
    var title: String
    var pictures: [Picture]
    /// Of the day, where it is the day's strip; the way back is the first.
    var hours: [Hour]
    var hasHours: Bool

    /// How long the player plays from a picture on.
    private static let watchMilliseconds: Int64 = 600_000

    /// - Parameters:
    ///   - day: as in the address of its page; nil on another page
    ///   - hour: the one that is shown; nil for the whole day
    /// - Returns: nil where there is nothing to show nor to choose.
    init?(_ thumbnails: [Thumbnail], of timeline: CameraTimeline, day: String? = nil, hour: Int64? = nil) {
        guard !thumbnails.isEmpty || hour != nil else { return nil }
        let address = "/nodes/\(timeline.node)/cameras/\(timeline.camera)"
        title = hour.map { "Thumbnails from \($0):00 to \($0 + 1):00 UTC" } ?? "Thumbnails"
        pictures = thumbnails.prefix(ReviewLimits.thumbnailsOfHour).map { thumbnail in
            let from = thumbnail.unixMilliseconds
            return Picture(
                address: thumbnail.address, time: WallText.time(from), name: "\(timeline.camera) at \(WallText.readable(from))",
                watch: "\(address)/play?from=\(from)&to=\(from + Self.watchMilliseconds)")
        }
        hours = day.map { day in
            [Hour(address: "\(address)?day=\(day)", name: "whole day", isShown: hour == nil)]
                + (0..<24).map { Hour(address: "\(address)?day=\(day)&hour=\($0)", name: "\($0 < 10 ? "0" : "")\($0)", isShown: hour == $0) }
        } ?? []
        hasHours = !hours.isEmpty
    }
}
