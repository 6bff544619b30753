import EdgeCourier
import EvidenceLog
import Foundation
import HubIngest
import HubStore
import LogFixtures
import Logging
import NodeIdentity
import RecordingModel
import StorageIO
import SyncProtocol
import SystemPackage
import TestSupport

/// A node in memory and a hub on disk, with a folder for the medium between them.
struct Courier {
    let source: MemorySource
    let stick: TemporaryDirectory
    let hubFolder: TemporaryDirectory
    let signer: NoteSigner
    static let hub = HubID(keyHash: .sha256([1]))
    static let now: Int64 = 1_700_000_500_000

    init(segments: [[UInt8]], hub other: Courier? = nil) throws {
        source = try MemorySource(segments: segments)
        stick = try TemporaryDirectory("stick")
        hubFolder = try other?.hubFolder ?? TemporaryDirectory("hub")
        signer = try other?.signer ?? NoteSigner(name: "fieldpost.hub/test", algorithm: .cosignature).orThrow("a signer")
    }

    /// - Parameter joining: whether the node has joined.
    func store(joining isJoined: Bool = true, folder: String? = nil) throws -> HubStore {
        let store = try HubStore(
            dataDirectory: FilePath(folder ?? hubFolder.path), hub: Self.hub, signer: signer, generation: 1, storage: RealStorage(),
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        if isJoined, try store.nodeState(source.node) == nil {
            let secret = ContentHash.sha256(source.node.keyHash.bytes)
            try store.addJoinToken(secretHash: secret, name: "node \(source.node.description.prefix(6))", expiresUnixSeconds: Self.now / 1000 + 600)
            guard case .enrolled = try store.enrol(source.node, secretHash: secret, nowUnixMilliseconds: Self.now) else { throw FixtureError(what: "joining") }
        }
        return store
    }

    func export(
        to path: String? = nil, source other: (any BundleSource)? = nil, storage: any StorageIO = RealStorage(), statement: HoldingsStatement? = nil, seed: UInt64 = 1,
        options: BundleExport.Options = Self.options(), isStopped: () -> Bool = { false }
    ) throws -> BundleExport.Summary {
        var random = SeededNumbers(seed: seed)
        return try BundleExport(
            medium: FilePath(path ?? stick.path), storage: storage, source: other ?? source, hub: Self.hub, statement: statement, options: options
        ).run(nowUnixMilliseconds: Self.now + Int64(seed), random: &random, isStopped: isStopped)
    }

    /// Small files and records, so that little footage fills several of them.
    static func options(fileBytes: Int64 = 4_000, recordBytes: Int = 700) -> BundleExport.Options {
        var options = BundleExport.Options()
        (options.fileBytes, options.recordBytes, options.syncEveryBytes) = (fileBytes, recordBytes, 1_500)
        return options
    }

    func sink(_ store: HubStore) -> BundleIntake {
        BundleIntake(writer: IngestWriter(store: store), nowUnixMilliseconds: { Self.now }, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    }

    @discardableResult
    func importStick(_ store: HubStore, from path: String? = nil, through sink: (any BundleSink)? = nil) async throws -> BundleImport {
        var work = try BundleImport(medium: FilePath(path ?? stick.path), storage: RealStorage(), sink: sink ?? self.sink(store))
        try await work.run()
        return work
    }

    func statement(_ store: HubStore) throws -> HoldingsStatement {
        try store.statement(for: source.node, log: source.log, nowUnixMilliseconds: Self.now).verified(by: store.hubKey).orThrow("a statement")
    }

    /// Sequences that the hub says it holds; each is compared byte for byte with the footage.
    func heldAndTrue(_ store: HubStore, folder: String? = nil) throws -> Set<UInt64> {
        guard try store.hasLog(source.node, source.log) else { return [] }
        let held = try statement(store).heldByStream
        var sequences: Set<UInt64> = []
        for (segment, bytes) in source.contents where held[segment.stream]?.contains(segment.sequence) == true {
            let name = ContentHash.sha256(bytes).hex
            let path = (folder ?? hubFolder.path) + "/blobs/\(name.prefix(2))/\(name)"
            guard FileManager.default.contents(atPath: path).map(Array.init) == bytes else { throw FixtureError(what: "the hub claims \(segment) and has other bytes") }
            sequences.insert(segment.sequence)
        }
        return sequences
    }

    var bundleFiles: [String] { files(under: stick.path).filter { $0.hasSuffix(".FPB") }.sorted() }

    static func footage(_ count: Int, bytes: Int = 2_000, seed: UInt64 = 7) -> [[UInt8]] {
        var random = SeededNumbers(seed: seed)
        return (0..<count).map { number in (0..<(bytes + number)).map { _ in UInt8.random(in: .min ... .max, using: &random) } }
    }
}

extension MemorySource: BundleSource {
    var node: NodeID { identity.nodeID }
    func newestCheckpoint() throws -> SignedCheckpoint? { sample.checkpoints.last }

    func forEachBatch(from start: UInt64, to size: UInt64, _ body: (EntryBatch) throws -> Void) throws {
        var first = Int(start)
        for checkpoint in sample.checkpoints where checkpoint.checkpoint.size > start && checkpoint.checkpoint.size <= size {
            let end = Int(checkpoint.checkpoint.size)
            try body(EntryBatch(start: UInt64(first), lines: Array(sample.lines[first..<end]), checkpoint: checkpoint))
            first = end
        }
    }

    func waiting() throws -> [SegmentWork] {
        let held = statement?.heldByStream ?? [:]
        return contents.keys.sorted().filter { held[$0.stream]?.contains($0.sequence) != true }
            .map { SegmentWork(segment: $0, sha256: .sha256(contents[$0] ?? []), bytes: Int64(contents[$0]?.count ?? 0), logIndex: $0.sequence + 1) }
    }

    func read(_ work: SegmentWork, offset: Int64, count: Int) throws -> [UInt8] { Array((contents[work.segment] ?? []).dropFirst(Int(offset)).prefix(count)) }
}
