import FoundationEssentials
import RecordingModel
import SyncProtocol

/// A way to the hub, as somebody configured it.
package struct Uplink: Hashable, Sendable {
    package var name: String
    /// The network interface to leave by (SO_BINDTODEVICE); nil for whatever the routes say.
    package var device: String?
    /// Of the links that can be used, the one with the least.
    package var cost: Int
    /// Footage that may go over it. Status and the log's entries always may.
    package var classes: Set<TrafficClass>
    /// What may cross it in a day and in a month, counted in bytes of the link, both directions. The log and the status still
    /// go once it is used up, as far as a tenth more.
    package var dayBudgetBytes: Int64?
    package var monthBudgetBytes: Int64?
    /// When it may be used; nil for always. Its distance from UTC also says when a day begins.
    package var hours: WeeklySchedule?
    /// What it is sent at most, in bytes a second.
    package var bytesPerSecondMax: Int64?
    /// What each power state asks of this link beside all of that.
    package var limits: [PowerState: UplinkLimits]

    package init(
        name: String, device: String? = nil, cost: Int = 0, classes: Set<TrafficClass> = Set(TrafficClass.allCases), dayBudgetBytes: Int64? = nil, monthBudgetBytes: Int64? = nil,
        hours: WeeklySchedule? = nil, bytesPerSecondMax: Int64? = nil, limits: [PowerState: UplinkLimits] = [:]
    ) {
        self.limits = limits
        self.name = name
        self.device = device
        self.cost = cost
        self.classes = classes
        self.dayBudgetBytes = dayBudgetBytes
        self.monthBudgetBytes = monthBudgetBytes
        self.hours = hours
        self.bytesPerSecondMax = bytesPerSecondMax
    }

    /// The routes of the machine, without bounds.
    package static let any = Uplink(name: "default")
}

/// What a power state asks of one link.
package struct UplinkLimits: Hashable, Sendable {
    /// Not even status and log: the link is not used, others may be.
    package var isOff: Bool
    /// Footage that may go over it, as far as its own configuration allows that.
    package var classes: Set<TrafficClass>
    /// When footage may; nil for always.
    package var hours: WeeklySchedule?
    /// What may have crossed the link in a day, whatever the state was then, in bytes; only status and log go beyond.
    package var dayBytesMax: Int64?

    package init(isOff: Bool = false, classes: Set<TrafficClass> = Set(TrafficClass.allCases), hours: WeeklySchedule? = nil, dayBytesMax: Int64? = nil) {
        self.isOff = isOff
        self.classes = classes
        self.hours = hours
        self.dayBytesMax = dayBytesMax
    }
}

/// What has crossed a link today and this month. While the clock is not set it counts for the last day that was known.
package struct UplinkUsage: Hashable, Sendable, Codable {
    /// Since 1970-01-01.
    package var day: Int64 = 0
    package var dayBytes: Int64 = 0
    /// Since year 0.
    package var month: Int64 = 0
    package var monthBytes: Int64 = 0
    package init() {}

    package mutating func add(_ bytes: Int64, day today: Int64?) {
        roll(to: today)
        dayBytes += bytes
        monthBytes += bytes
    }

    /// A clock that goes back by days opens no budget anew.
    package mutating func roll(to today: Int64?) {
        guard let today, today > day else { return }
        (day, dayBytes) = (today, 0)
        let now = Self.month(ofDay: today)
        if now > month { (month, monthBytes) = (now, 0) }
    }

    /// Months since year 0 of the proleptic Gregorian calendar (H. Hinnant, "chrono-compatible low-level date algorithms").
    static func month(ofDay day: Int64) -> Int64 {
        let shifted = day + 719_468
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let month = (5 * dayOfYear + 2) / 153
        return (yearOfEra + era * 400) * 12 + month + 2
    }
}

/// What a link may carry now.
package struct UplinkAllowance: Hashable, Sendable {
    package var isUsable: Bool
    package var classes: Set<TrafficClass>
    /// Why it is not usable, or why less may go than usual; one sentence.
    package var reason: String?
}

extension Uplink {
    /// - Parameters:
    ///   - isUp: whether its interface is there and up
    ///   - state: nil where energy is no question
    package func allowance(_ usage: UplinkUsage, at wall: WallEstimate, isUp: Bool, state: PowerState? = nil) -> UplinkAllowance {
        func not(_ reason: String) -> UplinkAllowance { UplinkAllowance(isUsable: false, classes: [], reason: reason) }
        let asked = state.flatMap { limits[$0] }
        if let state, asked?.isOff == true { return not("\(name): not used in the power state \(state.rawValue)") }
        guard isUp else { return not("\(name): the interface \(device ?? "") is not up") }
        if let hours, !hours.includes(wall) { return not("\(name): outside of its hours") }
        var usage = usage
        usage.roll(to: day(of: wall))
        for (used, budget, word) in [(usage.dayBytes, dayBudgetBytes, "today's"), (usage.monthBytes, monthBudgetBytes, "this month's")] {
            guard let budget, used >= budget else { continue }
            let reason = "\(name): \(word) budget of \(budget) bytes is used up"
            if used >= budget + budget / 10 { return not(reason) }
            return UplinkAllowance(isUsable: true, classes: [], reason: reason + "; only status and log are sent")
        }
        guard let state, let asked else { return UplinkAllowance(isUsable: true, classes: classes) }
        if let most = asked.dayBytesMax, usage.dayBytes >= most {
            return UplinkAllowance(isUsable: true, classes: [], reason: "\(name): today's \(most) bytes are used up, which is what the power state \(state.rawValue) allows; only status and log are sent")
        }
        if let hours = asked.hours, !hours.includes(wall) {
            return UplinkAllowance(isUsable: true, classes: [], reason: "\(name): footage waits for the hours of the power state \(state.rawValue)")
        }
        let left = classes.intersection(asked.classes)
        return UplinkAllowance(isUsable: true, classes: left, reason: left == classes ? nil : "\(name): less is sent in the power state \(state.rawValue)")
    }

    func day(of wall: WallEstimate) -> Int64? { (hours ?? WeeklySchedule(windows: [])).day(of: wall) }
    /// The least of what bounds it; nil where nothing does.
    var leastBudgetBytes: Int64? { ([dayBudgetBytes, monthBudgetBytes].compactMap(\.self) + limits.values.compactMap(\.dayBytesMax)).min() }
}

/// Which link is used, and what has crossed each. A value; `Uplinks` owns it.
package struct UplinkPlan: Sendable {
    /// A link that brought no contact comes after the others for a minute, doubled with every further failure to half an hour.
    static let penaltyMilliseconds: Int64 = 60_000
    static let longestPenaltyMilliseconds: Int64 = 1_800_000

    package let links: [Uplink]
    package private(set) var usage: [String: UplinkUsage]
    private var failures: [String: (count: Int, atMilliseconds: Int64)] = [:]

    package init(_ links: [Uplink], usage: [String: UplinkUsage] = [:]) {
        self.links = links.isEmpty ? [.any] : links
        self.usage = usage.filter { name, _ in links.contains { $0.name == name } }
    }

    package func allowance(of link: Uplink, at wall: WallEstimate, isUp: (String) -> Bool, state: PowerState? = nil) -> UplinkAllowance {
        link.allowance(usage[link.name] ?? UplinkUsage(), at: wall, isUp: link.device.map(isUp) ?? true, state: state)
    }

    /// The cheapest link that can be used; one that failed lately comes after those that did not.
    /// - Returns: why there is none, where there is none.
    package func choose(at wall: WallEstimate, nowMilliseconds now: Int64, isUp: (String) -> Bool, state: PowerState? = nil) -> (link: Uplink?, reason: String?) {
        var reasons: [String] = []
        let usable = links.enumerated().filter { _, link in
            let allowance = allowance(of: link, at: wall, isUp: isUp, state: state)
            if !allowance.isUsable, let reason = allowance.reason { reasons.append(reason) }
            return allowance.isUsable
        }
        func key(_ item: (offset: Int, element: Uplink)) -> (Int, Int, Int) {
            let isPenalised = failures[item.element.name].map { failure in
                now - failure.atMilliseconds < min(Self.longestPenaltyMilliseconds, Self.penaltyMilliseconds << Int64(min(failure.count - 1, 10)))
            } ?? false
            return (isPenalised ? 1 : 0, item.element.cost, item.offset)
        }
        let best = usable.min { key($0) < key($1) }?.element
        return (best, best == nil ? reasons.joined(separator: "; ") : nil)
    }

    package mutating func failed(_ link: Uplink, nowMilliseconds now: Int64) { failures[link.name] = ((failures[link.name]?.count ?? 0) + 1, now) }
    package mutating func succeeded(_ link: Uplink) { failures[link.name] = nil }

    /// Over all links, each by its own day.
    package func usedToday(at wall: WallEstimate) -> Int64 {
        links.reduce(0) { sum, link in
            var usage = usage[link.name] ?? UplinkUsage()
            usage.roll(to: link.day(of: wall))
            return sum + usage.dayBytes
        }
    }

    package mutating func add(_ bytes: Int64, to link: Uplink, at wall: WallEstimate) {
        usage[link.name, default: UplinkUsage()].add(bytes, day: link.day(of: wall))
    }
}
