import Logging
import RecordingModel

/// What the recorder knows of its sink. A journal that says that it takes nothing has failed until the process is started
/// again: no segment is begun then that nobody could seal, and what is on the disk stays as it is, for recovery to find.
final class SinkGate {
    private static let retryNanoseconds: Int64 = 1_500_000_000

    private let sink: any RecordingSink
    private let logger: Logger
    private var refused: String?
    /// Why nothing is taken; nil while all is well.
    var refusal: RecordingRefusal? { refused.map { RecordingRefusal(cause: .diskFault, detail: $0) } ?? sink.refusal }
    /// A refused segment keeps its number, so no other may be begun by this process.
    private var isFinal = false
    private var triedNanoseconds: Int64 = .min

    init(_ context: RecorderContext) {
        sink = context.sink
        logger = context.logger
    }

    /// A segment that alone is refused is left under its open name, for recovery; the next file of its number sets it aside.
    func deliver(_ segment: ClosedSegment) throws(StorageFault) {
        do { try sink.deliver(segment) } catch {
            guard sink.refusal != nil else {
                logger.error("the journal refused a segment; it is left for recovery", metadata: ["path": "\(segment.openPath)", "error": "\(error)"])
                return
            }
            isFinal = true
            throw StorageFault(cause: .diskFault, detail: refuse(error, "a segment"))
        }
    }

    /// False when it was not taken, or was not offered because the sink refused a moment ago.
    func deliver(_ gap: GapRecord, _ now: Moment, atOnce: Bool) -> Bool {
        if refused != nil, !atOnce, triedNanoseconds != .min, now.bootNanoseconds - triedNanoseconds < Self.retryNanoseconds { return false }
        do {
            try sink.deliver(gap)
            if !isFinal { refused = nil }
            return true
        } catch {
            triedNanoseconds = now.bootNanoseconds
            _ = refuse(error, "a gap")
            return false
        }
    }

    private func refuse(_ error: any Error, _ what: String) -> String {
        let sentence = "the journal refused \(what): \(error)"
        if refused == nil { logger.error("nothing is recorded, because the journal refuses", metadata: ["error": "\(error)"]) }
        refused = refused ?? sentence
        return sentence
    }
}
