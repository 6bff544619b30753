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
            try String.fetchOne(db, sql: "SELECT verifier FROM logs WHERE node = ? AND log = ?", arguments: [node.description, log.description])
        }
        guard let text else { throw Problem(status: 409, title: "This log is not known; say hello first.", field: "log") }
        return try Self.decode(LogVerifier.self, text)
    }

    // MARK: Entries

    /// Appends lines and their checkpoint, cosigned with the hub's time, then catalogues what they say.
    package func storeEntries(_ batch: EntryBatch, entries: [LogEntry], verifier: LogVerifier, nowUnixMilliseconds now: Int64) throws {
        let folder = logFolder(verifier.node, verifier.log)
        let key: [any DatabaseValueConvertible] = [verifier.node.description, verifier.log.description]
        let sizes = try catalogue.read { db in
            try Row.fetchOne(db, sql: "SELECT entry_bytes, checkpoint_bytes FROM logs WHERE node = ? AND log = ?", arguments: StatementArguments(key))
        }
        // Two pushes at once of one session: the second was judged against a log that has grown since.
        let size = try self.verifier(verifier.node, verifier.log).size
        guard size == batch.start else { throw Problem(status: 409, title: "The log has grown meanwhile.", field: "\(size)") }
        var checkpoint = batch.checkpoint
        try checkpoint.cosign(with: signer, unixSeconds: UInt64(max(0, now / 1000)))
        if sizes?["entry_bytes"] as Int64? == 0 {
            try storage.makeDirectory(folder)
            try storage.syncDirectory(root.appending("logs").appending(verifier.node.description))
            try storage.syncDirectory(root.appending("logs"))
        }
        let lines = batch.lines.reduce(into: [UInt8]()) { $0 += $1 + [UInt8(ascii: "\n")] }
        let entryBytes = try append(lines, to: folder.appending(LogFolder.entryFileName(first: 0)), after: sizes?["entry_bytes"] ?? 0)
        let checkpointBytes = try append(LogFolder.encode(checkpoint), to: folder.appending(LogFolder.checkpointsName), after: sizes?["checkpoint_bytes"] ?? 0)
        try storage.syncDirectory(folder)

        try catalogue.write { db in
            var cataloguer = Cataloguer(db, node: verifier.node, log: verifier.log)
            for (offset, entry) in entries.enumerated() { try cataloguer.add(entry, index: batch.start + UInt64(offset)) }
            try cataloguer.finish()
            try db.execute(
                sql: "UPDATE logs SET verifier = ?, entry_bytes = ?, checkpoint_bytes = ? WHERE node = ? AND log = ?",
                arguments: StatementArguments([try json(verifier), entryBytes, checkpointBytes] + key))
        }
    }

    /// Appends after cutting off what an earlier, never acknowledged attempt left; returns the new length.
    private func append(_ bytes: [UInt8], to path: FilePath, after length: Int64) throws -> Int64 {
        let file = try storage.openForAppending(path)
        if file.length != length { try file.truncate(to: length) }
        try file.append(bytes)
        try file.sync()
        defer { try? file.close() }
        return file.length
    }

    // MARK: Segments

    package func segmentState(_ segment: SegmentID, node: NodeID, log: LogID) throws -> SegmentState? {
        let row = try catalogue.read { db in
            try Row.fetchOne(
                db, sql: "SELECT sha256, bytes, held FROM segments WHERE node = ? AND log = ? AND camera = ? AND kind = ? AND sequence = ?",
                arguments: Self.arguments(segment, node, log))
        }
        guard let row, let hash = ContentHash(row["sha256"] as String) else { return nil }
        let isHeld: Bool = row["held"]
        return SegmentState(sha256: hash, bytes: row["bytes"], isHeld: isHeld, partialBytes: isHeld ? 0 : try inbox.withLock { try $0.length(PartialKey(node: node, sha256: hash)) })
    }

    /// Whether the node may begin another partial segment, or go on with this one.
    package func hasRoom(for hash: ContentHash, node: NodeID) -> Bool {
        let waiting = inbox.withLock { $0.hashes(of: node) }
        return waiting.contains(hash) || waiting.count < Self.partialsMax
    }

    /// Disk space below which nothing more is taken: 5 % or 256 MiB, whichever is less.
    package func hasSpace() throws -> Bool {
        let space = try storage.space(root)
        return space.availableBytes >= min(space.totalBytes / 20, 256 << 20)
    }

    package func appendPartial(_ bytes: ArraySlice<UInt8>, to hash: ContentHash, node: NodeID) throws {
        try inbox.withLock { try $0.append(bytes, to: PartialKey(node: node, sha256: hash)) }
    }

    /// Verifies and syncs the file, moves it among the blobs, syncs the folder, and only then says that it is held.
    /// - Returns: false when the bytes are not what their name says; they are gone then.
    package func commit(_ stored: StoredSegment, node: NodeID, log: LogID) throws -> Bool {
        let key = PartialKey(node: node, sha256: stored.sha256)
        guard try inbox.withLock({ try $0.finish(key) }) else { return false }
        let target = blobPath(stored.sha256)
        let folder = target.removingLastComponent()
        try storage.makeDirectory(folder)
        let partial = inbox.withLock { $0.path(key) }
        try storage.rename(partial, to: target)
        try storage.syncDirectory(folder)
        try storage.syncDirectory(folder.removingLastComponent())
        try storage.syncDirectory(root.appending("blobs"))
        try catalogue.write { db in
            try db.execute(
                sql: "UPDATE segments SET held = 1 WHERE node = ? AND log = ? AND camera = ? AND kind = ? AND sequence = ? AND held = 0",
                arguments: Self.arguments(stored.segment, node, log))
            guard db.changesCount == 1 else { return }
            try db.execute(
                sql: """
                    UPDATE nodes SET held_segments = held_segments + 1, held_bytes = held_bytes + s.bytes, held_ms = held_ms + s.end_boot_ms - s.start_boot_ms
                    FROM (SELECT bytes, start_boot_ms, end_boot_ms FROM segments WHERE node = ? AND log = ? AND camera = ? AND kind = ? AND sequence = ?) s
                    WHERE id = ?
                    """, arguments: Self.arguments(stored.segment, node, log) + [node.description])
            try db.execute(
                sql: """
                    UPDATE cameras SET newest_held_ms = MAX(COALESCE(newest_held_ms, 0), s.end_ms)
                    FROM (SELECT end_ms FROM segments WHERE node = ? AND log = ? AND camera = ? AND kind = ? AND sequence = ? AND kind = 'main') s
                    WHERE node = ? AND camera = ?
                    """, arguments: Self.arguments(stored.segment, node, log) + [node.description, stored.segment.stream.camera.description])
        }
        heldCache.withLock { $0[LogKey(node: node, log: log)]?[stored.segment.stream, default: SequenceRanges()].insert(stored.segment.sequence) }
        return true
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
        return try SignedStatement(
            HoldingsStatement(
                hub: hub, generation: generation, node: node, log: log, logSize: verifier.size, logRoot: verifier.root, held: held,
                level: .stored, issuedUnixMilliseconds: now), signer: signer)
    }

    /// Partial segments that a node may have here at a time.
    static let partialsMax = 16

    /// Partial segments of a node.
    package func partials(_ node: NodeID, _ log: LogID) throws -> [PartialSegment] {
        let waiting = inbox.withLock { $0.hashes(of: node) }
        guard !waiting.isEmpty else { return [] }
        var partials: [PartialSegment] = []
        for hash in waiting where partials.count < Self.partialsMax {
            let row = try catalogue.read { db in
                try Row.fetchOne(
                    db, sql: "SELECT camera, kind, sequence FROM segments WHERE sha256 = ? AND node = ? AND log = ? AND held = 0 ORDER BY sequence LIMIT 1",
                    arguments: [hash.hex, node.description, log.description])
            }
            guard let row, let stream = StreamID("\(row["camera"] as String)/\(row["kind"] as String)") else { continue }
            let offset = try inbox.withLock { try $0.length(PartialKey(node: node, sha256: hash)) }
            partials.append(
                PartialSegment(segment: SegmentID(stream: stream, sequence: UInt64(bitPattern: row["sequence"] as Int64)), sha256: hash, offset: offset))
        }
        return partials
    }
}
