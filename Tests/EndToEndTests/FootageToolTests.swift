import EdgeJournal
import EvidenceLog
import Foundation
import Logging
import RecordingModel
import StorageIO
import SystemPackage
import TestSupport
import Testing

/// The built-in picture, small, so that a test's time is the recorder's own.
private let smallCamera = "test:?size=64x64&fps=15&gop=8"

extension Node {
    /// Records until so many segments of the camera are sealed, and stops.
    func record(segments: Int) async throws {
        let before = try await segmentsSealed()
        try start()
        _ = try await eventually("\(segments) segments; log: \(log.suffix(1_000))", within: .seconds(30)) { try await segmentsSealed() >= before + segments ? true : nil }
        try await stop()
    }

    func lines(_ subcommand: String, _ arguments: [String]) async throws -> [[String: Any]] {
        let outcome = try await edge(subcommand, arguments + ["--json"])
        guard outcome.succeeded else { throw TestFailure("\(subcommand): \(outcome.errors)\(outcome.output)") }
        return try outcome.output.split(separator: "\n").map { line in
            guard let object = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any] else { throw TestFailure("no JSON object: \(line)") }
            return object
        }
    }

    func segmentFiles(_ camera: String) -> [String] {
        files(under: data + "/segments/\(camera)/main").filter { $0.hasSuffix(".mp4") && !$0.contains(".open") }.sorted()
    }
}

extension EndToEnd {
    /// One node's footage, in two runs of the recorder, as every tool of the node shows it.
    @Test(.timeLimit(.minutes(2)))
    func theToolsOfANodeShowListPlayAndPinItsFootage() async throws {
        // Two segments of it are more than a pipe holds (64 KiB): a player that is closed is noticed while they are written.
        let node = try await Node(cameras: ["gate": "test:?size=320x240&fps=15&gop=8&bitrate=1M"], segmentSeconds: 2)
        try await node.record(segments: 2)
        try await node.record(segments: 1)
        let listed = try await node.lines("ls", ["--camera", "gate"])
        let segments = listed.filter { $0["kind"] as? String == "segment" }
        #expect(segments.count >= 4 && listed.contains { $0["kind"] as? String == "gap" })
        let starts = listed.compactMap { $0["start_unix_milliseconds"] as? Int }
        #expect(starts == starts.sorted() && segments.allSatisfy { $0["removed"] == nil && $0["uncertainty_milliseconds"] as? Int ?? 0 > 0 })

        try await expectCat(node, segments)
        try await expectList(node, listed)
        try await expectPlay(node, segments)
        try await expectPins(node, segments)
        try await expectRebuild(node)
    }

    private func expectCat(_ node: Node, _ segments: [[String: Any]]) async throws {
        let file = try #require(node.segmentFiles("gate").first)
        let bytes = try Data(contentsOf: URL(fileURLWithPath: file))
        let copy = node.directory.path("cat.mp4")
        // Bytes, and no text: through a shell, into a file.
        let program = try Here.product("fieldpost-edge")
        try await runSuccessfully("/bin/sh", ["-c", "exec \"$0\" cat gate 0 --config \"$1\" > \"$2\"", program, node.config, copy])
        #expect(try Data(contentsOf: URL(fileURLWithPath: copy)) == bytes)
        let record = try await node.edge("cat", ["gate", "0", "--json"]).json()
        #expect(record["sequence"] as? Int == 0 && record["bytes"] as? Int == bytes.count && record["sha256"] as? String == ContentHash.sha256(Array(bytes)).hex)
        let missing = try await node.edge("cat", ["gate", "9999"])
        #expect(!missing.succeeded && missing.errors.contains("there is no segment gate/main/9999"))
        try FileManager.default.moveItem(atPath: file, toPath: file + ".away")
        let gone = try await node.edge("cat", ["gate", "0"])
        #expect(!gone.succeeded && gone.errors.contains("was given up at this node"))
        try FileManager.default.moveItem(atPath: file + ".away", toPath: file)
    }

    private func expectList(_ node: Node, _ listed: [[String: Any]]) async throws {
        let cut = try await node.edge("ls", ["--limit", "2"])
        #expect(cut.output.contains("only the newest 2 rows are shown; older ones with --to "))
        let newest = try await node.lines("ls", ["--limit", "2"])
        #expect(newest.compactMap { $0["start"] as? String } == listed.suffix(2).compactMap { $0["start"] as? String })
        let whole = try await node.edge("ls", ["--limit", "\(listed.count)"])
        #expect(!whole.output.contains("only the newest"))
        let second = try #require(listed[1]["start"] as? String)
        // Wall times are estimates: a segment may seem to end a millisecond after the next one begins.
        let style = Date.ISO8601FormatStyle(includingFractionalSeconds: true)
        let end = try style.parse(try #require(listed[1]["end"] as? String)).addingTimeInterval(-0.1).formatted(style)
        let between = try await node.lines("ls", ["--from", second, "--to", end])
        #expect(between.compactMap { $0["start"] as? String } == [second])
        let wrong = try await node.edge("ls", ["--from", "yesterday"])
        #expect(!wrong.succeeded && wrong.errors.contains("'yesterday' is no time; write it such as 2026-11-21T08:00:00Z"))
        #expect(try await node.edge("ls", ["--limit", "0"]).errors.contains("--limit is 1 to 1000000"))
    }

    /// With programs that stand in for a player, and with ffplay itself on no display.
    private func expectPlay(_ node: Node, _ segments: [[String: Any]]) async throws {
        let played = node.directory.path("played")
        let starts = node.directory.path("starts")
        let player = try node.directory.write("#!/bin/sh\necho x >> \(starts)\ncat >> \(played)\n", to: "player")
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: player)
        #expect(try await node.edge("play", ["gate", "--player", player]).succeeded)
        // Two runs of the recorder are two streams; each has its beginning once.
        #expect(try String(contentsOfFile: starts, encoding: .utf8) == "x\nx\n")
        var expected = 0
        for (position, segment) in segments.enumerated() {
            let record = try await node.edge("cat", ["gate", "\(segment["sequence"] as? Int ?? -1)", "--json"]).json()
            let isFirst = position == 0 || segments[position - 1]["run"] as? Int != segment["run"] as? Int
            expected += (record["bytes"] as? Int ?? 0) - (isFirst ? 0 : record["initBytes"] as? Int ?? 0)
        }
        #expect(try FileManager.default.attributesOfItem(atPath: played)[.size] as? Int == expected)
        let frames = try await runSuccessfully("ffprobe", ["-v", "error", "-count_packets", "-show_entries", "stream=nb_read_packets", "-of", "csv=p=0", played])
        #expect(Int(frames.output.trimmingCharacters(in: .whitespacesAndNewlines)) ?? 0 > 20, "\(frames.output)\(frames.errors)")

        let lines = try await node.lines("play", ["gate"])
        #expect(lines.compactMap { $0["bytes"] as? Int } == segments.compactMap { $0["bytes"] as? Int })
        // Closed at once: no other run is opened.
        try FileManager.default.removeItem(atPath: starts)
        try node.directory.write("#!/bin/sh\necho x >> \(starts)\nexec <&-\n", to: "player")
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: player)
        #expect(try await node.edge("play", ["gate", "--player", player]).succeeded)
        let opened = try String(contentsOfFile: starts, encoding: .utf8)
        #expect(opened == "x\n", "opened \(opened.count / 2) times")
        let failing = try await node.edge("play", ["gate", "--player", "false"])
        #expect(!failing.succeeded && failing.errors.contains("false ended with 1"))
        let none = try await node.edge("play", ["gate", "--player", "/nowhere/player"])
        #expect(!none.succeeded && none.errors.contains("cannot be started"))
        let real = try await run(
            Here.product("fieldpost-edge"), ["play", "gate", "--to", segments[1]["start"] as? String ?? "", "--config", node.config],
            environment: ["SDL_VIDEODRIVER": "dummy", "SDL_AUDIODRIVER": "dummy"], within: .seconds(30))
        #expect(real.succeeded && real.errors.isEmpty, "\(real.errors)\(real.output)")
    }

    private func expectPins(_ node: Node, _ segments: [[String: Any]]) async throws {
        #expect(try await node.edge("pin", ["gate"]).output == "nothing of gate is pinned\n")
        let to = try #require(segments[1]["start"] as? String)
        #expect(try await node.edge("pin", ["gate", "--to", to, "--reason", "the accident"]).output.contains("gate/main 0: the accident (since "))
        // Another one at work: nothing is read and written in between.
        let lock = try DirectoryLock(FilePath(node.data + "/pins.lock"), heldSentence: "")
        let refused = try await node.edge("pin", ["gate", "--reason", "all"])
        #expect(!refused.succeeded && refused.errors.contains("another fieldpost-edge pin is at work; try again"))
        #expect(try await node.edge("pin", ["gate"]).output.contains("the accident"))
        withExtendedLifetime(lock) {}
        let pins = try await node.edge("pin", ["gate", "--json"])
        let list = try #require(try JSONSerialization.jsonObject(with: Data(pins.output.utf8)) as? [[String: Any]])
        #expect(list.count == 1 && list[0]["reason"] as? String == "the accident" && list[0]["stream"] as? String == "gate/main")
    }

    private func expectRebuild(_ node: Node) async throws {
        #expect(try await node.edge("pin", ["gate", "--remove"]).output == "nothing of gate is pinned\n")
        let right = try await node.edge("rebuild-index")
        #expect(right.output.contains("the index was right"))
        try FileManager.default.removeItem(atPath: node.data + "/index.sqlite")
        let made = try await node.edge("rebuild-index", ["--json"]).json()
        #expect(made["entries"] as? Int == made["changed_rows"] as? Int && made["entries"] as? Int ?? 0 > 5)
        #expect(try await node.edge("check", ["--deep"]).succeeded)
        try node.start()
        _ = try await eventually("the recorder", within: .seconds(10)) { try await node.status()["recording"] as? Bool == true ? true : nil }
        #expect(!(try await node.edge("rebuild-index").succeeded))
        try await node.stop()
    }

    /// What a recorder left behind when it was killed is no figure of the cameras now.
    @Test(.timeLimit(.minutes(1)))
    func afterAKillStaleFiguresDoNotLookLive() async throws {
        let node = try await Node(cameras: ["gate": smallCamera], segmentSeconds: 2)
        try node.configure { $0.replacing("interval_seconds: 10", with: "interval_seconds: 1") }
        try node.start()
        let live = try await eventually("the camera's state; log: \(node.log)", within: .seconds(20)) { () -> Outcome? in
            let status = try await node.edge("status")
            return status.output.contains("gate ") ? status : nil
        }
        #expect(live.output.contains("; recording\n") && !live.output.contains("as of"), "\(live.output)")
        #expect(try await node.status()["past"] == nil)
        try await node.kill()
        let dead = try await node.edge("status")
        #expect(dead.output.contains("; not recording\n") && dead.output.contains("the recorder's figures are as of 2") && !dead.output.contains("gate "), "\(dead.output)")
        let status = try await node.status()
        #expect(status["running"] == nil && status["problem"] == nil && (status["past"] as? [String: any Sendable])?["is_of_this_boot"] as? Bool == true, "\(status)")
    }

    @Test(.timeLimit(.minutes(1)))
    func anAddressThatNoCameraCouldHaveEndsTheProgramBeforeItRecords() async throws {
        let node = try await Node(cameras: ["gate": smallCamera])
        try node.configure { $0.replacing("fps=15", with: "rate=15") }
        let outcome = try await node.edge("run", within: .seconds(10))
        #expect(!outcome.succeeded && outcome.errors.contains("test: the options are size, fps, gop and bitrate"), "\(outcome.errors)")
        #expect(files(under: node.data + "/segments").isEmpty)
    }

    /// A boot whose clock was a day behind, and a fix that the log took in later.
    @Test(.timeLimit(.minutes(1)))
    func aListShowsCorrectedTimesAndThatTheyWereCorrected() async throws {
        let node = try await Node(cameras: ["gate": smallCamera], segmentSeconds: 2)
        try await node.record(segments: 1)
        let before = try #require(try await node.lines("ls", []).first { $0["kind"] as? String == "segment" })
        #expect(before["time_corrected"] as? Bool == false && before["recorded_start"] == nil)
        let recorded = try #require(before["start_unix_milliseconds"] as? Int)
        try addClockFix(node, movesByMilliseconds: 86_400_000)
        let after = try #require(try await node.lines("ls", []).first { $0["sequence"] as? Int == before["sequence"] as? Int })
        // The machine's own clock may have become better by some milliseconds while it recorded; the list shows that too.
        let wasRecorded = try Date(try #require(after["recorded_start"] as? String), strategy: Date.ISO8601FormatStyle(includingFractionalSeconds: true))
        #expect(after["time_corrected"] as? Bool == true && abs(wasRecorded.timeIntervalSince1970 * 1_000 - Double(recorded)) < 1_000, "\(before), \(after)")
        #expect(abs((after["start_unix_milliseconds"] as? Int ?? 0) - recorded - 86_400_000) < 2_000)
        #expect(after["clock_source"] as? String == "gps" && (5...6).contains(after["uncertainty_milliseconds"] as? Int ?? 0), "\(after)")
        let text = try await node.edge("ls").output
        let start = try #require(after["start"] as? String)
        #expect(text.contains("\(start) *") && text.contains("* corrected by a later clock fix; --json has the time as it was recorded"))
        #expect(try await node.edge("check", ["--deep"]).succeeded)
    }

    /// Says by the journal that the boot's clock was so much behind.
    private func addClockFix(_ node: Node, movesByMilliseconds: Int64) throws {
        let reader = try JournalReader(dataDirectory: FilePath(node.data))
        let clocks = TestClocks(bootID: "test-boot")
        let journal = try Journal(
            options: Journal.Options(
                dataDirectory: FilePath(node.data), node: reader.node, software: "test", configVersion: "test", cameras: [],
                limits: StorageLimits()), storage: RealStorage(), clocks: clocks, randomness: SystemRandomNumberGenerator(),
            attest: { _ in throw TestFailure("the log has its first key") }, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        defer { journal.close() }
        let row = try #require(try journal.segments(limit: 1).first)
        let id = try #require(row.segment)
        let record = try #require(try journal.segmentFile(id)?.record)
        var wall = record.startWall.advanced(byMilliseconds: movesByMilliseconds)
        wall.source = .gps
        wall.uncertaintyMilliseconds = 5
        try journal.record(ClockRecord(bootID: record.bootID, bootMilliseconds: record.startBootMilliseconds, wall: wall, reason: .fix))
    }
}

private struct TestClocks: Clocks {
    var bootID: String
    func now() -> Moment {
        Moment(
            bootNanoseconds: 1_000_000_000_000,
            wall: WallEstimate(unixMilliseconds: Int64(Date().timeIntervalSince1970 * 1_000), source: .ntp, uncertaintyMilliseconds: 10))
    }
}
