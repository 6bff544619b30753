import Glibc

/// Standard error, written whole or not at all as far as the kernel allows.
enum StandardError {
    /// One write(2) for the lot: at most 4,096 bytes reach a pipe in one piece (PIPE_BUF), so lines of several
    /// threads and processes do not mix. A failed write is dropped: there is nowhere left to report it.
    static func write(_ bytes: [UInt8]) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(STDERR_FILENO, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return }
            rest = rest.dropFirst(count)
        }
    }
}
