import FoundationEssentials
import RecordingModel

/// The identity of a node's log: 16 random bytes in hex, chosen when the log was begun. A node that lost its
/// log begins another one under a new id.
package struct LogID: Hashable, Sendable, Codable, LosslessStringConvertible {
    package let description: String
    package init?(_ description: String) {
        guard description.utf8.count == 32, Hex.decode(description) != nil else { return nil }
        self.description = description
    }
    package init(from decoder: any Decoder) throws {
        self = try decodeText(from: decoder, expecting: "32 lower-case hex digits") { LogID($0) }
    }
    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
    package static func random(using generator: inout some RandomNumberGenerator) -> LogID? {
        LogID(Hex.encode((0..<16).map { _ in UInt8.random(in: .min ... .max, using: &generator) }))
    }
    /// The first line of the log's checkpoints, and the name of its keys.
    package var origin: String { "fieldpost.node/\(description)" }
}

/// Size and root of a log (C2SP tlog-checkpoint).
package struct Checkpoint: Hashable, Sendable {
    package var log: LogID
    package var size: UInt64
    package var root: ContentHash

    package init(log: LogID, size: UInt64, root: ContentHash) {
        self.log = log
        self.size = size
        self.root = root
    }

    package var noteText: String { "\(log.origin)\n\(size)\n\(Data(root.bytes).base64EncodedString())\n" }

    package init?(noteText: String) {
        let lines = noteText.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        guard lines.count == 4, lines[3].isEmpty, lines[0].hasPrefix("fieldpost.node/"),
            let log = LogID(String(lines[0].dropFirst("fieldpost.node/".count))),
            let size = UInt64(lines[1]), String(size) == lines[1],
            let bytes = Data(base64Encoded: lines[2]), let root = ContentHash(Array(bytes))
        else { return nil }
        self.init(log: log, size: size, root: root)
    }
}

/// A checkpoint with its signatures, as it is stored and sent.
package struct SignedCheckpoint: Hashable, Sendable, Codable {
    package let checkpoint: Checkpoint
    package private(set) var note: SignedNote

    package init(_ checkpoint: Checkpoint, signer: NoteSigner) throws {
        self.checkpoint = checkpoint
        note = SignedNote(text: checkpoint.noteText)
        try note.sign(with: signer)
    }

    package init?(encoded: String) {
        guard let note = SignedNote(encoded: encoded), let checkpoint = Checkpoint(noteText: note.text) else { return nil }
        self.note = note
        self.checkpoint = checkpoint
    }

    package init(from decoder: any Decoder) throws {
        self = try decodeText(from: decoder, expecting: "a signed checkpoint") { SignedCheckpoint(encoded: $0) }
    }
    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(note.encoded)
    }

    package func isSigned(by key: NoteKey) -> Bool { note.isSigned(by: key) }

    package mutating func cosign(with key: NoteSigner, unixSeconds: UInt64) throws {
        try note.cosign(with: key, unixSeconds: unixSeconds)
    }
}
