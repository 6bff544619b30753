/// What the kernel says of a connection's sending side (`struct tcp_info`, linux/tcp.h).
package struct TransportReading: Hashable, Sendable {
    /// Bytes that the peer's kernel has acknowledged.
    package var acknowledgedBytes: UInt64
    /// Bytes that the kernel has taken and that are not acknowledged, sent or not.
    package var outstandingBytes: UInt64
    package var roundTripMicroseconds: UInt32
    /// Since the peer's kernel acknowledged anything, a probe too.
    package var silenceMilliseconds: UInt32
    /// Bytes a second, as the kernel measured it last; 0 when it has not.
    package var deliveryRate: UInt64
    /// The rate was bounded by what there was to send, not by the link.
    package var isRateOfApplication: Bool
    package init(acknowledgedBytes: UInt64, outstandingBytes: UInt64, roundTripMicroseconds: UInt32, silenceMilliseconds: UInt32, deliveryRate: UInt64, isRateOfApplication: Bool) {
        self.acknowledgedBytes = acknowledgedBytes
        self.outstandingBytes = outstandingBytes
        self.roundTripMicroseconds = roundTripMicroseconds
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
    /// For how long something has been under way, or an answer due, without a sign of life from the peer's kernel.
    package private(set) var stalledMilliseconds: Int64 = 0
    /// Frames delivered since the connection began: all up to this number.
    package private(set) var deliveredFrames = 0
    /// Bytes a second; 0 until it is known.
    package private(set) var bytesPerSecond: Int64 = 0
    package private(set) var roundTripMilliseconds: Int64 = 0

    package init() {}

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
        if reading.deliveryRate > 0 {
            let rate = Int64(clamping: reading.deliveryRate)
            // What the application held back says only that the link carries at least this.
            if bytesPerSecond == 0 || (reading.isRateOfApplication && rate > bytesPerSecond) {
                bytesPerSecond = rate
            } else if !reading.isRateOfApplication {
                bytesPerSecond = (3 * bytesPerSecond + rate) / 4
            }
        }
        if reading.outstandingBytes > 0 || isAnswerDue {
            let since = waitingSinceMilliseconds ?? now
            waitingSinceMilliseconds = since
            stalledMilliseconds = max(0, now - max(since, now - Int64(reading.silenceMilliseconds)))
        } else {
            waitingSinceMilliseconds = nil
            stalledMilliseconds = 0
        }
    }
}
