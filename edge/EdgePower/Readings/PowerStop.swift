#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif
import Synchronization

/// The order to stop, which a source's thread can wait for beside its port or socket: a pipe, so that `poll` sees it at once.
package final class PowerStop: Sendable {
    package enum Waited: Equatable {
        case stopped, timedOut
        /// What `poll` said of the descriptor: `POLLIN`, `POLLHUP` …
        case ready(Int16)
    }

    private let isOrdered = Mutex(false)
    /// -1 where the system gave no pipe: then waits look for the order every half second.
    private let readEnd: Int32
    private let writeEnd: Int32

    package init() {
        var ends: [Int32] = [-1, -1]
        // Swift sees no pipe2. A program that is started in between inherits an end, which does no harm.
        let isMade = pipe(&ends) == 0
        if isMade {
            for end in ends {
                _ = fcntl(end, F_SETFD, FD_CLOEXEC)
                _ = fcntl(end, F_SETFL, O_NONBLOCK)
            }
        }
        readEnd = isMade ? ends[0] : -1
        writeEnd = isMade ? ends[1] : -1
    }

    deinit {
        if readEnd >= 0 { close(readEnd) }
        if writeEnd >= 0 { close(writeEnd) }
    }

    package var isSet: Bool { isOrdered.withLock { $0 } }

    package func set() {
        let isFirst = isOrdered.withLock { ordered in
            defer { ordered = true }
            return !ordered
        }
        // The byte is never taken out: every wait from now on ends at once.
        if isFirst, writeEnd >= 0 { _ = write(writeEnd, [1], 1) }
    }

    /// True as soon as the order is there, false when the time is over.
    package func wait(milliseconds: Int64) -> Bool { wait(for: -1, events: 0, milliseconds: milliseconds) == .stopped }

    /// Waits until the descriptor is ready, the order comes, or the time is over.
    package func wait(for descriptor: Int32, events: Int32, milliseconds: Int64) -> Waited {
        var left = max(0, milliseconds)
        while true {
            if isSet { return .stopped }
            let slice = readEnd >= 0 ? min(left, 60_000) : min(left, 500)
            var polled = [pollfd(fd: readEnd, events: Int16(POLLIN), revents: 0), pollfd(fd: descriptor, events: Int16(events), revents: 0)]
            let began = monotonicMilliseconds()
            let count = poll(&polled, 2, Int32(slice))
            if isSet { return .stopped }
            if count > 0, polled[1].revents != 0 { return .ready(polled[1].revents) }
            left -= max(count == 0 ? slice : 0, monotonicMilliseconds() - began)
            if left <= 0 { return .timedOut }
        }
    }
}

/// For time-outs only; what is measured goes by the boot clock of `Clocks`.
func monotonicMilliseconds() -> Int64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Int64(time.tv_sec) * 1_000 + Int64(time.tv_nsec) / 1_000_000
}
