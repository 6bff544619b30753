import EvidenceLog
import FoundationEssentials
import RecordingModel

/// Why a statement that a courier brought back is not taken.
package enum ReceiptFault: Error, Hashable, Sendable, CustomStringConvertible {
    case unreadable
    /// Not signed by the hub's key.
    case wrongKey
    case otherHub, otherNode, otherLog
    /// The node has a newer one.
    case outdated
    /// The hub holds another history of the log.
    case forked(hubSize: UInt64)

    package var description: String {
        switch self {
        case .unreadable: "the statement is damaged; let the hub write it again: fieldpost-hub import"
        case .wrongKey: "the statement is not signed by the key of the hub that this node has joined"
        case .otherHub: "the statement is of another hub"
        case .otherNode: "the statement is about another node"
        case .otherLog: "the statement is about a log that this node does not write any more"
        case .outdated: "the node has a newer statement; nothing was changed"
        case .forked(let size): "the hub holds another history of this log (at \(size) entries): this node was copied or restored; ask an operator"
        }
    }
}

extension HoldingsStatement {
    /// Whether this one is at least as new. Within a generation the hub's log of a node only grows; where it has not, the
    /// hub's clock tells, because the hub may have lost footage meanwhile.
    package func isAsNew(as other: HoldingsStatement) -> Bool {
        (generation, logSize, issuedUnixMilliseconds) >= (other.generation, other.logSize, other.issuedUnixMilliseconds)
    }
}

extension SignedStatement {
    /// A statement as a file of a medium, at most `receiptByteLimit`.
    package func receiptFile() throws -> [UInt8] { try MessageCoding.json(self) }
    package static let receiptByteLimit = 4 << 20

    package init(receiptFile bytes: [UInt8]) throws(ReceiptFault) {
        guard bytes.count <= Self.receiptByteLimit, let signed = try? JSONDecoder().decode(SignedStatement.self, from: Data(bytes)) else { throw .unreadable }
        self = signed
    }

    /// The statement, if it is for this node and not older than what it has. The same as over the link, where the pinned
    /// connection vouches for its being of now: a medium may bring one of last year.
    /// - Parameter rootAtSize: the root of the node's own log at a size; nil when its log is shorter.
    package func accepted(
        hub: HubID, hubKey: NoteKey, node: NodeID, log: LogID, current: HoldingsStatement?, rootAtSize: (UInt64) throws -> ContentHash?
    ) throws -> HoldingsStatement {
        guard let statement = verified(by: hubKey) else { throw ReceiptFault.wrongKey }
        guard statement.hub == hub else { throw ReceiptFault.otherHub }
        guard statement.node == node else { throw ReceiptFault.otherNode }
        guard statement.log == log else { throw ReceiptFault.otherLog }
        guard try rootAtSize(statement.logSize) == statement.logRoot else { throw ReceiptFault.forked(hubSize: statement.logSize) }
        if let current, !statement.isAsNew(as: current) { throw ReceiptFault.outdated }
        return statement
    }
}
