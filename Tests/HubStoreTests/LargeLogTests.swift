import EvidenceLog
import GRDB
@testable import HubStore
import LogFixtures
import RecordingModel
import Testing

@Suite struct LargeLogTests {
    @Test("A boot with more rows than one page is re-dated to its last")
    func paged() async throws {
        var log = try ToldLog()
        let folder = try StoreFolder()
        defer { withExtendedLifetime(folder) {} }
        let store = try folder.open()
        let count = BootClocks.pageRows * 2 + 7
        for number in 0..<count {
            try log.tell(.event(EventRecord(
                camera: log.camera, source: .motion, bootID: "a", startBootMilliseconds: Int64(number) * 1_000, startWall: ToldLog.wall(Int64(number) * 1_000, .none),
                durationMilliseconds: 500, score: 1, label: "yard")))
        }
        // One that ends in that boot, of a boot before it.
        try log.tell(.gap(GapRecord(
            stream: log.stream, bootID: "before", startBootMilliseconds: 0, startWall: ToldLog.wall(0, .none), durationMilliseconds: 0, cause: .powerCut, detail: "")), in: "a", at: 5_000)
        try log.push(store)
        let fixed: Int64 = 1_795_248_000_000
        try log.tellClock("a", at: 0, ToldLog.wall(fixed, .ntp))
        try log.push(store)
        let moved = try await store.catalogue.read { db in
            try Int64.fetchAll(db, sql: "SELECT start_ms FROM events ORDER BY log_index")
        }
        #expect(moved == (0..<count).map { fixed + Int64($0) * 1_000 })
    }

    @Test("A log is read in pieces, wherever its lines are cut", arguments: [1, 7, 64, 1 << 20])
    func pieces(bytes: Int) throws {
        var log = try ToldLog()
        let folder = try StoreFolder()
        defer { withExtendedLifetime(folder) {} }
        let store = try folder.open()
        for number in 0..<5 { try log.tellSegment(UInt64(number), boot: "a", at: Int64(number) * 60_000, wall: ToldLog.wall(0, .none)) }
        try log.push(store)
        let whole = log.sample.lines
        for size in [0, 1, 3, whole.count] {
            var lines: [[UInt8]] = []
            try store.forEachLine(log.node, log.sample.log, upTo: UInt64(size), pieceBytes: bytes) { index, line in
                #expect(index == UInt64(lines.count))
                lines.append(line)
            }
            #expect(lines == Array(whole.prefix(size)))
        }
    }
}
