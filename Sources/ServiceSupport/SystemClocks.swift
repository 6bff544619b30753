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
        let isPlausible = (WallEstimate.firstPlausibleUnixMilliseconds..<WallEstimate.lastPlausibleUnixMilliseconds).contains(unixMilliseconds)
        return WallEstimate(
            unixMilliseconds: max(0, unixMilliseconds), source: isPlausible ? .rtc : .none,
            uncertaintyMilliseconds: isPlausible ? WallEstimate.rtcUncertaintyMilliseconds : WallEstimate.unsetUncertaintyMilliseconds)
    }

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
