/// Why a contact cannot go on.
package enum SyncFault: Error, Hashable, Sendable, CustomStringConvertible {
    case unknownVersion(Int)
    /// The statement is not signed by the hub's key, or speaks of another hub, node or log.
    case foreignStatement
    /// The hub holds another history of this log.
    case forked(hubSize: UInt64)
    /// The hub answered what was not asked.
    case unexpectedAnswer

    package var description: String {
        switch self {
        case .unknownVersion(let version): "the hub speaks protocol version \(version), which this node does not know"
        case .foreignStatement: "the hub's statement is not signed by its key or is not about this node and log"
        case .forked(let size): "the hub holds another history of this log (at \(size) entries): this node was copied or restored; ask an operator"
        case .unexpectedAnswer: "the hub answered something that was not asked"
        }
    }
}
