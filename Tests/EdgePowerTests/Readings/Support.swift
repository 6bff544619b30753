@testable import EdgePower
import Foundation
import Logging
import RecordingModel
import SystemPackage
import TestSupport

/// The machine's own clocks.
struct MachineClocks: Clocks {
    let bootID = "test-boot"
    func now() -> Moment {
        var time = timespec()
        clock_gettime(CLOCK_BOOTTIME, &time)
        let boot = Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
        return Moment(bootNanoseconds: boot, wall: WallEstimate(unixMilliseconds: 1_790_000_000_000, source: .rtc, uncertaintyMilliseconds: 60_000))
    }
}

/// Steele, Lea and Flood's SplitMix64.
struct SeededRandom: RandomNumberGenerator {
    var state: UInt64
    init(seed: UInt64) { state = seed }
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ mixed >> 30) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
        return mixed ^ mixed >> 31
    }
}

let python = ProcessInfo.processInfo.environment["FIELDPOST_PYTHON"] ?? Here.repository + "/.build/deploy-venv/bin/python3"

/// A monitor of one source while a test runs, and what came of it.
final class Measured: Sendable {
    let monitor: PowerMonitor

    init(_ settings: PowerSourceSettings, battery: BatterySettings = .unknown, root: String = "/") {
        let clocks = MachineClocks()
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        monitor = PowerMonitor(sources: [settings.open(named: "x", clocks: clocks, root: FilePath(root), logger: logger)], battery: battery, clocks: clocks, logger: logger)
        monitor.start()
    }

    deinit { monitor.stop() }

    func value(_ quantity: PowerQuantity) -> Double? { monitor.readings.first { $0.quantity == quantity }?.value }
    func reading(_ quantity: PowerQuantity) -> PowerReading? { monitor.readings.first { $0.quantity == quantity } }

    /// Waits, by the monitor's own changes, until the condition holds.
    func wait(for what: String, within limit: Duration = .seconds(20), _ condition: @escaping @Sendable (Measured) -> Bool) async throws {
        // Asked for first: a change between the look and the wait is not lost.
        let changes = monitor.changes()
        if condition(self) { return }
        let isMet = await withTaskGroup(of: Bool.self) { group in
            group.addTask {
                for await _ in changes where condition(self) { return true }
                return false
            }
            group.addTask {
                try? await Task.sleep(for: limit)
                return false
            }
            defer { group.cancelAll() }
            return await group.next() ?? false
        }
        guard isMet else { throw TestFailure("\(what) did not come within \(limit); there are \(monitor.readings)") }
    }
}

/// A text block as a Victron device sends it.
func veDirectBlock(_ fields: [(String, String)]) -> [UInt8] {
    var bytes = Array(fields.map { "\r\n\($0.0)\t\($0.1)" }.joined().utf8) + Array("\r\nChecksum\t".utf8)
    bytes.append(0 &- bytes.reduce(0, &+))
    return bytes
}

/// A HEX frame as a Victron device tells a register by itself.
func veDirectFrame(register: UInt16, value: [UInt8], flags: UInt8 = 0) -> [UInt8] {
    let payload = [UInt8(register & 0xFF), UInt8(register >> 8), flags] + value
    let check = 0x55 &- payload.reduce(0xA, &+)
    return Array((":A" + (payload + [check]).map { String(format: "%02X", $0) }.joined() + "\n").utf8)
}

let solarCharger: [(String, String)] = [
    ("PID", "0xA05F"), ("FW", "139"), ("V", "12810"), ("I", "1500"), ("VPV", "18340"), ("PPV", "20"), ("CS", "3"), ("MPPT", "2"), ("ERR", "0"), ("LOAD", "ON"),
    ("IL", "300"), ("H20", "7"),
]
