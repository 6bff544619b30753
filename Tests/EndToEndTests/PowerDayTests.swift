import EvidenceLog
import Foundation
import RecordingModel
import TestSupport
import Testing

/// A node on a battery, whose day passes in minutes.
extension EndToEnd {
    /// What the sensors say at a second of the test's time.
    private struct Point {
        var second: Double
        var percent: Double
        var panelWatts = 0.0
        /// Into the battery, until the next point.
        var amperes: Double
    }

    /// Lines of a recording, four a second of the test's time: percentage and panel go from one point to the next in a line.
    private func replay(_ points: [Point], speed: Double) -> String {
        var lines: [String] = []
        for (from, to) in zip(points, points.dropFirst()) {
            for step in 0..<Int((to.second - from.second) * 4) {
                let second = from.second + Double(step) / 4
                let share = (second - from.second) / (to.second - from.second)
                let percent = from.percent + (to.percent - from.percent) * share
                let panel = from.panelWatts + (to.panelWatts - from.panelWatts) * share
                // A sensor that never moves would be taken for one that hangs.
                let volts = 12.6 + percent / 200 + Double(lines.count % 7) / 1_000
                lines.append(
                    #"{"seconds": \#(second * speed), "confidence": "high", "readings": {"batteryPercent": \#(percent), "batteryVolts": \#(volts), "batteryAmperes": \#(from.amperes), "panelWatts": \#(panel), "loadWatts": 6}}"#)
            }
        }
        return lines.joined(separator: "\n") + "\n"
    }

    private func cameras(_ node: Node) async throws -> [String: [String: any Sendable]] {
        let cameras = (try await node.status()["running"] as? [String: any Sendable])?["cameras"] as? [[String: any Sendable]] ?? []
        return cameras.reduce(into: [:]) { $0[$1["camera"] as? String ?? ""] = $1 }
    }

    private func report(_ node: Node) async throws -> [String: any Sendable]? { try await node.status()["power"] as? [String: any Sendable] }

    private func waitFor(_ state: String, _ node: Node, within limit: Duration) async throws {
        _ = try await eventually("the state \(state); log: \(node.log.suffix(3_000))", within: limit) { try await report(node)?["state"] as? String == state ? true : nil }
    }

    private func changes(_ node: Node) throws -> [PowerRecord] { try node.entries().compactMap { if case .power(let record) = $0 { record } else { nil } } }

    /// From one in the afternoon to the next morning at 600 times speed: the battery empties, the planner saves before the ladder
    /// would, because of the night to come, the node goes dark for the night, and wakes after sunrise. Nobody does anything.
    @Test(.timeLimit(.minutes(6)))
    func aDayOnABatteryIsFollowedByCamerasLinksLogAndHub() async throws {
        let speed = 600.0
        let hub = try await Hub()
        try await hub.start()
        let node = try await Node(cameras: ["gate": "test:pattern"])
        // 13:00 at the site is 08:00 UTC; the sun comes up some 18 h 40 min later.
        let sunrise = 18.7 * 3_600 / speed
        let recording = try node.directory.write(
            replay(
                [
                    Point(second: 0, percent: 90, panelWatts: 40, amperes: -1), Point(second: 12, percent: 56, panelWatts: 20, amperes: -1),
                    Point(second: 23, percent: 43, amperes: -1), Point(second: 38, percent: 36, amperes: -1), Point(second: 52, percent: 13, amperes: -1),
                    Point(second: 53, percent: 11.8, amperes: -0.02), Point(second: sunrise, percent: 11.2, amperes: 3),
                    Point(second: sunrise + 10, percent: 24, panelWatts: 30, amperes: 3), Point(second: sunrise + 17, percent: 60, panelWatts: 40, amperes: 3),
                    Point(second: sunrise + 22, percent: 88, panelWatts: 45, amperes: 3), Point(second: sunrise + 120, percent: 89, panelWatts: 45, amperes: 3),
                ], speed: speed), to: "day.jsonl")
        let (data, hooks) = (node.data, node.directory.path("hooks"))
        try node.configure { _ in
            """
            data_directory: \(data)
            segment_seconds: 3
            metrics: {interval_seconds: 1}
            cameras:
              - {id: gate, url: "test:?size=64x64&fps=15&gop=15"}
              - {id: yard, url: "test:?size=64x64&fps=15&gop=15"}
            power:
              sources: [{kind: replay, path: \(recording), speed: \(Int(speed))}]
              site: {latitude: 40.12, longitude: 70.63}
              panel: {watts: 60, tilt_degrees: 45}
              battery: {chemistry: lifepo4, capacity_watt_hours: 512}
              sparse: {record_seconds: 5, every_seconds: 10}
              hooks: {ir_off: ["/bin/sh", "-c", "echo ir_off >> \(hooks)"], rail_off: ["/bin/sh", "-c", "echo rail_off >> \(hooks)"], rail_on: ["/bin/sh", "-c", "echo rail_on >> \(hooks)"]}
              camera_hooks: {yard: {ir_on: ["/bin/sh", "-c", "echo yard ir_on >> \(hooks)"], ir_off: ["/bin/sh", "-c", "echo yard ir_off >> \(hooks)"]}}
              speed: \(Int(speed))
              starts_at: 2026-12-21T08:00:00Z

            """
        }
        try await node.enrol(hub.joinToken("north"))
        let maintainer = try await Maintainer(signedInTo: hub)
        try node.start()
        let started = Date()

        try await waitFor("full", node, within: .seconds(15))
        let plan = try #require(try await report(node))
        #expect(plan["forecastPercentAtSunrise"] as? Double != nil && plan["nextSunriseUnixMilliseconds"] as? Int != nil && (plan["alerts"] as? [any Sendable])?.isEmpty == true, "\(plan)")
        _ = try await eventually("footage at the hub", within: .seconds(15)) { try await hub.segmentCount() > 0 ? true : nil }
        try await waitFor("reduced", node, within: .seconds(30))
        // What was under way may still arrive; then only status and log do.
        try await Task.sleep(for: .seconds(4))
        func sent() async throws -> Int {
            let sync = (try await node.status()["running"] as? [String: any Sendable])?["sync"] as? [String: any Sendable]
            return try #require(sync?["segmentsSent"] as? Int)
        }
        let sentByDay = try await sent()
        try await waitFor("sparse", node, within: .seconds(30))
        _ = try await eventually("the yard's camera let go", within: .seconds(5)) {
            let yard = try await cameras(node)["yard"]
            return yard?["state"] as? String == "waiting" && (yard?["lastError"] as? String)?.contains("to save energy") == true ? true : nil
        }
        try await waitFor("hibernate", node, within: .seconds(40))
        struct Answer: Decodable { var nodes: [NodeSyncStatus] }
        func sync() async throws -> NodeSyncStatus {
            let outcome = try await maintainer.fieldpost(["sync", "--json"])
            return try #require(try JSONDecoder().decode(Answer.self, from: Data(outcome.output.utf8)).nodes.first, "\(outcome.output)\(outcome.errors)")
        }
        let told = try await eventually("the hub knowing of the dark", within: .seconds(12)) { try await sync().power?.darkUntilUnixMilliseconds }
        let wakes = Date(timeIntervalSince1970: Double(told) / 1_000)
        #expect(wakes > Date().addingTimeInterval(20) && wakes < Date().addingTimeInterval(200), "\(wakes)")
        #expect(try await sent() == sentByDay, "footage was sent in a state that sends none")
        _ = try await eventually("both cameras off", within: .seconds(5)) {
            let states = try await cameras(node).values.map { $0["state"] as? String }
            return states == ["waiting", "waiting"] ? true : nil
        }
        let text = try await node.edge("status").output
        #expect(text.contains("energy: S4 Hibernate since") && text.contains("dark until: "), "\(text)")

        // Before it wakes, which may be earlier than it said if the sun is: a minute of silence is a contact no more.
        try await Task.sleep(for: .seconds(max(0, started.addingTimeInterval(sunrise + 4).timeIntervalSinceNow)))
        let dark = try await sync()
        #expect(dark.presence == .quiet && dark.attention.isEmpty && dark.power?.state == .hibernate, "\(dark)")
        #expect(dark.announcedContactUnixMilliseconds.map { abs($0 - told) < 5_000 } == true)
        let page = try await maintainer.fieldpost(["sync", "north"])
        #expect(page.output.contains("dark until") && !page.output.contains("late"), "\(page.output)")

        try await waitFor("full", node, within: .seconds(90))
        let morning = try await eventually("the hub hearing of the morning", within: .seconds(20)) {
            let status = try await sync()
            return status.presence == .inContact && status.power?.state == .full && status.power?.darkUntilUnixMilliseconds == nil ? status : nil
        }
        #expect(morning.attention.isEmpty)
        _ = try await eventually("footage of the morning", within: .seconds(20)) { try await sent() > sentByDay + 2 ? true : nil }
        #expect(try await node.stop().status == 0)

        // At this speed a minute without readings is over before the first one is there.
        let states = try changes(node).map(\.state).drop { $0 == .blind }
        #expect(states == [.full, .reduced, .sparse, .hibernate, .sparse, .reduced, .full], "\(states)")
        // The ladder alone would have recorded everything down to 55 %; and what is expected of the sun is told.
        let reduced = try #require(try changes(node).first { $0.state == .reduced && $0.from == .full })
        #expect(reduced.estimate?.batteryPercent.map { $0 > 57 } == true, "\(reduced)")
        #expect(reduced.reason.contains("of a clear sky expected, the plan saves for later"), "\(reduced)")
        #expect(try changes(node).allSatisfy { !$0.reason.isEmpty && ($0.estimate != nil || $0.state == .blind) })
        #expect(try changes(node).first { $0.state == .hibernate }?.darkUntilUnixMilliseconds != nil)
        let bodies = try node.entries()
        let segments = bodies.compactMap { if case .segment(let record) = $0 { record } else { nil } }
        #expect(segments.contains { $0.stream.camera.description == "yard" && $0.isKeyFramesOnly == true })
        #expect(!segments.contains { $0.stream.camera.description == "gate" && $0.isKeyFramesOnly == true })
        #expect(segments.contains { $0.stream.camera.description == "gate" && $0.end == .power })
        let gaps = bodies.compactMap { if case .gap(let gap) = $0 { gap } else { nil } }
        #expect(gaps.contains { $0.cause == .power && $0.detail.contains("records 5 s in 10 s") })
        #expect(gaps.contains { $0.cause == .power && $0.detail.contains("is off to save energy: Hibernat") }, "\(Set(gaps.map(\.detail)))")
        let list = try await node.edge("ls", ["--all"]).output
        #expect(list.contains("S4 Hibernate: ") && list.contains("S2 Reduced: "))
        let run = try String(contentsOfFile: hooks, encoding: .utf8).split(separator: "\n")
        #expect(run.contains("rail_off") && run.last { !$0.hasPrefix("yard") } == "rail_on" && run.contains("ir_off"), "\(run)")
        // The yard's camera loses its light with the reduced state, hours before the others do.
        let (yard, all) = (run.firstIndex(of: "yard ir_off"), run.firstIndex(of: "ir_off"))
        #expect(run.contains("yard ir_on") && yard.flatMap { yard in all.map { yard < $0 } } == true, "\(run)")
        try await expectEverythingHome(node, hub, repeats: true)
        try await hub.stop()
    }

    /// The battery's end is there in the middle of recording: the node seals, tells the hub, closes its log and halts the machine.
    @Test(.timeLimit(.minutes(3)))
    func anEmptyBatteryHaltsTheMachineCleanly() async throws {
        let hub = try await Hub()
        try await hub.start()
        let node = try await Node(cameras: ["gate": "test:pattern"])
        let (data, halted) = (node.data, node.directory.path("halted"))
        func say(_ percent: Double) throws { _ = try node.directory.write(#"{"confidence": "high", "readings": {"batteryPercent": \#(percent), "batteryVolts": 12.9}}"#, to: "battery.json") }
        try say(80)
        let file = node.directory.path("battery.json")
        let alarm = try node.directory.write("", to: "wakealarm")
        try node.configure { _ in
            """
            data_directory: \(data)
            segment_seconds: 60
            metrics: {interval_seconds: 1}
            cameras: [{id: gate, url: "test:?size=64x64&fps=15&gop=15"}]
            power:
              sources: [{kind: file, path: \(file)}]
              halt_command: ["/bin/sh", "-c", "date +%s.%N > \(halted)"]
              wake_alarm: \(alarm)
              speed: 60

            """
        }
        try await node.enrol(hub.joinToken("north"))
        try node.start()
        try await waitFor("full", node, within: .seconds(20))
        _ = try await eventually("recording", within: .seconds(10)) { try await cameras(node)["gate"]?["state"] as? String == "recording" ? true : nil }
        try await Task.sleep(for: .seconds(3))
        let began = Date()
        try say(7)
        _ = try await eventually("the halt; log: \(node.log.suffix(3_000))", within: .seconds(25)) { FileManager.default.fileExists(atPath: halted) ? true : nil }
        let took = Date().timeIntervalSince(began)
        print("from the reading to the halt: \(took) s")
        #expect(took < 20)
        // It waits for its end, which the halted machine brings.
        let stop = try await node.stop()
        #expect(stop.status == 0 && stop.took < .seconds(5), "\(stop)")
        let check = try await node.edge("check", ["--deep"])
        #expect(check.succeeded, "\(check.output)")
        #expect(try changes(node).map(\.state) == [.full, .halt])
        let segments = try node.entries().compactMap { if case .segment(let record) = $0 { record } else { nil } }
        #expect(segments.map(\.end) == [.power])
        #expect(try String(contentsOfFile: alarm, encoding: .utf8).contains("+"))
        let maintainer = try await Maintainer(signedInTo: hub)
        let status = try await maintainer.fieldpost(["sync", "north"])
        #expect(status.output.contains("dark until") && status.output.contains("S5 Halt"), "\(status.output)")
        // Started again without anybody's help, it takes its time before it halts anew, and the stop was a clean one.
        try node.start()
        try await waitFor("hibernate", node, within: .seconds(20))
        try await node.stop()
        let boots = try node.entries().compactMap { if case .boot(let record) = $0 { record } else { nil } }
        #expect(boots.last?.previousStopWasClean == true)
        try await hub.stop()
    }
}
