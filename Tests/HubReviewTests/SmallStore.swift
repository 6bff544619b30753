import Crypto
import EvidenceLog
import Foundation
import GRDB
@testable import HubReview
import HubStore
import Hummingbird
import HummingbirdTesting
import Logging
import RecordingModel
import StorageIO
import Synchronization

/// One node with one camera: three segments of two runs, a gap with its cause, and one segment still on the node.
struct SmallStore: ReviewStore {
    static let day: Int64 = 1_795_219_200_000  // 2026-11-21
    static let now = day + 12 * 3_600_000

    let hub = HubID(keyHash: .sha256([7]))
    let hubKey: NoteKey
    let node: NodeID
    let camera: CameraID
    var name = "north <b>gate</b>"
    var contents: [ContentHash: [UInt8]] = [:]
    var records: [SegmentRecord] = []
    /// Objects of thumbnails.
    var packs: [SegmentRecord] = []
    /// Answered instead of the usual one.
    var otherTimeline: CameraTimeline?
    var otherSync: [NodeSyncStatus]?
    let asked = Requests()
    /// What was asked for.
    final class Requests: Sendable {
        let all = Mutex<[FootageRequest]>([])
    }

    init() throws {
        hubKey = try must(NoteSigner(name: "hub.example", algorithm: .cosignature)).verifier
        node = try must(NodeID(String(repeating: "ab", count: 32)))
        camera = try must(CameraID("yard"))
        for (sequence, run, start) in [(0, 0, Int64(0)), (1, 0, 60_004), (2, 1, 300_000)] as [(UInt64, UInt64, Int64)] {
            let bytes = (0..<5_000).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ Int(sequence)) }
            let hash = ContentHash.sha256(bytes)
            contents[hash] = bytes
            records.append(record(sequence, run: run, start: start, hash: hash, media: sequence == 1 ? 60 * 90_000 : 0))
        }
    }

    private func record(_ sequence: UInt64, run: UInt64, start: Int64, hash: ContentHash, media: Int64) -> SegmentRecord {
        SegmentRecord(
            stream: StreamID(camera: camera, kind: .main), sequence: sequence, run: run, bootID: "boot", startBootMilliseconds: start,
            endBootMilliseconds: start + 60_000, startWall: WallEstimate(unixMilliseconds: Self.day + 3_600_000 + start, source: .ntp, uncertaintyMilliseconds: 5),
            bytes: 5_000, sha256: hash, fragmentRoot: hash, fragmentCount: 30, initBytes: 1_000, initSHA256: .sha256([1]), codecs: "avc1.42c01e,mp4a.40.2",
            widthPixels: 640, heightPixels: 360, mediaStartTicks90k: media, mediaDurationTicks90k: 60 * 90_000, frames: 1_500, drops: 0, end: .length,
            configVersion: "c")
    }

    func nodeSummaries() async throws -> [NodeSummary] { try await nodeSummary(node).map { [$0] } ?? [] }

    func nodeSummary(_ node: NodeID) async throws -> NodeSummary? {
        guard node == self.node else { return nil }
        return NodeSummary(
            node: node, name: name, state: .active, lastContactUnixMilliseconds: Self.now - 5_000, status: nil, clockOffsetMilliseconds: -12, logSize: 9,
            onlyOnNode: Backlog(segments: 1, bytes: 38_200_000, durationMilliseconds: 5_400_000), onHub: Backlog(),
            cameras: [.init(camera: camera, newestUnixMilliseconds: Self.now - 60_000, newestOnHubUnixMilliseconds: nil, health: nil)])
    }

    func timeline(node: NodeID, camera: CameraID, from: Int64, to: Int64, nowUnixMilliseconds: Int64) async throws -> CameraTimeline? {
        guard node == self.node, camera == self.camera else { return nil }
        if let otherTimeline { return otherTimeline }
        let held = records.filter { $0.startUnixMilliseconds < to && $0.endUnixMilliseconds > from }
        let start = Self.day + 3_600_000
        let spans = held.map { TimelineSpan(startUnixMilliseconds: $0.startUnixMilliseconds, endUnixMilliseconds: $0.endUnixMilliseconds, state: .onHub) } + [
            TimelineSpan(
                startUnixMilliseconds: start + 120_004, endUnixMilliseconds: start + 240_000, state: .notRecorded, cause: .powerCut, detail: "<i>dark</i>"),
            TimelineSpan(startUnixMilliseconds: start + 240_000, endUnixMilliseconds: start + 300_000, state: .onlyOnNode),
        ]
        return CameraTimeline(
            asOfUnixMilliseconds: nowUnixMilliseconds, node: node, camera: camera, startUnixMilliseconds: from, endUnixMilliseconds: to,
            spans: Timeline.tile(spans, from: from, to: to), segments: held.map { PlayableSegment(record: $0, logIndex: $0.sequence) })
    }

    func thumbnailObjects(node: NodeID, camera: CameraID, within window: Range<Int64>) async throws -> [PlayableSegment] {
        guard node == self.node, camera == self.camera else { return [] }
        return packs.filter { $0.startUnixMilliseconds < window.upperBound && $0.endUnixMilliseconds > window.lowerBound }.map { PlayableSegment(record: $0, logIndex: 0) }
    }

    func segment(_ hash: ContentHash, node: NodeID, camera: CameraID, kinds: Set<StreamKind>, within window: Range<Int64>?) async throws -> PlayableSegment? {
        guard node == self.node, camera == self.camera else { return nil }
        return (records + packs).first { record in
            record.sha256 == hash && kinds.contains(record.stream.kind) && window.map { record.startUnixMilliseconds < $0.upperBound && record.endUnixMilliseconds > $0.lowerBound } ?? true
        }.map { PlayableSegment(record: $0, logIndex: $0.sequence) }
    }

    func addRequest(_ new: NewFootageRequest, node: NodeID, user: String, nowUnixMilliseconds now: Int64) async throws -> FootageRequest {
        guard node == self.node else { throw HubStore.RequestFault.unknownNode }
        guard new.camera == camera else { throw HubStore.RequestFault.unknownCamera }
        guard new.endUnixMilliseconds > new.startUnixMilliseconds else { throw HubStore.RequestFault.emptyRange }
        return asked.all.withLock { all in
            let request = FootageRequest(
                id: Int64(all.count + 1), kind: new.kind, node: node, nodeName: name, camera: new.camera, stream: new.stream, startUnixMilliseconds: new.startUnixMilliseconds,
                endUnixMilliseconds: new.endUnixMilliseconds, user: user, reason: new.reason ?? "", createdUnixMilliseconds: now, state: .open,
                progress: .init(segments: 3, segmentsOnHub: 1, segmentsLost: 1, waitingBytes: 38_200_000, isReported: true))
            all.append(request)
            return request
        }
    }

    func withdrawRequest(_ id: Int64, user: String, nowUnixMilliseconds now: Int64) async throws -> FootageRequest {
        try asked.all.withLock { all in
            guard let index = all.firstIndex(where: { $0.id == id }) else { throw HubStore.RequestFault.unknown }
            guard all[index].state == .open else { throw HubStore.RequestFault.notOpen }
            (all[index].state, all[index].endedUnixMilliseconds, all[index].endedBy) = (.withdrawn, now, user)
            return all[index]
        }
    }

    func request(_ id: Int64) async throws -> FootageRequest? { asked.all.withLock { $0.first { $0.id == id } } }

    func requests(node: NodeID?, camera: CameraID?, withEnded: Bool) async throws -> [FootageRequest] {
        asked.all.withLock { $0.filter { (node == nil || $0.node == node) && (withEnded || $0.state == .open) } }
    }

    var powers: [PowerChange] = []
    func powerChanges(of node: NodeID, limit: Int) async throws -> [PowerChange] { Array(powers.prefix(limit)) }
    func syncStatuses(of node: NodeID?, nowUnixMilliseconds now: Int64) async throws -> [NodeSyncStatus] {
        if let otherSync { return otherSync.filter { node == nil || $0.node == node } }
        guard node == nil || node == self.node else { return [] }
        return [NodeSyncStatus(
            node: self.node, name: name, state: .active, presence: .inContact, lastContactUnixMilliseconds: now - 5_000, expectedByUnixMilliseconds: now + 85_000,
            announcedContactUnixMilliseconds: nil, contactSecondsLastDay: 0, contactSecondsLast7Days: 0, report: nil, reportAgeSeconds: nil, openRequests: 0)]
    }

    func blob(_ hash: ContentHash) async throws -> (any ReadingFile)? { contents[hash].map { MemoryFile($0) } }

    func proof(node: NodeID, segments: [SegmentID]) async throws -> ProofBundle? {
        guard node == self.node, segments.allSatisfy({ id in records.contains { $0.id == id } }), let log = LogID(String(repeating: "0f", count: 16)) else { return nil }
        return ProofBundle(node: node, log: log, hubKey: hubKey.text, checkpoints: [], keys: [], segments: [])
    }
}

final class MemoryFile: ReadingFile {
    private let bytes: [UInt8]
    init(_ bytes: [UInt8]) { self.bytes = bytes }
    var length: Int64 { Int64(bytes.count) }
    func read(at offset: Int64, into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        let part = bytes[min(Int(offset), bytes.count)...].prefix(buffer.count)
        buffer.copyBytes(from: part)
        return part.count
    }
}

struct Missing: Error {}
func must<Value>(_ value: Value?) throws -> Value {
    guard let value else { throw Missing() }
    return value
}

/// The service over the small store, with a clock that the test turns.
struct Bench: Sendable {
    var store: SmallStore
    let accounts: Accounts
    let database: DatabaseQueue
    let clock = Clock()
    final class Clock: Sendable {
        let time = Mutex(SmallStore.now)
        var now: Int64 { time.withLock { $0 } }
        func advance(_ milliseconds: Int64) { time.withLock { $0 += milliseconds } }
    }

    init() throws {
        store = try SmallStore()
        let queue = try DatabaseQueue()
        var migrator = DatabaseMigrator()
        Accounts.registerMigrations(&migrator)
        try migrator.migrate(queue)
        database = queue
        accounts = Accounts(catalogue: queue, cost: ScryptCost(rounds: 16))
    }

    /// - Parameter setup: `.router` asks without a network and from nowhere, `.live` over a socket from this machine.
    func run(_ setup: TestingSetup = .router, _ body: @Sendable (any TestClientProtocol) async throws -> Void) async throws {
        let clock = clock
        var configuration = ReviewConfiguration(
            host: "127.0.0.1", port: 0, certificateChainPEM: nil, privateKeyPEM: nil, nowUnixMilliseconds: { clock.now })
        configuration.metricsText = { "# TYPE fieldpost_pushes counter\nfieldpost_pushes 3\n" }
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        try await makeReviewApplication(store: store, accounts: accounts, configuration: configuration, logger: logger).test(setup, body)
    }

    /// A user with a password of their own, and a bearer token.
    func signedIn(_ name: String = "anna", role: UserRole = .administrator) async throws -> String {
        _ = try await accounts.createUser(name: name, role: role, nowUnixMilliseconds: clock.now)
        try await accounts.setPassword(name: name, to: "four random words here")
        guard case .ok(let token, _) = try await accounts.signIn(
            name: name, password: "four random words here", address: "test", kind: .api, nowUnixMilliseconds: clock.now)
        else { throw Missing() }
        return token.text
    }
}
