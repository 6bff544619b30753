@testable import EdgeSync
import LogFixtures
import RecordingModel
import Synchronization
import SyncProtocol
import TestSupport
import Testing

/// Which link is used, and what may go over it.
@Suite struct UplinkTests {
    private static let day: Int64 = 86_400_000
    private static func wall(_ milliseconds: Int64, source: ClockSource = .ntp) -> WallEstimate {
        WallEstimate(unixMilliseconds: milliseconds, source: source, uncertaintyMilliseconds: 1)
    }

    @Test("The cheapest link that is up is used; one that failed comes after the others, for longer each time")
    func choice() {
        var plan = UplinkPlan([Uplink(name: "vsat", device: "sat0", cost: 9), Uplink(name: "lte", device: "wwan0", cost: 1)])
        let now = Self.wall(1_700_000_000_000)
        func chosen(_ milliseconds: Int64, up: Set<String> = ["sat0", "wwan0"]) -> String? {
            plan.choose(at: now, nowMilliseconds: milliseconds, isUp: up.contains).link?.name
        }
        #expect(chosen(0) == "lte")
        #expect(chosen(0, up: ["sat0"]) == "vsat")
        #expect(chosen(0, up: []) == nil)
        #expect(plan.choose(at: now, nowMilliseconds: 0, isUp: { _ in false }).reason == "vsat: the interface sat0 is not up; lte: the interface wwan0 is not up")
        plan.failed(plan.links[1], nowMilliseconds: 0)
        #expect(chosen(59_999) == "vsat")
        // The only one that is up is used, whatever it did.
        #expect(chosen(1, up: ["wwan0"]) == "lte")
        #expect(chosen(60_000) == "lte")
        plan.failed(plan.links[1], nowMilliseconds: 60_000)
        #expect(chosen(179_999) == "vsat")
        #expect(chosen(180_000) == "lte")
        plan.succeeded(plan.links[1])
        #expect(chosen(180_001) == "lte")
    }

    @Test("A day's and a month's budget leave status and log a tenth more, and open again with the next day where the link is")
    func budgets() {
        var always = WeeklySchedule(windows: [.init(days: 0b111_1111, startMinute: 0, endMinute: 1_440)], utcOffsetMinutes: 300)
        let link = Uplink(name: "lte", dayBudgetBytes: 1_000, monthBudgetBytes: 1_500, hours: always)
        var plan = UplinkPlan([link])
        // 2024-02-28T20:00Z is the 29th at 01:00, five hours east.
        let evening = Self.wall(1_709_150_400_000)
        func allowance(_ wall: WallEstimate) -> UplinkAllowance { plan.allowance(of: link, at: wall, isUp: { _ in true }) }
        plan.add(999, to: link, at: evening)
        #expect(allowance(evening) == UplinkAllowance(isUsable: true, classes: Set(TrafficClass.allCases), reason: nil))
        plan.add(1, to: link, at: evening)
        #expect(allowance(evening).isUsable && allowance(evening).classes.isEmpty)
        #expect(allowance(evening).reason == "lte: today's budget of 1000 bytes is used up; only status and log are sent")
        plan.add(100, to: link, at: evening)
        #expect(!allowance(evening).isUsable)
        // A clock that is set back, or lost, opens nothing.
        #expect(!allowance(Self.wall(evening.unixMilliseconds - 3 * Self.day)).isUsable)
        #expect(!allowance(Self.wall(0, source: .none)).isUsable)
        // 23:59 there is still the 29th; a minute later it is March.
        #expect(!allowance(Self.wall(1_709_150_400_000 + 22 * 3_600_000 + 59 * 60_000)).isUsable)
        let march = Self.wall(1_709_150_400_000 + 23 * 3_600_000)
        #expect(allowance(march).classes == Set(TrafficClass.allCases))
        plan.add(900, to: link, at: march)
        let next = Self.wall(march.unixMilliseconds + Self.day)
        plan.add(600, to: link, at: next)
        #expect(allowance(next).reason == "lte: this month's budget of 1500 bytes is used up; only status and log are sent")
        always.utcOffsetMinutes = 0
        #expect(UplinkUsage.month(ofDay: 0) == 1970 * 12 && UplinkUsage.month(ofDay: 19_782) == 2024 * 12 + 1 && UplinkUsage.month(ofDay: 19_783) == 2024 * 12 + 2)
    }

    @Test("Outside of its hours a link is not used; a clock that was never set closes none")
    func hours() throws {
        let night = WeeklySchedule(windows: [try #require(WeeklySchedule.Window("daily 22:00-06:00"))])
        let link = Uplink(name: "night", hours: night)
        let noon = Self.wall(1_709_208_000_000)
        #expect(link.allowance(UplinkUsage(), at: noon, isUp: true) == UplinkAllowance(isUsable: false, classes: [], reason: "night: outside of its hours"))
        #expect(link.allowance(UplinkUsage(), at: Self.wall(noon.unixMilliseconds + 11 * 3_600_000), isUp: true).isUsable)
        #expect(link.allowance(UplinkUsage(), at: Self.wall(0, source: .none), isUp: true).isUsable)
    }

    @Test("What a link has carried is saved often enough that a power cut opens little of a budget, and settled at a contact's end")
    func saved() async {
        let saves = Mutex<[[String: UplinkUsage]]>([])
        let link = Uplink(name: "lte", dayBudgetBytes: 20_000_000)
        let uplinks = Uplinks([link], wall: { Self.wall(1_709_150_400_000) }, nowMilliseconds: { 0 }, isUp: { _ in true }, save: { usage in saves.withLock { $0.append(usage) } })
        for _ in 0..<100 { await uplinks.add(10_000, to: link) }
        #expect(saves.withLock { $0.map { $0["lte"]?.dayBytes } } == [200_000, 400_000, 600_000, 800_000, 1_000_000])
        await uplinks.add(1, to: link)
        await uplinks.settle()
        await uplinks.settle()
        #expect(saves.withLock(\.count) == 6 && saves.withLock(\.last)?["lte"]?.monthBytes == 1_000_001)
        let again = Uplinks([link], usage: saves.withLock(\.last) ?? [:], wall: { Self.wall(1_709_150_400_000) }, nowMilliseconds: { 0 })
        #expect(again.usage["lte"]?.dayBytes == 1_000_001)
    }

    @Test("A device is a name and never a path", arguments: ["", "..", "../eth0", "a/b", "wwan0123456789ab", "lo ", "ü"])
    func names(_ name: String) {
        #expect(!Uplinks.isDeviceName(name) && !Uplinks.isInterfaceUp(name))
        #expect(Uplinks.isInterfaceUp("lo"))
    }

    @Test("Over real TLS a link's budget stops footage and not the log, what crossed is counted, and an interface that is not there is not used")
    func budgetOverTLS() async throws {
        try await LoopbackHub.with { hub in
            let source = try MemorySource(segments: [Array(repeating: 1, count: 200_000), Array(repeating: 2, count: 200_000), Array(repeating: 3, count: 200_000)])
            _ = try await enrol(with: hub.token("pass"), identity: source.identity)
            let tight = Uplink(name: "tight", dayBudgetBytes: 1)
            var spent = UplinkUsage()
            spent.add(1, day: 1)
            let budget = Uplinks([tight], usage: ["tight": spent], wall: { WallEstimate(unixMilliseconds: Self.day, source: .ntp, uncertaintyMilliseconds: 1) }, nowMilliseconds: { 0 })
            // The log goes, as far as a tenth more than the budget; that is nothing here, and so the contact ends by itself.
            let first = try hub.service(source, uplinks: budget)
            await #expect(throws: SyncError.self) { try await first.syncOnce() }
            #expect(hub.blobs.isEmpty)

            let counted = Uplinks([Uplink(name: "lo", device: "lo", dayBudgetBytes: 100_000_000)], wall: { WallEstimate(unixMilliseconds: Self.day, source: .ntp, uncertaintyMilliseconds: 1) }, nowMilliseconds: { 0 })
            let second = try hub.service(source, uplinks: counted)
            try await second.syncOnce()
            #expect(source.isCovered && hub.blobs.count == 3)
            #expect((600_000...900_000).contains(second.progress.linkUsage["lo"]?.dayBytes ?? 0))

            let gone = Uplinks([Uplink(name: "gone", device: "nothere0")], wall: { Self.wall(0) }, nowMilliseconds: { 0 })
            let third = try hub.service(source, uplinks: gone)
            await #expect(throws: SyncError.self) { try await third.syncOnce() }
            #expect(third.progress.linkReason == "gone: the interface nothere0 is not up")
        }
    }

    @Test("An interface that comes up is heard of", .timeLimit(.minutes(1)))
    func netlink() async throws {
        let changes = try #require(LinkChanges())
        let stream = changes.stream()
        let name = "fp\(UInt32.random(in: 0...9_999))"
        try #require(runBlocking("/usr/sbin/ip", ["link", "add", name, "type", "veth", "peer", "name", name + "p"]).status == 0)
        defer { _ = try? runBlocking("/usr/sbin/ip", ["link", "del", name]) }
        for await _ in stream { break }
        #expect(!Uplinks.isInterfaceUp(name))
        let up = changes.stream()
        for end in [name, name + "p"] { try #require(runBlocking("/usr/sbin/ip", ["link", "set", end, "up"]).status == 0) }
        // One change for the flag, another for the carrier.
        for await _ in up where Uplinks.isInterfaceUp(name) { break }
        #expect(Uplinks.isInterfaceUp(name))
    }
}
