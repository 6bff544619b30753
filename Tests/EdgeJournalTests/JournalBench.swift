import Crypto
import EdgeJournal
import EvidenceLog
import JournalFixtures
import Logging
import RecordingModel
import StorageIO
import SystemPackage
import Testing

struct SeededGenerator: RandomNumberGenerator, Sendable {
    var state: UInt64
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}

/// A data directory of its own in the temporary folder, a node's identity, and hands to write segments as capture does.
final class JournalBench {
    let directory: FilePath
    let identity = P256.Signing.PrivateKey()
    let clocks = TestClocks()
    var seed: UInt64 = 1

    init() throws {
        directory = try makeScratch("journal").appending("data")
    }

    deinit { removeAll(directory.removingLastComponent()) }

    var node: NodeID { NodeID(keyHash: .sha256(identity.publicKey.derRepresentation)) }
    static let gate = StreamID("gate/main")
    static let yard = StreamID("yard/main")

    func open(
        _ storage: any StorageIO = RealStorage(), node: NodeID? = nil, cameras: [String] = ["gate", "yard"], rotation: Int64 = 3_600_000,
        limits: StorageLimits = StorageLimits()
    ) throws -> Journal {
        seed += 1
        let identity = identity
        return try Journal(
            options: Journal.Options(
                dataDirectory: directory, node: node ?? self.node, software: "test 1", configVersion: "c1", cameras: cameras.compactMap { CameraID($0) },
                keyRotationMilliseconds: rotation, limits: limits),
            storage: storage, clocks: clocks, randomness: SeededGenerator(state: seed),
            attest: { key in
                KeyRecord.Attestation(
                    identityKey: identity.publicKey.derRepresentation,
                    signature: try identity.signature(for: KeyRecord.attestedBytes(key: key)).derRepresentation)
            }, logger: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() }))
    }

    var reader: JournalReader { get throws { try JournalReader(dataDirectory: directory) } }

    func path(_ stream: StreamID, _ name: String) -> FilePath { SegmentWriter(directory: directory, clocks: clocks).path(stream, name) }

    /// The only folder below `log/` that holds a log.
    func logFolder() throws -> FilePath {
        directory.appending("log").appending(try reader.log.description)
    }

    /// See `SegmentWriter.write`.
    func write(_ stream: StreamID, _ sequence: UInt64, run: UInt64 = 0, fragments: Int = 3, through storage: any StorageIO = RealStorage(), at moment: Moment? = nil) throws -> ClosedSegment {
        try SegmentWriter(directory: directory, clocks: clocks).write(stream, sequence, run: run, fragments: fragments, through: storage, at: moment)
    }

    /// Records one segment: written, time passed, delivered.
    @discardableResult
    func record(_ journal: Journal, _ stream: StreamID?, run: UInt64? = nil, through storage: any StorageIO = RealStorage()) throws -> SegmentRecord {
        let stream = try #require(stream)
        let closed = try write(stream, journal.nextSequence(for: stream), run: run ?? 0, through: storage)
        clocks.advance(milliseconds: closed.record.durationMilliseconds)
        try journal.deliver(closed)
        return closed.record
    }

    func gap(_ stream: StreamID?, milliseconds: Int64, _ cause: GapCause = .cameraSilent) throws -> GapRecord {
        let start = clocks.now()
        clocks.advance(milliseconds: milliseconds)
        return GapRecord(
            stream: try #require(stream), bootID: clocks.bootID, startBootMilliseconds: start.bootMilliseconds, startWall: start.wall,
            durationMilliseconds: milliseconds, cause: cause, detail: "no packets")
    }

    /// All entries, as a hub that follows from the beginning would accept them.
    func followed(_ journal: Journal, limitBytes: Int = 1 << 20) throws -> [LogEntry] {
        var verifier = LogVerifier(node: node, log: journal.logID)
        var entries: [LogEntry] = []
        while let batch = try journal.batch(from: verifier.size, limitBytes: limitBytes) {
            entries += try verifier.append(batch.lines, from: batch.start, leadingTo: batch.checkpoint)
        }
        return entries
    }

    /// Lines as they lie on disk.
    func storedLines() throws -> [[UInt8]] {
        try RealStorage().list(logFolder()).filter { LogFolder.firstIndex(ofEntryFile: $0) != nil }.flatMap {
            LogFolder.lines(in: try RealStorage().read(try logFolder().appending($0))).lines
        }
    }
}

extension LogEntry {
    var segment: SegmentRecord? { if case .segment(let record) = body { record } else { nil } }
    var gap: GapRecord? { if case .gap(let record) = body { record } else { nil } }
    var recovered: RecoveredRecord? { if case .recovered(let record) = body { record } else { nil } }
}
