import Synchronization

/// Session numbers rise with every hello of this node. They begin at the wall clock, so that they need no file; a
/// hub that has seen a higher one says so.
package final class SessionCounter: Sendable {
    private let value: Mutex<UInt64>
    package init(startingAt start: UInt64) { value = Mutex(start) }
    func next() -> UInt64 {
        value.withLock {
            $0 += 1
            return $0
        }
    }
    /// A number that no clock gives is not believed.
    func raise(above known: UInt64) { if known < 1 << 62 { value.withLock { $0 = max($0, known) } } }
    var current: UInt64 { value.withLock { $0 } }
}
