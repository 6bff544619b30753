import EdgeSync
import GRDB
import HubStore
import LogFixtures
import RecordingModel
import SyncProtocol
import TestSupport
import Testing

/// A node that lost its log and begins another one, with the footage that it still has.
@Suite struct LostLogTests {
    @Test("What the hub has by its content is not sent again under a new log, is stored once, and is covered by the new statement")
    func lostLog() async throws {
        let contents = (0..<100).map { number in (0..<2_000).map { UInt8(truncatingIfNeeded: $0 &* (number + 3)) } }
        try await LoopbackHub.with { hub in
            let first = try MemorySource(segments: Array(contents.prefix(90)))
            _ = try await enrol(with: hub.token("pass"), identity: first.identity)
            try await hub.service(first).syncOnce()
            #expect(first.isCovered && hub.blobs.count == 90)

            let second = try MemorySource(segments: contents, identity: first.identity, seed: 2)
            let service = try hub.service(second, sessions: SessionCounter(startingAt: 1_000))
            try await service.syncOnce()
            #expect(second.isCovered)
            #expect(hub.blobs.count == 100)
            #expect(service.progress.segmentsSent == 10)
            #expect(service.progress.bytesSent == 20_000)
            #expect(service.progress.duplicateBytes == 0)
            let counted = try await hub.store.catalogue.read { try Int.fetchOne($0, sql: "SELECT held_segments FROM nodes") }
            #expect(counted == 190)
        }
    }
}
