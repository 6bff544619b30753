import EvidenceLog
import Logging
import RecordingModel
import StorageIO
import SystemPackage

/// Gives footage up when space or age demand it, in small rounds between commits.
///
/// The order: released main, released proxy, thumbnails that the hub has, then what was never forwarded: footage without an
/// event, its proxies, footage with an event, its proxies, thumbnails; oldest entry first in each. So of footage that has
/// to go its small copies stay. Where these have become a quarter of what waits, they go first. Pinned footage never.
///
/// A round: 1. `released` and `evicted` entries, durable (one sync). 2. The files are unlinked, footage before its side
/// file. 3. The folders are synced. A cut after 1 leaves files that the next start unlinks (`SegmentRecovery`).
struct Retention {
    let writer: JournalWriter
    /// Keeps a round short: commits wait for it.
    static let roundLimit = 64

    enum Outcome {
        case enough
        /// A round was done; there may be more to do.
        case more
        /// There is nothing left that may go.
        case nothingLeft
    }

    /// - Parameters:
    ///   - bytesToFree: 0 when only age is asked.
    ///   - bytesForImport: what footage from a card lacks beyond that; only released footage goes for it.
    func round(bytesToFree: Int64, bytesForImport: Int64 = 0, now: Moment) throws -> Outcome {
        let pinned = try PinFile.allRanges(writer.files, writer.storage)
        if bytesToFree > 0 {
            let waiting = try writer.index.unsyncedBytes()
            let ranks = waiting.small > waiting.main / 3 ? JournalIndex.EvictionRank.smallFirst : JournalIndex.EvictionRank.allCases
            let chosen = try choose(bytesToFree: bytesToFree, ranks: ranks, pinned: pinned)
            guard !chosen.isEmpty else { return .nothingLeft }
            try remove(chosen, .space)
            return .more
        }
        if bytesForImport > 0 {
            let chosen = try choose(bytesToFree: bytesForImport, ranks: JournalIndex.EvictionRank.released, pinned: pinned)
            if !chosen.isEmpty {
                try remove(chosen, .space)
                return .more
            }
        }
        let old = try expired(now: now, days: writer.options.limits.keepDays, pinned: pinned)
        if !old.isEmpty { try remove(old, .age) }
        let reducible = try expired(now: now, days: writer.options.limits.reduceAfterDays, onlyReducible: true, pinned: pinned)
        if !reducible.isEmpty { try remove(reducible, .reduced) }
        return old.isEmpty && reducible.isEmpty ? .enough : .more
    }

    private func choose(bytesToFree: Int64, ranks: [JournalIndex.EvictionRank], pinned: [StreamID: SequenceRanges]) throws -> [Candidate] {
        var chosen: [Candidate] = []
        var freed: Int64 = 0
        for rank in ranks {
            try writer.index.forEachCandidate(rank) { candidate in
                guard mayGo(candidate, pinned) else { return true }
                chosen.append(candidate)
                freed += candidate.bytes
                return freed < bytesToFree && chosen.count < Self.roundLimit
            }
            if freed >= bytesToFree || chosen.count >= Self.roundLimit { break }
        }
        return chosen
    }

    /// An index that fell behind, on a disk that is full, still names what has gone already.
    private func mayGo(_ candidate: Candidate, _ pinned: [StreamID: SequenceRanges]) -> Bool {
        let id = candidate.id
        // Released is only what the statement in force covers, whatever the index still says.
        if candidate.isHeld, writer.statement?.held[id.stream]?.contains(id.sequence) != true { return false }
        return pinned[id.stream]?.contains(id.sequence) != true && writer.removed[id.stream]?.contains(id.sequence) != true
    }

    /// Age counts only where a clock from outside the node is known, and where that has been in the log for a while: a
    /// battery clock may say any year, and footage that was recorded under one first has to be re-dated.
    private func expired(now: Moment, days: Int?, onlyReducible: Bool = false, pinned: [StreamID: SequenceRanges]) throws -> [Candidate] {
        guard let days, now.wall.source >= .hub, !writer.isIndexBehind,
            now.bootMilliseconds - writer.startedBootMilliseconds >= Self.settleMilliseconds,
            let fix = try writer.index.firstTrustedFix(of: writer.clocks.bootID), now.bootMilliseconds - fix >= Self.settleMilliseconds
        else { return [] }
        let cutoff = now.wall.unixMilliseconds - now.wall.uncertaintyMilliseconds - Int64(days) * 86_400_000
        var old: [Candidate] = []
        try writer.index.forEachEnded(before: cutoff, onlyReducible: onlyReducible) { candidate in
            if mayGo(candidate, pinned) { old.append(candidate) }
            return old.count < Self.roundLimit
        }
        return old
    }
    static let settleMilliseconds: Int64 = 60_000

    typealias Candidate = JournalIndex.Candidate

    func remove(_ candidates: [Candidate], _ reason: RemovalRecord.Reason) throws {
        var bodies: [EntryBody] = []
        for isHeld in [true, false] {
            for (stream, group) in Dictionary(grouping: candidates.filter { $0.isHeld == isHeld }, by: \.id.stream).sorted(by: { $0.key < $1.key }) {
                let record = RemovalRecord(
                    stream: stream, sequences: SequenceRanges(group.map(\.id.sequence)), bytes: group.reduce(0) { $0 + $1.bytes },
                    durationMilliseconds: group.reduce(0) { $0 + $1.durationMilliseconds }, reason: reason)
                bodies.append(isHeld ? .released(record) : .evicted(record))
            }
        }
        try writer.append(bodies)
        for candidate in candidates { writer.removed[candidate.id.stream, default: SequenceRanges()].insert(candidate.id.sequence) }
        try Self.unlink(candidates.map(\.id), writer.files, writer.storage)
        writer.logger.notice(
            "footage was given up",
            metadata: [
                "reason": "\(reason.rawValue)", "segments": "\(candidates.count)", "bytes": "\(candidates.reduce(0) { $0 + $1.bytes })",
                "not_forwarded": "\(candidates.count { !$0.isHeld })",
            ])
    }

    static func unlink(_ segments: [SegmentID], _ files: JournalFiles, _ storage: any StorageIO) throws {
        for id in segments {
            try storage.remove(files.sealed(id))
            try storage.remove(files.side(id))
        }
        for stream in Set(segments.map(\.stream)).sorted() { try storage.syncDirectory(files.directory(of: stream)) }
    }
}
