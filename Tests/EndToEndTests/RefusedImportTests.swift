import EvidenceLog
import Foundation
import RecordingModel
import TestSupport
import Testing

extension EndToEnd {
    /// Footage that lies staged but cannot be what an importer left is no footage of the node: the import says so.
    @Test(.timeLimit(.minutes(1)), arguments: [false, true])
    func stagedFootageThatTheJournalRefusesIsNotCountedAsImported(isJSON: Bool) async throws {
        let node = try await Node(cameras: ["gate": "test:pattern"])
        let card = try TemporaryDirectory("card")
        try await runSuccessfully("ffmpeg", ["-v", "error", "-f", "lavfi", "-i", "testsrc=size=64x64:rate=10:duration=1", "-c:v", "libx264", "-preset", "ultrafast", card.path("a.mp4")])
        let staged = node.data + "/imports/00000000000000aa"
        try FileManager.default.createDirectory(atPath: staged, withIntermediateDirectories: true)
        let camera = try #require(CameraID("dash"))
        let record = ImportRecord(
            camera: camera, bootID: "import-of-another-file", sequences: SequenceRanges(), originalName: "b\u{1B}.mp4", originalBytes: 1, originalSHA256: .sha256([7]), container: "mov",
            containerStartUnixMilliseconds: nil, timeSource: .none, clockOffsetMilliseconds: 0, operatorName: "Asel", missing: nil)
        try JSONEncoder().encode(ImportManifest(record: record, segments: [])).write(to: URL(fileURLWithPath: staged + "/" + ImportManifest.fileName))
        let outcome = try await node.edge("import", [card.path, "--camera", "dash", "--operator", "Asel"] + (isJSON ? ["--json"] : []))
        #expect(outcome.status == 3, "\(outcome.output)\(outcome.errors)")
        if isJSON {
            let lines = try outcome.output.split(separator: "\n").map { try #require(try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any]) }
            #expect(lines.count == 3 && lines[0]["status"] as? String == "imported")
            #expect(lines[1]["status"] as? String == "refused" && lines[1]["file"] as? String == "b\u{1B}.mp4" && (lines[1]["reason"] as? String)?.isEmpty == false)
            #expect(lines[2]["refused"] as? Int == 1 && (lines[2]["counts"] as? [String: Int]) == ["imported": 1])
        } else {
            #expect(outcome.output.contains("NOT TAKEN OVER: b?.mp4: ") && outcome.output.contains("1 imported; "), "\(outcome.output)")
        }
        let listed = try await node.lines("ls", ["--all", "--camera", "dash"])
        #expect(listed.map { $0["kind"] as? String } == ["segment", "import"] || listed.map { $0["kind"] as? String } == ["import", "segment"], "\(listed)")
        let imported = try #require(listed.first { $0["kind"] as? String == "import" })
        #expect(imported["reason"] as? String == "a.mp4" && imported["duration_milliseconds"] as? Int == 1_000)
    }
}
