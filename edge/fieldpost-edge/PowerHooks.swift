import EdgePower
import Glibc
import Logging
import SystemPackage

/// Runs a program with its arguments, without a shell.
enum PowerCommand {
    static let limitMilliseconds: Int64 = 10_000

    /// Blocks. It gets no input, its output goes to the node's standard error, and its group is killed after the limit.
    /// - Throws: `CommandError` with what went wrong.
    static func run(_ words: [String], limitMilliseconds: Int64 = limitMilliseconds) throws {
        guard let program = words.first else { return }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_adddup2(&actions, 2, 1)
        // Signals that this program ignores or holds back are none of the other's.
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var (all, none) = (sigset_t(), sigset_t())
        sigfillset(&all)
        sigemptyset(&none)
        posix_spawnattr_setsigdefault(&attributes, &all)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setpgroup(&attributes, 0)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP))
        let arguments: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) } + [nil]
        defer { for argument in arguments { free(argument) } }
        var process: pid_t = 0
        let result = posix_spawn(&process, program, &actions, &attributes, arguments, environ)
        guard result == 0 else { throw CommandError("\(program) cannot be started: \(Errno(rawValue: result))") }
        try wait(for: process, program, limitMilliseconds)
    }

    /// In small steps: the kernel tells of the end of one child only by a descriptor that Swift cannot ask for.
    private static func wait(for process: pid_t, _ program: String, _ limitMilliseconds: Int64) throws {
        let end = ContinuousClock.now + .milliseconds(limitMilliseconds)
        var status: Int32 = 0
        while true {
            let waited = waitpid(process, &status, WNOHANG)
            if waited == process { break }
            guard waited == 0 || errno == EINTR else { throw CommandError("\(program) cannot be waited for: \(Errno(rawValue: errno))") }
            guard ContinuousClock.now < end else {
                kill(-process, SIGKILL)
                while waitpid(process, &status, 0) < 0, errno == EINTR {}
                throw CommandError("\(program) did not end within \(limitMilliseconds / 1_000) s and was killed")
            }
            usleep(10_000)
        }
        if status & 0x7F != 0 { throw CommandError("\(program) was ended by signal \(status & 0x7F)") }
        if status >> 8 & 0xFF != 0 { throw CommandError("\(program) ended with \(status >> 8 & 0xFF)") }
    }
}

/// What the state asks of the devices beside the cameras.
struct PowerSwitches: Hashable, Sendable {
    var isInfraredOn: Bool
    var isPTZOn: Bool
    var isRailOn: Bool
    var isRadioOn: Bool

    init(_ directives: PowerDirectives) {
        isInfraredOn = directives.isInfraredOn
        isPTZOn = directives.isPTZOn
        isRailOn = max(directives.priorityCameras, directives.otherCameras) > .off
        isRadioOn = directives.link > .radioOff
    }

    /// In the order in which they are run: what gives current first, what takes it last.
    func hooks() -> [PowerHook] {
        [
            isRailOn ? .railOn : nil, isRadioOn ? .radioOn : nil, isInfraredOn ? .infraredOn : .infraredOff, isPTZOn ? .ptzOn : .ptzOff, isRadioOn ? nil : .radioOff,
            isRailOn ? nil : .railOff,
        ].compactMap(\.self)
    }
}

/// Runs the hooks of the newest wish, one at a time. What failed is tried again with the next wish.
struct PowerHookRunner: Sendable {
    let commands: [PowerHook: [String]]
    let logger: Logger
    /// Cameras and contacts are let go before what feeds them.
    private static let letGoMilliseconds: Int64 = 1_500

    /// Until cancelled.
    /// - Parameter wishes: bounded to the newest
    func run(_ wishes: AsyncStream<PowerSwitches>) async {
        guard !commands.isEmpty else { return }
        var done: [String: PowerHook] = [:]
        for await wish in wishes {
            let due = wish.hooks().filter { commands[$0] != nil && done[Self.device(of: $0)] != $0 }
            if due.contains(where: { $0 == .railOff || $0 == .radioOff }) { try? await Task.sleep(for: .milliseconds(Self.letGoMilliseconds)) }
            for hook in due {
                guard !Task.isCancelled, let words = commands[hook] else { return }
                let began = ContinuousClock.now
                do {
                    try await blocking { try PowerCommand.run(words) }
                    logger.notice("hook run", metadata: ["hook": "\(hook.rawValue)", "took": "\((ContinuousClock.now - began) / .milliseconds(1)) ms"])
                    done[Self.device(of: hook)] = hook
                } catch {
                    logger.error("a hook failed; it is tried again", metadata: ["hook": "\(hook.rawValue)", "error": "\(error)"])
                }
            }
        }
    }

    /// `ir` of `ir_on`.
    private static func device(of hook: PowerHook) -> String { String(hook.rawValue.prefix { $0 != "_" }) }
}
