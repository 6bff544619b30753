import Foundation
import Testing
import TestSupport

@testable import EdgeCompress

@Suite struct ConfinementTests {
    /// A program in the worker's place tries, and each attempt must be refused by the kernel.
    @Test(arguments: [[String](), ["--threads"]])
    func theWorkersPlaceAllowsNothingButItsWork(arguments: [String]) throws {
        let settings = WorkerSettings(program: try Here.product("ConfinementProbe"), arguments: arguments)
        let report = try report(settings)
        let results = Dictionary(uniqueKeysWithValues: report.split(separator: " ").compactMap { word -> (String, Int)? in
            let parts = word.split(separator: "=")
            return parts.count == 2 ? Int(parts[1]).map { (String(parts[0]), $0) } : nil
        })
        let refused = [
            "socket", "unix", "connect", "fork", "clone3", "exec", "etc", "create", "unlink", "stat", "kill", "tgkill", "ptrace", "processmemory", "executable",
            "unshare", "mount", "bpf", "uring", "limits",
        ]
        for name in refused { #expect(results[name] == Int(EPERM) || name == "clone3" && results[name] == Int(ENOSYS), "\(name): \(results[name].map { "\($0)" } ?? "not tried")") }
        #expect(results["memory"] == Int(ENOMEM), "a gibibyte was to be had")
        #expect(results["descriptors"] == 0, "descriptors of the node are open in it")
    }

    @Test func whatTheWorkerSaysOfItsConfinementIsWhatTheKernelHas() throws {
        let worker = try WorkerProcess(workerSettings())
        #expect(worker.confinement.contains("seccomp"))
        #expect(worker.confinement.contains("landlock") && !worker.confinement.contains("no landlock"), "\(worker.confinement)")
        #expect(worker.confinement.contains("pid, net"), "\(worker.confinement)")
    }

    @Test func aWorkerThatBreaksTheProtocolIsEnded() throws {
        var settings = WorkerSettings(program: try Here.product("ConfinementProbe"), arguments: ["--flood"])
        settings.isIdle = false
        let worker = try WorkerProcess(settings)
        do {
            _ = try worker.thumbnails(MemoryFile([1, 2, 3]), dues: [0])
            Issue.record("it was taken for a worker")
        } catch {
            guard case .died = error as? WorkerFailure else { throw error }
        }
    }

    @Test func aProgramThatIsNoWorkerIsSaidToBeNone() throws {
        #expect(throws: WorkerFailure.self) { try WorkerProcess(WorkerSettings(program: "/nowhere/at/all", arguments: [])) }
        #expect(throws: WorkerFailure.self) { try WorkerProcess(WorkerSettings(program: "/bin/true", arguments: [])) }
    }

    private func report(_ settings: WorkerSettings) throws -> String {
        do {
            _ = try WorkerProcess(settings)
            throw TestFailure("the probe said that it is a worker")
        } catch WorkerFailure.unavailable(let report) {
            return report
        }
    }
}
