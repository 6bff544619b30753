@testable import EdgeONVIF
import Foundation
import RecordingModel
import TestSupport

/// `mock_camera.py` while a test runs.
struct MockCamera {
    static let python = ProcessInfo.processInfo.environment["FIELDPOST_PYTHON"] ?? Here.repository + "/.build/deploy-venv/bin/python3"
    static func script(_ name: String) -> String { "\(Here.repository)/Tests/EdgeONVIFTests/\(name)" }

    struct State: Decodable {
        var asked: [String]
        /// Requests and answers that ONVIF's schemas refuse.
        var invalid: [String]
        var subscriptions: Int
        var ended: Int
        var renewed: Int
        var pulls: Int
        var refused: Int
    }

    let port: Int
    private let process: RunningProcess

    init(_ arguments: String...) async throws {
        process = try RunningProcess(Self.python, [Self.script("mock_camera.py")] + arguments, environment: ["PYTHONDONTWRITEBYTECODE": "1"])
        guard let port = Int(try await process.line()) else { throw TestFailure("the mock camera printed no port: \(process.errors)") }
        self.port = port
    }

    var found: DiscoveredDevice {
        get throws {
            guard let url = DeviceURL(deviceAt: "127.0.0.1:\(port)") else { throw TestFailure("no address") }
            return DiscoveredDevice(url: url)
        }
    }

    func state() async throws -> State {
        let answer = try await runSuccessfully("curl", ["-sS", "http://127.0.0.1:\(port)/state"])
        return try JSONDecoder().decode(State.self, from: Data(answer.output.utf8))
    }

    /// What the one device of a survey says.
    func describe(user: String? = nil, password: String = "secret") async throws -> DeviceDescription {
        let credentials = user.map { ONVIFCredentials(userName: $0, password: password) }
        let found = try found
        let results = try await ONVIFClient.with(credentials: credentials, clocks: MachineClocks()) { try await $0.survey([found]) }
        guard let result = results.first, results.count == 1 else { throw TestFailure("\(results.count) results for one device") }
        return try result.get()
    }
}

/// The machine's own clocks.
struct MachineClocks: Clocks {
    let bootID = "test-boot"
    func now() -> Moment {
        func nanoseconds(_ clock: clockid_t) -> Int64 {
            var time = timespec()
            clock_gettime(clock, &time)
            return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
        }
        return Moment(
            bootNanoseconds: nanoseconds(CLOCK_BOOTTIME),
            wall: WallEstimate(unixMilliseconds: nanoseconds(CLOCK_REALTIME) / 1_000_000, source: .ntp, uncertaintyMilliseconds: 10))
    }
}
