/// What the kernel says of a connection's sending side (`struct tcp_info`, linux/tcp.h).
package struct TransportReading: Hashable, Sendable {
    /// Bytes that the peer's kernel has acknowledged.
    package var acknowledgedBytes: UInt64
    /// Bytes that the kernel has taken and that are not acknowledged, sent or not.
    package var outstandingBytes: UInt64
    /// Those of them that the peer's kernel has already, behind a packet that was lost (SACK, RFC 2018).
    package var arrivedEarlyBytes: UInt64
    package var roundTripMicroseconds: UInt32
    /// The shortest seen: without any queue.
    package var leastRoundTripMicroseconds: UInt32
    /// Since the peer's kernel acknowledged anything, a probe too.
    package var silenceMilliseconds: UInt32
    /// Bytes a second, as the kernel measured it last; 0 when it has not.
    package var deliveryRate: UInt64
    /// The rate was bounded by what there was to send, not by the link.
    package var isRateOfApplication: Bool
    /// Bytes of the stream that were sent, again too, and that came.
    package var carriedBytes: UInt64 = 0
    package init(acknowledgedBytes: UInt64, outstandingBytes: UInt64, roundTripMicroseconds: UInt32, leastRoundTripMicroseconds: UInt32, silenceMilliseconds: UInt32, deliveryRate: UInt64, isRateOfApplication: Bool, carriedBytes: UInt64 = 0, arrivedEarlyBytes: UInt64 = 0) {
        self.carriedBytes = carriedBytes
        self.arrivedEarlyBytes = arrivedEarlyBytes
        self.acknowledgedBytes = acknowledgedBytes
        self.outstandingBytes = outstandingBytes
        self.roundTripMicroseconds = roundTripMicroseconds
        self.leastRoundTripMicroseconds = leastRoundTripMicroseconds
        self.silenceMilliseconds = silenceMilliseconds
        self.deliveryRate = deliveryRate
        self.isRateOfApplication = isRateOfApplication
    }
}

/// How many of the frames that were written have reached the other side, and how fast the link is.
package struct DeliveryMeter: Sendable {
    /// Frames that are watched at once at most; one beyond is delivered when a later one is.
    package static let framesMax = 1_024

    private struct Mark: Sendable {
        var frame: Int
        /// Acknowledged bytes at which it is delivered.
        var bytes: UInt64
    }
    private var marks: [Mark] = []
    private var writtenFrames = 0
    private var waitingSinceMilliseconds: Int64?
    /// When the link was last found away.
    private var outageMilliseconds: Int64?
    /// For how long something has been under way, or an answer due, without a sign of life from the peer's kernel.
    package private(set) var stalledMilliseconds: Int64 = 0
    /// Frames delivered since the connection began: all up to this number.
    package private(set) var deliveredFrames = 0
    /// What the link carries, in bytes a second; 0 until it is known.
    package private(set) var bytesPerSecond: Int64
    /// How long what is sent waits on the way.
    private var queue = Queue.empty
    private enum Queue { case empty, short, long }
    /// More was found within the last round trips, so that there may be more still.
    private var isGrowing = true
    private var grownMilliseconds: Int64?
    /// The most that was found; it fades to half in about 45 s. What comes again after a loss is nothing new.
    private var peakBytesPerSecond: Int64 = 0
    /// Less arrives than is sent.
    private var isBound = false
    /// The link, and not what there was to send, has bounded the rate at least once.
    private var isMeasured: Bool
    package private(set) var roundTripMilliseconds: Int64 = 0
    private var leastRoundTripMicroseconds: Int64 = 0
    private var outstandingBytes: Int64 = 0
    private var arrivedEarlyBytes: Int64 = 0
    private var acknowledgedBytes: Int64 = 0
    /// Whether footage may follow: two seconds of a slow link are under way at most, three of another, so that what is urgent
    /// arrives soon. What has arrived behind a packet that was lost is not in anybody's way: once that packet comes, all of it
    /// is read at once. It counts for nothing here as long as it is not more than the rest.
    package var hasRoom: Bool {
        let isSlow = bytesPerSecond < Self.slowBytesPerSecond
        let known = isSlow ? max(6_000, 2 * bytesPerSecond) : 3 * bytesPerSecond
        let limit = bytesPerSecond == 0 || !isSteady ? max(64_000, known) : known
        return outstandingBytes - min(arrivedEarlyBytes, limit) < limit
    }
    private static let slowBytesPerSecond: Int64 = 16_000
    private static let tellingBytes: Int64 = 6_000

    /// - Parameter bytesPerSecond: what the last connection found; 0 when there was none.
    package init(bytesPerSecond: Int64 = 0) {
        self.bytesPerSecond = bytesPerSecond
        peakBytesPerSecond = bytesPerSecond
        isMeasured = bytesPerSecond > 0
    }

    /// A frame has been taken by the kernel as a whole; the reading was made right after that.
    package mutating func wrote(_ reading: TransportReading?, nowMilliseconds now: Int64) {
        writtenFrames += 1
        guard let reading else { return }
        if marks.count < Self.framesMax { marks.append(Mark(frame: writtenFrames, bytes: reading.acknowledgedBytes + reading.outstandingBytes)) }
        read(reading, isAnswerDue: false, nowMilliseconds: now)
    }

    package mutating func read(_ reading: TransportReading, isAnswerDue: Bool, nowMilliseconds now: Int64) {
        while let first = marks.first, first.bytes <= reading.acknowledgedBytes {
            deliveredFrames = first.frame
            marks.removeFirst()
        }
        roundTripMilliseconds = Int64(reading.roundTripMicroseconds) / 1_000
        leastRoundTripMicroseconds = Int64(reading.leastRoundTripMicroseconds)
        outstandingBytes = Int64(clamping: reading.outstandingBytes)
        arrivedEarlyBytes = Int64(clamping: reading.arrivedEarlyBytes)
        acknowledgedBytes = Int64(clamping: reading.acknowledgedBytes)
        measureFirstPacket(reading)
        measureStall(reading, isAnswerDue, now)
        let paced = pacingRate
        measureQueue(reading, now)
        isSteady = outageMilliseconds.map { now - $0 >= Self.steadyMilliseconds } ?? true
        if reading.deliveryRate > 0 { learn(Int64(clamping: reading.deliveryRate), of: paced, isOfApplication: reading.isRateOfApplication, now) }
        isGrowing = grownMilliseconds.map { now - $0 <= 3 * roundTripMilliseconds + 500 } ?? (bytesPerSecond == 0)
    }

    /// A slow link is told from a fast one by the first packet that carries something: it takes longer than the empty ones of TCP's
    /// own handshake by the time that its bytes need. Else a whole first window would be sent into a queue that holds two packets.
    private mutating func measureFirstPacket(_ reading: TransportReading) {
        guard bytesPerSecond == 0, Self.firstPacketBytes.contains(acknowledgedBytes) else { return }
        // The smoothed round trip has moved by an eighth of the difference (RFC 6298).
        let laterMicroseconds = 8 * (Int64(reading.roundTripMicroseconds) - Int64(reading.leastRoundTripMicroseconds))
        guard laterMicroseconds * Self.slowBytesPerSecond > acknowledgedBytes * 1_000_000 else { return }
        bytesPerSecond = max(500, acknowledgedBytes * 1_000_000 / laterMicroseconds)
        peakBytesPerSecond = bytesPerSecond
        isMeasured = true
    }
    private static let firstPacketBytes: ClosedRange<Int64> = 500...1_500

    private mutating func measureStall(_ reading: TransportReading, _ isAnswerDue: Bool, _ now: Int64) {
        guard reading.outstandingBytes > 0 || isAnswerDue else {
            waitingSinceMilliseconds = nil
            stalledMilliseconds = 0
            return
        }
        let since = waitingSinceMilliseconds ?? now
        waitingSinceMilliseconds = since
        stalledMilliseconds = max(0, now - max(since, now - Int64(reading.silenceMilliseconds)))
        if stalledMilliseconds > 2 * Int64(reading.leastRoundTripMicroseconds) / 1_000 + 1_000 { outageMilliseconds = now }
    }

    /// Whether the link was away a moment ago, or is: what TCP remembers of it is of more use than what it measures.
    package func isAfterOutage(_ now: Int64) -> Bool { outageMilliseconds.map { now - $0 < Self.recoveryMilliseconds } ?? false }
    private static let recoveryMilliseconds: Int64 = 5_000
    /// The link has not been away for a while: what is under way is not what waited for it.
    private var isSteady = true
    private static let steadyMilliseconds: Int64 = 90_000

    private mutating func measureQueue(_ reading: TransportReading, _ now: Int64) {
        // A slow link needs long for a packet itself: 1,500 bytes are 300 ms at 40 kbit/s, and the shortest was a small one.
        let packetMicroseconds = bytesPerSecond > 0 ? 1_500 * 1_000_000 / bytesPerSecond : 0
        let waits = Int64(reading.roundTripMicroseconds) - Int64(reading.leastRoundTripMicroseconds)
        let least = Int64(reading.leastRoundTripMicroseconds)
        queue = waits <= least / 7 + 5_000 + 3 * packetMicroseconds / 2 ? .empty : waits <= least / 3 + 10_000 + 5 * packetMicroseconds / 2 ? .short : .long
        // What waited for the link to come back says nothing of its queue.
        if isAfterOutage(now) { queue = .empty }
    }

    private mutating func learn(_ rate: Int64, of paced: Int64, isOfApplication: Bool, _ now: Int64) {
        // With a second of the link under way it is the link that bounds, also where footage is held back (`hasRoom`) and the
        // kernel calls that the application. Round trips that only vary are no queue: there less arrives than was sent.
        let isBusy = !isOfApplication || outstandingBytes > bytesPerSecond
        // An eighth more than the link carries is bound by it, or a full queue would stay full and lose what does not fit.
        isBound = isBusy && queue != .empty && rate < paced - paced / 12
        if rate > peakBytesPerSecond + peakBytesPerSecond / 20 { grownMilliseconds = now }
        peakBytesPerSecond = max(rate, peakBytesPerSecond - peakBytesPerSecond / 256)
        if rate > bytesPerSecond {
            // A packet more or less in a round trip is a quarter of a slow link's rate.
            bytesPerSecond = isMeasured && bytesPerSecond < Self.slowBytesPerSecond ? bytesPerSecond + max(1, (rate - bytesPerSecond) / 4) : rate
        } else if isBound {
            // Slowly down: a sample after a loss is low.
            bytesPerSecond += (rate - bytesPerSecond) / 8
        }
        // More than a handshake has crossed, there was more to send, and half of what left came: no queue need show.
        let isOverfed = isBusy && acknowledgedBytes >= Self.tellingBytes && rate < paced / (isMeasured ? 2 : 4)
        if isBound || isOverfed { isMeasured = true }
        // The round trips of a slow link show a queue late: a second of it is a few packets.
        if isOverfed, bytesPerSecond < Self.slowBytesPerSecond { grownMilliseconds = nil }
    }

    /// Bytes a second that may leave at most: 2 / ln 2 of what is known as long as nothing but that has bounded it (what a rate is
    /// measured to be lags by a round trip; so it doubles in each, as BBR's does), then twice as long as that finds more, an eighth more to try again
    /// later, and less than is known where less arrives and much waits on the way. Beyond that a sender finds nothing that the
    /// link has not got, and loses what its queue cannot hold.
    package var pacingRate: Int64 {
        let rate =
            switch queue {
            case .empty where isGrowing: isMeasured ? 2 * bytesPerSecond : bytesPerSecond * 26 / 9
            case .short where isBound: bytesPerSecond
            case .long where isBound: bytesPerSecond - bytesPerSecond / 8
            case .empty, .short, .long: bytesPerSecond + bytesPerSecond / 8
            }
        return max(isMeasured ? 2_000 : firstRate, rate)
    }

    /// At first what TCP sends in a round trip anyway, ten packets (RFC 6928), or in one of 600 ms where none was seen yet: a handshake's few
    /// bytes say little of the link.
    private var firstRate: Int64 {
        guard leastRoundTripMicroseconds > 0 else { return Self.firstRateLeast }
        return min(max(Self.firstRateLeast, Self.firstWindowBytes * 1_000_000 / leastRoundTripMicroseconds), Self.firstRateMost)
    }
    private static let firstWindowBytes: Int64 = 14_480
    private static let firstRateLeast: Int64 = 24_000
    private static let firstRateMost: Int64 = 1_000_000

    /// How much to hand to the link at a time.
    package var pace: LinkPace {
        if isMeasured { return LinkPace(bytesPerSecond: bytesPerSecond) }
        // It carries this at least: a quarter of a second of it delays nobody, and each frame costs 90 bytes beside its payload.
        var pace = LinkPace.unknown
        pace.frameBytes = max(pace.frameBytes, Int(min(bytesPerSecond / 4, Self.unmeasuredFrameBytesMax)))
        return pace
    }
    private static let unmeasuredFrameBytesMax: Int64 = 16 << 10
}
