@testable import EdgeMotion
import LibAV
import TestSupport
import Testing

@Suite("Packet sizes")
struct ActivityTests {
    /// 25 pictures a second, a key frame each two seconds.
    private func run(_ activity: inout PacketActivity, seconds: Int, from start: Int = 0, delta: (Int) -> Int, key: Int = 40_000) -> [PacketActivity.Verdict] {
        (0..<(seconds * 25)).compactMap { frame in
            let isKey = frame % 50 == 0
            return activity.add(bytes: isKey ? key : delta(frame), isKey: isKey, nanoseconds: Int64(start * 25 + frame) * 40_000_000)
        }
    }

    @Test("Nothing is decided while the quiet level is learned, then quiet is still and a jump is motion")
    func learning() throws {
        var activity = PacketActivity()
        let learned = run(&activity, seconds: 9, delta: { 500 + $0 % 7 * 10 })
        #expect(learned.allSatisfy { if case .undecided = $0 { true } else { false } })
        let quiet = run(&activity, seconds: 20, from: 9, delta: { 500 + $0 % 7 * 10 })
        #expect(quiet.suffix(30).allSatisfy { $0 == .still })
        let moving = run(&activity, seconds: 5, from: 29, delta: { _ in 4_000 })
        // The first window holds both.
        #expect(moving.dropFirst().allSatisfy { if case .motion(let score) = $0 { score > 50 } else { false } }, "\(moving)")
        #expect(run(&activity, seconds: 5, from: 34, delta: { _ in 500 }).dropFirst(2).allSatisfy { $0 == .still })
    }

    @Test("A stream that fills every picture up is never decided by sizes")
    func heldRate() {
        var activity = PacketActivity()
        let verdicts = run(&activity, seconds: 60, delta: { $0 < 1_000 ? 8_000 : 8_400 }, key: 30_000)
        #expect(verdicts.allSatisfy { if case .undecided = $0 { true } else { false } })
        #expect(!activity.isElastic)
    }

    @Test("Sizes alone may claim motion for 30 s; then pictures confirm it, or what is there becomes the quiet level")
    func trust() {
        var activity = PacketActivity()
        _ = run(&activity, seconds: 20, delta: { _ in 400 })
        let long = run(&activity, seconds: 40, from: 20, delta: { _ in 2_000 })
        #expect(long.filter { if case .motion = $0 { true } else { false } }.count >= 58)
        #expect(long.suffix(10).allSatisfy { if case .undecided = $0 { true } else { false } })
        var confirmed = activity
        confirmed.pictureMoved(60_000_000_000)
        #expect(run(&confirmed, seconds: 10, from: 60, delta: { _ in 2_000 }).dropFirst().allSatisfy { if case .motion = $0 { true } else { false } })
        activity.pictureWasStill()
        #expect(run(&activity, seconds: 10, from: 60, delta: { _ in 2_000 }).dropFirst(2).allSatisfy { $0 == .still })
    }

    @Test("Twice the quiet level scores 20, 32 times 100")
    func scores() {
        #expect([0.5, 1, 1.5, 2, 4, 32, 1e9].map { PacketActivity.score(ratio: $0) } == [0, 0, 10, 20, 40, 100, 100])
    }

    @Test("Two whole changes of the picture in a row are motion, one is the light")
    func wholeChanges() throws {
        var comparison = PictureComparison(zones: [], minimumAreaPercent: 1)
        func grid(_ seed: Int) -> LumaGrid {
            var grid = LumaGrid(columns: PictureComparison.columns, rows: PictureComparison.rows)
            grid.levels = grid.levels.indices.map { UInt8(($0 * 37 * seed) % 251) }
            return grid
        }
        #expect(comparison.compare(grid(1), 0) == nil)
        #expect(comparison.compare(grid(1), 1_000_000_000)?.score == 0)
        #expect(comparison.compare(grid(2), 2_000_000_000) == nil)
        let turned = comparison.compare(grid(3), 3_000_000_000)
        #expect(turned?.score ?? 0 > 80)
        // Too old to compare with.
        #expect(comparison.compare(grid(1), 60_000_000_000) == nil)
    }

    @Test("A decoder that fails rests for a minute, then twice as long, and recovers")
    func budget() {
        var budget = DecodeBudget()
        var now: Int64 = 0
        #expect(budget.allows(now))
        budget.decoded(now, cpuNanoseconds: 100_000_000)
        // 100 ms of work: 2 s of pause.
        #expect(!budget.allows(1_999_999_999) && budget.allows(2_000_000_000) && budget.note == nil)
        for _ in 0..<2 {
            now += 2_000_000_000
            budget.failed(now, cpuNanoseconds: 0, "damaged")
            #expect(budget.note == nil && budget.allows(now + 1_000_000_000))
        }
        budget.failed(now, cpuNanoseconds: 0, "damaged")
        #expect(budget.note?.contains("60 s: damaged") == true && !budget.allows(now + 59_000_000_000) && budget.allows(now + 60_000_000_000))
        budget.failed(now, cpuNanoseconds: 0, "damaged")
        #expect(budget.note?.contains("120 s") == true)
        for _ in 0..<20 { budget.failed(now, cpuNanoseconds: 0, "damaged") }
        #expect(budget.allows(now + 3_600_000_000_000) && !budget.allows(now + 3_599_000_000_000))
        budget.decoded(now, cpuNanoseconds: 0)
        #expect(budget.note == nil && budget.allows(now + 1_000_000_000))
    }
}
