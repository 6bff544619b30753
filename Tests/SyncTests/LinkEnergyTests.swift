@testable import EdgeSync
import HubStore
import LogFixtures
import RecordingModel
import Synchronization
import SyncProtocol
import TestSupport
import Testing

/// What energy allows the links.
@Suite struct LinkEnergyTests {
    private static let wall = WallEstimate(unixMilliseconds: 1_700_000_000_000, source: .ntp, uncertaintyMilliseconds: 1)

    private func uplinks(_ box: LinkEnergyBox, _ links: [Uplink] = []) -> Uplinks {
        Uplinks(links, wall: { Self.wall }, nowMilliseconds: { 0 }, energy: box)
    }

    @Test("A link carries what both its configuration and the energy allow, and nothing while the radio is off")
    func allowances() async throws {
        let box = LinkEnergyBox()
        let link = Uplink(name: "lte", classes: [.pulled, .event, .main])
        let uplinks = uplinks(box, [link])
        #expect(uplinks.allowance(of: link) == UplinkAllowance(isUsable: true, classes: [.pulled, .event, .main], reason: nil))
        box.set(LinkEnergy(classes: [.thumbnails, .pulled, .event], reason: "Reduced: 50 % battery", callSeconds: 900))
        #expect(uplinks.allowance(of: link) == UplinkAllowance(isUsable: true, classes: [.pulled, .event], reason: "less is sent: Reduced: 50 % battery"))
        box.set(LinkEnergy(classes: [], isRadioOff: true, reason: "Hibernate: 11 % battery"))
        #expect(!uplinks.allowance(of: link).isUsable && uplinks.choose().link == nil)
        #expect(uplinks.choose().reason == "the radio is off: Hibernate: 11 % battery")
        // What a day may carry is counted over all links.
        box.set(LinkEnergy(dayBytesMax: 1_000))
        await uplinks.add(600, to: link)
        #expect(uplinks.allowance(of: link).classes == [.pulled, .event, .main])
        await uplinks.add(600, to: link)
        #expect(uplinks.allowance(of: link).isUsable && uplinks.allowance(of: link).classes.isEmpty)
    }

    @Test("A state may keep one link from being used, hold its footage for hours, or bound its day, and leaves the others alone")
    func limitsOfOneLink() async throws {
        let noon = Self.wall.unixMilliseconds - Self.wall.unixMilliseconds % 86_400_000 + 43_200_000
        let now = Mutex(noon)
        let night = WeeklySchedule(windows: [.init(days: 0b111_1111, startMinute: 1_320, endMinute: 1_440)])
        let sat = Uplink(name: "sat", cost: 0, limits: [
            .reduced: UplinkLimits(isOff: true), .sparse: UplinkLimits(classes: [.pulled, .event], hours: night), .full: UplinkLimits(dayBytesMax: 1_000),
        ])
        let lte = Uplink(name: "lte", cost: 5)
        let box = LinkEnergyBox(LinkEnergy(state: .surplus))
        let uplinks = Uplinks([sat, lte], wall: { WallEstimate(unixMilliseconds: now.withLock { $0 }, source: .ntp, uncertaintyMilliseconds: 1) }, nowMilliseconds: { 0 }, energy: box)
        #expect(uplinks.choose().link?.name == "sat" && uplinks.allowance(of: sat).classes == Set(TrafficClass.allCases))
        box.set(LinkEnergy(state: .reduced))
        #expect(uplinks.choose().link?.name == "lte")
        #expect(uplinks.allowance(of: sat) == UplinkAllowance(isUsable: false, classes: [], reason: "sat: not used in the power state reduced"))
        #expect(uplinks.allowance(of: lte).classes == Set(TrafficClass.allCases))
        box.set(LinkEnergy(state: .sparse, classes: [.pulled, .thumbnails]))
        #expect(uplinks.allowance(of: sat).isUsable && uplinks.allowance(of: sat).classes.isEmpty)
        now.withLock { $0 = noon + 11 * 3_600_000 }
        #expect(uplinks.allowance(of: sat).classes == [.pulled])
        box.set(LinkEnergy(state: .full))
        await uplinks.add(999, to: sat)
        #expect(uplinks.allowance(of: sat).classes == Set(TrafficClass.allCases))
        await uplinks.add(1, to: sat)
        #expect(uplinks.allowance(of: sat) == UplinkAllowance(isUsable: true, classes: [], reason: "sat: today's 1000 bytes are used up, which is what the power state full allows; only status and log are sent"))
        #expect(uplinks.allowance(of: lte).classes == Set(TrafficClass.allCases) && uplinks.choose().link?.name == "sat")
    }

    @Test("Footage that waits for hours or a budget is no reason to call", .timeLimit(.minutes(1)), arguments: [
        UplinkLimits(hours: WeeklySchedule(windows: [])), UplinkLimits(classes: []), UplinkLimits(dayBytesMax: 1),
    ])
    func waitingFootage(limits: UplinkLimits) async throws {
        try await LoopbackHub.with { hub in
            let source = try MemorySource(segments: [[1, 2, 3]])
            _ = try await enrol(with: hub.token("node"), identity: source.identity)
            let link = Uplink(name: "sat", limits: [.reduced: limits])
            let uplinks = Uplinks([link], wall: { Self.wall }, nowMilliseconds: { 0 }, energy: LinkEnergyBox(LinkEnergy(state: .reduced, callSeconds: 3_600)))
            await uplinks.add(10, to: link)
            let sync = try hub.service(source, uplinks: uplinks)
            let running = Task { await sync.run { try await Task.sleep(for: .milliseconds(min($0, 100))) } }
            defer { running.cancel() }
            _ = try await eventually("a contact that ended", within: .seconds(10)) { sync.progress.contacts == 1 && !sync.progress.isConnected ? true : nil }
            // Nothing is to happen, and nothing tells of that.
            try await Task.sleep(for: .milliseconds(800))
            #expect(sync.progress.contacts == 1 && hub.blobs.isEmpty)
        }
    }

    @Test("Whoever must be told is told by a hello that was made after the word")
    func told() async {
        let box = LinkEnergyBox()
        #expect(await box.told(withinMilliseconds: 10))
        box.set(LinkEnergy(callSeconds: 60), isUrgent: true)
        #expect(box.isCallUrgent)
        let news = box.news
        #expect(await !box.told(withinMilliseconds: 50))
        box.set(LinkEnergy(callSeconds: 60), isUrgent: true)
        box.told(news)
        #expect(await !box.told(withinMilliseconds: 10) && box.isCallUrgent)
        async let isTold = box.told(withinMilliseconds: 5_000)
        box.told(box.news)
        #expect(await isTold && !box.isCallUrgent)
    }

    @Test("A node that calls only now and then sends, hangs up, says its news when it must, and is silent while the radio is off", .timeLimit(.minutes(1)))
    func calls() async throws {
        try await LoopbackHub.with { hub in
            let source = try MemorySource(segments: [[1, 2, 3], [4, 5, 6]])
            _ = try await enrol(with: hub.token("node"), identity: source.identity)
            let box = LinkEnergyBox(LinkEnergy(classes: [], isRadioOff: true, reason: "Hibernate"))
            let uplinks = Uplinks(wall: { Self.wall }, nowMilliseconds: { 0 }, energy: box)
            let sync = try hub.service(source, uplinks: uplinks)
            let running = Task { await sync.run { try await Task.sleep(for: .milliseconds(min($0, 200))) } }
            defer { running.cancel() }
            try await Task.sleep(for: .milliseconds(800))
            #expect(sync.progress.contacts == 0)
            // Nothing but status and log may cross, and so the footage stays.
            box.set(LinkEnergy(classes: [], reason: "Sparse", callSeconds: 3_600))
            _ = try await eventually("a contact that ended", within: .seconds(10)) { sync.progress.contacts == 1 && !sync.progress.isConnected ? true : nil }
            #expect(!source.isCovered && hub.blobs.isEmpty)
            try await Task.sleep(for: .milliseconds(800))
            #expect(sync.progress.contacts == 1)
            // What may be sent now is a reason to call.
            box.set(LinkEnergy(callSeconds: 3_600))
            _ = try await eventually("all at the hub", within: .seconds(10)) { source.isCovered && !sync.progress.isConnected ? true : nil }
            let contacts = sync.progress.contacts
            try await Task.sleep(for: .milliseconds(800))
            #expect(sync.progress.contacts == contacts)
            // And so is a word that the hub should have before the node goes dark.
            box.set(LinkEnergy(classes: [], callSeconds: 3_600), isUrgent: true)
            #expect(await box.told(withinMilliseconds: 5_000))
            #expect(sync.progress.contacts == contacts + 1)
            // A node that stays lets go as soon as the radio goes off.
            box.set(LinkEnergy())
            _ = try await eventually("a contact", within: .seconds(10)) { sync.progress.isConnected ? true : nil }
            box.set(LinkEnergy(classes: [], isRadioOff: true))
            _ = try await eventually("the radio off", within: .seconds(1)) { !sync.progress.isConnected ? true : nil }
        }
    }
}
