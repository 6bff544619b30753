import EvidenceLog
import FoundationEssentials
import GRDB
import RecordingModel
import StorageIO
import Synchronization
import SyncProtocol
import SystemPackage

/// What ingest writes. The order is always file, directory, catalogue; a statement is made only from the catalogue.
extension HubStore {
    /// A segment whole and verified, ready to be catalogued.
    package struct StoredSegment: Hashable, Sendable {
        package var segment: SegmentID
        package var sha256: ContentHash
        package var bytes: Int64

        package init(segment: SegmentID, sha256: ContentHash, bytes: Int64) {
            self.segment = segment
            self.sha256 = sha256
            self.bytes = bytes
        }
    }

    package func verifier(_ node: NodeID, _ log: LogID) throws -> LogVerifier {
        let text = try catalogue.read { db in
            try String.fetchOne(
                db.cachedStatement(sql: "SELECT verifier FROM logs WHERE node = ? AND log = ?"), arguments: [node.description, log.description])
        }
        guard let text else { throw Problem(status: 409, title: "This log is not known; say hello first.", field: "log") }
        return try Self.decode(LogVerifier.self, text)
    }

    /// Appends lines and their checkpoint, cosigned with the hub's time, then catalogues what they say: a group of one.
    package func storeEntries(_ batch: EntryBatch, entries: [LogEntry], verifier: LogVerifier, nowUnixMilliseconds now: Int64) throws {
        if let failure = write([.entries(batch, entries: entries, verifier: verifier, nowUnixMilliseconds: now)]).first ?? nil { throw failure }
    }

    // MARK: Segments

    package func segmentState(_ segment: SegmentID, node: NodeID, log: LogID) throws -> SegmentState? {
        let row = try catalogue.read { db in
            try Row.fetchOne(
                db.cachedStatement(sql: "SELECT sha256, bytes, held FROM segments WHERE node = ? AND log = ? AND camera = ? AND kind = ? AND sequence = ?"),
                arguments: Self.arguments(segment, node, log))
        }
        guard let row, let hash = ContentHash(row["sha256"] as String) else { return nil }
        let isHeld: Bool = row["held"]
        return SegmentState(sha256: hash, bytes: row["bytes"], isHeld: isHeld, partialBytes: isHeld ? 0 : try inbox.length(PartialKey(node: node, sha256: hash)))
    }

    package enum SegmentLookup: Hashable, Sendable {
        /// Nil for one of which no entry has come.
        case known(SegmentState?)
        /// Its bytes are whole and wait for their sync: whoever has more to say of them waits too.
        case isBeingCommitted
    }

    /// The segment's state as it stays until somebody writes to it. Only for whoever writes this node's partials.
    package func lookUp(_ segment: SegmentID, node: NodeID, log: LogID) throws -> SegmentLookup {
        while true {
            let before = inbox.releases
            let state = try segmentState(segment, node: node, log: log)
            if let state, !state.isHeld, inbox.isSealed(PartialKey(node: node, sha256: state.sha256)) { return .isBeingCommitted }
            // A group that ended between the two questions may have been about these bytes.
            if inbox.releases == before { return .known(state) }
        }
    }

    /// Whether the node may begin another partial segment, or go on with this one.
    package func hasRoom(for hash: ContentHash, node: NodeID) -> Bool {
        let waiting = inbox.hashes(of: node)
        return waiting.contains(hash) || waiting.count < Self.partialsMax
    }

    /// Disk space below which nothing more is taken: 5 % or 256 MiB, whichever is less.
    package func hasSpace() throws -> Bool {
        let space = try storage.space(root)
        return space.availableBytes >= min(space.totalBytes / 20, 256 << 20)
    }

    /// A partial segment is not as long as the writer thought: a link and a medium bring it at the same time.
    package struct PartialMoved: Error {
        package let length: Int64
    }

    /// - Parameter offset: how long the partial is.
    /// - Throws: `PartialMoved` when it is not.
    package func appendPartial(_ bytes: ArraySlice<UInt8>, to hash: ContentHash, node: NodeID, at offset: Int64) throws {
        let key = PartialKey(node: node, sha256: hash)
        let length = try inbox.length(key)
        guard length == offset else { throw PartialMoved(length: length) }
        try inbox.append(bytes, to: key)
    }

    /// Ends a partial segment, for a group.
    /// - Returns: nil when the bytes are not what their name says; they are gone then.
    package func seal(_ hash: ContentHash, node: NodeID) throws -> SealedFile? { try inbox.seal(PartialKey(node: node, sha256: hash)) }

    /// Verifies and makes durable one segment: a group of one.
    /// - Returns: false when the bytes are not what their name says; they are gone then.
    package func commit(_ stored: StoredSegment, node: NodeID, log: LogID) throws -> Bool {
        guard let sealed = try seal(stored.sha256, node: node) else { return false }
        if let failure = write([.segment(stored, node: node, log: log, sealed)]).first ?? nil { throw failure }
        return true
    }

    /// Bytes that the hub holds of a node.
    package func heldBytes(of node: NodeID) throws -> Int64 {
        try catalogue.read { db in
            try Int64.fetchOne(db.cachedStatement(sql: "SELECT held_bytes FROM nodes WHERE id = ?"), arguments: [node.description]) ?? 0
        }
    }

    static func arguments(_ segment: SegmentID, _ node: NodeID, _ log: LogID) -> StatementArguments {
        [node.description, log.description, segment.stream.camera.description, segment.stream.kind.rawValue, Int64(bitPattern: segment.sequence)]
    }

    // MARK: What the hub claims

    package func held(_ node: NodeID, _ log: LogID) throws -> [StreamID: SequenceRanges] {
        let key = LogKey(node: node, log: log)
        if let known = heldCache.withLock({ $0[key] }) { return known }
        let loaded = try catalogue.read { db in
            var held: [StreamID: SequenceRanges] = [:]
            let rows = try Row.fetchCursor(
                db, sql: "SELECT camera, kind, sequence FROM segments WHERE node = ? AND log = ? AND held = 1 ORDER BY camera, kind, sequence",
                arguments: [node.description, log.description])
            while let row = try rows.next() {
                guard let stream = StreamID("\(row["camera"] as String)/\(row["kind"] as String)") else { continue }
                held[stream, default: SequenceRanges()].insert(UInt64(bitPattern: row["sequence"] as Int64))
            }
            return held
        }
        heldCache.withLock { $0[key] = loaded }
        return loaded
    }

    package func statement(for node: NodeID, log: LogID, nowUnixMilliseconds now: Int64) throws -> SignedStatement {
        let verifier = try verifier(node, log)
        let held = try held(node, log).map { StreamHoldings(stream: $0.key, sequences: $0.value) }.sorted { $0.stream < $1.stream }
        let key = LogKey(node: node, log: log)
        var statement = HoldingsStatement(
            hub: hub, generation: generation, node: node, log: log, logSize: verifier.size, logRoot: verifier.root, held: held,
            level: .stored, issuedUnixMilliseconds: now)
        // Said again in the same bytes while nothing has changed: such an answer costs next to nothing on the link.
        if let known = statementCache.withLock({ $0[key] }), (0..<Self.statementAgeMillisecondsMax).contains(now - known.statement.issuedUnixMilliseconds) {
            statement.issuedUnixMilliseconds = known.statement.issuedUnixMilliseconds
            if statement == known.statement { return known.signed }
            statement.issuedUnixMilliseconds = now
        }
        let signed = try SignedStatement(statement, signer: signer)
        statementCache.withLock { cache in
            if cache.count >= Self.statementsMax { cache.removeAll() }
            cache[key] = (statement, signed)
        }
        return signed
    }
    private static let statementAgeMillisecondsMax: Int64 = 86_400_000
    /// Statements kept, one for each log; beyond that all are made anew.
    private static let statementsMax = 4_096

    /// Partial segments that a node may have here at a time.
    static let partialsMax = 16

    /// Partial segments of a node.
    package func partials(_ node: NodeID, _ log: LogID) throws -> [PartialSegment] {
        let waiting = inbox.hashes(of: node)
        guard !waiting.isEmpty else { return [] }
        var partials: [PartialSegment] = []
        for hash in waiting where partials.count < Self.partialsMax {
            let row = try catalogue.read { db in
                try Row.fetchOne(
                    db.cachedStatement(sql: "SELECT camera, kind, sequence FROM segments WHERE sha256 = ? AND node = ? AND log = ? AND held = 0 ORDER BY sequence LIMIT 1"),
                    arguments: [hash.hex, node.description, log.description])
            }
            guard let row, let stream = StreamID("\(row["camera"] as String)/\(row["kind"] as String)") else { continue }
            let offset = try inbox.length(PartialKey(node: node, sha256: hash))
            partials.append(
                PartialSegment(segment: SegmentID(stream: stream, sequence: UInt64(bitPattern: row["sequence"] as Int64)), sha256: hash, offset: offset))
        }
        return partials
    }
}
