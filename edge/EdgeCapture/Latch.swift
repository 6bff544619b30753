#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// A flag that is set once, and that a thread can wait for with a bound.
/// Unchecked, because the flag is guarded by a pthread mutex, which the compiler does not know.
package final class Latch: @unchecked Sendable {
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    private var flag = false

    package init() {
        pthread_mutex_init(mutex, nil)
        var attributes = pthread_condattr_t()
        pthread_condattr_init(&attributes)
        // The wall clock of a node jumps; a wait must not.
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        pthread_cond_init(condition, &attributes)
        pthread_condattr_destroy(&attributes)
    }

    deinit {
        pthread_cond_destroy(condition)
        pthread_mutex_destroy(mutex)
        condition.deallocate()
        mutex.deallocate()
    }

    package var isSet: Bool {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return flag
    }

    package func set() {
        pthread_mutex_lock(mutex)
        flag = true
        pthread_cond_broadcast(condition)
        pthread_mutex_unlock(mutex)
    }

    /// True as soon as the latch is set, false when the time is over.
    @discardableResult
    package func wait(nanoseconds: Int64) -> Bool {
        var deadline = timespec()
        clock_gettime(CLOCK_MONOTONIC, &deadline)
        let end = Int64(deadline.tv_nsec) + max(0, nanoseconds)
        deadline.tv_sec += Int(end / 1_000_000_000)
        deadline.tv_nsec = Int(end % 1_000_000_000)
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        while !flag {
            if pthread_cond_timedwait(condition, mutex, &deadline) == ETIMEDOUT { return flag }
        }
        return true
    }

    @discardableResult
    package func wait(milliseconds: Int64) -> Bool { wait(nanoseconds: milliseconds * 1_000_000) }
}

/// A thread of its own, because demuxing blocks and the cooperative pool must not.
package enum DedicatedThread {
    /// False when the system gives no more threads. The thread is detached: whoever waits for it uses a `Latch`.
    package static func start(name: String, _ body: @escaping @Sendable () -> Void) -> Bool {
        let start = Unmanaged.passRetained(ThreadStart(name: name, body: body))
        var thread = pthread_t()
        guard pthread_create(&thread, nil, runThread, start.toOpaque()) == 0 else {
            start.release()
            return false
        }
        pthread_detach(thread)
        return true
    }
}

private final class ThreadStart: Sendable {
    let body: @Sendable () -> Void
    let name: String
    init(name: String, body: @escaping @Sendable () -> Void) {
        self.name = name
        self.body = body
    }
}

/// A function and not a closure within `start`: that crashes the 6.3.1 compiler ("SendNonSendable").
private func runThread(_ opaque: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    guard let opaque else { return nil }
    let start = Unmanaged<ThreadStart>.fromOpaque(opaque).takeRetainedValue()
    // For `top` and `perf`; the kernel takes 15 bytes. Swift sees no `pthread_setname_np`.
    if let file = fopen("/proc/thread-self/comm", "w") {
        fputs(String(start.name.prefix(15)), file)
        fclose(file)
    }
    start.body()
    return nil
}
