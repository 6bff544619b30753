@testable import EdgeSync
import EvidenceLog
import LogFixtures
import NIOHTTP1
import NodeIdentity
import RecordingModel
import SyncProtocol
import Testing
import TestSupport

/// Nodes and hubs with different dictionaries over real TLS.
@Suite struct DictionaryTests {
    private static let shipped = SharedDictionaries.shippedFiles
    /// The shipped one under another id: what is compressed with it, no other hub can read.
    private static func other(_ id: UInt32) -> [UInt8] {
        var bytes = shipped[0]
        withUnsafeBytes(of: id.littleEndian) { bytes.replaceSubrange(4..<8, with: $0) }
        return bytes
    }
    private static let newer = SharedDictionaries([other(32_790)] + shipped)

    @Test("Whatever dictionaries either side has, everything arrives", .timeLimit(.minutes(1)), arguments: [
        (newer, SharedDictionaries.shipped), (.shipped, newer), (newer, newer), (SharedDictionaries([other(32_791)]), newer), (.shipped, SharedDictionaries([])), (SharedDictionaries([]), .shipped),
    ])
    func different(_ node: SharedDictionaries, _ hub: SharedDictionaries) async throws {
        try await LoopbackHub.with(dictionaries: hub) { hub in
            let source = try MemorySource(segments: [[1, 2, 3], [4], [5, 6]], sealEvery: 1)
            _ = try await enrol(with: hub.token("north"), identity: source.identity)
            try await hub.service(source, dictionaries: node).syncOnce()
            #expect(source.isCovered)
        }
    }

    @Test("Entries in a dictionary that the hub has never had are refused by name; without it they are taken", .timeLimit(.minutes(1)))
    func unknown() async throws {
        try await LoopbackHub.with { hub in
            let source = try MemorySource(segments: [[1, 2, 3]])
            _ = try await enrol(with: hub.token("north"), identity: source.identity)
            let sessions = SessionCounter(startingAt: 1)
            let batch = try await source.batch(from: 0, plainBytes: 1 << 20).orThrow("a batch")
            func push(_ frame: [UInt8]) async throws -> PushReply {
                try await HubConnection.with(host: "127.0.0.1", port: hub.port, pin: hub.identity.keyHash, identity: source.identity, timeouts: SyncTimeouts()) { connection in
                    let hello = HelloRequest(
                        session: sessions.next(), status: try await source.status(), log: source.log, logSize: 0, checkpoint: nil, holdings: [], backlog: Backlog(), statementLogSize: nil,
                        statementGeneration: nil)
                    let reply = try await connection.call(SyncRoutes.hello, hello, reply: HelloReply.self)
                    // One that names none is answered with none.
                    #expect(reply.dictionary == nil)
                    connection.beginPush(headers: [SyncRoutes.logHeader: source.log.description, SyncRoutes.sessionHeader: "\(sessions.current)"])
                    try await connection.write(.entries(frame))
                    try await connection.endPush()
                    return try await connection.answer().decoded(PushReply.self, knowing: SharedDictionaries([]))
                }
            }
            do {
                _ = try await push(batch.encoded(with: Self.newer[32_790]))
                Issue.record("the hub took what it cannot read")
            } catch SyncError.refused(let problem) {
                #expect(problem.status == 412 && problem.field == "dictionary" && problem.detail?.contains("32790") == true)
            }
            #expect(try await push(batch.encoded()).logSize == UInt64(source.sample.lines.count))
        }
    }
}
