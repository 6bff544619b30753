import RecordingModel

/// What a simulated year came to.
package struct PowerOutcome: Hashable, Sendable {
    package struct Day: Hashable, Sendable, Codable {
        package var harvestWattHours = 0.0
        package var spilledWattHours = 0.0
        /// What the node drew.
        package var consumedWattHours = 0.0
        /// Hours of recording by their worth: an hour of everything by day counts as one.
        package var valueHours = 0.0
        /// What recording everything all day would have been worth.
        package var valueHoursMost = 0.0
        package var percentLeast = 100.0
        package var percentMost = 0.0
        /// By state, in the ladder's order from surplus to halt.
        package var hours = Array(repeating: 0.0, count: 6)
    }

    /// A calendar month of the year, by the UTC date of the middle of each of its days.
    package struct Month: Hashable, Sendable {
        package var year: Int
        package var month: Int
        package var valueHours = 0.0
        package var valueHoursMost = 0.0
        /// `2023-01`; a typical year's number means nothing.
        package var name: String { "\(year)-\(month < 10 ? "0" : "")\(month)" }
    }

    package let policy: PowerSimulation.Policy
    private let firstUnixMilliseconds: Int64
    private let values: PowerSettings.Values
    private let sparseDuty: Double
    /// Power lost while footage was being written; while awake without cameras; and while asleep.
    package private(set) var uncleanCuts = 0
    package private(set) var cutsIdle = 0
    package private(set) var cutsAsleep = 0
    package internal(set) var wakeUps = 0
    package private(set) var seconds = 0.0
    package private(set) var cameraSeconds = 0.0
    package private(set) var recordedSeconds = 0.0
    package private(set) var valueSeconds = 0.0
    package private(set) var valueSecondsMost = 0.0
    package private(set) var longestGapSeconds = 0.0
    package private(set) var stateChanges = 0
    package private(set) var days: [Day] = []
    package private(set) var link = SimulatedLink()
    private var gapSeconds = 0.0

    /// - Parameter firstUnixMilliseconds: when its first day begins
    init(policy: PowerSimulation.Policy, settings: PowerSettings, firstUnixMilliseconds: Int64) {
        self.policy = policy
        self.firstUnixMilliseconds = firstUnixMilliseconds
        values = settings.values
        sparseDuty = Double(settings.sparseRecordSeconds) / Double(settings.sparseEverySeconds)
    }

    mutating func noteCut(isUnclean: Bool, isAwake: Bool) {
        if isUnclean { uncleanCuts += 1 } else if isAwake { cutsIdle += 1 } else { cutsAsleep += 1 }
    }

    mutating func note(
        day: Int, seconds: Double, state: PowerState, hasChanged: Bool, isNight: Bool, percent: Double, flow: SimulatedBattery.Flow
    ) {
        while days.count <= day { days.append(Day()) }
        let factor = isNight ? values.nightFactor : 1
        let value = state == .full || state == .surplus ? values.full : state == .reduced ? values.reduced : state == .sparse ? values.sparse : 0
        self.seconds += seconds
        valueSeconds += value * factor * seconds
        valueSecondsMost += values.full * factor * seconds
        if Ladder.rank(state) <= Ladder.rank(.sparse) {
            cameraSeconds += seconds
            recordedSeconds += seconds * (state == .sparse ? sparseDuty : 1)
            gapSeconds = 0
        } else {
            gapSeconds += seconds
            longestGapSeconds = max(longestGapSeconds, gapSeconds)
        }
        if hasChanged { stateChanges += 1 }
        days[day].hours[Ladder.rank(state)] += seconds / 3_600
        days[day].consumedWattHours += (flow.panelWatts - flow.netWatts) * seconds / 3_600
        days[day].valueHours += value * factor * seconds / 3_600
        days[day].valueHoursMost += values.full * factor * seconds / 3_600
        days[day].harvestWattHours += flow.panelWatts * seconds / 3_600
        days[day].spilledWattHours += flow.spilledWatts * seconds / 3_600
        days[day].percentLeast = min(days[day].percentLeast, percent)
        days[day].percentMost = max(days[day].percentMost, percent)
    }

    mutating func finish(_ link: SimulatedLink) { self.link = link }

    package var cameraShare: Double { seconds > 0 ? cameraSeconds / seconds : 0 }
    package var valueShare: Double { valueSecondsMost > 0 ? valueSeconds / valueSecondsMost : 0 }
    package var stateChangesPerDay: Double { days.isEmpty ? 0 : Double(stateChanges) / Double(days.count) }
    package var spilledWattHours: Double { days.reduce(0) { $0 + $1.spilledWattHours } }
    package var consumedWattHours: Double { days.reduce(0) { $0 + $1.consumedWattHours } }
    /// The whole node's draw for each GB (10^9 bytes) that arrived; nil where none did. What recording takes is in it.
    package var wattHoursPerGigabyte: Double? { link.bytesDelivered > 0 ? consumedWattHours / link.bytesDelivered * 1e9 : nil }

    /// In their order.
    package var months: [Month] {
        days.enumerated().reduce(into: []) { months, item in
            let (year, month, _) = WeatherYear.civil(firstUnixMilliseconds + Int64(item.offset) * 86_400_000 + 43_200_000)
            if months.last.map({ ($0.year, $0.month) != (year, month) }) ?? true { months.append(Month(year: year, month: month)) }
            months[months.count - 1].valueHours += item.element.valueHours
            months[months.count - 1].valueHoursMost += item.element.valueHoursMost
        }
    }

    /// What each month lost in value hours against another outcome of the same year; below zero where it did better.
    package func regretHours(against other: PowerOutcome) -> [Double] { zip(months, other.months).map { $1.valueHours - $0.valueHours } }

    package var daysBelowFifth: Int { days.count { $0.percentLeast < 20 } }
}

/// Footage that waits for a link, oldest first. Rates are of the node as a whole; what the states leave of them follows
/// `PowerDirectives.standard`: by plan a link is open for half the time, reduced sends about a twentieth of what it could.
package struct SimulatedLink: Hashable, Sendable {
    package var bytesPerRecordedHour = 900e6
    package var bytesPerLinkHour = 450e6
    /// A disk's worth; older footage gives way.
    package var bytesHeldMax = 128e9
    package private(set) var bytesRecorded = 0.0
    package private(set) var bytesDelivered = 0.0
    package private(set) var bytesEvicted = 0.0
    private var byteHours = 0.0
    /// By the hour of recording.
    private var waiting: [(hour: Int64, bytes: Double)] = []
    private var next = 0
    private var held = 0.0

    package init() {}

    package static func == (a: Self, b: Self) -> Bool { a.bytesDelivered == b.bytesDelivered && a.bytesRecorded == b.bytesRecorded && a.byteHours == b.byteHours }
    package func hash(into hasher: inout Hasher) { hasher.combine(bytesDelivered) }

    /// Mean age at delivery.
    package var ageHours: Double { bytesDelivered > 0 ? byteHours / bytesDelivered : 0 }

    private func shares(_ state: PowerState) -> (recorded: Double, sent: Double) {
        switch state {
        case .surplus: (1, 1)
        case .full: (1, 0.5)
        case .reduced, .blind: (0.55, 0.05)
        case .sparse: (0.05, 0)
        case .hibernate, .halt: (0, 0)
        }
    }

    mutating func pass(seconds: Double, now: Int64, state: PowerState) {
        let (recorded, sent) = shares(state)
        let hour = now / 3_600_000
        let new = bytesPerRecordedHour * recorded * seconds / 3_600
        if new > 0 {
            if let last = waiting.last, last.hour == hour { waiting[waiting.count - 1].bytes += new } else { waiting.append((hour, new)) }
            bytesRecorded += new
            held += new
        }
        var room = min(held, bytesPerLinkHour * sent * seconds / 3_600)
        while room > 0, next < waiting.count {
            let part = min(room, waiting[next].bytes)
            take(part)
            bytesDelivered += part
            byteHours += part * Double(hour - waiting[min(next, waiting.count - 1)].hour)
            room -= part
            skipEmpty()
        }
        while held > bytesHeldMax, next < waiting.count {
            let part = min(held - bytesHeldMax, waiting[next].bytes)
            take(part)
            bytesEvicted += part
            skipEmpty()
        }
    }

    /// Whether there is something that this state sends, and for how much of its time it would: the radio draws current meanwhile.
    func sendingShare(_ state: PowerState) -> Double? {
        let sent = shares(state).sent
        return held > 0 && sent > 0 ? sent : nil
    }

    private mutating func take(_ part: Double) {
        waiting[next].bytes -= part
        held -= part
    }

    private mutating func skipEmpty() { if waiting[next].bytes <= 1e-6 { next += 1 } }
}
