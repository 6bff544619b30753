import Foundation
import Synchronization
import TestSupport

/// A pseudo-terminal: the program opens `path` as its serial port, the test holds the cable's other end.
final class PseudoTerminal: Sendable {
    let path: String
    private let master: Mutex<Int32>

    init() throws {
        // As posix_openpt, unlockpt and ptsname do, which Swift does not see (TIOCSPTLCK, TIOCGPTN).
        let descriptor = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC)
        var isLocked: Int32 = 0
        var number: UInt32 = 0
        guard descriptor >= 0, ioctl(descriptor, 0x4004_5431, &isLocked) == 0, ioctl(descriptor, 0x8004_5430, &number) == 0 else {
            throw TestFailure("no pseudo-terminal: \(errno)")
        }
        path = "/dev/pts/\(number)"
        // The answers must not come back as questions: a new terminal echoes.
        var settings = termios()
        tcgetattr(descriptor, &settings)
        cfmakeraw(&settings)
        tcsetattr(descriptor, TCSANOW, &settings)
        _ = fcntl(descriptor, F_SETFL, O_NONBLOCK)
        master = Mutex(descriptor)
    }

    deinit { unplug() }

    func send(_ bytes: [UInt8]) {
        master.withLock { descriptor in
            var rest = bytes[...]
            while descriptor >= 0, !rest.isEmpty {
                let count = rest.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
                if count > 0 { rest = rest.dropFirst(count) } else if errno != EINTR { return }
            }
        }
    }

    /// What has come since the last call; nil when the cable is out.
    func receive() -> [UInt8]? {
        master.withLock { descriptor in
            guard descriptor >= 0 else { return nil }
            var bytes = [UInt8](repeating: 0, count: 1_024)
            let count = read(descriptor, &bytes, bytes.count)
            return count > 0 ? Array(bytes.prefix(count)) : []
        }
    }

    /// The cable is out: reads fail with EIO from now on.
    func unplug() {
        master.withLock { descriptor in
            if descriptor >= 0 { close(descriptor) }
            descriptor = -1
        }
    }
}
