import Foundation
import NodeIdentity
import RecordingModel
import TestSupport
import Testing

extension EndToEnd {
    @Test func anUnknownKeyIsRefusedWithItsPathItsLineAndWhatWouldBeAccepted() async throws {
        let node = try await Node(cameras: ["gate": "test:pattern"])
        let good = try String(contentsOfFile: node.config, encoding: .utf8)
        let line = good.split(separator: "\n", omittingEmptySubsequences: false).count
        try node.directory.write(good + "recordings: 5\n", to: "node.yaml")
        let outcome = try await node.edge("run", within: .seconds(20))
        #expect(!outcome.succeeded)
        #expect(outcome.errors.contains("recordings"))
        #expect(outcome.errors.contains("node.yaml:\(line)") || outcome.errors.contains("line \(line)"), "\(outcome.errors)")
        #expect(outcome.errors.contains("data_directory") && outcome.errors.contains("cameras"), "\(outcome.errors)")
    }

    @Test func aValueOfTheWrongTypeIsRefusedWithItsPathAndLine() async throws {
        let node = try await Node(cameras: ["gate": "test:pattern"])
        let good = try String(contentsOfFile: node.config, encoding: .utf8)
        let bad = good.replacing("segment_seconds: 4", with: "segment_seconds: soon", maxReplacements: 1)
        #expect(bad != good)
        let line = bad.split(separator: "\n", omittingEmptySubsequences: false).firstIndex { $0.contains("soon") }.map { $0 + 1 } ?? 0
        try node.directory.write(bad, to: "node.yaml")
        let outcome = try await node.edge("run", within: .seconds(20))
        #expect(!outcome.succeeded)
        #expect(outcome.errors.contains("segment_seconds"))
        #expect(outcome.errors.contains("node.yaml:\(line)") || outcome.errors.contains("line \(line)"), "\(outcome.errors)")
    }

    @Test(.timeLimit(.minutes(2)))
    func aWrongCameraPasswordIsAGapWithItsCauseAndIsInNoLog() async throws {
        let cameras = try await CameraServer.start(["gate=h264,320x240"], arguments: ["--user", "viewer", "--password", "right-password"])
        let url = try #require(cameras.urls["gate"]).replacing("rtsp://", with: "rtsp://viewer:wr0ng-Passw0rd-7731@")
        let node = try await Node(cameras: ["gate": url])
        try node.start()
        _ = try await eventually("a log line about the refusal", within: .seconds(30)) { node.log.contains("camera-refused") || node.records().contains("camera-refused") ? true : nil }
        #expect(try await node.stop().status == 0)
        #expect(node.records().contains("camera-refused"), "the log must say why nothing was recorded")
        for text in [node.log, node.records(), try await node.edge("status", ["--json"]).output, try await node.edge("ls").output] {
            #expect(!text.contains("wr0ng"), "the camera's password came out: \(text.suffix(500))")
        }
    }

    @Test(.timeLimit(.minutes(2)))
    func aHubWithAnotherKeyGetsNothing() async throws {
        let hub = try await Hub()
        try await hub.start()
        let node = try await Node(cameras: ["gate": "test:pattern"], segmentSeconds: 2)
        let line = try await hub.joinToken("north")
        let rightKey = try #require(JoinToken(line: line)).hubKeyHash
        try await node.enrol(line)
        try node.start()
        _ = try await eventually("a segment on the right hub", within: .seconds(60)) { try await hub.segmentCount() >= 1 ? true : nil }
        try await node.stop()
        try await hub.stop()

        let impostor = try await Hub(nodesPort: hub.nodesPort)
        try await impostor.start()
        try node.start()
        _ = try await eventually("more footage", within: .seconds(30)) { try await node.segmentsSealed() > 3 ? true : nil }
        try await node.stop()
        let sync = try await node.edge("sync", ["--timeout", "5"], within: .seconds(30))
        #expect(!sync.succeeded, "the node took another hub for its own")
        // This very sentence: a hub that was called and did not know the node also speaks of a key.
        let sentence = "the hub shows another key than \(rightKey.fingerprint); nothing was sent"
        #expect(sync.errors.contains(sentence), "\(sync.errors)\(sync.output)")
        #expect(node.log.contains(sentence), "\(node.log.suffix(2000))")
        #expect(!impostor.log.contains("/sync/v1/"), "the other hub was called: \(impostor.log)")
        #expect(try await impostor.metric("fieldpost_ingest_bytes_total") == 0)
        #expect(try await impostor.segmentCount() == 0)
        // A call of a stranger is in that log: here is one.
        var guess = try #require(JoinToken(line: try await impostor.joinToken("guess")))
        guess.secret = String(repeating: "5a", count: 16)
        #expect(!(try await Node(cameras: ["gate": "test:pattern"]).edge("enrol", [guess.line]).succeeded))
        _ = try await eventually("the stranger's call in the log", within: .seconds(5)) { impostor.log.contains("/sync/v1/enrol") ? true : nil }
        try await impostor.stop()

        try await hub.start()
        try await expectEverythingHome(node, hub, repeats: true)
    }

    @Test(.timeLimit(.minutes(2)))
    func aJoinTokenIsGoodForOneNodeAndForOneTime() async throws {
        let hub = try await Hub()
        try await hub.start()
        let line = try await hub.joinToken("north")
        try await Node(cameras: ["gate": "test:pattern"]).enrol(line)

        let second = try await Node(cameras: ["gate": "test:pattern"])
        let reused = try await second.edge("enrol", [line])
        #expect(!reused.succeeded, "a token was good for two nodes")
        #expect(!reused.errors.isEmpty)

        // Good for about a second. The node sees by itself that it is late; told otherwise, it is the hub that refuses.
        let short = try await hub.joinToken("south", hours: 0.0005)
        let expiry = try #require(JoinToken(line: short)).expiresUnixSeconds
        _ = try await eventually("the token's end", within: .seconds(10)) { Date().timeIntervalSince1970 > Double(expiry) + 1 ? true : nil }
        var forged = try #require(JoinToken(line: short))
        forged.expiresUnixSeconds += 3600
        for line in [short, try forged.line] {
            let late = try await second.edge("enrol", [line])
            #expect(!late.succeeded, "an expired token was accepted")
            #expect(late.errors.contains("expired"), "\(late.errors)")
        }

        // The secret is good at the hub that answers, and only the key in the token is another's.
        let west = try await hub.joinToken("west")
        var elsewhere = try #require(JoinToken(line: west))
        let otherKey = try #require(JoinToken(line: try await Hub().joinToken("other"))).hubKeyHash
        elsewhere.hubKeyHash = otherKey
        let callsBefore = hub.log
        let wrong = try await second.edge("enrol", [try elsewhere.line])
        #expect(!wrong.succeeded, "the secret went to a hub with another key")
        #expect(wrong.errors.contains("the hub shows another key than \(otherKey.fingerprint); nothing was sent"), "\(wrong.errors)")
        #expect(hub.log == callsBefore, "the hub was called: \(hub.log.dropFirst(callsBefore.count))")
        // Another node uses that secret up: it could not, had it been sent and taken.
        try await Node(cameras: ["gate": "test:pattern"]).enrol(west)

        // None of it spoiled the node: a good token still works.
        try await second.enrol(try await hub.joinToken("east"))
    }
}
