/// When to dial again. While a contact is expected the hub is tried every few seconds: a link that is up for ten seconds
/// in a minute has none to lose. After that the pauses grow, with jitter, so that a thousand nodes do not come at once.
package struct DialPlan: Hashable, Sendable {
    /// For so long after a contact, or after the start, another one is expected.
    package var expectedMilliseconds: Int64 = 900_000
    /// From the beginning of one attempt to the next while a contact is expected, with a fifth of jitter.
    package var eagerMilliseconds: Int64 = 2_500
    package var longestMilliseconds: Int64 = 120_000
    /// No pause is shorter: a refusal comes at once.
    package var shortestMilliseconds: Int64 = 100

    package init() {}

    /// - Parameters:
    ///   - failures: attempts in a row that brought no contact, or a refusal; 0 after one that did
    ///   - quietMilliseconds: since the last contact, or the start
    ///   - attemptMilliseconds: how long the last attempt took, with the contact that came of it
    package func pauseMilliseconds(
        failures: Int, quietMilliseconds: Int64, attemptMilliseconds: Int64, using generator: inout some RandomNumberGenerator
    ) -> Int64 {
        let span: Int64
        if quietMilliseconds < expectedMilliseconds {
            span = eagerMilliseconds
        } else {
            // 5 s, doubled with every further failure.
            span = min(longestMilliseconds, 5_000 << Int64(max(0, min(failures, 10))))
        }
        let jitter = Int64.random(in: -span / 5...span / 5, using: &generator)
        return max(shortestMilliseconds, span + jitter - max(0, attemptMilliseconds))
    }
}
