import RecordingModel
import Synchronization

/// Clocks that a test turns.
package final class TestClocks: Clocks {
    private let state: Mutex<(boot: String, milliseconds: Int64, wall: Int64)>
    private let quality = Mutex((source: ClockSource.ntp, uncertainty: Int64(10)))
    package init(boot: String = "boot-1") { state = Mutex((boot, 1_000, 1_700_000_000_000)) }

    package var bootID: String { state.withLock { $0.boot } }
    package func now() -> Moment {
        let quality = quality.withLock { $0 }
        return state.withLock {
            let wall = WallEstimate(unixMilliseconds: $0.wall, source: quality.source, uncertaintyMilliseconds: quality.uncertainty)
            return Moment(bootNanoseconds: $0.milliseconds * 1_000_000, wall: wall)
        }
    }
    /// The wall clock is set, by whoever.
    package func set(_ source: ClockSource, uncertaintyMilliseconds: Int64, movedByMilliseconds offset: Int64 = 0) {
        quality.withLock { $0 = (source, uncertaintyMilliseconds) }
        state.withLock { $0.wall += offset }
    }
    /// Only the name of the boot; the clocks run on.
    package func call(_ boot: String) { state.withLock { $0.boot = boot } }
    package func advance(milliseconds: Int64) {
        state.withLock {
            $0.milliseconds += milliseconds
            $0.wall += milliseconds
        }
    }
    package func reboot(as boot: String, afterMilliseconds: Int64) {
        state.withLock { $0 = (boot, 500, $0.wall + afterMilliseconds) }
    }
}
