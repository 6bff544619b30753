import LogFixtures
import RecordingModel
import Testing

/// 2026-11-21T08:00:00Z
private let morning: Int64 = 1_795_248_000_000
private let hour: Int64 = 3_600_000
private let day: Int64 = 24 * hour

private func wall(_ milliseconds: Int64, _ source: ClockSource, _ uncertainty: Int64? = nil) -> WallEstimate {
    let usual: Int64 = switch source {
    case .none: WallEstimate.unsetUncertaintyMilliseconds
    case .rtc: WallEstimate.rtcUncertaintyMilliseconds
    case .hub: 1_300
    case .ntp, .gps: 20
    }
    return WallEstimate(unixMilliseconds: milliseconds, source: source, uncertaintyMilliseconds: uncertainty ?? usual)
}

/// A boot whose wall clock a test turns, told to a keeper.
private struct Run {
    var keeper: ClockKeeper
    var boot: Int64 = 20_000
    var records: [ClockRecord] = []

    init(_ bootID: String = "now", after boots: [BootSpan] = []) { keeper = ClockKeeper(bootID: bootID, boots: boots) }

    /// - Parameter offset: wall time at boot clock 0, by the boot clock in milliseconds
    mutating func pass(seconds: Int64, every step: Int64 = 1, _ source: ClockSource, uncertainty: Int64? = nil, offset: (Int64) -> Int64) {
        for _ in 0..<(seconds / step) {
            boot += step * 1_000
            records += keeper.observe(Moment(bootNanoseconds: boot * 1_000_000 + 7, wall: wall(boot + offset(boot), source, uncertainty)))
        }
    }
    mutating func pass(seconds: Int64, _ source: ClockSource, at offset: Int64) { pass(seconds: seconds, source) { _ in offset } }

    var corrections: ClockCorrections { ClockCorrections(records.filter { $0.bootID == "now" }) }
}

private func span(_ id: String, _ source: ClockSource, start: Int64, lasting: Int64) -> BootSpan {
    BootSpan(bootID: id, firstBootMilliseconds: 15_000, lastBootMilliseconds: lasting, firstWall: wall(start + 15_000, source), lastWall: wall(start + lasting, source))
}

@Suite struct ClockKeeperTests {
    @Test("A clock that is right and stays right gives one entry when it is set, and none when it is not", arguments: ClockSource.allCases)
    func quiet(source: ClockSource) {
        var run = Run()
        run.pass(seconds: 7_200, source, at: morning)
        #expect(run.records.map(\.reason) == (source > .none ? [.fix] : []))
    }

    @Test("A boot at 1970, in 2099, a day late or an hour early is put right by the first fix from outside, also what it recorded before", arguments: [0, 4_070_908_800_000, morning - day, morning + hour] as [Int64])
    func wrongFromTheStart(wrong: Int64) throws {
        var run = Run()
        run.pass(seconds: 600, wrong == 0 || wrong > morning + day ? .none : .rtc, at: wrong)
        run.pass(seconds: 600, .ntp, at: morning)
        #expect(run.records.map(\.reason) == (wrong == 0 || wrong > morning + day ? [.fix] : [.fix, .fix]))
        let first = try #require(run.corrections.corrected(wall(wrong + 30_000, .rtc), atBootMilliseconds: 30_000))
        #expect(first.unixMilliseconds == morning + 30_000 && first.source == .ntp)
    }

    @Test("A step gives one entry, back in mid-segment one more, and then nothing is moved", arguments: [hour, -hour, day, -day, 3_000, -3_000, -40 * 365 * day] as [Int64])
    func steps(size: Int64) throws {
        var run = Run()
        run.pass(seconds: 100, .rtc, at: morning)
        run.pass(seconds: 100, .rtc, at: morning + size)
        #expect(run.records.map(\.reason) == [.fix, .step])
        // The new time is believed, also of what lies before.
        #expect(try #require(run.corrections.corrected(wall(morning + 50_000, .rtc), atBootMilliseconds: 50_000)).unixMilliseconds == morning + size + 50_000)
        run.pass(seconds: 100, .rtc, at: morning)
        #expect(run.records.map(\.reason) == [.fix, .step, .step])
        for boot in stride(from: Int64(20_000), to: 320_000, by: 10_000) {
            #expect(try #require(run.corrections.corrected(wall(morning, .rtc), atBootMilliseconds: boot)).unixMilliseconds == morning + boot)
        }
    }

    @Test("A step that is taken back within seconds was none")
    func blink() {
        var run = Run()
        for _ in 0..<100 {
            run.pass(seconds: 10, .ntp, at: morning)
            run.pass(seconds: 4, .ntp, at: morning + day)
        }
        #expect(run.records.map(\.reason) == [.fix])
    }

    @Test("A clock that flaps for a day fills no log, and where it stays in the end is told")
    func flapping() throws {
        var run = Run()
        var generator = SeededNumbers(seed: 1)
        for _ in 0..<2_000 {
            let size = Int64.random(in: -day...day, using: &generator)
            run.pass(seconds: Int64.random(in: 1..<90, using: &generator), ClockSource.allCases.randomElement(using: &generator) ?? .ntp, at: morning + size)
        }
        run.pass(seconds: 7_300, .gps, at: morning)
        for record in run.records {
            #expect(run.records.filter { (0..<3_600_000).contains($0.bootMilliseconds - record.bootMilliseconds) }.count <= ClockKeeper.recordsPerHour + 5)
        }
        let last = try #require(run.records.last)
        #expect(last.wall.source == .gps && last.wall.unixMilliseconds - last.bootMilliseconds == morning)
    }

    @Test("Daylight saving and a leap second, stepped or smeared over a day, give nothing")
    func leap() {
        var stepped = Run()
        stepped.pass(seconds: 1_000, .ntp, at: morning)
        stepped.pass(seconds: 1_000, .ntp, at: morning - 1_000)
        #expect(stepped.records.map(\.reason) == [.fix])
        var smeared = Run()
        smeared.pass(seconds: 90_000, .ntp) { morning - min(1_000, $0 * 1_000 / day) }
        #expect(smeared.records.map(\.reason) == [.fix])
    }

    @Test("The end of 32-bit seconds, and of unsigned ones, is a time like any other", arguments: [2_147_483_647_000, 4_294_967_295_000] as [Int64])
    func yearsOfBits(border: Int64) throws {
        var run = Run()
        run.pass(seconds: 600, .none, at: 0)
        run.pass(seconds: 600, .ntp, at: border - 900_000)
        #expect(run.records.map(\.reason) == [.fix])
        #expect(try #require(run.corrections.corrected(wall(30_000, .none), atBootMilliseconds: 30_000)).unixMilliseconds == border - 870_000)
    }

    @Test("A week without NTP at 50 ppm: drift is told when it passes 2 s, and between two readings of NTP time is interpolated")
    func slowDrift() throws {
        let week: Int64 = 7 * 86_400
        func drift(_ boot: Int64) -> Int64 { boot / 20_000 }
        var run = Run()
        run.pass(seconds: 60, .ntp, at: morning)
        // The system's clock runs on with the boot clock, while the true time runs 50 ppm faster.
        run.pass(seconds: week, every: 10, .rtc) { _ in morning }
        run.pass(seconds: 60, .ntp, at: morning + drift(week * 1_000))
        #expect(run.records.map(\.reason) == [.fix, .drift])
        for share in 0...10 as ClosedRange<Int64> {
            let boot = share * week * 100
            let found = try #require(run.corrections.corrected(wall(morning + boot, .rtc), atBootMilliseconds: boot))
            #expect(abs(found.unixMilliseconds - (morning + boot + drift(boot))) <= 100, "\(share): \(found)")
        }
        // Only at the end: then the start is as far off as the boot clock has drifted, and the uncertainty says so.
        var once = Run()
        once.pass(seconds: week, every: 10, .rtc) { _ in morning }
        once.pass(seconds: 60, .ntp, at: morning + drift(week * 1_000))
        #expect(once.records.map(\.reason) == [.fix, .fix])
        let first = try #require(once.corrections.corrected(wall(morning + 30_000, .rtc), atBootMilliseconds: 30_000))
        #expect(abs(first.unixMilliseconds - (morning + 30_000)) <= first.uncertaintyMilliseconds && first.uncertaintyMilliseconds < 31_000)
        // A clock that keeps the better source while it creeps.
        var creeping = Run()
        creeping.pass(seconds: week, every: 10, .ntp) { morning + drift($0) }
        #expect(creeping.records.first?.reason == .fix && creeping.records.dropFirst().allSatisfy { $0.reason == .drift } && (14...16).contains(creeping.records.count), "\(creeping.records.count)")
    }

    @Test("A source that is lost leaves its last reading, so that time is right up to there")
    func lostSource() throws {
        var run = Run()
        run.pass(seconds: 3_600, .ntp, at: morning)
        run.pass(seconds: 3_600, .rtc, at: morning + day)
        #expect(run.records.map(\.reason) == [.fix, .fix])
        let found = try #require(run.corrections.corrected(wall(morning + day, .rtc), atBootMilliseconds: 5_000_000))
        #expect(found.unixMilliseconds == morning + 5_000_000)
    }

    @Test("A process that starts again within a boot goes on from what the log knows")
    func restart() {
        let running = BootSpan(bootID: "now", firstBootMilliseconds: 1_000, lastBootMilliseconds: 19_000, firstWall: wall(morning + 1_000, .ntp), lastWall: wall(morning + 19_000, .ntp))
        var same = Run(after: [running])
        same.pass(seconds: 100, .ntp, at: morning)
        #expect(same.records == [])
        var stepped = Run(after: [running])
        stepped.pass(seconds: 100, .ntp, at: morning - day)
        #expect(stepped.records.map(\.reason) == [.step])
        var better = Run(after: [span("now", .none, start: 0, lasting: 19_000)])
        better.pass(seconds: 100, .ntp, at: morning)
        #expect(better.records.map(\.reason) == [.fix])
    }

    @Test("What no clock shows is passed over")
    func nonsense() {
        var run = Run()
        for value: Int64 in [.min / 2, -1_000_000, Plausibility.magnitudeMax + 1, .max / 4] { run.pass(seconds: 10, .ntp) { value - $0 } }
        #expect(run.records == [])
    }
}

@Suite struct EarlierBootTests {
    @Test("Boots at 1970 are laid in order between the last known end and this boot, within half of the time left over")
    func unsetBoots() {
        let boots = [
            span("known", .ntp, start: morning - 10 * day, lasting: day), span("a", .none, start: 0, lasting: 2 * hour),
            span("import-00", .none, start: 0, lasting: hour), span("b", .none, start: 0, lasting: 3 * hour), span("c", .none, start: 0, lasting: hour),
        ]
        var run = Run(after: boots)
        run.pass(seconds: 60, .none, at: 0)
        #expect(run.records == [])
        run.pass(seconds: 60, .hub, at: morning)
        #expect(run.records.map(\.bootID) == ["now", "a", "b", "c"])
        #expect(run.records.map(\.reason) == [.fix, .earlierBoot, .earlierBoot, .earlierBoot])
        // Nine days less six hours are left over; half of it lies before.
        let slack = 9 * day - 6 * hour
        let ends = run.records.dropFirst().map(\.wall.unixMilliseconds)
        let start = morning - 9 * day + slack / 2
        #expect(ends == [start + 2 * hour, start + 5 * hour, start + 6 * hour])
        #expect(run.records.dropFirst().allSatisfy { $0.wall.uncertaintyMilliseconds == slack / 2 + 1_300 && $0.wall.source == .hub })
        run.pass(seconds: 600, .ntp, at: morning + 400)
        #expect(run.records.map(\.reason).suffix(1) == [.fix] && run.records.count == 5)
    }

    @Test("With nothing known from before, they end where this boot begins, and may be older")
    func noAnchor() throws {
        var run = Run(after: [span("a", .none, start: 0, lasting: 2 * hour), span("b", .none, start: 0, lasting: hour)])
        run.pass(seconds: 60, .gps, at: morning)
        let records = run.records.filter { $0.reason == .earlierBoot }
        #expect(records.map(\.wall.unixMilliseconds) == [morning - hour, morning])
        #expect(records.allSatisfy { $0.wall.uncertaintyMilliseconds >= $0.wall.unixMilliseconds - 3 * hour - WallEstimate.firstPlausibleUnixMilliseconds })
    }

    @Test("A battery clock that is a year off now was a year off before", arguments: [365 * day, -365 * day, 40_000] as [Int64])
    func batteryOffset(off: Int64) throws {
        let boots = [
            span("known", .ntp, start: morning - 400 * day, lasting: day), span("a", .rtc, start: morning - 4 * day + off, lasting: 2 * hour),
            span("b", .none, start: 0, lasting: hour), span("c", .rtc, start: morning - 2 * day + off, lasting: hour),
        ]
        var run = Run(after: boots)
        run.pass(seconds: 60, .rtc, at: morning + off)
        run.pass(seconds: 60, .ntp, at: morning)
        let records = run.records.filter { $0.reason == .earlierBoot }
        #expect(records.map(\.bootID) == ["a", "b", "c"])
        #expect(records.map(\.wall.source) == [.rtc, .ntp, .rtc])
        #expect(records[0].wall.unixMilliseconds == morning - 4 * day + 2 * hour)
        #expect(records[2].wall.unixMilliseconds == morning - 2 * day + hour)
        #expect((60_000..<120_000).contains(records[0].wall.uncertaintyMilliseconds))
        #expect(((morning - 4 * day + 3 * hour)...(morning - 2 * day)).contains(records[1].wall.unixMilliseconds))
    }

    @Test("A battery clock that leads to an impossible order is not believed, and one that this boot cannot judge is left")
    func batteryUnfit() {
        let known = span("known", .ntp, start: morning - 10 * day, lasting: day)
        var run = Run(after: [known, span("a", .rtc, start: morning + 20 * day, lasting: hour), span("b", .rtc, start: morning - 3 * day, lasting: hour)])
        run.pass(seconds: 60, .ntp, at: morning)
        let records = run.records.filter { $0.reason == .earlierBoot }
        #expect(records.map(\.bootID) == ["a"])
        #expect(((morning - 9 * day + hour)...(morning - 3 * day)).contains(records.first?.wall.unixMilliseconds ?? 0))
    }

    @Test("Whatever happened, the true time lies within what the entries say, for 500 seeds", arguments: 0..<500)
    func truth(seed: Int) throws {
        var generator = SeededNumbers(seed: UInt64(seed))
        var time = morning - 200 * day
        var boots = [span("known", .ntp, start: time, lasting: hour)]
        time += hour
        var starts: [String: Int64] = [:]
        for number in 0..<Int.random(in: 0..<8, using: &generator) {
            time += Int64.random(in: 1_000...(20 * day), using: &generator)
            let lasting = Int64.random(in: 20_000...day, using: &generator)
            starts["\(number)"] = time
            boots.append(span("\(number)", .none, start: Int64.random(in: 0..<day, using: &generator), lasting: lasting))
            time += lasting
        }
        time += Int64.random(in: 1_000...day, using: &generator)
        var run = Run(after: boots)
        run.pass(seconds: 30, .none, at: 0)
        run.pass(seconds: 30, .ntp, at: time)
        let placed = run.records.filter { $0.reason == .earlierBoot }
        #expect(placed.map(\.bootID) == boots.dropFirst().map(\.bootID), "seed \(seed)")
        for record in placed {
            let start = try #require(starts[record.bootID])
            for boot in [0, record.bootMilliseconds / 2, record.bootMilliseconds] {
                let found = try #require(ClockCorrections([record]).corrected(wall(boot, .none), atBootMilliseconds: boot))
                #expect(abs(found.unixMilliseconds - (start + boot)) <= found.uncertaintyMilliseconds, "seed \(seed), boot \(record.bootID)")
            }
        }
        for (left, right) in zip(placed, placed.dropFirst()) { #expect(right.wall.unixMilliseconds - right.bootMilliseconds >= left.wall.unixMilliseconds, "seed \(seed)") }
    }

    @Test("This boot cannot have begun before the last known end and what ran since")
    func earliestStart() {
        let boots = [span("known", .ntp, start: morning, lasting: day), span("a", .none, start: 0, lasting: hour), span("import-1", .none, start: 0, lasting: day)]
        #expect(ClockKeeper.earliestStart(of: "now", after: boots) == morning + day + hour)
        #expect(ClockKeeper.earliestStart(of: "now", after: boots + [span("now", .none, start: 0, lasting: hour)]) == morning + day + hour)
        #expect(ClockKeeper.earliestStart(of: "now", after: boots + [span("now", .hub, start: morning + 3 * day, lasting: hour)]) == morning + 3 * day)
        #expect(ClockKeeper.earliestStart(of: "now", after: [span("a", .none, start: 0, lasting: hour)]) == nil)
    }
}

@Suite struct ClockCorrectionsTests {
    @Test("Whatever the fixes, a boot is moved without a hole or an overlap, and no time is negative, for 500 seeds", arguments: 0..<500)
    func continuous(seed: Int) {
        var generator = SeededNumbers(seed: UInt64(seed))
        let fixes = (0..<Int.random(in: 1..<20, using: &generator)).map { _ in
            let boot = Int64.random(in: 0..<day, using: &generator)
            let noise = Bool.random(using: &generator) ? Int64.random(in: -300...300, using: &generator) : Int64.random(in: -90 * 365 * day...day, using: &generator)
            return ClockRecord(
                bootID: "b", bootMilliseconds: boot, wall: wall(max(0, morning + boot + noise), [ClockSource.rtc, .ntp].randomElement(using: &generator) ?? .rtc), reason: .fix)
        }
        var corrections = ClockCorrections()
        for fix in fixes { corrections.add(fix) }
        #expect(corrections == ClockCorrections(fixes), "seed \(seed)")
        let best = fixes.map(\.wall.source).max() ?? .none
        var previous: Int64?
        for boot in stride(from: Int64(0), through: day, by: 60_000) {
            guard let found = corrections.corrected(wall(morning, .rtc), atBootMilliseconds: boot) else { Issue.record("seed \(seed)"); return }
            #expect(found.source == best && found.isPlausible, "seed \(seed)")
            if let previous, previous > 0 {
                // The second and the 500 ppm within which two fixes may agree, and rounding.
                #expect(abs(found.unixMilliseconds - previous - 60_000) <= 1_100, "seed \(seed), boot \(boot)")
            }
            previous = found.unixMilliseconds
        }
        // The newest fix of the best source is right at its own moment.
        if let newest = fixes.last(where: { $0.wall.source == best }) {
            #expect(corrections.corrected(wall(0, .none), atBootMilliseconds: newest.bootMilliseconds)?.unixMilliseconds == newest.wall.unixMilliseconds, "seed \(seed)")
        }
    }

    @Test("A better estimate is not corrected by a worse clock")
    func trust() {
        let corrections = ClockCorrections([ClockRecord(bootID: "b", bootMilliseconds: 0, wall: wall(morning, .rtc), reason: .fix)])
        #expect(corrections.corrected(wall(morning + day, .ntp), atBootMilliseconds: 1_000) == nil)
        #expect(corrections.corrected(wall(morning + day, .none), atBootMilliseconds: 1_000)?.unixMilliseconds == morning + 1_000)
        #expect(ClockCorrections().corrected(wall(0, .none), atBootMilliseconds: 0) == nil)
    }

    @Test("A thousand fixes and a hundred thousand questions take a second or two")
    func size() {
        let corrections = ClockCorrections((0..<2_000).map { ClockRecord(bootID: "b", bootMilliseconds: Int64($0) * 1_000, wall: wall(morning + Int64($0) * 1_000, .ntp), reason: .drift) })
        #expect(corrections.fixes.count == ClockCorrections.limit)
        let began = ContinuousClock.now
        for boot in 0..<Int64(100_000) { _ = corrections.corrected(wall(0, .none), atBootMilliseconds: boot * 20) }
        #expect(ContinuousClock.now - began < .seconds(10))
    }
}
