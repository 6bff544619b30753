/// Boot-clock time of one segment. A camera's clock drifts, so a segment's end leans from media time towards
/// the clock that was observed, but by no more than any crystal is off: network jitter must not move it.
struct SegmentClock {
    static let correctionPartsPerMillion: Int64 = 500
    let startNanoseconds: Int64

    /// What came at `nanoseconds`, that much media after the start, cannot have left the camera later.
    func startingNoLater(than nanoseconds: Int64, mediaTicks: Int64) -> SegmentClock {
        SegmentClock(startNanoseconds: min(startNanoseconds, nanoseconds - Self.nanoseconds(mediaTicks)))
    }

    /// 90 kHz: a tick is 100,000 / 9 ns. A camera's count, so it may be any: a century at most.
    static func nanoseconds(_ mediaTicks: Int64) -> Int64 {
        let bound: Int64 = 1 << 48
        return min(bound, max(-bound, mediaTicks)) / 9 * 100_000 + min(bound, max(-bound, mediaTicks)) % 9 * 100_000 / 9
    }

    func end(mediaTicks: Int64, observed: Int64?) -> Int64 {
        let duration = Self.nanoseconds(mediaTicks)
        let byMedia = startNanoseconds + duration
        guard let observed else { return byMedia }
        let bound = duration / 1_000_000 * Self.correctionPartsPerMillion
        return byMedia + min(bound, max(-bound, observed - byMedia))
    }
}
