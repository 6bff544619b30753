import Foundation
import LogFixtures
import Synchronization
import TestSupport
import Testing

extension Faults {
    @Suite struct KillTests {
        private static let killsPerSeed = 25

        /// Each seed is a data directory that is killed again and again. After each kill a copy of it is started, stopped
        /// and judged; the original goes on as the kill left it.
        @Test(.timeLimit(.minutes(180)))
        func atRandomMomentsWhileFourCamerasRecord() async throws {
            let seeds = Faults.seeds(Faults.isLong ? 80 : 8)
            let total = Mutex(Judgement())
            let kills = Mutex(0)
            try await Faults.inLanes(4, seeds) { seed in
                let replay = "FIELDPOST_FAULT_SEED=\(seed) deploy/test --filter KillTests"
                do {
                    let node = try await FaultedNode(cameras: ["east", "north", "south", "west"])
                    var random = SeededNumbers(seed: seed)
                    for kill in 1...Self.killsPerSeed {
                        // From 0 to 5 s, one on the average: also the start itself is killed.
                        let share = Double.random(in: 0...1, using: &random)
                        try node.start()
                        try await Task.sleep(for: .seconds(5 * share * share * share * share))
                        try await node.kill()
                        let decoded = kill < Self.killsPerSeed ? node.past.knownSegments : []
                        try node.remember()
                        let copy = try await FaultedNode(copyOf: node.past)
                        try await copy.recover()
                        let verdict = try await copy.judge(lossMilliseconds: Faults.lossToKillMilliseconds, decoded: decoded)
                        #expect(verdict.problems.isEmpty, "kill \(kill): \(verdict.problems.joined(separator: "; ")); \(replay)")
                        kills.withLock { $0 += 1 }
                        if kill == Self.killsPerSeed || !verdict.problems.isEmpty { total.withLock { $0.add(verdict) } }
                        if !verdict.problems.isEmpty { return }
                    }
                } catch {
                    Issue.record("\(error); \(replay)")
                }
            }
            let sum = total.withLock { $0 }
            print("\(kills.withLock { $0 }) kills: \(sum.report)")
            #expect(sum.footageMilliseconds > sum.livedMilliseconds / 2, "hardly anything was recorded: \(sum.report)")
        }
    }
}

extension Judgement {
    var report: String {
        """
        \(segments) segments, \(framesDecoded) frames decoded, \(footageMilliseconds) ms of footage in \(livedMilliseconds) ms of life, \
        \(gapMilliseconds) ms of gaps, worst loss \(worstLossMilliseconds) ms, worst seam \(worstSeamMilliseconds) ms
        """
    }
}
