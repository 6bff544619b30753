import Foundation
import TestSupport
import Testing

extension EndToEnd {
    /// From two cameras through both programs into a browser and back out on the command line.
    @Test(.timeLimit(.minutes(5)))
    func whatTheCamerasSentIsWhatTheHubHoldsAndAPersonSees() async throws {
        let cameras = try await CameraServer.start(["gate=h264,640x360,25,600", "yard=h265,640x360,15,300"])
        let hub = try await Hub()
        try await hub.start()
        let node = try await Node(cameras: cameras.urls)
        try await node.enrol(try await hub.joinToken("north"))
        let began = Date()
        try node.start()
        _ = try await eventually("ten segments on the hub", within: .seconds(90)) { try await hub.segmentCount() >= 10 ? true : nil }

        await visitWithBrowser(hub) { seen in
            let (to, boundary) = (seen["to"] as? Double ?? 0, (seen["boundary"] as? NSNumber)?.doubleValue ?? .infinity)
            #expect(to > boundary, "the picture's time did not cross the segment boundary: \(seen)")
        }

        let stopped = try await node.stop()
        #expect(stopped.status == 0)
        #expect(stopped.took < .seconds(10))
        try await expectEverythingHome(node, hub)

        let maintainer = try await Maintainer(signedInTo: hub)
        try await expectToolsSaySo(maintainer, node, cameras: ["gate", "yard"], began: began)
        for (camera, tap) in [("gate", "gate.h264"), ("yard", "yard.h265")] {
            let file = try await maintainer.get(camera, from: began.addingTimeInterval(-60), to: Date().addingTimeInterval(60))
            let comparison = try await cameras.compare(tap, with: file)
            #expect(comparison["identical"] as? Bool == true, "\(camera): \(comparison)")
            #expect((comparison["frames_received"] as? Int ?? 0) > 200, "\(camera): \(comparison)")
            try await expectVerifiable(file, maintainer, node)
        }
        try await expectPlaysElsewhere(hub, maintainer, cameras: ["gate", "yard"], began: began)
        #expect(try await hub.stop().status == 0)
    }

    /// - Parameter more: what to look at instead, as deploy/browser-check.py takes it.
    func visitWithBrowser(_ hub: Hub, more: [String] = [], _ expect: ([String: any Sendable]) -> Void) async {
        do {
            let directory = try TemporaryDirectory("browser")
            let oneTime = try directory.write(hub.oneTimePassword + "\n", to: "one-time")
            let new = "seen by a browser \(UUID().uuidString)"
            let newFile = try directory.write(new + "\n", to: "new")
            let python = ProcessInfo.processInfo.environment["FIELDPOST_PYTHON"] ?? Here.repository + "/.build/deploy-venv/bin/python3"
            let kept = Here.repository + "/.build/screenshots"
            try FileManager.default.createDirectory(atPath: kept, withIntermediateDirectories: true)
            let outcome = try await run(
                python,
                [
                    Here.script("browser-check.py"), "--url", hub.page, "--password-file", oneTime, "--new-password-file", newFile,
                    "--camera", "gate", "--profile", directory.path, "--screenshots", kept,
                ] + more, within: .seconds(150))
            #expect(outcome.succeeded, "the browser: \(outcome.errors)\(outcome.output)")
            guard outcome.succeeded else { return }
            hub.passwordWasSet(to: new)
            expect(try outcome.json())
        } catch {
            Issue.record("the browser: \(error)")
        }
    }
}
