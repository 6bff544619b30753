import Crypto
import EvidenceLog
import FoundationEssentials
import GRDB
import RecordingModel
import StorageIO
import SyncProtocol
import SystemPackage

/// The hub checked from the ground up: every blob hashed again, every log replayed against its signatures.
package struct HubReport: Hashable, Sendable, Codable {
    package var recordedSeconds: Double = 0
    package var segmentsKnown = 0
    package var segmentsOnHub = 0
    package var bytesOnHub: Int64 = 0
    package var unexplainedGapSeconds: Double = 0
    /// Files among the blobs; one for each distinct content.
    package var blobFiles = 0
    package var duplicateBlobs = 0
    package var verified = false
    /// What is wrong, in sentences; empty when all is well.
    package var faults: [String] = []

    private enum CodingKeys: String, CodingKey {
        case recordedSeconds = "recorded_seconds"
        case segmentsKnown = "segments_known"
        case segmentsOnHub = "segments_on_hub"
        case bytesOnHub = "bytes_on_hub"
        case unexplainedGapSeconds = "unexplained_gap_seconds"
        case blobFiles = "blob_files"
        case duplicateBlobs = "duplicate_blobs"
        case verified, faults
    }
}

extension HubStore {
    /// - Parameter progress: called with bytes done and bytes in all.
    package func report(progress: (Int64, Int64) -> Void = { _, _ in }) throws -> HubReport {
        var report = HubReport()
        let (rows, logs) = try catalogue.read { db in
            (
                try Row.fetchAll(db, sql: "SELECT sha256, bytes, held, IIF(kind = 'main', end_boot_ms - start_boot_ms, 0) AS duration FROM segments"),
                try Row.fetchAll(db, sql: "SELECT node, log FROM logs")
            )
        }
        report.segmentsKnown = rows.count
        report.recordedSeconds = Double(rows.reduce(Int64(0)) { $0 + ($1["duration"] as Int64) }) / 1000
        let held = rows.filter { $0["held"] as Bool }
        report.segmentsOnHub = held.count
        report.bytesOnHub = held.reduce(0) { $0 + ($1["bytes"] as Int64) }
        var done: Int64 = 0
        var seen: Set<String> = []
        for row in held {
            let name: String = row["sha256"]
            if !seen.insert(name).inserted { continue }
            if let fault = try blobFault(name, bytes: row["bytes"]) { report.faults.append(fault) }
            done += row["bytes"]
            progress(done, report.bytesOnHub)
        }
        report.blobFiles = try blobNames().count
        report.duplicateBlobs = report.blobFiles - seen.count
        for row in logs {
            guard let node = NodeID(row["node"] as String), let log = LogID(row["log"] as String) else { continue }
            if let fault = try logFault(node, log) { report.faults.append(fault) }
        }
        report.unexplainedGapSeconds = Double(try unexplainedMilliseconds()) / 1000
        report.verified = report.faults.isEmpty && !logs.isEmpty
        return report
    }

    private func blobNames() throws -> [String] {
        let blobs = root.appending("blobs")
        return try storage.list(blobs).flatMap { try storage.list(blobs.appending($0)) }
    }

    func blobFault(_ name: String, bytes: Int64) throws -> String? {
        guard let hash = ContentHash(name), try storage.size(blobPath(hash)) == bytes else { return "blob \(name) is missing or has another length" }
        let file = try storage.openForReading(blobPath(hash))
        var hasher = SHA256()
        var offset: Int64 = 0
        while offset < bytes {
            let piece = try file.read(at: offset, count: Int(min(1 << 20, bytes - offset)))
            guard !piece.isEmpty else { break }
            hasher.update(data: piece)
            offset += Int64(piece.count)
        }
        return ContentHash(Array(hasher.finalize())) == hash ? nil : "blob \(name) has other bytes than its name says"
    }

    /// Replays the log from its files alone and compares with what the catalogue claims.
    private func logFault(_ node: NodeID, _ log: LogID) throws -> String? {
        let claimed = try verifier(node, log)
        guard claimed.size > 0 else { return nil }
        var replay = LogVerifier(node: node, log: log)
        var checkpoints = try CheckpointPieces(storage, checkpointsPath(node, log))
        var batch: [[UInt8]] = []
        var next = try checkpoints.next()
        var fault: String?
        /// Takes every checkpoint that the lines so far lead to.
        func follow(to size: UInt64) throws {
            while fault == nil, let signed = next, signed.checkpoint.size <= size {
                fault = Self.replay(signed, batch, into: &replay, hubKey: hubKey)
                batch.removeAll(keepingCapacity: true)
                next = try checkpoints.next()
            }
        }
        try forEachLine(node, log, upTo: claimed.size) { index, line in
            guard fault == nil else { return }
            batch.append(line)
            // A batch ends at its checkpoint; lines that have none lead nowhere.
            guard batch.count <= EntryBatch.lineLimit else { return fault = "too many entries without a checkpoint" }
            try follow(to: index + 1)
        }
        if let signed = next, fault == nil, signed.checkpoint.size <= claimed.size { fault = "a checkpoint goes beyond the entries" }
        if let fault { return "log \(log) of \(node): \(fault)" }
        return replay == claimed ? nil : "log \(log) of \(node): the files do not lead to the root in the catalogue"
    }

    private static func replay(_ signed: SignedCheckpoint, _ lines: [[UInt8]], into replay: inout LogVerifier, hubKey: NoteKey) -> String? {
        guard signed.note.cosignatureUnixSeconds(by: hubKey) != nil else { return "a checkpoint lacks this hub's cosignature" }
        do {
            _ = try replay.append(lines, from: replay.size, leadingTo: signed)
            return nil
        } catch {
            return "\(error)"
        }
    }

    /// Time between the first and the last that is known of each camera which no segment and no gap covers, at the times
    /// that all clock entries together give. Files from cards are left out: nobody recorded between them.
    private func unexplainedMilliseconds() throws -> Int64 {
        try catalogue.read { db in
            let cameras = try Row.fetchAll(
                db,
                sql: """
                    SELECT node, camera, MIN(s) AS first, MAX(e) AS last FROM (
                        SELECT node, camera, start_ms AS s, end_ms AS e FROM segments WHERE kind = 'main' \(Self.notImported)
                        UNION ALL SELECT node, camera, start_ms, end_ms FROM gaps WHERE kind = 'main'
                    ) GROUP BY node, camera
                    """)
            return try cameras.reduce(0) { total, row in
                guard let node = NodeID(row["node"] as String), let camera = CameraID(row["camera"] as String) else { return total }
                let (first, last) = (row["first"] as Int64, row["last"] as Int64)
                let spans = try Self.segments(db, node, camera, first, last, withImports: false).map(\.span)
                let tiled = Timeline.tile(try spans + Self.gaps(db, node, camera, first, last), from: first, to: last)
                return total + (Timeline.totals(tiled)[.unknown] ?? 0)
            }
        }
    }
}
