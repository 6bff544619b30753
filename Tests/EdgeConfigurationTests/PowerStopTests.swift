import EdgeJournal
import EdgePower
import EdgeSync
import Foundation
import Logging
import RecordingModel
import ServiceLifecycle
import ServiceSupport
import Synchronization
import TestSupport
import Testing

@testable import fieldpost_edge

private let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

/// The energy service alone, on a real journal, asked to stop at each moment of its going dark.
@Suite struct PowerStopTests {
    /// Where the service stands when the order to stop comes.
    enum Place: String, CaseIterable, CustomTestStringConvertible {
        case recording = "while everything is on"
        case hook = "while a hook runs that does not end"
        case telling = "while the hub, which is silent, is told that the node goes dark"
        case dark = "in the dark"
        case haltTelling = "while the hub is told that the machine will be halted"
        case haltHook = "while a hook holds up the halt"
        var testDescription: String { rawValue }

        var isHalt: Bool { self == .haltTelling || self == .haltHook }
        var hasHub: Bool { self == .telling || self == .haltTelling }
    }

    private struct Rig {
        let directory: TemporaryDirectory
        let folder: NodeFolder
        let journal: Journal
        let energy: NodeEnergy
        let service: PowerService

        /// - Parameter power: keys of the section beside its sources; BEGUN stands for the file that a hook makes
        init(_ power: String, hasHub: Bool) throws {
            directory = try TemporaryDirectory("stop")
            let battery = directory.path("battery.json")
            try Self.write(80, to: battery)
            let yaml = "data_directory: \(directory.path("data"))\ncameras: [{id: gate, url: 'test:pattern'}]\npower:\n  sources: [{kind: file, path: \(battery)}]\n  speed: 60\n\(power.replacing("BEGUN", with: directory.path("begun")))"
            let configuration = try EdgeConfiguration.decode(Array(yaml.utf8), file: "edge.yaml")
            folder = try NodeFolder(configuration)
            try folder.prepare()
            let clocks = try SystemClocks()
            journal = try folder.openJournal(configuration, identity: folder.identity(), clocks: clocks, logger: quiet)
            let power = try #require(configuration.power)
            energy = NodeEnergy(power, cameras: configuration.cameras.map(\.id))
            service = PowerService(power, energy: energy, folder: folder, journal: journal, hasHub: hasHub, mayHalt: true, clocks: clocks, logger: quiet)
        }

        func say(_ percent: Double) throws { try Self.write(percent, to: directory.path("battery.json")) }

        private static func write(_ percent: Double, to path: String) throws {
            let text = #"{"confidence": "high", "readings": {"batteryPercent": \#(percent), "batteryVolts": 12.9}}"#
            try Data(text.utf8).write(to: URL(fileURLWithPath: path), options: .atomic)
        }

        var hasHookBegun: Bool { FileManager.default.fileExists(atPath: directory.path("begun")) }

        func stands(at place: Place) -> Bool {
            let (state, link) = (energy.report?.state, energy.links.energy)
            switch place {
            case .recording: return state == .full
            case .hook, .haltHook: return hasHookBegun
            case .telling: return state == .hibernate && !link.isRadioOff && link.classes.isEmpty
            case .dark: return state == .hibernate && link.isRadioOff
            case .haltTelling: return state == .halt && !link.isRadioOff && link.classes.isEmpty
            }
        }
    }

    /// The order, and the time until the service has ended.
    private func stop(_ group: ServiceGroup, _ running: Task<Void, any Error>) async throws -> Duration {
        let began = ContinuousClock.now
        await group.triggerGracefulShutdown()
        try await running.value
        return ContinuousClock.now - began
    }

    @Test(.timeLimit(.minutes(2)), arguments: Place.allCases) func `The service ends within a few seconds`(place: Place) async throws {
        let hook = place == .hook ? "ir_off" : place == .haltHook ? "rail_off" : nil
        let rig = try Rig(Self.keys(halts: place.isHalt, hook: hook), hasHub: place.hasHub)
        let group = ServiceGroup(configuration: ServiceGroupConfiguration(services: [rig.service], logger: quiet))
        let running = Task { try await group.run() }
        _ = try await eventually("the battery known", within: .seconds(20), every: .milliseconds(20)) { rig.stands(at: .recording) ? true : nil }
        if place != .recording { try rig.say(place.isHalt ? 7 : 11) }
        _ = try await eventually("\(place.rawValue)", within: .seconds(20), every: .milliseconds(10)) { rig.stands(at: place) ? true : nil }
        let took = try await stop(group, running)
        #expect(took < .seconds(4), "\(place.rawValue): \(took)")
        try expectCleanEnd(rig)
    }

    /// Each of them with a hub that is silent and hooks that take their time; the last ones come when the halt has begun by itself.
    @Test(.timeLimit(.minutes(2)), arguments: 0..<14) func `The service ends within a few seconds at any moment after the battery's last reading`(number: Int) async throws {
        let rig = try Rig(Self.keys(halts: true, hook: nil) + "  hooks: {ir_off: [/bin/sleep, \"0.4\"], ptz_off: [/bin/sleep, \"0.4\"], rail_off: [/bin/sleep, \"0.4\"]}\n", hasHub: true)
        let group = ServiceGroup(configuration: ServiceGroupConfiguration(services: [rig.service], logger: quiet))
        let running = Task { try await group.run() }
        _ = try await eventually("the battery known", within: .seconds(20), every: .milliseconds(20)) { rig.stands(at: .recording) ? true : nil }
        try rig.say(7)
        try await Task.sleep(for: .milliseconds(number * 600))
        let began = ContinuousClock.now
        await group.triggerGracefulShutdown()
        do { try await running.value } catch { #expect(error is NodeHalt, "\(error)") }
        let took = ContinuousClock.now - began
        #expect(took < .seconds(4), "\(number): \(took)")
        try expectCleanEnd(rig)
    }

    @Test(.timeLimit(.minutes(1))) func `The radio has current until the hub has been told, or cannot be`() async throws {
        let rig = try Rig("  notice_seconds: 3\n" + Self.keys(halts: false, hook: "radio_off"), hasHub: true)
        let group = ServiceGroup(configuration: ServiceGroupConfiguration(services: [rig.service], logger: quiet))
        let running = Task { try await group.run() }
        _ = try await eventually("the battery known", within: .seconds(20), every: .milliseconds(20)) { rig.stands(at: .recording) ? true : nil }
        try rig.say(11)
        _ = try await eventually("the attempt to tell the hub", within: .seconds(20), every: .milliseconds(10)) { rig.stands(at: .telling) ? true : nil }
        let began = ContinuousClock.now
        _ = try await eventually("its end", within: .seconds(10), every: .milliseconds(10)) { rig.stands(at: .dark) ? true : nil }
        #expect(ContinuousClock.now - began > .milliseconds(2_500) && !rig.hasHookBegun)
        _ = try await eventually("the radio's hook", within: .seconds(10), every: .milliseconds(20)) { rig.hasHookBegun ? true : nil }
        _ = try await stop(group, running)
        rig.journal.close()
    }

    private static func keys(halts: Bool, hook: String?) -> String {
        (halts ? "  halt_command: [/bin/true]\n" : "") + (hook.map { "  hooks: {\($0): [/bin/sh, -c, \"echo > BEGUN; exec sleep 60\"]}\n" } ?? "")
    }

    /// What a next start finds.
    private func expectCleanEnd(_ rig: Rig) throws {
        rig.journal.close()
        #expect(rig.journal.failure == nil)
        #expect(PowerKept.read(rig.folder, quiet) != nil)
    }

    @Test(.timeLimit(.minutes(1))) func `A disk that hangs is waited for until the order to stop comes, and no longer`() async throws {
        let gate = DispatchSemaphore(value: 0)
        let begun = Watched(false)
        let task = Task {
            try await blockingUntilCancelled {
                begun.update { $0 = true }
                gate.wait()
            }
        }
        _ = try await begun.wait(for: "the call", within: .seconds(10)) { $0 ? true : nil }
        let began = ContinuousClock.now
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
        #expect(ContinuousClock.now - began < .seconds(1))
        gate.signal()
        // Without an order it waits for the end, and tells what went wrong.
        try await blockingUntilCancelled {}
        await #expect(throws: CommandError.self) { try await blockingUntilCancelled { throw CommandError("no") } }
    }
}
