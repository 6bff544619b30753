import RecordingModel

/// What the player in the page needs: the segments of a window laid on one media timeline that starts at `base`.
/// It is a small part of the camera's timeline, since a day has thousands of segments.
struct PlayIndex: Encodable, Equatable {
    struct Segment: Encodable, Equatable {
        var hash: ContentHash
        /// Start and end on the player's timeline, in seconds.
        var start: Double
        var end: Double
        /// What to add to the file's own times.
        var offset: Double
        /// Index into `codecs`.
        var codec: Int
        var run: UInt64
        /// A later clock entry moved it; absent otherwise.
        var corrected: Bool?
        /// Says that it is a proxy, and where the footage is; absent for the footage itself.
        var note: String?
    }
    /// A thumbnail, shown for a time of which there is nothing better.
    struct Still: Encodable, Equatable {
        var address: String
        /// When it was taken, in seconds of the player's timeline: before or within what it is shown for.
        var at: Double
        var start: Double
        var end: Double
        var note: String
    }
    struct Span: Encodable, Equatable {
        var start: Double
        var end: Double
        var state: SpanState
        var words: String
    }

    /// A picture is shown for what follows it at most so long: pictures are 60 s apart at most, and wait for a key frame.
    static let stillMillisecondsMax: Int64 = 90_000
    /// And where the next one is not there within so long.
    private static let stillMillisecondsMin: Int64 = 1_000

    /// Wall time of second 0. It is the start of the first segment where that began before the window, so that the
    /// segment's first key frame is not cut away.
    var baseUnixMilliseconds: Int64
    var duration: Double
    /// Where the window begins.
    var begin: Double
    var codecs: [String] = []
    var segments: [Segment] = []
    var spans: [Span] = []
    var stills: [Still] = []

    init(_ timeline: CameraTimeline, thumbnails: [Thumbnail] = []) {
        let base = min(timeline.startUnixMilliseconds, timeline.segments.first?.startUnixMilliseconds ?? .max)
        func seconds(_ unixMilliseconds: Int64) -> Double { Double(unixMilliseconds - base) / 1_000 }
        baseUnixMilliseconds = base
        begin = seconds(timeline.startUnixMilliseconds)
        duration = seconds(timeline.endUnixMilliseconds)

        // Within a run media time is exact and wall time is an estimate, so the whole run takes the offset of its
        // first segment: neighbours then meet without a seam.
        // A proxy has the media times of what it was made of, and so belongs to the same run; a camera's own small stream has runs
        // of its own.
        var runOffsets: [Bool: (run: UInt64, boot: String, offset: Double)] = [:]
        var standIns = timeline.spans.filter { $0.standIn == .proxy }[...]
        for segment in timeline.segments {
            let record = segment.record
            let mediaStart = Double(record.mediaStartTicks90k) / Double(MediaTime.ticksPerSecond)
            let offset: Double
            let isSubStream = record.stream.kind == .proxy && record.made == nil
            if let known = runOffsets[isSubStream], known.run == record.run, known.boot == record.bootID {
                offset = known.offset
            } else {
                offset = seconds(segment.startUnixMilliseconds) - mediaStart
                runOffsets[isSubStream] = (record.run, record.bootID, offset)
            }
            let codec = codecs.firstIndex(of: record.codecs) ?? codecs.count
            if codec == codecs.count { codecs.append(record.codecs) }
            let start = offset + mediaStart
            let end = start + Double(record.mediaDurationTicks90k) / Double(MediaTime.ticksPerSecond)
            let middle = (segment.startUnixMilliseconds + segment.endUnixMilliseconds) / 2
            standIns = standIns.drop { $0.endUnixMilliseconds <= middle }
            segments.append(
                Segment(
                    hash: record.sha256, start: start, end: end, offset: offset, codec: codec, run: record.run, corrected: segment.isTimeCorrected ? true : nil,
                    note: record.stream.kind == .main ? nil : StateWords.note(standIns.first)))
            duration = max(duration, end)
        }
        spans = timeline.spans.filter { $0.state != .onHub }.map { span in
            Span(start: seconds(span.startUnixMilliseconds), end: seconds(span.endUnixMilliseconds), state: span.state, words: StateWords.sentence(span))
        }
        var next = 0
        for span in timeline.spans where span.standIn == .thumbnails {
            while next < thumbnails.count, thumbnails[next].unixMilliseconds <= span.startUnixMilliseconds { next += 1 }
            // A span may be shorter than the time between two pictures, and its own first picture may lie a rounding before it.
            let hasOwn = next < thumbnails.count && thumbnails[next].unixMilliseconds < min(span.endUnixMilliseconds, span.startUnixMilliseconds + Self.stillMillisecondsMin)
            let hasEarlier = next > 0 && span.startUnixMilliseconds - thumbnails[next - 1].unixMilliseconds <= Self.stillMillisecondsMax
            let shown = thumbnails[(hasEarlier && !hasOwn ? next - 1 : next)...].prefix { $0.unixMilliseconds < span.endUnixMilliseconds }
            // Each until the next; the first also for what lies before it.
            let starts = shown.enumerated().map { $0.offset == 0 ? span.startUnixMilliseconds : $0.element.unixMilliseconds }
            let ends = starts.dropFirst() + [span.endUnixMilliseconds]
            for (thumbnail, (start, end)) in zip(shown, zip(starts, ends)) {
                stills.append(
                    Still(address: thumbnail.address, at: seconds(thumbnail.unixMilliseconds), start: seconds(start), end: seconds(end), note: StateWords.note(span)))
            }
        }
    }
}
