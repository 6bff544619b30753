import Dispatch
import EdgeCapture
import EvidenceLog
import RecordingModel
import StorageIO
import Synchronization
import SystemPackage

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

package struct ImportSettings: Sendable {
    package var camera: CameraID
    package var operatorName: String
    package var audio: AudioPolicy
    package var rules: TimeRules
    package var configVersion: String
    package var isDryRun = false
    package var segmentMilliseconds: Int64 = 60_000
    /// Free space that imported footage must leave on the node's disk.
    package var reserveBytes: @Sendable (DiskSpace) -> Int64 = { $0.totalBytes / 20 + 256 << 20 }
    /// How often 100 ms are waited for a recorder that is to make room and makes no progress at it.
    package var roomPatience = 100

    package init(camera: CameraID, operatorName: String, audio: AudioPolicy, rules: TimeRules, configVersion: String) {
        self.camera = camera
        self.operatorName = operatorName
        self.audio = audio
        self.rules = rules
        self.configVersion = configVersion
    }
}

/// Takes a card's files over: hash, segments in a staging folder, manifest; the journal does the rest.
///
/// Two workers, each with one file at a time: while one waits for the disk, the other hashes. What they finish is
/// reported and committed in the order of the files.
package final class Importer: Sendable {
    package typealias Report = @Sendable (FileReport) -> Void
    private static let workers = 2
    private static let bufferBytes = 1 << 20

    private struct Staged: Sendable {
        var report: FileReport
        var commit: (manifest: ImportManifest, folder: FilePath)?
    }

    private struct State: Sendable {
        var next = 0
        var finished: [Int: Staged] = [:]
        var committed = 0
        var known: Set<ContentHash>
        var reservedBytes: Int64 = 0
        var failure: (any Error)?
        var summary = ImportSummary()
    }

    private let settings: ImportSettings
    private let staging: StagingArea
    private let open: @Sendable (CardEntry) throws -> CardFile
    private let state: Mutex<State>
    /// Bytes of the card that are done with.
    private let doneBytes = Atomic<Int64>(0)

    /// - Parameter known: originals that the log has; those that wait for the journal are added.
    package convenience init(_ settings: ImportSettings, staging: StagingArea, known: Set<ContentHash>) throws {
        try self.init(settings, staging: staging, known: known) { try CardFile($0.path, name: $0.name) }
    }

    /// - Parameter open: how a file of the card is read.
    init(_ settings: ImportSettings, staging: StagingArea, known: Set<ContentHash>, open: @escaping @Sendable (CardEntry) throws -> CardFile) throws {
        self.open = open
        self.settings = settings
        self.staging = staging
        state = Mutex(State(known: known.union(try staging.waitingOriginals())))
    }

    package var processedBytes: Int64 { doneBytes.load(ordering: .relaxed) }

    /// The order in which files are imported: of their start, then of their names.
    package func ordered(_ entries: [CardEntry]) -> [CardEntry] {
        entries.map { entry -> (start: Int64, entry: CardEntry) in
            let header = (try? open(entry)).flatMap { try? FileHeader(of: $0) }
            return (choose(entry, header).wall.unixMilliseconds, entry)
        }.sorted { ($0.start, $0.entry.name) < ($1.start, $1.entry.name) }.map(\.entry)
    }

    /// Blocks until all is staged.
    /// - Parameter report: called in the order of the files, from any thread.
    /// - Throws: `ImportStopped` when the node's disk refused; what was finished by then is committed.
    package func run(_ entries: [CardEntry], report: Report) throws -> ImportSummary {
        DispatchQueue.concurrentPerform(iterations: Self.workers) { _ in
            let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: Self.bufferBytes, alignment: 4_096)
            defer { buffer.deallocate() }
            while let index = takeNext(entries.count) {
                do {
                    let staged = try importFile(entries[index], index: index, buffer: buffer)
                    try finish(index, staged, report)
                } catch {
                    state.withLock { $0.failure = $0.failure ?? error }
                }
            }
        }
        return try state.withLock { state in
            // Behind a file that failed there may be finished ones.
            for (_, staged) in state.finished.sorted(by: { $0.key < $1.key }) {
                do { try Self.commit(staged, &state, staging, report) } catch { state.failure = state.failure ?? error }
            }
            state.finished = [:]
            if let failure = state.failure { throw failure as? ImportStopped ?? ImportStopped(description: "the node's disk refused: \(failure)") }
            return state.summary
        }
    }

    private func takeNext(_ count: Int) -> Int? {
        state.withLock { state in
            guard state.failure == nil, state.next < count else { return nil }
            defer { state.next += 1 }
            return state.next
        }
    }

    private func finish(_ index: Int, _ staged: Staged, _ report: Report) throws {
        try state.withLock { state in
            state.finished[index] = staged
            while let next = state.finished.removeValue(forKey: state.committed) {
                state.committed += 1
                try Self.commit(next, &state, staging, report)
            }
        }
    }

    private static func commit(_ staged: Staged, _ state: inout State, _ staging: StagingArea, _ report: Report) throws {
        var staged = staged
        if let (manifest, folder) = staged.commit {
            do {
                try staging.commit(manifest, in: folder)
            } catch let error as FileTooLong {
                staging.remove(folder)
                staged.report.status = .unreadable
                staged.report.reason = error.description
            }
        }
        state.summary.add(staged.report)
        report(staged.report)
    }

    private func choose(_ entry: CardEntry, _ header: FileHeader?) -> ChosenTime {
        ChosenTime(
            TimeEvidence(
                container: Self.containerStart(header), name: FileNameTime.unixMilliseconds(ofPath: entry.name),
                modified: entry.modifiedUnixMilliseconds, durationMilliseconds: header?.durationMilliseconds ?? 0), rules: settings.rules)
    }

    private static func containerStart(_ header: FileHeader?) -> Int64? {
        // With a zone it can be no local time in disguise.
        (header?.zonedCreationTime ?? header?.creationTime).flatMap { CivilTime.unixMilliseconds($0) }
    }

    private func importFile(_ entry: CardEntry, index: Int, buffer: UnsafeMutableRawBufferPointer) throws -> Staged {
        var report = FileReport(entry, .unreadable)
        do {
            let file = try open(entry)
            defer { file.forget() }
            report.bytes = file.length
            let hash = try file.sha256(buffer: buffer) { doneBytes.add($0, ordering: .relaxed) }
            report.sha256 = hash
            guard state.withLock({ $0.known.insert(hash).inserted }) else {
                report.status = .known
                return Staged(report: report)
            }
            let unreadable = file.unreadableBytes
            do {
                return try stage(entry, file, hash, index, report)
            } catch {
                // A second copy of it on the card may be better.
                state.withLock { _ = $0.known.remove(hash) }
                throw error is FileRefusal && file.unreadableBytes != unreadable ? CardReadFailure(description: CardFile.goneSentence) : error
            }
        } catch let error as FileRefusal {
            if case .unsupported = error { report.status = .unsupported }
            report.reason = error.description
        } catch let error as CardReadFailure {
            report.reason = error.description
        }
        return Staged(report: report)
    }

    private func stage(_ entry: CardEntry, _ file: CardFile, _ hash: ContentHash, _ index: Int, _ found: FileReport) throws -> Staged {
        var report = found
        if !settings.isDryRun { try reserve(file.length) }
        defer { if !settings.isDryRun { state.withLock { $0.reservedBytes -= file.length } } }
        let folder = try settings.isDryRun ? staging.root : staging.makeFolder(index)
        var isKept = false
        defer { if !isKept, !settings.isDryRun { staging.remove(folder) } }
        let bootID = ImportRecord.bootID(of: hash)
        let unreadable = file.unreadableBytes
        let remuxer = try FileRemuxer(opening: file, audio: settings.audio, storage: staging.storage) { header in
            let time = choose(entry, header)
            report.container = header.container
            report.containerStartUnixMilliseconds = Self.containerStart(header)
            (report.start, report.timeSource, report.clockOffsetMilliseconds) = (time.wall, time.source, time.offsetMilliseconds)
            report.durationMilliseconds = header.durationMilliseconds ?? 0
            return FileRemuxer.Target(
                directory: folder, stream: StreamID(camera: settings.camera, kind: .main), bootID: bootID, startWall: time.wall,
                configVersion: settings.configVersion, segmentMilliseconds: settings.segmentMilliseconds)
        }
        if settings.isDryRun {
            report.status = .new
            return Staged(report: report)
        }
        let outcome = try remuxer.remux()
        // What was hashed a moment ago and cannot be read now is a card that was pulled out: with zeros in its place, and
        // under the whole file's hash, it would never be imported again.
        guard file.unreadableBytes == unreadable else { throw CardReadFailure(description: CardFile.goneSentence) }
        let damage = (unreadable > 0 ? ["\(unreadable) bytes could not be read from the card and count as zeros"] : []) + outcome.damage
        report.status = damage.isEmpty ? .imported : .damaged
        report.missing = damage.isEmpty && outcome.leftOut.isEmpty ? nil : (damage + outcome.leftOut).joined(separator: "; ")
        report.segments = outcome.segments.count
        report.durationMilliseconds = outcome.segments.reduce(0) { $0 + $1.durationMilliseconds }
        let record = ImportRecord(
            camera: settings.camera, bootID: bootID, sequences: SequenceRanges(), originalName: entry.name, originalBytes: file.length,
            originalSHA256: hash, container: report.container ?? "", containerStartUnixMilliseconds: report.containerStartUnixMilliseconds,
            timeSource: report.timeSource ?? .none, clockOffsetMilliseconds: report.clockOffsetMilliseconds ?? 0,
            operatorName: settings.operatorName, missing: report.missing)
        isKept = true
        return Staged(report: report, commit: (ImportManifest(record: record, segments: outcome.segments), folder))
    }

    /// Segments are about as large as their file. Where a recorder holds footage that the hub has too, it makes room.
    private func reserve(_ bytes: Int64) throws {
        var best: Int64 = 0
        var waits = 0
        while let (wanted, available) = try lacking(bytes) {
            if available > best { (best, waits) = (available, 0) }
            guard waits < settings.roomPatience, try staging.askForRoom(wanted) else {
                throw ImportStopped(
                    description: "the node's disk has \(available >> 20) MiB left, and with this file footage from cards needs \(wanted >> 20) MiB; let the node forward footage, or make room, and import the card again: what is imported already is left out then")
            }
            waits += 1
            // Another process makes the room.
            usleep(100_000)
        }
        staging.needNoRoom()
    }

    /// What must be free and what is; nil when it is reserved.
    private func lacking(_ bytes: Int64) throws -> (wanted: Int64, available: Int64)? {
        try state.withLock { state in
            let space = try staging.storage.space(staging.root.removingLastComponent())
            let wanted = settings.reserveBytes(space) + state.reservedBytes + bytes
            guard space.availableBytes >= wanted else { return (wanted, space.availableBytes) }
            state.reservedBytes += bytes
            return nil
        }
    }
}
