/// What a `clock` entry says: a boot's clock and the wall clock, read together. It re-dates everything of that boot;
/// nothing that was written is changed.
package struct ClockRecord: Hashable, Sendable, Codable {
    package enum Reason: String, Sendable, OpenWord {
        /// The wall clock became known, or known better.
        case fix
        /// The wall clock was set to another time.
        case step
        /// The two clocks had run apart.
        case drift
        /// An earlier boot whose clock was wrong, placed by a later one.
        case earlierBoot = "earlier-boot"
        /// A word of a later version.
        case unrecognised
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
/// time is not corrected by a battery clock. Of those the newest is right: whoever set the clock last knew that it was
/// wrong. Older ones count where they agree with it within 500 ppm and a second; between two the time is
/// interpolated, which takes out slow drift. So a boot is moved as a whole, without a hole or an overlap at a step, and
/// a wrong time that was put right again leaves no trace.
package struct ClockCorrections: Hashable, Sendable {
    package private(set) var fixes: [ClockRecord] = []
    /// Those that count, by their boot clock.
    private var path: [ClockRecord] = []
    /// A faster clock than this is no drift but a step.
    static let driftPartsPerMillion: Int64 = 500
    /// What a clock may gain or lose that nobody corrects: cheap crystals are within 50 ppm.
    package static let freePartsPerMillion: Int64 = 50
    /// A boot with more fixes keeps the newest.
    package static let limit = 1_000
    /// A smaller difference is not worth a mark.
    package static let noticeableMilliseconds: Int64 = 1_000

    package init() {}
    package init(_ records: some Sequence<ClockRecord>) {
        fixes = records.suffix(Self.limit)
        choose()
    }

    package mutating func add(_ record: ClockRecord) {
        fixes.append(record)
        if fixes.count > Self.limit { fixes.removeFirst(fixes.count - Self.limit) }
        choose()
    }

    private mutating func choose() {
        guard let best = fixes.lazy.map(\.wall.source).max(), let newest = fixes.lastIndex(where: { $0.wall.source == best }) else { return }
        let usable = fixes.enumerated().filter { $0.element.wall.source == best }
            .sorted { ($0.element.bootMilliseconds, $0.offset) < ($1.element.bootMilliseconds, $1.offset) }
        let anchor = usable.firstIndex { $0.offset == newest } ?? 0
        path = [fixes[newest]]
        for (_, fix) in usable[..<anchor].reversed() where Self.agree(fix, path[0]) { path.insert(fix, at: 0) }
        for (_, fix) in usable[(anchor + 1)...] where Self.agree(path[path.count - 1], fix) { path.append(fix) }
    }

    /// Of two at one moment the newer entry knows better, so they never both count.
    private static func agree(_ earlier: ClockRecord, _ later: ClockRecord) -> Bool {
        let passed = later.bootMilliseconds - earlier.bootMilliseconds
        let apart = later.wall.unixMilliseconds - earlier.wall.unixMilliseconds - passed
        // Each reading of the hub's clock is off by something else; what a battery clock is off by, it is off by always.
        let noise = later.wall.source == .hub ? min(earlier.wall.uncertaintyMilliseconds, 60_000) + min(later.wall.uncertaintyMilliseconds, 60_000) : 0
        return passed > 0 && abs(apart) <= passed / 1_000 * driftPartsPerMillion / 1_000 + 1_000 + noise
    }

    /// - Returns: nil when no fix has anything to say of it.
    package func corrected(_ estimate: WallEstimate, atBootMilliseconds boot: Int64) -> WallEstimate? {
        guard let first = path.first, first.wall.source >= estimate.source else { return nil }
        // The first fix behind the moment, by bisection: a boot of a year has thousands of segments.
        var (low, high) = (0, path.count)
        while low < high {
            let middle = (low + high) / 2
            if path[middle].bootMilliseconds <= boot { low = middle + 1 } else { high = middle }
        }
        let before = low > 0 ? path[low - 1] : nil
        let after = low < path.count ? path[low] : nil
        var wall: WallEstimate
        if let before, let after {
            let passed = after.bootMilliseconds - before.bootMilliseconds
            let apart = after.wall.unixMilliseconds - before.wall.unixMilliseconds - passed
            let share = Double(boot - before.bootMilliseconds) / Double(passed)
            wall = before.wall.advanced(byMilliseconds: boot - before.bootMilliseconds + Int64((Double(apart) * share).rounded()))
            wall.uncertaintyMilliseconds = max(before.wall.uncertaintyMilliseconds, after.wall.uncertaintyMilliseconds)
        } else {
            let fix = before ?? after ?? first
            wall = fix.wall.advanced(byMilliseconds: boot - fix.bootMilliseconds)
            wall.uncertaintyMilliseconds += (abs(boot - fix.bootMilliseconds) * Self.freePartsPerMillion + 999_999) / 1_000_000
        }
        wall.unixMilliseconds = min(max(0, wall.unixMilliseconds), Plausibility.magnitudeMax)
        wall.uncertaintyMilliseconds = min(wall.uncertaintyMilliseconds, Plausibility.magnitudeMax)
        return wall
    }
}

extension ClockSource: Comparable {
    package static func < (one: ClockSource, other: ClockSource) -> Bool { one.trust < other.trust }

    /// Not by its place in `allCases`: clocks are read for every packet, and that would allocate.
    private var trust: Int {
        switch self {
        case .none: 0
        case .rtc: 1
        case .hub: 2
        case .ntp: 3
        case .gps: 4
        }
    }
}
