/// Why a contact cannot go on.
package enum SyncFault: Error, Hashable, Sendable, CustomStringConvertible {
    case unknownVersion(Int)
    /// The statement is not signed by the hub's key, or speaks of another hub, node or log.
    case foreignStatement
    /// The statement is of a generation of the hub before the one that the node has heard of. It licenses nothing.
    case oldGeneration(UInt64, known: UInt64)
    /// The hub holds another history of this log.
    case forked(hubSize: UInt64)
    /// The hub answered what was not asked.
    case unexpectedAnswer
    /// A message is compressed with a dictionary that is not here.
    case unknownDictionary(UInt32)

    package var description: String {
        switch self {
        case .unknownVersion(let version): "the hub speaks protocol version \(version), which this node does not know"
        case .foreignStatement: "the hub's statement is not signed by its key or is not about this node and log"
        case .oldGeneration(let generation, let known):
            "the hub answers as generation \(generation), and this node has heard generation \(known): an older copy of the hub is running; raise the generation in its hub.json"
        case .forked(let size): "the hub holds another history of this log (at \(size) entries): this node was copied or restored; ask an operator"
        case .unknownDictionary(let id): "a message is compressed with dictionary \(id), which this program does not have"
        case .unexpectedAnswer: "the hub answered something that was not asked"
        }
    }
}
