@testable import EdgeSync
import EvidenceLog
import Foundation
import HubStore
import Logging
import LogFixtures
import NIOHTTP1
import NodeIdentity
import RecordingModel
import SyncProtocol
import Testing
import TestSupport

/// Node and hub over real TLS on the loopback interface.
@Suite(.serialized) struct SyncTests {
    private static func contents(_ count: Int, bytes: Int, seed: UInt64 = 3) -> [[UInt8]] {
        var generator = SeededNumbers(seed: seed)
        return (0..<count).map { _ in (0..<bytes).map { _ in UInt8.random(in: .min ... .max, using: &generator) } }
    }

    @Test("A node joins, sends all it has, and the hub's statement covers it; a second contact sends nothing")
    func whole() async throws {
        let source = try MemorySource(segments: Self.contents(5, bytes: 50_000))
        try await LoopbackHub.with { hub in
            let endpoint = try await enrol(with: hub.token("north"), identity: source.identity)
            #expect(endpoint.name == "north" && endpoint.hub == hub.identity.hubID)
            let sync = try hub.service(source)
            try await sync.syncOnce()
            #expect(source.isCovered)
            #expect(hub.blobs == Set(source.contents.values.map { ContentHash.sha256($0).hex }))
            let report = try hub.store.report()
            #expect(report.verified && report.segmentsOnHub == 5 && report.duplicateBlobs == 0, "\(report.faults)")
            let sent = sync.progress.bytesSent
            try await sync.syncOnce()
            #expect(sync.progress.bytesSent == sent)
        }
    }

    @Test("A key that never joined is answered 401 and stores nothing")
    func unknownNode() async throws {
        let source = try MemorySource(segments: Self.contents(1, bytes: 100))
        try await LoopbackHub.with { hub in
            let error = await #expect(throws: SyncError.self) { try await hub.service(source).syncOnce() }
            guard case .refused(let problem)? = error else { Issue.record("\(String(describing: error))"); return }
            #expect(problem.status == 401)
            #expect(hub.blobs.isEmpty)
        }
    }

    @Test("A hub that shows another key gets neither the secret nor a byte of footage")
    func otherHub() async throws {
        let source = try MemorySource(segments: Self.contents(1, bytes: 100))
        try await LoopbackHub.with { hub in
            let token = try hub.token("north", pin: .sha256([1]))
            let error = await #expect(throws: SyncError.self) { try await enrol(with: token, identity: source.identity) }
            guard case .otherHubKey? = error else { Issue.record("\(String(describing: error))"); return }
            // The secret is good here: a hub that had got it would list the node now.
            #expect(try await hub.store.nodeSummaries().isEmpty)
            _ = try await enrol(with: hub.token("north"), identity: source.identity)
            var endpoint = hub.endpoint()
            endpoint.hub = HubID(keyHash: .sha256([2]))
            let sync = try SyncService(
                endpoint: endpoint, identity: source.identity, source: source, sessions: SessionCounter(startingAt: 1),
                changes: { AsyncStream { $0.finish() } }, nowMilliseconds: { 0 }, logger: .init(label: "test"))
            await #expect(throws: SyncError.self) { try await sync.syncOnce() }
            #expect(try await hub.store.nodeSummaries().first?.lastContactUnixMilliseconds == nil)
        }
    }

    @Test("A token is good for one node, once, and not after its time")
    func tokens() async throws {
        let (one, other) = (try IdentityKey(commonName: "one"), try IdentityKey(commonName: "other"))
        try await LoopbackHub.with { hub in
            let token = try hub.token("north")
            _ = try await enrol(with: token, identity: one)
            // The same node may ask again: the first answer may have been lost.
            _ = try await enrol(with: token, identity: one)
            func status(_ body: () async throws -> HubEndpoint) async -> Int? {
                do {
                    _ = try await body()
                    return nil
                } catch SyncError.refused(let problem) { return problem.status } catch { return -1 }
            }
            #expect(await status { try await enrol(with: token, identity: other) } == 403)
            let expired = try hub.token("south", secret: String(repeating: "11", count: 16), expiresIn: -1)
            #expect(await status { try await enrol(with: expired, identity: other) } == 403)
            var unknown = token
            unknown.secret = String(repeating: "99", count: 16)
            #expect(await status { try await enrol(with: unknown, identity: other) } == 403)
        }
    }

    @Test("A token that many nodes show at once is won by one")
    func racedToken() async throws {
        let identities = try (0..<8).map { try IdentityKey(commonName: "node \($0)") }
        try await LoopbackHub.with { hub in
            let token = try hub.token("north")
            let joined = await withTaskGroup(of: Bool.self) { group in
                for identity in identities { group.addTask { (try? await enrol(with: token, identity: identity)) != nil } }
                return await group.reduce(0) { $0 + ($1 ? 1 : 0) }
            }
            #expect(joined == 1)
        }
    }

    @Test("A link cut again and again costs no segment, and nothing is stored twice")
    func cuts() async throws {
        let seed = UInt64.random(in: 0..<1_000_000)
        var generator = SeededNumbers(seed: seed)
        let source = try MemorySource(segments: Self.contents(6, bytes: 40_000, seed: seed))
        let plan = (0..<20).map { _ in FaultProxy.Cut(.outward, afterBytes: Int.random(in: 1..<30_000, using: &generator)) }
        try await LoopbackHub.with { hub in
            _ = try await enrol(with: hub.token("north"), identity: source.identity)
            let proxy = try FaultProxy(to: hub.port)
            defer { proxy.stop() }
            proxy.cut(plan)
            let sync = try hub.service(source, port: proxy.port)
            for _ in 0..<60 where !source.isCovered { try? await sync.syncOnce() }
            #expect(source.isCovered, "seed \(seed)")
            #expect(proxy.cuts == 20, "seed \(seed)")
            let report = try hub.store.report()
            #expect(report.verified && report.segmentsOnHub == 6 && report.blobFiles == 6 && report.duplicateBlobs == 0, "seed \(seed): \(report.faults)")
            #expect(files(under: hub.directory.path("partials")).isEmpty, "seed \(seed)")
        }
    }

    @Test("A hub that takes bytes and never answers is given up after the time for an answer, and the next contact brings all")
    func silentHub() async throws {
        let source = try MemorySource(segments: Self.contents(2, bytes: 20_000))
        try await LoopbackHub.with { hub in
            _ = try await enrol(with: hub.token("north"), identity: source.identity)
            let proxy = try FaultProxy(to: hub.port)
            defer { proxy.stop() }
            // Past the handshake: the proxy's kernel acknowledges what the hub never sees.
            proxy.pause(afterBytes: 5_000)
            var timeouts = SyncTimeouts()
            timeouts.answerSeconds = 1
            let sync = try hub.service(source, port: proxy.port, timeouts: timeouts)
            let error = await #expect(throws: SyncError.self) { try await sync.syncOnce() }
            #expect(error?.description.contains("did not answer within 1 s") == true, "\(error?.description ?? "")")
            proxy.dropConnections()
            proxy.resume()
            try await sync.syncOnce()
            #expect(source.isCovered)
        }
    }

    @Test("A hub that is started again keeps what it had of a segment, and takes the rest")
    func hubRestart() async throws {
        let source = try MemorySource(segments: Self.contents(1, bytes: 3_000_000))
        let directory = try TemporaryDirectory("hub")
        let (identity, signer) = (try IdentityKey(commonName: "hub"), try NoteSigner(name: "fieldpost.hub/test", algorithm: .cosignature).orThrow("signer"))
        try await LoopbackHub.with(directory: directory, identity: identity, signer: signer) { hub in
            _ = try await enrol(with: hub.token("north"), identity: source.identity)
            let proxy = try FaultProxy(to: hub.port)
            defer { proxy.stop() }
            proxy.cut([.init(.outward, afterBytes: 2_000_000)])
            await #expect(throws: SyncError.self) { try await hub.service(source, port: proxy.port).syncOnce() }
            // The node knows of the cut before the hub has read what was in flight.
            let deadline = ContinuousClock.now + .seconds(20)
            while try (hub.store.partials(source.sample.node, source.log).first?.offset ?? 0) == 0, .now < deadline { await Task.yield() }
        }
        try await LoopbackHub.with(directory: directory, identity: identity, signer: signer) { hub in
            let before = try hub.store.partials(source.sample.node, source.log).first?.offset ?? 0
            // A reset discards what the hub had not read, so how much is left differs.
            #expect(before > 0)
            let sync = try hub.service(source, sessions: SessionCounter(startingAt: 100))
            try await sync.syncOnce()
            #expect(source.isCovered)
            #expect(sync.progress.bytesSent == 3_000_000 - before)
            #expect(try hub.store.report().verified)
        }
    }

    @Test("Damaged frames are answered 400, batches that lead nowhere 422 and 409; nothing is stored, and the node's next push is taken")
    func badFrames() async throws {
        let source = try MemorySource(segments: Self.contents(1, bytes: 1_000))
        try await LoopbackHub.with { hub in
            _ = try await enrol(with: hub.token("north"), identity: source.identity)
            let sessions = SessionCounter(startingAt: 10)
            let (lines, _, checkpoint) = source.sample.batch(0)
            let good = FrameCoding.encode(.entries(try EntryBatch(start: 0, lines: lines, checkpoint: checkpoint).encoded()))
            var flipped = good
            flipped[good.count / 2] ^= 0x10
            let wrongRoot = FrameCoding.encode(.entries(try EntryBatch(start: 0, lines: Array(lines.dropLast()), checkpoint: checkpoint).encoded()))
            let hole = FrameCoding.encode(.entries(try EntryBatch(start: 1, lines: Array(lines.dropFirst()), checkpoint: checkpoint).encoded()))
            let huge: [UInt8] = [0x7F, 0, 0, 0, 1]
            for (body, status) in [(flipped, 400), (Array(good.dropLast(3)), 400), (wrongRoot, 422), (hole, 409), (huge, 413)] {
                #expect(try await Self.rawPush(body, hub, source, sessions) == status)
                #expect(try hub.store.verifier(source.sample.node, source.log).size == 0)
            }
            #expect(hub.blobs.isEmpty)
            try await hub.service(source, sessions: sessions).syncOnce()
            #expect(source.isCovered)
        }
    }

    @Test("Frames of an older session are dropped")
    func fencing() async throws {
        let source = try MemorySource(segments: Self.contents(1, bytes: 1_000))
        try await LoopbackHub.with { hub in
            _ = try await enrol(with: hub.token("north"), identity: source.identity)
            let sessions = SessionCounter(startingAt: 50)
            try await hub.service(source, sessions: sessions).syncOnce()
            let data = FrameCoding.encode(.data(segment: try #require(source.contents.keys.first), offset: 0, bytes: [1]))
            #expect(try await Self.rawPush(data, hub, source, sessions, helloFirst: false, session: 3) == 409)
        }
    }

    /// Says hello and pushes exactly these bytes; the status of the answer.
    static func rawPush(_ body: [UInt8], _ hub: LoopbackHub, _ source: MemorySource, _ sessions: SessionCounter, helloFirst: Bool = true, session: UInt64? = nil) async throws -> Int {
        do {
            try await HubConnection.with(host: "127.0.0.1", port: hub.port, pin: hub.identity.keyHash, identity: source.identity, timeouts: SyncTimeouts()) { connection in
                if helloFirst {
                    let checkpoint = try await source.checkpoint()
                    let hello = HelloRequest(
                        session: sessions.next(), status: try await source.status(), log: source.log, logSize: checkpoint.checkpoint.size, checkpoint: checkpoint,
                        holdings: [], backlog: Backlog(), statementLogSize: nil, statementGeneration: nil)
                    _ = try await connection.call(SyncRoutes.hello, hello, reply: HelloReply.self)
                }
                connection.beginPush(headers: [SyncRoutes.logHeader: source.log.description, SyncRoutes.sessionHeader: "\(session ?? sessions.current)"])
                try await connection.write(raw: body)
                try await connection.endPush()
                _ = try await connection.answer().decoded(PushReply.self)
            }
            return 200
        } catch SyncError.refused(let problem) {
            return problem.status
        }
    }
}
