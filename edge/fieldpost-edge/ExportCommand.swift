import ArgumentParser
import EdgeCourier
import EdgeJournal
import EdgeSync
import EvidenceLog
import FoundationEssentials
import RecordingModel
import ServiceSupport
import StorageIO
import Synchronization
import SyncProtocol
import SystemPackage
import UnixSignals

struct ExportCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "export", abstract: "Writes what the hub lacks to a stick or disk, for a courier.",
        discussion: """
            The recorder goes on meanwhile. What is interrupted, by whatever, goes on when the same command runs again: also after \
            the stick was pulled out. At the hub run: fieldpost-hub import DIR, and here, when the stick is back: fieldpost-edge \
            receipt DIR. FAT32 and exFAT will do. Run all of them as the user that the service runs as (sudo -u fieldpost …), and mount \
            the stick so that this user may write to it (uid=fieldpost). The stick holds plain footage: carry it as you would the node's own disk.
            Ends with 3 when there was no room for all, or something could not be read.
            """)

    @Option(name: .customLong("to"), help: "Where the stick is mounted.") var medium: String
    @OptionGroup var options: EdgeOptions
    @Option(help: "Only footage between two times, FROM..TO, such as 2026-11-21T08:00:00Z..2026-11-21T10:00:00Z. Either may be left out.") var range: String?
    @Option(help: "Only this camera's footage. May be given several times.") var camera: [String] = []
    @Option(help: "Bytes on the stick at most, such as 64GB or 500MB. Default: what is free there, less 64 MiB.") var budget: String?
    @Flag(name: .customLong("all-entries"), help: "The log from its beginning, for a hub that says it lacks entries.") var isAllEntries = false
    @Flag(name: .customLong("same-disk"), help: "Write to DIR although it lies on the disk of the system or of the footage: a folder to be copied on.") var isSameDisk = false
    @Flag(help: "Print JSON.") var json = false

    func run() async throws {
        let configuration = try options.read()
        let folder = try NodeFolder(configuration)
        let reader = try folder.reader()
        guard let endpoint = try folder.hub(), let hubKey = NoteKey(text: endpoint.hubKey) else {
            throw CommandError("this node has not joined a hub, so that no hub would take the footage; join with: fieldpost-edge enrol TOKEN --config \(options.file)")
        }
        let target = try target(folder)
        let storage = try RealStorage(anchoredAt: target)
        var exportOptions = BundleExport.Options()
        exportOptions.isAllEntries = isAllEntries
        exportOptions.budgetBytes = try budget.map(Self.bytes)
        let source = try source(reader)
        let statement = try reader.latestStatement().flatMap { try? JSONDecoder().decode(SignedStatement.self, from: Data($0.encoded)) }?.verified(by: hubKey)
        let export = BundleExport(medium: target, storage: storage, source: source, hub: endpoint.hub, statement: statement, options: exportOptions)
        let summary: BundleExport.Summary
        do {
            summary = try await run(export)
        } catch let error as StorageError where error.isNoSpace {
            throw CommandError("\(medium) is full; what is on it counts, and the hub imports it: take another stick for the rest, or make room and run this again")
        } catch let error as StorageError where error.path.hasPrefix(target.string) {
            throw CommandError("\(error); was the stick pulled out? What it has counts: put it in and run this again, it goes on there")
        }
        try show(summary)
        if summary.outcome == .stopped { throw ExitCode(130) }
        if summary.segmentsLeft > 0 || !summary.unreadable.isEmpty { throw ExitCode(3) }
    }

    /// Ctrl-C and SIGTERM end it between two records, with everything synced.
    private func run(_ export: BundleExport) async throws -> BundleExport.Summary {
        let stop = StopRequest()
        return try await withThrowingTaskGroup(of: BundleExport.Summary?.self) { group in
            group.addTask {
                for await _ in await UnixSignalsSequence(trapping: .sigint, .sigterm) { stop.request() }
                return nil
            }
            group.addTask {
                try await blocking {
                    var bar = TerminalProgress("exporting")
                    defer { bar.finish() }
                    var random = SystemRandomNumberGenerator()
                    return try export.run(
                        nowUnixMilliseconds: Int64(Date().timeIntervalSince1970 * 1000), random: &random, isStopped: { stop.isRequested },
                        progress: { bar.update(completed: $0.syncedBytes, total: $0.totalBytes, detail: "\($0.syncedBytes / 1_000_000) MB on the stick") })
                }
            }
            defer { group.cancelAll() }
            while let ended = try await group.next() { if let ended { return ended } }
            throw CancellationError()
        }
    }

    private func target(_ folder: NodeFolder) throws -> FilePath {
        let path = FilePath(medium)
        let target = path.isAbsolute ? path.lexicallyNormalized() : FilePath(FileManager.default.currentDirectoryPath).appending(path.components).lexicallyNormalized()
        guard try folder.storage.size(target) != nil else { throw CommandError("there is no folder \(medium); mount the stick first") }
        if !isSameDisk, try MountPoint.areOnSameDisk(target, FilePath("/")) || MountPoint.areOnSameDisk(target, folder.root) {
            throw CommandError("\(medium) lies on this machine's own disk: is the stick mounted? To write there on purpose add --same-disk")
        }
        return target
    }

    private func source(_ reader: JournalReader) throws -> ReaderSource {
        let cameras = try camera.map { name in
            guard let id = CameraID(name) else { throw CommandError("'\(name)' is no camera; a camera is \(CameraID.expectation)") }
            return id
        }
        var times: [Int64?] = [nil, nil]
        if let range {
            let ends = range.components(separatedBy: "..")
            guard ends.count == 2 else { throw CommandError("--range takes FROM..TO, such as 2026-11-21T08:00:00Z..2026-11-21T10:00:00Z, not '\(range)'") }
            times = try ends.map { $0.isEmpty ? nil : try RangeOptions.milliseconds($0) }
        }
        return ReaderSource(reader: reader, fromUnixMilliseconds: times[0], toUnixMilliseconds: times[1], cameras: Set(cameras))
    }

    /// `64GB`, `500MB`, `1TB`, powers of ten; or bytes.
    static func bytes(_ text: String) throws -> Int64 {
        let units: [(String, Double)] = [("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("KB", 1e3), ("", 1)]
        let upper = text.uppercased()
        for (unit, factor) in units where upper.hasSuffix(unit) {
            guard let number = Double(upper.dropLast(unit.count)), number > 0, number * factor < 1e18 else { break }
            return Int64(number * factor)
        }
        throw CommandError("--budget takes a size such as 64GB or 500MB, not '\(text)'")
    }

    private func show(_ summary: BundleExport.Summary) throws {
        if json { return printLine(try fieldpost_edge.json(summary)) }
        if summary.removedBundles > 0 { printLine("removed \(summary.removedBundles) bundles that the hub has taken in") }
        switch summary.outcome {
        case .nothingNew:
            printLine(summary.segmentsOnMedium > 0 ? "all \(summary.segmentsOnMedium) segments that the hub lacks are on \(medium) already" : "the hub has all that is asked for; nothing was written")
        case .stopped:
            printLine("stopped: \(summary.segments) segments are whole on \(medium); run the same command again, it goes on where it stopped")
        case .complete:
            printLine("\(summary.segments) segments (\(summary.bytes) bytes) and \(summary.entries) log entries are on \(medium), in \(summary.folder ?? "")\(summary.isResumed ? ", which was gone on with" : "")")
            if summary.segmentsOnMedium > 0 { printLine("\(summary.segmentsOnMedium) segments were there already") }
        }
        if summary.segmentsLeft > 0 { printLine("no room for \(summary.segmentsLeft) segments (\(summary.bytesLeft) bytes): take another stick for them, or raise --budget") }
        for name in summary.unreadable { printLine("cannot be read, left out: \(name)") }
    }
}

/// Set by a signal, read between two records.
private final class StopRequest: Sendable {
    private let requested = Mutex(false)
    var isRequested: Bool { requested.withLock { $0 } }
    func request() { requested.withLock { $0 = true } }
}

/// The journal, beside a running recorder.
struct ReaderSource: BundleSource, Sendable {
    let reader: JournalReader
    let fromUnixMilliseconds: Int64?
    let toUnixMilliseconds: Int64?
    let cameras: Set<CameraID>
    private let current = CurrentFile()

    init(reader: JournalReader, fromUnixMilliseconds: Int64?, toUnixMilliseconds: Int64?, cameras: Set<CameraID>) {
        self.reader = reader
        self.fromUnixMilliseconds = fromUnixMilliseconds
        self.toUnixMilliseconds = toUnixMilliseconds
        self.cameras = cameras
    }

    private static let batchBytes = 1 << 20

    var node: NodeID { reader.node }
    var log: LogID { reader.log }
    func newestCheckpoint() throws -> SignedCheckpoint? { try reader.newestCheckpoint() }

    func forEachBatch(from start: UInt64, to size: UInt64, _ body: (EntryBatch) throws -> Void) throws {
        try reader.forEachBatch(from: start, to: size, limitBytes: Self.batchBytes) { try body(EntryBatch(start: $0.start, lines: $0.lines, checkpoint: $0.checkpoint)) }
    }

    func waiting() throws -> [SegmentWork] {
        try reader.waiting(fromUnixMilliseconds: fromUnixMilliseconds, toUnixMilliseconds: toUnixMilliseconds, cameras: cameras).map {
            SegmentWork(
                segment: $0.segment, sha256: $0.sha256, bytes: $0.bytes, logIndex: $0.logIndex,
                trafficClass: $0.hasEvent ? .event : TrafficClass(of: $0.segment.stream.kind))
        }
    }

    func read(_ work: SegmentWork, offset: Int64, count: Int) throws -> [UInt8] {
        try current.file(of: work.segment, open: { try reader.file(of: work.segment) }).read(at: offset, count: count)
    }
}
