import CConfine
import StorageIO
import SystemPackage

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// How the node starts a worker, and within which bounds.
package struct WorkerSettings: Sendable {
    package var program: String
    package var arguments: [String]
    package var dataBytes: UInt64 = 512 << 20
    /// Libraries and all; nothing here counts as memory that is in use.
    package var addressBytes: UInt64 = 4 << 30
    /// Of one worker; it is replaced long before.
    package var cpuSeconds: UInt64 = 7_200
    /// Behind everything else on the machine.
    package var isIdle = true

    package init(program: String, arguments: [String]) {
        self.program = program
        self.arguments = arguments
    }
}

/// Why a job came to nothing.
package enum WorkerFailure: Error, CustomStringConvertible {
    /// The worker ended, or did what it must not and was ended; a phrase each.
    case died(String)
    /// It goes on, and says that the source is none.
    case refused(String)
    /// No process could be started.
    case unavailable(String)
    /// The node stops.
    case stopped
    /// The disk or the log, and no fault of the worker's.
    case storage(any Error)

    package var description: String {
        switch self {
        case .died(let how): "the worker \(how)"
        case .refused(let why): why
        case .unavailable(let why): "no worker can be started: \(why)"
        case .stopped: "the node stops"
        case .storage(let error): "\(error)"
        }
    }
}

/// A worker, from the node's side. Must be started, used and ended by one thread, with which it dies.
package final class WorkerProcess {
    let pid: pid_t
    private let channel: WorkerChannel
    /// What confines it, one line.
    package let confinement: String
    private(set) package var jobs = 0
    private var isReaped = false

    /// From the most to the least that a kernel may allow. A process of its own namespace sees no other; without a network
    /// namespace seccomp alone keeps it from the network.
    private static let namespaces: [(name: String, flags: UInt)] = [
        ("user, pid, net, ipc, uts and mount namespaces", UInt(CLONE_NEWUSER) | UInt(CLONE_NEWPID) | UInt(CLONE_NEWNET) | UInt(CLONE_NEWIPC) | UInt(CLONE_NEWUTS) | UInt(CLONE_NEWNS)),
        ("user and net namespaces", UInt(CLONE_NEWUSER) | UInt(CLONE_NEWNET)),
        ("no namespaces", 0),
    ]
    /// Long, because it gets what processor time recording leaves.
    private static let startSeconds: Int64 = 600

    package init(_ settings: WorkerSettings, unless isStopping: () -> Bool = { false }) throws(WorkerFailure) {
        let ends: (node: WorkerChannel, worker: WorkerChannel)
        do { ends = try WorkerChannel.pair() } catch { throw .unavailable("\(error)") }
        let null = open("/dev/null", O_RDWR | O_CLOEXEC)
        guard null >= 0 else { throw .unavailable("/dev/null cannot be opened") }
        defer { close(null) }
        var environment = ["SWIFT_BACKTRACE=enable=no"]
        if let path = getenv("LD_LIBRARY_PATH") { environment.append("LD_LIBRARY_PATH=\(String(cString: path))") }
        let words = ([settings.program] + settings.arguments).map { strdup($0) } + [nil]
        let variables = environment.map { strdup($0) } + [nil]
        defer { for text in words + variables { free(text) } }
        var started: (pid: Int32, namespaces: String)?
        var code: Int32 = 0
        for candidate in Self.namespaces where started == nil {
            code = words.withUnsafeBufferPointer { words in
                variables.withUnsafeBufferPointer { variables in
                    var start = cconfine_start(
                        program: words[0], arguments: words.baseAddress, environment: variables.baseAddress, channel: ends.worker.descriptor, null_file: null,
                        data_bytes: settings.dataBytes, address_bytes: settings.addressBytes, cpu_seconds: settings.cpuSeconds, is_idle: settings.isIdle ? 1 : 0,
                        namespaces: candidate.flags)
                    return cconfine_spawn(&start)
                }
            }
            if code > 0 { started = (code, candidate.name) }
        }
        guard let started else { throw .unavailable("\(Errno(rawValue: -code))") }
        pid = started.pid
        channel = ends.node
        // The worker's end must be closed here, or its death would not be seen.
        ends.worker.close()
        let deadline = monotonicSeconds() + Self.startSeconds
        do {
            switch try WorkerAnswer(channel.receive { isStopping() || monotonicSeconds() > deadline }) {
            case .ready(let kept): confinement = "\(started.namespaces), \(kept)"
            case .failed(let reason):
                Self.end(started.pid)
                throw WorkerFailure.unavailable(reason)
            default:
                Self.end(started.pid)
                throw WorkerFailure.unavailable("it does not say that it is ready")
            }
        } catch let error as WorkerFailure {
            isReaped = true
            throw error
        } catch {
            let how = Self.end(started.pid)
            isReaped = true
            throw isStopping() ? .stopped : .unavailable("it \(how) before it was ready")
        }
    }

    deinit { if !isReaped { Self.end(pid) } }

    /// Does a job and hands over what comes of it.
    /// - Parameters:
    ///   - cpuSeconds: of the worker's time; beyond it is ended. Waiting for a processor costs nothing.
    ///   - take: images, a header, fragments; what it throws ends the job and the worker.
    /// - Throws: after `.died` and `.stopped` this worker is gone.
    package func perform(
        _ job: WorkerJob, source: any ReadingFile, cpuSeconds: Int64, wallSeconds: Int64 = WorkerProcess.wallSecondsMax, unless isStopping: () -> Bool, _ take: (WorkerAnswer) throws -> Void
    ) throws(WorkerFailure) -> WorkerFigures {
        jobs += 1
        let cpuEnd = (cpuSecondsUsed ?? 0) + cpuSeconds
        let wallEnd = monotonicSeconds() + wallSeconds
        var readBudget: Int64 = 256 << 20 + 8 * job.sourceBytes
        func isOver() -> Bool { isStopping() || (cpuSecondsUsed ?? 0) > cpuEnd || monotonicSeconds() > wallEnd }
        do {
            try channel.send(WorkerRequest.job(job).message, unless: isOver)
            while true {
                let answer = try WorkerAnswer(channel.receive(unless: isOver))
                if isOver() { throw WorkerChannel.Failure.givenUp }
                switch answer {
                case .read(let offset, let count):
                    readBudget -= Int64(count)
                    guard readBudget > 0 else { throw MalformedMessage(description: "reads the segment again and again") }
                    let request: WorkerRequest
                    do { request = .bytes(try source.read(at: offset, count: Int(min(Int64(count), max(0, job.sourceBytes - offset))))) } catch { request = .unreadable }
                    try channel.send(request.message, unless: isOver)
                case .image, .header, .fragment:
                    do { try take(answer) } catch let error as MalformedMessage { throw error } catch { throw WorkerFailure.storage(error) }
                case .done(let figures): return figures
                case .failed(let reason): throw WorkerFailure.refused(reason)
                case .ready: throw MalformedMessage(description: "says twice that it is ready")
                }
            }
        } catch let error as WorkerFailure {
            if case .storage = error { end() }
            throw error
        } catch let error as MalformedMessage {
            end()
            throw .died("was ended, for it \(error.description)")
        } catch {
            let reason = isStopping() ? nil : (cpuSecondsUsed ?? 0) > cpuEnd ? "used more than \(cpuSeconds) s of processor time" : monotonicSeconds() > wallEnd ? "did not end" : ""
            let how = end()
            guard let reason else { throw .stopped }
            throw .died(reason.isEmpty ? how : reason)
        }
    }

    /// An idle machine does an hour of footage in minutes; a machine whose recording takes all of it may take long.
    package static let wallSecondsMax: Int64 = 6 * 3_600

    package var cpuSecondsUsed: Int64? {
        var clock = clockid_t()
        var time = timespec()
        guard !isReaped, clock_getcpuclockid(pid, &clock) == 0, clock_gettime(clock, &time) == 0 else { return nil }
        return Int64(time.tv_sec)
    }

    @discardableResult
    private func end() -> String {
        guard !isReaped else { return "has ended" }
        isReaped = true
        return Self.end(pid)
    }

    /// Ends it, if it has not ended by itself, and says how it did.
    @discardableResult
    private static func end(_ pid: pid_t) -> String {
        var status: Int32 = 0
        // A crash closes the channel before the process is gone, and its own end tells more than ours.
        cconfine_await(pid, 500)
        var ended = waitpid(pid, &status, WNOHANG)
        let isOurs = ended == 0
        if isOurs { kill(pid, SIGKILL) }
        while ended == 0 || ended < 0 && errno == EINTR { ended = waitpid(pid, &status, 0) }
        if isOurs { return "was ended" }
        let signal = status & 0x7F
        return signal == 0 ? "ended with status \(status >> 8 & 0xFF)" : "died of signal \(signal)"
    }
}

func monotonicSeconds() -> Int64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Int64(time.tv_sec)
}
