/// What a `clock` entry says: a boot's clock and the wall clock, read together. It re-dates everything of that boot;
/// nothing that was written is changed.
package struct ClockRecord: Hashable, Sendable, Codable {
    package enum Reason: String, Sendable, Codable {
        /// The wall clock became known, or known better.
        case fix
        /// The wall clock was set to another time.
        case step
        /// The two clocks had run apart.
        case drift
        /// An earlier boot whose clock was wrong, placed by a later one.
        case earlierBoot = "earlier-boot"
    }
    /// The boot that is re-dated; not always the one that writes the entry.
    package var bootID: String
    package var bootMilliseconds: Int64
    package var wall: WallEstimate
    package var reason: Reason

    package init(bootID: String, bootMilliseconds: Int64, wall: WallEstimate, reason: Reason) {
        self.bootID = bootID
        self.bootMilliseconds = bootMilliseconds
        self.wall = wall
        self.reason = reason
    }
}

/// The clock fixes of one boot in the order of the log, and the wall time that they give to a moment of it.
///
/// Only fixes of the best source count, and only against estimates of no better source: what a satellite said at the
/// time is not corrected by a battery clock. Of those, the first at or after the moment decides, else the last before
/// it; between two that agree within 500 ppm the time is interpolated, which takes out slow drift.
package struct ClockCorrections: Hashable, Sendable {
    package private(set) var fixes: [ClockRecord] = []
    /// A faster clock than this is no drift but a step.
    private static let driftPartsPerMillion: Int64 = 500
    /// A boot with more fixes keeps the newest.
    private static let limit = 10_000

    package init() {}
    package init(_ records: some Sequence<ClockRecord>) { for record in records { add(record) } }

    package mutating func add(_ record: ClockRecord) {
        fixes.append(record)
        if fixes.count > Self.limit { fixes.removeFirst(fixes.count - Self.limit) }
    }

    /// - Returns: nil when no fix has anything to say of it.
    package func corrected(_ estimate: WallEstimate, atBootMilliseconds boot: Int64) -> WallEstimate? {
        guard let best = fixes.lazy.map(\.wall.source).max(), best >= estimate.source else { return nil }
        // Of two fixes at one moment the later entry knows better.
        let usable = fixes.enumerated().filter { $0.element.wall.source == best }
            .sorted { ($0.element.bootMilliseconds, $0.offset) < ($1.element.bootMilliseconds, $1.offset) }.map(\.element)
        let after = usable.firstIndex { $0.bootMilliseconds >= boot }
        guard let fix = after.map({ usable[$0] }) ?? usable.last else { return nil }
        var wall = fix.wall.advanced(byMilliseconds: boot - fix.bootMilliseconds)
        if let after, after > 0 {
            let before = usable[after - 1]
            let passed = fix.bootMilliseconds - before.bootMilliseconds
            let apart = (fix.wall.unixMilliseconds - before.wall.unixMilliseconds) - passed
            if passed > 0, abs(apart) <= passed / 1_000_000 * Self.driftPartsPerMillion + 1_000 {
                let share = Double(boot - before.bootMilliseconds) / Double(passed)
                wall.unixMilliseconds = before.wall.unixMilliseconds + (boot - before.bootMilliseconds) + Int64((Double(apart) * share).rounded())
            }
        }
        wall.unixMilliseconds = min(max(0, wall.unixMilliseconds), Plausibility.magnitudeMax)
        return wall
    }
}

extension ClockSource: Comparable {
    package static func < (one: ClockSource, other: ClockSource) -> Bool {
        (allCases.firstIndex(of: one) ?? 0) < (allCases.firstIndex(of: other) ?? 0)
    }
}
