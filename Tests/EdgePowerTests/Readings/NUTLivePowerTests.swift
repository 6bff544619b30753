@testable import EdgePower
import Foundation
import NIOCore
import NIOPosix
import RecordingModel
import TestSupport
import Testing

/// Debian's upsd with its dummy driver (package nut-server), in a folder and on a port of the test's own.
@Suite("A real upsd")
struct NUTLivePowerTests {
    private func freePort() async throws -> Int {
        let server = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton).bind(host: "127.0.0.1", port: 0).get()
        defer { server.close(promise: nil) }
        guard let port = server.localAddress?.port else { throw TestFailure("no port is free") }
        return port
    }

    @Test func `A UPS is read, on mains and on battery; without its driver there is no reading`() async throws {
        let folder = try TemporaryDirectory("nut")
        let port = try await freePort()
        try folder.write("[node]\ndriver = dummy-ups\nport = node.dev\npollinterval = 1\n", to: "ups.conf")
        try folder.write("LISTEN 127.0.0.1 \(port)\nMAXAGE 3\n", to: "upsd.conf")
        try folder.write("", to: "upsd.users")
        try folder.write("ups.status: OL CHRG\nbattery.charge: 87\nbattery.voltage: 13.2\nbattery.runtime: 1800\n", to: "node.dev")
        let environment = ["NUT_CONFPATH": folder.path, "NUT_STATEPATH": folder.path, "NUT_ALTPIDPATH": folder.path]
        // Debian's /sbin/upsd is a script that asks /etc/nut whether it may.
        let server = try RunningProcess("/lib/nut/upsd", ["-F", "-u", NSUserName()], environment: environment)
        defer { server.send(SIGKILL) }
        let measured = Measured(.nut(host: "127.0.0.1", port: port, ups: "node"))
        let driver = try RunningProcess("/lib/nut/dummy-ups", ["-a", "node", "-u", NSUserName(), "-F"], environment: environment)
        defer { driver.send(SIGKILL) }

        try await measured.wait(for: "the UPS on mains", within: .seconds(60)) { $0.value(.batteryPercent) == 87 }
        #expect(measured.value(.isExternalPowerPresent) == 1 && measured.value(.batteryVolts) == 13.2 && measured.value(.isCharging) == 1)
        #expect(measured.monitor.estimate()?.isExternalPowerPresent == true && measured.monitor.estimate()?.secondsToEmpty == nil)

        try folder.write("ups.status: OB DISCHRG LB\nbattery.charge: 9\nbattery.voltage: 11.4\nbattery.runtime: 60\n", to: "node.dev")
        try await measured.wait(for: "the UPS on battery", within: .seconds(40)) { $0.value(.batteryPercent) == 9 }
        let estimate = try #require(measured.monitor.estimate())
        #expect(!estimate.isExternalPowerPresent && estimate.isBatteryLow && estimate.secondsToEmpty == 60 && estimate.batteryBasis == "gauge")

        driver.send(SIGKILL)
        // Two questions at least fall into this: whatever is told in it would be of before.
        try await Task.sleep(for: .seconds(6))
        let gone = measured.reading(.batteryPercent)?.bootMilliseconds ?? 0
        try await Task.sleep(for: .seconds(8))
        #expect(measured.reading(.batteryPercent)?.bootMilliseconds == gone)
        let again = try RunningProcess("/lib/nut/dummy-ups", ["-a", "node", "-u", NSUserName(), "-F"], environment: environment)
        defer { again.send(SIGKILL) }
        try await measured.wait(for: "the UPS with its driver again", within: .seconds(40)) { ($0.reading(.batteryPercent)?.bootMilliseconds ?? 0) > gone }
    }

    /// What a server that is none, or means harm, sends to whoever comes.
    @Test(arguments: [
        String(repeating: "x", count: 100_000), "HTTP/1.1 400 Bad Request\r\n\r\n", "ERR DATA-STALE\n", "BEGIN LIST VAR node\nEND LIST VAR node\n",
        "BEGIN LIST VAR node\n" + String(repeating: "VAR node a \"1\"\n", count: 1_000),
    ])
    func `A server that does not speak as upsd does is left, asked again, and gives no reading`(text: String) async throws {
        let connections = Watched(0)
        let server = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { channel in
                connections.update { $0 += 1 }
                channel.writeAndFlush(ByteBuffer(string: text), promise: nil)
                return channel.eventLoop.makeSucceededVoidFuture()
            }
            .bind(host: "127.0.0.1", port: 0).get()
        defer { server.close(promise: nil) }
        let measured = Measured(.nut(host: "localhost", port: server.localAddress?.port ?? 0, ups: "node"))
        try await connections.wait(for: "a third try", within: .seconds(20)) { $0 >= 3 ? true : nil }
        #expect(measured.monitor.readings.isEmpty)
        let began = ContinuousClock.now
        measured.monitor.stop()
        #expect(ContinuousClock.now - began < .seconds(1))
    }
}
