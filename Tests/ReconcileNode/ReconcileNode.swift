import Crypto
import EdgeSync
import EvidenceLog
import FoundationEssentials
import GRDB
import HubStore
import Logging
import LogFixtures
import NodeIdentity
import RecordingModel
import StorageIO
import SyncProtocol
import SystemPackage

/// A node with a long log for deploy/bench reconcile: real sync over real TLS, with footage that exists only as entries. Reads lines:
///
///     join HOST TOKEN              joins; prints nothing of the token
///     fill DIRECTORY BATCHES HOLES puts the log's first batches into a stopped hub's store, all held but for so many at random
///     new-log                      the same footage under another log
///     forget                       forgets what the hub said
///     new COUNT BYTES              records so many segments more, whose bytes are really there
///     connect                      a connection with its handshake, on which nothing is said
///     contact                      one contact, which ends before anything is sent but words and what is new
///
/// and answers each with a line of JSON. `ReconcileNode SEGMENTS` makes four cameras with a segment a minute.
@main
struct ReconcileNode {
    static func main() async throws {
        guard CommandLine.arguments.count == 2, let segments = Int(CommandLine.arguments[1]) else { throw Failure("usage: ReconcileNode SEGMENTS") }
        let node = try Node(segments: segments)
        say(["ready": "\(segments)"])
        while let line = readLine() {
            let words = line.split(separator: " ").map(String.init)
            do {
                switch words.first {
                case "join": try await node.join(words[1])
                case "fill": try node.fill(FilePath(words[1]), batches: Int(words[2]) ?? 0, holes: Int(words[3]) ?? 0)
                case "new-log": try node.beginLog(seed: 2)
                case "forget": try node.forget()
                case "new": try node.source.record(count: Int(words[1]) ?? 0, bytes: Int(words[2]) ?? 0)
                case "connect": try await node.connect()
                case "contact": try await node.contact()
                default: throw Failure("unknown: \(line)")
                }
                say(["done": words[0], "ended": node.lastEnd, "log": "\(node.source.sample.lines.count)"])
            } catch {
                say(["failed": "\(error)"])
            }
        }
    }

    static func say(_ fields: [String: String]) {
        guard let bytes = try? JSONEncoder().encode(fields) else { return }
        _ = try? FileDescriptor.standardOutput.writeAll(Array(bytes) + [UInt8(ascii: "\n")])
    }
}

struct Failure: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

/// The contact has said all that is to be measured.
struct Enough: Error {}

final class Node {
    private let segments: Int
    private let identity: IdentityKey
    private(set) var source: Source
    private var endpoint: HubEndpoint?
    private var service: SyncService?
    private(set) var lastEnd = ""

    init(segments: Int) throws {
        self.segments = segments
        identity = try IdentityKey(commonName: "node")
        source = try Source(segments: segments, identity: identity, seed: 1)
    }

    func join(_ token: String) async throws { endpoint = try await enrol(with: JoinToken(line: token).orThrow("a token"), identity: identity) }

    func beginLog(seed: UInt8) throws {
        source = try Source(segments: segments, identity: identity, seed: seed)
        try forget()
    }

    func forget() throws { service = nil }

    func connect() async throws {
        guard let endpoint else { throw Failure("join first") }
        try await HubConnection.with(host: endpoint.host, port: endpoint.port, pin: endpoint.hub.keyHash, identity: identity, timeouts: SyncTimeouts()) { _ in
            // Nothing tells when the peer's last word of a handshake is here.
            try await Task.sleep(for: .seconds(2))
        }
    }

    func contact() async throws {
        guard let endpoint else { throw Failure("join first") }
        let start = ContinuousClock.now
        let now = { @Sendable in Int64((ContinuousClock.now - start) / .milliseconds(1)) }
        let service = try self.service ?? SyncService(
            endpoint: endpoint, identity: identity, source: source, sessions: SessionCounter(startingAt: UInt64(Date().timeIntervalSince1970 * 1000)),
            statement: source.kept, changes: { AsyncStream(unfolding: { nil }) }, nowMilliseconds: now, logger: Logger(label: "node") { _ in SwiftLogNoOpLogHandler() })
        self.service = service
        do {
            try await service.syncOnce()
            lastEnd = "settled"
        } catch is Enough {
            lastEnd = "enough"
        } catch {
            // The contact wraps what its source throws.
            lastEnd = "\(error)".contains("Enough") ? "enough" : "\(error)"
        }
    }

    /// What a hub would have after so many batches, without the bytes of the footage: nothing of this bench asks for them.
    func fill(_ directory: FilePath, batches: Int, holes: Int) throws {
        guard let signer = NoteSigner(name: "bench", algorithm: .cosignature) else { return }
        let store = try HubStore(dataDirectory: directory, hub: HubID(keyHash: .sha256([])), signer: signer, generation: 1, storage: RealStorage(), logger: Logger(label: "fill"))
        let (node, log) = (identity.nodeID, source.log)
        try store.catalogue.write { db in
            for table in ["logs", "segments", "cameras"] { try db.execute(sql: "DELETE FROM \(table) WHERE node = ?", arguments: [node.description]) }
            try db.execute(
                sql: "INSERT INTO logs (node, log, verifier, entry_bytes, checkpoint_bytes, catalogued) VALUES (?, ?, ?, 0, 0, 1)",
                arguments: [node.description, log.description, String(decoding: MessageCoding.json(LogVerifier(node: node, log: log)), as: UTF8.self)])
        }
        var verifier = LogVerifier(node: node, log: log)
        for index in source.sample.batches.indices.prefix(batches) {
            let (lines, start, checkpoint) = source.sample.batch(index)
            let entries = try verifier.append(lines, from: start, leadingTo: checkpoint)
            try store.storeEntries(EntryBatch(start: start, lines: lines, checkpoint: checkpoint), entries: entries, verifier: verifier, nowUnixMilliseconds: 0)
        }
        try store.catalogue.write { db in
            try db.execute(sql: "UPDATE segments SET held = 1 WHERE node = ?", arguments: [node.description])
            var numbers = SeededNumbers(seed: 3)
            for _ in 0..<holes {
                let segment = source.segment(Int.random(in: 0..<segments, using: &numbers))
                try db.execute(
                    sql: "UPDATE segments SET held = 0 WHERE node = ? AND camera = ? AND sequence = ?",
                    arguments: [node.description, segment.stream.camera.description, Int64(segment.sequence)])
            }
            try db.execute(sql: "UPDATE nodes SET held_segments = ? WHERE id = ?", arguments: [segments - holes, node.description])
        }
    }
}

/// A journal of one segment a minute and camera, all of it at hand but for the bytes.
final class Source: SyncSource, @unchecked Sendable {
    // Sendable because one contact at a time uses it.
    static let cameras = 4
    static let batchEntries = 5_760
    private(set) var sample: SampleLog
    let log: LogID
    /// Footage whose bytes are here, in the order of the log.
    private var fresh: [(work: SegmentWork, content: [UInt8])] = []
    private(set) var kept: SignedStatement?
    private var held: [StreamID: SequenceRanges] = [:]
    private let streams: [StreamID]
    private let segments: Int

    init(segments: Int, identity: IdentityKey, seed: UInt8) throws {
        self.segments = segments
        streams = try (0..<Self.cameras).map { try StreamID("camera\($0)/main").orThrow("a stream") }
        var sample = try SampleLog(seed: seed, identity: P256.Signing.PrivateKey(pemRepresentation: identity.privateKeyPEM))
        for number in 0..<segments {
            var record = try SegmentRecord.sample(sequence: UInt64(number / Self.cameras), bytes: 2_000_000, sha256: .sha256(Array("\(number)".utf8)))
            record.stream = streams[number % Self.cameras]
            record.startWall.unixMilliseconds += Int64(record.sequence) * 60_000
            try sample.append(.segment(record))
            if number % Self.batchEntries == Self.batchEntries - 1, number < segments - 1 { try sample.seal() }
        }
        try sample.seal()
        self.sample = sample
        log = sample.log
    }

    /// Noise, so that nothing on the way makes it smaller.
    func record(count: Int, bytes: Int) throws {
        var noise = SeededNumbers(seed: UInt64(fresh.count + 1))
        for _ in 0..<count {
            let number = segments + fresh.count
            let content = (0..<bytes).map { _ in UInt8.random(in: 0...255, using: &noise) }
            var record = try SegmentRecord.sample(sequence: UInt64(number / Self.cameras), bytes: Int64(bytes), sha256: .sha256(content))
            record.stream = streams[number % Self.cameras]
            record.startWall.unixMilliseconds += Int64(record.sequence) * 60_000
            let work = SegmentWork(segment: segment(number), sha256: record.sha256, bytes: Int64(bytes), logIndex: UInt64(sample.lines.count))
            try sample.append(.segment(record))
            fresh.append((work, content))
        }
        try sample.seal()
    }

    func segment(_ number: Int) -> SegmentID { SegmentID(stream: streams[number % Self.cameras], sequence: UInt64(number / Self.cameras)) }

    func logSize() async throws -> UInt64 { UInt64(sample.lines.count) }
    func checkpoint() async throws -> SignedCheckpoint { try sample.checkpoints.last.orThrow("a checkpoint") }
    func root(at size: UInt64) async throws -> ContentHash? {
        size == 0 ? MerkleTree.emptyRoot : sample.checkpoints.first { $0.checkpoint.size == size }?.checkpoint.root
    }
    func batch(from start: UInt64, plainBytes: Int) async throws -> EntryBatch? {
        // What the hub lacks of the long log is not to be sent here: to have said so is all that is measured.
        guard let first = fresh.first, start >= first.work.logIndex, let index = sample.batches.firstIndex(where: { $0.lowerBound == Int(start) }) else { throw Enough() }
        let (lines, start, checkpoint) = sample.batch(index)
        return EntryBatch(start: start, lines: lines, checkpoint: checkpoint)
    }
    func waiting(_ query: WorkQuery) async throws -> [SegmentWork] {
        for number in 0..<segments where held[streams[number % Self.cameras]]?.contains(UInt64(number / Self.cameras)) != true { throw Enough() }
        return fresh.map(\.work).filter { held[$0.segment.stream]?.contains($0.segment.sequence) != true && !query.excluded.contains($0.segment) }
    }
    func footage() async throws -> [(item: ReconcileItem, segment: SegmentID)] {
        (0..<segments).map { number in
            let start = Moment.sample(milliseconds: 0).wall.unixMilliseconds + Int64(number / Self.cameras) * 60_000
            return (ReconcileItem(startUnixMilliseconds: start, sha256: .sha256(Array("\(number)".utf8))), segment(number))
        }
    }
    func read(_ work: SegmentWork, offset: Int64, count: Int) async throws -> [UInt8] {
        guard let content = fresh.first(where: { $0.work.segment == work.segment })?.content else { throw Enough() }
        return Array(content[Int(offset)..<Int(offset) + count])
    }
    func holdings() async throws -> [StreamHoldings] {
        streams.enumerated().map { camera, stream in
            let count = (segments + fresh.count + Self.cameras - 1 - camera) / Self.cameras
            return StreamHoldings(stream: stream, sequences: SequenceRanges(closed: 0...UInt64(count - 1)))
        }
    }
    func backlog() async throws -> Backlog { Backlog() }
    func status() async throws -> NodeStatus {
        let now = Int64(Date().timeIntervalSince1970 * 1000)
        return NodeStatus(
            software: "0.1.0", site: "Pass 7", bootID: "5f8e6c1e-7a35-4d0f-9a53-6f4a0c8a5b11", uptimeMilliseconds: now % 1_000_000_000,
            clock: WallEstimate(unixMilliseconds: now, source: .ntp, uncertaintyMilliseconds: 12), disk: .init(totalBytes: 512_000_000_000, availableBytes: 80_000_000_000 + now % 1_000_000),
            cameras: streams.map { CameraHealth(camera: $0.camera, state: .recording, sinceBootMilliseconds: 81_233, packets: UInt64(now % 10_000_000), bytes: UInt64(now % 1_000_000_000_000), connects: 1) })
    }
    func keep(pins: [StreamHoldings]) async throws {}
    func keep(_ signed: SignedStatement, _ statement: HoldingsStatement) async throws {
        kept = signed
        held = statement.heldByStream
    }
}
