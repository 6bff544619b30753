import Foundation
import RecordingModel
import SystemPackage
import SystemPackage
import Testing
import TestSupport

/// The program itself, as an operator calls it.
@Suite struct CommandTests {
    private struct Node {
        let bench: Bench
        let config: String

        init() async throws {
            bench = try Bench()
            config = bench.scratch.path("node.yaml")
            try await edge("init", "--data", bench.scratch.path("node"), "--camera", "gate=test:")
        }

        @discardableResult
        func edge(_ arguments: String..., status: Int32 = 0) async throws -> Outcome {
            let outcome = try await TestSupport.run(try Here.product("fieldpost-edge"), arguments + ["--config", config])
            #expect(outcome.status == status, "\(arguments): \(outcome.errors)\(outcome.output)")
            return outcome
        }

        func lines(_ outcome: Outcome) throws -> [[String: Any]] {
            try outcome.output.split(separator: "\n").map { try #require(try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any]) }
        }
    }

    @Test func aCardIsImportedOnceAndTheRestIsListed() async throws {
        let node = try await Node()
        let card = node.bench.card.string
        try Footage.make(node.bench.file("20260102_030405_NF.mp4"), seconds: 1, video: Footage.h264)
        try Footage.make(node.bench.file("20260102_030505_NF.ts"), seconds: 1, video: Footage.h264, seed: 1)
        try Footage.make(node.bench.file("old.avi"), seconds: 1, video: ["-c:v", "mpeg4"])
        let first = try await node.edge("import", card, "--camera", "dash", "--operator", "Asel", "--clock-offset", "-00:01:00", "--json", status: 3)
        let lines = try node.lines(first)
        #expect(lines.compactMap { $0["status"] as? String }.sorted() == ["imported", "imported", "unsupported"])
        let named = try #require(lines.first { $0["file"] as? String == "20260102_030405_NF.mp4" })
        #expect(named["time_source"] as? String == "operator-offset")
        #expect(named["start"] as? String == "2026-01-02T03:03:05.000Z")
        #expect(named["uncertainty_milliseconds"] as? Int == 60_000)
        let listed = try await node.edge("ls", "--camera", "dash", "--json")
        #expect(try node.lines(listed).compactMap { $0["start"] as? String } == ["2026-01-02T03:03:05.000Z", "2026-01-02T03:04:05.000Z"])
        #expect(try await node.edge("check", "--deep", "--json").json()["ok"] as? Bool == true)
        let second = try await node.edge("import", card, "--camera", "dash", "--operator", "Asel", status: 3)
        #expect(second.output.contains("2 already known, 1 unsupported"))
        #expect(second.output.contains("mpeg4"))
        try FileManager.default.removeItem(atPath: node.bench.file("old.avi"))
        let third = try await node.edge("import", card, "--camera", "other", "--operator", "Asel")
        #expect(third.output.contains("2 already known"))
    }

    @Test func whatMakesNoSenseIsRefusedWithASentence() async throws {
        let node = try await Node()
        for name in ["a.mp4", "b.mp4"] { try Footage.make(node.bench.file(name), seconds: 1, video: Footage.h264, seed: Int(name.utf8.first ?? 0)) }
        let card = node.bench.card.string
        let base = ["--operator", "Asel"]
        func refused(_ path: String, _ arguments: [String], _ words: String) async throws {
            let program = try Here.product("fieldpost-edge")
            let outcome = try await TestSupport.run(program, ["import", path, "--config", node.config] + base + arguments)
            #expect(outcome.status == 1 || outcome.status == 64, "\(arguments)")
            #expect(outcome.errors.contains(words), "\(arguments): \(outcome.errors)")
        }
        try await refused(card, ["--camera", "gate"], "recorded by this node")
        try await refused(card, ["--camera", "dash", "--start", "2026-01-02T03:04:05Z"], "for one file")
        try await refused(card, ["--camera", "dash", "--clock-offset", "soon"], "--clock-offset takes")
        try await refused(card, ["--camera", "dash", "--name-time-offset", "CET"], "time zone")
        try await refused(card, ["--camera", "dash", "--audio-reason", ""], "needs a reason")
        try await refused(card, ["--camera", "../x"], "is no camera")
        try await refused(node.bench.scratch.path("node/segments"), ["--camera", "dash"], "within one another")
        try await refused(node.bench.scratch.path(""), ["--camera", "dash"], "within one another")
        try await refused(node.bench.file("missing"), ["--camera", "dash"], "cannot be read")
        try await node.edge("import", card + "/a.mp4", "--camera", "dash", "--start", "2026-01-02T08:04:05+05:00", "--operator", "Asel")
        let listed = try await node.edge("ls", "--camera", "dash", "--json")
        #expect(try node.lines(listed).first?["start"] as? String == "2026-01-02T03:04:05.000Z")
    }

    @Test func aRunningRecorderTakesTheFilesOver() async throws {
        let node = try await Node()
        try Footage.make(node.bench.file("20260102_030405.mp4"), seconds: 1, video: Footage.h264)
        let recorder = try RunningProcess(try Here.product("fieldpost-edge"), ["run", "--config", node.config])
        _ = try await eventually("a running recorder", within: .seconds(20)) {
            try await node.edge("status", "--json").json()["recording"] as? Bool == true ? true : nil
        }
        let outcome = try await node.edge("import", node.bench.card.string, "--camera", "dash", "--operator", "Asel")
        #expect(outcome.output.contains("1 imported"))
        let listed = try await node.edge("ls", "--camera", "dash", "--json")
        #expect(try node.lines(listed).count == 1)
        #expect(try await recorder.stop().status == 0)
        #expect(try await node.edge("check", "--deep", "--json").json()["ok"] as? Bool == true)
    }

    @Test func anImportThatIsKilledGoesOnAtTheNextCall() async throws {
        let node = try await Node()
        for number in 0..<12 { try Footage.make(node.bench.file("20260102_0304\(10 + number).mp4"), seconds: 2, video: Footage.h264, seed: number) }
        let arguments = ["import", node.bench.card.string, "--camera", "dash", "--operator", "Asel", "--json", "--config", node.config]
        for milliseconds in [20, 60, 120, 250, 400] {
            let process = try RunningProcess(try Here.product("fieldpost-edge"), arguments)
            try await Task.sleep(for: .milliseconds(milliseconds))
            process.send(SIGKILL)
            _ = try await process.exit(within: .seconds(10))
        }
        try await node.edge("import", node.bench.card.string, "--camera", "dash", "--operator", "Asel")
        let listed = try await node.edge("ls", "--camera", "dash", "--json")
        #expect(try node.lines(listed).count == 12)
        #expect(try await node.edge("check", "--deep", "--json").json()["ok"] as? Bool == true)
        #expect(try FileManager.default.contentsOfDirectory(atPath: node.bench.scratch.path("node/imports")) == ["lock"])
    }
}
