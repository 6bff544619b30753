import EvidenceLog
import Foundation
import RecordingModel
import TestSupport
import Testing

extension EndToEnd {
    /// A node makes small things of what a camera sends, its worker dies, its power is cut, and the hub has them all.
    @Test(.timeLimit(.minutes(8)))
    func theHubHoldsThumbnailsAndProxiesOfWhatWasRecorded() async throws {
        let cameras = try await CameraServer.start(["gate=h264,640x360,25,300,audio"])
        let hub = try await Hub()
        try await hub.start()
        let node = try await Node(cameras: cameras.urls)
        let text = try String(contentsOfFile: node.config, encoding: .utf8)
        let small = text.replacing("thumbnails: {enabled: false, every_seconds: 30,", with: "thumbnails: {enabled: true, every_seconds: 10,").replacing("# proxy: {enabled: true,", with: "proxy: {enabled: true,")
        #expect(small != text)
        try small.write(toFile: node.config, atomically: true, encoding: .utf8)
        try await node.enrol(try await hub.joinToken("north"))
        try node.start()
        _ = try await eventually("three proxies on the hub", within: .seconds(150)) { try await held("proxy", hub) >= 3 ? true : nil }

        // The worker dies; the recorder does not notice.
        let worker = try #require(workers(of: node).first, "no worker runs")
        kill(worker, SIGKILL)
        let before = try await held("proxy", hub)
        _ = try await eventually("proxies go on", within: .seconds(150)) { try await held("proxy", hub) >= before + 2 ? true : nil }
        #expect(try !workers(of: node).contains(worker))

        // The hour's pictures are in memory: a cut costs none of them.
        try await node.kill()
        // Those that were made before and not yet sent say nothing: the first new one follows on all pictures.
        let proxies = try files(under: node.data).count { $0.contains("/gate/proxy/") && $0.hasSuffix(".mp4") }
        try node.start()
        _ = try await eventually("proxies go on after a cut", within: .seconds(150)) { try await held("proxy", hub) >= proxies + 2 ? true : nil }
        #expect(try await node.stop().status == 0)
        try await expectEverythingHome(node, hub)
        #expect(try await held("thumbs", hub) >= 1)

        let records = try segmentRecords(node)
        let main = records.filter { $0.stream.kind == .main }, proxy = records.filter { $0.stream.kind == .proxy }
        let byNumber = Dictionary(uniqueKeysWithValues: main.map { ($0.sequence, $0) })
        for record in proxy {
            let source = try #require(record.made?.sources.first.flatMap { byNumber[$0] })
            #expect(record.made?.kind == .transcoded && record.made?.sourceSHA256 == source.sha256)
            #expect(record.startBootMilliseconds == source.startBootMilliseconds && record.run == source.run)
            #expect(record.codecs.hasPrefix("avc1.64"))
        }
        #expect(proxy.compactMap { $0.made?.sources.first } == Array(0..<UInt64(proxy.count)), "a segment has no proxy, or two")
        let pictured = records.filter { $0.stream.kind == .thumbs }.reduce(SequenceRanges()) { $0.union($1.made?.sources ?? SequenceRanges()) }
        #expect(pictured.first == 0 && pictured.ranges.count == 1, "\(pictured)")
        #expect(records.filter { $0.stream.kind != .main }.allSatisfy { $0.made != nil } && main.allSatisfy { $0.made == nil })

        // The hub loses some of the footage, and of the last 16 s the proxies too: a person sees what is left, marked.
        #expect(try await hub.stop().status == 0)
        let lost = main.dropFirst(2).map(\.sha256) + proxy.suffix(4).map(\.sha256)
        for blob in try files(under: hub.data + "/blobs") where lost.contains(where: { blob.hasSuffix("/\($0)") }) { try FileManager.default.removeItem(atPath: blob) }
        let recovered = try await run(Here.product("fieldpost-hub"), ["recover", "--data", hub.data, "--json"])
        #expect(recovered.succeeded, "\(recovered.errors)")
        try await hub.start()
        await visitWithBrowser(hub, more: ["--stand-ins"]) { seen in
            #expect((seen["strip"] as? Int ?? 0) >= 1 && (seen["stills"] as? Int ?? 0) >= 1, "\(seen)")
            #expect(seen["proxies"] as? Int == proxy.count - 6, "\(seen)")
        }
        // What the person asked for comes.
        try await expectEverythingHome(node, hub)
        let maintainer = try await Maintainer(signedInTo: hub)
        let answer = try await maintainer.fieldpost(["requests", "--all", "--json"])
        let requests = try #require(try answer.json()["requests"] as? [[String: any Sendable]])
        let progress = requests.first?["progress"] as? [String: any Sendable]
        #expect(requests.map { $0["stream"] as? String } == ["main"], "\(answer.output)")
        #expect(progress?["segmentsOnHub"] as? Int == progress?["segments"] as? Int && (progress?["segments"] as? Int ?? 0) >= proxy.count - 2, "\(answer.output)")
        #expect(try await hub.stop().status == 0)
    }

    private func held(_ kind: String, _ hub: Hub) async throws -> Int {
        let script = "import sqlite3, sys; print(sqlite3.connect(f'file:{sys.argv[1]}/catalogue.sqlite?mode=ro', uri=True).execute('SELECT COUNT(*) FROM segments WHERE held = 1 AND kind = ?', (sys.argv[2],)).fetchone()[0])"
        return Int(try await runSuccessfully("/usr/bin/python3", ["-c", script, hub.data, kind]).output.trimmingCharacters(in: .whitespacesAndNewlines)) ?? 0
    }

    private func workers(of node: Node) throws -> [pid_t] {
        guard let parent = node.process?.pid else { return [] }
        return try FileManager.default.contentsOfDirectory(atPath: "/proc").compactMap { pid_t($0) }.filter { pid in
            let words = (try? String(contentsOfFile: "/proc/\(pid)/cmdline", encoding: .utf8)) ?? ""
            let status = (try? String(contentsOfFile: "/proc/\(pid)/status", encoding: .utf8)) ?? ""
            return words.contains("compress-worker") && status.contains("PPid:\t\(parent)\n")
        }
    }

    private func segmentRecords(_ node: Node) throws -> [SegmentRecord] {
        try files(under: node.data).filter { $0.hasSuffix(".jsonl") }.sorted().flatMap { path in
            try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n").compactMap { line -> SegmentRecord? in
                if case .segment(let record) = try LogEntry(line: Array(line.utf8)).body { record } else { nil }
            }
        }
    }
}
