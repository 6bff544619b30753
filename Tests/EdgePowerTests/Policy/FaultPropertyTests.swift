import EdgePower
import RecordingModel
import Testing

/// What may be wrong with a site, by itself.
enum SiteFault: String, CaseIterable, CustomTestStringConvertible {
    case none = "nothing"
    case gaugeHigh = "the gauge says 15 % too much"
    case gaugeLow = "the gauge says 15 % too little"
    case clockAhead = "the clock is a day ahead"
    case clockBehind = "the clock is a day behind"
    case moreLoad = "5 W more are drawn"
    case snow = "a week of snow at -15 degrees"
    case weakLink = "the link carries a tenth of its rate"
    case weakPanel = "the panel gives 30 % less"
    case strongPanel = "the panel gives 30 % more"
    case weakPanelAndLink = "panel and link are weak, and 5 W more are drawn"

    var testDescription: String { rawValue }

    /// Of the time, it records at least so much. Where all is wrong at once it still is no blind node.
    var leastCameraShare: Double { self == .weakPanelAndLink ? 0.2 : 0.3 }

    func apply(_ faults: inout PowerSimulation.Faults) {
        switch self {
        case .none: break
        case .gaugeHigh: faults.gaugeFactor = 1.15
        case .gaugeLow: faults.gaugeFactor = 0.85
        case .clockAhead: faults.clockOffMilliseconds = 86_400_000
        case .clockBehind: faults.clockOffMilliseconds = -86_400_000
        case .moreLoad: faults.extraWatts = 5
        case .snow: faults.snowDays = 6..<13
        case .weakLink: faults.linkFactor = 0.1
        case .weakPanel: faults.panelFactor = 0.7
        case .strongPanel: faults.panelFactor = 1.3
        case .weakPanelAndLink: (faults.panelFactor, faults.linkFactor, faults.extraWatts) = (0.7, 0.1, 5)
        }
    }
}

@Suite("A winter in which something is wrong")
struct FaultPropertyTests {
    /// What is looked at while a simulated winter passes.
    private struct Watch {
        static let forkEverySteps = 97
        static let forkSteps = 30
        let name: String
        var random: Seeded
        var steps = 0
        var last: (at: Int64, state: PowerState)?

        mutating func look(_ step: PowerSimulation.Step, cutoffPercent: Double) {
            let now = step.now.bootMilliseconds
            if let change = step.decision.change {
                // What goes to sleep, or loses its readings, waits for nothing.
                if let last, ![.hibernate, .halt, .blind].contains(change.state) {
                    #expect(now - last.at >= 300_000, "\(name): \(last.state) to \(change.state) after \((now - last.at) / 1_000) s")
                }
                last = (now, change.state)
            }
            let isRecording = step.decision.directives.priorityCameras > .off
            #expect(!isRecording || step.percent > cutoffPercent, "\(name): it records at \(step.percent) %")
            steps += 1
            if steps % Self.forkEverySteps == 0 { fork(step) }
        }

        /// The same node with less in its battery, from the same moment on.
        private mutating func fork(_ step: PowerSimulation.Step) {
            guard var estimate = step.estimate, let percent = estimate.batteryPercent else { return }
            var (rich, poor) = (step.policy, step.policy)
            // Volts that do not follow the percentage would speak against it.
            estimate.batteryVolts = nil
            var less = estimate
            less.batteryPercent = percent * random.unit()
            for index in 0..<Int64(Self.forkSteps) {
                var now = step.now
                now.bootNanoseconds += index * 60_000_000_000
                now.wall = now.wall.advanced(byMilliseconds: index * 60_000)
                (estimate.bootMilliseconds, less.bootMilliseconds) = (now.bootMilliseconds, now.bootMilliseconds)
                let (high, low) = (rich.decide(now, estimate).directives.state, poor.decide(now, less).directives.state)
                guard high != .blind, low != .blind else { continue }
                #expect(rank(low) >= rank(high), "\(name): \(percent) % gives \(high), \(less.batteryPercent ?? 0) % gives \(low)")
            }
        }
    }

    @Test(arguments: [PowerSimulation.Policy.ladder, .planner], SiteFault.allCases)
    func `No cut while recording, no change faster than its dwell, and less energy never gives a higher state`(policy: PowerSimulation.Policy, fault: SiteFault) {
        for seed in 1...3 as ClosedRange<UInt64> {
            let simulation = simulation {
                fault.apply(&$0.faults)
                $0.stepSeconds = 120
            }
            var watch = Watch(name: "\(policy), seed \(seed), \(fault.rawValue)", random: Seeded(seed))
            let outcome = simulation.run(policy, year: winter(seed: seed, days: 16)) { watch.look($0, cutoffPercent: simulation.cutoffPercent) }
            #expect(outcome.uncleanCuts == 0, "\(watch.name): \(outcome.uncleanCuts) cuts")
            #expect(outcome.cameraShare > fault.leastCameraShare, "\(watch.name): it records")
            #expect(watch.steps > 500 && watch.last != nil, "\(watch.name): \(watch.steps) decisions")
        }
    }

    /// In longer steps, so in more winters, and longer ones.
    @Test(arguments: [PowerSimulation.Policy.ladder, .planner], 3...5 as ClosedRange<UInt64>)
    func `A month of winter brings no cut while recording, whatever is wrong`(policy: PowerSimulation.Policy, seed: UInt64) {
        let weather = winter(seed: seed, days: 25)
        for fault in SiteFault.allCases {
            let outcome = simulation { fault.apply(&$0.faults) }.run(policy, year: weather)
            #expect(outcome.uncleanCuts == 0, "\(policy), seed \(seed), \(fault.rawValue): \(outcome.uncleanCuts) cuts")
            #expect(outcome.cameraShare > fault.leastCameraShare, "\(policy), seed \(seed), \(fault.rawValue): it records")
        }
    }

    @Test func `A panel and a link that are worse than they should be leave less, and better ones more`() {
        let weather = winter(seed: 2, days: 25)
        func run(_ fault: SiteFault) -> PowerOutcome { simulation { fault.apply(&$0.faults) }.run(.planner, year: weather) }
        let (sound, weak, strong, slow) = (run(.none), run(.weakPanel), run(.strongPanel), run(.weakLink))
        #expect(weak.valueShare < sound.valueShare && sound.valueShare < strong.valueShare)
        #expect(slow.link.bytesDelivered < 0.11 * sound.link.bytesDelivered && slow.link.bytesDelivered > 0)
    }

    /// Without readings nobody knows when to stop: such a node saves by one state, and in these winters that is enough.
    @Test(arguments: [PowerSimulation.Policy.ladder, .planner]) func `Frozen and absent sensors leave a node recording a little, and spare it the cuts of one without a policy`(
        policy: PowerSimulation.Policy
    ) {
        for seed in 4...5 as ClosedRange<UInt64> {
            let weather = winter(seed: seed, days: 25)
            for isAbsent in [false, true] {
                let blind = simulation { if isAbsent { $0.faults.sensorsAbsentFromDay = 5 } else { $0.faults.sensorsFrozenFromDay = 5 } }
                let (outcome, always) = (blind.run(policy, year: weather), blind.run(.alwaysOn, year: weather))
                #expect(outcome.uncleanCuts == 0 && always.uncleanCuts > 0 && outcome.cameraShare > 0.3, "\(policy), seed \(seed): \(outcome.uncleanCuts) of \(always.uncleanCuts) cuts")
            }
        }
    }
}
