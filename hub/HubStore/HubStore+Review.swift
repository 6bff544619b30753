import Dispatch
import EvidenceLog
import FoundationEssentials
import GRDB
import RecordingModel
import StorageIO
import Synchronization
import SystemPackage

/// What people ask: which nodes, what is known of a camera's time, and the proof of it.
extension HubStore {
    /// Longest window of one timeline.
    package static let timelineMillisecondsMax: Int64 = 32 * 86_400_000

    package func nodeSummaries() async throws -> [NodeSummary] {
        try await catalogue.read { db in
            try Row.fetchAll(db, sql: "SELECT * FROM nodes ORDER BY name").compactMap { try Self.summary($0, db) }
        }
    }

    package func nodeSummary(_ node: NodeID) async throws -> NodeSummary? {
        try await catalogue.read { db in
            try Row.fetchOne(db, sql: "SELECT * FROM nodes WHERE id = ?", arguments: [node.description]).flatMap { try Self.summary($0, db) }
        }
    }

    private static func summary(_ row: Row, _ db: Database) throws -> NodeSummary? {
        guard let node = NodeID(row["id"] as String), let state = NodeSummary.State(rawValue: row["state"]) else { return nil }
        let status = (row["status"] as String?).flatMap { try? decode(NodeStatus.self, $0) }
        let missing = try Row.fetchOne(
            db, sql: "SELECT COUNT(*) AS n, COALESCE(SUM(bytes), 0) AS b, \(Self.footageMilliseconds) AS d FROM segments WHERE node = ? AND held = 0 AND gone IS NULL",
            arguments: [node.description])
        let sizes = try String.fetchAll(db, sql: "SELECT verifier FROM logs WHERE node = ? AND log = ?", arguments: [node.description, row["current_log"] as String?])
        var cameras: [CameraID: NodeSummary.Camera] = [:]
        for health in status?.cameras ?? [] {
            cameras[health.camera] = NodeSummary.Camera(camera: health.camera, newestUnixMilliseconds: nil, newestOnHubUnixMilliseconds: nil, health: health)
        }
        let newest = try Row.fetchAll(db, sql: "SELECT camera, newest_ms AS newest, newest_held_ms AS held FROM cameras WHERE node = ?", arguments: [node.description])
        for row in newest {
            guard let camera = CameraID(row["camera"] as String) else { continue }
            cameras[camera] = NodeSummary.Camera(
                camera: camera, newestUnixMilliseconds: row["newest"], newestOnHubUnixMilliseconds: row["held"], health: cameras[camera]?.health)
        }
        return NodeSummary(
            node: node, name: row["name"], state: state, lastContactUnixMilliseconds: row["last_contact_ms"], status: status,
            clockOffsetMilliseconds: row["clock_offset_ms"], logSize: sizes.first.flatMap { try? decode(LogVerifier.self, $0).size } ?? 0,
            onlyOnNode: Backlog(segments: missing?["n"] ?? 0, bytes: missing?["b"] ?? 0, durationMilliseconds: missing?["d"] ?? 0),
            onHub: Backlog(segments: row["held_segments"], bytes: row["held_bytes"], durationMilliseconds: row["held_ms"]),
            cameras: cameras.values.sorted { $0.camera < $1.camera })
    }

    /// A camera's window as spans that tile it, with the segments the hub holds. Nil for a camera nobody reported.
    package func timeline(node: NodeID, camera: CameraID, from: Int64, to: Int64, nowUnixMilliseconds now: Int64) async throws -> CameraTimeline? {
        guard (0...Plausibility.magnitudeMax).contains(from), to > from else { return nil }
        let end = min(to, from + Self.timelineMillisecondsMax)
        let arriving = inbox.hashes(of: node)
        return try await catalogue.read { db in
            var segments = try Self.segments(db, node, camera, from, end)
            Self.mark(&segments, requests: try Self.openRequests(db, node, camera: camera), arriving: arriving)
            let (proxies, subStream) = try Self.standIn(for: &segments, db, node, camera, from, end)
            let gaps = try Self.gaps(db, node, camera, from, end)
            if segments.isEmpty, gaps.isEmpty {
                let row = try Row.fetchOne(db, sql: "SELECT * FROM nodes WHERE id = ?", arguments: [node.description])
                guard let summary = try row.flatMap({ try Self.summary($0, db) }), summary.cameras.contains(where: { $0.camera == camera }) else { return nil }
            }
            let tiled = Timeline.tile(segments.map(\.span) + gaps, from: from, to: end)
            let (spans, shown) = Self.standIn(subStream, for: tiled)
            return CameraTimeline(
                asOfUnixMilliseconds: now, node: node, camera: camera, startUnixMilliseconds: from, endUnixMilliseconds: end,
                spans: spans, segments: segments.filter(\.isHeld).map(\.segment) + Self.shown(proxies, in: tiled) + shown,
                events: try Self.events(db, node, camera, from, end), imports: try Self.imports(db, node, camera, from, end),
                powers: try Self.powers(db, node, from, end, newestFirst: false, limit: CameraTimeline.listMax))
        }
    }

    /// Proof of segments of one node, for a person who trusts neither the node nor this hub. Segments must be of one log.
    /// - Returns: nil when one of them is unknown or they are of different logs.
    package func proof(node: NodeID, segments: [SegmentID]) async throws -> ProofBundle? {
        let found = try await catalogue.read { db -> [(log: LogID, index: UInt64)] in
            try segments.compactMap { segment in
                let row = try Row.fetchOne(
                    db, sql: "SELECT log, log_index FROM segments WHERE node = ? AND camera = ? AND kind = ? AND sequence = ? ORDER BY held DESC LIMIT 1",
                    arguments: [node.description, segment.stream.camera.description, segment.stream.kind.rawValue, Int64(bitPattern: segment.sequence)])
                guard let row, let log = LogID(row["log"] as String) else { return nil }
                return (log, UInt64(row["log_index"] as Int64))
            }
        }
        guard let log = found.first?.log, found.count == segments.count, found.allSatisfy({ $0.log == log }) else { return nil }
        // Reading and hashing a log takes time that the cooperative pool does not have.
        return try await withCheckedThrowingContinuation { continuation in
            DispatchQueue.global().async { continuation.resume(with: Result { try self.proof(node: node, log: log, indexes: found.map(\.index)) }) }
        }
    }

    /// Of the log's lines only those that are proven stay in memory, of the others their hashes.
    private func proof(node: NodeID, log: LogID, indexes: [UInt64]) throws -> ProofBundle? {
        let size = try verifier(node, log).size
        let last = indexes.max() ?? 0
        let wanted = Set(indexes)
        let marker = Array("\"kind\":\"key\"".utf8)
        var lines: [UInt64: [UInt8]] = [:]
        var keyIndexes: [UInt64] = []
        var leaves: [ContentHash] = []
        try forEachLine(node, log, upTo: size) { index, line in
            leaves.append(MerkleTree.leafHash(line))
            if index <= last, line.contains(marker), case .key? = try? LogEntry(line: line).body { keyIndexes.append(index) }
            if wanted.contains(index) || keyIndexes.last == index { lines[index] = line }
        }
        let tree = MerkleLevels(leaves: leaves)
        // The first checkpoint that covers an entry is of the entry's own epoch, since batches end where keys change.
        var chosen: [SignedCheckpoint] = []
        var open = lines.keys.sorted()[...]
        try forEachCheckpoint(node, log) { signed in
            guard signed.checkpoint.size <= size, let first = open.first, signed.checkpoint.size > first else { return !open.isEmpty }
            chosen.append(signed)
            open = open.drop { $0 < signed.checkpoint.size }
            return !open.isEmpty
        }
        func prove(_ index: UInt64) -> ProvenEntry? {
            guard index < UInt64(tree.count), let line = lines[index], let position = chosen.firstIndex(where: { $0.checkpoint.size > index }),
                let path = tree.inclusionProof(of: Int(index), size: Int(chosen[position].checkpoint.size))
            else { return nil }
            return ProvenEntry(index: index, line: String(decoding: line, as: UTF8.self), path: path, checkpoint: position)
        }
        let keys = keyIndexes.compactMap(prove)
        let proven = indexes.compactMap(prove)
        guard keys.count == keyIndexes.count, proven.count == indexes.count else { return nil }
        return ProofBundle(node: node, log: log, hubKey: hubKey.text, checkpoints: chosen, keys: keys, segments: proven)
    }
}
