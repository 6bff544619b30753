import CLibAV
import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

package enum InterruptReason: Sendable, Hashable { case cancelled, timedOut }

/// Ends FFmpeg's blocking calls: from another thread (`cancel`), or at a deadline on CLOCK_MONOTONIC.
/// A class, because C keeps a pointer to it; whoever opens a context with it keeps it alive until after close.
package final class InterruptContext: Sendable {
    private let cancelled = Atomic<Bool>(false)
    /// Nanoseconds of CLOCK_MONOTONIC; `.max` for none.
    private let deadline = Atomic<Int64>(.max)
    /// FFmpeg may look again after the deadline was moved, so what ended the call is kept until the next `arm`.
    private let timedOut = Atomic<Bool>(false)

    /// When a call under way is next told that it waits.
    private let nextWait = Atomic<Int64>(.max)
    // Safe without a lock: set, and called from within FFmpeg, only on the thread that makes the blocking calls.
    nonisolated(unsafe) private var whileWaiting: (() -> Void)?

    package init() {}

    /// Has `body` called about every half second of a blocking call, on the thread that makes it; nil ends that.
    /// What it does must be short, and must not touch the input.
    package func onWait(_ body: (() -> Void)?) { whileWaiting = body }

    /// To be called, on the same thread, about every half second of a wait that is not FFmpeg's.
    package func waits() { whileWaiting?() }

    /// Ends the call under way and every later one.
    package func cancel() { cancelled.store(true, ordering: .sequentiallyConsistent) }

    package var isCancelled: Bool { cancelled.load(ordering: .sequentiallyConsistent) }

    /// To be called before each blocking call.
    package func arm(milliseconds: Int) {
        timedOut.store(false, ordering: .relaxed)
        let now = monotonicNanoseconds()
        deadline.store(now + Int64(milliseconds) * 1_000_000, ordering: .relaxed)
        nextWait.store(now + Self.waitNanoseconds, ordering: .relaxed)
    }

    /// Why the last call was ended, if this context ended it.
    package var reason: InterruptReason? {
        if isCancelled { return .cancelled }
        return timedOut.load(ordering: .relaxed) ? .timedOut : nil
    }

    fileprivate var mustEnd: Bool {
        if isCancelled { return true }
        let now = monotonicNanoseconds()
        if now >= deadline.load(ordering: .relaxed) {
            timedOut.store(true, ordering: .relaxed)
            return true
        }
        if now >= nextWait.load(ordering: .relaxed) {
            nextWait.store(now + Self.waitNanoseconds, ordering: .relaxed)
            whileWaiting?()
        }
        return false
    }

    private static let waitNanoseconds: Int64 = 500_000_000

    /// Valid while this object lives.
    var callback: AVIOInterruptCB {
        AVIOInterruptCB(callback: interruptCallback, opaque: Unmanaged.passUnretained(self).toOpaque())
    }
}

private func interruptCallback(_ opaque: UnsafeMutableRawPointer?) -> Int32 {
    guard let opaque else { return 0 }
    return Unmanaged<InterruptContext>.fromOpaque(opaque).takeUnretainedValue().mustEnd ? 1 : 0
}

package func monotonicNanoseconds() -> Int64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
}
