import EvidenceLog
import FoundationEssentials
import RecordingModel
import Zstd

/// Messages are JSON, compressed with zstd. Sizes are bounded before anything is allocated.
package enum MessageCoding {
    package static let compressedByteLimit = 1 << 20
    package static let plainByteLimit = 4 << 20

    package static func json(_ message: some Encodable) throws -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return Array(try encoder.encode(message))
    }

    /// - Parameter dictionary: one that the other side is known to have.
    package static func encode(_ message: some Encodable, with dictionary: ZstdDictionary? = nil) throws -> [UInt8] {
        try compress(json(message), with: dictionary)
    }

    package static func decode<Message: Decodable>(_ type: Message.Type, from bytes: [UInt8], knowing dictionaries: SharedDictionaries = .shipped) throws -> Message {
        try decode(type, json: decompress(bytes, limitBytes: plainByteLimit, knowing: dictionaries))
    }

    package static func decode<Message: Decodable>(_ type: Message.Type, json: [UInt8]) throws -> Message {
        try JSONDecoder().decode(type, from: Data(json))
    }

    static func compress(_ plain: [UInt8], with dictionary: ZstdDictionary? = nil) throws -> [UInt8] {
        var compressor = if let dictionary { try ZstdCompressor(dictionary) } else { try ZstdCompressor() }
        return try compressor.compress(plain)
    }

    /// - Throws: `SyncFault.unknownDictionary` for a frame that needs one that is not among these.
    static func decompress(_ bytes: [UInt8], limitBytes: Int, knowing dictionaries: SharedDictionaries = .shipped) throws -> [UInt8] {
        if let id = dictionaries.missing(for: bytes) { throw SyncFault.unknownDictionary(id) }
        let dictionary = try ZstdDictionary.id(neededBy: bytes).flatMap { dictionaries[$0] }
        var decompressor = if let dictionary { try ZstdDecompressor(dictionary) } else { try ZstdDecompressor() }
        // No limit on the ratio: gaps of one dead camera compress beyond 50 to 1, and the size is bounded anyway.
        return try decompressor.decompress(bytes, limitBytes: limitBytes, ratioLimit: nil)
    }
}

/// Log lines from one index on, and the checkpoint they lead to: the payload of an `entries` frame.
/// Plain form: start 8, count 4, checkpoint length 4, checkpoint, then the lines, each ended by a newline.
package struct EntryBatch: Hashable, Sendable {
    /// Plain bytes of the lines at most; the whole stays below `FrameCoding.payloadByteLimit`.
    package static let lineByteLimit = 3 << 20
    package static let plainByteLimit = 4 << 20
    /// Lines of one batch at most. A node whose log holds more sends several.
    package static let lineLimit = 32_768

    package var start: UInt64
    package var lines: [[UInt8]]
    package var checkpoint: SignedCheckpoint

    package init(start: UInt64, lines: [[UInt8]], checkpoint: SignedCheckpoint) {
        self.start = start
        self.lines = lines
        self.checkpoint = checkpoint
    }

    /// - Parameter dictionary: one that the reader is known to have; none for a bundle, whose reader nobody has asked.
    package func encoded(with dictionary: ZstdDictionary? = nil) throws -> [UInt8] { try MessageCoding.compress(plain, with: dictionary) }

    /// As it is compressed.
    package var plain: [UInt8] {
        var plain: [UInt8] = []
        let note = Array(checkpoint.note.encoded.utf8)
        withUnsafeBytes(of: start.bigEndian) { plain += Array($0) }
        withUnsafeBytes(of: UInt32(lines.count).bigEndian) { plain += Array($0) }
        withUnsafeBytes(of: UInt32(note.count).bigEndian) { plain += Array($0) }
        plain += note
        for line in lines {
            plain += line
            plain.append(UInt8(ascii: "\n"))
        }
        return plain
    }

    /// Nil for anything that is not exactly such a batch.
    package init?(decoding bytes: [UInt8], knowing dictionaries: SharedDictionaries = .shipped) {
        guard let plain = try? MessageCoding.decompress(bytes, limitBytes: Self.plainByteLimit, knowing: dictionaries) else { return nil }
        var reader = ByteReader(plain[...])
        guard let start = reader.integer(8), start <= Plausibility.sequenceMax, let count = reader.integer(4), count <= UInt64(Self.lineLimit),
            let noteLength = reader.integer(4), noteLength <= SignedNote.byteLimit, let note = reader.bytes(Int(noteLength)),
            let checkpoint = SignedCheckpoint(encoded: String(decoding: note, as: UTF8.self))
        else { return nil }
        let lines = reader.rest.split(separator: UInt8(ascii: "\n"), maxSplits: Int(count), omittingEmptySubsequences: false)
        guard lines.count == Int(count) + 1, lines.last?.isEmpty == true else { return nil }
        self.init(start: start, lines: lines.dropLast().map(Array.init), checkpoint: checkpoint)
    }
}
