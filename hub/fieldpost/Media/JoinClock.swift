import RecordingModel

/// Lays runs on one timeline that begins at 0. Within a run media time is kept as it is; between runs the wall
/// clock says how long nothing was recorded, and that time stays in the file as a gap. Joining and checking both use
/// it, on the same records in the same order; sums wrap, since a forger's numbers must not stop the check.
struct JoinClock {
    private struct Run: Equatable {
        var number: UInt64
        var boot: String
    }
    private var run: Run?
    private var shift: Int64 = 0
    /// Wall time of the file's second 0 and where on the timeline the last segment ended, in 90 kHz ticks.
    private var originUnixMilliseconds: Int64 = 0
    private var originTicks: Int64 = 0
    private var end: Int64 = 0
    /// 32 days: nobody is answered more at a time.
    private static let gapTicksMax: Int64 = 32 * 86_400 * 90_000

    /// What to add to each track's times in this segment.
    mutating func shifts(for record: SegmentRecord, first: FragmentTimes, timescales: [UInt32: UInt32]) -> [UInt32: Int64] {
        let mediaStart = record.mediaStartTicks90k
        let own = Run(number: record.run, boot: record.bootID)
        if run == nil {
            // Audio may begin a little before the picture; the earlier of the two becomes second 0.
            let earliest = first.entries.compactMap { entry in
                timescales[entry.track].map { Int64(truncatingIfNeeded: entry.value) &* 90_000 / Int64($0) }
            }.min() ?? mediaStart
            shift = 0 &- min(earliest, mediaStart)
            originUnixMilliseconds = record.startUnixMilliseconds
            originTicks = mediaStart &+ shift
        } else if run != own {
            let wanted = originTicks &+ (record.startUnixMilliseconds &- originUnixMilliseconds) &* 90
            // A clock that was set back must not make the footage overlap, nor one that was set at last leave decades.
            shift = max(wanted, end) &- mediaStart
            if wanted &- end > Self.gapTicksMax {
                shift = end &- mediaStart
                originUnixMilliseconds = record.startUnixMilliseconds
                originTicks = end
            }
        }
        run = own
        end = mediaStart &+ shift &+ record.mediaDurationTicks90k
        return timescales.mapValues { timescale in
            // Rounded towards zero, so that a shift to 0 never goes below it.
            shift &* Int64(timescale) / 90_000
        }
    }
}
