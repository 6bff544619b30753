import RecordingModel
import ServiceSupport
import Synchronization
import Testing

/// Clocks that a test sets.
private final class SetClocks: Clocks {
    let bootID = "boot"
    private let moment: Mutex<Moment>
    init(boot: Int64, _ wall: Int64, _ source: ClockSource) { moment = Mutex(Self.moment(boot, wall, source)) }
    func set(boot: Int64, _ wall: Int64, _ source: ClockSource) { moment.withLock { $0 = Self.moment(boot, wall, source) } }
    func now() -> Moment { moment.withLock { $0 } }
    private static func moment(_ boot: Int64, _ wall: Int64, _ source: ClockSource) -> Moment {
        let uncertainty = source == .ntp ? 20 : source == .rtc ? WallEstimate.rtcUncertaintyMilliseconds : WallEstimate.unsetUncertaintyMilliseconds
        return Moment(bootNanoseconds: boot * 1_000_000, wall: WallEstimate(unixMilliseconds: wall, source: source, uncertaintyMilliseconds: uncertainty))
    }
}

@Suite struct NodeClocksTests {
    private let morning: Int64 = 1_795_248_000_000

    @Test func `the hub's time beats a clock that nobody keeps, and its uncertainty grows with its age`() {
        for source in [ClockSource.none, .rtc] {
            let machine = SetClocks(boot: 60_000, 60_000, source)
            let clocks = NodeClocks(machine)
            clocks.learn(HubTime(hubUnixMilliseconds: morning, sentBootMilliseconds: 59_000, receivedBootMilliseconds: 60_000))
            #expect(clocks.now().wall == WallEstimate(unixMilliseconds: morning + 500, source: .hub, uncertaintyMilliseconds: 1_500))
            machine.set(boot: 60_000 + 86_400_000, 0, source)
            #expect(clocks.now().wall == WallEstimate(unixMilliseconds: morning + 500 + 86_400_000, source: .hub, uncertaintyMilliseconds: 1_500 + 4_320))
            #expect(clocks.now().bootMilliseconds == 86_460_000)
        }
    }

    @Test func `a clock that NTP keeps is not touched by the hub's time, nor by the floor`() {
        let clocks = NodeClocks(SetClocks(boot: 60_000, morning, .ntp))
        clocks.raiseFloor(morning + 86_400_000)
        clocks.learn(HubTime(hubUnixMilliseconds: morning + 5_000, sentBootMilliseconds: 60_000, receivedBootMilliseconds: 60_010))
        #expect(clocks.now().wall == WallEstimate(unixMilliseconds: morning, source: .ntp, uncertaintyMilliseconds: 20))
    }

    @Test func `a slow answer does not replace a quick one that agrees, a contradiction does, and a delayed one says that it is uncertain`() {
        let machine = SetClocks(boot: 100_000, 0, .none)
        let clocks = NodeClocks(machine)
        clocks.learn(HubTime(hubUnixMilliseconds: morning, sentBootMilliseconds: 99_900, receivedBootMilliseconds: 100_000))
        clocks.learn(HubTime(hubUnixMilliseconds: morning - 2_000, sentBootMilliseconds: 90_000, receivedBootMilliseconds: 100_000))
        #expect(clocks.now().wall.unixMilliseconds == morning + 50)
        clocks.learn(HubTime(hubUnixMilliseconds: morning + 3_600_000, sentBootMilliseconds: 90_000, receivedBootMilliseconds: 100_000))
        #expect(clocks.now().wall == WallEstimate(unixMilliseconds: morning + 3_605_000, source: .hub, uncertaintyMilliseconds: 6_000))
    }

    @Test func `an answer that no clock gives is not believed`() {
        let clocks = NodeClocks(SetClocks(boot: 100_000, 5_000, .none))
        for (hub, sent, received) in [
            (0, 99_000, 100_000), (morning, 100_001, 100_000), (morning, 0, 200_000), (Int64.max, 99_000, 100_000), (.min, 99_000, 100_000),
        ] as [(Int64, Int64, Int64)] {
            clocks.learn(HubTime(hubUnixMilliseconds: hub, sentBootMilliseconds: sent, receivedBootMilliseconds: received))
        }
        #expect(clocks.now().wall.source == .none)
    }

    @Test func `a clock below what the log knows goes on from there and says that it is not set`() {
        let machine = SetClocks(boot: 30_000, 30_000, .none)
        let clocks = NodeClocks(machine)
        clocks.raiseFloor(nil)
        #expect(clocks.now().wall.unixMilliseconds == WallEstimate.firstPlausibleUnixMilliseconds + 30_000)
        clocks.raiseFloor(morning)
        clocks.raiseFloor(morning - 1_000)
        #expect(clocks.now().wall.unixMilliseconds == morning + 30_000 && clocks.now().wall.source == .none)
        // A day late: the battery clock is no better than none. A little late is what battery clocks are.
        machine.set(boot: 30_000, morning - 86_400_000, .rtc)
        #expect(clocks.now().wall.unixMilliseconds == morning + 30_000 && clocks.now().wall.source == .none)
        machine.set(boot: 30_000, morning, .rtc)
        #expect(clocks.now().wall.unixMilliseconds == morning && clocks.now().wall.source == .rtc)
    }

    @Test func `a clock in 2099 or before 1970 is one that was never set`() {
        for wall in [4_070_908_800_000, -5_000] as [Int64] {
            let estimate = SystemClocks.estimate(unixMilliseconds: wall, synchronised: nil)
            #expect(estimate.source == .none && estimate.isPlausible)
        }
        #expect(SystemClocks.estimate(unixMilliseconds: 4_070_908_800_000, synchronised: 500).source == .ntp)
    }
}
