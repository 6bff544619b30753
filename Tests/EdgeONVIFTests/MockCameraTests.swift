@testable import EdgeONVIF
import Foundation
import RecordingModel
import Testing
import TestSupport

/// Against our own mock, whose every request and answer is judged by the schemas in ONVIF's WSDL files.
@Suite(.serialized) struct MockCameraTests {
    @Test func aCameraIsDescribedAndEveryRequestIsValidByTheWSDL() async throws {
        let camera = try await MockCamera()
        let description = try await camera.describe()
        #expect(description.manufacturer == "Mock & Sons" && description.model == "M-1")
        #expect(description.profiles.map { [$0.token, $0.codec, "\($0.widthPixels)x\($0.heightPixels)", "\($0.framesPerSecond)", $0.videoSource] } == [
            ["low", "H264", "640x360", "15.0", "1"], ["high", "H264", "2560x1440", "25.0", "1"], ["second", "JPEG", "800x600", "10.0", "2"],
        ])
        // The camera puts its user name and password into the address.
        #expect(description.profiles[1].stream?.text == "rtsp://127.0.0.1:554/live/high?unicast=true&proto=Onvif")
        let state = try await camera.state()
        #expect(state.invalid.isEmpty, "\(state.invalid)")
        #expect(state.asked == ["GetSystemDateAndTime", "GetCapabilities", "GetDeviceInformation", "GetProfiles"] + Array(repeating: "GetStreamUri", count: 3))
    }

    @Test(arguments: ["token", "digest"]) func aCameraThatWantsAPasswordGetsItsDigest(kind: String) async throws {
        let camera = try await MockCamera("--auth", kind)
        #expect(try await camera.describe(user: "viewer").profiles.count == 3)
        await #expect(throws: ONVIFError.self) { try await camera.describe(user: "viewer", password: "wrong") }
        do {
            _ = try await camera.describe()
            Issue.record("it gave its streams to a stranger")
        } catch let error as ONVIFError { #expect(error.kind == .credentials && !error.description.contains("secret")) }
        let state = try await camera.state()
        #expect(state.invalid.isEmpty, "\(state.invalid)")
    }

    /// It refuses whatever is 5 s old by its own clock.
    @Test(arguments: [-86_400, 7200]) func aCameraWhoseClockIsOffIsSignedInToByItsClock(seconds: Int) async throws {
        let camera = try await MockCamera("--auth", "token", "--clock-offset", "\(seconds)")
        let description = try await camera.describe(user: "viewer")
        #expect(abs(description.clockOffsetMilliseconds - Int64(seconds) * 1000) < 3000)
        #expect(description.profiles.count == 3)
    }

    @Test func eightDevicesAreAskedAtATimeAndTheAnswersKeepTheirOrder() async throws {
        let camera = try await MockCamera()
        let dead = try #require(DeviceURL(deviceAt: "127.0.0.1:\(try freePort())"))
        let devices = try (0..<20).map { $0 == 7 ? DiscoveredDevice(url: dead) : try camera.found }
        let results = try await ONVIFClient.with(credentials: nil, clocks: MachineClocks()) { try await $0.survey(devices) }
        #expect(results.count == 20)
        for (index, result) in results.enumerated() {
            switch result {
            case .success(let description): #expect(index != 7 && description.profiles.count == 3)
            case .failure(let error): #expect(index == 7 && error.kind == .unreachable, "\(index): \(error)")
            }
        }
    }

    /// Subscribes, hears what happens, and takes the subscription back when told to stop.
    @Test func eventsArriveUntilTheSubscriptionIsTakenBack() async throws {
        let camera = try await MockCamera("--auth", "token", "--clock-offset", "3600")
        let heard = Watched<[ONVIFNotification]>([])
        try await subscribed(to: camera, user: "viewer", heard: heard) {
            _ = try await heard.wait(for: "four notifications", within: .seconds(20)) { $0.count >= 4 ? true : nil }
        }
        #expect(heard.value.map { $0.state.map { "\($0.trigger) \($0.isActive)" } ?? "nothing" } == ["motion false", "motion true", "motion true", "digitalInput true"])
        #expect(heard.value[0].operation == "Initialized" && heard.value[0].sourceTokens["VideoSourceConfigurationToken"] == "c1")
        let state = try await camera.state()
        #expect(state.invalid.isEmpty, "\(state.invalid)")
        #expect(state.subscriptions == 1 && state.ended == 1)
    }

    /// The camera forgets the subscription after two pulls, as after a restart: it is made anew after the wait that was drawn.
    @Test func aSubscriptionThatEndsIsMadeAnewWithGrowingWaits() async throws {
        let camera = try await MockCamera("--ends-after", "2")
        let heard = Watched<[ONVIFNotification]>([])
        let waits = Watched<[Duration]>([])
        try await subscribed(to: camera, user: nil, heard: heard, waits: waits) {
            _ = try await heard.wait(for: "three subscriptions' notifications", within: .seconds(20)) { $0.count >= 9 ? true : nil }
        }
        #expect(waits.value.prefix(2) == [.seconds(1), .seconds(1)], "a pull that worked starts the waits over")
        let state = try await camera.state()
        #expect(state.subscriptions >= 3 && state.invalid.isEmpty, "\(state.invalid)")
    }

    @Test func aCameraThatIsGoneIsTriedAgainAtMostEveryThirtySeconds() async throws {
        let device = try #require(DeviceURL(deviceAt: "127.0.0.1:\(try freePort())"))
        let waits = Watched<[Duration]>([])
        await #expect(throws: TestFailure.self) {
            try await ONVIFClient.with(credentials: nil, clocks: MachineClocks()) { client in
                await client.device(at: device).runSubscription(
                    jitter: { 0 },
                    sleep: { wait in
                        waits.update { $0.append(wait) }
                        if waits.value.count == 8 { throw TestFailure("enough") }
                    }, changed: { _ in }, take: { _ in })
                throw TestFailure("ended, as it should when the sleep is cancelled")
            }
        }
        #expect(waits.value == [1, 2, 4, 8, 16, 30, 30, 30].map { .seconds($0) })
        #expect(ONVIFDevice.pause(afterFailures: 6, jitter: 1) == .seconds(15) && ONVIFDevice.pause(afterFailures: 1, jitter: 1) == .seconds(1))
    }

    @Test func answersThatAreTooLargeHostileOrNoSOAPAreRefusedWithASentence() async throws {
        let folder = try TemporaryDirectory("answers")
        let answers = [
            "<r/>", "", "not XML", "<!DOCTYPE r [<!ENTITY a SYSTEM 'file:///etc/passwd'>]><r>&a;</r>", String(repeating: "<e>", count: 5000),
            String(repeating: " ", count: 3 << 20), Samples.notify,
        ]
        for (index, answer) in answers.enumerated() { try answer.write(toFile: folder.path("\(index)"), atomically: true, encoding: .utf8) }
        let server = try RunningProcess(
            MockCamera.python,
            ["-c", """
                import http.server, sys
                class H(http.server.BaseHTTPRequestHandler):
                    def do_POST(self):
                        self.rfile.read(int(self.headers['Content-Length'])); b = open(sys.argv[1] + self.path, 'rb').read()
                        self.send_response(200); self.send_header('Content-Length', str(len(b))); self.end_headers(); self.wfile.write(b)
                s = http.server.ThreadingHTTPServer(('127.0.0.1', 0), H); print(s.server_address[1], flush=True); s.serve_forever()
                """, folder.path("").hasSuffix("/") ? String(folder.path("").dropLast()) : folder.path("")])
        let port = try await server.line()
        let devices = try answers.indices.map { DiscoveredDevice(url: try #require(DeviceURL("http://127.0.0.1:\(port)/\($0)"))) }
        let results = try await ONVIFClient.with(credentials: nil, clocks: MachineClocks()) { try await $0.survey(devices) }
        for (index, result) in results.enumerated() {
            guard case .failure(let error) = result else {
                Issue.record("answer \(index) was taken")
                continue
            }
            #expect(error.kind == .answer && error.description.utf8.count > 20 && error.description.utf8.count < 400, "\(index): \(error)")
        }
        server.send(SIGKILL)
    }

    /// The boot clock says that half a minute went by with every look at it.
    private struct HurriedClocks: Clocks {
        let bootID = "test-boot"
        let looks = Watched(Int64(0))
        func now() -> Moment {
            var moment = MachineClocks().now()
            moment.bootNanoseconds += looks.update { looks in
                looks += 1
                return looks * 30_000_000_000
            }
            return moment
        }
    }

    @Test func aSubscriptionIsRenewedBeforeItEnds() async throws {
        let camera = try await MockCamera()
        let heard = Watched<[ONVIFNotification]>([])
        try await subscribed(to: camera, user: nil, clocks: HurriedClocks(), heard: heard) {
            _ = try await heard.wait(for: "four notifications", within: .seconds(20)) { $0.count >= 4 ? true : nil }
        }
        let state = try await camera.state()
        #expect(state.renewed >= 2 && state.subscriptions == 1 && state.invalid.isEmpty, "\(state)")
    }

    /// What the camera puts into its addresses, the program keeps to itself.
    @Test(arguments: [
        ("rtsp://{user}:{password}@127.0.0.1/{token}", true), ("rtsp://127.0.0.1/user={user}_password={password}_channel=1_stream={token}.sdp", false),
        ("rtsp://127.0.0.1/{token}?usr={user}&pwd={password}", false), ("rtsp://127.0.0.1/{token}/{password}/x", false), ("rtsp://10.9.9.9/{token}", false),
        ("rtsp://{user}:{password}/x@127.0.0.1/{token}", false), ("file:///etc/passwd", false), ("rtsp://127.0.0.1/{token}\n  - id: evil", false),
    ])
    func onlyCleanAddressesOfTheCameraItselfAreOfferedForPasting(address: String, isOffered: Bool) async throws {
        let folder = try TemporaryDirectory("discover")
        try "Geheim7!x".write(toFile: folder.path("password"), atomically: true, encoding: .utf8)
        let camera = try await MockCamera("--auth", "token", "--password", "Geheim7!x", "--stream", address)
        let node = try Here.product("fieldpost-edge")
        for form in [[], ["--json"]] {
            let outcome = try await run(node, ["discover", "--address", "127.0.0.1:\(camera.port)", "--username", "viewer", "--password-file", folder.path("password")] + form)
            let all = outcome.output + outcome.errors
            #expect(!all.contains("Geheim7") && all.contains("M-1"), "\(all)")
            #expect(!outcome.output.contains("\n  - id: evil"))
            if form.isEmpty { #expect(outcome.output.contains("  - id: \"m-1\"\n    url: \"rtsp://127.0.0.1/high\"\n    username: \"viewer\"\n") == isOffered, "\(all)") }
        }
    }

    @Test func anAnswerThatTricklesIsGivenUp() async throws {
        let server = try RunningProcess(
            MockCamera.python,
            ["-c", """
                import socket, time
                s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True)
                c, _ = s.accept(); c.recv(65536); c.sendall(b'HTTP/1.1 200 OK\\r\\nContent-Length: 100000\\r\\n\\r\\n')
                for _ in range(400):
                    c.sendall(b' '); time.sleep(0.1)
                """])
        let url = try #require(DeviceURL(deviceAt: "127.0.0.1:\(try await server.line())"))
        let began = ContinuousClock.now
        let results = try await ONVIFClient.with(credentials: nil, clocks: MachineClocks()) { try await $0.survey([DiscoveredDevice(url: url)]) }
        guard case .failure(let error) = try #require(results.first) else {
            Issue.record("a description out of nothing")
            return
        }
        #expect(error.kind == .unreachable && error.description.contains("within 5 s"), "\(error)")
        #expect(ContinuousClock.now - began < .seconds(10))
        server.send(SIGKILL)
    }

    private func subscribed(
        to camera: MockCamera, user: String?, clocks: any Clocks = MachineClocks(), heard: Watched<[ONVIFNotification]>, waits: Watched<[Duration]> = Watched([]), until done: @Sendable @escaping () async throws -> Void
    ) async throws {
        let url = try camera.found.url
        try await ONVIFClient.with(credentials: user.map { ONVIFCredentials(userName: $0, password: "secret") }, clocks: clocks) { client in
            try await withThrowingTaskGroup(of: Void.self) { tasks in
                tasks.addTask {
                    await client.device(at: url).runSubscription(jitter: { 0 }, sleep: { wait in waits.update { $0.append(wait) } }, changed: { _ in }) { notification in
                        heard.update { $0.append(notification) }
                    }
                }
                tasks.addTask { try await done() }
                try await tasks.next()
                tasks.cancelAll()
                try await tasks.waitForAll()
            }
        }
    }
}
