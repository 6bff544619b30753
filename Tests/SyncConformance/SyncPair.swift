import EvidenceLog
import RecordingModel
import SyncProtocol

/// What is done to the link of a contact.
package enum LinkFault: Hashable, Sendable {
    case none
    /// It goes away after so many bytes from the node.
    case cut(afterBytes: Int)
    /// It carries everything to the hub, and goes away before the hub's word on it comes back.
    case answerLost
}

/// How a contact ended for the node.
package enum ContactEnd: Hashable, Sendable {
    /// Everything was said and answered.
    case settled
    case lost
    /// The hub holds another history of this log: the node says so, or the hub.
    case forked
    /// The statement was not believed.
    case notBelieved
    case refused(status: Int)
}

/// What the hub answered to a push.
package enum PushEnd: Hashable, Sendable {
    case taken(PushReply)
    case refused(status: Int)

    package var refusals: [Refusal.Reason]? { if case .taken(let reply) = self { reply.refusals.map(\.reason) } else { nil } }
}

package enum PushedSession: Sendable {
    /// After a hello of its own.
    case next
    /// As the newest hello said.
    case newest
    /// Of the hello before it.
    case older
}

/// What the hub has, read from what it keeps and not from what it says.
package struct HubState: Sendable {
    package var logSize: UInt64 = 0
    package var logRoot = MerkleTree.emptyRoot
    package var held: Set<SegmentID> = []
    /// Contents of the whole segments, by the names under which they are kept.
    package var blobs: [ContentHash: ContentHash] = [:]
    package var partials = 0
    /// Second histories that an operator is told of; nil where the pair has no operator.
    package var alarms: Int?
    package init() {}
}

/// A node and a hub that one case is tried on. The node's log and footage are in memory; the rest is the pair's.
package protocol SyncPair: AnyObject {
    /// Entries and footage of the node. What is rotten differs from its entry.
    var footage: PairFootage { get }
    /// The newest statement that the node has taken in.
    var statement: HoldingsStatement? { get }
    var setAside: Set<SegmentID> { get }
    /// Bytes of footage that the node has sent in all its contacts.
    var sentBytes: Int { get }

    func contact(_ fault: LinkFault) async throws -> ContactEnd
    func push(_ frames: [Frame], _ session: PushedSession) async throws -> PushEnd
    func hubState() async throws -> HubState

    /// The hub as it is now, to be brought back by `restore` under the next generation.
    func backUp() async throws
    func restore() async throws
    /// From now on the hub says that it is of the generation before.
    func forgetGeneration() async throws
    /// The catalogue learns that these are not held any more.
    func lose(_ segments: Set<SegmentID>) async throws
    /// The hub claims these, whatever it has; or only what it has, when it is empty.
    func claim(_ segments: Set<SegmentID>) async throws
    /// From now on the hub signs with another key.
    func changeKey() async throws
    /// Another node with the same identity and another history from the beginning, in contact with the same hub.
    func contactOfClone() async throws -> ContactEnd
}

/// What the node of a pair has.
package struct PairFootage: Sendable {
    package var segments: [SegmentID: (sha256: ContentHash, bytes: [UInt8])]
    /// Roots of the log at each of its sizes.
    package var roots: [ContentHash]
    package var batches: [EntryBatch]

    package init(segments: [SegmentID: (sha256: ContentHash, bytes: [UInt8])], roots: [ContentHash], batches: [EntryBatch]) {
        self.segments = segments
        self.roots = roots
        self.batches = batches
    }

    package var ids: [SegmentID] { segments.keys.sorted() }
    package var rotten: Set<SegmentID> { Set(segments.filter { ContentHash.sha256($0.value.bytes) != $0.value.sha256 }.keys) }

    package var entryFrames: [Frame] { get throws { try batches.map { .entries(try $0.encoded()) } } }

    /// A segment as it is sent, in pieces of so many bytes.
    package func frames(of segment: SegmentID, pieceBytes: Int = 100) -> [Frame] {
        guard let footage = segments[segment] else { return [] }
        let pieces = stride(from: 0, to: footage.bytes.count, by: pieceBytes).map { offset in
            Frame.data(segment: segment, offset: Int64(offset), bytes: Array(footage.bytes[offset..<min(offset + pieceBytes, footage.bytes.count)]))
        }
        return pieces + [.end(segment: segment, length: Int64(footage.bytes.count), sha256: footage.sha256)]
    }
}
