import Dispatch
import Foundation
import Synchronization

/// How often a descriptor that only this function uses was closed by somebody while `body` ran: whoever closes a
/// number twice closes, the second time, what another thread has just opened.
public func descriptorsLost(during body: () throws -> Void) rethrows -> Int {
    let watch = DescriptorWatch()
    Thread { watch.run() }.start()
    do { try body() } catch {
        _ = watch.stop()
        throw error
    }
    return watch.stop()
}

private final class DescriptorWatch: Sendable {
    private let isStopped = Mutex(false)
    private let ended = DispatchSemaphore(value: 0)
    private let lost = Mutex(0)

    func run() {
        while !isStopped.withLock({ $0 }) {
            let descriptor = open("/dev/null", O_RDONLY | O_CLOEXEC)
            guard descriptor >= 0 else { continue }
            sched_yield()
            if close(descriptor) != 0 { lost.withLock { $0 += 1 } }
        }
        ended.signal()
    }

    func stop() -> Int {
        isStopped.withLock { $0 = true }
        ended.wait()
        return lost.withLock { $0 }
    }
}
