/// Boot-clock time of one segment. A camera's clock drifts, so a segment's end leans from media time towards
/// the clock that was observed, but by no more than any crystal is off: network jitter must not move it.
struct SegmentClock {
    static let correctionPartsPerMillion: Int64 = 500
    /// Media time and clock that are further apart are no drift of a crystal.
    static let apartNanoseconds: Int64 = 1_000_000_000
    /// When the first picture was made, as well as it is known.
    let originNanoseconds: Int64
    /// Where the segment begins. Later than the origin when a server sent pictures from before what is accounted for:
    /// they are in the file, and count no time.
    let startNanoseconds: Int64

    init(originNanoseconds: Int64, notBefore floor: Int64 = .min) {
        self.originNanoseconds = originNanoseconds
        startNanoseconds = max(originNanoseconds, floor)
    }

    /// What came at `nanoseconds`, that much media after the start, cannot have left the camera later.
    func startingNoLater(than nanoseconds: Int64, mediaTicks: Int64) -> SegmentClock {
        SegmentClock(originNanoseconds: min(originNanoseconds, nanoseconds - Self.nanoseconds(mediaTicks)))
    }

    /// 90 kHz: a tick is 100,000 / 9 ns. A camera's count, so it may be any: a century at most.
    static func nanoseconds(_ mediaTicks: Int64) -> Int64 {
        let bound: Int64 = 1 << 48
        return min(bound, max(-bound, mediaTicks)) / 9 * 100_000 + min(bound, max(-bound, mediaTicks)) % 9 * 100_000 / 9
    }

    /// How much later than its media time says something came.
    func latenessNanoseconds(mediaTicks: Int64, observed: Int64) -> Int64 { observed - originNanoseconds - Self.nanoseconds(mediaTicks) }

    /// Where the next segment of the run begins. Footage never ends later than `observed`, when what follows it came:
    /// no picture is from the future, whatever the camera counts.
    func end(mediaTicks: Int64, observed: Int64) -> Int64 {
        let duration = Self.nanoseconds(mediaTicks)
        let byMedia = originNanoseconds + duration
        let bound = duration / 1_000_000 * Self.correctionPartsPerMillion
        return max(startNanoseconds, min(observed, byMedia + min(bound, observed - byMedia)))
    }

    /// The same where the run ends: nothing follows, so what media time got wrong need not be carried on.
    func lastEnd(mediaTicks: Int64, observed: Int64, latenessNanoseconds: Int64) -> Int64 {
        guard latenessNanoseconds > Self.apartNanoseconds else { return end(mediaTicks: mediaTicks, observed: observed) }
        return max(startNanoseconds, min(observed, originNanoseconds + Self.nanoseconds(mediaTicks) + latenessNanoseconds))
    }
}

/// Tells a camera whose count of time and the clock go apart for good (night mode at half the rate, a count of pictures
/// that stood still while the network did) from pictures that were on their way for long and are followed by prompt ones.
struct DriftWatch {
    /// Everything within this time came late.
    private static let windowNanoseconds: Int64 = 3_000_000_000
    private var windowStart: Int64?
    private var least: Int64 = .max
    private var last: Int64 = 0
    /// How late the last pictures came: the lesser of two, since a demuxer that is told to end hands out the last picture
    /// that it held.
    private(set) var latenessNanoseconds: Int64 = 0

    /// To be called with every picture of a run; true at a key frame, where the run should end.
    mutating func isApart(latenessNanoseconds: Int64, isKey: Bool, arrivalNanoseconds: Int64) -> Bool {
        self.latenessNanoseconds = min(last, latenessNanoseconds)
        last = latenessNanoseconds
        least = min(least, latenessNanoseconds)
        guard isKey else { return false }
        // Nothing comes too early: the run was begun too late, or the camera counts too fast.
        if latenessNanoseconds < -SegmentClock.apartNanoseconds { return true }
        guard let windowStart else {
            (self.windowStart, least) = (arrivalNanoseconds, latenessNanoseconds)
            return false
        }
        guard arrivalNanoseconds - windowStart >= Self.windowNanoseconds else { return false }
        defer { (self.windowStart, least) = (arrivalNanoseconds, latenessNanoseconds) }
        return least > SegmentClock.apartNanoseconds
    }
}
