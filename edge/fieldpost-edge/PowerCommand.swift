import Dispatch
import EdgePower
import Glibc
import Synchronization
import SystemPackage

/// Runs a program with its arguments, without a shell.
enum PowerCommand {
    static let limitMilliseconds: Int64 = 10_000
    /// Once the node is asked to stop, what runs has so long to end by itself: a switch that is being turned is turned.
    static let stopMilliseconds: Int64 = 2_000

    /// What becomes of a program that still runs when the order to stop comes.
    enum AtStop: Sendable {
        /// It is killed `stopMilliseconds` later.
        case end
        /// It goes on without being waited for: what halts the machine also ends this program.
        case leave
    }

    /// Blocks. It gets no input, its output goes to the node's standard error, and its group is killed after the limit.
    /// - Parameter stop: nobody waits for it any longer
    /// - Throws: `CommandError` with what went wrong.
    static func run(_ words: [String], limitMilliseconds: Int64 = limitMilliseconds, stop: PowerStop = PowerStop(), atStop: AtStop = .end) throws {
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
        guard !stop.isSet else { throw CommandError("\(program) was not started: the node stops") }
        var process: pid_t = 0
        let result = posix_spawn(&process, program, &actions, &attributes, arguments, environ)
        guard result == 0 else { throw CommandError("\(program) cannot be started: \(Errno(rawValue: result))") }
        try wait(for: process, program, limitMilliseconds, stop, atStop)
    }

    /// In small steps: the kernel tells of the end of one child only by a descriptor that Swift cannot ask for.
    private static func wait(for process: pid_t, _ program: String, _ limitMilliseconds: Int64, _ stop: PowerStop, _ atStop: AtStop) throws {
        var end = ContinuousClock.now + .milliseconds(limitMilliseconds)
        var isStopping = false
        var status: Int32 = 0
        while true {
            let waited = waitpid(process, &status, WNOHANG)
            if waited == process { break }
            guard waited == 0 || errno == EINTR else { throw CommandError("\(program) cannot be waited for: \(Errno(rawValue: errno))") }
            guard ContinuousClock.now < end else {
                kill(-process, SIGKILL)
                while waitpid(process, &status, 0) < 0, errno == EINTR {}
                throw CommandError(isStopping ? "\(program) was killed, because the node stops" : "\(program) did not end within \(limitMilliseconds / 1_000) s and was killed")
            }
            if isStopping { usleep(10_000) } else if stop.wait(milliseconds: 10) {
                if case .leave = atStop { throw CommandError("\(program) still runs and is left to itself, because the node stops") }
                isStopping = true
                end = min(end, .now + .milliseconds(stopMilliseconds))
            }
        }
        if status & 0x7F != 0 { throw CommandError("\(program) was ended by signal \(status & 0x7F)") }
        if status >> 8 & 0xFF != 0 { throw CommandError("\(program) ended with \(status >> 8 & 0xFF)") }
    }

    /// As `run`, off the cooperative pool. When the task is cancelled a program that runs is dealt with as `atStop` says.
    static func runUntilCancelled(_ words: [String], atStop: AtStop = .end) async throws {
        let stop = PowerStop()
        try await withTaskCancellationHandler {
            try await blocking { try run(words, stop: stop, atStop: atStop) }
        } onCancel: {
            stop.set()
        }
    }
}

/// Runs blocking work off the cooperative pool, and waits for its end or for the task's cancellation, whichever comes first: a call to
/// a disk that hangs cannot be called off. The work then goes on for nobody.
/// - Throws: `CancellationError`, or what the work threw.
func blockingUntilCancelled(_ work: @escaping @Sendable () throws -> Void) async throws {
    let one = OneAnswer()
    try await withTaskCancellationHandler {
        try await withCheckedThrowingContinuation { continuation in
            one.take(continuation)
            DispatchQueue.global().async { one.give(Result(catching: work)) }
        }
    } onCancel: {
        one.give(.failure(CancellationError()))
    }
}

/// A continuation that the first of several answers resumes.
private final class OneAnswer: Sendable {
    private let state = Mutex<(continuation: CheckedContinuation<Void, any Error>?, answer: Result<Void, any Error>?)>((nil, nil))

    func take(_ continuation: CheckedContinuation<Void, any Error>) {
        let early = state.withLock { state -> Result<Void, any Error>? in
            if state.answer == nil { state.continuation = continuation }
            return state.answer
        }
        if let early { continuation.resume(with: early) }
    }

    func give(_ answer: Result<Void, any Error>) {
        let continuation = state.withLock { state -> CheckedContinuation<Void, any Error>? in
            guard state.answer == nil else { return nil }
            state.answer = answer
            defer { state.continuation = nil }
            return state.continuation
        }
        continuation?.resume(with: answer)
    }
}
