import SystemPackage

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// One end of the socket pair between node and worker. A class, because FFmpeg's reads go through it; used by one thread.
package final class WorkerChannel {
    private(set) var descriptor: Int32

    enum Failure: Error {
        /// The other side is gone.
        case closed
        /// `isOver` said so.
        case givenUp
        case system(Errno)
    }

    package init(owning descriptor: Int32) { self.descriptor = descriptor }

    deinit { close() }

    func close() {
        if descriptor >= 0 { _ = Glibc.close(descriptor) }
        descriptor = -1
    }

    static func pair() throws -> (node: WorkerChannel, worker: WorkerChannel) {
        var descriptors: [Int32] = [-1, -1]
        guard socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0, &descriptors) == 0 else { throw Errno(rawValue: errno) }
        return (WorkerChannel(owning: descriptors[0]), WorkerChannel(owning: descriptors[1]))
    }

    /// - Parameter isOver: asked about once a second while nothing comes or goes; true gives it up.
    package func send(_ message: [UInt8], unless isOver: () -> Bool = { false }) throws {
        var sent = 0
        while sent < message.count {
            try wait(for: Int16(POLLOUT), isOver)
            let count = message.withUnsafeBytes { Glibc.send(descriptor, $0.baseAddress?.advanced(by: sent), message.count - sent, Int32(MSG_NOSIGNAL)) }
            guard count > 0 || errno == EINTR || errno == EAGAIN else { throw errno == EPIPE || errno == ECONNRESET ? Failure.closed : Failure.system(Errno(rawValue: errno)) }
            sent += max(0, count)
        }
    }

    /// The next message, without its length.
    func receive(unless isOver: () -> Bool = { false }) throws -> [UInt8] {
        let length = try read(4, isOver).reduce(0) { $0 << 8 | Int($1) }
        guard (1...WorkerBounds.messageBytesMax).contains(length) else { throw MalformedMessage(description: "a message of \(length) bytes") }
        return try read(length, isOver)
    }

    private func read(_ count: Int, _ isOver: () -> Bool) throws -> [UInt8] {
        try [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            while filled < count {
                try wait(for: Int16(POLLIN), isOver)
                let got = recv(descriptor, buffer.baseAddress?.advanced(by: filled), count - filled, 0)
                if got == 0 || got < 0 && errno == ECONNRESET { throw Failure.closed }
                guard got > 0 || errno == EINTR || errno == EAGAIN else { throw Failure.system(Errno(rawValue: errno)) }
                filled += max(0, got)
            }
        }
    }

    private func wait(for events: Int16, _ isOver: () -> Bool) throws {
        while true {
            var request = pollfd(fd: descriptor, events: events, revents: 0)
            let count = poll(&request, 1, 1_000)
            if count > 0 { return }
            guard count == 0 || errno == EINTR else { throw Failure.system(Errno(rawValue: errno)) }
            if isOver() { throw Failure.givenUp }
        }
    }
}
