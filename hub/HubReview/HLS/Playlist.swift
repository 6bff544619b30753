import FoundationEssentials
import RecordingModel

/// An HLS media playlist (RFC 8216) over the segments of a window: the second door, for VLC, ffplay and Safari.
struct Playlist {
    private enum Item {
        case footage(PlayableSegment)
        case missing(TimelineSpan)

        var start: Int64 {
            switch self {
            case .footage(let segment): segment.startUnixMilliseconds
            case .missing(let span): span.startUnixMilliseconds
            }
        }
    }

    private let items: [Item]
    private let isComplete: Bool

    init(_ timeline: CameraTimeline, nowUnixMilliseconds now: Int64) {
        let footage = timeline.segments.map { Item.footage($0) }
        // Recorded, but not here yet: a player skips it and knows how long it is.
        let missing = timeline.spans.filter { [.onlyOnNode, .requested, .transferring].contains($0.state) && $0.standIn != .proxy }.map { Item.missing($0) }
        items = (footage + missing).sorted { $0.start < $1.start }
        isComplete = timeline.endUnixMilliseconds <= now
    }

    /// - Parameter address: where the bytes of a segment are, relative to the list.
    func text(address: (SegmentRecord) -> String) -> String {
        let longest = items.reduce(1.0) { longest, item in
            if case .footage(let segment) = item { max(longest, Self.seconds(segment.record)) } else { longest }
        }
        let target = Int(longest.rounded(.up))
        var lines = [
            "#EXTM3U", "#EXT-X-VERSION:7", "#EXT-X-TARGETDURATION:\(target)", "#EXT-X-MEDIA-SEQUENCE:0", "#EXT-X-INDEPENDENT-SEGMENTS",
        ]
        if isComplete { lines.append("#EXT-X-PLAYLIST-TYPE:VOD") }
        var previous: SegmentRecord?
        for item in items {
            switch item {
            case .footage(let segment):
                let record = segment.record
                let follows = previous.map { $0.stream == record.stream && $0.run == record.run && $0.bootID == record.bootID && $0.sequence + 1 == record.sequence } ?? false
                if !follows, !lines.isEmpty, previous != nil { lines.append("#EXT-X-DISCONTINUITY") }
                if !follows || previous?.initSHA256 != record.initSHA256 {
                    lines.append("#EXT-X-MAP:URI=\"\(address(record))\",BYTERANGE=\"\(record.initBytes)@0\"")
                    // Comments (RFC 8216, section 4.1), for people who read the list.
                    if record.stream.kind != .main { lines.append("# \(StateWords.standIn(.proxy)): not \(record.made == nil ? "the camera's main stream" : "what the camera sent")") }
                    if segment.isTimeCorrected { lines.append("# clock corrected by the node later; recorded as \(WallText.iso(record.startUnixMilliseconds))") }
                    lines.append("#EXT-X-PROGRAM-DATE-TIME:\(WallText.iso(segment.startUnixMilliseconds))")
                }
                lines.append("#EXTINF:\(Self.decimal(Self.seconds(record))),")
                lines.append("#EXT-X-BYTERANGE:\(record.bytes - record.initBytes)@\(record.initBytes)")
                lines.append(address(record))
                previous = record
            case .missing(let span):
                lines.append("#EXT-X-DISCONTINUITY")
                lines.append("#EXT-X-PROGRAM-DATE-TIME:\(WallText.iso(span.startUnixMilliseconds))")
                var rest = Double(span.durationMilliseconds) / 1_000
                while rest > 0.0005 {
                    let piece = min(rest, Double(target))
                    lines += ["#EXT-X-GAP", "#EXTINF:\(Self.decimal(piece)),", "not-on-the-hub.mp4"]
                    rest -= piece
                }
            }
        }
        if isComplete { lines.append("#EXT-X-ENDLIST") }
        return lines.joined(separator: "\n") + "\n"
    }

    private static func seconds(_ record: SegmentRecord) -> Double {
        Double(record.mediaDurationTicks90k) / Double(MediaTime.ticksPerSecond)
    }

    /// Three decimals, always with a point.
    private static func decimal(_ seconds: Double) -> String {
        let thousandths = Int((seconds * 1_000).rounded())
        let fraction = String(thousandths % 1_000)
        return "\(thousandths / 1_000)." + String(repeating: "0", count: 3 - fraction.count) + fraction
    }
}
