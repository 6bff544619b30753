import LibAV

/// Puts a track's timestamps on the run's timeline: from 0 at the run's first key frame, always forward.
package struct MediaTimeline {
    /// Beyond this, either way, the timeline cannot go on.
    static let jumpSeconds: Int64 = 10
    /// Decode times go back in no stream; this far it is a clock that was set, and not a jitter of a few pictures.
    private static let stepBackMilliseconds: Int64 = 500
    /// Nor do they go forward so far in less than half that time.
    private static let stepForwardMilliseconds: Int64 = 1_500

    package struct Placement {
        var decodeTime: Int64
        /// Presentation minus decode time; negative where a decode time had to be moved forward.
        var compositionOffset: Int32

        package init(decodeTime: Int64, compositionOffset: Int32) {
            self.decodeTime = decodeTime
            self.compositionOffset = compositionOffset
        }
    }

    private let source: Rational
    private let target: Rational
    private let jumpTicks: Int64
    /// More is on no timeline: centuries of a 90 kHz clock.
    private static let limitTicks: Int64 = 1 << 56
    /// The timestamp, in ticks of the target, that is 0 on the timeline; nil until a packet of the run had one.
    private(set) var origin: Int64?
    private var lastRaw: Int64?
    private var lastArrivalNanoseconds: Int64?
    private var last: Int64 = -1
    private var lastDuration: Int64

    /// - Parameter typicalDuration: in ticks of `timescale`, for packets without any timestamp.
    init(source: Rational, timescale: Int32, origin: Int64?, typicalDuration: Int64) {
        self.source = source
        target = Rational(1, timescale)
        jumpTicks = Self.jumpSeconds * Int64(timescale)
        self.origin = origin
        lastDuration = min(max(1, typicalDuration), jumpTicks)
    }

    /// Nil when the timestamps jumped. A packet from before the origin gets a negative time.
    /// - Parameter arrivalNanoseconds: when the packet came, which tells a pause from a clock that was set.
    mutating func place(_ packet: borrowing Packet, arrivalNanoseconds: Int64? = nil) -> Placement? {
        let stamp = (packet.decodeTime ?? packet.presentationTime).flatMap { source.rescale($0, to: target) }
        let expected = last < 0 ? 0 : last + lastDuration
        if origin == nil { origin = stamp.map { $0 - expected } }
        // Some RTSP servers send the first picture without a time.
        guard let raw = stamp ?? lastRaw.map({ $0 + lastDuration }), let origin else {
            last = expected
            return Placement(decodeTime: expected, compositionOffset: 0)
        }
        if let lastRaw, isJump(raw - lastRaw, arrivalNanoseconds) { return nil }
        lastArrivalNanoseconds = arrivalNanoseconds
        // `rescale` bounds both, so that neither this nor what follows overflows.
        let wanted = raw - origin
        guard wanted.magnitude < Self.limitTicks.magnitude else { return nil }
        if wanted < 0, last < 0 { return Placement(decodeTime: wanted, compositionOffset: 0) }
        let decodeTime = max(wanted, last + 1)
        if last >= 0, decodeTime - last > 1 { lastDuration = min(decodeTime - last, jumpTicks) }
        lastRaw = raw
        last = decodeTime
        let presentation = packet.presentationTime.flatMap { source.rescale($0, to: target) }.map { $0 - origin } ?? decodeTime
        let offset = presentation - decodeTime
        // No picture is shown that long before or after it is decoded: one of the two times is none.
        return Placement(decodeTime: decodeTime, compositionOffset: offset.magnitude > jumpTicks.magnitude ? 0 : Int32(clamping: offset))
    }

    private func isJump(_ ticks: Int64, _ arrivalNanoseconds: Int64?) -> Bool {
        if ticks > jumpTicks || ticks < -jumpTicks / Self.jumpSeconds * Self.stepBackMilliseconds / 1_000 { return true }
        let milliseconds = ticks * 1_000 / (jumpTicks / Self.jumpSeconds)
        guard milliseconds > Self.stepForwardMilliseconds, let arrivalNanoseconds, let lastArrivalNanoseconds else { return false }
        return (arrivalNanoseconds - lastArrivalNanoseconds) / 1_000_000 < milliseconds / 2
    }
}
