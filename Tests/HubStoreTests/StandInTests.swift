import EvidenceLog
import Foundation
import GRDB
@testable import HubStore
import LogFixtures
import RecordingModel
import SyncProtocol
import TestSupport
import Testing

/// What the hub has in the place of footage that it lacks, and that it is not counted as footage.
@Suite struct StandInTests {
    private static let start: Int64 = 1_795_200_000_000

    /// Ten minutes, told of; a proxy of minutes 2 to 4 and 6, an object of thumbnails of 0 to 6.
    private struct Bench {
        let folder: StoreFolder
        let store: HubStore
        var log: ToldLog

        init() throws {
            folder = try StoreFolder()
            store = try folder.open()
            log = try ToldLog()
            for number in 0..<10 as Range<UInt64> { try log.tellSegment(number, boot: "a", at: Int64(number) * 60_000, wall: ToldLog.wall(start + Int64(number) * 60_000, .ntp)) }
            for (number, minute) in [2, 3, 4, 6].enumerated() { try log.tellMade(.proxy, UInt64(number), of: UInt64(minute)...UInt64(minute), wallStart: start) }
            // Its first picture is half a minute late.
            try log.tellMade(.thumbs, 0, of: 0...6, wallStart: start, lateMilliseconds: 30_000)
            try log.push(store)
        }

        func spans(_ from: Int64 = 0, _ to: Int64 = 600_000) async throws -> [String] {
            try await log.timeline(store, from: start + from, to: start + to).spans.map { span in
                let name = "\((span.startUnixMilliseconds - start) / 60_000)-\((span.endUnixMilliseconds - start) / 60_000) \(span.state.rawValue)"
                return span.standIn.map { "\(name) \($0.rawValue)" } ?? name
            }
        }
    }

    @Test("Of each minute that the hub lacks the timeline says whether a proxy, thumbnails or nothing stands in for it, and the footage wins")
    func timeline() async throws {
        var bench = try Bench()
        // Told of, but none of it here.
        #expect(try await bench.spans() == ["0-10 only-on-node"])
        try bench.log.deliver(0, to: bench.store)
        for number in 0..<4 as Range<UInt64> { try bench.log.deliver(number, to: bench.store, kind: .proxy) }
        #expect(try await bench.spans() == ["0-1 on-hub", "1-2 only-on-node", "2-5 only-on-node proxy", "5-6 only-on-node", "6-7 only-on-node proxy", "7-10 only-on-node"])
        try bench.log.deliver(0, to: bench.store, kind: .thumbs)
        let all = ["0-1 on-hub", "1-2 only-on-node thumbnails", "2-5 only-on-node proxy", "5-6 only-on-node thumbnails", "6-7 only-on-node proxy", "7-10 only-on-node"]
        #expect(try await bench.spans() == all)
        // The same in a window that begins before the first picture, and in one that ends in the object.
        #expect(try await bench.spans(60_000, 70_000) == ["1-1 only-on-node thumbnails"])
        #expect(try await bench.spans(240_000, 330_000) == ["4-5 only-on-node proxy", "5-5 only-on-node thumbnails"])
        // The segments to play: proxies only of what is not here.
        func played() async throws -> [String] {
            try await bench.log.timeline(bench.store, from: Self.start, to: Self.start + 600_000).segments.map(\.record.id.description).sorted()
        }
        #expect(try await played() == ["gate/main/0", "gate/proxy/0", "gate/proxy/1", "gate/proxy/2", "gate/proxy/3"])
        try bench.log.deliver(3, to: bench.store)
        #expect(try await bench.spans(120_000, 300_000) == ["2-3 only-on-node proxy", "3-4 on-hub", "4-5 only-on-node proxy"])
        #expect(try await played() == ["gate/main/0", "gate/main/3", "gate/proxy/0", "gate/proxy/2", "gate/proxy/3"])
        // What is asked for, on its way or lost still has its proxy.
        try bench.log.tellRemoval("4", .space)
        try bench.log.push(bench.store)
        #expect(try await bench.spans(180_000, 420_000) == ["3-4 on-hub", "4-5 lost proxy", "5-6 only-on-node thumbnails", "6-7 only-on-node proxy"])
    }

    @Test("Proxies and thumbnails count in bytes and not in hours: held, missing, in the report, after a recovery, and in a catalogue of before")
    func hours() async throws {
        let bench = try Bench()
        try bench.log.deliver(0, to: bench.store)
        try bench.log.deliver(1, to: bench.store, kind: .proxy)
        try bench.log.deliver(0, to: bench.store, kind: .thumbs)
        func summary(_ store: HubStore) async throws -> NodeSummary { try #require(try await store.nodeSummary(bench.log.node)) }
        let before = try await summary(bench.store)
        #expect(before.onHub.durationMilliseconds == 60_000 && before.onHub.segments == 3)
        #expect(before.onlyOnNode.durationMilliseconds == 9 * 60_000 && before.onlyOnNode.segments == 12)
        #expect(try bench.store.report().recordedSeconds == 600)
        // As a version before counted it.
        try await bench.store.catalogue.write { db in
            try db.execute(sql: "UPDATE nodes SET held_ms = 480000; DELETE FROM grdb_migrations WHERE identifier = 'footage-1'")
        }
        #expect(try await summary(try bench.folder.open()).onHub == before.onHub)
        // A lost blob makes all sums anew.
        let blob = ContentHash.sha256(ToldLog.bytes(1, .proxy)).hex
        try FileManager.default.removeItem(atPath: bench.folder.directory.path("blobs/\(blob.prefix(2))/\(blob)"))
        _ = try bench.store.forgetMissing()
        let after = try await summary(bench.store)
        #expect(after.onHub.durationMilliseconds == 60_000 && after.onHub.segments == 2 && after.onHub.bytes < before.onHub.bytes)
    }

    @Test("Footage and proxies that two logs tell of are shown once, and the footage before its proxy")
    func twice() throws {
        let record = try SegmentRecord.sample(sequence: 0)
        func proxy(_ minute: Int64) -> PlayableSegment { PlayableSegment(record: record, logIndex: UInt64(minute), correctedStartUnixMilliseconds: minute * 60_000) }
        let spans = [
            TimelineSpan(startUnixMilliseconds: 0, endUnixMilliseconds: 60_000, state: .onHub),
            TimelineSpan(startUnixMilliseconds: 60_000, endUnixMilliseconds: 170_000, state: .onlyOnNode, standIn: .proxy),
        ]
        #expect(HubStore.shown([0, 1, 1, 2, 3].map(proxy), in: spans).map(\.logIndex) == [1, 2])
        #expect(HubStore.shown([proxy(1)], in: []).isEmpty)
    }

    @Test("Pictures of the small stream are matched by their times: its numbers are not those of the footage")
    func picturesOfTheSubStream() async throws {
        let folder = try StoreFolder()
        let store = try folder.open()
        var log = try ToldLog()
        for number in 0..<6 as Range<UInt64> { try log.tellSegment(number, boot: "a", at: Int64(number) * 60_000, wall: ToldLog.wall(Self.start + Int64(number) * 60_000, .ntp)) }
        // It is dated as its sources are numbered: minutes 2 to 4.
        try log.tellMade(.thumbs, 0, of: 2...4, sourceKind: .proxy, wallStart: Self.start)
        try log.push(store)
        try log.deliver(0, to: store, kind: .thumbs)
        let spans = try await log.timeline(store, from: Self.start, to: Self.start + 360_000).spans
        #expect(spans.map { [($0.startUnixMilliseconds - Self.start) / 60_000, $0.standIn == .thumbnails ? 1 : 0] } == [[0, 0], [2, 1], [5, 0]])
    }

    @Test("A camera's own small stream stands in by its times, for footage that is elsewhere and for time that was not recorded, and splits both where it begins and ends")
    func subStream() async throws {
        let folder = try StoreFolder()
        let store = try folder.open()
        var log = try ToldLog()
        let start = Self.start
        for number in 0..<5 as Range<UInt64> { try log.tellSegment(number, boot: "a", at: Int64(number) * 60_000, wall: ToldLog.wall(start + Int64(number) * 60_000, .ntp)) }
        try log.tell(
            .gap(
                GapRecord(
                    stream: log.stream, bootID: "a", startBootMilliseconds: 300_000, startWall: ToldLog.wall(start + 300_000, .ntp), durationMilliseconds: 120_000,
                    cause: .power, detail: "a test")), in: "a", at: 420_000)
        // Begins in a segment that is here, has a hole, and ends within the gap.
        for (number, seconds) in [40..<100, 100..<160, 200..<260, 260..<320, 320..<380].enumerated() { try log.tellSubStream(UInt64(number), Int64(seconds.lowerBound)..<Int64(seconds.upperBound), wallStart: start) }
        try log.push(store)
        func spans() async throws -> [String] {
            try await log.timeline(store, from: start, to: start + 420_000).spans.map { span in
                let name = "\((span.startUnixMilliseconds - start) / 1_000)-\((span.endUnixMilliseconds - start) / 1_000) \(span.state.rawValue)"
                return span.standIn.map { "\(name) \($0.rawValue)" } ?? name
            }
        }
        func played() async throws -> [String] {
            try await log.timeline(store, from: start, to: start + 420_000).segments.map(\.record.id.description).sorted()
        }
        #expect(try await spans() == ["0-300 only-on-node", "300-420 not-recorded"])
        try log.deliver(0, to: store)
        for number in 0..<5 as Range<UInt64> { try log.deliver(number, to: store, kind: .proxy) }
        #expect(try await spans() == ["0-60 on-hub", "60-160 only-on-node proxy", "160-200 only-on-node", "200-300 only-on-node proxy", "300-380 not-recorded proxy", "380-420 not-recorded"])
        #expect(try await played() == ["gate/main/0", "gate/proxy/0", "gate/proxy/1", "gate/proxy/2", "gate/proxy/3", "gate/proxy/4"])
        // The better half of the first one is here now: it would be shown in the place of footage.
        try log.deliver(1, to: store)
        #expect(try await spans().prefix(3) == ["0-120 on-hub", "120-160 only-on-node proxy", "160-200 only-on-node"])
        #expect(try await played().prefix(3) == ["gate/main/0", "gate/main/1", "gate/proxy/1"])
    }

    @Test("Objects of thumbnails are found by the time that they reach into, of their camera only")
    func objects() async throws {
        let bench = try Bench()
        try bench.log.deliver(0, to: bench.store, kind: .thumbs)
        let start = Self.start
        func found(_ from: Int64, _ to: Int64, camera: String = "gate") async throws -> Int {
            try await bench.store.thumbnailObjects(node: bench.log.node, camera: try #require(CameraID(camera)), within: (start + from)..<(start + to)).count
        }
        #expect(try await found(0, 30_000) == 0)
        #expect(try await found(0, 30_001) == 1)
        #expect(try await found(419_999, 430_000) == 1)
        #expect(try await found(420_000, 430_000) == 0)
        #expect(try await found(0, 600_000, camera: "yard") == 0)
    }
}
