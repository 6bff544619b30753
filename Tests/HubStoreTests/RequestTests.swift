import EvidenceLog
import Foundation
import GRDB
@testable import HubStore
import LogFixtures
import RecordingModel
import SyncProtocol
import Testing

@Suite struct RequestTests {
    /// Ten minutes of footage of boot `a`, told of at once.
    private struct Bench {
        let folder: StoreFolder
        let store: HubStore
        var log: ToldLog
        static let start: Int64 = 1_795_200_000_000

        init(segments: UInt64 = 10) throws {
            folder = try StoreFolder()
            store = try folder.open()
            log = try ToldLog()
            for number in 0..<segments { try log.tellSegment(number, boot: "a", at: Int64(number) * 60_000, wall: ToldLog.wall(Self.start + Int64(number) * 60_000, .ntp)) }
            try log.push(store)
        }

        /// Minutes of the footage.
        @discardableResult
        func ask(_ kind: FootageRequest.Kind, _ minutes: Range<Int64>, reason: String? = nil, stream: StreamKind? = nil) async throws -> FootageRequest {
            try await store.addRequest(
                NewFootageRequest(
                    kind: kind, camera: log.camera, stream: stream, startUnixMilliseconds: Self.start + minutes.lowerBound * 60_000,
                    endUnixMilliseconds: Self.start + minutes.upperBound * 60_000, reason: reason), node: log.node, user: "anna", nowUnixMilliseconds: ToldLog.now)
        }

        func wants() throws -> Wants { try store.wants(node: log.node, log: log.sample.log, nowUnixMilliseconds: ToldLog.now) }
        func words(_ holdings: [StreamHoldings]) -> [String] { holdings.map { "\($0.stream) \($0.sequences)" } }
        func request(_ id: Int64) async throws -> FootageRequest { try #require(try await store.request(id)) }
    }

    @Test("Nothing asked for is the tag none; a pull names the segments that reach into its range, and ends when they are here")
    func pull() async throws {
        let bench = try Bench()
        #expect(try bench.wants() == .none)
        let request = try await bench.ask(.pull, 2..<5)
        #expect(request.state == .open && request.progress == .init(segments: 3, waitingBytes: 27, isReported: true))
        var wants = try bench.wants()
        #expect(bench.words(wants.pulls) == ["gate/main 2-4"] && wants.pins == wants.pulls)
        let first = wants
        #expect(try bench.wants() == first)
        try bench.log.deliver(3, to: bench.store)
        wants = try bench.wants()
        #expect(bench.words(wants.pulls) == ["gate/main 2,4"] && wants != first)
        try bench.log.deliver(2, to: bench.store)
        try bench.log.deliver(4, to: bench.store)
        #expect(try bench.wants() == .none)
        let done = try await bench.request(request.id)
        #expect(done.state == .done && done.endedUnixMilliseconds == ToldLog.now && done.progress?.segments == 3 && done.progress?.segmentsOnHub == 3 && done.progress?.segmentsLost == 0)
        #expect(try await bench.store.requests().isEmpty)
        #expect(try await bench.store.requests(withEnded: true).map(\.id) == [request.id])
        // The same after a restart: nothing of it is only in memory.
        let again = try bench.folder.open()
        #expect(try again.wants(node: bench.log.node, log: bench.log.sample.log, nowUnixMilliseconds: ToldLog.now) == .none)
    }

    @Test("A pull of what is here, or of a time in which nothing was recorded, is done at once; one that the log has not reached stays")
    func reached() async throws {
        let bench = try Bench()
        try bench.log.deliver(0, to: bench.store)
        #expect(try await bench.ask(.pull, 0..<1).state == .done)
        #expect(try await bench.ask(.pull, -100 ..< -50).progress?.segments == 0)
        let ahead = try await bench.ask(.pull, 9..<12)
        #expect(ahead.state == .open && ahead.progress?.isReported == false)
        try bench.log.deliver(9, to: bench.store)
        #expect(try bench.wants() == .none)
        #expect(try await bench.request(ahead.id).state == .open)
        var log = bench.log
        for number in 10..<13 as Range<UInt64> { try log.tellSegment(number, boot: "a", at: Int64(number) * 60_000, wall: ToldLog.wall(Bench.start + Int64(number) * 60_000, .ntp)) }
        try log.push(bench.store)
        #expect(bench.words(try bench.wants().pulls) == ["gate/main 10-11"])
        try log.deliver(10, to: bench.store)
        try log.deliver(11, to: bench.store)
        #expect(try bench.wants() == .none)
        #expect(try await bench.request(ahead.id).state == .done)
    }

    @Test("What the node has lost ends a pull, with how much of it was lost")
    func lost() async throws {
        var bench = try Bench()
        let request = try await bench.ask(.pull, 0..<4)
        #expect(bench.words(try bench.wants().pulls) == ["gate/main 0-3"])
        try bench.log.deliver(3, to: bench.store)
        try bench.log.tellRemoval("0-2", .space)
        try bench.log.push(bench.store)
        #expect(try bench.wants() == .none)
        let done = try await bench.request(request.id)
        #expect(done.state == .done && done.progress?.segmentsLost == 3 && done.progress?.segmentsOnHub == 1)
    }

    @Test("A pin asks for nothing and ends what it forbids when the hub has it; a hold forbids it all the same, until it is withdrawn")
    func pinAndHold() async throws {
        let bench = try Bench()
        let pin = try await bench.ask(.pin, 0..<2)
        let hold = try await bench.ask(.hold, 4..<6, reason: "case 12")
        var wants = try bench.wants()
        #expect(wants.pulls.isEmpty && bench.words(wants.pins) == ["gate/main 0-1,4-5"])
        for number in [0, 1, 4, 5] as [UInt64] { try bench.log.deliver(number, to: bench.store) }
        wants = try bench.wants()
        #expect(bench.words(wants.pins) == ["gate/main 4-5"])
        let withdrawn = try await bench.store.withdrawRequest(hold.id, user: "berta", nowUnixMilliseconds: ToldLog.now + 5)
        #expect(withdrawn.state == .withdrawn && withdrawn.endedBy == "berta" && withdrawn.endedUnixMilliseconds == ToldLog.now + 5)
        #expect(try bench.wants() == .none)
        #expect(try await bench.store.requests().map(\.id) == [pin.id])
        await #expect(throws: HubStore.RequestFault.notOpen) { try await bench.store.withdrawRequest(hold.id, user: "anna", nowUnixMilliseconds: 0) }
        await #expect(throws: HubStore.RequestFault.unknown) { try await bench.store.withdrawRequest(99, user: "anna", nowUnixMilliseconds: 0) }
    }

    @Test("Pulls come in the order in which they were asked, and no segment twice")
    func order() async throws {
        let bench = try Bench()
        try await bench.ask(.pull, 5..<7)
        try await bench.ask(.pull, 1..<6)
        try await bench.ask(.pull, 0..<9, stream: .proxy)
        #expect(bench.words(try bench.wants().pulls) == ["gate/main 5-6", "gate/main 1-4"])
        #expect(bench.words(try bench.wants().pins) == ["gate/main 1-6"])
    }

    @Test("What cannot be asked for is refused with its reason, and leaves nothing")
    func bounds() async throws {
        let bench = try Bench()
        func expect(_ fault: HubStore.RequestFault, _ work: () async throws -> Void) async { await #expect(throws: fault) { try await work() } }
        await expect(.emptyRange) { try await bench.ask(.pull, 3..<3) }
        await expect(.rangeTooLong) { try await bench.ask(.pull, -50_000..<10) }
        await expect(.rangeAhead) { try await bench.ask(.pull, 10_000_000..<10_000_001) }
        await expect(.reasonMissing) { try await bench.ask(.hold, 0..<1, reason: "  ") }
        await expect(.reasonTooLong) { try await bench.ask(.pull, 0..<1, reason: String(repeating: "x", count: 501)) }
        await expect(.reasonTooLong) { try await bench.ask(.pull, 0..<1, reason: "a\u{1b}[2J") }
        let other = NewFootageRequest(kind: .pull, camera: try #require(CameraID("barn")), startUnixMilliseconds: Bench.start, endUnixMilliseconds: Bench.start + 1)
        await expect(.unknownCamera) { _ = try await bench.store.addRequest(other, node: bench.log.node, user: "a", nowUnixMilliseconds: ToldLog.now) }
        await expect(.unknownNode) { _ = try await bench.store.addRequest(other, node: NodeID(keyHash: .zero), user: "a", nowUnixMilliseconds: ToldLog.now) }
        #expect(try await bench.store.requests(withEnded: true).isEmpty)
        for _ in 0..<FootageRequest.openPerNodeMax { try await bench.ask(.pin, 0..<1) }
        await expect(.tooMany) { try await bench.ask(.pin, 0..<1) }
    }

    @Test("The timeline shows what is asked for and what has begun to come")
    func timeline() async throws {
        let bench = try Bench()
        try await bench.ask(.pull, 2..<5)
        try await bench.ask(.pin, 7..<8)
        try bench.store.appendPartial(ToldLog.bytes(3).prefix(4), to: .sha256(ToldLog.bytes(3)), node: bench.log.node, at: 0)
        try bench.log.deliver(0, to: bench.store)
        let timeline = try await bench.log.timeline(bench.store, from: Bench.start, to: Bench.start + 600_000)
        let states = timeline.spans.map { "\(($0.startUnixMilliseconds - Bench.start) / 60_000)-\(($0.endUnixMilliseconds - Bench.start) / 60_000) \($0.state.rawValue)" }
        #expect(states == ["0-1 on-hub", "1-2 only-on-node", "2-3 requested", "3-4 transferring", "4-5 requested", "5-10 only-on-node"])
    }

    @Test("Of 172,800 segments of which every second is missing, an idle node's hello costs no look at the catalogue, and a pull of a month little")
    func large() async throws {
        let bench = try Bench(segments: 1)
        let (node, log) = (bench.log.node, bench.log.sample.log)
        let record = try await bench.store.catalogue.read { try String.fetchOne($0, sql: "SELECT record FROM segments") } ?? ""
        try await bench.store.catalogue.write { db in
            let statement = try db.makeStatement(
                sql: """
                    INSERT INTO segments (node, log, camera, kind, sequence, log_index, start_ms, end_ms, bytes, sha256, held, record, boot, start_boot_ms, end_boot_ms)
                    VALUES (?, ?, ?, 'main', ?, ?, ?, ?, 1900000, ?, ?, ?, 'a', 0, 15000)
                    """)
            for number in 1..<172_800 as Range<Int64> {
                let start = Bench.start + number * 15_000
                try statement.execute(arguments: [node.description, log.description, "gate", number, number, start, start + 15_000, "\(number)", number % 2, record])
            }
        }
        let store = try bench.folder.open()
        let clock = ContinuousClock()
        func wants() throws -> Wants { try store.wants(node: node, log: log, nowUnixMilliseconds: ToldLog.now) }
        var answer: Wants?
        let cold = try clock.measure { answer = try wants() }
        #expect(answer == Wants.none)
        let idle = try clock.measure { for _ in 0..<1_000 { _ = try wants() } } / 1_000
        #expect(idle < .milliseconds(1))
        let new = NewFootageRequest(kind: .pull, camera: bench.log.camera, startUnixMilliseconds: Bench.start, endUnixMilliseconds: Bench.start + 30 * 86_400_000)
        let asking = try await clock.measure { _ = try await store.addRequest(new, node: node, user: "anna", nowUnixMilliseconds: ToldLog.now) }
        let first = try clock.measure { _ = try wants() }
        // More holes than an answer may have: the first of them are pulled, and all is pinned.
        let asked = try wants()
        #expect(asked.pulls.count == 1 && asked.pulls.first?.sequences.ranges.count == HubStore.wantedRangesMax && asked.pulls.first?.sequences.first == 0)
        #expect(bench.words(asked.pins) == ["gate/main 0-172798"])
        #expect(try MessageCoding.encode(asked).count < 64_000)
        store.heldChanged(HubStore.LogKey(node: node, log: log))
        let after = try clock.measure { _ = try wants() }
        print("wants of 172,800 segments: first hello \(cold), idle \(idle), a month asked for in \(asking), first answer \(first), after a segment \(after)")
    }
}
