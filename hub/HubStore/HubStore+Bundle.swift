import EvidenceLog
import FoundationEssentials
import GRDB
import Logging
import RecordingModel
import StorageIO
import SyncProtocol
import SystemPackage

/// What bundles need beyond pushes: a log may come by courier before its node has ever said hello, and nobody is at the
/// other end to be asked what its log is.
extension HubStore {
    package func nodeName(_ node: NodeID) throws -> String? {
        try catalogue.read { try String.fetchOne($0, sql: "SELECT name FROM nodes WHERE id = ?", arguments: [node.description]) }
    }

    package func hasLog(_ node: NodeID, _ log: LogID) throws -> Bool {
        try catalogue.read { try Bool.fetchOne($0, sql: "SELECT EXISTS (SELECT 1 FROM logs WHERE node = ? AND log = ?)", arguments: [node.description, log.description]) ?? false }
    }

    /// Begins a log whose first entries a courier brought.
    /// - Precondition: they were verified: a log is the node's only by its attested first key.
    package func beginLog(_ node: NodeID, _ log: LogID) throws {
        try catalogue.write { db in
            try db.execute(
                sql: "INSERT OR IGNORE INTO logs (node, log, verifier, entry_bytes, checkpoint_bytes, catalogued) VALUES (?, ?, ?, 0, 0, ?)",
                arguments: [node.description, log.description, try json(LogVerifier(node: node, log: log)), Self.catalogueVersion])
            guard db.changesCount == 1 else { return }
            // One that the hub has not heard of is newer than any it has.
            try db.execute(sql: "UPDATE nodes SET current_log = ? WHERE id = ?", arguments: [log.description, node.description])
        }
    }

    /// The hub's own copy of a log, read once from its beginning.
    package func walk(_ node: NodeID, _ log: LogID) throws -> LogWalk {
        let file = try storage.openForReading(logFolder(node, log).appending(LogFolder.entryFileName(first: 0)))
        return LogWalk(verifier: LogVerifier(node: node, log: log), file: file)
    }

    /// Whether a batch that begins within the hub's log shows another history of it, signed by the node's own key. One that
    /// merely does not fit proves nothing: anybody could have written it.
    /// - Parameter walk: not beyond the batch's start; it is taken along to where both end.
    package func provesFork(_ batch: EntryBatch, _ node: NodeID, _ log: LogID, walk: inout LogWalk) throws -> Bool {
        let known = try verifier(node, log).size
        guard batch.start < known, walk.verifier.size <= batch.start else { return false }
        try walk.advance(to: batch.start)
        var (shown, theirs) = (walk.verifier, walk.verifier.frontier)
        guard (try? shown.append(batch.lines, from: batch.start, leadingTo: batch.checkpoint)) != nil else { return false }
        let common = min(shown.size, known)
        for line in batch.lines.prefix(Int(common - batch.start)) { theirs.append(MerkleTree.leafHash(line)) }
        try walk.advance(to: common)
        return theirs.root != walk.verifier.root
    }

    /// Notes a second history that a courier brought, as one that a node shows itself.
    package func foundFork(_ batch: EntryBatch, of node: NodeID, _ log: LogID, nowUnixMilliseconds now: Int64) throws {
        try noteFork(of: node, log, shown: batch.checkpoint.note.encoded, now: now)
        logger.error("a bundle shows a second history of a node's log", metadata: ["node": "\(node)", "log": "\(log)", "size": "\(batch.checkpoint.checkpoint.size)"])
    }
}

/// Goes forward through a log that is stored and was verified, to have its verifier at any size. One piece is in memory.
package struct LogWalk: Sendable {
    package private(set) var verifier: LogVerifier
    private let file: any ReadingFile
    private var offset: Int64 = 0
    private var buffer: [UInt8] = []
    private var consumed = 0

    init(verifier: LogVerifier, file: any ReadingFile) {
        self.verifier = verifier
        self.file = file
    }

    private static let pieceBytes = 1 << 20

    mutating func advance(to size: UInt64) throws {
        while verifier.size < size {
            if let end = buffer[consumed...].firstIndex(of: UInt8(ascii: "\n")) {
                verifier.replay(Array(buffer[consumed..<end]))
                consumed = end + 1
                continue
            }
            let piece = try file.read(at: offset, count: Self.pieceBytes)
            guard !piece.isEmpty else { throw Problem(status: 503, title: "The hub's copy of the log is shorter than its catalogue says.", detail: "Run: fieldpost-hub report") }
            offset += Int64(piece.count)
            buffer = Array(buffer[consumed...]) + piece
            consumed = 0
        }
    }
}
