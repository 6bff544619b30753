import Foundation

/// A child process, made with posix_spawn and awaited by a thread of its own. Foundation's `Process` shares one manager
/// thread and lets descriptors leak into children that are started at the same time: tests that ran side by side hung.
public struct Child: Sendable {
    public let pid: pid_t

    /// - Parameters:
    ///   - input: descriptors for the child's standard streams; everything else is closed in it, every signal is unblocked
    ///   - onExit: called once with the exit status; 128 and the signal's number when a signal ended it
    public init(
        _ program: String, _ arguments: [String], environment: [String: String] = [:], input: Int32, output: Int32, errors: Int32,
        onExit: @escaping @Sendable (Int32) -> Void
    ) throws {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        for (descriptor, target) in [(input, Int32(0)), (output, 1), (errors, 2)] { posix_spawn_file_actions_adddup2(&actions, descriptor, target) }
        // Swift does not see addclosefrom_np; closing what is not open is no error to glibc.
        for descriptor in Int32(3)..<1024 { posix_spawn_file_actions_addclose(&actions, descriptor) }
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        // A dispatch thread blocks every signal and a child inherits that: SIGTERM would never reach it.
        var none = sigset_t()
        sigemptyset(&none)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))

        let words = ([program] + arguments).map { strdup($0) } + [nil]
        let variables = ProcessInfo.processInfo.environment.merging(environment) { _, new in new }.map { strdup("\($0.key)=\($0.value)") } + [nil]
        defer { for text in words + variables { free(text) } }
        var pid: pid_t = 0
        let result = posix_spawnp(&pid, program, &actions, &attributes, words, variables)
        guard result == 0 else { throw TestFailure("\(program) cannot be started: \(String(cString: strerror(result)))") }
        self.pid = pid
        Thread { [pid] in
            var status: Int32 = 0
            while waitpid(pid, &status, 0) < 0, errno == EINTR {}
            onExit(status & 0x7F == 0 ? (status >> 8) & 0xFF : 128 + (status & 0x7F))
        }.start()
    }
}

/// Runs a program to its end; blocks.
public func runBlocking(_ program: String, _ arguments: [String]) throws -> (status: Int32, output: String, errors: String) {
    let scratch = try TemporaryDirectory("tool")
    let ended = DispatchSemaphore(value: 0)
    let status = Watched<Int32>(0)
    try withDescriptors(scratch.path("out"), scratch.path("err")) { input, output, errors in
        _ = try Child(program, arguments, input: input, output: output, errors: errors) { code in
            status.update { $0 = code }
            ended.signal()
        }
    }
    ended.wait()
    func text(_ name: String) -> String { (try? String(contentsOfFile: scratch.path(name), encoding: .utf8)) ?? "" }
    return (status.value, text("out"), text("err"))
}

private func withDescriptors(_ outputPath: String, _ errorPath: String, _ body: (Int32, Int32, Int32) throws -> Void) throws {
    let input = open("/dev/null", O_RDONLY | O_CLOEXEC)
    let output = open(outputPath, O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
    let errors = open(errorPath, O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
    defer { for descriptor in [input, output, errors] where descriptor >= 0 { close(descriptor) } }
    guard input >= 0, output >= 0, errors >= 0 else { throw TestFailure("cannot open \(outputPath)") }
    try body(input, output, errors)
}
