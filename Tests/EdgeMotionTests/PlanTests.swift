@testable import EdgeMotion
import RecordingModel
import Testing

@Suite("When footage is kept")
struct PlanTests {
    /// Seconds since 1970, UTC.
    private func wall(_ seconds: Int64, _ source: ClockSource = .ntp) -> WallEstimate {
        WallEstimate(unixMilliseconds: seconds * 1_000, source: source, uncertaintyMilliseconds: 10)
    }

    private func schedule(_ windows: String..., offset: String = "Z") throws -> WeeklySchedule {
        WeeklySchedule(
            windows: try windows.map { try #require(WeeklySchedule.Window($0), "\($0)") },
            utcOffsetMinutes: try #require(WeeklySchedule.utcOffsetMinutes(offset)))
    }

    @Test("Hours of the week, over midnight and over the week's end")
    func hours() throws {
        let office = try schedule("mon-fri 07:00-19:00")
        // 2026-07-06 was a Monday.
        let monday: Int64 = 1_783_296_000
        #expect(!office.includes(wall(monday + 6 * 3_600 + 3_599)) && office.includes(wall(monday + 7 * 3_600)))
        #expect(office.includes(wall(monday + 19 * 3_600 - 1)) && !office.includes(wall(monday + 19 * 3_600)))
        #expect(office.includes(wall(monday + 4 * 86_400 + 43_200)) && !office.includes(wall(monday + 5 * 86_400 + 43_200)))
        let night = try schedule("sun 22:00-06:00")
        #expect(night.includes(wall(monday - 7_200)) && night.includes(wall(monday + 21_599)) && !night.includes(wall(monday + 21_600)))
        #expect(!night.includes(wall(monday + 86_400)))
        let weekend = try schedule("sat-mon 00:00-24:00", "wed,thu 12:00-12:01")
        let days = (0..<7).map { weekend.includes(wall(monday + $0 * 86_400 + 43_200)) }
        #expect(days == [true, false, true, true, false, true, true])
        #expect(try schedule("daily 00:00-24:00").includes(wall(-86_400 * 3 - 1)))
    }

    @Test("The offset is fixed: daylight saving moves nothing")
    func daylightSaving() throws {
        // Central European summer time began on 2026-03-29 at 01:00 UTC. Local noon was 11:00 UTC the day before, and 10:00 after.
        let noon = try schedule("daily 12:00-13:00", offset: "+01:00")
        let sunday: Int64 = 1_774_742_400
        for day in -3...3 {
            let start = sunday + Int64(day) * 86_400 + 11 * 3_600
            #expect(noon.includes(wall(start)) && !noon.includes(wall(start - 1)) && !noon.includes(wall(start + 3_600)))
        }
        // Every minute of the week of the change: what a fixed offset gives, and each day once.
        let included = (0..<(7 * 1_440)).count { noon.includes(wall(sunday - 3 * 86_400 + Int64($0) * 60)) }
        #expect(included == 7 * 60)
        #expect(try schedule("mon 00:00-01:00", offset: "-03:30").includes(wall(1_783_296_000 + 3 * 3_600 + 1_800)))
    }

    @Test("A clock that was never set records always; footage is never left out because of a clock")
    func unsetClock() throws {
        let never = RecordingPlan(mode: .schedule, schedule: WeeklySchedule(windows: []))
        #expect(never.gap(at: wall(12, .none), isEvent: false) == nil)
        #expect(never.gap(at: wall(12, .rtc), isEvent: false) == .schedule)
    }

    @Test("Modes say what is kept, and what the gap is")
    func modes() throws {
        let monday = wall(1_783_296_000)
        #expect(RecordingPlan().gap(at: monday, isEvent: false) == nil)
        let events = RecordingPlan(mode: .events)
        #expect(events.gap(at: monday, isEvent: false) == .noEvent && events.gap(at: monday, isEvent: true) == nil)
        var hours = RecordingPlan(mode: .schedule, schedule: try schedule("tue 00:00-24:00"))
        #expect(hours.gap(at: monday, isEvent: true) == .schedule)
        hours.outside = .events
        #expect(hours.gap(at: monday, isEvent: true) == nil && hours.gap(at: monday, isEvent: false) == .noEvent)
        #expect(hours.gap(at: wall(1_783_296_000 + 86_400), isEvent: false) == nil)
        #expect(RecordingPlan(preRollMilliseconds: 1 << 40).preRollMilliseconds == 30_000)
    }

    @Test("Windows and offsets that mean nothing are refused", arguments: [
        "", "mon", "mon 07:00", "mon 7:00-19:00", "mon 07:00-24:01", "mon 24:00-07:00", "mon 07:60-08:00", "mon 07:00-07:00", "Mon 07:00-08:00",
        "mon- 07:00-08:00", "mon-fri-sun 07:00-08:00", ",mon 07:00-08:00", "mon  07:00-08:00", "mon 07:00-08:00 ", "mon 0７:00-08:00", "mon 07:00-08:00-09:00",
        "daily,mon 07:00-08:00", "holiday 07:00-08:00",
    ])
    func refused(text: String) {
        #expect(WeeklySchedule.Window(text) == nil)
        #expect(WeeklySchedule.utcOffsetMinutes(text) == nil)
    }

    @Test("Offsets", arguments: [("Z", 0), ("+00:00", 0), ("+01:00", 60), ("-03:30", -210), ("+14:00", 840), ("+14:01", nil), ("+1:00", nil), ("+01:60", nil), ("01:00", nil)])
    func offsets(text: String, minutes: Int?) {
        #expect(WeeklySchedule.utcOffsetMinutes(text) == minutes)
    }
}
