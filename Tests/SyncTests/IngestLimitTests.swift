import EdgeSync
import EvidenceLog
import Foundation
@testable import HubIngest
import HubStore
import NodeIdentity
import RecordingModel
import SyncProtocol
import Testing
import TestSupport

/// Who is refused and who is dropped, as a value.
@Suite struct ConnectionLedgerTests {
    private static func limits() -> IngestLimits {
        var limits = IngestLimits()
        limits.connections = 20
        limits.connectionsPerAddress = 5
        return limits
    }
    private let node = NodeID(keyHash: .sha256([1]))

    @Test("An address has so many strangers and no more; who has shown a joined key is none, and whoever leaves makes room")
    func strangers() {
        var ledger = ConnectionLedger<Int>(limits: Self.limits())
        for id in 0..<5 { _ = ledger.opened(id, address: "a", now: 0) }
        let taken1 = ledger.opened(5, address: "a", now: 0)
        #expect(!taken1)
        let taken2 = ledger.opened(6, address: "b", now: 0)
        #expect(taken2)
        let oldest6 = ledger.identified(0, as: node)
        #expect(oldest6 == nil)
        let taken3 = ledger.opened(7, address: "a", now: 0)
        #expect(taken3)
        let taken4 = ledger.opened(8, address: "a", now: 0)
        #expect(!taken4)
        ledger.closed(1)
        let taken5 = ledger.opened(8, address: "a", now: 0)
        #expect(taken5)
        for id in 0..<9 { ledger.closed(id) }
        #expect(ledger.count == 0 && ledger.nodes == 0)
        for id in 10..<15 { _ = ledger.opened(id, address: "a", now: 0) }
        #expect(ledger.count == 5)
    }

    @Test("A node's fifth connection ends its oldest")
    func perNode() {
        var ledger = ConnectionLedger<Int>(limits: Self.limits())
        for id in 0..<5 { _ = ledger.opened(id, address: "\(id)", now: 0) }
        for id in 0..<4 { _ = ledger.identified(id, as: node) }
        let oldest7 = ledger.identified(4, as: node)
        #expect(oldest7 == 0)
        // Asked again on the same connection, nobody else goes.
        let oldest8 = ledger.identified(4, as: node)
        #expect(oldest8 == nil)
        #expect(ledger.nodes == 1)
    }

    @Test("A mobile link with an outage of a minute lives; one that says nothing, or drips, does not; a slow hub is not the peer's fault")
    func times() {
        var ledger = ConnectionLedger<Int>(limits: Self.limits())
        for id in 0..<5 { _ = ledger.opened(id, address: "\(id)", now: 0) }
        // 0 never speaks, 1 rests between requests, 2 is a GPRS link, 3 drips, 4 waits for the hub.
        ledger.requestEnded(1, now: 0)
        for id in 2...4 { ledger.bodyBegan(id, now: 0) }
        ledger.received(4, bytes: 10)
        var dropped: [Int: (at: Int64, why: ConnectionLedger<Int>.Overdue)] = [:]
        for second in Int64(1)...600 {
            let now = second * 1_000
            // 5,000 bytes a second, up 30 s and down 60 s; and one byte a second.
            if second % 90 < 30 {
                ledger.received(2, bytes: 5_000)
                ledger.awaitsBody(2, now: now)
            }
            ledger.received(3, bytes: 1)
            ledger.awaitsBody(3, now: now)
            for (id, why) in ledger.overdue(now: now) where dropped[id] == nil {
                dropped[id] = (second, why)
                ledger.closed(id)
            }
        }
        #expect(dropped[0]?.at == 20 && dropped[0]?.why == .greeting)
        #expect(dropped[1]?.at == 120 && dropped[1]?.why == .idle)
        #expect(dropped[2] == nil)
        #expect(dropped[3]?.at == 120 && dropped[3]?.why == .slow)
        #expect(dropped[4] == nil)
    }

    @Test("When connections are scarce, everybody's time is a quarter")
    func scarce() {
        var ledger = ConnectionLedger<Int>(limits: Self.limits())
        for id in 0..<16 { _ = ledger.opened(id, address: "\(id)", now: 0) }
        ledger.bodyBegan(0, now: 0)
        #expect(ledger.isScarce)
        let (early, late, last) = (ledger.overdue(now: 4_999), ledger.overdue(now: 5_000), ledger.overdue(now: 30_000))
        #expect(early.isEmpty)
        #expect(Set(late.map(\.id)) == Set(1..<16))
        #expect(last.contains { $0.id == 0 && $0.why == .silent })
    }

    @Test("A grant shrinks with the nodes that are connected, and never to nothing")
    func grants() {
        let limits = IngestLimits()
        #expect(limits.grant(connected: 1).bytes == HubStore.grant.bytes)
        #expect(limits.grant(connected: 2_000).bytes * 2_000 <= IngestLimits.grantedBytesTotal)
        #expect(limits.grant(connected: 1_000_000).bytes == IngestLimits.grantBytesLeast)
    }
}

/// Clients that mean ill, over real TLS, beside one that means well.
@Suite(.serialized) struct IngestLimitTests {
    private static let segmentBytes = 2_000_000

    private static func source(_ segments: Int, seed: UInt8) throws -> MemorySource {
        try MemorySource(segments: (0..<segments).map { number in
            [UInt8](repeating: UInt8(number), count: segmentBytes - 1) + [seed]
        })
    }

    /// Megabytes a second of one good node.
    private static func throughput(_ hub: LoopbackHub, seed: UInt8) async throws -> Double {
        let source = try source(10, seed: seed)
        let secret = String(repeating: Hex.encode([seed]), count: 16)
        _ = try await enrol(with: hub.token("good-\(seed)", secret: secret), identity: source.identity)
        let began = ContinuousClock.now
        try await hub.service(source).syncOnce()
        #expect(source.isCovered)
        return Double(10 * segmentBytes) / ((ContinuousClock.now - began) / .seconds(1)) / 1e6
    }

    @Test("Slow headers, silent clients, dripped bodies, damaged frames and handshakes that never end do not slow a good node by half")
    func hostile() async throws {
        var limits = IngestLimits()
        limits.connectionsPerAddress = 300
        try await LoopbackHub.with(limits: limits) { hub in
            let villain = try Self.source(1, seed: 99)
            _ = try await enrol(with: hub.token("villain", secret: String(repeating: "63", count: 16)), identity: villain.identity)
            // The first run warms what is made once.
            _ = try await Self.throughput(hub, seed: 1)
            // By turns, and the median of three: a second of somebody else's work on this machine is as much as what is measured.
            var shares: [Double] = []
            for round in UInt8(0)..<3 {
                let alone = try await Self.throughput(hub, seed: 2 + 2 * round)
                let attack = try HostileClients(port: hub.port, identity: villain.identity, log: villain.log, perKind: 20)
                defer { attack.stop() }
                try await attack.begun()
                let beside = try await Self.throughput(hub, seed: 3 + 2 * round)
                shares.append(beside / alone)
                print("good node: \(alone) MB/s alone, \(beside) MB/s beside hostile clients; \(attack.summary)")
            }
            #expect(shares.sorted()[1] > 0.5, "shares of its own throughput beside hostile clients: \(shares)")
        }
    }

    @Test("A client that says nothing, one that never ends its header and one that never ends its handshake are dropped; the address is free again")
    func dropped() async throws {
        var limits = IngestLimits()
        limits.connectionsPerAddress = 3
        limits.greetingSeconds = 4
        let source = try Self.source(1, seed: 5)
        try await LoopbackHub.with(limits: limits) { hub in
            let began = ContinuousClock.now
            var silent: [RawSocket] = []
            for _ in 0..<4 { silent.append(try await RawSocket(port: hub.port)) }
            // One too many for this address: whichever the hub sees last is closed at once, the others when their time is up.
            let times = await withTaskGroup(of: Duration?.self) { group in
                for socket in silent { group.addTask { await socket.isClosed(withinSeconds: 20) ? ContinuousClock.now - began : nil } }
                return await group.reduce(into: [Duration]()) { if let time = $1 { $0.append(time) } }.sorted()
            }
            #expect(times.count == 4 && times[0] < .milliseconds(3_500) && times[1] >= .milliseconds(3_500), "\(times)")
            _ = try await enrol(with: hub.token("north"), identity: source.identity)
            try await hub.service(source).syncOnce()
            #expect(source.isCovered)
        }
    }

    @Test("A node whose share is used up is answered 507 before its body is read")
    func quota() async throws {
        let source = try MemorySource(segments: [[1, 2, 3]])
        var limits = IngestLimits()
        limits.nodeQuotaBytes = 3
        try await LoopbackHub.with(limits: limits) { hub in
            _ = try await enrol(with: hub.token("north"), identity: source.identity)
            try await hub.service(source).syncOnce()
            #expect(source.isCovered)
            // A body that would be refused as damaged, had it been read.
            #expect(try await SyncTests.rawPush([1, 2, 3], hub, source, SessionCounter(startingAt: 10)) == 507)
        }
    }
}
