import EvidenceLog
import RecordingModel
import StorageIO
import SyncProtocol
import SystemPackage

/// A log's files, read in pieces: they may be larger than memory.
extension HubStore {
    /// The first lines of a log's file, read in pieces: the file may be larger than memory.
    /// - Throws: `ForeignLine` for a line that is longer than any entry may be, and what `body` throws.
    func forEachLine(
        _ node: NodeID, _ log: LogID, upTo size: UInt64, pieceBytes: Int = 1 << 20, _ body: (_ index: UInt64, _ line: [UInt8]) throws -> Void
    ) throws {
        guard size > 0 else { return }
        let file = try storage.openForReading(logFolder(node, log).appending(LogFolder.entryFileName(first: 0)))
        var index: UInt64 = 0
        var offset: Int64 = 0
        var rest: [UInt8] = []
        while index < size, offset < file.length {
            let piece = try file.read(at: offset, count: pieceBytes)
            guard !piece.isEmpty else { return }
            offset += Int64(piece.count)
            rest += piece
            let torn = try LogFolder.forEachLine(in: rest) { _, line in
                guard index < size else { return }
                try body(index, Array(line))
                index += 1
            }
            rest.removeFirst(rest.count - torn)
            guard rest.count <= EntryBatch.lineByteLimit else { throw ForeignLine(index: index) }
        }
    }
}

extension HubStore {
    func checkpointsPath(_ node: NodeID, _ log: LogID) -> FilePath { logFolder(node, log).appending(LogFolder.checkpointsName) }

    /// In rising order of size, until the body answers false.
    func forEachCheckpoint(_ node: NodeID, _ log: LogID, _ body: (SignedCheckpoint) throws -> Bool) throws {
        var pieces = try CheckpointPieces(storage, checkpointsPath(node, log))
        while let signed = try pieces.next() { if try !body(signed) { return } }
    }
}

/// The checkpoints of a file, one after another. What follows a record that is no checkpoint is not read.
struct CheckpointPieces {
    private static let pieceBytes = 1 << 20
    /// A checkpoint has less than a kilobyte.
    private static let recordBytesMax = 64 << 10
    private let file: any ReadingFile
    private var offset: Int64 = 0
    private var buffer: [UInt8] = []
    private var position = 0

    init(_ storage: any StorageIO, _ path: FilePath) throws { file = try storage.openForReading(path) }

    mutating func next() throws -> SignedCheckpoint? {
        while true {
            switch LogFolder.checkpoint(in: buffer, at: position) {
            case .checkpoint(let signed, let end):
                position = end
                return signed
            case .malformed: return nil
            case .torn, .end:
                guard offset < file.length, buffer.count - position <= Self.recordBytesMax else { return nil }
                buffer.removeFirst(position)
                position = 0
                let piece = try file.read(at: offset, count: Self.pieceBytes)
                guard !piece.isEmpty else { return nil }
                offset += Int64(piece.count)
                buffer += piece
            }
        }
    }
}

struct ForeignLine: Error, CustomStringConvertible {
    let index: UInt64
    var description: String { "line \(index) of the log is longer than an entry may be" }
}
