import Crypto
import EdgeJournal
import EvidenceLog
import FoundationEssentials
import Logging
import RecordingModel
import StorageIO
import Synchronization
import SystemPackage
import Testing

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Clocks that a test turns.
final class TestClocks: Clocks {
    private let state: Mutex<(boot: String, milliseconds: Int64, wall: Int64)>
    private let quality = Mutex((source: ClockSource.ntp, uncertainty: Int64(10)))
    init(boot: String = "boot-1") { state = Mutex((boot, 1_000, 1_700_000_000_000)) }

    var bootID: String { state.withLock { $0.boot } }
    func now() -> Moment {
        let quality = quality.withLock { $0 }
        return state.withLock {
            let wall = WallEstimate(unixMilliseconds: $0.wall, source: quality.source, uncertaintyMilliseconds: quality.uncertainty)
            return Moment(bootNanoseconds: $0.milliseconds * 1_000_000, wall: wall)
        }
    }
    /// The wall clock is set, by whoever.
    func set(_ source: ClockSource, uncertaintyMilliseconds: Int64, movedByMilliseconds offset: Int64 = 0) {
        quality.withLock { $0 = (source, uncertaintyMilliseconds) }
        state.withLock { $0.wall += offset }
    }
    /// Only the name of the boot; the clocks run on.
    func call(_ boot: String) { state.withLock { $0.boot = boot } }
    func advance(milliseconds: Int64) {
        state.withLock {
            $0.milliseconds += milliseconds
            $0.wall += milliseconds
        }
    }
    func reboot(as boot: String, afterMilliseconds: Int64) {
        state.withLock { $0 = (boot, 500, $0.wall + afterMilliseconds) }
    }
}

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
        // In memory where there is such a folder: what is tested is the order of the calls, not the disk.
        let parent = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp"
        var template = Array("\(parent)/fieldpost-journal-XXXXXX".utf8CString)
        let made = template.withUnsafeMutableBufferPointer { buffer in buffer.baseAddress.flatMap { mkdtemp($0) } != nil }
        try #require(made)
        directory = FilePath(String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)).appending("data")
    }

    deinit { Self.removeAll(directory.removingLastComponent()) }

    static func removeAll(_ path: FilePath) {
        if let names = try? RealStorage().list(path) { for name in names { removeAll(path.appending(name)) } }
        if unlink(path.string) != 0 { rmdir(path.string) }
    }

    var node: NodeID { NodeID(keyHash: .sha256(identity.publicKey.derRepresentation)) }
    static let gate = StreamID("gate/main")
    static let yard = StreamID("yard/proxy")

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

    func path(_ stream: StreamID, _ name: String) -> FilePath {
        directory.appending("segments").appending(stream.camera.description).appending(stream.kind.rawValue).appending(name)
    }

    /// The only folder below `log/` that holds a log.
    func logFolder() throws -> FilePath {
        directory.appending("log").appending(try reader.log.description)
    }

    /// Writes a segment file and its side file as capture leaves them: whole and synced under the open name.
    func write(_ stream: StreamID, _ sequence: UInt64, run: UInt64 = 0, fragments: Int = 3, through storage: any StorageIO = RealStorage(), at moment: Moment? = nil) throws -> ClosedSegment {
        let folder = path(stream, "").string
        try storage.makeDirectory(FilePath(folder))
        let start = moment ?? clocks.now()
        let header = Array("init of \(stream)".utf8)
        let sideHeader = SideHeader(
            run: run, bootID: clocks.bootID, startBootMilliseconds: start.bootMilliseconds, startWall: start.wall, initBytes: Int64(header.count),
            initSHA256: .sha256(header), codecs: "avc1.42c01e", widthPixels: 640, heightPixels: 360, mediaStartTicks90k: 0, configVersion: "c1")
        var content = header
        var records: [FragmentRecord] = []
        for fragment in 0..<fragments {
            let bytes = Array("fragment \(fragment) of \(stream) \(sequence) ".utf8) + [UInt8](repeating: UInt8(fragment), count: 100)
            records.append(FragmentRecord(
                offset: Int64(content.count), length: Int64(bytes.count), sha256: .sha256(bytes), durationTicks90k: 180_000, frames: 30))
            content += bytes
        }
        let openPath = path(stream, SegmentFiles.openName(sequence))
        let sidePath = path(stream, SegmentFiles.sideName(sequence))
        let side = Array(try JSONEncoder().encode(sideHeader)) + [10] + records.flatMap(\.encoded)
        for (path, bytes) in [(sidePath, side), (openPath, content)] {
            let file = try storage.openForAppending(path)
            try file.append(bytes)
            try file.sync()
            try file.close()
        }
        try storage.syncDirectory(FilePath(folder))
        let duration = Int64(fragments) * 2_000
        return ClosedSegment(
            record: SegmentRecord(
                stream: stream, sequence: sequence, run: run, bootID: clocks.bootID, startBootMilliseconds: start.bootMilliseconds,
                endBootMilliseconds: start.bootMilliseconds + duration, startWall: start.wall, bytes: Int64(content.count), sha256: .sha256(content),
                fragmentRoot: MerkleTree.root(ofLeafData: records.map(\.sha256.bytes)), fragmentCount: fragments, initBytes: Int64(header.count),
                initSHA256: .sha256(header), codecs: "avc1.42c01e", widthPixels: 640, heightPixels: 360, mediaStartTicks90k: 0,
                mediaDurationTicks90k: Int64(fragments) * 180_000, frames: 30 * fragments, drops: 0, end: .length, configVersion: "c1"),
            openPath: openPath.string, sidePath: sidePath.string)
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
