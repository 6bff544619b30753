import Glibc
import RecordingModel

/// What the panel has given of the clear sky's envelope, by half hours of the UTC day: horizon, shade, dirt, snow and the
/// weather of late are all in these numbers. Kept across restarts; at most 48 × 14 numbers.
package struct HarvestMemory: Hashable, Sendable, Codable {
    static let slotsPerDay = 48
    static let slotMilliseconds: Int64 = 1_800_000
    static let daysMax = 14
    /// Before anything is known: clear, dark and middling days. The newest comes last.
    static let assumed = [0.85, 0.25, 0.55]

    var ratios: [[Double]]

    package init() { ratios = Array(repeating: Self.assumed, count: Self.slotsPerDay) }

    static func slot(_ unixMilliseconds: Int64) -> Int {
        let slot = unixMilliseconds / slotMilliseconds % Int64(slotsPerDay)
        return Int(slot < 0 ? slot + Int64(slotsPerDay) : slot)
    }
}

/// Expects harvest: the clear sky's envelope of each half hour times its learned ratio.
struct HarvestModel: Sendable {
    struct Quantiles: Hashable, Sendable { var p20, p50, p80: Double }

    let site: PowerSite
    let panel: SolarPanel
    private(set) var memory: HarvestMemory
    private var quantiles: [Quantiles]
    private var envelope: (day: Int64, watts: [Double])?
    private var open: OpenSlot?
    /// Harvest of today against what was expected of it: today's weather, for the hours that are left of it.
    private var today: (day: Int64, measured: Double, expected: Double) = (.min, 0, 0)

    private struct OpenSlot: Sendable {
        var number: Int64
        var seconds = 0.0
        var measuredJoules = 0.0
        var clearJoules = 0.0
        var throttledSeconds = 0.0
        var newest: Int64
    }

    init(site: PowerSite, panel: SolarPanel, memory: HarvestMemory) {
        self.site = site
        self.panel = panel
        // A memory from elsewhere is taken only if it has the right shape.
        let isSound =
            memory.ratios.count == HarvestMemory.slotsPerDay
            && memory.ratios.allSatisfy { (1...HarvestMemory.daysMax).contains($0.count) && $0.allSatisfy { (0...2).contains($0) } }
        self.memory = isSound ? memory : HarvestMemory()
        quantiles = self.memory.ratios.map(Self.quantiles)
    }

    /// One measurement. `isThrottled`: the battery could not take what the panel had.
    mutating func take(unixMilliseconds now: Int64, panelWatts: Double, clearWatts: Double, isThrottled: Bool) {
        let number = now / HarvestMemory.slotMilliseconds
        if let open, open.number != number { close(open) }
        var slot = open?.number == number ? open ?? OpenSlot(number: number, newest: now) : OpenSlot(number: number, newest: now)
        // After a silence, this reading speaks for one minute and not for all of it.
        let seconds = Double(max(0, min(now - slot.newest, 120_000))) / 1_000
        slot.seconds += seconds
        slot.measuredJoules += max(0, panelWatts) * seconds
        slot.clearJoules += clearWatts * seconds
        if isThrottled { slot.throttledSeconds += seconds }
        slot.newest = now
        open = slot
    }

    private mutating func close(_ slot: OpenSlot) {
        guard slot.seconds >= 900, slot.clearJoules / slot.seconds >= 0.02 * panel.watts else { return }
        let ratio = min(2, slot.measuredJoules / slot.clearJoules)
        let index = Int(slot.number % Int64(HarvestMemory.slotsPerDay))
        let day = slot.number / Int64(HarvestMemory.slotsPerDay)
        // What a full battery turned away is not known: such a reading can only raise the ratio.
        if slot.throttledSeconds > 0.1 * slot.seconds && ratio <= quantiles[index].p50 { return }
        if today.day != day { today = (day, 0, 0) }
        today.measured += slot.measuredJoules
        today.expected += slot.clearJoules * quantiles[index].p50
        memory.ratios[index].append(ratio)
        if memory.ratios[index].count > HarvestMemory.daysMax { memory.ratios[index].removeFirst() }
        quantiles[index] = Self.quantiles(memory.ratios[index])
    }

    /// Weighted by age: a day counts half as much as the one three days after it.
    static func quantiles(_ ratios: [Double]) -> Quantiles {
        let weighted = ratios.enumerated().map { (ratio: $1, weight: exp2(Double($0 - ratios.count) / 3)) }.sorted { $0.ratio < $1.ratio }
        let total = weighted.reduce(0) { $0 + $1.weight }
        func at(_ share: Double) -> Double {
            // Each stands in the middle of its weight, with straight lines between.
            var below = 0.0
            var previous: (position: Double, ratio: Double)?
            for item in weighted {
                let position = (below + item.weight / 2) / total
                if position >= share {
                    guard let previous else { return item.ratio }
                    return previous.ratio + (item.ratio - previous.ratio) * (share - previous.position) / (position - previous.position)
                }
                previous = (position, item.ratio)
                below += item.weight
            }
            return weighted.last?.ratio ?? 0
        }
        return Quantiles(p20: at(0.2), p50: at(0.5), p80: at(0.8))
    }

    /// The clear sky's mean watts for the 48 half hours of this UTC day. A day or two on it is nearly the same.
    mutating func clearDay(_ unixMilliseconds: Int64) -> [Double] {
        let day = unixMilliseconds / 86_400_000
        if let envelope, envelope.day == day { return envelope.watts }
        let watts = (0..<HarvestMemory.slotsPerDay).map { slot in
            [1, 3, 5].reduce(0.0) { sum, sixth in
                let moment = day * 86_400_000 + Int64(slot) * HarvestMemory.slotMilliseconds + Int64(sixth) * HarvestMemory.slotMilliseconds / 6
                return sum + panel.clearSkyWatts(unixMilliseconds: moment, site: site) / 3
            }
        }
        envelope = (day, watts)
        return watts
    }

    struct Expectation: Hashable, Sendable {
        /// One in five is worse, for a day; the middle beyond.
        var cautious: [Double] = []
        var middle: [Double] = []
        /// One in five is worse, for the whole horizon: a bad spell.
        var lean: [Double] = []
        /// One in five is better.
        var hopeful: [Double] = []
    }

    /// Mean watts of each half hour from the one of `now` on.
    mutating func expected(from now: Int64, slots: Int) -> Expectation {
        let clear = clearDay(now)
        let first = HarvestMemory.slot(now)
        let factor = todayFactor(now)
        var expectation = Expectation()
        for offset in 0..<slots {
            let slot = (first + offset) % HarvestMemory.slotsPerDay
            // Weather lasts for hours: it fades out of the expectation over half a day.
            let weather = 1 + (factor - 1) * max(0, 1 - Double(offset) / 24)
            let ratio = quantiles[slot]
            expectation.middle.append(clear[slot] * ratio.p50 * weather)
            expectation.lean.append(clear[slot] * ratio.p20)
            expectation.hopeful.append(clear[slot] * ratio.p80)
            expectation.cautious.append(offset < HarvestMemory.slotsPerDay ? clear[slot] * ratio.p20 * weather : clear[slot] * ratio.p50)
        }
        return expectation
    }

    private func todayFactor(_ now: Int64) -> Double {
        guard today.day == now / 86_400_000, today.expected > panel.watts * 600 else { return 1 }
        return max(0.3, min(1.5, today.measured / today.expected))
    }

    /// Of the clear sky's energy of a day, the middling share to be expected.
    mutating func expectedShare(_ now: Int64) -> Double {
        let clear = clearDay(now)
        let total = clear.reduce(0, +)
        guard total > 0 else { return 0 }
        return zip(clear, quantiles).reduce(0) { $0 + $1.0 * $1.1.p50 } / total
    }
}
