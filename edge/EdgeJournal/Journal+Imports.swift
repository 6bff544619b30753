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
    /// 2. Each side file is copied, each file gets its number and final name; the folder is synced. A cut here leaves sealed
    ///    files that the next start gives their entries; those are found again by boot id and start.
    /// 3. The `segment` entries and the `import` entry, durable with one sync.
    /// 4. The staging folder is removed, manifest first. A cut here: the original is known by its hash, and what is left
    ///    is removed.
    @discardableResult
    package func adoptImports() throws -> [AdoptedImport] {
        try flush()
        let adopted = try queue.sync { try adoptOnQueue() }
        if !adopted.isEmpty { listeners.withLock { $0.notify() } }
        return adopted
    }

    /// Hashes of the files that were imported.
    package func importedOriginals() throws -> Set<ContentHash> { try index.importedOriginals() }

    func adoptOnQueue() throws -> [AdoptedImport] {
        var result: [AdoptedImport] = []
        for name in try storage.list(files.imports) where name.count == 16 && name.allSatisfy(\.isHexDigit) {
            let folder = files.imports.appending(name)
            guard try storage.size(folder.appending(ImportManifest.fileName)) != nil else { continue }
            do {
                let manifest = try StagedImport(folder: folder, storage: storage).manifest()
                result.append(try adopt(manifest, from: folder, named: name))
            } catch let error as JournalError {
                guard case .unreadable = error else { throw error }
                result.append(AdoptedImport(folder: name, record: nil, outcome: .refused("\(error)")))
            }
        }
        return result
    }

    private func adopt(_ manifest: ImportManifest, from folder: FilePath, named name: String) throws -> AdoptedImport {
        var record = manifest.record
        if options.cameras.contains(record.camera) {
            return AdoptedImport(
                folder: name, record: record, outcome: .refused("camera \(record.camera) is recorded by this node; imported footage needs a camera id of its own"))
        }
        if try index.importedOriginals().contains(record.originalSHA256) {
            try StagedImport(folder: folder, storage: storage).remove()
            return AdoptedImport(folder: name, record: record, outcome: .alreadyKnown)
        }
        do {
            let numbers = inbox.withLock { $0.numbers[StreamID(camera: record.camera, kind: .main)] ?? (0, 0) }
            let (segments, sequences) = try withWriter { try $0.adopt(manifest, from: folder, next: numbers) }
            record.sequences = sequences
            inbox.withLock { inbox in
                let stream = StreamID(camera: record.camera, kind: .main)
                let before = inbox.numbers[stream] ?? (0, 0)
                inbox.numbers[stream] = (
                    max(before.sequence, (sequences.last ?? 0) + (sequences.isEmpty ? 0 : 1)), max(before.run, (segments.map(\.run).max() ?? 0) + 1)
                )
            }
        } catch {
            fail(error)
            throw error
        }
        try StagedImport(folder: folder, storage: storage).remove()
        return AdoptedImport(folder: name, record: record, outcome: .adopted)
    }
}

extension JournalWriter {
    /// Steps 2 and 3 of `Journal.adoptImports`.
    func adopt(_ manifest: ImportManifest, from folder: FilePath, next: (sequence: UInt64, run: UInt64)) throws -> ([SegmentRecord], SequenceRanges) {
        let stream = StreamID(camera: manifest.record.camera, kind: .main)
        let known = try index.sequences(of: stream, bootID: manifest.record.bootID)
        var next = next
        var records: [SegmentRecord] = []
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
            // A copy: recovery removes a side file without footage, and the staged one must still be there then.
            try copy(folder.appending(SegmentFiles.sideName(staged.sequence)), to: files.side(record.id))
            try storage.rename(folder.appending(SegmentFiles.openName(staged.sequence)), to: files.sealed(record.id))
            next.sequence += 1
            records.append(record)
            sequences.insert(record.sequence)
        }
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

    func remove() throws {
        try storage.remove(folder.appending(ImportManifest.fileName))
        try storage.syncDirectory(folder)
        for name in try storage.list(folder) { try storage.remove(folder.appending(name)) }
        try storage.removeDirectory(folder)
    }
}
