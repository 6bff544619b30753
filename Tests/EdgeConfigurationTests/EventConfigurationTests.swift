import EdgeMotion
import RecordingModel
import ServiceSupport
import Testing

@testable import fieldpost_edge

@Suite struct EventConfigurationTests {
    private func decode(_ camera: String, _ root: String = "") throws -> EdgeConfiguration {
        try EdgeConfiguration.decode(Array("data_directory: /d\n\(root)cameras:\n  - id: gate\n    url: rtsp://h/s\n\(camera)".utf8), file: "edge.yaml")
    }

    private func problems(_ camera: String, _ root: String = "") -> String {
        do {
            _ = try decode(camera, root)
            return ""
        } catch let error as ConfigurationError {
            return error.problems.map { "\($0.path): \($0.text)" }.joined(separator: "|")
        } catch {
            return "other error: \(error)"
        }
    }

    @Test func `without a word everything is recorded, motion is off, and nobody may post events`() throws {
        let configuration = try decode("")
        #expect(configuration.listener == nil && configuration.eventTriggers() == nil)
        #expect(configuration.cameras[0].events == .init(plan: RecordingPlan(), motion: nil, onvif: nil))
        #expect(try decode("    motion:\n", "events:\n").cameras[0].events.motion == nil)
    }

    @Test func `a camera's mode, hours, motion and sources of events are read`() throws {
        let camera = """
                mode: schedule
                schedule: {hours: ["mon-fri 07:00-19:00", "sun 22:00-06:00"], utc_offset: "-03:30", outside: events}
                pre_roll_seconds: 0
                post_roll_seconds: 600
                motion: {enabled: true, threshold: 35, minimum_area_percent: 4, cool_down_seconds: 9, zones: [{name: "road", x: 0, y: 40, width: 100, height: 60}]}
                onvif_events: {address: "10.0.0.5:8080", username: "viewer", password_file: /p}

            """
        let configuration = try decode(camera, "events: {listen: '[::1]:8620', token_file: /t}\n")
        let events = configuration.cameras[0].events
        #expect(events.plan.mode == .schedule && events.plan.outside == .events && events.plan.schedule.windows.count == 2 && events.plan.schedule.utcOffsetMinutes == -210)
        #expect(events.plan.preRollMilliseconds == 0 && events.plan.postRollMilliseconds == 600_000)
        #expect(events.motion == MotionSettings(zones: [MotionZone(name: "road", x: 0, y: 40, width: 100, height: 60)], threshold: 35, minimumAreaPercent: 4, coolDownMilliseconds: 9_000))
        #expect(events.onvif == .init(address: "10.0.0.5:8080", userName: "viewer", passwordFile: "/p"))
        #expect(configuration.listener == .init(host: "::1", port: 8620, tokenFile: "/t"))
        let triggers = try #require(configuration.eventTriggers())
        #expect(triggers[configuration.cameras[0].id] != nil)
    }

    @Test func `the example's lines about events are accepted as they stand`() throws {
        var text = EdgeConfiguration.example()
        for key in ["listen", "token_file", "mode", "pre_roll_seconds", "post_roll_seconds", "motion", "onvif_events"] {
            text = text.split(separator: "\n", omittingEmptySubsequences: false).map { line -> String in
                let bare = line.drop { $0 == " " }
                return bare.hasPrefix("# \(key): ") ? String(line).replacing("# \(key)", with: key, maxReplacements: 1) : String(line)
            }.joined(separator: "\n")
        }
        let configuration = try EdgeConfiguration.decode(Array(text.utf8), file: "edge.yaml")
        #expect(configuration.listener?.port == 8620 && configuration.cameras[0].events.motion?.zones.count == 1)
        let hours = text.replacing("# schedule: ", with: "schedule: ").replacing("mode: continuous", with: "mode: schedule")
        #expect(try EdgeConfiguration.decode(Array(hours.utf8), file: "edge.yaml").cameras[0].events.plan.schedule.windows.count == 2)
    }

    @Test(arguments: [
        ("    mode: always\n", "", "cameras[0].mode: expected one of continuous, events, schedule"),
        ("    mode: events\n", "", "cameras[0].mode: nothing would raise an event; add motion: {enabled: true}, onvif_events to this camera, or events with listen to the node"),
        ("    mode: events\n    motion: {enabled: false}\n", "events:\n", "cameras[0].mode: nothing would raise an event; add motion: {enabled: true}, onvif_events to this camera, or events with listen to the node"),
        ("    mode: schedule\n", "", "cameras[0].mode: schedule needs hours; add schedule: {hours: [\"mon-fri 07:00-19:00\"]}"),
        ("    schedule: {hours: [\"mon 07:00-19:00\"]}\n", "", "cameras[0].schedule: hours count with mode: schedule only"),
        ("    mode: schedule\n    schedule: {hours: [\"monday 07:00-19:00\"]}\n", "", "cameras[0].schedule.hours[0]: expected \(WeeklySchedule.expectation)"),
        ("    mode: schedule\n    schedule: {hours: [\"mon 07:00-19:00\"], utc_offset: CET}\n", "", "cameras[0].schedule.utc_offset: expected a distance from UTC, such as \"+01:00\", \"-03:30\" or Z"),
        ("    pre_roll_seconds: 31\n", "", "cameras[0].pre_roll_seconds: 31 is out of range; expected a whole number from 0 to 30 seconds"),
        ("    motion: {enabled: yes}\n", "", "cameras[0].motion.enabled: expected true or false"),
        ("    motion: {sensitivity: 3}\n", "", "cameras[0].motion.sensitivity: unknown key; accepted here: cool_down_seconds, enabled, minimum_area_percent, threshold, zones"),
        ("    motion: {zones: [{name: a, x: 50, y: 0, width: 60, height: 50}]}\n", "", "cameras[0].motion.zones[0].width: the zone ends right of the picture; x and width are at most 100 together"),
        ("    onvif_events: {address: 'http://a:b@h/'}\n", "", "cameras[0].onvif_events.address: expected the camera's host, HOST:PORT, or the address of its device service"),
        ("    onvif_events: {address: h, password_file: /p}\n", "", "cameras[0].onvif_events.password_file: a password needs a user name; add username"),
        ("", "events: {listen: '127.0.0.1:8620'}\n", "events.token_file: missing; events are taken with a token only: expected an absolute path"),
        ("", "events: {token_file: /t}\n", "events.listen: missing; a token alone takes no events: give listen: 127.0.0.1:8620"),
        ("", "events: {listen: 'localhost:8620', token_file: /t}\n", "events.listen: expected an address and a port, such as 127.0.0.1:8620 or [::1]:8620"),
    ]) func `what contradicts itself is refused with what is accepted`(camera: String, root: String, expected: String) {
        #expect(problems(camera, root) == expected)
    }
}
