import Foundation
import TestSupport
import Testing

extension EndToEnd {
    @Test(.timeLimit(.minutes(2)))
    func clientsThatNeverCloseDoNotKeepTheHubAlive() async throws {
        let hub = try await Hub()
        try await hub.start()
        // One says nothing at all, one stops in the middle of TLS, one in the middle of a request, one idles after an answer.
        let silent = [try IdleConnection(port: hub.peoplePort), try IdleConnection(port: hub.nodesPort)]
        let half = try RunningProcess("/usr/bin/openssl", ["s_client", "-quiet", "-connect", "127.0.0.1:\(hub.peoplePort)"])
        try half.write("GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n")
        let idle = try RunningProcess("/usr/bin/openssl", ["s_client", "-quiet", "-connect", "127.0.0.1:\(hub.peoplePort)"])
        try idle.write("GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        _ = try await idle.line { $0.hasPrefix("HTTP/1.1 200") }
        let node = try await Node(cameras: ["gate": "test:pattern"], segmentSeconds: 2)
        try await node.enrol(try await hub.joinToken("north"))
        try node.start()
        _ = try await eventually("a segment on the hub", within: .seconds(60)) { try await hub.segmentCount() >= 1 ? true : nil }

        let stopped = try await hub.stop()
        #expect(stopped.took < .seconds(10))
        #expect(stopped.status == 0)
        let nodeStopped = try await node.stop()
        #expect(nodeStopped.took < .seconds(10), "a node whose hub is away must stop as fast")
        #expect(nodeStopped.status == 0)
        let check = try await node.edge("check", ["--deep"])
        #expect(check.succeeded, "\(check.errors)\(check.output)")
        withExtendedLifetime((silent, half, idle)) {}
    }

    @Test(.timeLimit(.minutes(2)))
    func aNodeStopsInTimeWhileItsLinkIsSilentAndItsCameraIsGone() async throws {
        let cameras = try await CameraServer.start(["gate=h264,320x240"])
        let hub = try await Hub()
        try await hub.start()
        let link = try FaultProxy(to: hub.nodesPort)
        defer { link.stop() }
        let node = try await Node(cameras: cameras.urls, segmentSeconds: 2)
        try await node.enrol(try await hub.joinToken("north", port: link.port))
        try node.start()
        _ = try await eventually("a segment on the hub", within: .seconds(60)) { try await hub.segmentCount() >= 1 ? true : nil }
        link.pause()
        cameras.process.send(SIGSTOP)
        let stopped = try await node.stop()
        cameras.process.send(SIGCONT)
        #expect(stopped.took < .seconds(10))
        #expect(stopped.status == 0)
        let check = try await node.edge("check", ["--deep"])
        #expect(check.succeeded, "\(check.errors)\(check.output)")
    }
}
