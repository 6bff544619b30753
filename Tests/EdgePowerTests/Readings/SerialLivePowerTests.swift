@testable import EdgePower
import Foundation
import RecordingModel
import Synchronization
import SystemPackage
import TestSupport
import Testing

@Suite("Serial ports")
struct SerialLivePowerTests {
    private func block(percent: Double) -> [UInt8] { veDirectBlock([("PID", "0x203"), ("V", "12800"), ("I", "-500"), ("SOC", "\(Int((percent * 10).rounded()))")]) }

    /// The program says when it has opened the port only by reading; the test speaks until it is heard.
    private func speak(_ terminal: PseudoTerminal, _ bytes: [UInt8], until what: String, _ measured: Measured, _ condition: @escaping @Sendable (Measured) -> Bool) async throws {
        let speaking = Task {
            while !Task.isCancelled {
                terminal.send(bytes)
                try? await Task.sleep(for: .milliseconds(100))
            }
        }
        defer { speaking.cancel() }
        try await measured.wait(for: what, condition)
    }

    @Test func `A device is read, through noise and flipped bits, and nothing damaged is told`() async throws {
        let terminal = try PseudoTerminal()
        let measured = Measured(.veDirect(device: FilePath(terminal.path)))
        try await speak(terminal, block(percent: 83.9), until: "the first block", measured) { $0.value(.batteryPercent) == 83.9 }
        #expect(measured.monitor.estimate()?.batteryBasis == "shunt")
        var random = SeededRandom(seed: 4)
        for _ in 0..<200 {
            var damaged = block(percent: 11.1)
            damaged[Int.random(in: 0..<damaged.count, using: &random)] ^= 1 << UInt8.random(in: 0..<8, using: &random)
            terminal.send(damaged)
            terminal.send((0..<20).map { _ in UInt8.random(in: 0...255, using: &random) })
        }
        // Silence ends what noise began.
        try await Task.sleep(for: .milliseconds(700))
        try await speak(terminal, block(percent: 83.8), until: "a block after noise", measured) { $0.value(.batteryPercent) == 83.8 }
    }

    @Test func `Half a block before a pause is not joined with one after it`() async throws {
        let terminal = try PseudoTerminal()
        let measured = Measured(.veDirect(device: FilePath(terminal.path)))
        try await speak(terminal, block(percent: 50), until: "a block", measured) { $0.value(.batteryPercent) == 50 }
        terminal.send(Array(block(percent: 40).prefix(25)))
        try await Task.sleep(for: .milliseconds(800))
        // Had the half been kept, this one would be spoilt too; once is enough.
        terminal.send(block(percent: 30))
        try await measured.wait(for: "the block after the pause") { $0.value(.batteryPercent) == 30 }
    }

    @Test func `A cable that is pulled out is silence, and one that is plugged in again is read`() async throws {
        let folder = try TemporaryDirectory("serial")
        let first = try PseudoTerminal()
        let link = folder.path("port")
        try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: first.path)
        let measured = Measured(.veDirect(device: FilePath(link)))
        try await speak(first, block(percent: 70), until: "the first block", measured) { $0.value(.batteryPercent) == 70 }
        first.unplug()
        try FileManager.default.removeItem(atPath: link)
        try await Task.sleep(for: .milliseconds(900))
        let second = try PseudoTerminal()
        try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: second.path)
        try await speak(second, block(percent: 69), until: "a block after plugging in", measured) { $0.value(.batteryPercent) == 69 }
    }

    @Test func `A port that another has is not taken, and what is no port is refused`() throws {
        let terminal = try PseudoTerminal()
        let port = try SerialPort(FilePath(terminal.path), speed: .baud19200)
        let error = #expect(throws: PowerSourceProblem.self) { _ = try SerialPort(FilePath(terminal.path), speed: .baud19200) }
        #expect(error?.description.contains("another program uses") == true)
        #expect(throws: PowerSourceProblem.self) { _ = try SerialPort("/dev/null", speed: .baud19200) }
        #expect(throws: PowerSourceProblem.self) { _ = try SerialPort("/dev/none", speed: .baud19200) }
        #expect(port.path.string == terminal.path)
    }

    @Test func `A source that waits for bytes stops at once`() async throws {
        let terminal = try PseudoTerminal()
        for settings in [PowerSourceSettings.veDirect(device: FilePath(terminal.path)), .epever(device: FilePath(terminal.path))] {
            let measured = Measured(settings)
            try await Task.sleep(for: .milliseconds(200))
            let began = ContinuousClock.now
            measured.monitor.stop()
            #expect(ContinuousClock.now - began < .seconds(1))
        }
    }

    /// pymodbus on one pseudo-terminal, the program on another, the test between them.
    @Test func `A Modbus device of another's making is read, and again after its answers were damaged`() async throws {
        let (device, port) = (try PseudoTerminal(), try PseudoTerminal())
        let script = Here.repository + "/Tests/EdgePowerTests/Readings/modbus_device.py"
        let peer = try RunningProcess(
            python, [script, device.path, "1", "0x3100=1840,210,3864,0,0,0,3600,0,0,0,0,0,1320,100,1320,0", "0x3110=64786,2512", "0x311A=87,0", "0x331A=1325,65336,65535", "0x330C=12,0"],
            environment: ["PYTHONDONTWRITEBYTECODE": "1"])
        defer { peer.send(SIGKILL) }
        #expect(try await peer.line() == "ready")
        let isDamaging = Mutex(false)
        let cable = Task {
            while !Task.isCancelled {
                let asked = port.receive() ?? []
                if !asked.isEmpty { device.send(asked) }
                var answered = device.receive() ?? []
                if !answered.isEmpty {
                    if isDamaging.withLock({ $0 }) { answered[answered.count / 2] ^= 0x10 }
                    port.send(answered)
                }
                try? await Task.sleep(for: .milliseconds(2))
            }
        }
        defer { cable.cancel() }
        let measured = Measured(.epever(device: FilePath(port.path)))
        try await measured.wait(for: "the controller's values") { $0.value(.batteryAmperes) == -2 }
        #expect(measured.value(.panelVolts) == 18.4 && measured.value(.panelWatts) == 38.64 && measured.value(.batteryVolts) == 13.25)
        #expect(measured.value(.batteryPercent) == 87 && measured.value(.loadWatts) == 13.2 && measured.value(.panelWattHoursToday) == 120)
        #expect(measured.value(.batteryCelsius) == -7.5 && measured.value(.isCharging) == nil, "the peer has no status registers: it refuses them")
        isDamaging.withLock { $0 = true }
        let before = measured.reading(.batteryVolts)?.bootMilliseconds ?? 0
        try await Task.sleep(for: .seconds(7))
        let during = measured.reading(.batteryVolts)?.bootMilliseconds ?? 0
        isDamaging.withLock { $0 = false }
        try await measured.wait(for: "values after the damage", within: .seconds(40)) { ($0.reading(.batteryVolts)?.bootMilliseconds ?? 0) > during + 1 }
        #expect(during - before < 6_000, "one whole round at most was read before the damage began")
        #expect(measured.monitor.implausibleCount == 0)
    }
}
