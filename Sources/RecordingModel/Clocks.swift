/// Where a wall-clock time came from, in rising order of trust.
package enum ClockSource: String, Sendable, OpenWord, CaseIterable {
    case none, rtc, hub, ntp, gps
    /// A source of a later version: not trusted.
    package static var unrecognised: Self { .none }
}

/// An estimate of the wall clock: milliseconds since 1970-01-01 UTC, how it is known, and how far off it may be.
package struct WallEstimate: Hashable, Sendable, Codable {
    package var unixMilliseconds: Int64
    package var source: ClockSource
    package var uncertaintyMilliseconds: Int64

    package init(unixMilliseconds: Int64, source: ClockSource, uncertaintyMilliseconds: Int64) {
        self.unixMilliseconds = unixMilliseconds
        self.source = source
        self.uncertaintyMilliseconds = uncertaintyMilliseconds
    }

    package func advanced(byMilliseconds milliseconds: Int64) -> WallEstimate {
        WallEstimate(unixMilliseconds: unixMilliseconds + milliseconds, source: source, uncertaintyMilliseconds: uncertaintyMilliseconds)
    }
}

extension WallEstimate {
    /// 2024-01-01 UTC: a clock before it was never set, since this software is younger.
    package static let firstPlausibleUnixMilliseconds: Int64 = 1_704_067_200_000
    /// 2090-01-01 UTC: a clock beyond it is broken, since nothing of today runs that long. Time goes on behind it where
    /// a network or a satellite says so.
    package static let lastPlausibleUnixMilliseconds: Int64 = 3_786_912_000_000
    /// A battery clock gains or loses about 20 ppm: a minute is a month on the shelf.
    package static let rtcUncertaintyMilliseconds: Int64 = 60_000
    package static let unsetUncertaintyMilliseconds: Int64 = 365 * 86_400_000
}

/// The hub's clock as one answer of it told, by the boot clock of the node that asked.
package struct HubTime: Hashable, Sendable {
    package var hubUnixMilliseconds: Int64
    package var sentBootMilliseconds: Int64
    package var receivedBootMilliseconds: Int64

    package init(hubUnixMilliseconds: Int64, sentBootMilliseconds: Int64, receivedBootMilliseconds: Int64) {
        self.hubUnixMilliseconds = hubUnixMilliseconds
        self.sentBootMilliseconds = sentBootMilliseconds
        self.receivedBootMilliseconds = receivedBootMilliseconds
    }
}

/// One reading of both clocks. The boot clock (CLOCK_BOOTTIME) orders everything within a boot; the wall clock
/// is only ever an estimate beside it.
package struct Moment: Hashable, Sendable {
    package var bootNanoseconds: Int64
    package var wall: WallEstimate

    package init(bootNanoseconds: Int64, wall: WallEstimate) {
        self.bootNanoseconds = bootNanoseconds
        self.wall = wall
    }

    package var bootMilliseconds: Int64 { bootNanoseconds / 1_000_000 }

    /// The wall estimate at another reading of the same boot's clock.
    package func wall(atBootMilliseconds other: Int64) -> WallEstimate {
        wall.advanced(byMilliseconds: other - bootMilliseconds)
    }
}

/// The clocks of a node, passed in so that a test or a simulation can run them.
package protocol Clocks: Sendable {
    /// The kernel's boot id: a boot-clock reading means something only beside it.
    var bootID: String { get }
    func now() -> Moment
}

/// Media time: ticks of 90 kHz, the clock of RTP video and MPEG systems (RFC 3551, section 4.1).
package enum MediaTime {
    package static let ticksPerSecond: Int64 = 90_000
    package static func milliseconds(ticks90k: Int64) -> Int64 { (ticks90k + 45) / 90 }
}
