import EvidenceLog
import Logging
import RecordingModel
import StorageIO
import SystemPackage

/// Seals and logs what a cut left in the stream folders. Every step may be cut again: the next start repeats it.
///
/// - A sealed file without an entry gets its entry.
/// - An open file is cut to the longest prefix that its side file proves, synced, renamed, and logged (`recovered`,
///   `segment`). Where an open file before it came to nothing it takes that one's number, so that none is missing.
/// - A file of which nothing can be proven is logged as `recovered` with `sealed: false`, and only then removed. One
///   that the disk cannot read is put aside under another name instead.
/// - A side file without footage is removed: it holds none.
struct SegmentRecovery {
    let writer: JournalWriter
    private var files: JournalFiles { writer.files }
    private var storage: any StorageIO { writer.storage }

    init(writer: JournalWriter) { self.writer = writer }

    func run() throws {
        let numbers = try writer.index.nextNumbers()
        for listing in try files.listStreams(storage) {
            try recover(listing, next: numbers[listing.stream]?.sequence ?? 0)
        }
    }

    private func recover(_ listing: StreamListing, next: UInt64) throws {
        let stream = listing.stream
        for name in listing.foreign where name.hasSuffix(".new") { try storage.remove(files.directory(of: stream).appending(name)) }
        let logged = listing.sealed.isEmpty ? SequenceRanges() : try writer.index.sequences(of: stream)
        var next = next
        var kept = SequenceRanges(listing.sealed)
        for sequence in listing.sealed where !logged.contains(sequence) {
            let id = SegmentID(stream: stream, sequence: sequence)
            if try recover(id, from: files.sealed(id), as: id) {
                next = max(next, sequence + 1)
            } else {
                kept.remove(sequence...sequence)
            }
        }
        for sequence in listing.open {
            let id = SegmentID(stream: stream, sequence: sequence)
            let target = SegmentID(stream: stream, sequence: next)
            if try recover(id, from: files.open(id), as: target) {
                kept.insert(next)
                next += 1
            }
        }
        let orphans = try files.list(stream, storage).side.filter { !kept.contains($0) }
        for sequence in orphans { try storage.remove(files.side(SegmentID(stream: stream, sequence: sequence))) }
        if !orphans.isEmpty { try storage.syncDirectory(files.directory(of: stream)) }
    }

    /// - Returns: whether a segment was sealed and logged.
    private func recover(_ id: SegmentID, from data: FilePath, as target: SegmentID) throws -> Bool {
        let found: SegmentExamination?
        do {
            found = try SegmentExamination(data: data, side: files.side(id), storage: storage)
        } catch let error as StorageError where error.operation.hasPrefix("read") {
            try setAside(id, data, reason: "\(error)")
            return false
        }
        guard let found, !found.fragments.isEmpty else {
            try discard(id, data)
            return false
        }
        // 1. The prefix alone, durable.
        try cut(data, from: found.fileBytes, to: found.keptBytes)
        try cut(files.side(id), from: found.sideBytes, to: found.keptSideBytes)
        // 2. The final name. A side file that moves is copied first and removed last: at any cut the footage has one.
        let sealed = files.sealed(target)
        if target != id { try storage.replace(files.side(target), with: try storage.read(files.side(id))) }
        let wasOpen = data != sealed
        if wasOpen { try storage.rename(data, to: sealed) }
        try writer.syncDirectory(of: id.stream)
        // 3. The entries.
        var bodies: [EntryBody] = []
        if wasOpen || found.lostBytes > 0 {
            bodies.append(.recovered(RecoveredRecord(segment: target, keptBytes: found.keptBytes, lostBytes: found.lostBytes, sealed: true)))
        }
        bodies.append(.segment(found.record(target)))
        try writer.append(bodies)
        writer.logger.notice(
            "a segment was recovered",
            metadata: ["segment": "\(target)", "kept_bytes": "\(found.keptBytes)", "lost_bytes": "\(found.lostBytes)"])
        return true
    }

    private func cut(_ path: FilePath, from length: Int64, to kept: Int64) throws {
        let file = try storage.openForAppending(path)
        if length != kept { try file.truncate(to: kept) }
        try file.sync()
        try file.close()
    }

    /// Nothing can be proven of the file: it is logged first and removed then.
    private func discard(_ id: SegmentID, _ data: FilePath) throws {
        let bytes = try storage.size(data) ?? 0
        try writer.append([.recovered(RecoveredRecord(segment: id, keptBytes: 0, lostBytes: bytes, sealed: false))])
        try storage.remove(data)
        try storage.remove(files.side(id))
        try storage.syncDirectory(files.directory(of: id.stream))
        writer.logger.warning("a file held no whole fragment and was removed", metadata: ["segment": "\(id)", "bytes": "\(bytes)"])
    }

    /// A fault of the disk proves nothing about the footage: the file is kept, out of the way of its number.
    private func setAside(_ id: SegmentID, _ data: FilePath, reason: String) throws {
        let bytes = try storage.size(data) ?? 0
        try writer.append([.recovered(RecoveredRecord(segment: id, keptBytes: 0, lostBytes: bytes, sealed: false))])
        let name = "unreadable-\(writer.log.size)-\(SegmentFiles.sealedName(id.sequence))"
        try storage.rename(data, to: files.directory(of: id.stream).appending(name))
        try storage.syncDirectory(files.directory(of: id.stream))
        writer.logger.error("a file cannot be read and was put aside", metadata: ["segment": "\(id)", "name": "\(name)", "error": "\(reason)"])
    }
}
