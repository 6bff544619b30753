import EvidenceLog
import Foundation
import RecordingModel
import TestSupport
import Testing

extension Node {
    /// The entries of the log, in order, as they lie on disk.
    func entries() throws -> [EntryBody] {
        let logs = files(under: data + "/log").filter { $0.hasSuffix(".jsonl") }.sorted()
        return try logs.flatMap { path in try LogFolder.lines(in: Array(FileManager.default.contents(atPath: path) ?? Data())).lines.map { try LogEntry(line: $0).body } }
    }

    func configure(_ change: (String) -> String) throws {
        let text = try String(contentsOfFile: config, encoding: .utf8)
        try change(text).write(toFile: config, atomically: true, encoding: .utf8)
    }
}

extension EndToEnd {
    private static let token = "0123456789abcdef0123456789abcdef"

    private func post(_ port: Int, _ path: String, _ body: String) async throws -> Outcome {
        try await run(
            "curl", ["-s", "-o", "/dev/stdout", "-w", "%{http_code}", "-H", "Authorization: Bearer \(Self.token)", "-d", body, "http://127.0.0.1:\(port)\(path)"], within: .seconds(10))
    }

    /// A camera that keeps events only, a door contact that posts one; beside it one whose password is nowhere.
    @Test(.timeLimit(.minutes(2)))
    func aPostedEventIsRecordedWithWhatWasBeforeIt() async throws {
        let port = try freePort()
        let node = try await Node(cameras: ["gate": "test:pattern"])
        let token = try node.directory.write(Self.token + "\n", to: "token")
        let data = node.data
        try node.configure { _ in
            """
            data_directory: \(data)
            segment_seconds: 2
            events: {listen: '127.0.0.1:\(port)', token_file: \(token)}
            metrics: {interval_seconds: 1}
            cameras:
              - id: gate
                url: "test:?size=64x64&fps=15&gop=8"
                mode: events
                pre_roll_seconds: 2
                post_roll_seconds: 6
              - id: yard
                url: rtsp://127.0.0.1:9/s
                username: viewer
                password_file: \(data)/nowhere

            """
        }
        try node.start()
        _ = try await eventually("the camera standing by; log: \(node.log)", within: .seconds(20)) {
            let cameras = (try await node.status()["running"] as? [String: any Sendable])?["cameras"] as? [[String: any Sendable]] ?? []
            let gate = cameras.first { $0["camera"] as? String == "gate" }
            let yard = cameras.first { $0["camera"] as? String == "yard" }
            return gate?["state"] as? String == "standby" && (yard?["lastError"] as? String)?.contains("nowhere: No such file or directory") == true ? true : nil
        }
        // Longer than the pre-roll, so that all of it is there.
        try await Task.sleep(for: .milliseconds(2_600))
        #expect(try await node.segmentsSealed() == 0)
        let posted = Int64(Date().timeIntervalSince1970 * 1_000)
        let answer = try await post(port, "/events/gate", #"{"label":"door open","score":70,"duration_seconds":1}"#)
        #expect(answer.output.hasSuffix("200"), "\(answer.output)")
        _ = try await eventually("the event; log: \(node.log)", within: .seconds(20)) { try settledEvents(node.entries()).contains { $0.durationMilliseconds > 0 } ? true : nil }
        _ = try await eventually("its footage, with the post-roll", within: .seconds(20)) {
            try node.entries().contains { if case .segment(let record) = $0 { record.end == .eventOver } else { false } } ? true : nil
        }
        try await Task.sleep(for: .milliseconds(1_200))
        let stopped = try await node.stop()
        #expect(stopped.status == 0)

        let bodies = try node.entries()
        // Told as it began, and again when it was over.
        #expect(bodies.count { if case .event = $0 { true } else { false } } == 2)
        let events = settledEvents(bodies)
        let event = try #require(events.first)
        #expect(events.count == 1 && event.label == "door open" && event.score == 70 && event.source == .webhook && event.camera.description == "gate")
        #expect(abs(event.startWall.unixMilliseconds - posted) < 1_500 && (900...2_500).contains(event.durationMilliseconds), "\(event), posted \(posted)")
        let footage = bodies.compactMap { if case .segment(let record) = $0 { record } else { nil } }
        let begin = try #require(footage.map(\.startBootMilliseconds).min())
        let end = try #require(footage.map(\.endBootMilliseconds).max())
        // From the key frame before the pre-roll (a group lasts 0.53 s) to the key frame behind the post-roll.
        #expect((1_900...2_800).contains(event.startBootMilliseconds - begin), "\(event.startBootMilliseconds - begin) ms of pre-roll")
        #expect((5_700...7_200).contains(end - event.startBootMilliseconds - event.durationMilliseconds), "\(end - event.startBootMilliseconds - event.durationMilliseconds) ms of post-roll")
        let gaps = bodies.compactMap { if case .gap(let gap) = $0, gap.stream.camera.description == "gate" { gap } else { nil } }
        #expect(gaps.contains { $0.cause == .noEvent && $0.startBootMilliseconds + $0.durationMilliseconds == begin })
        #expect(gaps.contains { $0.cause == .noEvent && $0.startBootMilliseconds == end }, "\(gaps)")
        #expect(bodies.contains { if case .gap(let gap) = $0 { gap.stream.camera.description == "yard" && gap.cause == .cameraUnreachable && gap.detail.contains("nowhere") } else { false } })

        let listed = try await node.lines("ls", ["--camera", "gate", "--all"])
        let line = try #require(listed.first { $0["kind"] as? String == "event" })
        let shown = try #require(line["start_unix_milliseconds"] as? Int64)
        // The machine's clock may have become better meanwhile, by milliseconds: then the log says so, and the list shows it.
        let isRedated = bodies.contains { if case .clock = $0 { true } else { false } }
        #expect(line["reason"] as? String == "webhook door open" && abs(shown - event.startWall.unixMilliseconds) <= (isRedated ? 1_000 : 0), "\(line), \(event)")
        #expect(!(try await node.lines("ls", ["--camera", "gate"]).contains { $0["kind"] as? String == "event" }))
        #expect(try await node.edge("ls", ["--all"]).output.contains("webhook door open"))
        #expect(try await node.edge("check", ["--deep"]).succeeded)
    }

    /// What is told later of the same start takes the place of what was told as it began.
    private func settledEvents(_ bodies: [EntryBody]) -> [EventRecord] {
        let events = bodies.compactMap { if case .event(let event) = $0 { event } else { nil } }
        return Dictionary(events.map { ($0.startBootMilliseconds, $0) }) { $1 }.values.sorted { $0.startBootMilliseconds < $1.startBootMilliseconds }
    }

    /// The built-in picture moves all the time: its motion is an event with a score, and footage.
    @Test(.timeLimit(.minutes(1)))
    func motionInThePictureIsAnEvent() async throws {
        let node = try await Node(cameras: ["gate": "test:?size=320x180&fps=15&gop=15"], segmentSeconds: 2)
        try node.configure {
            $0.replacing("gop=15\"", with: "gop=15\"\n    mode: events\n    pre_roll_seconds: 1\n    post_roll_seconds: 1\n    motion: {enabled: true, threshold: 1, cool_down_seconds: 1}")
        }
        try node.start()
        _ = try await eventually("footage of motion; log: \(node.log)", within: .seconds(25)) { try await node.segmentsSealed() >= 1 ? true : nil }
        let stopped = try await node.stop()
        #expect(stopped.status == 0)
        let events = try node.entries().compactMap { if case .event(let event) = $0 { event } else { nil } }
        #expect(events.allSatisfy { $0.source == .motion && (1...100).contains($0.score) && $0.durationMilliseconds > 0 } && !events.isEmpty, "\(events)")
        #expect(try await node.edge("check", ["--deep"]).succeeded)
    }
}
