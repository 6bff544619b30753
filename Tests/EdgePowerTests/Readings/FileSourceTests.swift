@testable import EdgePower
import Foundation
import RecordingModel
import SystemPackage
import TestSupport
import Testing

@Suite("Readings from files")
struct FileSourceTests {
    @Test func `What another program writes is taken, again whenever it changes`() async throws {
        let folder = try TemporaryDirectory("readings")
        let path = try folder.write(#"{"readings": {"batteryPercent": 81.5, "isCharging": true, "panelWatts": null}, "confidence": "high"}"#, to: "power.json")
        let measured = Measured(.file(path: FilePath(path)))
        try await measured.wait(for: "the file") { $0.value(.batteryPercent) == 81.5 }
        #expect(measured.reading(.batteryPercent)?.confidence == .high && measured.value(.isCharging) == 1 && measured.value(.panelWatts) == nil)
        try folder.write(#"{"readings": {"batteryPercent": 80}}"#, to: "power.json.new")
        try FileManager.default.removeItem(atPath: path)
        try FileManager.default.moveItem(atPath: folder.path("power.json.new"), toPath: path)
        try await measured.wait(for: "the new file") { $0.value(.batteryPercent) == 80 }
        #expect(measured.reading(.batteryPercent)?.confidence == .medium)
    }

    @Test func `An old file is an old reading, by its own time and by that of its writing`() async throws {
        let folder = try TemporaryDirectory("readings")
        let now = Date().timeIntervalSince1970
        let own = Measured(.file(path: FilePath(try folder.write(#"{"at": \#(now - 300), "readings": {"batteryPercent": 50}}"#, to: "own.json"))))
        try await own.wait(for: "the file") { $0.value(.batteryPercent) == 50 }
        #expect(own.monitor.estimate() == nil, "five minutes are no reading")
        let path = try folder.write(#"{"readings": {"batteryPercent": 50}}"#, to: "written.json")
        try FileManager.default.setAttributes([.modificationDate: Date(timeIntervalSinceNow: -300)], ofItemAtPath: path)
        let written = Measured(.file(path: FilePath(path)))
        try await written.wait(for: "the file") { $0.value(.batteryPercent) == 50 }
        #expect(written.monitor.estimate() == nil)
        let fresh = Measured(.file(path: FilePath(try folder.write(#"{"at": \#(Date().timeIntervalSince1970 - 20), "readings": {"batteryPercent": 50}}"#, to: "fresh.json"))))
        try await fresh.wait(for: "the file") { $0.monitor.estimate()?.batteryPercent == 50 }
        let age = MachineClocks().now().bootMilliseconds - (fresh.reading(.batteryPercent)?.bootMilliseconds ?? 0)
        #expect((19_000...40_000).contains(age))
    }

    @Test(arguments: [
        ("", "is not of the form"), ("[1]", "is not of the form"), (#"{"readings": {"batteryPercent": "full"}}"#, "is not of the form"),
        (#"{"readings": {"soc": 50}}"#, "a reading called soc"), (#"{"at": 1}"#, "readings is missing"),
    ])
    func `A file of another form is refused with what is wrong`(text: String, problem: String) {
        let error = #expect(throws: PowerSourceProblem.self) { try ReadingsJSON(text.utf8, from: "power.json") }
        #expect(error?.description.contains(problem) == true, "\(error?.description ?? "")")
    }

    @Test func `A recording is told at its speed`() async throws {
        let folder = try TemporaryDirectory("readings")
        let lines = (0...60).map { #"{"seconds": \#($0 * 60), "readings": {"batteryPercent": \#(100 - $0)}}"# }.joined(separator: "\n")
        let path = FilePath(try folder.write(lines + "\n", to: "day.jsonl"))
        let began = ContinuousClock.now
        let measured = Measured(.replay(path: path, speed: 1_800))
        try await measured.wait(for: "the last line") { $0.value(.batteryPercent) == 40 }
        // An hour at 1800 times speed.
        #expect(ContinuousClock.now - began >= .seconds(1.9))
    }

    @Test func `A recording whose time goes back is refused`() throws {
        let folder = try TemporaryDirectory("readings")
        let path = FilePath(try folder.write("{\"seconds\": 5, \"readings\": {}}\n{\"seconds\": 4, \"readings\": {}}\n", to: "day.jsonl"))
        let error = #expect(throws: PowerSourceProblem.self) { try ReplaySource.lines(path) }
        #expect(error?.description.contains("line 2") == true)
    }

    @Test func `Sources stop within two seconds, whatever they wait for`() async throws {
        let settings: [PowerSourceSettings] = [
            .file(path: "/nowhere/power.json"), .veDirect(device: "/nowhere/tty"), .epever(device: "/nowhere/tty"), .nut(host: "192.0.2.1", ups: "u"), .raspberryPi,
            .powerSupply(name: "NOT0"), .replay(path: "/nowhere/day"), .hwmon(chip: "none"),
        ]
        for setting in settings {
            let measured = Measured(setting)
            // Most are in their pause before the next try by then.
            try await Task.sleep(for: .milliseconds(50))
            let began = ContinuousClock.now
            measured.monitor.stop()
            #expect(ContinuousClock.now - began < .seconds(1), "\(setting)")
        }
    }

    @Test func `Settings are checked before anything is opened`() {
        let good: [PowerSourceSettings] = [
            .powerSupply(name: "BAT0"), .hwmon(chip: "ina219@1-0041"), .veDirect(device: "/dev/ttyUSB0"), .epever(device: "/dev/ttyUSB1", unit: 247), .raspberryPi,
            .nut(host: "::1", ups: "ups"), .file(path: "/run/p.json"), .replay(path: "/p", speed: 600),
        ]
        #expect(good.allSatisfy { $0.problems.isEmpty })
        let bad: [PowerSourceSettings] = [
            .powerSupply(name: "../BAT0"), .powerSupply(name: ""), .hwmon(chip: "ina219@"), .veDirect(device: "ttyUSB0"), .epever(device: "/dev/x", unit: 0), .nut(host: "", ups: "u"),
            .nut(host: "h", port: 0, ups: "u"), .nut(host: "h", ups: "a\nb"), .file(path: "p"), .replay(path: "/p", speed: 0), .replay(path: "/p", speed: .nan),
        ]
        #expect(bad.allSatisfy { $0.problems.count == 1 })
    }
}
