import Crypto
import EvidenceLog
import RecordingModel
import SyncProtocol

/// What sync needs of the node's journal. The composition root adapts the journal to it; a simulation brings its own.
package protocol SyncSource: Sendable {
    var log: LogID { get }
    func logSize() async throws -> UInt64
    /// Signs the present size.
    func checkpoint() async throws -> SignedCheckpoint
    /// The root of the first `size` entries; nil when the log is shorter.
    func root(at size: UInt64) async throws -> ContentHash?
    /// Entries from an index on, to a checkpoint of their own epoch; nil when there are none.
    /// - Parameter plainBytes: of the lines, where the checkpoints allow it.
    func batch(from start: UInt64, plainBytes: Int) async throws -> EntryBatch?
    /// Segments that no statement covers, the most wanted first.
    func waiting(_ query: WorkQuery) async throws -> [SegmentWork]
    /// All footage that is here, in any order, with its content: read only after a log was lost.
    func footage() async throws -> [(item: ReconcileItem, segment: SegmentID)]
    func read(_ work: SegmentWork, offset: Int64, count: Int) async throws -> [UInt8]
    func holdings() async throws -> [StreamHoldings]
    func backlog() async throws -> Backlog
    func status() async throws -> NodeStatus
    /// Keeps the newest statement durably.
    func keep(_ signed: SignedStatement, _ statement: HoldingsStatement) async throws
    /// Keeps durably what the hub forbids to give up, in place of what it forbade before.
    func keep(pins: [StreamHoldings]) async throws
}

extension SyncSource {
    private var examinedBytes: Int { 256 << 10 }

    /// Whether a segment's file is what its entry says; false for one that cannot be read.
    func isIntact(_ work: SegmentWork) async -> Bool {
        var hash = SHA256()
        var offset: Int64 = 0
        while offset < work.bytes {
            guard let piece = try? await read(work, offset: offset, count: Int(min(Int64(examinedBytes), work.bytes - offset))), !piece.isEmpty else { return false }
            hash.update(data: piece)
            offset += Int64(piece.count)
        }
        return ContentHash(Array(hash.finalize())) == work.sha256
    }
}

/// Which segments are wanted next.
package struct WorkQuery: Hashable, Sendable {
    /// What somebody waits for, the most wanted first: it comes first, as `TrafficClass.pulled`.
    package var pulled: [StreamHoldings] = []
    /// Segments of which the hub has a part: they are among the answer where they still wait.
    package var begun: [SegmentID] = []
    package var excluded: Set<SegmentID> = []
    /// Left out too: the hub has them by their content.
    package var presumed: [StreamID: SequenceRanges] = [:]
    package var classes = Set(TrafficClass.allCases)
    package var limit: Int
    package init(limit: Int) { self.limit = limit }
}

/// Where the hub is and how each side is known.
package struct HubEndpoint: Hashable, Sendable, Codable {
    package var host: String
    package var port: Int
    package var hub: HubID
    /// C2SP vkey text of the hub's statement key, learnt over the pinned connection at enrolment.
    package var hubKey: String
    package var name: String

    package init(host: String, port: Int, hub: HubID, hubKey: String, name: String) {
        self.host = host
        self.port = port
        self.hub = hub
        self.hubKey = hubKey
        self.name = name
    }
}

package struct SyncTimeouts: Hashable, Sendable {
    package var connectSeconds = 3
    /// A connection on which nothing was acknowledged for so long is stalled. It ends, or where the kernel can knock
    /// every second (`patienceSeconds`), the hub's address is tried beside it.
    package var stallSeconds = 4
    /// For how long a stalled connection is kept where the kernel can go on with it at once (TCP_RTO_MAX_MS).
    package var patienceSeconds = 120
    /// So long after the hub's address has answered a stalled connection may come back.
    package var reviveSeconds = 3
    /// From the last byte of a request to the first of its answer.
    package var answerSeconds = 30
    /// For one frame to find room in the socket; 64 KiB at 5 kbit/s take 105 s.
    package var writeSeconds = 120
    package var heartbeatSeconds = 30
    package init() {}
}

/// Why a contact ended.
package enum SyncError: Error, Sendable, CustomStringConvertible {
    case cannotConnect(String)
    /// The peer showed a key other than the pinned one. Nothing was sent.
    case otherHubKey(expected: ContentHash)
    /// The link may not be used any more, or another is better; why.
    case linkClosed(String)
    /// With what the network said, where it said anything.
    case connectionLost(String = "")
    case noAnswer(seconds: Int)
    case refused(Problem)
    case malformedAnswer
    /// The log's entries from here on have no checkpoint that they lead to.
    case noCheckpoint(UInt64)
    case shortFile(SegmentID)

    package var description: String {
        switch self {
        case .cannotConnect(let reason): "cannot connect to the hub: \(reason)"
        case .otherHubKey(let expected): "the hub shows another key than \(expected.fingerprint); nothing was sent. Either the address is wrong, the hub was replaced, or somebody is in between"
        case .connectionLost(let reason): reason.isEmpty ? "the connection was lost" : "the connection was lost: \(reason)"
        case .noAnswer(let seconds): "the hub did not answer within \(seconds) s"
        case .refused(let problem): "the hub refused: \(problem.status) \(problem.title)\(problem.detail.map { " " + $0 } ?? "")"
        case .noCheckpoint(let index): "entry \(index) and those after it are not signed yet; run: fieldpost-edge check"
        case .shortFile(let segment): "the file of segment \(segment) is shorter than its entry says"
        case .linkClosed(let reason): reason
        case .malformedAnswer: "the hub's answer cannot be read"
        }
    }
}
