@testable import EdgeCapture
import RecordingModel
import Synchronization
import Testing

/// The machine's boot clock beside a wall clock that a test sets.
final class StepClocks: Clocks {
    let bootID = "test-boot"
    private let machine = MachineClocks()
    private let offset: Atomic<Int64>
    /// - Parameter offset: wall time at boot clock 0.
    init(offset: Int64) { self.offset = Atomic(offset) }
    func set(offset: Int64) { self.offset.store(offset, ordering: .relaxed) }
    func now() -> Moment {
        var moment = machine.now()
        moment.wall.unixMilliseconds = moment.bootMilliseconds + offset.load(ordering: .relaxed)
        return moment
    }
}

@Suite("Clock steps")
struct ClockStepTests {
    private static let today: Int64 = 1_795_248_000_000
    private static let hour: Int64 = 3_600_000

    @Test("A step of the wall clock in mid-segment cuts nothing, and boot clock, names and sequences go on", arguments: [
        (today, today + hour), (today, today - hour), (today, today + 24 * hour), (today, today - 24 * hour), (0, today), (today, 0),
    ] as [(Int64, Int64)])
    func step(before: Int64, after: Int64) throws {
        let clocks = StepClocks(offset: before)
        let bench = try Bench(url: "scripted:", script: ScriptedCamera.Script(), prepare: { $0.clocks = clocks })
        bench.recorder.start()
        bench.wait(seconds: 10) { bench.sink.segments.count >= 1 }
        // In the middle of the second segment.
        bench.wait(seconds: 0.8) { false }
        clocks.set(offset: after)
        bench.wait(seconds: 10) { bench.sink.segments.count >= 3 }
        clocks.set(offset: before)
        bench.wait(seconds: 10) { bench.sink.segments.count >= 4 }
        bench.recorder.stop()

        let segments = bench.sink.segments
        try #require(segments.count >= 4)
        #expect(segments.map(\.sequence) == (0..<UInt64(segments.count)).map { $0 })
        // Neither of the two steps cut anything: one run, every segment as long as it was to be.
        #expect(Set(segments.map(\.run)) == [0])
        #expect(segments.dropLast().allSatisfy { $0.end == .length && $0.mediaDurationTicks90k == 180_000 })
        #expect(bench.sink.firstHole == nil)
        #expect(bench.sink.gaps.allSatisfy { $0.cause == .starting || $0.cause == .stopped })
        // A segment's wall time is what the clock said when it began, and nothing of the path tells a time.
        let offsets = segments.map { $0.startWall.unixMilliseconds - $0.startBootMilliseconds }
        #expect(offsets.first == before && Set(offsets) == [before, after])
        #expect(segments.allSatisfy { $0.bootID == "test-boot" && $0.startWall.isPlausible })
        for record in segments { try expectDecodes(bench.path(record)) }
        try expectDecodes(try bench.joined(run: 0))
    }

    @Test("A clock that steps every 100 ms shreds no footage")
    func restless() throws {
        let clocks = StepClocks(offset: Self.today)
        let bench = try Bench(url: "scripted:", script: ScriptedCamera.Script(), prepare: { $0.clocks = clocks })
        bench.recorder.start()
        var seed = SeededRandomness(state: 7)
        var steps = 0
        bench.wait(seconds: 12) {
            steps += 1
            if steps % 5 == 0 { clocks.set(offset: Int64(seed.next() % 4_000_000_000_000)) }
            return bench.sink.segments.count >= 3
        }
        bench.recorder.stop()
        #expect(steps > 100)
        #expect(bench.sink.segments.count >= 3 && Set(bench.sink.segments.map(\.run)) == [0])
        #expect(bench.sink.segments.dropLast().allSatisfy { $0.mediaDurationTicks90k == 180_000 })
        #expect(bench.sink.firstHole == nil)
    }
}
