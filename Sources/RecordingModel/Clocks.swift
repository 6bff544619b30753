/// Where a wall-clock time came from, in rising order of trust.
package enum ClockSource: String, Sendable, Codable, CaseIterable {
    case none, rtc, hub, ntp, gps
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
