import Foundation
import LogFixtures
import RecordingModel
import Synchronization
import TestSupport
import Testing

/// What `Tests/FaultInjector` does to the calls of a recorder that change something in its data directory.
struct Injection: Sendable {
    enum Action: Sendable {
        case kill
        /// Half of a write, and then the end.
        case tear
        case fail(Int32)
    }
    var action: Action
    /// The kinds of calls that are counted; all when it is nil.
    var kinds: String?
    /// Every call from the chosen one on fails, until the recorder ends.
    var lasts = false
    /// What a camera may lose in that life beside the open group of pictures.
    var lossMilliseconds: Int64

    static let killed = Injection(action: .kill, lossMilliseconds: Faults.lossToKillMilliseconds)
    static let torn = Injection(action: .tear, lossMilliseconds: Faults.lossToKillMilliseconds)
    /// A failed sync is final for its file: at most what came since the last sync, 5 s, is lost with it.
    static let syncFailsOnce = Injection(action: .fail(EIO), kinds: "sync", lossMilliseconds: 5_000)
    static let syncsFail = Injection(action: .fail(EIO), kinds: "sync", lasts: true, lossMilliseconds: .max / 2)
    static let fullOnce = Injection(action: .fail(ENOSPC), kinds: "write create mkdir", lossMilliseconds: 5_000)
    static let full = Injection(action: .fail(ENOSPC), kinds: "write create mkdir", lasts: true, lossMilliseconds: .max / 2)
    static let readOnly = Injection(action: .fail(EROFS), kinds: "write create mkdir truncate rename unlink", lasts: true, lossMilliseconds: .max / 2)

    /// - Parameter call: the number of the call, from 1; nil only counts.
    func environment(root: String, log: String, call: Int?) -> [String: String] {
        var environment = ["LD_PRELOAD": Here.products + "/libFaultInjector.so", "FAULT_ROOT": root, "FAULT_LOG": log]
        environment["FAULT_KINDS"] = kinds
        guard let call else { return environment }
        environment["FAULT_FIRST"] = "\(call)"
        environment["FAULT_LAST"] = lasts ? "1000000000" : "\(call)"
        environment["FAULT_ACTION"] =
            switch action {
            case .kill: "kill"
            case .tear: "tear"
            case .fail(let number): "\(number)"
            }
        return environment
    }
}

extension FaultedNode {
    /// A short run with a fault: one segment is finished, the next one begun, then it is asked to stop.
    /// - Returns: the calls that were counted, in order.
    func shortLife(_ injection: Injection, at call: Int?) async throws -> [String] {
        let log = node.directory.path("calls-\(lives.count)")
        let before = try Holdings(root: root).sealed.count
        try start(environment: injection.environment(root: root, log: log, call: call))
        let deadline = ContinuousClock.now + .seconds(6)
        while ContinuousClock.now < deadline, node.process?.hasExited == false {
            if try Holdings(root: root).sealed.count > before {
                try await Task.sleep(for: .milliseconds(300))
                break
            }
            // What it seals is known only from its files.
            try await Task.sleep(for: .milliseconds(30))
        }
        try await stop()
        return ((try? String(contentsOfFile: log, encoding: .utf8)) ?? "").split(separator: "\n").map(String.init)
    }
}

extension Faults {
    @Suite(.serialized) struct CallTests {
        private static let lanes = 6

        /// Brings the fault down on one call after the other, until a run has no such call any more.
        /// - Parameters:
        ///   - past: a directory that each run starts with a copy of; a new one when it is nil.
        ///   - sample: of every so many calls one is taken, by a seed; all in the long run.
        private func each(_ injection: Injection, past: FaultedNode.Past? = nil, sample: Int = 1, name: String) async throws {
            let replay = "FIELDPOST_FAULT_POINT=%d deploy/test --filter CallTests/\(name)"
            @Sendable func fresh() async throws -> FaultedNode {
                if let past { try await FaultedNode(copyOf: past) } else { try await FaultedNode(cameras: ["gate"]) }
            }
            let undisturbed = try await fresh()
            let calls = try await undisturbed.shortLife(injection, at: nil)
            try await undisturbed.recover()
            let baseline = try await undisturbed.judge(lossMilliseconds: Faults.lossToKillMilliseconds)
            try #require(baseline.problems.isEmpty, "without any fault: \(baseline.problems)")
            try #require(calls.count > 20)

            var points = Array(1...(calls.count + 10))
            let seed = Faults.seeds(1)[0]
            if sample > 1, !Faults.isLong {
                var random = SeededNumbers(seed: seed)
                points = points.filter { _ in Int.random(in: 0..<sample, using: &random) == 0 }
            }
            if let point = Faults.replayed("FIELDPOST_FAULT_POINT") { points = [Int(point)] }
            let total = Mutex(Judgement())
            let reached = Mutex(0)
            try await Faults.inLanes(Self.lanes, points) { point in
                var place = ""
                do {
                    let node = try await fresh()
                    let calls = try await node.shortLife(injection, at: point)
                    place = calls.count >= point ? calls[point - 1] : "beyond the last call"
                    if calls.count >= point { reached.withLock { $0 += 1 } }
                    let status = node.lives.last?.status ?? 0
                    try node.remember()
                    try await node.recover()
                    var verdict = try await node.judge(lossMilliseconds: injection.lossMilliseconds)
                    if case .fail = injection.action, status >= 128 { verdict.problems.append("it crashed with \(status)") }
                    total.withLock { $0.add(verdict) }
                    #expect(verdict.problems.isEmpty, "call \(place): \(verdict.problems.joined(separator: "; ")); \(replay.replacing("%d", with: "\(point)"))")
                } catch {
                    Issue.record("call \(place): \(error); \(replay.replacing("%d", with: "\(point)"))")
                }
            }
            print("\(name): \(reached.withLock { $0 }) of \(calls.count) calls: \(total.withLock { $0.report })")
            if points.count > 1 { #expect(reached.withLock { $0 } >= points.count * 8 / 10 - 10, "too few runs came as far as their fault") }
        }

        /// A node that was killed while it recorded: its next start has something to recover.
        private func interrupted() async throws -> FaultedNode {
            let node = try await FaultedNode(cameras: ["gate"])
            try node.start()
            _ = try await node.waitUntilRecording()
            try await Task.sleep(for: .seconds(3))
            try await node.kill()
            try node.remember()
            return node
        }

        @Test(.timeLimit(.minutes(30))) func killedAtEveryCall() async throws {
            try await each(.killed, sample: 2, name: "killedAtEveryCall")
        }

        @Test(.timeLimit(.minutes(30))) func killedAtEveryCallOfARecovery() async throws {
            let interrupted = try await interrupted()
            try await each(.killed, past: interrupted.past, sample: 3, name: "killedAtEveryCallOfARecovery")
        }

        @Test(.timeLimit(.minutes(30))) func killedInTheMiddleOfEveryWrite() async throws {
            try await each(.torn, sample: 6, name: "killedInTheMiddleOfEveryWrite")
        }

        @Test(.timeLimit(.minutes(30))) func everySyncFailsOnce() async throws {
            try await each(.syncFailsOnce, name: "everySyncFailsOnce")
        }

        @Test(.timeLimit(.minutes(30))) func everySyncFailsFromOneOn() async throws {
            try await each(.syncsFail, sample: 2, name: "everySyncFailsFromOneOn")
        }

        @Test(.timeLimit(.minutes(30))) func theDiskIsFullAtEveryWriteOnce() async throws {
            try await each(.fullOnce, sample: 6, name: "theDiskIsFullAtEveryWriteOnce")
        }

        @Test(.timeLimit(.minutes(30))) func theDiskIsFullFromEveryWriteOn() async throws {
            try await each(.full, sample: 6, name: "theDiskIsFullFromEveryWriteOn")
        }

        @Test(.timeLimit(.minutes(30))) func theDiskIsReadOnlyFromEveryCallOn() async throws {
            try await each(.readOnly, sample: 4, name: "theDiskIsReadOnlyFromEveryCallOn")
        }
    }
}
