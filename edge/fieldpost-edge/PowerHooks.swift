import EdgePower
import Logging
import RecordingModel
import Synchronization

/// What a state switches, by programs that the configuration names.
enum PowerHook: String, Sendable, CaseIterable {
    case infraredOn = "ir_on"
    case infraredOff = "ir_off"
    case ptzOn = "ptz_on"
    case ptzOff = "ptz_off"
    case railOn = "rail_on"
    case railOff = "rail_off"
    case radioOn = "radio_on"
    case radioOff = "radio_off"

    /// What one camera may have for itself.
    static let ofCameras: [PowerHook] = [.infraredOn, .infraredOff, .ptzOn, .ptzOff, .railOn, .railOff]
    /// Takes current away from what may be in use.
    var isCut: Bool { self == .railOff || self == .radioOff }
}

/// A hook of the node as a whole, or of one camera.
struct PowerHookCall: Hashable, Sendable {
    var hook: PowerHook
    /// Nil for the node's.
    var camera: CameraID?

    /// What it switches: two calls with the same device undo each other.
    struct Device: Hashable, Sendable {
        /// `ir` of `ir_on`.
        var kind: Substring
        var camera: CameraID?
    }
    var device: Device { Device(kind: hook.rawValue.prefix { $0 != "_" }, camera: camera) }
}

/// What the state asks of the devices beside the cameras, and of each camera's own.
struct PowerSwitches: Hashable, Sendable {
    struct Camera: Hashable, Sendable {
        var id: CameraID
        var isInfraredOn: Bool
        var isPTZOn: Bool
        var isRailOn: Bool
    }
    var isInfraredOn: Bool
    var isPTZOn: Bool
    var isRailOn: Bool
    var isRadioOn: Bool
    /// In the order in which they are switched.
    var cameras: [Camera]

    /// - Parameters:
    ///   - cameras: those with hooks of their own
    ///   - priority: those that matter most
    init(_ directives: PowerDirectives, cameras: [CameraID] = [], priority: Set<CameraID> = []) {
        isInfraredOn = directives.isInfraredOn
        isPTZOn = directives.isPTZOn
        isRailOn = max(directives.priorityCameras, directives.otherCameras) > .off
        isRadioOn = directives.link > .radioOff
        self.cameras = cameras.map { id in
            let isPriority = priority.contains(id)
            return Camera(
                id: id, isInfraredOn: directives.infraredCameras.holds(isPriority: isPriority), isPTZOn: directives.ptzCameras.holds(isPriority: isPriority),
                isRailOn: (isPriority ? directives.priorityCameras : directives.otherCameras) > .off)
        }
    }

    /// In the order in which they are run: what gives current first, what takes it last.
    func calls() -> [PowerHookCall] {
        var calls: [PowerHookCall] = []
        func add(_ hook: PowerHook, of camera: CameraID? = nil, if isWanted: Bool = true) { if isWanted { calls.append(PowerHookCall(hook: hook, camera: camera)) } }
        add(.railOn, if: isRailOn)
        for camera in cameras { add(.railOn, of: camera.id, if: camera.isRailOn) }
        add(.radioOn, if: isRadioOn)
        add(isInfraredOn ? .infraredOn : .infraredOff)
        for camera in cameras { add(camera.isInfraredOn ? .infraredOn : .infraredOff, of: camera.id) }
        add(isPTZOn ? .ptzOn : .ptzOff)
        for camera in cameras { add(camera.isPTZOn ? .ptzOn : .ptzOff, of: camera.id) }
        add(.radioOff, if: !isRadioOn)
        for camera in cameras { add(.railOff, of: camera.id, if: !camera.isRailOn) }
        add(.railOff, if: !isRailOn)
        return calls
    }
}

/// Runs the hooks of the newest wish, one at a time. What failed is tried again with the next wish.
final class PowerHookRunner: Sendable {
    private struct State {
        var wish: PowerSwitches?
        /// How many wishes there were, and up to which one nothing is left to do.
        var wishes = 0
        var settled = 0
        var next = 0
        var waiting: [Int: AsyncStream<Void>.Continuation] = [:]
    }
    private let commands: [PowerHookCall: [String]]
    private let logger: Logger
    private let state = Mutex(State())
    private let (news, newsContinuation) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
    /// Cameras and contacts are let go before what feeds them.
    private static let letGoMilliseconds: Int64 = 1_500

    /// - Parameter commands: programs and their arguments
    init(commands: [PowerHookCall: [String]], logger: Logger) {
        (self.commands, self.logger) = (commands, logger)
    }

    /// From now on this is what is to be; what was wished for before and is not done yet is not done any more.
    func set(_ wish: PowerSwitches) {
        guard !commands.isEmpty else { return }
        state.withLock { ($0.wish, $0.wishes) = (wish, $0.wishes + 1) }
        newsContinuation.yield()
    }

    /// Waits until everything that the last `set` asked for has been run, well or not.
    /// - Returns: false when it had not within that time.
    @discardableResult
    func isSettled(withinMilliseconds milliseconds: Int64) async -> Bool {
        let (changes, continuation) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        let (id, wanted) = state.withLock { state in
            state.next += 1
            state.waiting[state.next] = continuation
            return (state.next, state.wishes)
        }
        defer { state.withLock { $0.waiting[id] = nil } }
        let isDone: @Sendable () -> Bool = { [self] in state.withLock { $0.settled >= wanted } }
        if isDone() { return true }
        return await withTaskGroup(of: Bool.self) { group in
            group.addTask {
                for await _ in changes where isDone() { return true }
                return false
            }
            group.addTask {
                try? await Task.sleep(for: .milliseconds(milliseconds))
                return false
            }
            defer { group.cancelAll() }
            return await group.next() ?? false
        }
    }

    /// Until cancelled; a program that still runs then has two seconds more.
    func run() async {
        var done: [PowerHookCall.Device: PowerHook] = [:]
        for await _ in news { await follow(&done) }
    }

    private func follow(_ done: inout [PowerHookCall.Device: PowerHook]) async {
        // What failed is not tried again at once, or a switch that is broken would keep the others waiting.
        var failed: Set<PowerHookCall.Device> = []
        var letGo: PowerSwitches?
        while !Task.isCancelled {
            let (wish, number) = state.withLock { ($0.wish, $0.wishes) }
            let due = wish?.calls().first { commands[$0] != nil && done[$0.device] != $0.hook && !failed.contains($0.device) }
            guard let due, let words = commands[due] else { return settle(number) }
            if due.hook.isCut, letGo != wish {
                letGo = wish
                try? await Task.sleep(for: .milliseconds(Self.letGoMilliseconds))
                // What is wished for may be another thing by now.
                continue
            }
            await run(due, words, &done, &failed)
        }
    }

    private func run(_ call: PowerHookCall, _ words: [String], _ done: inout [PowerHookCall.Device: PowerHook], _ failed: inout Set<PowerHookCall.Device>) async {
        var metadata: Logger.Metadata = ["hook": "\(call.hook.rawValue)"]
        if let camera = call.camera { metadata["camera"] = "\(camera)" }
        let began = ContinuousClock.now
        do {
            try await PowerCommand.runUntilCancelled(words)
            metadata["took"] = "\((ContinuousClock.now - began) / .milliseconds(1)) ms"
            logger.notice("hook run", metadata: metadata)
            done[call.device] = call.hook
        } catch {
            metadata["error"] = "\(error)"
            logger.error("a hook failed; it is tried again", metadata: metadata)
            failed.insert(call.device)
        }
    }

    private func settle(_ number: Int) {
        let waiting = state.withLock { state -> [AsyncStream<Void>.Continuation] in
            state.settled = max(state.settled, number)
            return Array(state.waiting.values)
        }
        for continuation in waiting { continuation.yield() }
    }
}
