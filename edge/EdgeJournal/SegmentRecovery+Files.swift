import EvidenceLog
import Logging
import RecordingModel
import StorageIO
import SystemPackage

/// A file with footage that has no entry, and where its side file may lie.
struct Leftover {
    let id: SegmentID
    let data: FilePath
    /// The likeliest first. A cut may have undone one of the two renames with which capture puts a pair aside.
    let sides: [FilePath]
    let isSealed: Bool

    private init(id: SegmentID, data: FilePath, sides: [FilePath], isSealed: Bool) {
        self.id = id
        self.data = data
        self.sides = sides
        self.isSealed = isSealed
    }

    init(sealed id: SegmentID, _ files: JournalFiles) {
        self.init(id: id, data: files.sealed(id), sides: [files.side(id)], isSealed: true)
    }

    /// In an order in which none gets the number, and with it the side file's name, of one that comes later: first those
    /// whose numbers are still free, rising, then those whose numbers are in use, then what was put aside.
    static func all(_ listing: StreamListing, next: UInt64, _ files: JournalFiles) -> [Leftover] {
        let directory = files.directory(of: listing.stream)
        func asides(of sequence: UInt64) -> [FilePath] { listing.asideSides.filter { $0.sequence == sequence }.map { directory.appending($0.name) } }
        let open = listing.open.filter { $0 >= next } + listing.open.filter { $0 < next }
        return open.map { sequence in
            let id = SegmentID(stream: listing.stream, sequence: sequence)
            return Leftover(id: id, data: files.open(id), sides: [files.side(id)] + asides(of: sequence), isSealed: false)
        } + listing.aside.map { aside in
            let id = SegmentID(stream: listing.stream, sequence: aside.sequence)
            let own = directory.appending("\(SegmentFiles.sideName(aside.sequence)).aside-\(aside.milliseconds)")
            return Leftover(id: id, data: directory.appending(aside.name), sides: [own, files.side(id)] + asides(of: aside.sequence).filter { $0 != own }, isSealed: false)
        }
    }
}

extension SegmentRecovery {
    struct Proof {
        var found: SegmentExamination
        var side: FilePath
    }

    func seal(_ leftover: Leftover, _ proof: Proof, as target: SegmentID, _ timeline: inout StreamTimeline, others: [StreamTimeline.Span]) throws {
        let found = proof.found
        let record = found.record(target)
        // Without a power cut in between, the system may remember what a failed sync never wrote.
        let isSuspect = record.bootID == writer.clocks.bootID || record.made != nil
        // 1. The prefix alone, durable.
        try cut(leftover.data, from: found.fileBytes, to: found.keptBytes, isSuspect: isSuspect)
        // 2. The final name. A side file that moves is copied first and removed last: at any cut the footage has one.
        if proof.side == files.side(target) {
            try cut(proof.side, from: found.sideBytes, to: found.keptSideBytes, isSuspect: isSuspect)
        } else {
            try storage.replace(files.side(target), with: Array(try storage.read(proof.side).prefix(Int(found.keptSideBytes))))
        }
        if !leftover.isSealed { try storage.rename(leftover.data, to: files.sealed(target)) }
        try writer.syncDirectory(of: target.stream)
        // 3. The entries.
        let span = StreamTimeline.Span(record)
        var bodies: [EntryBody] = []
        // Imported footage has a clock of its own, and what is made of other footage its source's: neither says anything of
        // the recorder's time.
        let isImported = record.bootID.hasPrefix(ImportRecord.bootPrefix)
        let hasOwnTime = !isImported && target.stream.kind == .main
        if hasOwnTime, let gap = try timeline.gap(before: span, with: others, cause: gapCause, detail: "what was noted of this time was lost when the recorder stopped") {
            bodies.append(.gap(gap))
            timeline.add(StreamTimeline.Span(gap))
        }
        if !leftover.isSealed || found.lostBytes > 0 {
            bodies.append(.recovered(RecoveredRecord(segment: target, keptBytes: found.keptBytes, lostBytes: found.lostBytes, sealed: true)))
        }
        bodies.append(.segment(record))
        try writer.append(bodies)
        if hasOwnTime { timeline.add(span) }
        writer.logger.notice(
            "a segment was recovered",
            metadata: ["segment": "\(target)", "kept_bytes": "\(found.keptBytes)", "lost_bytes": "\(found.lostBytes)"])
    }

    private func cut(_ path: FilePath, from length: Int64, to kept: Int64, isSuspect: Bool) throws {
        if isSuspect {
            do { return try writeAnew(path, kept) } catch let error as StorageError where error.errno == .noSpace {
                writer.logger.warning("there is no room to write a recovered file anew; it is taken as it is", metadata: ["path": "\(path)"])
            }
        }
        let file = try storage.openForAppending(path)
        if length != kept { try file.truncate(to: kept) }
        try file.sync()
        try file.close()
    }

    /// The first bytes of the file as a new one in its place: a sync after one that failed succeeds and writes nothing.
    private func writeAnew(_ path: FilePath, _ kept: Int64) throws {
        let temporary = FilePath(path.string + ".new")
        try storage.remove(temporary)
        let source = try storage.openForReading(path)
        let file = try storage.openForAppending(temporary)
        var offset: Int64 = 0
        while offset < kept {
            let piece = try source.read(at: offset, count: Int(min(kept - offset, 1 << 20)))
            guard !piece.isEmpty else { throw JournalError.unreadable(file: path.string, reason: "it became shorter while it was recovered") }
            try piece.withUnsafeBytes { try file.append($0) }
            offset += Int64(piece.count)
        }
        try file.sync()
        try file.close()
        try storage.rename(temporary, to: path)
    }

    /// Nothing can be proven of the file: it is logged first and removed then. Its side file is an orphan after that.
    func discard(_ leftover: Leftover) throws {
        let bytes = try storage.size(leftover.data) ?? 0
        try writer.append([.recovered(RecoveredRecord(segment: leftover.id, keptBytes: 0, lostBytes: bytes, sealed: false))])
        try storage.remove(leftover.data)
        try storage.syncDirectory(files.directory(of: leftover.id.stream))
        writer.logger.warning("a file held no whole fragment and was removed", metadata: ["segment": "\(leftover.id)", "bytes": "\(bytes)"])
    }

    /// A fault of the disk proves nothing about the footage: the file is kept, out of the way of its number.
    func setAside(_ leftover: Leftover, isSideShared: Bool, reason: String) throws {
        let bytes = try storage.size(leftover.data) ?? 0
        try writer.append([.recovered(RecoveredRecord(segment: leftover.id, keptBytes: 0, lostBytes: bytes, sealed: false))])
        let directory = files.directory(of: leftover.id.stream)
        let prefix = "unreadable-\(writer.log.size)-"
        if !isSideShared, let side = leftover.sides.first, try storage.size(side) != nil {
            try storage.rename(side, to: directory.appending(prefix + SegmentFiles.sideName(leftover.id.sequence)))
        }
        let name = prefix + SegmentFiles.sealedName(leftover.id.sequence)
        try storage.rename(leftover.data, to: directory.appending(name))
        try storage.syncDirectory(directory)
        writer.logger.error(
            "a file cannot be read and was put aside", metadata: ["segment": "\(leftover.id)", "name": "\(name)", "error": "\(reason)"])
    }
}
