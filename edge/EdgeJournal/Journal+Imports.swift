import Dispatch
import EvidenceLog
import FoundationEssentials
import GRDB
import Logging
import RecordingModel
import StorageIO
import Synchronization
import SystemPackage

/// What became of one staged import.
package struct AdoptedImport: Hashable, Sendable {
    package enum Outcome: Hashable, Sendable {
        case adopted
        /// The same original is in the log already; the staged copy was removed.
        case alreadyKnown
        /// Left as it lies, with the reason.
        case refused(String)
        /// Nothing was moved, for this reason; it is tried again.
        case delayed(String)
    }
    package var folder: String
    /// With its sequences filled in when it was adopted; nil when the manifest could not be read.
    package var record: ImportRecord?
    package var outcome: Outcome
}

extension Journal {
    /// Takes over every import that is staged completely (see `ImportManifest`).
    ///
    /// 1. Before: the staged files and, after them, the manifest are durable.
    /// 2. The side files are copied, then each file gets its number and final name; the folder is synced. A cut here leaves sealed
    ///    files that the next start gives their entries; those are found again by boot id and start.
    /// 3. The `segment` entries and the `import` entry, durable with one sync.
    /// 4. The staging folder is removed, manifest first. A cut here: the original is known by its hash, and what is left
    ///    is removed.
    @discardableResult
    package func adoptImports() throws -> [AdoptedImport] {
        try flush()
        var adopted: [AdoptedImport] = []
        while true {
            let more = try queue.sync { try adoptOnQueue(after: adopted.last?.folder) }
            if more.isEmpty { break }
            adopted += more
        }
        if !adopted.isEmpty { listeners.withLock { $0.notify() } }
        if try withWriter({ $0.isIndexBehind }) {
            throw JournalError.unreadable(file: files.index.string, reason: "it is behind the log, so that nothing can be taken over; make room on the disk and try again")
        }
        return adopted
    }

    /// Hashes of the files that were imported.
    package func importedOriginals() throws -> Set<ContentHash> { try index.importedOriginals() }

    /// Folders that are taken over in one turn of the queue: commits and the look at the disk wait for it.
    private static let foldersAtOnce = 4

    /// - Parameters:
    ///   - after: the folder at which the turn before ended.
    ///   - refused: folders that are not looked at again.
    func adoptOnQueue(after: String? = nil, except refused: Set<String> = []) throws -> [AdoptedImport] {
        let waiting = try storage.list(files.imports).filter { ImportManifest.isFolder($0) && $0 > after ?? "" && !refused.contains($0) }.sorted()
        guard !waiting.isEmpty else { return [] }
        // What the index does not say yet might be taken over twice.
        guard try withWriter({ $0.mendIndex(); return !$0.isIndexBehind }) else { return [] }
        var result: [AdoptedImport] = []
        var taken = 0
        for name in waiting where taken < Self.foldersAtOnce {
            let folder = files.imports.appending(name)
            guard try storage.size(folder.appending(ImportManifest.fileName)) != nil else { continue }
            let staged = StagedImport(folder: folder, storage: storage)
            do {
                let adopted = try adopt(try staged.manifest(), from: staged, named: name)
                result.append(adopted)
                if adopted.outcome == .adopted { taken += 1 }
            } catch let error as JournalError {
                guard case .unreadable = error else { throw error }
                try staged.setAside()
                result.append(AdoptedImport(folder: name, record: nil, outcome: .refused("\(error); it lies in imports/\(name).refused")))
            }
        }
        return result
    }

    private func adopt(_ manifest: ImportManifest, from staged: StagedImport, named name: String) throws -> AdoptedImport {
        var record = manifest.record
        if options.cameras.contains(record.camera) {
            return AdoptedImport(
                folder: name, record: record, outcome: .refused("camera \(record.camera) is recorded by this node; imported footage needs a camera id of its own"))
        }
        if try index.isImported(record.originalSHA256) {
            try staged.remove()
            return AdoptedImport(folder: name, record: record, outcome: .alreadyKnown)
        }
        try staged.requireFiles(of: manifest, except: try index.sequences(of: StreamID(camera: record.camera, kind: .main), bootID: record.bootID))
        do {
            let numbers = inbox.withLock { $0.numbers[StreamID(camera: record.camera, kind: .main)] ?? (0, 0) }
            let (segments, sequences) = try withWriter { try $0.adopt(manifest, from: staged.folder, next: numbers) }
            record.sequences = sequences
            inbox.withLock { inbox in
                let stream = StreamID(camera: record.camera, kind: .main)
                let before = inbox.numbers[stream] ?? (0, 0)
                inbox.numbers[stream] = (
                    max(before.sequence, (sequences.last ?? 0) + (sequences.isEmpty ? 0 : 1)), max(before.run, (segments.map(\.run).max() ?? 0) + 1)
                )
            }
        } catch let delay as ImportDelayed {
            return AdoptedImport(folder: name, record: record, outcome: .delayed("\(delay.reason); it waits in imports/\(name) and is tried again"))
        } catch {
            fail(error)
            throw error
        }
        try staged.remove()
        return AdoptedImport(folder: name, record: record, outcome: .adopted)
    }
}

/// Nothing was moved yet.
private struct ImportDelayed: Error {
    let reason: any Error
}

extension JournalWriter {
    /// Steps 2 and 3 of `Journal.adoptImports`.
    func adopt(_ manifest: ImportManifest, from folder: FilePath, next: (sequence: UInt64, run: UInt64)) throws -> ([SegmentRecord], SequenceRanges) {
        let stream = StreamID(camera: manifest.record.camera, kind: .main)
        let known = try index.sequences(of: stream, bootID: manifest.record.bootID)
        var next = next
        var records: [SegmentRecord] = []
        var moves: [(side: FilePath, data: FilePath)] = []
        var sequences = SequenceRanges()
        try storage.makeDirectory(files.directory(of: stream))
        for staged in manifest.segments {
            // What an attempt that broke off moved has its entry from recovery.
            if let sequence = known[staged.startBootMilliseconds] {
                sequences.insert(sequence)
                continue
            }
            var record = staged
            record.sequence = next.sequence
            record.run = next.run + staged.run
            next.sequence += 1
            records.append(record)
            moves.append((folder.appending(SegmentFiles.sideName(staged.sequence)), folder.appending(SegmentFiles.openName(staged.sequence))))
            sequences.insert(record.sequence)
        }
        // Copies: recovery removes a side file without footage, and the staged one must still be there then.
        do {
            for (record, move) in zip(records, moves) { try copy(move.side, to: files.side(record.id)) }
        } catch {
            for record in records { try storage.remove(files.side(record.id)) }
            throw ImportDelayed(reason: error)
        }
        for (record, move) in zip(records, moves) { try storage.rename(move.data, to: files.sealed(record.id)) }
        if !records.isEmpty { try syncDirectory(of: stream) }
        var entry = manifest.record
        entry.sequences = sequences
        try append(records.map { .segment($0) } + [.imported(entry)])
        return (records, sequences)
    }
}

extension JournalWriter {
    private func copy(_ path: FilePath, to target: FilePath) throws {
        try storage.remove(target)
        let file = try storage.openForAppending(target)
        try file.append(try storage.read(path))
        try file.sync()
        try file.close()
    }
}

extension JournalIndex {
    func importedOriginals() throws -> Set<ContentHash> {
        try database.read { Set(try String.fetchAll($0, sql: "SELECT hash FROM entries WHERE hash IS NOT NULL").compactMap { ContentHash($0) }) }
    }

    func isImported(_ original: ContentHash) throws -> Bool {
        try database.read { try Bool.fetchOne($0, sql: "SELECT EXISTS (SELECT 1 FROM entries WHERE hash = ?)", arguments: [original.hex]) ?? false }
    }

    /// Sequence by start on the boot's clock.
    func sequences(of stream: StreamID, bootID: String) throws -> [Int64: UInt64] {
        try database.read { database in
            let sql = "SELECT start_boot, sequence FROM entries WHERE kind = 'segment' AND stream = ? AND boot = ?"
            return try Row.fetchAll(database, sql: sql, arguments: [stream.description, bootID]).reduce(into: [:]) {
                $0[try $1.value("start_boot") as Int64] = UInt64(clamping: try $1.value("sequence") as Int64)
            }
        }
    }
}

extension JournalReader {
    /// Hashes of the files that were imported.
    package func importedOriginals() throws -> Set<ContentHash> { try withIndex { try $0.importedOriginals() } }
}

/// One folder that an importer left.
struct StagedImport {
    let folder: FilePath
    let storage: any StorageIO

    /// - Throws: `JournalError.unreadable` for what no importer writes.
    func manifest() throws -> ImportManifest {
        let path = folder.appending(ImportManifest.fileName)
        func refuse(_ reason: String) -> JournalError { .unreadable(file: path.string, reason: reason) }
        let manifest: ImportManifest
        do {
            manifest = try JSONDecoder().decode(ImportManifest.self, from: Data(storage.read(path, limitBytes: ImportManifest.byteLimit)))
        } catch let error as DecodingError {
            throw refuse("\(error)")
        }
        let record = manifest.record
        guard record.isPlausible, record.sequences.isEmpty, record.bootID == ImportRecord.bootID(of: record.originalSHA256) else {
            throw refuse("its record holds what cannot be")
        }
        let stream = StreamID(camera: record.camera, kind: .main)
        for (ordinal, segment) in manifest.segments.enumerated() {
            guard segment.isPlausible, segment.stream == stream, segment.bootID == record.bootID, segment.sequence == UInt64(ordinal),
                segment.run <= UInt64(ordinal)
            else { throw refuse("segment \(ordinal) holds what cannot be") }
        }
        return manifest
    }

    /// Before anything is moved: a file that is missing or cut must not stop the recorder half way.
    func requireFiles(of manifest: ImportManifest, except moved: [Int64: UInt64]) throws {
        for segment in manifest.segments where moved[segment.startBootMilliseconds] == nil {
            let (data, side) = (folder.appending(SegmentFiles.openName(segment.sequence)), folder.appending(SegmentFiles.sideName(segment.sequence)))
            func refuse(_ path: FilePath, _ reason: String) -> JournalError { .unreadable(file: path.string, reason: reason) }
            do {
                guard try storage.size(data) == segment.bytes else { throw refuse(data, "it is not of the length that the manifest says") }
                guard try storage.size(side) != nil else { throw refuse(side, "it is missing") }
                _ = try storage.read(side)
            } catch let error as StorageError {
                throw refuse(data, "\(error)")
            }
        }
    }

    /// Out of the way, so that it is neither tried again nor taken for imported. Nothing in it is deleted.
    func setAside() throws {
        try storage.rename(folder, to: FilePath(folder.string + ".refused"))
        try storage.syncDirectory(folder.removingLastComponent())
    }

    func remove() throws {
        try storage.remove(folder.appending(ImportManifest.fileName))
        try storage.syncDirectory(folder)
        for name in try storage.list(folder) { try storage.remove(folder.appending(name)) }
        try storage.removeDirectory(folder)
    }
}
