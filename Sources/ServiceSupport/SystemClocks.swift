import CTimex
import Glibc
import RecordingModel

/// The clocks of the machine this runs on.
package struct SystemClocks: Clocks {
    package let bootID: String

    /// - Throws: `ServiceSupportError` when the kernel's boot id cannot be read: without it no boot-clock reading
    ///   would ever mean anything again.
    package init(bootIDPath: String = "/proc/sys/kernel/random/boot_id") throws {
        let text = try SmallFile.text(bootIDPath, limitBytes: 128)
        let id = text.split(whereSeparator: \.isWhitespace).first.map(String.init) ?? ""
        guard !id.isEmpty else { throw ServiceSupportError("\(bootIDPath) is empty") }
        bootID = id
    }

    package func now() -> Moment {
        let boot = Self.read(CLOCK_BOOTTIME)
        let wall = Self.read(CLOCK_REALTIME)
        return Moment(bootNanoseconds: boot, wall: Self.estimate(unixMilliseconds: wall / 1_000_000, synchronised: Self.kernelSynchronisation()))
    }

    /// What the wall clock is worth.
    /// - Parameter synchronised: the kernel's own bound of the error in microseconds, where a time daemon keeps the
    ///   clock; nil where none does or the kernel will not say (containers may refuse the call).
    package static func estimate(unixMilliseconds: Int64, synchronised: Int64?) -> WallEstimate {
        if let errorMicroseconds = synchronised {
            return WallEstimate(unixMilliseconds: unixMilliseconds, source: .ntp, uncertaintyMilliseconds: max(1, (errorMicroseconds + 999) / 1000))
        }
        let isPlausible = unixMilliseconds >= firstPlausibleUnixMilliseconds
        return WallEstimate(
            unixMilliseconds: unixMilliseconds, source: isPlausible ? .rtc : .none,
            uncertaintyMilliseconds: isPlausible ? rtcUncertaintyMilliseconds : unsetUncertaintyMilliseconds)
    }

    /// 2024-01-01 UTC: a clock before it was never set, since this software is younger.
    package static let firstPlausibleUnixMilliseconds: Int64 = 1_704_067_200_000
    /// A battery clock gains or loses about 20 ppm: a minute is a month on the shelf.
    package static let rtcUncertaintyMilliseconds: Int64 = 60_000
    package static let unsetUncertaintyMilliseconds: Int64 = 365 * 86_400_000

    private static func read(_ clock: Int32) -> Int64 {
        var time = timespec()
        clock_gettime(clock, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }

    private static func kernelSynchronisation() -> Int64? {
        var state = timex()  // all zero: modes 0 asks and sets nothing
        let result = adjtimex(&state)
        guard result >= 0, result != TIME_ERROR, state.status & STA_UNSYNC == 0 else { return nil }
        return Int64(state.maxerror)
    }
}
