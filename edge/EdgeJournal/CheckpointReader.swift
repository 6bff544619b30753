import EvidenceLog
import RecordingModel
import StorageIO
import SystemPackage

/// Reads a file of checkpoints record by record, with one piece of it in memory.
struct CheckpointReader {
    private let file: any ReadingFile
    private var buffer: [UInt8] = []
    private var consumed = 0
    /// Where the next record begins.
    private(set) var offset: Int64

    private static let pieceBytes = 64 << 10
    /// A record is about 300 bytes; what goes on for longer is none.
    private static let recordLimit = 64 << 10

    /// Nil when there is no such file.
    init?(_ path: FilePath, storage: any StorageIO, from offset: Int64 = 0) throws {
        guard try storage.size(path) != nil else { return nil }
        file = try storage.openForReading(path)
        self.offset = offset
    }

    enum Next {
        case checkpoint(SignedCheckpoint, length: Int)
        /// A whole record that is no checkpoint; whether nothing comes behind it.
        case malformed(isLast: Bool)
        /// Bytes after the last separator.
        case torn(bytes: Int)
        case end
    }

    mutating func next() throws -> Next {
        while true {
            switch LogFolder.checkpoint(in: buffer, at: consumed) {
            case .checkpoint(let signed, let end):
                let length = end - consumed
                consumed = end
                offset += Int64(length)
                return .checkpoint(signed, length: length)
            case .malformed(let end): return .malformed(isLast: try file.length == offset + Int64(end - consumed))
            case .torn, .end:
                let kept = buffer.count - consumed
                let piece = try file.read(at: offset + Int64(kept), count: Self.pieceBytes)
                if piece.isEmpty { return kept == 0 ? .end : .torn(bytes: kept) }
                guard kept <= Self.recordLimit else { return .malformed(isLast: false) }
                buffer = Array(buffer[consumed...]) + piece
                consumed = 0
            }
        }
    }

    /// The last whole record of the file, found from its end.
    static func last(_ path: FilePath, storage: any StorageIO) throws -> SignedCheckpoint? {
        guard let size = try storage.size(path) else { return nil }
        var start: Int64 = 0
        if size > Int64(pieceBytes) {
            let tail = try storage.openForReading(path).read(at: size - Int64(pieceBytes), count: pieceBytes)
            let mark = Array("\n%%\n".utf8)
            if let found = tail.indices.dropLast(mark.count).first(where: { tail[$0..<($0 + mark.count)].elementsEqual(mark) }) {
                start = size - Int64(pieceBytes) + Int64(found + mark.count)
            }
        }
        guard var reader = try CheckpointReader(path, storage: storage, from: start) else { return nil }
        var last: SignedCheckpoint?
        while case .checkpoint(let signed, _) = try reader.next() { last = signed }
        return last
    }
}
