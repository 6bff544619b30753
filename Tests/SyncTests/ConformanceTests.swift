@testable import EdgeSync
import EvidenceLog
import Foundation
import GRDB
import HubStore
import Logging
import LogFixtures
import NIOHTTP1
import NodeIdentity
import RecordingModel
import StorageIO
import SyncConformance
import SyncProtocol
import SystemPackage
import Testing
import TestSupport

/// The list of cases over real TLS on the loopback interface, against the real store.
@Suite struct ConformanceTests {
    @Test("Over TLS", .timeLimit(.minutes(2)), arguments: ConformanceCase.all)
    func holds(_ conformance: ConformanceCase) async throws {
        let problems = try await conformance.run(on: try await TLSPair(conformance.contents, rotten: conformance.rotten))
        #expect(problems == [], "\(conformance)")
    }

    /// Every byte from the TCP connection's first to its last, in steps that share no factor with a frame's length. Each
    /// position has a node of its own, and all of them one hub.
    @Test("Over TLS, cut at bytes from the handshake to the last frame, the next contact brings the rest", .timeLimit(.minutes(3)))
    func cutAtBytes() async throws {
        let step = 61
        try await LoopbackHub.with { hub in
            func node(_ number: Int) async throws -> MemorySource {
                let contents = [250, 1, 700].map { count in (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ number &* 13) } + withUnsafeBytes(of: number) { Array($0) } }
                let source = try MemorySource(segments: contents, sealEvery: 2)
                let secret = String(repeating: "0", count: 24) + String(number, radix: 16).leftPadded(to: 8)
                _ = try await enrol(with: hub.token("node \(number)", secret: secret), identity: source.identity)
                return source
            }
            let proxy = try FaultProxy(to: hub.port)
            defer { proxy.stop() }
            let whole = try await node(0)
            try await hub.service(whole, port: proxy.port).syncOnce()
            let length = proxy.forwardedOutward
            #expect(length > 3_000)
            var cuts = 0
            for bytes in stride(from: 1, to: length - 100, by: step) {
                let source = try await node(bytes)
                let sessions = SessionCounter(startingAt: 1)
                let before = proxy.cuts
                proxy.cut([.init(.outward, afterBytes: bytes)])
                let sync = try hub.service(source, port: proxy.port, sessions: sessions)
                await #expect(throws: (any Error).self, "cut at \(bytes)") { try await sync.syncOnce() }
                cuts += proxy.cuts - before
                do {
                    try await sync.syncOnce()
                } catch SyncError.refused(let problem) where problem.status == 409 {
                    // The proxy's kernel had acknowledged entries that the hub never saw: the node believes it once.
                    try await sync.syncOnce()
                }
                #expect(source.isCovered, "cut at \(bytes)")
                let held = try hub.store.held(source.sample.node, source.log).values.reduce(0) { $0 + Int($1.count) }
                #expect(held == 3, "cut at \(bytes)")
            }
            #expect(cuts == (length - 102) / step + 1)
            let report = try hub.store.report()
            #expect(report.verified && report.duplicateBlobs == 0 && report.segmentsOnHub == 3 * (cuts + 1), "\(report.faults)")
            #expect(files(under: hub.directory.path("partials")).isEmpty)
        }
    }
}

extension String {
    fileprivate func leftPadded(to count: Int) -> String { String(repeating: "0", count: max(0, count - self.count)) + self }
}

/// A node and a hub over TLS. The hub is started for each of its doings, on the same folder; so is the node.
final class TLSPair: SyncPair {
    private let directory: TemporaryDirectory
    private let identity: IdentityKey
    private var signer: NoteSigner
    /// The hub's key as the node learnt it when it joined.
    private let learntKey: NoteKey
    private var generation: UInt64 = 1
    private var backup: TemporaryDirectory?
    private let source: MemorySource
    private let sessions = SessionCounter(startingAt: 1)
    private var claimed: Set<SegmentID> = []
    private(set) var setAside: Set<SegmentID> = []
    private(set) var sentBytes = 0
    let footage: PairFootage

    /// What a node sends before its first frame: the handshake and its hello take a little less.
    private static let preludeBytes = 2_500

    init(_ contents: [[UInt8]], rotten: Set<Int>) async throws {
        directory = try TemporaryDirectory("hub")
        identity = try IdentityKey(commonName: "hub")
        signer = try NoteSigner(name: "fieldpost.hub/test", algorithm: .cosignature).orThrow("a signer")
        learntKey = signer.verifier
        source = try MemorySource(segments: contents, rotten: rotten, sealEvery: 3)
        footage = PairFootage(source)
        let source = source
        try await with { hub in _ = try await enrol(with: hub.token("north"), identity: source.identity) }
    }

    private func with<Result: Sendable>(_ body: @Sendable @escaping (LoopbackHub) async throws -> Result) async throws -> Result {
        try await LoopbackHub.with(directory: directory, identity: identity, signer: signer, generation: generation, body)
    }

    var statement: HoldingsStatement? { source.statement }

    func contact(_ fault: LinkFault) async throws -> ContactEnd {
        if case .answerLost = fault { return try await pushWithoutAnswer() }
        let (source, sessions, ids, learntKey) = (source, sessions, footage.ids, learntKey)
        let (end, sent, aside) = try await with { hub in
            let proxy = try FaultProxy(to: hub.port)
            defer { proxy.stop() }
            if case .cut(let bytes) = fault { proxy.cut([.init(.outward, afterBytes: Self.preludeBytes + bytes)]) }
            let sync = try hub.service(source, port: proxy.port, sessions: sessions, hubKey: learntKey, statement: source.signedStatement)
            var end = await Self.end { try await sync.syncOnce() }
            // The node began where the hub was, as far as it knew. What it is refused for that, once, is how it learns.
            if fault == .none, end == .refused(status: 409) { end = await Self.end { try await sync.syncOnce() } }
            let aside = ids.filter { id in sync.progress.setAside.contains { $0.hasPrefix("\(id):") } }
            return (end, Int(sync.progress.bytesSent), aside)
        }
        // What is set aside is tried, and sent, again by a node that was started again: counted once.
        sentBytes += sent
        setAside = Set(aside)
        return end
    }

    private static func end(_ body: () async throws -> Void) async -> ContactEnd {
        do {
            try await body()
            return .settled
        } catch SyncFault.forked {
            return .forked
        } catch SyncFault.foreignStatement, SyncFault.oldGeneration {
            return .notBelieved
        } catch SyncError.refused(let problem) {
            return problem.status == 422 && problem.field == "log" ? .forked : .refused(status: problem.status)
        } catch {
            return .lost
        }
    }

    /// Everything, as the node sends it, and nobody there for the answer.
    private func pushWithoutAnswer() async throws -> ContactEnd {
        let frames = try footage.entryFrames + footage.ids.flatMap { footage.frames(of: $0) }
        let (source, sessions, count) = (source, sessions, footage.ids.count)
        try await with { hub in
            try await HubConnection.with(host: "127.0.0.1", port: hub.port, pin: hub.identity.keyHash, identity: source.identity, timeouts: SyncTimeouts()) { connection in
                _ = try await connection.call(SyncRoutes.hello, Self.hello(source, sessions.next()), reply: HelloReply.self)
                connection.beginPush(headers: [SyncRoutes.logHeader: source.log.description, SyncRoutes.sessionHeader: "\(sessions.current)"])
                for frame in frames { try await connection.write(frame) }
                _ = try await eventually("everything at the hub", within: .seconds(20), every: .milliseconds(5)) {
                    try hub.store.held(source.sample.node, source.log).values.reduce(0) { $0 + Int($1.count) } == count ? true : nil
                }
                connection.close()
            }
        }
        return .lost
    }

    private static func hello(_ source: MemorySource, _ session: UInt64) async throws -> HelloRequest {
        let checkpoint = try await source.checkpoint()
        return HelloRequest(
            session: session, status: try await source.status(), log: source.log, logSize: checkpoint.checkpoint.size, checkpoint: checkpoint, holdings: [],
            backlog: Backlog(), statementLogSize: nil, statementGeneration: nil)
    }

    func push(_ frames: [Frame], _ session: PushedSession) async throws -> PushEnd {
        let (source, sessions) = (source, sessions)
        return try await with { hub in
            try await HubConnection.with(host: "127.0.0.1", port: hub.port, pin: hub.identity.keyHash, identity: source.identity, timeouts: SyncTimeouts()) { connection in
                // A hub that was started again knows no session before a hello.
                _ = try await connection.call(SyncRoutes.hello, Self.hello(source, sessions.next()), reply: HelloReply.self)
                let number = if case .older = session { sessions.current - 1 } else { sessions.current }
                connection.beginPush(headers: [SyncRoutes.logHeader: source.log.description, SyncRoutes.sessionHeader: "\(number)"])
                // A refusal may come, and the connection go, before all is written.
                for frame in frames { try? await connection.write(frame) }
                try? await connection.endPush()
                do {
                    return .taken(try await connection.answer().decoded(PushReply.self))
                } catch SyncError.refused(let problem) {
                    return .refused(status: problem.status)
                }
            }
        }
    }

    func hubState() async throws -> HubState {
        let (node, log, claimed) = (source.sample.node, source.log, claimed)
        return try onStore { store in
            var state = HubState()
            if let verifier = try? store.verifier(node, log) { (state.logSize, state.logRoot) = (verifier.size, verifier.root) }
            state.held = Set(try store.held(node, log).flatMap { stream, ranges in ranges.ranges.flatMap { $0.map { SegmentID(stream: stream, sequence: $0) } } })
                .subtracting(claimed)
            state.alarms = try store.catalogue.read { try Int.fetchOne($0, sql: "SELECT COUNT(*) FROM forks") }
            for path in files(under: directory.path("blobs")) {
                guard let name = ContentHash((path as NSString).lastPathComponent) else { continue }
                state.blobs[name] = .sha256(Array(FileManager.default.contents(atPath: path) ?? Data()))
            }
            state.partials = files(under: directory.path("partials")).count
            return state
        }
    }

    /// The hub's folder while no hub runs on it.
    private func onStore<Result>(_ body: (HubStore) throws -> Result) throws -> Result {
        let store = try HubStore(
            dataDirectory: FilePath(directory.path), hub: identity.hubID, signer: signer, generation: generation, storage: RealStorage(),
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        defer { try? store.catalogue.close() }
        return try body(store)
    }

    func backUp() async throws {
        let copy = try TemporaryDirectory("backup")
        try await runSuccessfully("cp", ["-a", directory.path + "/.", copy.path])
        backup = copy
    }

    func restore() async throws {
        // SQLite removes its own side files as it closes.
        for name in try FileManager.default.contentsOfDirectory(atPath: directory.path) { try? FileManager.default.removeItem(atPath: directory.path(name)) }
        guard try FileManager.default.contentsOfDirectory(atPath: directory.path).isEmpty else { throw FixtureError(what: "the hub's folder could not be emptied") }
        try await runSuccessfully("cp", ["-a", try backup.orThrow("a backup").path + "/.", directory.path])
        generation += 1
    }

    func forgetGeneration() async throws { generation -= 1 }

    private func setHeld(_ segments: Set<SegmentID>, _ isHeld: Bool) throws {
        try onStore { store in
            try store.catalogue.write { db in
                for segment in segments {
                    try db.execute(
                        sql: "UPDATE segments SET held = ? WHERE camera = ? AND kind = ? AND sequence = ?",
                        arguments: [isHeld, segment.stream.camera.description, segment.stream.kind.rawValue, Int64(segment.sequence)])
                }
            }
        }
    }

    func lose(_ segments: Set<SegmentID>) async throws {
        try setHeld(segments, false)
        let names = Set(segments.compactMap { footage.segments[$0]?.sha256.hex })
        for path in files(under: directory.path("blobs")) where names.contains((path as NSString).lastPathComponent) { try FileManager.default.removeItem(atPath: path) }
    }

    func claim(_ segments: Set<SegmentID>) async throws {
        try setHeld(claimed, false)
        try setHeld(segments, true)
        claimed = segments
    }

    func changeKey() async throws {
        signer = try NoteSigner(name: "fieldpost.hub/other", algorithm: .cosignature).orThrow("a signer")
    }

    func contactOfClone() async throws -> ContactEnd {
        let clone = try MemorySource(segments: [Array(repeating: 5, count: 90)], identity: source.identity)
        let sessions = sessions
        return try await with { hub in
            let sync = try hub.service(clone, sessions: sessions)
            return await Self.end { try await sync.syncOnce() }
        }
    }
}

extension PairFootage {
    init(_ source: MemorySource) {
        let sample = source.sample
        self.init(
            segments: source.contents.reduce(into: [:]) { $0[$1.key] = (source.promised[$1.key] ?? .sha256($1.value), $1.value) },
            roots: (0...sample.lines.count).map { MerkleTree.root(of: sample.leaves[..<$0]) },
            batches: sample.batches.indices.map { place in
                let (lines, start, checkpoint) = sample.batch(place)
                return EntryBatch(start: start, lines: lines, checkpoint: checkpoint)
            })
    }
}
