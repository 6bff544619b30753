/// Watches the two clocks of a running boot and says which `clock` entries to write. Fed about once a second; a value
/// without clock, disk or network of its own.
///
/// - A first or a better source, steady for 5 s, gives a `fix`; with the first one from outside the node (hub, ntp, gps) earlier
///   boots are placed too.
/// - The same source at an offset that differs by more than 2 s gives one `step` when it jumped and one `drift` when it
///   crept. A leap second, stepped or smeared, is neither, and daylight saving does not exist in UTC.
/// - A source that is lost leaves a `fix` with its last reading, so that what drifts afterwards is told apart.
///
/// Bounds: a clock that flaps gets at most `recordsPerHour` entries, the last of which tells where it is; four more at
/// most for rising sources; one for each earlier boot, of which at most `bootsMax` are looked at.
package struct ClockKeeper: Hashable, Sendable {
    package static let settleMilliseconds: Int64 = 5_000
    package static let noticedMilliseconds: Int64 = 2_000
    package static let recordsPerHour = 12
    package static let bootsMax = 1_000
    /// Between two readings a second apart; more is a jump.
    private static let jumpMilliseconds: Int64 = 500
    private static let hourMilliseconds: Int64 = 3_600_000

    private struct Reading: Hashable {
        var boot: Int64
        var wall: WallEstimate
        /// Wall time at boot clock 0.
        var offset: Int64 { wall.unixMilliseconds - boot }
        var source: ClockSource { wall.source }
    }

    private let bootID: String
    private let earlier: [BootSpan]
    private var hasPlacedEarlier = false
    /// The battery clock at the beginning of this boot, if that was all there was.
    private var battery: Reading?
    private var hasBegun = false
    private var last: Reading?
    private var steadySince: Int64 = 0
    /// The last reading that was steady; and of those, the last of the source that the base is of.
    private var settled: Reading?
    private var lastOfBase: Reading?
    /// What the log knows.
    private var base: Reading?
    private var recent: [Int64] = []

    /// - Parameter boots: oldest first, back to the last earlier one with a trusted clock, that one included. The
    ///   running boot may be among them; boots of imported footage are left alone.
    package init(bootID: String, boots: [BootSpan]) {
        self.bootID = bootID
        let known = boots.filter { !$0.bootID.hasPrefix(ImportRecord.bootPrefix) && $0.isPlausible }
        earlier = known.filter { $0.bootID != bootID }.suffix(Self.bootsMax)
        guard let running = known.last(where: { $0.bootID == bootID }) else { return }
        hasBegun = true
        base = Reading(boot: running.lastBootMilliseconds, wall: running.lastWall)
        settled = base
        let first = Reading(boot: running.firstBootMilliseconds, wall: running.firstWall)
        if first.source == .rtc { battery = first }
    }

    /// - Returns: what to write, in this order.
    package mutating func observe(_ moment: Moment) -> [ClockRecord] {
        let now = Reading(boot: moment.bootMilliseconds, wall: moment.wall)
        guard now.wall.isPlausible, Plausibility.isCount(now.boot), now.boot >= last?.boot ?? 0 else { return [] }
        if !hasBegun, now.source == .rtc { battery = now }
        hasBegun = true
        let isSteady = last.map { $0.source == now.source && abs($0.offset - now.offset) <= Self.jumpMilliseconds } ?? false
        if !isSteady { steadySince = now.boot }
        last = now
        guard now.boot - steadySince >= Self.settleMilliseconds else { return [] }
        var records = judge(now)
        settled = now
        if now.source == base?.source { lastOfBase = now }
        if now.source >= .hub, !hasPlacedEarlier {
            hasPlacedEarlier = true
            records += placement(of: earlier, before: now)
        }
        return records
    }

    private mutating func judge(_ now: Reading) -> [ClockRecord] {
        guard let known = base else {
            base = now
            // An earlier process of this boot may have known less.
            return now.source > .none ? [record(now, .fix)] : []
        }
        if now.source > known.source {
            base = now
            return [record(now, .fix)]
        }
        if now.source < known.source {
            // Below what is known nothing is to be learnt, but how long it was known is.
            guard known.source >= .hub, let end = lastOfBase, end.boot - known.boot > 60_000 else { return [] }
            return write(end, .fix, at: now.boot)
        }
        // Readings of the hub's clock differ by as much as each may be off.
        let noise = now.source == .hub ? known.wall.uncertaintyMilliseconds + now.wall.uncertaintyMilliseconds : 0
        let limit = max(Self.noticedMilliseconds, noise)
        guard abs(now.offset - known.offset) > limit else { return [] }
        let hasJumped = settled.map { $0.source == now.source && abs(now.offset - $0.offset) > limit / 2 } ?? false
        // A step that had to wait for its turn is still too fast for a drift.
        let isFast = abs(now.offset - known.offset) > (now.boot - known.boot) / 1_000_000 * ClockCorrections.driftPartsPerMillion + limit
        return write(now, hasJumped || isFast ? .step : .drift, at: now.boot)
    }

    private mutating func write(_ reading: Reading, _ reason: ClockRecord.Reason, at boot: Int64) -> [ClockRecord] {
        recent.removeAll { $0 <= boot - Self.hourMilliseconds }
        guard recent.count < Self.recordsPerHour else { return [] }
        recent.append(boot)
        base = reading
        return [record(reading, reason)]
    }

    private func record(_ reading: Reading, _ reason: ClockRecord.Reason) -> ClockRecord {
        ClockRecord(bootID: bootID, bootMilliseconds: reading.boot, wall: reading.wall, reason: reason)
    }

    // MARK: Earlier boots

    /// Boots whose clock was not set lie between the end of the last one that is known and the start of the next: in
    /// order, for as long as they ran, in the middle of the time that is left over, which no true time is further from
    /// than half of it. A battery clock that this boot has found to be off was off by as much before; where that leads
    /// to an impossible order it is believed as little as one that was not set.
    private func placement(of spans: [BootSpan], before now: Reading) -> [ClockRecord] {
        let trusted = spans.lastIndex(where: \.isTrusted)
        let anchor = trusted.map { spans[$0] }
        var bound = anchor.map { (end: $0.lastWall.unixMilliseconds, uncertainty: $0.lastWall.uncertaintyMilliseconds) }
        var floating: [BootSpan] = []
        var records: [ClockRecord] = []
        let shift = battery.map { now.offset - $0.offset } ?? 0
        let slip = WallEstimate.rtcUncertaintyMilliseconds + now.wall.uncertaintyMilliseconds
        for span in spans[(trusted.map { $0 + 1 } ?? 0)...] {
            let end = span.lastWall.unixMilliseconds + shift
            let start = end - span.lastBootMilliseconds
            let room = floating.reduce(0) { $0 + $1.lastBootMilliseconds }
            let earliest = bound?.end ?? WallEstimate.firstPlausibleUnixMilliseconds
            guard span.lastWall.source == .rtc, start >= earliest + room - slip, end <= now.offset + slip else {
                floating.append(span)
                continue
            }
            let age = max(0, now.wall.unixMilliseconds - end)
            // A battery clock's 20 ppm between then and now.
            let uncertainty = slip + age / 50_000
            records += fill(floating, from: bound, to: (start, uncertainty), source: now.source)
            if shift != 0 {
                let wall = WallEstimate(unixMilliseconds: end, source: .rtc, uncertaintyMilliseconds: uncertainty)
                records.append(ClockRecord(bootID: span.bootID, bootMilliseconds: span.lastBootMilliseconds, wall: wall, reason: .earlierBoot))
            }
            floating = []
            bound = (end, uncertainty)
        }
        records += fill(floating, from: bound, to: (now.offset, now.wall.uncertaintyMilliseconds), source: now.source)
        return records.filter(\.isPlausible)
    }

    /// - Parameter low: nil when nothing is known from before; the boots then end where the next begins, and may have
    ///   been at any time since this software is there.
    private func fill(
        _ spans: [BootSpan], from low: (end: Int64, uncertainty: Int64)?, to high: (start: Int64, uncertainty: Int64), source: ClockSource
    ) -> [ClockRecord] {
        let length = spans.reduce(0) { $0 + $1.lastBootMilliseconds }
        var start = high.start - length
        let uncertainty: Int64
        if let low {
            // Negative when the boots ran longer than there was time: then the bounds are off by that much together.
            let slack = start - low.end
            start = low.end + slack / 2
            uncertainty = (abs(slack) + 1) / 2 + max(low.uncertainty, high.uncertainty)
        } else {
            uncertainty = max(0, start - WallEstimate.firstPlausibleUnixMilliseconds) + high.uncertainty
        }
        return spans.map { span in
            start += span.lastBootMilliseconds
            let wall = WallEstimate(unixMilliseconds: max(0, start), source: source, uncertaintyMilliseconds: uncertainty)
            return ClockRecord(bootID: span.bootID, bootMilliseconds: span.lastBootMilliseconds, wall: wall, reason: .earlierBoot)
        }
    }

    /// Wall time at boot clock 0 of a boot, before which it cannot have begun: the end of the last boot whose time is
    /// known, and what later ones ran. Nil when nothing is known.
    package static func earliestStart(of bootID: String, after boots: [BootSpan]) -> Int64? {
        var earliest: Int64?
        for span in boots where span.isPlausible && !span.bootID.hasPrefix(ImportRecord.bootPrefix) {
            if span.bootID == bootID {
                if span.isTrusted { earliest = span.lastWall.unixMilliseconds - span.lastBootMilliseconds }
            } else if span.isTrusted {
                earliest = span.lastWall.unixMilliseconds
            } else {
                earliest = earliest.map { $0 + span.lastBootMilliseconds }
            }
        }
        return earliest
    }
}

extension BootSpan {
    fileprivate var isPlausible: Bool {
        firstWall.isPlausible && lastWall.isPlausible && Plausibility.isCount(firstBootMilliseconds) && Plausibility.isCount(lastBootMilliseconds)
            && Plausibility.isText(bootID)
    }
}
