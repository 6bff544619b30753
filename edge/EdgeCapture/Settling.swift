import LibAV

/// Packets of a connection that has just begun, until they come as fast as their times go on. FFmpeg hands out in a burst
/// what came while it learned the streams, and many servers begin with what they kept since a key frame: only the first
/// picture that had to be waited for tells when the ones before it were made.
final class Settling {
    /// Whoever bursts longer, or more than the pre-roll may hold, is taken as it comes.
    private static let limitNanoseconds: Int64 = 3_000_000_000
    private static let silenceNanoseconds: Int64 = 500_000_000
    /// So much media, or time, is looked at together: a hiccup within a burst is not its end.
    private static let windowNanoseconds: Int64 = 200_000_000
    /// A picture is not taken for older than this.
    private static let oldestNanoseconds: Int64 = 60_000_000_000
    private static let clock = Rational(1, 1_000_000_000)

    /// By index of the stream.
    private let timeBases: [Int: Rational]
    private let videoIndex: Int
    private var preRoll = PreRoll(spanNanoseconds: .max)
    /// Media time and arrival where the window began; nil before the first key frame.
    private var window: (media: Int64, arrival: Int64)?
    private var firstArrival: Int64 = 0
    private var last: (media: Int64, arrival: Int64)?

    init(_ streams: [StreamDescription], videoIndex: Int) {
        timeBases = Dictionary(streams.map { ($0.index, $0.timeBase) }) { first, _ in first }
        self.videoIndex = videoIndex
    }

    enum Outcome {
        /// It is kept here.
        case held
        /// It comes before any key frame, so it tells nothing and is as good as what came in time.
        case passed
        /// What is held is to be taken out, and then this packet.
        case settled
    }

    func take(_ packet: borrowing Packet, arrivalNanoseconds: Int64) -> Outcome {
        let isVideo = packet.streamIndex == videoIndex
        guard window != nil || isVideo && packet.isKey else { return .passed }
        guard preRoll.hasRoom(for: packet) else { return .settled }
        if isVideo {
            guard let media = media(packet.decodeTime ?? packet.presentationTime, packet.streamIndex) else { return .settled }
            if let window {
                last = (media, arrivalNanoseconds)
                let (wentOn, passed) = (media - window.media, arrivalNanoseconds - window.arrival)
                if arrivalNanoseconds - firstArrival > Self.limitNanoseconds || wentOn.magnitude > Self.oldestNanoseconds.magnitude { return .settled }
                if max(wentOn, passed) >= Self.windowNanoseconds {
                    if passed >= wentOn / 2 { return .settled }
                    self.window = (media, arrivalNanoseconds)
                }
            } else {
                window = (media, arrivalNanoseconds)
                firstArrival = arrivalNanoseconds
                last = window
            }
        }
        preRoll.append(packet, isVideo: isVideo, arrivalNanoseconds: arrivalNanoseconds)
        return .held
    }

    /// Nothing has come for so long that the newest picture is of the present, as well as can be known.
    func isOver(_ now: Int64) -> Bool { last.map { now - $0.arrival >= Self.silenceNanoseconds } ?? false }

    /// Hands out what is held, with when each was made, from the last key frame on that is not younger than `floor`:
    /// what lies before that is accounted for.
    func release(from floor: Int64, into packet: borrowing Packet, _ body: (Int64) throws(CaptureFailure) -> Void) throws(CaptureFailure) {
        guard let last else { return }
        preRoll.redate { entry in
            guard let media = media(entry.decodeTime ?? entry.presentationTime, entry.streamIndex) else { return entry.arrivalNanoseconds }
            let age = last.media - media
            guard (0...Self.oldestNanoseconds).contains(age) else { return entry.arrivalNanoseconds }
            return min(entry.arrivalNanoseconds, last.arrival - age)
        }
        for index in preRoll.start(at: floor)..<preRoll.entries.count {
            let made = preRoll.entries[index].arrivalNanoseconds
            try preRoll.fill(packet, from: index)
            try body(made)
        }
    }

    /// On a clock of the camera's own; nil when the packet has no time, or none that a clock could have.
    private func media(_ stamp: Int64?, _ streamIndex: Int) -> Int64? {
        guard let stamp, let timeBase = timeBases[streamIndex], let time = timeBase.rescale(stamp, to: Self.clock) else { return nil }
        return time.magnitude < 1 << 61 ? time : nil
    }
}
