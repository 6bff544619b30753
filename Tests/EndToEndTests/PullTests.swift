import Foundation
import TestSupport
import Testing

extension EndToEnd {
    /// A link that carries only what somebody asks for: the log comes by itself, footage when a person pulls it, and what is
    /// pinned is kept at the node.
    @Test(.timeLimit(.minutes(3)))
    func footageComesWhenItIsAskedForAndIsKeptWhenItIsPinned() async throws {
        let hub = try await Hub()
        try await hub.start()
        let node = try await Node(cameras: ["gate": "test:pattern"], segmentSeconds: 2)
        try node.configure {
            $0.replacing("\nlinks:\n", with: "\nlinks:\n  - name: thin\n    send: [pulled]\n").replacing("heartbeat_seconds: 30", with: "heartbeat_seconds: 1")
        }
        try await node.enrol(try await hub.joinToken("north"))
        try node.start()
        _ = try await eventually("seven segments; log: \(node.log)", within: .seconds(60)) { try await node.segmentsSealed() >= 7 ? true : nil }
        _ = try await eventually("their entries at the hub; log: \(node.log)", within: .seconds(20)) {
            (try await hub.report()["segments_known"] as? Int ?? 0) >= 6 ? true : nil
        }
        #expect(try await hub.report()["segments_on_hub"] as? Int == 0)

        let maintainer = try await Maintainer(signedInTo: hub)
        let segments = try await node.lines("ls", ["--camera", "gate"]).filter { $0["sequence"] is Int }
        func time(_ sequence: Int, _ key: String) throws -> String {
            try #require(segments.first { $0["sequence"] as? Int == sequence }?[key] as? String, "\(segments)")
        }
        let pulled = try await maintainer.fieldpost(["pull", "north", "gate", try time(2, "start"), try time(3, "end"), "--reason", "the accident"])
        #expect(pulled.succeeded, "\(pulled)")
        _ = try await eventually("what was pulled; log: \(node.log)", within: .seconds(30)) {
            (try await hub.report()["segments_on_hub"] as? Int ?? 0) >= 2 ? true : nil
        }
        // Neighbours may share a moment with the range.
        let inventory = try await hub.report()
        #expect((2...4).contains(inventory["segments_on_hub"] as? Int ?? 0), "\(inventory)")

        let pinned = try await maintainer.fieldpost(["pin", "north", "gate", try time(5, "start"), try time(5, "end"), "--json"])
        #expect(pinned.succeeded, "\(pinned)")
        let pins = node.data + "/hub-pins.json"
        _ = try await eventually("the pin at the node; log: \(node.log)", within: .seconds(10)) {
            (try? String(contentsOfFile: pins, encoding: .utf8))?.contains("gate/main") == true ? true : nil
        }
        let requests = try await maintainer.fieldpost(["requests", "--all"])
        #expect(requests.succeeded && requests.output.contains("the accident"), "\(requests)")
        let id = try #require(try pinned.json()["id"] as? Int, "\(pinned.output)")
        let withdrawn = try await maintainer.fieldpost(["withdraw", "\(id)"])
        #expect(withdrawn.succeeded, "\(withdrawn)")
        _ = try await eventually("no pin at the node; log: \(node.log)", within: .seconds(10)) {
            (try? String(contentsOfFile: pins, encoding: .utf8))?.contains("gate/main") == false ? true : nil
        }
        let status = try await node.edge("status", ["--json"])
        #expect(status.output.contains("thin"), "\(status.output)")
        #expect(try await node.stop().status == 0)
    }
}
