import EvidenceLog
import Logging
import RecordingModel
import StorageIO
import SystemPackage

/// Seals and logs what a cut, or a refused delivery, left in the stream folders. Every step may be cut again: the next
/// start repeats it.
///
/// - A file that the log says was given up is unlinked.
/// - A sealed file without an entry gets its entry.
/// - An open file is cut to the longest prefix that its side file proves, synced, renamed, and logged (`recovered`,
///   `segment`). Where an open file before it came to nothing it takes that one's number, so that none is missing.
/// - A file that capture put aside, or whose number is in use, is treated so under the next free number.
/// - Time before footage that nothing in the log speaks of becomes a gap, in one write with the footage's entry.
/// - A file of which nothing can be proven is logged as `recovered` with `sealed: false`, and only then removed. One
///   that the disk cannot read is put aside under another name instead.
/// - A side file without footage is removed: it holds none.
struct SegmentRecovery {
    let writer: JournalWriter
    let gapCause: GapCause
    var files: JournalFiles { writer.files }
    var storage: any StorageIO { writer.storage }

    func run() throws {
        let numbers = try writer.index.nextNumbers()
        for listing in try files.listStreams(storage) {
            try recover(listing, next: numbers[listing.stream]?.sequence ?? 0)
        }
    }

    private func recover(_ found: StreamListing, next: UInt64) throws {
        let stream = found.stream
        let listing = try withoutRemoved(found)
        for name in listing.foreign where name.hasSuffix(".new") { try storage.remove(files.directory(of: stream).appending(name)) }
        let logged = listing.sealed.isEmpty ? SequenceRanges() : try writer.index.sequences(of: stream)
        var timeline = try StreamTimeline(stream: stream, writer: writer)
        var next = next
        var kept = SequenceRanges(listing.sealed)
        for sequence in listing.sealed where !logged.contains(sequence) {
            let leftover = Leftover(sealed: SegmentID(stream: stream, sequence: sequence), files)
            if let proof = try examine(leftover, isSideShared: false) {
                try seal(leftover, proof, as: leftover.id, &timeline, others: [])
                next = max(next, sequence + 1)
            } else {
                kept.remove(sequence...sequence)
            }
        }
        // All are read before the first is sealed: what lies before each can only be told when all are known.
        var proven: [(leftover: Leftover, proof: Proof)] = []
        for leftover in Leftover.all(listing, next: next, files) {
            if let proof = try examine(leftover, isSideShared: kept.contains(leftover.id.sequence)) { proven.append((leftover, proof)) }
        }
        while !proven.isEmpty {
            let (leftover, proof) = proven.removeFirst()
            let others = proven.map { StreamTimeline.Span($0.proof.found.record($0.leftover.id)) }
            try seal(leftover, proof, as: SegmentID(stream: stream, sequence: next), &timeline, others: others)
            kept.insert(next)
            next += 1
        }
        try removeOrphans(try files.list(stream, storage), kept)
    }

    /// Finishes what a cut left of a removal whose entry is in the log.
    private func withoutRemoved(_ found: StreamListing) throws -> StreamListing {
        guard let removed = writer.removed[found.stream] else { return found }
        var listing = found
        let left = Set(found.sealed + found.side).filter { removed.contains($0) && !found.open.contains($0) }
        guard !left.isEmpty else { return found }
        try Retention.unlink(left.sorted().map { SegmentID(stream: found.stream, sequence: $0) }, files, storage)
        listing.sealed.removeAll { left.contains($0) }
        listing.side.removeAll { left.contains($0) }
        return listing
    }

    /// Side files without their footage hold none.
    private func removeOrphans(_ listing: StreamListing, _ kept: SequenceRanges) throws {
        let directory = files.directory(of: listing.stream)
        let orphans = listing.side.filter { !kept.contains($0) }.map { files.side(SegmentID(stream: listing.stream, sequence: $0)) }
            + listing.asideSides.map { directory.appending($0.name) }
        for path in orphans { try storage.remove(path) }
        if !orphans.isEmpty { try storage.syncDirectory(directory) }
    }

    /// What the file proves with the best of its side files. Where that is nothing the file is removed or put aside.
    private func examine(_ leftover: Leftover, isSideShared: Bool) throws -> Proof? {
        var best: Proof?
        do {
            for side in leftover.sides where best?.found.lostBytes != 0 {
                guard let found = try SegmentExamination(data: leftover.data, side: side, storage: storage), !found.fragments.isEmpty else { continue }
                if found.keptBytes > best?.found.keptBytes ?? 0 { best = Proof(found: found, side: side) }
            }
        } catch let error as StorageError where error.operation.hasPrefix("read") {
            try setAside(leftover, isSideShared: isSideShared, reason: "\(error)")
            return nil
        }
        if best == nil { try discard(leftover) }
        return best
    }
}
