@testable import EdgeSync
import EvidenceLog
import Foundation
import Logging
import LogFixtures
import NodeIdentity
import RecordingModel
import Synchronization
import SyncProtocol
import Testing

/// A node learns the time from its hub, and from nobody else.
@Suite(.serialized) struct HubTimeTests {
    private func service(_ hub: LoopbackHub, _ source: MemorySource, endpoint: HubEndpoint, heard: @escaping @Sendable (HubTime) -> Void) throws -> SyncService {
        try SyncService(
            endpoint: endpoint, identity: source.identity, source: source, sessions: SessionCounter(startingAt: 1), changes: { AsyncStream { $0.finish() } },
            nowMilliseconds: { Int64(DispatchTime.now().uptimeNanoseconds / 1_000_000) }, hubTime: heard,
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    }

    @Test("Each hello tells the hub's time, between sending and answer")
    func told() async throws {
        let source = try MemorySource(segments: [[1, 2, 3]])
        let times = Mutex<[HubTime]>([])
        try await LoopbackHub.with { hub in
            _ = try await enrol(with: hub.token("north"), identity: source.identity)
            let before = Int64(Date().timeIntervalSince1970 * 1000)
            try await service(hub, source, endpoint: hub.endpoint()) { time in times.withLock { $0.append(time) } }.syncOnce()
            let after = Int64(Date().timeIntervalSince1970 * 1000)
            let time = try #require(times.withLock { $0 }.first)
            #expect((before...after).contains(time.hubUnixMilliseconds))
            #expect(time.receivedBootMilliseconds >= time.sentBootMilliseconds && time.receivedBootMilliseconds - time.sentBootMilliseconds <= after - before + 1)
        }
    }

    @Test("A hub that is not the pinned one, or whose statement is not signed by the known key, tells no time")
    func untrusted() async throws {
        let source = try MemorySource(segments: [[1, 2, 3]])
        let times = Mutex(0)
        try await LoopbackHub.with { hub in
            _ = try await enrol(with: hub.token("north"), identity: source.identity)
            var otherPin = hub.endpoint()
            otherPin.hub = HubID(keyHash: .sha256([1]))
            var otherKey = hub.endpoint()
            otherKey.hubKey = try NoteSigner(name: "fieldpost.hub/test", algorithm: .cosignature).orThrow("a signer").verifier.text
            for endpoint in [otherPin, otherKey] {
                await #expect(throws: (any Error).self) { try await service(hub, source, endpoint: endpoint) { _ in times.withLock { $0 += 1 } }.syncOnce() }
            }
        }
        #expect(times.withLock { $0 } == 0)
    }
}
