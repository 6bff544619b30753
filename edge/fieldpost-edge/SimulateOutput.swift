import EdgePower
import ServiceSupport

/// What a simulated year came to, as JSON has it: names in full, units last.
struct SimulatedAnswer: Encodable {
    struct Month: Encodable {
        var month: String
        var value_hours: Double
        var value_hours_most: Double
        /// Against the planner that is told the harvest; absent where that was not simulated.
        var regret_hours: Double?
    }
    var policy: String
    var unclean_cuts: Int
    var idle_cuts: Int
    var asleep_cuts: Int
    var longest_gap_hours: Double
    var camera_share: Double
    var recorded_hours: Double
    var value_hours: Double
    var value_share: Double
    var bytes_recorded: Double
    var bytes_delivered: Double
    var bytes_evicted: Double
    var age_at_delivery_hours: Double
    var consumed_watt_hours: Double
    /// Absent where nothing was delivered.
    var watt_hours_per_gigabyte_delivered: Double?
    var spilled_watt_hours: Double
    var state_changes_per_day: Double
    var wake_ups: Int
    var days_below_20_percent: Int
    var regret_hours_per_month: Double?
    var months: [Month]
    var days: [PowerOutcome.Day]

    /// - Parameter perfect: what regret is measured against
    init(_ outcome: PowerOutcome, perfect: PowerOutcome?) {
        policy = outcome.policy.rawValue
        unclean_cuts = outcome.uncleanCuts
        idle_cuts = outcome.cutsIdle
        asleep_cuts = outcome.cutsAsleep
        longest_gap_hours = outcome.longestGapSeconds / 3_600
        camera_share = outcome.cameraShare
        recorded_hours = outcome.recordedSeconds / 3_600
        value_hours = outcome.valueSeconds / 3_600
        value_share = outcome.valueShare
        bytes_recorded = outcome.link.bytesRecorded
        bytes_delivered = outcome.link.bytesDelivered
        bytes_evicted = outcome.link.bytesEvicted
        age_at_delivery_hours = outcome.link.ageHours
        consumed_watt_hours = outcome.consumedWattHours
        watt_hours_per_gigabyte_delivered = outcome.wattHoursPerGigabyte
        spilled_watt_hours = outcome.spilledWattHours
        state_changes_per_day = outcome.stateChangesPerDay
        wake_ups = outcome.wakeUps
        days_below_20_percent = outcome.daysBelowFifth
        let regret = perfect.map { outcome.regretHours(against: $0) }
        regret_hours_per_month = regret.map { $0.reduce(0, +) / Double(max(1, $0.count)) }
        months = outcome.months.enumerated().map { index, month in
            Month(month: month.name, value_hours: month.valueHours, value_hours_most: month.valueHoursMost, regret_hours: regret?[index])
        }
        days = outcome.days
    }

    static func perfect(_ outcomes: [PowerOutcome]) -> PowerOutcome? { outcomes.first { $0.policy == .perfect } }

    /// For people, a line for each policy.
    static func table(_ outcomes: [PowerOutcome]) -> String {
        let right = OutputTable.Alignment.right
        var table = OutputTable([
            "policy", .init("cuts", right), .init("gap h", right), .init("camera %", right), .init("value %", right), .init("regret h/month", right), .init("worst month", right),
            .init("GB sent", right), .init("age h", right), .init("Wh/GB", right), .init("spill Wh", right), .init("changes/day", right), .init("wakes", right),
            .init("days <20 %", right),
        ])
        for outcome in outcomes {
            let answer = SimulatedAnswer(outcome, perfect: perfect(outcomes))
            let worst = answer.months.max { ($0.regret_hours ?? 0) < ($1.regret_hours ?? 0) }
            table.add([
                answer.policy, "\(answer.unclean_cuts)", "\(Int(answer.longest_gap_hours.rounded()))", tenths(answer.camera_share * 100), tenths(answer.value_share * 100),
                answer.regret_hours_per_month.map(tenths) ?? "-", worst.flatMap { month in month.regret_hours.map { "\(tenths($0)) (\(month.month))" } } ?? "-",
                "\(Int(answer.bytes_delivered / 1e9))", "\(Int(answer.age_at_delivery_hours))", answer.watt_hours_per_gigabyte_delivered.map(tenths) ?? "-",
                "\(Int(answer.spilled_watt_hours))", tenths(answer.state_changes_per_day), "\(answer.wake_ups)", "\(answer.days_below_20_percent)",
            ])
        }
        return String(table.text().dropLast())
    }

    private static func tenths(_ value: Double) -> String {
        let tenths = Int((value * 10).rounded())
        return "\(tenths < 0 ? "-" : "")\(abs(tenths) / 10).\(abs(tenths) % 10)"
    }
}
