import EdgeCompress
import EdgeJournal
import EdgeSync
import Logging
import RecordingModel
import SyncProtocol
import Synchronization

/// What the budgets of the day's links leave for proxies, looked at now and then.
final class ProxyRate: Sendable {
    /// What waits is counted through all segments.
    private static let lookMilliseconds: Int64 = 900_000
    /// One entry with its checkpoint, compressed (Sources/README.md), and a contact with nothing to say.
    private static let entryBytes: Int64 = 450, helloBytes: Int64 = 600

    private let range: ClosedRange<Int>
    private let configuration: EdgeConfiguration
    /// Of so many cameras proxies are made.
    private let cameras: Int
    private let journal: Journal
    private let usage: @Sendable () -> [String: UplinkUsage]
    private let energyDayBytes: @Sendable () -> Int64?
    private let subStreams: [SubStreamSink]
    private let clocks: any Clocks
    private let logger: Logger
    private let known = Mutex<(rate: DayRate?, bootMilliseconds: Int64)?>(nil)

    /// Nil where the rate is fixed, or no proxy is made of anything.
    init?(
        _ configuration: EdgeConfiguration, plan: CompressPlan, journal: Journal, usage: @escaping @Sendable () -> [String: UplinkUsage],
        energyDayBytes: @escaping @Sendable () -> Int64?, subStreams: [SubStreamSink], clocks: any Clocks, logger: Logger
    ) {
        let cameras = Set(plan.cameras).subtracting(plan.withOwnProxy).count
        guard let range = plan.proxy?.fittedBitsPerSecond, cameras > 0 else { return nil }
        (self.range, self.configuration, self.cameras, self.journal, self.usage) = (range, configuration, cameras, journal, usage)
        (self.energyDayBytes, self.subStreams, self.clocks, self.logger) = (energyDayBytes, subStreams, clocks, logger)
    }

    /// Nil where no budget bounds them: the rate is then the usual one. Blocks for a tenth of a second now and then.
    func now() -> DayRate? {
        let now = clocks.now()
        if let known = known.withLock({ $0 }), now.bootMilliseconds - known.bootMilliseconds < Self.lookMilliseconds { return known.rate }
        let before = known.withLock { $0?.rate }
        let rate: DayRate?
        do { rate = try look(now) } catch {
            logger.warning("what waits for the links cannot be counted; the proxies' rate stays", metadata: ["error": "\(error)"])
            rate = before
        }
        known.withLock { $0 = (rate, now.bootMilliseconds) }
        if let rate, rate.bitsPerSecond != before?.bitsPerSecond {
            logger.info("proxies get the rate of the day", metadata: ["bits_per_second": "\(rate.bitsPerSecond)", "reason": "\(rate.reason)"])
        }
        return rate
    }

    private func look(_ now: Moment) throws -> DayRate? {
        let usage = usage()
        let bounds = Self.links(configuration.links, usage, energyDayBytes: energyDayBytes(), at: now.wall)
        guard !bounds.isEmpty else { return nil }
        let waiting = try journal.backlogByClass(now: now.wall).classes.filter { [.thumbnails, .proxy].contains($0.footageClass) }.reduce(0) { $0 + $1.bytes }
        var others = Self.others(configuration)
        others.waitingBytes = waiting
        others.subStreamBitsPerSecond = subStreams.reduce(0) { $0 + $1.bitsPerSecond }
        return bounds.map { DayRate.fitting($0, others, cameras: cameras, in: range) }.min { $0.bitsPerSecond < $1.bitsPerSecond }
    }

    /// What bounds proxies, each by itself: the budgets of the links that carry them, where all of these have one, and what energy
    /// allows on all links together.
    static func links(_ links: [Uplink], _ usage: [String: UplinkUsage], energyDayBytes: Int64?, at wall: WallEstimate) -> [[DayRate.Link]] {
        let carriers = links.filter { $0.classes.contains(.proxy) }
        var bounds: [[DayRate.Link]] = []
        let budgets = carriers.compactMap { link -> DayRate.Link? in
            // A month's budget is spent evenly.
            guard let budget = [link.dayBudgetBytes, link.monthBudgetBytes.map { $0 / 31 }].compactMap(\.self).min() else { return nil }
            return DayRate.Link(dayBudgetBytes: budget, usedBytes: used(link, usage, at: wall), secondsLeft: secondsLeft(link, at: wall))
        }
        if !carriers.isEmpty, budgets.count == carriers.count { bounds.append(budgets) }
        if let energyDayBytes {
            let used = links.reduce(0) { $0 + Self.used($1, usage, at: wall) }
            bounds.append([DayRate.Link(dayBudgetBytes: energyDayBytes, usedBytes: used, secondsLeft: links.map { secondsLeft($0, at: wall) }.max() ?? secondsOfDay)])
        }
        return bounds
    }

    private static let secondsOfDay: Int64 = 86_400

    private static func used(_ link: Uplink, _ usage: [String: UplinkUsage], at wall: WallEstimate) -> Int64 {
        var usage = usage[link.name] ?? UplinkUsage()
        usage.roll(to: (link.hours ?? WeeklySchedule(windows: [])).day(of: wall))
        return usage.dayBytes
    }

    /// A clock that was never set gives the whole day.
    private static func secondsLeft(_ link: Uplink, at wall: WallEstimate) -> Int64 {
        guard wall.source > .none else { return secondsOfDay }
        let local = wall.unixMilliseconds / 1_000 + Int64(link.hours?.utcOffsetMinutes ?? 0) * 60
        return secondsOfDay - (local % secondsOfDay + secondsOfDay) % secondsOfDay
    }

    /// By the configuration, at most.
    static func others(_ configuration: EdgeConfiguration) -> DayRate.Others {
        let thumbnails = configuration.compress.thumbnails.map { secondsOfDay / Int64($0.everySeconds) * Int64($0.bytesMax) } ?? 0
        // One entry for a segment, one for its proxy.
        let entries = configuration.cameras.reduce(0) { $0 + secondsOfDay / Int64($1.segmentSeconds) * 2 * entryBytes }
        return DayRate.Others(
            thumbnailBytesPerDay: thumbnails * Int64(configuration.cameras.count),
            logBytesPerDay: entries + secondsOfDay / Int64(configuration.sync.heartbeatSeconds) * helloBytes)
    }
}
