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
    private let kept = Mutex<HoldingsStatement?>(nil)

    init(segments: [[UInt8]]) throws {
        identity = try IdentityKey(commonName: "node")
        var sample = try SampleLog(identity: P256.Signing.PrivateKey(pemRepresentation: identity.privateKeyPEM))
        var contents: [SegmentID: [UInt8]] = [:]
        for (sequence, bytes) in segments.enumerated() {
            let record = try SegmentRecord.sample(sequence: UInt64(sequence), bytes: Int64(bytes.count), sha256: .sha256(bytes))
            try sample.append(.segment(record))
            contents[record.id] = bytes
        }
        try sample.seal()
        self.sample = sample
        self.contents = contents
        log = sample.log
    }

    var statement: HoldingsStatement? { kept.withLock { $0 } }
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
    func waiting(begun: [SegmentID], excluding excluded: Set<SegmentID>, limit: Int) async throws -> [SegmentWork] {
        let held = statement?.heldByStream ?? [:]
        return contents.keys.sorted().filter { held[$0.stream]?.contains($0.sequence) != true && !excluded.contains($0) }.prefix(limit)
            .map { SegmentWork(segment: $0, sha256: .sha256(contents[$0] ?? []), bytes: Int64(contents[$0]?.count ?? 0), logIndex: $0.sequence + 1) }
    }
    func read(_ work: SegmentWork, offset: Int64, count: Int) async throws -> [UInt8] {
        Array((contents[work.segment] ?? []).dropFirst(Int(offset)).prefix(count))
    }
    func holdings() async throws -> [StreamHoldings] { [] }
    func backlog() async throws -> Backlog { Backlog() }
    func status() async throws -> NodeStatus {
        NodeStatus(software: "test", bootID: "boot", uptimeMilliseconds: 1, clock: Moment.sample(milliseconds: 0).wall, disk: nil, cameras: [])
    }
    func keep(_ signed: SignedStatement, _ statement: HoldingsStatement) async throws { kept.withLock { $0 = statement } }
}
