import EvidenceLog
import Foundation
import RecordingModel
import TestSupport
import Testing

extension EndToEnd {
    /// A camera with a small stream of its own, a link that carries small things only: what the camera itself sent stands in at the hub,
    /// also for the time in which only the small stream could be had.
    @Test(.timeLimit(.minutes(3)))
    func aCamerasOwnSmallStreamIsItsProxyAtTheHub() async throws {
        let cameras = try await CameraServer.start(["big=h264,640x360,25,400", "small=h264,320x180,10,64"])
        let hub = try await Hub()
        try await hub.start()
        let node = try await Node(cameras: ["gate": try #require(cameras.urls["big"])])
        let small = try #require(cameras.urls["small"])
        try node.configure {
            $0.replacing("# sub_stream: \"rtsp://10.0.0.5/stream2\"", with: "sub_stream: \"\(small)\"")
                .replacing("\nlinks:\n", with: "\nlinks:\n  - name: thin\n    send: [proxy]\n").replacing("heartbeat_seconds: 30", with: "heartbeat_seconds: 1")
                .replacing("# proxy: {enabled: true,", with: "proxy: {enabled: true,")
        }
        try await node.enrol(try await hub.joinToken("north"))
        let began = Date()
        try node.start()
        _ = try await eventually("four segments of the small stream at the hub; log: \(node.log)", within: .seconds(60)) {
            (try await hub.report()["segments_on_hub"] as? Int ?? 0) >= 4 ? true : nil
        }
        let status = try await node.edge("status")
        #expect(status.output.contains("gate (sub-stream)  recording"), "\(status.output)")
        #expect(try await node.stop().status == 0)

        let records = try files(under: node.data).filter { $0.hasSuffix(".jsonl") }.sorted().flatMap { path in
            try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n").map { try LogEntry(line: Array($0.utf8)).body }
        }
        let segments = records.compactMap { if case .segment(let record) = $0 { record } else { nil } }
        let (main, proxy) = (segments.filter { $0.stream.kind == .main }, segments.filter { $0.stream.kind == .proxy })
        #expect(segments.allSatisfy { $0.made == nil && $0.drops == 0 } && main.count >= 4 && proxy.count >= 4, "\(main.count) and \(proxy.count)")
        #expect(proxy.allSatisfy { $0.widthPixels == 320 } && main.allSatisfy { $0.widthPixels == 640 })
        // One clock dates both.
        let first = try #require(proxy.first), last = try #require(proxy.last)
        #expect(Set(segments.map(\.bootID)).count == 1 && abs(first.startBootMilliseconds - main[0].startBootMilliseconds) < 5_000)
        // Every picture as the camera sent it.
        let comparison = try await cameras.compare("small.h264", with: try joined(proxy, node))
        #expect(comparison["identical"] as? Bool == true, "\(comparison)")

        let maintainer = try await Maintainer(signedInTo: hub)
        let spans = try await maintainer.timelines("gate", from: began, to: Date()).flatMap(\.spans)
        let covered = spans.filter { $0.standIn == .proxy && $0.state == .onlyOnNode }.reduce(0) { $0 + $1.durationMilliseconds }
        #expect(covered > (last.endBootMilliseconds - first.startBootMilliseconds) / 2, "\(spans)")
        #expect(try await hub.stop().status == 0)
    }

    /// The segments of one run as one file.
    private func joined(_ records: [SegmentRecord], _ node: Node) throws -> String {
        var bytes = Data()
        for record in records {
            let file = node.data + "/segments/\(record.stream)/" + SegmentFiles.sealedName(record.sequence)
            let content = try Data(contentsOf: URL(fileURLWithPath: file))
            bytes += bytes.isEmpty ? content : content.dropFirst(Int(record.initBytes))
        }
        let kept = node.directory.path("joined.mp4")
        try bytes.write(to: URL(fileURLWithPath: kept))
        return kept
    }
}
