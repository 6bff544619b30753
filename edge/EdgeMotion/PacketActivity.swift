/// Judges from the sizes of encoded packets whether anything moves, without decoding one.
///
/// An encoder spends bytes on what it cannot predict from the picture before. So the size of the pictures between two key
/// frames, against what they have in quiet times, tells of motion: where the encoder is free to make them small. One that
/// holds a bit rate fills quiet pictures up; there sizes say nothing, and this says `undecided`.
///
/// All levels are mean bytes of a delta picture over a window. Means and not medians, because with B-frames sizes have
/// two or three humps; key frames are left out, because they are large whatever happens.
package struct PacketActivity: Sendable {
    package enum Verdict: Hashable, Sendable {
        case still
        /// 0 to 100, on the scale of `score(ratio:)`.
        case motion(score: Int)
        /// With what the sizes would say if they could be trusted.
        case undecided(score: Int)
    }

    /// Half a second, and at least four pictures: long enough for a mean, short enough to see somebody walk past.
    static let windowNanoseconds: Int64 = 500_000_000
    static let windowPictures = 4
    /// Ten seconds with two key frames in them; before that the quiet level is a guess.
    static let learningWindows = 20
    /// Sizes are trusted when a quiet delta picture has at most 1/16 of a key frame's bytes. Then the quarter by which it
    /// may exceed its level unnoticed is 1.6 % of what the whole picture costs: about what an object costs that covers
    /// 1.6 % of the picture. Noise at night and a held bit rate both lie above.
    static let elasticShare = 16.0
    /// Up to here it is still: a quarter above the quiet level, or four times its usual spread.
    static let stillFactor = 1.25
    static let stillSpreads = 4.0
    /// From here it is motion: two and a half times the quiet level, or ten times its spread, and at least 1 % of a key
    /// frame, since 20 bytes against 8 mean nothing.
    static let motionFactor = 2.5
    static let motionSpreads = 10.0
    static let motionShareOfKey = 0.01
    /// The quiet level falls fast and rises slowly: it is the lower edge of what comes. In motion it hardly
    /// rises: a change that stays (evening, rain) is told by pictures, and where there are none it is the new quiet after a
    /// quarter of an hour.
    static let fall = 1.0 / 4, rise = 1.0 / 64, riseInMotion = 1.0 / 2_048
    /// Longer than this sizes alone may not claim motion: an infrared lamp that went on looks the same. Pictures decide then.
    static let trustNanoseconds: Int64 = 30_000_000_000

    private var windowStart: Int64?
    private var windowBytes = 0
    private var windowCount = 0
    private var windows = 0
    private var keys = 0
    /// Recent key frame's bytes, smoothed over some.
    private var keyBytes = 0.0
    private var quiet = 0.0
    private var spread = 0.0
    private var latest = 0.0
    private var motionSince: Int64?

    package init() {}

    /// Whether sizes can be trusted just now.
    package var isElastic: Bool { windows >= Self.learningWindows && keys >= 2 && quiet * Self.elasticShare <= keyBytes }

    /// - Returns: a verdict when a window is full, which it is about twice a second; nil in between.
    package mutating func add(bytes: Int, isKey: Bool, nanoseconds: Int64) -> Verdict? {
        if isKey {
            keys += 1
            keyBytes += (Double(bytes) - keyBytes) * (keys == 1 ? 1 : 0.25)
            return nil
        }
        let start = windowStart ?? nanoseconds
        if windowStart == nil { windowStart = nanoseconds }
        windowBytes += bytes
        windowCount += 1
        guard nanoseconds - start >= Self.windowNanoseconds, windowCount >= Self.windowPictures else { return nil }
        let mean = Double(windowBytes) / Double(windowCount)
        windowStart = nanoseconds
        (windowBytes, windowCount) = (0, 0)
        return judge(mean, nanoseconds)
    }

    /// Pictures were looked at, and nothing had moved: what the sizes are now is quiet.
    package mutating func pictureWasStill() {
        if motionSince != nil || latest > quiet * Self.stillFactor { quiet = latest }
        motionSince = nil
    }

    /// Pictures were looked at, and something had moved: sizes are trusted again for a while.
    package mutating func pictureMoved(_ nanoseconds: Int64) {
        if motionSince != nil { motionSince = nanoseconds }
    }

    /// 20 for each doubling of the quiet level: twice is 20, 32 times is 100.
    static func score(ratio: Double) -> Int {
        guard ratio > 1 else { return 0 }
        var rest = ratio
        var doublings = 0.0
        while rest >= 2, doublings < 5 {
            rest /= 2
            doublings += 1
        }
        // Between two doublings a straight line is near enough.
        return min(100, Int(20 * (doublings + min(1, rest - 1))))
    }

    private mutating func judge(_ mean: Double, _ nanoseconds: Int64) -> Verdict {
        latest = mean
        windows += 1
        guard windows > 1 else {
            quiet = mean
            return .undecided(score: 0)
        }
        let ratio = mean / max(1, quiet)
        let score = Self.score(ratio: ratio)
        let stillLimit = max(quiet * Self.stillFactor, quiet + spread * Self.stillSpreads)
        let motionLimit = max(quiet * Self.motionFactor, quiet + spread * Self.motionSpreads, keyBytes * Self.motionShareOfKey)
        let isAbove = mean >= motionLimit
        let trusted = isElastic
        let isLearning = windows < Self.learningWindows
        adapt(mean, isMotion: isAbove && !isLearning, isQuiet: isLearning || mean <= stillLimit)
        guard trusted else {
            motionSince = nil
            return .undecided(score: score)
        }
        guard isAbove else {
            motionSince = nil
            // A few bytes more than nothing are nothing.
            return mean <= stillLimit || mean < keyBytes * Self.motionShareOfKey / Self.motionFactor ? .still : .undecided(score: score)
        }
        let since = motionSince ?? nanoseconds
        motionSince = since
        return nanoseconds - since > Self.trustNanoseconds ? .undecided(score: score) : .motion(score: score)
    }

    private mutating func adapt(_ mean: Double, isMotion: Bool, isQuiet: Bool) {
        let distance = mean - quiet
        if isQuiet { spread += (abs(distance) - spread) / 16 }
        quiet += distance * (distance < 0 ? Self.fall : isMotion ? Self.riseInMotion : Self.rise)
    }
}
