import Dispatch
import Synchronization

/// Something happened, once or often, since the last wait.
final class WakeSignal: Sendable {
    private let semaphore = DispatchSemaphore(value: 0)
    private let isSet = Mutex(false)

    func signal() {
        let isFirst = isSet.withLock { flag in
            defer { flag = true }
            return !flag
        }
        if isFirst { semaphore.signal() }
    }

    func wait(milliseconds: Int) {
        if semaphore.wait(timeout: .now() + .milliseconds(milliseconds)) == .success { isSet.withLock { $0 = false } }
    }
}
