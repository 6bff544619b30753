import EdgeSync
import LogFixtures
import Testing
import TestSupport

@Suite struct DialPlanTests {
    private func pauses(failures: Int, quiet: Int64, attempt: Int64 = 0) -> [Int64] {
        var generator = SeededNumbers(seed: 5)
        return (0..<500).map { _ in DialPlan().pauseMilliseconds(failures: failures, quietMilliseconds: quiet, attemptMilliseconds: attempt, using: &generator) }
    }

    @Test("While a contact is expected an attempt begins every 2 to 3 s, however many have failed, and never at once")
    func eager() {
        #expect(pauses(failures: 200, quiet: 600_000).allSatisfy { (2_000...3_000).contains($0) })
        // The time that the attempt took counts.
        #expect(pauses(failures: 200, quiet: 600_000, attempt: 3_000).allSatisfy { $0 == 100 })
    }

    @Test("After a quarter of an hour the pauses grow to two minutes, with jitter")
    func patient() {
        #expect(pauses(failures: 1, quiet: 1_000_000).allSatisfy { (8_000...12_000).contains($0) })
        let long = pauses(failures: 1_000_000, quiet: .max)
        #expect(long.allSatisfy { (96_000...144_000).contains($0) } && Set(long).count > 100)
    }
}
