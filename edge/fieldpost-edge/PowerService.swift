import EdgeCapture
import EdgeJournal
import EdgePower
import EdgeSync
import Logging
import RecordingModel
import ServiceLifecycle
import ServiceSupport
import StorageIO
import Synchronization
import SyncProtocol
import SystemPackage

/// There is no energy left: the attempt ends cleanly, and the machine is halted.
struct NodeHalt: Error, CustomStringConvertible {
    var untilUnixMilliseconds: Int64?
    var reason: String
    var description: String { "the node halts: \(reason)" }
}

/// What is decided of energy, for every part of the node: boxes that one service fills.
final class NodeEnergy: Sendable {
    let cameras: [CameraID: PowerGate]
    let links = LinkEnergyBox()
    private let priorityCameras: Set<CameraID>
    private let state = Mutex<(report: PowerReport?, mayTranscode: Bool)>((nil, true))

    init(_ power: EdgeConfiguration.Power, cameras: [CameraID]) {
        self.cameras = cameras.reduce(into: [:]) { $0[$1] = PowerGate() }
        priorityCameras = power.priorityCameras
    }

    /// What the hub and `fieldpost-edge status` are told.
    var report: PowerReport? { state.withLock { $0.report } }
    var mayTranscode: Bool { state.withLock { $0.mayTranscode } }
    /// A key frame now and then costs little, but a node that saves its cameras saves that too.
    var mayDecode: Bool { report.map { [.surplus, .full, .reduced].contains($0.state) } ?? true }
    /// When the node means to call again, be it from the dark; nil when it stays in contact.
    func nextContactUnixMilliseconds(_ now: Moment) -> Int64? {
        report?.darkUntilUnixMilliseconds ?? links.energy.callSeconds.map { now.wall.unixMilliseconds + Int64($0) * 1_000 }
    }

    func set(_ report: PowerReport, mayTranscode: Bool) { state.withLock { $0 = (report, mayTranscode) } }

    func set(cameras directives: PowerDirectives) {
        for (camera, gate) in cameras {
            gate.set(Self.capture(priorityCameras.contains(camera) ? directives.priorityCameras : directives.otherCameras), reason: directives.reason)
        }
    }

    private static func capture(_ power: CameraPower) -> CapturePower {
        switch power {
        case .off: .off
        case .sparse(let record, let every): .sparse(recordMilliseconds: Int64(record) * 1_000, everyMilliseconds: Int64(every) * 1_000)
        case .keyFrames: .keyFrames
        case .full: .full
        }
    }

    /// A node that would call at least once a minute stays in contact instead.
    private static let stayingSeconds = 60

    /// - Parameter hours: when this state sends footage, and by which clock; nil for always
    static func links(_ directives: PowerDirectives, hours: (schedule: WeeklySchedule, wall: WallEstimate)? = nil) -> LinkEnergy {
        var classes: Set<TrafficClass> =
            switch directives.link {
            case .radioOff: []
            case .urgent: [.pulled]
            case .eventsAndThumbnails: [.thumbnails, .pulled, .event]
            case .byPlan, .any: Set(TrafficClass.allCases)
            }
        var reason = directives.link == .any ? nil : directives.reason
        if let hours, !classes.isEmpty, !hours.schedule.includes(hours.wall) {
            classes = []
            reason = "\(directives.reason); footage waits for this state's hours"
        }
        return LinkEnergy(
            state: directives.state, classes: classes, isRadioOff: directives.link == .radioOff, reason: reason,
            callSeconds: directives.heartbeatSeconds <= stayingSeconds ? nil : directives.heartbeatSeconds, dayBytesMax: directives.bytesPerDayMax)
    }
}

/// Decides once a second what the energy allows, and has every part of the node follow.
struct PowerService: Service {
    private let power: EdgeConfiguration.Power
    private let energy: NodeEnergy
    private let folder: NodeFolder
    private let journal: Journal
    private let hasHub: Bool
    private let mayHalt: Bool
    private let clocks: any Clocks
    private let clock: DemonstrationClock
    private let policy: PowerPolicy
    private let kept: PowerKept?
    private let hooks: PowerHookRunner
    private let hookCameras: [CameraID]
    private let logger: Logger
    /// What the disk refused waits; beyond this the oldest is let go.
    private static let waitingMax = 100
    private static let keepMilliseconds: Int64 = 60_000
    /// A halt is pressing: telling the hub may take so long at most.
    private static let haltNoticeMilliseconds: Int64 = 3_000
    /// And switching off what has hooks so long.
    private static let haltHooksMilliseconds: Int64 = 5_000

    /// Decides for the first time, so that no camera is opened that may not be.
    init(_ power: EdgeConfiguration.Power, energy: NodeEnergy, folder: NodeFolder, journal: Journal, hasHub: Bool, mayHalt: Bool, clocks: any Clocks, logger: Logger) {
        (self.power, self.energy, self.folder, self.journal, self.hasHub, self.mayHalt, self.clocks, self.logger) = (power, energy, folder, journal, hasHub, mayHalt, clocks, logger)
        let now = clocks.now()
        clock = DemonstrationClock(power.clock, startingAt: now)
        kept = PowerKept.read(folder, logger)
        var policy = PowerPolicy(power.policy, startingAt: clock.moment(now), resuming: kept?.policy)
        hooks = PowerHookRunner(commands: power.hooks, logger: logger)
        hookCameras = power.hookCameras
        let first = policy.decide(clock.moment(now), nil)
        self.policy = policy
        energy.set(cameras: first.directives)
        energy.links.set(NodeEnergy.links(first.directives, hours: power.linkHours[first.directives.state].map { [clock] in ($0, clock.moment(now).wall) }))
        energy.set(first.report, mayTranscode: first.directives.mayTranscode)
        if !power.clock.isReal { logger.warning("energy is decided by a made-up clock; this is for tests and demonstrations only", metadata: ["speed": "\(power.clock.speed)"]) }
    }

    func run() async throws {
        let monitor = PowerMonitor(
            sources: power.sources.map { $0.settings.open(named: $0.name, clocks: clocks, logger: logger) }, battery: power.battery, clocks: clocks, logger: logger)
        if let counted = kept?.counted, let written = kept?.writtenBootMilliseconds(clocks.now(), bootID: clocks.bootID) {
            monitor.restore(counted, atBootMilliseconds: written)
        }
        await blocking { monitor.start() }
        let ended: Result<Void, any Error> = await withTaskGroup(of: Void.self) { group in
            group.addTask { await hooks.run() }
            defer { group.cancelAll() }
            do { return .success(try await cancelWhenGracefulShutdown { try await follow(monitor) }) } catch { return .failure(error) }
        }
        await blocking { monitor.stop() }
        try ended.get()
    }

    private func follow(_ monitor: PowerMonitor) async throws {
        var policy = policy
        var follower = PowerFollower(mayHalt: mayHalt)
        while !Task.isCancelled {
            let now = clocks.now()
            let decision = policy.decide(clock.moment(now), clock.estimate(monitor.estimate(), now))
            let directives = decision.directives
            let times = clock.real(PowerDecisionTimes(sleepUntilUnixMilliseconds: directives.sleepUntilUnixMilliseconds, report: decision.report, change: decision.change))
            energy.set(cameras: directives)
            report(times.report, directives, &follower)
            if let change = times.change {
                logger.notice("power state", metadata: ["state": "\(change.state.name)", "reason": "\(change.reason)"])
                follower.waiting = (follower.waiting + [change]).suffix(Self.waitingMax)
            }
            if !follower.waiting.isEmpty { follower.waiting = await written(follower.waiting) }
            let switches = PowerSwitches(directives, cameras: hookCameras, priority: power.priorityCameras)
            let isDark = follower.isDark
            if let until = follower.newSleep(times.sleepUntilUnixMilliseconds, mustHalt: directives.mustHalt, isResting: directives.link == .radioOff) {
                // A radio without current tells nobody.
                var telling = follower.switched ?? switches
                telling.isRadioOn = true
                _ = follower.isSwitchDue(switches, at: now.bootMilliseconds)
                try await goDark(until: until, directives, telling, switches, mayHalt: follower.mayHalt) { await keep(policy.memory, monitor) }
            } else if !isDark || directives.link > .radioOff {
                energy.links.set(links(directives), isNews: follower.takeNews(times.report), isUrgent: isDark)
            }
            if follower.isSwitchDue(switches, at: now.bootMilliseconds) { hooks.set(switches) }
            if follower.isKeepingDue(at: now.bootMilliseconds, every: Self.keepMilliseconds) || times.change != nil { await keep(policy.memory, monitor) }
            guard (try? await Task.sleep(for: clock.interval)) != nil else { break }
        }
        await keep(policy.memory, monitor)
    }

    private func links(_ directives: PowerDirectives) -> LinkEnergy {
        NodeEnergy.links(directives, hours: power.linkHours[directives.state].map { ($0, clock.moment(clocks.now()).wall) })
    }

    /// What the hub would refuse is not said.
    private func report(_ report: PowerReport, _ directives: PowerDirectives, _ follower: inout PowerFollower) {
        if report.isPlausible { return energy.set(report, mayTranscode: directives.mayTranscode) }
        if !follower.hasSaidImplausible { logger.error("what is to be said of energy holds a number or text that cannot be; it is left out") }
        follower.hasSaidImplausible = true
    }

    /// - Returns: what could not be written.
    private func written(_ changes: [PowerRecord]) async -> [PowerRecord] {
        for (number, change) in changes.enumerated() {
            do { try await blocking { [journal] in try journal.record(change) } } catch JournalError.implausiblePower {
                logger.error("a change of the power state cannot be written, because a number or text in it cannot be", metadata: ["state": "\(change.state.name)"])
            } catch {
                logger.error("a change of the power state could not be written; it is tried again", metadata: ["error": "\(error)"])
                return Array(changes[number...])
            }
        }
        return []
    }

    // MARK: dark

    /// The cameras are off by now, and seal while the hub is told. All together within 20 s, the end of the attempt with it.
    /// - Parameters:
    ///   - telling: what is switched on until the hub knows
    ///   - dark: and what stays on after that
    private func goDark(
        until: Int64?, _ directives: PowerDirectives, _ telling: PowerSwitches, _ dark: PowerSwitches, mayHalt: Bool, keep: () async -> Void
    ) async throws {
        let limit = min(Int64(power.noticeSeconds) * 1_000, directives.mustHalt ? Self.haltNoticeMilliseconds : .max)
        if hasHub, limit > 0 {
            hooks.set(telling)
            var quiet = links(directives)
            quiet.isRadioOff = false
            energy.links.set(quiet, isUrgent: true)
            let isTold = await energy.links.told(withinMilliseconds: limit)
            logger.notice(isTold ? "the hub knows that the node goes dark" : "the hub could not be told that the node goes dark", metadata: ["until": "\(until.map { UTCTimestamp.text(unixMilliseconds: $0) } ?? "not known")"])
        }
        energy.links.set(links(directives))
        hooks.set(dark)
        setWakeAlarm(until)
        await keep()
        do {
            // The whole disk's writes may take longer than a stop may: the journal syncs what is its own as it closes.
            try await blockingUntilCancelled { [journal, folder] in
                try journal.flush()
                try folder.storage.fileSystem(of: folder.root)?.syncAll()
            }
        } catch is CancellationError {} catch {
            logger.error("not everything is on the disk as the node goes dark", metadata: ["error": "\(error)"])
        }
        // With nothing that halts the machine the node stays up, with everything off.
        guard mayHalt, power.haltCommand != nil else { return }
        if await !hooks.isSettled(withinMilliseconds: Self.haltHooksMilliseconds) { logger.warning("not every hook has run before the halt") }
        // Whoever has the node stopped meanwhile wants no halt.
        if !Task.isCancelled { throw NodeHalt(untilUnixMilliseconds: until, reason: directives.reason) }
    }

    /// As seconds from now, which the kernel adds to the clock that wakes: that one may be wrong, and is what counts
    /// (Documentation/ABI/testing/sysfs-class-rtc).
    private func setWakeAlarm(_ until: Int64?) {
        guard let path = power.wakeAlarm, let until else { return }
        let seconds = max(60, (until - clocks.now().wall.unixMilliseconds) / 1_000)
        do {
            // An alarm that is set already must be cleared first.
            for text in ["0\n", "+\(seconds)\n"] {
                let file = try FileDescriptor.open(FilePath(path), .writeOnly)
                try file.closeAfter { _ = try file.writeAll(Array(text.utf8)) }
            }
            logger.notice("wake alarm set", metadata: ["seconds": "\(seconds)"])
        } catch {
            logger.error("the wake alarm could not be set", metadata: ["path": "\(path)", "error": "\(error)"])
        }
    }

    private func keep(_ memory: PowerMemory, _ monitor: PowerMonitor) async {
        let now = clocks.now()
        let kept = PowerKept(policy: memory, counted: monitor.counted, bootID: clocks.bootID, bootMilliseconds: now.bootMilliseconds, wall: now.wall)
        do { try await blocking { [folder] in try kept.write(folder) } } catch {
            logger.warning("what was learned of energy could not be kept", metadata: ["error": "\(error)"])
        }
    }
}

/// What the service remembers from one decision to the next.
struct PowerFollower {
    var waiting: [PowerRecord] = []
    var hasSaidImplausible = false
    /// A machine that could not be halted is not halted again before the node has been awake.
    private(set) var mayHalt: Bool
    private(set) var isDark = false
    private var sleepUntil: Int64?
    private var switches: (wish: PowerSwitches, atMilliseconds: Int64)?
    private var keptMilliseconds: Int64?
    private var news: [String]?
    private static let againMilliseconds: Int64 = 60_000
    /// A time that is worked out anew each second is the same one.
    private static let sameMilliseconds: Int64 = 30_000

    init(mayHalt: Bool = true) { self.mayHalt = mayHalt }

    /// When the node should now go dark, until then; nil for nothing new. Outer nil: stay as it is.
    mutating func newSleep(_ until: Int64?, mustHalt: Bool, isResting: Bool = true) -> Int64?? {
        guard let until else {
            let isNew = mustHalt && !isDark
            isDark = mustHalt
            if !isResting { mayHalt = true }
            sleepUntil = nil
            return isNew ? .some(nil) : nil
        }
        if isDark, let sleepUntil, abs(until - sleepUntil) < Self.sameMilliseconds { return nil }
        (isDark, sleepUntil) = (true, until)
        return .some(until)
    }

    var switched: PowerSwitches? { switches?.wish }

    /// At a change, and once a minute for what failed.
    mutating func isSwitchDue(_ wish: PowerSwitches, at now: Int64) -> Bool {
        if let switches, switches.wish == wish, now - switches.atMilliseconds < Self.againMilliseconds { return false }
        switches = (wish, now)
        return true
    }

    mutating func isKeepingDue(at now: Int64, every milliseconds: Int64) -> Bool {
        guard now - (keptMilliseconds ?? .min / 2) >= milliseconds else { return false }
        keptMilliseconds = now
        return true
    }

    /// A state or an alert that the hub has not heard of.
    mutating func takeNews(_ report: PowerReport) -> Bool {
        let new = [report.state.rawValue] + report.alerts.map(\.kind)
        defer { news = new }
        return news != nil && news != new
    }
}
