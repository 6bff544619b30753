import EvidenceLog
import GRDB
import Logging
import RecordingModel
import StorageIO
import Synchronization
import SyncProtocol
import SystemPackage

/// What becomes durable with others: one sync of files, one of folders, one transaction for all of a group.
package enum CommitItem: Sendable {
    case segment(HubStore.StoredSegment, node: NodeID, log: LogID, SealedFile)
    case entries(EntryBatch, entries: [LogEntry], verifier: LogVerifier, nowUnixMilliseconds: Int64)
    /// The node has just been heard.
    case heard(NodeID, nowUnixMilliseconds: Int64)

    /// Bytes that wait in memory or in the page cache.
    package var bytes: Int {
        switch self {
        case .segment(let stored, _, _, _): Int(clamping: stored.bytes)
        case .entries(let batch, _, _, _): batch.lines.reduce(0) { $0 + $1.count }
        case .heard: 0
        }
    }
}

extension HubStore {
    /// From this many on, files and folders are synced as a whole file system and not one by one.
    static let syncedSinglyMax = 4

    /// Lines and a checkpoint that were appended, not yet synced.
    private struct AppendedEntries {
        var files: [any AppendingFile]
        var entryBytes: Int64
        var checkpointBytes: Int64
        var folders: [FilePath]
    }

    /// One write of a group: how far each item has come.
    private struct GroupState {
        var failures: [(any Error)?]
        var appended: [Int: AppendedEntries] = [:]

        init(count: Int) { failures = Array(repeating: nil, count: count) }
        var sound: [Int] { failures.indices.filter { failures[$0] == nil } }

        mutating func attempt(_ index: Int, _ work: () throws -> Void) {
            do { try work() } catch { failures[index] = error }
        }
    }

    /// Makes a group durable: file, then name, then folder, then catalogue. What fails is its own item's failure; only
    /// a failed transaction is everybody's. One group at a time.
    /// - Returns: for each item nil, or why nothing of it may be claimed.
    package func write(_ items: [CommitItem]) -> [(any Error)?] {
        writing.withLock { _ in
            var state = GroupState(count: items.count)
            appendEntries(items, &state)
            syncFiles(items, &state)
            let folders = rename(items, &state)
            syncFolders(folders, &state)
            catalogue(items, &state)
            for item in items { if case .segment(_, _, _, let sealed) = item { inbox.release(sealed) } }
            for appended in state.appended.values { for file in appended.files { try? file.close() } }
            return state.failures
        }
    }

    private func appendEntries(_ items: [CommitItem], _ state: inout GroupState) {
        var logs: Set<LogKey> = []
        for (index, item) in items.enumerated() {
            guard case .entries(let batch, _, let verifier, let now) = item else { continue }
            do {
                // Two pushes at once of one session: the second was judged against a log that has grown since.
                let size = try self.verifier(verifier.node, verifier.log).size
                guard size == batch.start, logs.insert(LogKey(node: verifier.node, log: verifier.log)).inserted else {
                    throw Problem(status: 409, title: "The log has grown meanwhile.", field: "\(size)")
                }
                state.appended[index] = try append(batch, verifier, now)
            } catch {
                state.failures[index] = error
            }
        }
    }

    private func append(_ batch: EntryBatch, _ verifier: LogVerifier, _ now: Int64) throws -> AppendedEntries {
        let folder = logFolder(verifier.node, verifier.log)
        let sizes = try catalogue.read { db in
            try Row.fetchOne(
                db.cachedStatement(sql: "SELECT entry_bytes, checkpoint_bytes FROM logs WHERE node = ? AND log = ?"),
                arguments: [verifier.node.description, verifier.log.description])
        }
        var checkpoint = batch.checkpoint
        try checkpoint.cosign(with: signer, unixSeconds: UInt64(max(0, now / 1000)))
        var folders = [folder]
        if sizes?["entry_bytes"] as Int64? == 0 {
            try storage.makeDirectory(folder)
            folders += [root.appending("logs").appending(verifier.node.description), root.appending("logs")]
        }
        var lines: [UInt8] = []
        lines.reserveCapacity(batch.lines.reduce(0) { $0 + $1.count + 1 })
        for line in batch.lines {
            lines += line
            lines.append(UInt8(ascii: "\n"))
        }
        let entryFile = try append(lines, to: folder.appending(LogFolder.entryFileName(first: 0)), after: sizes?["entry_bytes"] ?? 0)
        let checkpointFile = try append(LogFolder.encode(checkpoint), to: folder.appending(LogFolder.checkpointsName), after: sizes?["checkpoint_bytes"] ?? 0)
        return AppendedEntries(
            files: [entryFile, checkpointFile], entryBytes: entryFile.length, checkpointBytes: checkpointFile.length, folders: folders)
    }

    /// Appends after cutting off what an earlier, never acknowledged attempt left.
    private func append(_ bytes: [UInt8], to path: FilePath, after length: Int64) throws -> any AppendingFile {
        let file = try storage.openForAppending(path)
        if file.length != length { try file.truncate(to: length) }
        try file.append(bytes)
        return file
    }

    private func syncFiles(_ items: [CommitItem], _ state: inout GroupState) {
        let files = state.sound.flatMap { index -> [(Int, any AppendingFile)] in
            if case .segment(_, _, _, let sealed) = items[index] { return [(index, sealed.file)] }
            return (state.appended[index]?.files ?? []).map { (index, $0) }
        }
        if isSyncedAsOne(files.count) { return }
        for (index, file) in files where state.failures[index] == nil {
            state.attempt(index) { try file.sync() }
            if state.failures[index] != nil, case .segment(_, _, _, let sealed) = items[index] { inbox.condemn(sealed) }
        }
    }

    /// Whether so many were worth one sync of everything, and it went well. When not, each is asked by itself.
    private func isSyncedAsOne(_ count: Int) -> Bool {
        guard count > Self.syncedSinglyMax, let fileSystem else { return false }
        do {
            try fileSystem.syncAll()
            return true
        } catch {
            logger.error("a sync of the whole file system failed; syncing one by one", metadata: ["error": "\(error)"])
            return false
        }
    }

    /// Moves the segments among the blobs.
    /// - Returns: the folders that changed, each with the items that need it.
    private func rename(_ items: [CommitItem], _ state: inout GroupState) -> [FilePath: [Int]] {
        var folders: [FilePath: [Int]] = [:]
        for index in state.sound {
            guard case .segment(let stored, _, _, let sealed) = items[index] else {
                for folder in state.appended[index]?.folders ?? [] { folders[folder, default: []].append(index) }
                continue
            }
            let target = blobPath(stored.sha256)
            let folder = target.removingLastComponent()
            state.attempt(index) {
                try storage.makeDirectory(folder)
                try storage.rename(sealed.path, to: target)
            }
            guard state.failures[index] == nil else { continue }
            for changed in [folder, root.appending("blobs")] { folders[changed, default: []].append(index) }
        }
        return folders
    }

    private func syncFolders(_ folders: [FilePath: [Int]], _ state: inout GroupState) {
        if isSyncedAsOne(folders.count) { return }
        // Sorted, so that a test can repeat it.
        for (folder, indices) in folders.sorted(by: { $0.key.string < $1.key.string }) {
            do { try storage.syncDirectory(folder) } catch { for index in indices where state.failures[index] == nil { state.failures[index] = error } }
        }
    }

    private func catalogue(_ items: [CommitItem], _ state: inout GroupState) {
        let sound = state.sound
        guard !sound.isEmpty else { return }
        var adopted: [(segment: SegmentID, key: LogKey)] = []
        do {
            var refused: [Int: Problem] = [:]
            var held = HeldSums()
            try catalogue.write { db in
                for index in sound {
                    switch items[index] {
                    case .entries(let batch, let entries, let verifier, _):
                        guard let appended = state.appended[index] else { continue }
                        do {
                            try db.inSavepoint {
                                let key = LogKey(node: verifier.node, log: verifier.log)
                                let here = try catalogue(batch, entries, verifier, appended, db)
                                for segment in here { try held.markHeld(segment, node: key.node, log: key.log, db) }
                                adopted += here.map { ($0, key) }
                                return .commit
                            }
                        } catch let problem as Problem {
                            refused[index] = problem
                        }
                    case .segment(let stored, let node, let log, _):
                        try held.markHeld(stored.segment, node: node, log: log, db)
                    case .heard(let node, let now):
                        try db.cachedStatement(sql: "UPDATE nodes SET last_contact_ms = ? WHERE id = ?").execute(arguments: [now, node.description])
                        try Self.noteContact(db, node, nowUnixMilliseconds: now)
                    }
                }
                try held.write(db)
            }
            for (index, problem) in refused { state.failures[index] = problem }
        } catch {
            for index in sound { state.failures[index] = error }
            return
        }
        for index in state.sound {
            switch items[index] {
            case .segment(let stored, let node, let log, _): adopted.append((stored.segment, LogKey(node: node, log: log)))
            case .entries(_, _, let verifier, _): entriesChanged(of: verifier.node)
            case .heard: break
            }
        }
        heldCache.withLock { cache in
            for (segment, key) in adopted { cache[key]?[segment.stream, default: SequenceRanges()].insert(segment.sequence) }
        }
        for key in Set(adopted.map(\.key)) { heldChanged(key) }
    }

    /// - Returns: segments that the hub has already.
    private func catalogue(_ batch: EntryBatch, _ entries: [LogEntry], _ verifier: LogVerifier, _ appended: AppendedEntries, _ db: Database) throws -> [SegmentID] {
        var cataloguer = Cataloguer(db, node: verifier.node, log: verifier.log)
        for (offset, entry) in entries.enumerated() { try cataloguer.add(entry, index: batch.start + UInt64(offset)) }
        try cataloguer.finish()
        try db.cachedStatement(sql: "UPDATE logs SET verifier = ?, entry_bytes = ?, checkpoint_bytes = ? WHERE node = ? AND log = ?").execute(
            arguments: [try json(verifier), appended.entryBytes, appended.checkpointBytes, verifier.node.description, verifier.log.description])
        return cataloguer.adopted
    }
}

/// Marks segments as held, and adds up what that changes of their nodes and cameras, so that each is updated once.
private struct HeldSums {
    private struct Sum {
        var segments: Int64 = 0
        var bytes: Int64 = 0
        var milliseconds: Int64 = 0
    }
    private struct CameraKey: Hashable {
        var node: NodeID
        var camera: CameraID
    }
    private var nodes: [NodeID: Sum] = [:]
    private var newest: [CameraKey: Int64] = [:]

    mutating func markHeld(_ segment: SegmentID, node: NodeID, log: LogID, _ db: Database) throws {
        let statement = try db.cachedStatement(
            sql: """
                UPDATE segments SET held = 1 WHERE node = ? AND log = ? AND camera = ? AND kind = ? AND sequence = ? AND held = 0
                RETURNING bytes, start_boot_ms, end_boot_ms, end_ms
                """)
        guard let row = try Row.fetchOne(statement, arguments: HubStore.arguments(segment, node, log)) else { return }
        nodes[node, default: Sum()].segments += 1
        nodes[node, default: Sum()].bytes += row["bytes"] as Int64
        if segment.stream.kind == .main {
            nodes[node, default: Sum()].milliseconds += (row["end_boot_ms"] as Int64) - (row["start_boot_ms"] as Int64)
            let key = CameraKey(node: node, camera: segment.stream.camera)
            newest[key] = max(newest[key] ?? 0, row["end_ms"])
        }
    }

    func write(_ db: Database) throws {
        let node = try db.cachedStatement(sql: "UPDATE nodes SET held_segments = held_segments + ?, held_bytes = held_bytes + ?, held_ms = held_ms + ? WHERE id = ?")
        for (id, sum) in nodes { try node.execute(arguments: [sum.segments, sum.bytes, sum.milliseconds, id.description]) }
        let camera = try db.cachedStatement(sql: "UPDATE cameras SET newest_held_ms = MAX(COALESCE(newest_held_ms, 0), ?) WHERE node = ? AND camera = ?")
        for (key, end) in newest { try camera.execute(arguments: [end, key.node.description, key.camera.description]) }
    }
}
