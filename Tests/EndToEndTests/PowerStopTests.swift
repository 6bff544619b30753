import EvidenceLog
import Foundation
import RecordingModel
import TestSupport
import Testing

/// SIGTERM at a node that goes dark, or halts its machine: it ends in time and cleanly at whatever moment that comes.
extension EndToEnd {
    private struct DarkNode {
        let node: Node
        let battery: String

        /// - Parameter keys: of the section `power`, beside its source
        init(_ keys: String) async throws {
            node = try await Node(cameras: ["gate": "test:pattern"])
            battery = node.directory.path("battery.json")
            let (data, battery) = (node.data, battery)
            try say(80)
            try node.configure { _ in
                """
                data_directory: \(data)
                segment_seconds: 60
                metrics: {interval_seconds: 1}
                cameras: [{id: gate, url: "test:?size=64x64&fps=15&gop=15"}]
                power:
                  sources: [{kind: file, path: \(battery)}]
                  speed: 60
                \(keys)

                """
            }
        }

        func say(_ percent: Double) throws {
            let text = #"{"confidence": "high", "readings": {"batteryPercent": \#(percent), "batteryVolts": 12.9}}"#
            try Data(text.utf8).write(to: URL(fileURLWithPath: battery), options: .atomic)
        }

        /// Starts it, and waits until it records. What it knows of its battery is from before the night.
        func record() async throws {
            try? FileManager.default.removeItem(atPath: node.data + "/power.json")
            try say(80)
            try node.start()
            _ = try await eventually("recording; log: \(node.log.suffix(2_000))", within: .seconds(30)) {
                let status = try await node.status()
                let cameras = (status["running"] as? [String: any Sendable])?["cameras"] as? [[String: any Sendable]] ?? []
                return (status["power"] as? [String: any Sendable])?["state"] as? String == "full" && cameras.first?["state"] as? String == "recording" ? true : nil
            }
        }

        func logged(_ words: String) async throws {
            _ = try await eventually("\(words); log: \(node.log.suffix(2_000))", within: .seconds(20), every: .milliseconds(20)) {
                ((node.process?.errors ?? "") + (node.process?.output ?? "")).contains(words) ? true : nil
            }
        }

        /// Within the 20 s that a service manager gives it, and far within; nothing of the record is damaged.
        func stop(_ moment: String) async throws {
            let began = ContinuousClock.now
            node.process?.send(SIGTERM)
            let status = try await node.end(within: .seconds(20))
            let took = ContinuousClock.now - began
            print("stopped \(moment) in \(took)")
            #expect(status == 0 && took < .seconds(10), "\(moment): \(took), status \(status); \(node.lastLog.suffix(3_000))")
            #expect(node.lastLog.contains("stopped") && !node.lastLog.contains("stopped late"), "\(moment): \(node.lastLog.suffix(3_000))")
            let check = try await node.edge("check", ["--deep"])
            #expect(check.succeeded, "\(moment): \(check.output)\(check.errors)")
        }
    }

    @Test(.timeLimit(.minutes(4)))
    func aNodeThatGoesDarkStopsCleanlyAtEveryMoment() async throws {
        let hub = try await Hub()
        try await hub.start()
        let link = try FaultProxy(to: hub.nodesPort)
        defer { link.stop() }
        let dark = try await DarkNode("  hooks: {ir_off: [/bin/sleep, \"60\"]}")
        try await dark.node.enrol(try await hub.joinToken("north", port: link.port))

        // The hub, whose link has gone silent, is being told.
        try await dark.record()
        link.pause()
        try dark.say(11)
        try await dark.logged("S4 Hibernate")
        try await dark.stop("while the hub is told")
        link.resume()

        // It has given up to tell the hub, and a hook runs that does not end.
        try await dark.record()
        link.pause()
        try dark.say(11)
        try await dark.logged("could not be told")
        try await dark.stop("while a hook runs")
        link.resume()
        try await hub.stop()
    }

    @Test(.timeLimit(.minutes(4)))
    func aNodeThatHaltsItsMachineStopsCleanlyAtEveryMoment() async throws {
        let halting = try await DarkNode("  halt_command: [\"/bin/sh\", \"-c\", \"echo halting; exec sleep 30\"]")
        // From the last reading on: before it is seen, confirmed and written; while all is sealed and closed; while the machine is halted.
        for milliseconds in [0, 700, 1_300, 1_600, 1_900, 2_500] {
            try await halting.record()
            try halting.say(7)
            try await Task.sleep(for: .milliseconds(milliseconds))
            try await halting.stop("\(milliseconds) ms after the last reading")
        }
        try await halting.record()
        try halting.say(7)
        try await halting.logged("halting")
        try await halting.stop("while the machine is being halted")
        let stops = try halting.node.entries().compactMap { if case .boot(let boot) = $0 { boot.previousStopWasClean } else { nil } }
        #expect(stops.count == 7 && stops.allSatisfy { $0 }, "\(stops)")
    }
}
