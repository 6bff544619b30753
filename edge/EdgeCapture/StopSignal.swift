import LibAV

/// Asks a camera's thread to end, whatever it is doing: waiting, or within FFmpeg.
final class StopSignal: Sendable {
    let interrupt = InterruptContext()
    private let latch = Latch()

    var isSet: Bool { latch.isSet }

    func set() {
        latch.set()
        interrupt.cancel()
    }

    private static let pieceNanoseconds: Int64 = 500_000_000

    /// Throws `.stopped` as soon as the signal is set. Whoever waits within a read is told of it as by FFmpeg.
    func sleep(nanoseconds: Int64) throws(CaptureFailure) {
        var left = nanoseconds
        while true {
            if latch.wait(nanoseconds: min(left, Self.pieceNanoseconds)) { throw .stopped }
            left -= Self.pieceNanoseconds
            guard left > 0 else { return }
            interrupt.waits()
        }
    }
}

/// Sleeps until a packet is due, so that a file is recorded in the time that it lasts.
struct Pacer {
    /// A jump beyond this is a new start, and not a reason to sleep for an hour.
    private static let jumpNanoseconds: Int64 = 10_000_000_000
    private var mediaToClock: Int64?

    /// - Parameter nanoseconds: as `rescale` gives it, so that nothing here overflows.
    mutating func wait(forMedia nanoseconds: Int64, stop: StopSignal) throws(CaptureFailure) {
        let now = monotonicNanoseconds()
        guard let offset = mediaToClock, abs(nanoseconds + offset - now) < Self.jumpNanoseconds else {
            mediaToClock = now - nanoseconds
            return
        }
        if nanoseconds + offset > now { try stop.sleep(nanoseconds: nanoseconds + offset - now) }
    }
}
