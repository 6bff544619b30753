import Foundation
import TestSupport
import Testing

extension EndToEnd {
    private func expectStopInTime(_ hub: Hub) async throws {
        let stopped = try await hub.stop()
        #expect(stopped.took < .seconds(10))
        #expect(stopped.status == 0, "\(hub.log.suffix(2000))")
    }

    @Test(.timeLimit(.minutes(3)))
    func aPushThatStallsInItsMiddleDoesNotKeepTheHubAlive() async throws {
        let hub = try await Hub()
        try await hub.start()
        let link = try FaultProxy(to: hub.nodesPort)
        defer { link.stop() }
        let node = try await Node(cameras: ["gate": "test:pattern"], segmentSeconds: 2)
        // A backlog first, so that there is more to push than what passes before the silence.
        try node.start()
        _ = try await eventually("a backlog", within: .seconds(60)) { ((try? await node.status())?["bytes"] as? Int ?? 0) > 250_000 ? true : nil }
        try await node.stop()
        let backlog = try await node.segmentsSealed()
        try await node.enrol(try await hub.joinToken("north", port: link.port))
        link.pause(afterBytes: 120_000)
        try node.start()
        try await link.waitForPause(within: .seconds(30))
        _ = try await eventually("the pushed bytes at the hub", within: .seconds(10)) { try await hub.metric("fieldpost_ingest_bytes_total") > 80_000 ? true : nil }
        #expect(try await hub.segmentCount() < backlog, "the push was over before the link went silent")

        try await expectStopInTime(hub)
        link.resume()
        #expect(try await node.stop().status == 0)
        try await hub.start()
        try await expectEverythingHome(node, hub, repeats: true)
    }

    @Test(.timeLimit(.minutes(3)))
    func aDownloadThatStallsInItsMiddleDoesNotKeepTheHubAlive() async throws {
        let hub = try await Hub()
        try await hub.start()
        // Noise does not compress: one segment is far more than what sockets hold.
        let directory = try TemporaryDirectory("noise")
        try await runSuccessfully(
            "/usr/bin/ffmpeg",
            ["-v", "error", "-f", "lavfi", "-i", "color=gray:s=640x360:r=25:d=10,noise=alls=100:allf=t", "-c:v", "libx264", "-preset", "ultrafast", "-qp", "10", "-g", "25", directory.path("noise.mp4")],
            within: .seconds(90))
        let node = try await Node(cameras: ["gate": "file:" + directory.path("noise.mp4")], segmentSeconds: 4)
        try await node.enrol(try await hub.joinToken("north"))
        try node.start()
        _ = try await eventually("a segment on the hub", within: .seconds(60)) { try await hub.segmentCount() >= 1 ? true : nil }
        let (client, promised) = try await StalledClient.download(from: hub, camera: "gate")
        #expect(promised > 12_000_000, "a segment of \(promised) bytes may fit into the sockets' buffers")
        try await expectStopInTime(hub)
        #expect(!client.hasExited)
        #expect(try await node.stop().status == 0)
        withExtendedLifetime(client) {}
    }

    @Test(.timeLimit(.minutes(1)))
    func clientsThatStopInTheMiddleOfTheHandshakeDoNotKeepTheHubAlive() async throws {
        let hub = try await Hub()
        try await hub.start()
        let client = try await StalledClient.handshakes(with: [hub.peoplePort, hub.nodesPort])
        try await expectStopInTime(hub)
        #expect(!client.hasExited)
        withExtendedLifetime(client) {}
    }
}
