import Glibc
import SystemPackage

/// A program that takes a stream on its standard input.
final class PlayerPipe {
    let input: FileDescriptor
    private let name: String
    private var process: pid_t = 0

    /// - Throws: `CommandError` when the program cannot be started.
    init(_ program: String, arguments: [String]) throws {
        name = program
        // A player that is closed is no reason to die.
        signal(SIGPIPE, SIG_IGN)
        let ends = try FileDescriptor.pipe()
        input = ends.writeEnd
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, ends.readEnd.rawValue, 0)
        posix_spawn_file_actions_addclose(&actions, ends.readEnd.rawValue)
        posix_spawn_file_actions_addclose(&actions, ends.writeEnd.rawValue)
        let words: [UnsafeMutablePointer<CChar>?] = ([program] + arguments).map { strdup($0) } + [nil]
        defer { for word in words { free(word) } }
        let result = posix_spawnp(&process, program, &actions, nil, words, environ)
        try ends.readEnd.close()
        guard result == 0 else {
            try ends.writeEnd.close()
            throw CommandError("\(program) cannot be started (\(Errno(rawValue: result))); install ffmpeg, or name another with --player")
        }
    }

    /// Ends the stream and waits for the player.
    func finish() throws -> Int32 {
        try input.close()
        var status: Int32 = 0
        while waitpid(process, &status, 0) < 0 {
            guard errno == EINTR else { throw CommandError("\(name) cannot be waited for (\(Errno(rawValue: errno)))") }
        }
        return status & 0x7f == 0 ? (status >> 8) & 0xff : 128 + (status & 0x7f)
    }
}
