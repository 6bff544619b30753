import RecordingModel
import Synchronization

/// The node's clocks: those of the machine, and what hub and log know better. The machine's own clock is never set.
///
/// - A clock that nobody keeps (`none`, `rtc`) yields to the hub's time, taken from an authenticated answer: known to
///   half of the round trip and a second (the hub may hold a request that long), and to 50 ppm of its age.
/// - Such a clock is not believed below the floor, which is what the log knows: time goes on from there then.
/// - The kernel's word that a time daemon or a receiver keeps the clock stands above both.
package final class NodeClocks: Clocks {
    private struct State {
        /// Wall time at boot clock 0, as the hub's answer told it at `bootMilliseconds`.
        var hub: (offset: Int64, uncertaintyMilliseconds: Int64, bootMilliseconds: Int64)?
        var floorOffset: Int64?
    }
    private let machine: any Clocks
    private let state = Mutex(State())
    /// A slower answer tells no time.
    private static let roundTripMillisecondsMax: Int64 = 120_000
    package static let hubMilliseconds: Int64 = 1_000

    package init(_ machine: any Clocks) { self.machine = machine }

    package var bootID: String { machine.bootID }

    package func now() -> Moment {
        var moment = machine.now()
        let boot = moment.bootMilliseconds
        guard moment.wall.source < .hub else { return moment }
        moment.wall = state.withLock { state in
            if let hub = state.hub {
                return WallEstimate(
                    unixMilliseconds: boot + hub.offset, source: .hub, uncertaintyMilliseconds: Self.grown(hub.uncertaintyMilliseconds, boot - hub.bootMilliseconds))
            }
            guard let floor = state.floorOffset.map({ $0 + boot }), moment.wall.unixMilliseconds < floor - Self.tolerance(moment.wall) else { return moment.wall }
            return WallEstimate(unixMilliseconds: floor, source: .none, uncertaintyMilliseconds: WallEstimate.unsetUncertaintyMilliseconds)
        }
        return moment
    }

    /// A battery clock may be a little behind; one that was never set is not asked.
    private static func tolerance(_ wall: WallEstimate) -> Int64 { wall.source == .rtc ? wall.uncertaintyMilliseconds : 0 }

    private static func grown(_ uncertainty: Int64, _ age: Int64) -> Int64 {
        uncertainty + (max(0, age) * ClockCorrections.freePartsPerMillion + 999_999) / 1_000_000
    }

    /// Takes the hub's time, unless what is known already is better and agrees.
    package func learn(_ time: HubTime) {
        let roundTrip = time.receivedBootMilliseconds - time.sentBootMilliseconds
        let plausible = WallEstimate.firstPlausibleUnixMilliseconds...Plausibility.magnitudeMax
        guard (0...Self.roundTripMillisecondsMax).contains(roundTrip), plausible.contains(time.hubUnixMilliseconds) else { return }
        let offset = time.hubUnixMilliseconds + roundTrip / 2 - time.receivedBootMilliseconds
        let uncertainty = (roundTrip + 1) / 2 + Self.hubMilliseconds
        state.withLock { state in
            if let known = state.hub {
                let grown = Self.grown(known.uncertaintyMilliseconds, time.receivedBootMilliseconds - known.bootMilliseconds)
                if grown < uncertainty, abs(known.offset - offset) <= grown + uncertainty { return }
            }
            state.hub = (offset, uncertainty, time.receivedBootMilliseconds)
        }
    }

    /// - Parameter start: wall time at boot clock 0 of this boot, before which it cannot have begun
    ///   (`ClockKeeper.earliestStart`); nil when the log knows nothing.
    package func raiseFloor(_ start: Int64?) {
        let start = max(start ?? 0, WallEstimate.firstPlausibleUnixMilliseconds)
        state.withLock { $0.floorOffset = max($0.floorOffset ?? start, start) }
    }
}
