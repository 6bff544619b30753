import Crypto
import EdgeSync
import EvidenceLog
import LogFixtures
import NodeIdentity
import RecordingModel
import Synchronization
import SyncProtocol

/// A node whose log and footage are in memory; its sync is the real one.
final class MemorySource: SyncSource {
    let identity: IdentityKey
    let log: LogID
    let sample: SampleLog
    let contents: [SegmentID: [UInt8]]
    private let keptPins = Mutex<[StreamHoldings]>([])
    var pins: [StreamHoldings] { keptPins.withLock { $0 } }
    private let kept = Mutex<(signed: SignedStatement, statement: HoldingsStatement)?>(nil)

    /// Promised hashes, where the file is another.
    let promised: [SegmentID: ContentHash]

    /// - Parameters:
    ///   - rotten: places of segments whose files differ from their entries
    ///   - sealEvery: a checkpoint after so many segments, besides the one at the end
    ///   - seed: another one makes another log of the same node
    init(segments: [[UInt8]], rotten: Set<Int> = [], sealEvery: Int = .max, identity: IdentityKey? = nil, seed: UInt8 = 1) throws {
        let identity = try identity ?? IdentityKey(commonName: "node")
        self.identity = identity
        var sample = try SampleLog(seed: seed, identity: P256.Signing.PrivateKey(pemRepresentation: identity.privateKeyPEM))
        var contents: [SegmentID: [UInt8]] = [:]
        var promised: [SegmentID: ContentHash] = [:]
        for (sequence, bytes) in segments.enumerated() {
            let record = try SegmentRecord.sample(sequence: UInt64(sequence), bytes: Int64(bytes.count), sha256: .sha256(bytes))
            try sample.append(.segment(record))
            contents[record.id] = rotten.contains(sequence) ? bytes.map { $0 ^ 0xFF } : bytes
            if rotten.contains(sequence) { promised[record.id] = record.sha256 }
            if (sequence + 1).isMultiple(of: sealEvery), sequence + 1 < segments.count { try sample.seal() }
        }
        try sample.seal()
        self.promised = promised
        self.sample = sample
        self.contents = contents
        log = sample.log
    }

    var statement: HoldingsStatement? { kept.withLock { $0?.statement } }
    var signedStatement: SignedStatement? { kept.withLock { $0?.signed } }
    var isCovered: Bool {
        guard let statement else { return false }
        let held = statement.heldByStream
        return statement.logSize == UInt64(sample.lines.count) && contents.keys.allSatisfy { held[$0.stream]?.contains($0.sequence) == true }
    }

    func logSize() async throws -> UInt64 { UInt64(sample.lines.count) }
    func checkpoint() async throws -> SignedCheckpoint { try sample.checkpoints.last.orThrow("a checkpoint") }
    func root(at size: UInt64) async throws -> ContentHash? {
        size <= UInt64(sample.lines.count) ? MerkleTree.root(of: sample.leaves[..<Int(size)]) : nil
    }
    func batch(from start: UInt64, plainBytes: Int) async throws -> EntryBatch? {
        guard let checkpoint = sample.checkpoints.first(where: { $0.checkpoint.size > start }) else { return nil }
        return EntryBatch(start: start, lines: Array(sample.lines[Int(start)..<Int(checkpoint.checkpoint.size)]), checkpoint: checkpoint)
    }
    func waiting(_ query: WorkQuery) async throws -> [SegmentWork] {
        let held = statement?.heldByStream ?? [:]
        return contents.keys.sorted().filter { held[$0.stream]?.contains($0.sequence) != true && !query.excluded.contains($0) && query.presumed[$0.stream]?.contains($0.sequence) != true }.prefix(query.limit)
            .map { SegmentWork(segment: $0, sha256: promised[$0] ?? .sha256(contents[$0] ?? []), bytes: Int64(contents[$0]?.count ?? 0), logIndex: $0.sequence + 1) }
    }
    func footage() async throws -> [(item: ReconcileItem, segment: SegmentID)] {
        try contents.keys.map { (ReconcileItem(startUnixMilliseconds: try SegmentRecord.sample(sequence: $0.sequence).startWall.unixMilliseconds, sha256: .sha256(contents[$0] ?? [])), $0) }
    }
    func read(_ work: SegmentWork, offset: Int64, count: Int) async throws -> [UInt8] {
        Array((contents[work.segment] ?? []).dropFirst(Int(offset)).prefix(count))
    }
    func holdings() async throws -> [StreamHoldings] { [] }
    func backlog() async throws -> Backlog { Backlog() }
    func status() async throws -> NodeStatus {
        NodeStatus(software: "test", bootID: "boot", uptimeMilliseconds: 1, clock: Moment.sample(milliseconds: 0).wall, disk: nil, cameras: [])
    }
    func keep(pins: [StreamHoldings]) async throws { keptPins.withLock { $0 = pins } }
    func keep(_ signed: SignedStatement, _ statement: HoldingsStatement) async throws { kept.withLock { $0 = (signed, statement) } }
}
