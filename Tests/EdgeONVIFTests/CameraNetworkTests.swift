import Foundation
import Testing
import TestSupport

/// The built program against cameras by third parties, in network namespaces of their own (camera_network.py).
@Suite(.serialized) struct CameraNetworkTests {
    private func discover(_ network: [String] = [], _ arguments: [String], environment: [String: String] = [:]) async throws -> Outcome {
        let node = try Here.product("fieldpost-edge")
        return try await run(
            "unshare", ["-rn", MockCamera.python, MockCamera.script("camera_network.py")] + network + ["--", node, "discover", "--seconds", "2"] + arguments,
            environment: environment.merging(["PYTHONDONTWRITEBYTECODE": "1"]) { $1 }, within: .seconds(60))
    }

    @Test func aRealCameraIsFoundWithItsStreamsAndTheLinesAreAccepted() async throws {
        let folder = try TemporaryDirectory("discover")
        let outcome = try await discover([], [])
        #expect(outcome.status == 0, "\(outcome.errors)")
        let output = outcome.output
        let rows = output.split(separator: "\n").map { $0.split(separator: " ").joined(separator: " ") }
        #expect(rows.contains("North gate, PythonCam VirtualCam-1 192.0.2.2:8080 MainStream H264 1920x1080 30 rtsp://192.0.2.2:8554/video_main"), "\(output)")
        #expect(rows.contains("North gate, PythonCam VirtualCam-1 192.0.2.2:8080 SubStream H264 640x360 30 rtsp://192.0.2.2:8554/video_sub"), "\(output)")
        // An XAddr on another network: asked at the address that the answer came from, never there.
        #expect(output.contains("Elsewhere") && !(output + outcome.errors).contains("198.51.100.77"))
        #expect(!output.contains("rinter") && !output.contains("Nowhere") && !output.contains("\u{1B}"))
        #expect(outcome.errors.contains("looking for ONVIF cameras on node0 (192.0.2.1)"))

        let marker = "# Lines for the node's configuration file:\n"
        let lines = try #require(output.range(of: marker).map { String(output[$0.upperBound...]) })
        #expect(lines.contains("  - id: \"north-gate\"\n    url: \"rtsp://192.0.2.2:8554/video_main\"\n    # SubStream, H264, 640x360, 30 frames/s: rtsp://192.0.2.2:8554/video_sub"))
        #expect(!lines.contains("\n  - id: evil"))
        try await expectAccepted(lines, in: folder)
    }

    @Test func aCameraThatWantsAPasswordSaysSoAndGetsItFromAFile() async throws {
        let folder = try TemporaryDirectory("discover")
        try "pass word+42\nsecond line\n".write(toFile: folder.path("password"), atomically: true, encoding: .utf8)
        let camera = ["--user", "viewer", "--password", "pass word+42"]
        let refused = try await discover(camera, [])
        #expect(refused.status == 1 && refused.output.contains("needs a user name and password") && refused.errors.contains("--password-file"))

        let wrong = try await discover(camera, ["--username", "stranger", "--password-file", folder.path("password")])
        #expect(wrong.status == 1 && wrong.output.contains("refuses this user name or password"))

        let outcome = try await discover(camera, ["--username", "viewer"], environment: ["FIELDPOST_CAMERA_PASSWORD_FILE": folder.path("password")])
        #expect(outcome.status == 0, "\(outcome.errors)")
        #expect(outcome.output.contains("    username: \"viewer\"\n    password_file: \"\(folder.path("password"))\"\n"))
        #expect(!(outcome.output + outcome.errors + wrong.output + wrong.errors).contains("pass word"))
        let marker = try #require(outcome.output.range(of: "cameras:\n"))
        try await expectAccepted("cameras:\n" + outcome.output[marker.upperBound...], in: folder)
    }

    @Test func oneDeviceIsAskedByItsAddressAndJSONTellsTheSame() async throws {
        let outcome = try await discover([], ["--address", "192.0.2.2:8080", "--json"])
        #expect(outcome.status == 0 && !outcome.errors.contains("looking for"), "\(outcome.errors)")
        let cameras = try #require(try outcome.json()["cameras"] as? [[String: any Sendable]])
        #expect(cameras.count == 1 && cameras[0]["model"] as? String == "VirtualCam-1")
        let profiles = try #require(cameras[0]["profiles"] as? [[String: any Sendable]])
        #expect(profiles.map { $0["stream_address"] as? String } == ["rtsp://192.0.2.2:8554/video_main", "rtsp://192.0.2.2:8554/video_sub"])
        #expect(profiles[0]["width"] as? Int == 1920 && profiles[0]["codec"] as? String == "H264")
    }

    @Test func whereThereIsNoCameraItSaysWhatToCheck() async throws {
        let outcome = try await discover(["--no-camera"], [])
        #expect(outcome.status == 1 && outcome.errors.contains("no ONVIF camera answered within 2 s") && outcome.errors.contains("3702") && outcome.output.isEmpty)
        let wrong = try await discover(["--no-camera"], ["--interface", "eth77"])
        #expect(wrong.status == 1 && wrong.errors.contains("there is no interface eth77") && wrong.errors.contains("node0"))
        let silent = try await discover(["--no-camera"], ["--address", "192.0.2.2:8080"])
        #expect(silent.status == 1 && silent.output.contains("no answer from http://192.0.2.2:8080"))
    }

    /// The program reads the whole file before it looks at anything else: where only the data directory is missing, the
    /// configuration was accepted. A line that it would not accept is the proof of that.
    private func expectAccepted(_ lines: String, in folder: TemporaryDirectory) async throws {
        let node = try Here.product("fieldpost-edge")
        let file = folder.path("node.yaml")
        var answers: [String] = []
        for extra in ["", "surplus_key: 1\n"] {
            try "data_directory: \(folder.path("missing"))\n\(lines)\n\(extra)".write(toFile: file, atomically: true, encoding: .utf8)
            answers.append(try await run(node, ["status", "--config", file]).errors)
        }
        #expect(answers[1].contains("surplus_key"), "\(answers[1])")
        #expect(answers[0].contains(folder.path("missing")) && !answers[0].contains("node.yaml:"), "\(answers[0])")
    }
}
