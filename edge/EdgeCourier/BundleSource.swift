import EvidenceLog
import RecordingModel
import SyncProtocol

/// What a bundle is made of. The composition root reads it beside a running recorder; a test brings its own.
package protocol BundleSource: Sendable {
    var node: NodeID { get }
    var log: LogID { get }
    /// The newest checkpoint that the recorder has stored: only it can sign. Nil for a log that is a minute old.
    func newestCheckpoint() throws -> SignedCheckpoint?
    /// Batches from an entry on that lead to the checkpoint of this size, in order, each of one key epoch.
    func forEachBatch(from start: UInt64, to size: UInt64, _ body: (EntryBatch) throws -> Void) throws
    /// Segments that no statement covers and that the courier is to carry, the most wanted first.
    func waiting() throws -> [SegmentWork]
    /// - Throws: when the recorder has given the segment up meanwhile.
    func read(_ work: SegmentWork, offset: Int64, count: Int) throws -> [UInt8]
}

/// A sentence for the person who waits beside the medium, ending with what to do.
package struct CourierError: Error, Sendable, CustomStringConvertible {
    package let description: String
    package init(_ description: String) { self.description = description }
}
