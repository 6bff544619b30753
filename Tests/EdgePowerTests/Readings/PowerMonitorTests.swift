@testable import EdgePower
import Foundation
import Logging
import RecordingModel
import Synchronization
import TestSupport
import Testing

@Suite("The monitor of sources")
struct PowerMonitorTests {
    private final class SetClocks: Clocks {
        let bootID = "test-boot"
        let milliseconds = Mutex<Int64>(1_000)
        func now() -> Moment {
            Moment(bootNanoseconds: milliseconds.withLock { $0 } * 1_000_000, wall: WallEstimate(unixMilliseconds: 0, source: .none, uncertaintyMilliseconds: 0))
        }
    }

    /// Tells once, and then waits for the order; or for nothing at all.
    private struct MadeSource: PowerSource {
        var name: String
        var readings: [PowerReading] = []
        var hangs: DispatchSemaphore?
        let isRunning = Watched(false)

        func run(_ deliver: @escaping @Sendable ([PowerReading]) -> Void, stop: PowerStop) {
            isRunning.update { $0 = true }
            deliver(readings)
            if let hangs { hangs.wait() } else { while !stop.wait(milliseconds: 60_000) {} }
            isRunning.update { $0 = false }
        }
    }

    private let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    @Test func `Each source has a thread, what they tell is one estimate, and silence ends it`() async throws {
        let clocks = SetClocks()
        let sources = [(PowerQuantity.batteryPercent, 64.0), (.panelWatts, 21), (.loadWatts, 9)].map { quantity, value in
            MadeSource(name: quantity.rawValue, readings: [PowerReading(quantity, value, bootMilliseconds: 1_000, source: quantity.rawValue, confidence: .high)])
        }
        let monitor = PowerMonitor(sources: sources, battery: .unknown, clocks: clocks, logger: logger)
        #expect(monitor.estimate() == nil)
        let changes = monitor.changes()
        monitor.start()
        for await _ in changes where monitor.readings.count == 3 { break }
        for source in sources { try await source.isRunning.wait(for: "all run at once", within: .seconds(5)) { $0 ? true : nil } }
        let estimate = try #require(monitor.estimate())
        #expect(estimate.batteryPercent == 64 && estimate.panelWatts == 21 && estimate.batteryWatts == 12)
        clocks.milliseconds.withLock { $0 += 60_001 }
        #expect(monitor.estimate() == nil && monitor.readings.count == 3)
        monitor.stop()
        #expect(sources.allSatisfy { !$0.isRunning.value })
    }

    @Test func `A source that hangs holds nobody up for more than two seconds`() async throws {
        let release = DispatchSemaphore(value: 0)
        let hanging = MadeSource(name: "hangs", hangs: release)
        let other = MadeSource(name: "works")
        let monitor = PowerMonitor(sources: [hanging, other], battery: .unknown, clocks: SetClocks(), logger: logger)
        monitor.start()
        try await hanging.isRunning.wait(for: "it runs", within: .seconds(5)) { $0 ? true : nil }
        let began = ContinuousClock.now
        monitor.stop()
        let took = ContinuousClock.now - began
        #expect(took >= .seconds(1.9) && took < .seconds(3))
        #expect(!other.isRunning.value)
        release.signal()
        try await hanging.isRunning.wait(for: "it ends by itself", within: .seconds(5)) { $0 ? nil : true }
    }

    @Test func `It can be stopped twice, started again, and forgotten while it runs`() async throws {
        let source = MadeSource(name: "works")
        do {
            let monitor = PowerMonitor(sources: [source], battery: .unknown, clocks: SetClocks(), logger: logger)
            monitor.stop()
            monitor.start()
            monitor.start()
            try await source.isRunning.wait(for: "it runs", within: .seconds(5)) { $0 ? true : nil }
            monitor.stop()
            monitor.stop()
            #expect(!source.isRunning.value)
            monitor.start()
            try await source.isRunning.wait(for: "it runs again", within: .seconds(5)) { $0 ? true : nil }
        }
        try await source.isRunning.wait(for: "it ends with its monitor", within: .seconds(5)) { $0 ? nil : true }
    }
}
