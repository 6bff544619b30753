import EvidenceLog
import RecordingModel
import StorageIO
import SyncProtocol
import SystemPackage

/// Brings what the hub lacks to a medium. Whatever ends it, the next one on the same medium goes on behind the last whole
/// record, within a segment too.
package struct BundleExport: Sendable {
    package struct Options: Sendable {
        /// For all bundles of this node on the medium; nil for what is free.
        package var budgetBytes: Int64?
        /// From the log's first entry on, for a hub that has lost what its last statement says.
        package var isAllEntries = false
        package var fileBytes = BundleLimits.fileBytes
        package var recordBytes = BundleLimits.recordBytes
        package var syncEveryBytes: Int64 = 32 << 20
        package init() {}
    }

    package struct Progress: Sendable {
        /// What the medium has for certain, not what waits in memory.
        package var syncedBytes: Int64
        package var totalBytes: Int64
    }

    package struct Summary: Hashable, Sendable, Encodable {
        package enum Outcome: String, Sendable, Encodable {
            case complete, stopped
            case nothingNew = "nothing-new"
        }
        package var outcome: Outcome
        /// Below the medium.
        package var folder: String?
        package var isResumed = false
        package var segments = 0
        package var bytes: Int64 = 0
        package var entries: UInt64 = 0
        /// Already in other bundles of this node on the medium, or in what was there of this one.
        package var segmentsOnMedium = 0
        /// For which there was no room.
        package var segmentsLeft = 0
        package var bytesLeft: Int64 = 0
        /// Could not be read: given up by the recorder meanwhile, or damaged.
        package var unreadable: [String] = []
        /// Bundles that the hub has taken in, removed from the medium.
        package var removedBundles = 0

        private enum CodingKeys: String, CodingKey {
            case outcome, folder
            case isResumed = "resumed"
            case segments, bytes, entries
            case segmentsOnMedium = "segments_on_medium"
            case segmentsLeft = "segments_left"
            case bytesLeft = "bytes_left"
            case unreadable
            case removedBundles = "removed_bundles"
        }
    }

    /// Kept free beyond the budget: directories and the end mark.
    private static let spareBytes: Int64 = 64 << 10
    private static let reserveBytes: Int64 = 64 << 20

    private let medium: FilePath
    private let storage: any StorageIO
    private let source: any BundleSource
    private let hub: HubID
    private let statement: HoldingsStatement?
    private let options: Options

    /// - Parameters:
    ///   - medium: a folder that exists.
    ///   - statement: the newest one that the node has: what it covers stays here.
    package init(medium: FilePath, storage: any StorageIO, source: any BundleSource, hub: HubID, statement: HoldingsStatement?, options: Options = Options()) {
        self.medium = medium
        self.storage = storage
        self.source = source
        self.hub = hub
        self.statement = statement
        self.options = options
    }

    private var nodeFolder: FilePath { medium.appending(BundleNames.root).appending(BundleNames.folder(of: source.node)) }

    package func run(
        nowUnixMilliseconds now: Int64, random: inout some RandomNumberGenerator, isStopped: () -> Bool = { false }, progress: (Progress) -> Void = { _ in }
    ) throws -> Summary {
        guard let checkpoint = try source.newestCheckpoint() else {
            throw CourierError("the log has no signed checkpoint yet; the recorder writes one within a minute of its start: try again then")
        }
        var summary = Summary(outcome: .nothingNew)
        let first = options.isAllEntries ? 0 : min(statement?.logSize ?? 0, checkpoint.checkpoint.size)
        let found = try surveys(&summary)
        let resumed = found.filter { $0.contents.end == nil && $0.header.firstEntry <= first && $0.contents.entriesEnd ?? 0 <= checkpoint.checkpoint.size }
            .max { $0.header.madeUnixMilliseconds < $1.header.madeUnixMilliseconds }
        let wanted = try source.waiting().filter { $0.logIndex < checkpoint.checkpoint.size }
        let missing = wanted.filter { work in !found.contains { $0.contents.has(work.segment) } }
        summary.segmentsOnMedium = wanted.count - missing.count
        let entriesFrom = resumed?.contents.entriesEnd ?? first
        // An unfinished bundle gets its end, even where there is nothing to add to it.
        guard !missing.isEmpty || resumed != nil || (entriesFrom < checkpoint.checkpoint.size && !isLogOnMedium(found, checkpoint)) else { return summary }

        let id = (0..<16).map { _ in UInt8.random(in: .min ... .max, using: &random) }
        let header = BundleHeader(number: 1, bundle: id, node: source.node, hub: hub, log: source.log, madeUnixMilliseconds: now, firstEntry: first)
        let room = try room(existing: found.reduce(0) { $0 + $1.contents.bytes })
        var writer = try BundleWriter(
            resumed, new: (nodeFolder.appending(BundleNames.folder(ofBundle: id)), header), storage: storage, fileBytes: options.fileBytes,
            syncEveryBytes: options.syncEveryBytes)
        let folder = resumed?.folder ?? nodeFolder.appending(BundleNames.folder(ofBundle: id))
        summary.folder = folder.string.hasPrefix(medium.string + "/") ? String(folder.string.dropFirst(medium.string.utf8.count + 1)) : folder.string
        summary.isResumed = resumed != nil
        do {
            try write(&writer, missing, entriesFrom..<max(entriesFrom, checkpoint.checkpoint.size), checkpoint, room, &summary, isStopped, progress)
        } catch {
            // What is whole stays; the next export finds out how much that is.
            try? writer.close()
            throw error
        }
        try writer.close()
        return summary
    }

    private func isLogOnMedium(_ found: [BundleSurvey], _ checkpoint: SignedCheckpoint) -> Bool {
        found.contains { ($0.contents.entriesEnd ?? 0) >= checkpoint.checkpoint.size && !options.isAllEntries }
    }

    /// What this node has on the medium for this hub; what the hub has meanwhile taken in goes.
    private func surveys(_ summary: inout Summary) throws -> [BundleSurvey] {
        var found: [BundleSurvey] = []
        for name in try storage.list(nodeFolder) where BundleNames.isFolder(name) {
            let folder = nodeFolder.appending(name)
            guard let survey = try BundleSurvey(folder, storage: storage) else {
                // Cut before its first header was written: there is nothing in it.
                if try storage.size(folder.appending(BundleNames.fileName(1))) ?? 0 < BundleHeader.byteCount { try BundleSurvey.remove(folder, storage) }
                continue
            }
            guard survey.header.node == source.node, survey.header.hub == hub, survey.header.log == source.log else { continue }
            if survey.isCovered(by: statement) {
                try BundleSurvey.remove(folder, storage)
                if survey.contents.records > 0 { summary.removedBundles += 1 }
            } else {
                found.append(survey)
            }
        }
        return found
    }

    /// Bytes that may be written.
    private func room(existing: Int64) throws -> Int64 {
        let free = try storage.space(medium).availableBytes
        let usable = free - min(Self.reserveBytes, free / 16)
        return min(usable, options.budgetBytes.map { $0 - existing } ?? .max) - Self.spareBytes
    }

    private func write(
        _ writer: inout BundleWriter, _ work: [SegmentWork], _ entries: Range<UInt64>, _ checkpoint: SignedCheckpoint, _ room: Int64, _ summary: inout Summary,
        _ isStopped: () -> Bool, _ progress: (Progress) -> Void
    ) throws {
        if !entries.isEmpty {
            try source.forEachBatch(from: entries.lowerBound, to: entries.upperBound) { batch in
                guard writer.writtenBytes < room else { throw CourierError("there is no room for the log on the medium; give it more with --budget, or use another medium") }
                try writer.write(.entries(batch.encoded()))
            }
            summary.entries = UInt64(entries.count)
        }
        let begun = writer.contents.begun
        // What was begun is ended first.
        let ordered = work.filter { $0.segment == begun?.segment } + work.filter { $0.segment != begun?.segment }
        func offset(_ work: SegmentWork) -> Int64 { work.segment == begun?.segment ? min(begun?.bytes ?? 0, work.bytes) : 0 }
        var planned = writer.writtenBytes
        let chosen = ordered.prefix { work in
            let bytes = work.bytes - offset(work)
            planned += bytes + (bytes / Int64(options.recordBytes) + 2) * 128
            return planned <= room
        }
        summary.segmentsLeft = ordered.count - chosen.count
        summary.bytesLeft = ordered.dropFirst(chosen.count).reduce(0) { $0 + $1.bytes }
        let total = writer.writtenBytes + chosen.reduce(0) { $0 + $1.bytes - offset($1) }
        try writer.write(
            .plan(segments: UInt64(writer.contents.wholeSegments + chosen.count), bytes: writer.contents.wholeBytes + chosen.reduce(0) { $0 + $1.bytes }))
        for work in chosen {
            guard try copy(work, from: offset(work), &writer, &summary, isStopped, { progress(Progress(syncedBytes: $0, totalBytes: total)) }) else {
                summary.outcome = .stopped
                return
            }
        }
        try writer.finish(checkpoint)
        progress(Progress(syncedBytes: total, totalBytes: total))
        summary.outcome = .complete
    }

    /// - Returns: false when it was asked to stop.
    private func copy(
        _ work: SegmentWork, from start: Int64, _ writer: inout BundleWriter, _ summary: inout Summary, _ isStopped: () -> Bool, _ progress: (Int64) -> Void
    ) throws -> Bool {
        var offset = start
        while offset < work.bytes {
            if isStopped() { return false }
            let count = Int(min(Int64(options.recordBytes), work.bytes - offset))
            guard let piece = try? source.read(work, offset: offset, count: count), piece.count == count else {
                summary.unreadable.append("\(work.segment)")
                return true
            }
            let synced = writer.syncedBytes
            try writer.write(.data(segment: work.segment, offset: offset, bytes: piece))
            if writer.syncedBytes != synced { progress(writer.syncedBytes) }
            offset += Int64(count)
        }
        try writer.write(.end(segment: work.segment, length: work.bytes, sha256: work.sha256))
        summary.segments += 1
        summary.bytes += work.bytes - start
        return true
    }
}
