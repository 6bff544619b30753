import EvidenceLog
import FoundationEssentials
import RecordingModel

package struct StreamHoldings: Hashable, Sendable, Codable {
    package var stream: StreamID
    package var sequences: SequenceRanges
    package init(stream: StreamID, sequences: SequenceRanges) {
        self.stream = stream
        self.sequences = sequences
    }
}

/// What the hub holds of one node, at one size of its log: the only licence to delete at the node. Cumulative, so
/// that losing one costs nothing.
package struct HoldingsStatement: Hashable, Sendable, Codable {
    package enum Level: String, Sendable, Codable {
        /// File, directory and catalogue are synced.
        case stored
        /// A second copy exists.
        case replicated
    }
    package var hub: HubID
    /// Changes when the hub is restored from a backup; statements of an older generation license nothing.
    package var generation: UInt64
    package var node: NodeID
    package var log: LogID
    package var logSize: UInt64
    package var logRoot: ContentHash
    package var held: [StreamHoldings]
    package var level: Level
    package var issuedUnixMilliseconds: Int64

    package init(
        hub: HubID, generation: UInt64, node: NodeID, log: LogID, logSize: UInt64, logRoot: ContentHash, held: [StreamHoldings],
        level: Level, issuedUnixMilliseconds: Int64
    ) {
        self.hub = hub
        self.generation = generation
        self.node = node
        self.log = log
        self.logSize = logSize
        self.logRoot = logRoot
        self.held = held
        self.level = level
        self.issuedUnixMilliseconds = issuedUnixMilliseconds
    }

    package var heldByStream: [StreamID: SequenceRanges] {
        held.reduce(into: [:]) { $0[$1.stream, default: SequenceRanges()] = $0[$1.stream, default: SequenceRanges()].union($1.sequences) }
    }
}

/// A statement as the exact bytes that were signed, with the hub's Ed25519 signature over a fixed prefix and them.
package struct SignedStatement: Hashable, Sendable, Codable {
    private static let prefix = Array("fieldpost holdings statement v1\n".utf8)
    package let bytes: Data
    package let signature: Data

    package init(_ statement: HoldingsStatement, signer: NoteSigner) throws {
        let bytes = try MessageCoding.json(statement)
        self.bytes = Data(bytes)
        signature = Data(try signer.sign(Self.prefix + bytes))
    }

    /// As it came: nothing is believed before `verified`.
    init(bytes: Data, signature: Data) {
        self.bytes = bytes
        self.signature = signature
    }

    /// The statement, if this hub key signed it; nil otherwise.
    package func verified(by key: NoteKey) -> HoldingsStatement? {
        guard key.isValid(signature, for: Self.prefix + Array(bytes)) else { return nil }
        return try? JSONDecoder().decode(HoldingsStatement.self, from: bytes)
    }
}
