import EdgePower
import EdgeSync
import Foundation
import Logging
import RecordingModel
import ServiceSupport
import SyncProtocol
import SystemPackage
import Testing
import TestSupport

@testable import fieldpost_edge

@Suite struct PowerConfigurationTests {
    private func decode(_ power: String) throws -> EdgeConfiguration {
        try EdgeConfiguration.decode(Array("data_directory: /d\ncameras: [{id: gate, url: 'test:pattern'}, {id: yard, url: 'test:pattern'}]\n\(power)".utf8), file: "edge.yaml")
    }

    private func problems(_ power: String) -> [String] {
        do { _ = try decode(power) } catch let error as ConfigurationError { return error.problems.map(\.description) } catch { return ["\(error)"] }
        return []
    }

    @Test func `the example's section is accepted as it is, once it is no comment any more`() throws {
        let section = EdgeConfiguration.Power.example.split(separator: "\n").dropFirst().map { $0.dropFirst(2) }.joined(separator: "\n")
        let power = try #require(try decode(section).power)
        #expect(power.sources == [
            .init(name: "mppt", settings: .veDirect(device: "/dev/serial/by-id/usb-VictronEnergy_BV_VE_Direct_cable-if00-port0")), .init(name: "shunt", settings: .hwmon(chip: "ina219")),
        ])
        #expect(power.battery == BatterySettings(chemistry: .lifepo4, capacityWattHours: 512, nominalVolts: 12.8, cutoffVolts: 12))
        #expect(power.policy.site == PowerSite(latitudeDegrees: 40.12, longitudeDegrees: 70.63, altitudeMetres: 870) && power.policy.panel == SolarPanel(watts: 60, tiltDegrees: 45))
        // The thresholds that it shows are the defaults; the bounds of links are not.
        var defaults = PowerSettings()
        defaults.linkDayBytes = [.reduced: 200 << 20, .sparse: 10 << 20]
        (defaults.site, defaults.panel, defaults.capacityWattHours, defaults.cutoffVolts, defaults.noChargeBelowCelsius) = (power.policy.site, power.policy.panel, 512, 12, 0)
        #expect(power.policy == defaults)
        #expect(power.priorityCameras.map(\.description) == ["gate"] && power.haltCommand == ["/usr/bin/systemctl", "poweroff"] && power.noticeSeconds == 8)
        #expect(power.hooks.filter { $0.key.camera == nil }.keys.map(\.hook.rawValue).sorted() == ["rail_off", "rail_on"] && power.wakeAlarm == "/sys/class/rtc/rtc0/wakealarm" && power.clock.isReal)
        #expect(power.linkHours == [.reduced: WeeklySchedule(windows: [.init(days: 127, startMinute: 600, endMinute: 900)], utcOffsetMinutes: 300)])
        #expect(power.hookCameras.map(\.description) == ["gate"])
        #expect(power.hooks[PowerHookCall(hook: .infraredOff, camera: power.hookCameras[0])] == ["/usr/local/bin/gate-light", "off"])
        #expect(try decode("").power == nil)
    }

    @Test func `the first camera is the one that matters where nobody says`() throws {
        #expect(try decode("power: {sources: [{kind: raspberry-pi}]}\n").power?.priorityCameras.map(\.description) == ["gate"])
        #expect(try decode("power: {sources: [{kind: raspberry-pi}], priority_cameras: []}\n").power?.priorityCameras.isEmpty == true)
    }

    @Test(arguments: [
        ("power: {}", "power.sources (line 3, column 8): missing; expected a list of 1 to 8 items"),
        ("power: {sources: [{kind: solar}]}", "expected one of power-supply, hwmon, ve-direct, epever, nut, raspberry-pi, file, replay"),
        ("power: {sources: [{kind: ve-direct}]}", "power.sources[0].device (line 3, column 19): missing; expected an absolute path, such as /var/lib/fieldpost"),
        ("power: {sources: [{kind: nut, ups: u}, {kind: nut, ups: v}]}", "two sources are called nut"),
        ("power: {sources: [{kind: raspberry-pi}], thresholds: {sparse: {enter: 40, leave: 45}}}", "leave at least 10 points between them, or it goes to and fro"),
        ("power: {sources: [{kind: raspberry-pi}], panel: {watts: 60, tilt_degrees: 45}}", "a panel can be planned with only where the site is known"),
        ("power: {sources: [{kind: raspberry-pi}], priority_cameras: [door]}", "no camera is called door"),
        ("power: {sources: [{kind: raspberry-pi}], halt_command: [poweroff]}", "the program must be an absolute path, such as /usr/bin/systemctl; no shell is asked"),
        ("power: {sources: [{kind: raspberry-pi}], hooks: {light_on: [/bin/true]}}", "unknown key; accepted here: ir_off, ir_on, ptz_off, ptz_on, radio_off, radio_on, rail_off, rail_on"),
        ("power:\n  sources: [{kind: raspberry-pi}]\n  link_hours: {reduced: [noon]}", "power.link_hours.reduced[0] (line 5, column 26): expected days and hours, such as"),
        ("power:\n  sources: [{kind: raspberry-pi}]\n  link_hours: {sparse: []}", "power.link_hours.sparse (line 5, column 24): 0 items; expected a list of 1 to 32 items"),
        ("power:\n  sources: [{kind: raspberry-pi}]\n  camera_hooks:\n    door: {ir_on: [/bin/true]}", "power.camera_hooks.door (line 6, column 5): unknown key; accepted here: gate, yard"),
        ("power:\n  sources: [{kind: raspberry-pi}]\n  camera_hooks:\n    gate:\n      radio_on: [/bin/true]", "power.camera_hooks.gate.radio_on (line 7, column 7): unknown key; accepted here: ir_off, ir_on, ptz_off, ptz_on, rail_off, rail_on"),
        ("power:\n  sources: [{kind: raspberry-pi}]\n  camera_hooks:\n    yard: {ptz_off: [true]}", "power.camera_hooks.yard.ptz_off (line 6, column 21): the program must be an absolute path"),
        ("power:\n  sources: [{kind: raspberry-pi}]\n  camera_hooks: [gate]", "power.camera_hooks (line 5, column 17): expected a section of keys, found a list"),
        ("power:\n  sources: [{kind: raspberry-pi}]\n  camera_hooks: {gate: {ir_on: []}}", "power.camera_hooks.gate.ir_on (line 5, column 32): 0 items; expected a list of 1 to 32 items"),
    ]) func `mistakes are named with their place`(yaml: String, sentence: String) {
        #expect(problems(yaml + "\n").contains { $0.contains(sentence) }, "\(problems(yaml + "\n"))")
    }

    // MARK: what follows from a decision

    @Test func `a node goes dark once for each time it names, and may be halted again only after it was awake`() {
        var follower = PowerFollower(mayHalt: false)
        #expect(follower.newSleep(nil, mustHalt: false, isResting: false) == nil && follower.mayHalt)
        follower = PowerFollower(mayHalt: false)
        // Resting, and looking at the battery before it sleeps again.
        #expect(follower.newSleep(nil, mustHalt: false, isResting: true) == nil && !follower.mayHalt && !follower.isDark)
        #expect(follower.newSleep(1_000_000, mustHalt: false) == .some(1_000_000) && follower.isDark)
        #expect(follower.newSleep(1_000_900, mustHalt: false) == nil)
        #expect(follower.newSleep(9_000_000, mustHalt: false) == .some(9_000_000))
        #expect(follower.newSleep(nil, mustHalt: true) == nil && follower.isDark)
        var other = PowerFollower()
        #expect(other.newSleep(nil, mustHalt: true) == .some(nil) && other.newSleep(nil, mustHalt: true) == nil)
    }

    @Test func `a state's bound of bytes a day reaches the links, and another state has its own`() throws {
        let yaml = "power: {sources: [{kind: raspberry-pi}], link_mebibytes_per_day: {surplus: 900, reduced: 200}}\n"
        let settings = try #require(try decode(yaml).power?.policy)
        func bound(_ percent: Double) -> Int64? {
            let wall = WallEstimate(unixMilliseconds: 1_783_296_000_000, source: .ntp, uncertaintyMilliseconds: 10)
            var policy = PowerPolicy(settings, startingAt: Moment(bootNanoseconds: 1_000_000_000, wall: wall))
            var last: PowerDecision?
            for second in 1...7_200 {
                let moment = Moment(bootNanoseconds: Int64(second) * 1_000_000_000, wall: wall.advanced(byMilliseconds: Int64(second) * 1_000))
                var estimate = EnergyEstimate(bootMilliseconds: Int64(second) * 1_000)
                (estimate.batteryPercent, estimate.batteryWatts) = (percent, -1 - Double(second % 7) / 100)
                last = policy.decide(moment, estimate)
            }
            return last.flatMap { NodeEnergy.links($0.directives).dayBytesMax }
        }
        #expect(bound(50) == 200 << 20)
        #expect(bound(80) == nil)
        #expect(problems("power: {sources: [{kind: raspberry-pi}], link_mebibytes_per_day: {sleepy: 1}}\n").contains { $0.contains("unknown key") })
    }

    @Test func `what a state allows a link`() {
        func links(_ state: PowerState) -> LinkEnergy { NodeEnergy.links(.standard(state, reason: "why")) }
        #expect(links(.surplus) == LinkEnergy(state: .surplus))
        #expect(links(.full) == LinkEnergy(state: .full, reason: "why", callSeconds: 300))
        #expect(links(.reduced) == LinkEnergy(state: .reduced, classes: [.thumbnails, .pulled, .event], reason: "why", callSeconds: 900))
        #expect(links(.sparse) == LinkEnergy(state: .sparse, classes: [.pulled], reason: "why", callSeconds: 3_600))
        #expect(links(.hibernate).isRadioOff && links(.halt).isRadioOff)
    }

    @Test func `outside of a state's hours its links carry status and log only, and say what footage waits for`() throws {
        let schedule = WeeklySchedule(windows: [.init(days: 127, startMinute: 600, endMinute: 900)])
        func links(_ state: PowerState, hour: Int64, source: ClockSource = .ntp) -> LinkEnergy {
            NodeEnergy.links(
                .standard(state, reason: "why"), hours: (schedule, WallEstimate(unixMilliseconds: 1_783_296_000_000 + hour * 3_600_000, source: source, uncertaintyMilliseconds: 10)))
        }
        #expect(links(.reduced, hour: 12) == NodeEnergy.links(.standard(.reduced, reason: "why")))
        #expect(links(.reduced, hour: 16) == LinkEnergy(state: .reduced, classes: [], reason: "why; footage waits for this state's hours", callSeconds: 900))
        #expect(links(.surplus, hour: 16).classes.isEmpty && links(.surplus, hour: 16).reason != nil)
        // A clock that was never set holds nothing back, and what is off stays off.
        #expect(links(.reduced, hour: 16, source: .none) == NodeEnergy.links(.standard(.reduced, reason: "why")))
        #expect(links(.hibernate, hour: 12).isRadioOff)
    }

    @Test func `each link has limits of its own by state, and they need a section power`() throws {
        let links = "links: [{name: sat, utc_offset: \"+05:00\", power: {full: {send: [thumbnails], hours: [\"daily 10:00-15:00\"], day_megabytes: 20}, reduced: {off: true}}}]\n"
        let limits = try #require(try decode(links + "power: {sources: [{kind: raspberry-pi}]}\n").links.first?.limits)
        let schedule = WeeklySchedule(windows: [.init(days: 127, startMinute: 600, endMinute: 900)], utcOffsetMinutes: 300)
        #expect(limits == [.full: UplinkLimits(classes: [.thumbnails], hours: schedule, dayBytesMax: 20_000_000), .reduced: UplinkLimits(isOff: true)])
        #expect(problems(links).contains { $0.contains("sat goes by power states, and there is no section power") })
        let other = "power: {sources: [{kind: raspberry-pi}]}\nlinks: [{name: sat, power: {"
        #expect(problems(other + "sleepy: {off: true}}}]\n").contains { $0.contains("unknown key; accepted here: blind, full, halt, hibernate, reduced, sparse, surplus") })
        #expect(problems(other + "full: {off: true, send: [main]}}}]\n").contains { $0.contains("a link that is off sends nothing; leave out the rest") })
    }

    @Test func `a made-up clock runs faster from a time of its own, and its times are told by the real one`() {
        let begin = Moment(bootNanoseconds: 5_000_000_000, wall: WallEstimate(unixMilliseconds: 1_000_000, source: .none, uncertaintyMilliseconds: 9))
        let clock = DemonstrationClock(.init(speed: 600, startsAtUnixMilliseconds: 50_000_000), startingAt: begin)
        let later = Moment(bootNanoseconds: 7_000_000_000, wall: begin.wall.advanced(byMilliseconds: 2_000))
        let shown = clock.moment(later)
        #expect(shown.bootMilliseconds == 5_000 + 1_200_000 && shown.wall == WallEstimate(unixMilliseconds: 51_200_000, source: .ntp, uncertaintyMilliseconds: 0))
        #expect(clock.real(51_200_000) == 1_002_000)
        // A reading is as old by the one as by the other.
        #expect(clock.estimate(EnergyEstimate(bootMilliseconds: 6_500), later)?.bootMilliseconds == shown.bootMilliseconds - 500)
        let real = DemonstrationClock(.init(), startingAt: begin)
        #expect(real.moment(later) == later && real.real(77) == 77 && real.interval == .seconds(1))
    }
}
