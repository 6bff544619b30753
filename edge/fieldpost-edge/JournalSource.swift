import Dispatch
import EdgeJournal
import EdgeSync
import EvidenceLog
import FoundationEssentials
import RecordingModel
import StorageIO
import Synchronization
import SyncProtocol

/// Gives sync what it needs of the journal. The journal blocks, so its calls run on a queue of their own.
struct JournalSource: SyncSource {
    let journal: Journal
    let clocks: any Clocks
    let site: String?
    private let reporter: SyncReporter?
    private let energy: NodeEnergy?
    private let queue = DispatchQueue(label: "fieldpost.sync.disk")
    private let current = CurrentFile()

    init(journal: Journal, clocks: any Clocks, site: String?, reporter: SyncReporter? = nil, energy: NodeEnergy? = nil) {
        self.energy = energy
        self.reporter = reporter
        self.journal = journal
        self.clocks = clocks
        self.site = site
    }

    private func run<Value: Sendable>(_ work: @escaping @Sendable (Journal) throws -> Value) async throws -> Value {
        let journal = journal
        return try await withCheckedThrowingContinuation { continuation in
            queue.async { continuation.resume(with: Result { try work(journal) }) }
        }
    }

    var log: LogID { journal.logID }

    func logSize() async throws -> UInt64 { try await run { $0.logSize } }
    func checkpoint() async throws -> SignedCheckpoint { try await run { try $0.checkpointNow() } }

    func root(at size: UInt64) async throws -> ContentHash? {
        try await run { journal in
            guard journal.logSize >= size else { return nil }
            return try journal.frontier(at: size)
        }
    }

    func batch(from start: UInt64, plainBytes: Int) async throws -> EntryBatch? {
        try await run { journal in
            _ = try journal.checkpointNow()
            return try journal.batch(from: start, limitBytes: min(plainBytes, EntryBatch.lineByteLimit)).map {
                EntryBatch(start: $0.start, lines: $0.lines, checkpoint: $0.checkpoint)
            }
        }
    }

    func waiting(_ query: WorkQuery) async throws -> [SegmentWork] {
        let kinds = Set(StreamKind.allCases.filter { query.classes.contains(TrafficClass(of: $0)) })
        return try await run { journal in
            try journal.waiting(
                pulled: query.classes.contains(.pulled) ? query.pulled.map { ($0.stream, $0.sequences) } : [], begun: query.begun, excluding: { query.excluded.contains($0) || query.presumed[$0.stream]?.contains($0.sequence) == true },
                events: query.classes.contains(.event), kinds: kinds, limit: query.limit
            ).map { waiting in
                let record = waiting.record
                return SegmentWork(
                    segment: record.id, sha256: record.sha256, bytes: record.bytes, logIndex: waiting.logIndex,
                    trafficClass: TrafficClass(of: record.stream.kind, isPulled: waiting.isPulled, hasEvent: waiting.hasEvent, among: query.classes))
            }
        }
    }

    func read(_ work: SegmentWork, offset: Int64, count: Int) async throws -> [UInt8] {
        let current = current
        return try await run { journal in
            try current.file(of: work.segment, open: { try journal.segmentFile(work.segment)?.file }).read(at: offset, count: count)
        }
    }

    func footage() async throws -> [(item: ReconcileItem, segment: SegmentID)] {
        try await run { journal in
            try journal.footage().map { (ReconcileItem(startUnixMilliseconds: $0.recordedUnixMilliseconds, sha256: $0.sha256), $0.segment) }
        }
    }

    func holdings() async throws -> [StreamHoldings] {
        try await run { journal in
            try journal.holdings().map { StreamHoldings(stream: $0.key, sequences: $0.value) }.sorted { $0.stream < $1.stream }
        }
    }

    func backlog() async throws -> Backlog { try await run { try $0.status().backlog } }

    func status() async throws -> NodeStatus {
        let now = clocks.now()
        let bootID = clocks.bootID
        let (site, reporter, energy) = (site, reporter, energy)
        return try await run { journal in
            let status = try journal.status()
            return NodeStatus(
                software: softwareVersion, site: site, bootID: bootID, uptimeMilliseconds: now.bootMilliseconds, clock: now.wall,
                disk: status.space.map { .init(totalBytes: $0.totalBytes, availableBytes: $0.availableBytes, problem: status.diskProblem) }, cameras: status.cameras,
                nextContactUnixMilliseconds: energy?.nextContactUnixMilliseconds(now), sync: reporter?.reportForHello(), power: energy?.report)
        }
    }

    func keep(pins: [StreamHoldings]) async throws {
        let now = clocks.now().wall.unixMilliseconds
        try await run { journal in
            try journal.setHubPins(pins.map { Pin(stream: $0.stream, sequences: $0.sequences, reason: "asked by the hub", setUnixMilliseconds: now) })
        }
    }

    func keep(_ signed: SignedStatement, _ statement: HoldingsStatement) async throws {
        try await run { journal in
            try journal.recordStatement(Array(json(signed).utf8), held: statement.heldByStream, logSize: statement.logSize)
        }
    }
}

/// The file being sent, so that it is opened once and not for every frame.
final class CurrentFile: Sendable {
    private let open = Mutex<(segment: SegmentID, file: any ReadingFile)?>(nil)

    func file(of segment: SegmentID, open makeFile: () throws -> (any ReadingFile)?) throws -> any ReadingFile {
        if let known = open.withLock({ $0 }), known.segment == segment { return known.file }
        guard let file = try makeFile() else { throw CommandError("the file of segment \(segment) is gone") }
        open.withLock { $0 = (segment, file) }
        return file
    }
}
