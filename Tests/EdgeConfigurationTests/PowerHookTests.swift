import EdgePower
import Foundation
import Logging
import RecordingModel
import ServiceSupport
import TestSupport
import Testing

@testable import fieldpost_edge

private let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

@Suite struct PowerHookTests {
    private let directory: TemporaryDirectory
    private let file: String
    private let gate: CameraID
    private let yard: CameraID

    init() throws {
        directory = try TemporaryDirectory("hooks")
        file = directory.path("out")
        gate = try #require(CameraID("gate"))
        yard = try #require(CameraID("yard"))
    }

    private func lines() -> [String] { ((try? String(contentsOfFile: file, encoding: .utf8)) ?? "").split(separator: "\n").map(String.init) }

    private func echo(_ call: PowerHookCall) -> [String] {
        ["/bin/sh", "-c", "echo \(call.camera.map { "\($0) " } ?? "")\(call.hook.rawValue) >> \(file)"]
    }

    /// Goes through the states one after the other, each until all of its hooks have run.
    private func run(_ commands: [PowerHookCall: [String]], _ states: [PowerState]) async -> [String] {
        let runner = PowerHookRunner(commands: commands, logger: quiet)
        let task = Task { await runner.run() }
        for state in states {
            runner.set(PowerSwitches(.standard(state, reason: ""), cameras: [gate, yard], priority: [gate]))
            let isSettled = await runner.isSettled(withinMilliseconds: 20_000)
            #expect(isSettled, "\(state)")
        }
        task.cancel()
        await task.value
        return lines()
    }

    // MARK: commands

    @Test func `a command gets its arguments as they are, and neither a shell nor the node's signals`() throws {
        try PowerCommand.run(["/bin/sh", "-c", "printf '%s|' \"$@\" > \(file)", "_", "a b", "$(c)", "*"])
        #expect(try String(contentsOfFile: file, encoding: .utf8) == "a b|$(c)|*|")
        #expect(throws: CommandError.self) { try PowerCommand.run([directory.path("nothing")]) }
        func sentence(_ words: [String], limit: Int64 = 10_000) -> String {
            do { try PowerCommand.run(words, limitMilliseconds: limit) } catch { return "\(error)" }
            return ""
        }
        #expect(sentence(["/bin/false"]) == "/bin/false ended with 1")
        let began = ContinuousClock.now
        #expect(sentence(["/bin/sleep", "60"], limit: 1_000) == "/bin/sleep did not end within 1 s and was killed")
        #expect(ContinuousClock.now - began < .seconds(3))
    }

    /// The shell writes its number first, so that the test knows when it runs, and whom to look for.
    private func stopped(_ atStop: PowerCommand.AtStop, _ script: String) async throws -> (sentence: String, took: Duration, process: Int32) {
        let (words, file) = (["/bin/sh", "-c", "echo $$ > \(file); \(script)"], file)
        // The number of an earlier program would be taken for this one's.
        try? FileManager.default.removeItem(atPath: file)
        let task = Task { () -> String in
            do { try await PowerCommand.runUntilCancelled(words, atStop: atStop) } catch { return "\(error)" }
            return ""
        }
        let process = try await eventually("the program", within: .seconds(10)) {
            (try? String(contentsOfFile: file, encoding: .utf8)).flatMap { $0.hasSuffix("\n") ? Int32($0.dropLast()) : nil }
        }
        let began = ContinuousClock.now
        task.cancel()
        return (await task.value, ContinuousClock.now - began, process)
    }

    @Test func `a program that runs as the node stops has two seconds to end, and is killed then`() async throws {
        let slow = try await stopped(.end, "exec sleep 60")
        #expect(slow.sentence == "/bin/sh was killed, because the node stops" && slow.took > .milliseconds(1_900) && slow.took < .seconds(4), "\(slow)")
        #expect(kill(slow.process, 0) != 0)
        let quick = try await stopped(.end, "sleep 1")
        #expect(quick.sentence.isEmpty && quick.took < .milliseconds(1_900), "\(quick)")
    }

    @Test func `a program that halts the machine is not waited for as the node stops, and not killed`() async throws {
        let halting = try await stopped(.leave, "exec sleep 60")
        #expect(halting.sentence.contains("left to itself") && halting.took < .seconds(1), "\(halting)")
        #expect(kill(halting.process, 0) == 0)
        kill(halting.process, SIGKILL)
    }

    @Test func `nothing is started once the node stops`() {
        let stop = PowerStop()
        stop.set()
        #expect(throws: CommandError.self) { try PowerCommand.run(["/bin/sh", "-c", "echo no > \(file)"], stop: stop) }
        #expect(lines().isEmpty)
    }

    // MARK: hooks

    @Test func `hooks run one after the other, what gives current first, and only at a change`() async {
        let commands = PowerHook.allCases.reduce(into: [PowerHookCall: [String]]()) { $0[PowerHookCall(hook: $1)] = echo(PowerHookCall(hook: $1)) }
        let run = await run(commands, [.full, .full, .reduced, .hibernate, .full])
        #expect(run == ["rail_on", "radio_on", "ir_on", "ptz_on", "ptz_off", "ir_off", "radio_off", "rail_off", "rail_on", "radio_on", "ir_on", "ptz_on"], "\(run)")
    }

    @Test func `each camera's own hooks follow what its state allows that camera`() async {
        var commands: [PowerHookCall: [String]] = [:]
        for camera in [gate, yard] {
            for hook in PowerHook.ofCameras { commands[PowerHookCall(hook: hook, camera: camera)] = echo(PowerHookCall(hook: hook, camera: camera)) }
        }
        let run = await run(commands, [.full, .reduced, .sparse, .hibernate, .full])
        let full = ["gate rail_on", "yard rail_on", "gate ir_on", "yard ir_on", "gate ptz_on", "yard ptz_on"]
        let reduced = ["yard ir_off", "yard ptz_off"]
        // The camera that matters still records now and then, in the dark as it is; the other has no current any more.
        let sparse = ["gate ir_off", "gate ptz_off", "yard rail_off"]
        #expect(run == full + reduced + sparse + ["gate rail_off"] + full, "\(run)")
    }

    @Test func `a hook that fails keeps no other from running, and is tried again with the next wish`() async {
        let broken = PowerHookCall(hook: .infraredOn, camera: gate)
        var commands = [PowerHook.railOn, .ptzOn].reduce(into: [PowerHookCall: [String]]()) { $0[PowerHookCall(hook: $1, camera: yard)] = echo(PowerHookCall(hook: $1, camera: yard)) }
        commands[broken] = ["/bin/sh", "-c", "echo tried >> \(file); exit 3"]
        let run = await run(commands, [.full, .full])
        #expect(run == ["yard rail_on", "tried", "yard ptz_on", "tried"], "\(run)")
    }

    @Test func `what is not wished for any more is not run any more`() async throws {
        let (begun, file) = (PowerHookCall(hook: .infraredOn, camera: gate), file)
        var commands = [begun: ["/bin/sh", "-c", "echo begun >> \(file); sleep 1"]]
        for call in [PowerHookCall(hook: .ptzOn, camera: gate), PowerHookCall(hook: .infraredOff, camera: gate)] { commands[call] = echo(call) }
        let runner = PowerHookRunner(commands: commands, logger: quiet)
        let task = Task { await runner.run() }
        runner.set(PowerSwitches(.standard(.full, reason: ""), cameras: [gate], priority: [gate]))
        _ = try await eventually("the first hook", within: .seconds(10)) { (try? String(contentsOfFile: file, encoding: .utf8))?.isEmpty == false ? true : nil }
        runner.set(PowerSwitches(.standard(.sparse, reason: ""), cameras: [gate], priority: [gate]))
        #expect(await runner.isSettled(withinMilliseconds: 10_000))
        #expect(lines() == ["begun", "gate ir_off"], "\(lines())")
        task.cancel()
        await task.value
    }
}
