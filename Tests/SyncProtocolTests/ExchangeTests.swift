import EvidenceLog
import LogFixtures
import RecordingModel
import SyncProtocol
import Testing

/// Both state machines talking through bytes, without a network.
@Suite struct ExchangeTests {
    private static let contents: [[UInt8]] = [Array(0..<250), [], [9], (0..<700).map { UInt8(truncatingIfNeeded: $0 &* 7) }]
    private static var limits: NodeSyncMachine.Limits {
        var limits = NodeSyncMachine.Limits()
        limits.frameBytes = 64
        return limits
    }

    private func pair(_ contents: [[UInt8]] = contents) throws -> (MemoryNode, MemoryHub) {
        let hub = try MemoryHub()
        return (try MemoryNode(segments: contents, hub: hub, limits: Self.limits), hub)
    }

    private func contact(_ node: inout MemoryNode, _ hub: inout MemoryHub, cutAfter cut: Int? = nil) throws {
        let root = node.root
        try node.machine.helloAnswered(try hub.hello(node.log.node, node.log.log), rootAtSize: root)
        let wire = try node.push()
        let taken = wire.prefix(cut ?? wire.count)
        switch try hub.push(taken, isWhole: taken.count == wire.count) {
        case .success(let reply): try node.machine.pushAnswered(reply, nowMilliseconds: 0)
        case .failure(let problem): throw problem
        case nil: node.machine.disconnected()
        }
    }

    private func expectComplete(_ node: MemoryNode, _ hub: MemoryHub) {
        for (segment, content) in node.files {
            #expect(hub.stored[.sha256(content)] == content)
            #expect(hub.commits[segment] == 1)
            #expect(node.machine.isDone(segment))
        }
        #expect(hub.verifier?.root == node.log.frontier.root)
        #expect(hub.partials.isEmpty)
    }

    @Test("One contact brings everything, and a second one has nothing to say")
    func once() throws {
        // A segment always has bytes; the empty one is left to the cut test, where the hub must not choke on it.
        var (node, hub) = try pair([Array(0..<250), [9], Array(repeating: 3, count: 640)])
        try contact(&node, &hub)
        expectComplete(node, hub)
        let received = hub.receivedBytes
        try node.machine.helloAnswered(try hub.hello(node.log.node, node.log.log), rootAtSize: node.root)
        #expect(try node.push().isEmpty)
        #expect(hub.receivedBytes == received)
    }

    @Test("Cut at every byte, the next contact goes on; nothing is lost, nothing is stored twice, at most a frame is sent again")
    func cutAtEveryByte() throws {
        let contents: [[UInt8]] = [Array(0..<250), [9], (0..<700).map { UInt8(truncatingIfNeeded: $0 &* 7) }]
        let total = contents.reduce(0) { $0 + $1.count }
        var (first, firstHub) = try pair(contents)
        try first.machine.helloAnswered(try firstHub.hello(first.log.node, first.log.log), rootAtSize: first.root)
        let length = try first.push().count
        for cut in 0..<length {
            var (node, hub) = try pair(contents)
            try contact(&node, &hub, cutAfter: cut)
            try contact(&node, &hub)
            expectComplete(node, hub)
            #expect(hub.receivedBytes == total, "cut at \(cut)")
        }
    }

    @Test("A lost answer after everything was stored costs nothing but the hello")
    func lostAnswer() throws {
        var (node, hub) = try pair([Array(0..<100)])
        let root = node.root
        try node.machine.helloAnswered(try hub.hello(node.log.node, node.log.log), rootAtSize: root)
        _ = try hub.push(try node.push(), isWhole: true)
        node.machine.disconnected()
        try contact(&node, &hub)
        expectComplete(node, hub)
        #expect(hub.receivedBytes == 100)
    }

    @Test("The same push twice changes nothing the second time")
    func duplicatePush() throws {
        var (node, hub) = try pair([Array(0..<200), [1, 2, 3]])
        let root = node.root
        try node.machine.helloAnswered(try hub.hello(node.log.node, node.log.log), rootAtSize: root)
        let wire = try node.push()
        let first = try #require(try hub.push(wire, isWhole: true)).get()
        let second = try #require(try hub.push(wire, isWhole: true)).get()
        #expect(second.refusals.isEmpty)
        #expect(second.logSize == first.logSize)
        #expect(hub.receivedBytes == 203)
        #expect(hub.commits.values.allSatisfy { $0 == 1 })
        #expect(second.duplicateBytes > 0)
    }

    @Test("Bytes that are not what the entry promised are refused by name, and the segment is set aside after three times")
    func poison() throws {
        var (node, hub) = try pair([Array(0..<100), Array(5..<90)])
        let bad = try #require(node.files.keys.min())
        let promised = node.work
        node.files[bad] = Array(repeating: 0xEE, count: 100)
        for attempt in 1...3 {
            let root = node.root
            try node.machine.helloAnswered(try hub.hello(node.log.node, node.log.log), rootAtSize: root)
            var wire: [UInt8] = []
            var offered = false
            building: while true {
                switch node.machine.nextStep(logSize: UInt64(node.log.lines.count), nowMilliseconds: 0) {
                case .finish: break building
                case .needWork:
                    node.machine.offer(offered ? [] : promised)
                    offered = true
                case .entries(let start):
                    let (_, _, checkpoint) = node.log.batch(0)
                    wire += FrameCoding.encode(.entries(try EntryBatch(start: start, lines: Array(node.log.lines[Int(start)...]), checkpoint: checkpoint).encoded()))
                    node.machine.sentEntries(upTo: checkpoint.checkpoint.size)
                case .data(let work, let offset, let count):
                    wire += FrameCoding.encode(.data(segment: work.segment, offset: offset, bytes: Array((node.files[work.segment] ?? [])[Int(offset)..<Int(offset) + count])))
                    node.machine.sentData(count: count)
                case .end(let work):
                    wire += FrameCoding.encode(.end(segment: work.segment, length: work.bytes, sha256: work.sha256))
                    node.machine.sentEnd()
                }
            }
            let reply = try #require(try hub.push(wire, isWhole: true)).get()
            #expect(reply.refusals.map(\.reason) == [.wrongHash])
            try node.machine.pushAnswered(reply, nowMilliseconds: 0)
            #expect((node.machine.setAside[bad] != nil) == (attempt == 3))
        }
        #expect(hub.stored.count == 1)
        #expect(hub.stored[.sha256(Array(repeating: 0xEE, count: 100))] == nil)
    }

    @Test("Frames at wrong offsets, of unknown segments and beyond the length are refused, and store nothing")
    func wrongFrames() throws {
        var (node, hub) = try pair([Array(0..<100)])
        _ = try hub.hello(node.log.node, node.log.log)
        let segment = try #require(node.files.keys.first)
        let data: (Int64, Int) -> [UInt8] = { FrameCoding.encode(.data(segment: segment, offset: $0, bytes: Array(repeating: 1, count: $1))) }
        let beforeEntries = try #require(try hub.push(data(0, 10), isWhole: true)).get()
        #expect(beforeEntries.refusals.map(\.reason) == [.unknownSegment])
        let (lines, start, checkpoint) = node.log.batch(0)
        let entries = FrameCoding.encode(.entries(try EntryBatch(start: start, lines: lines, checkpoint: checkpoint).encoded()))
        let reply = try #require(try hub.push(entries + data(5, 10) + data(0, 101) + data(Int64.max, 1), isWhole: true)).get()
        #expect(reply.refusals.map(\.reason) == [.wrongOffset, .wrongLength, .wrongLength])
        #expect(hub.partials.isEmpty && hub.stored.isEmpty)
        let end = FrameCoding.encode(.end(segment: segment, length: 100, sha256: .sha256([0])))
        #expect(try #require(try hub.push(end, isWhole: true)).get().refusals.map(\.reason) == [.wrongHash])
    }

    @Test("A batch that does not lead to its root is answered 422, one that leaves a hole 409, garbage 400; nothing is stored")
    func wrongBatches() throws {
        let (node, original) = try pair()
        func problem(_ batch: [UInt8]) throws -> Problem? {
            var hub = original
            _ = try hub.hello(node.log.node, node.log.log)
            defer { #expect(hub.known.isEmpty && hub.verifier?.size == 0) }
            guard case .failure(let problem) = try hub.push(FrameCoding.encode(.entries(batch)), isWhole: true) else { return nil }
            return problem
        }
        let (lines, _, checkpoint) = node.log.batch(0)
        #expect(try problem(EntryBatch(start: 0, lines: Array(lines.dropLast()), checkpoint: checkpoint).encoded())?.status == 422)
        var altered = lines
        altered[1] = Array(String(decoding: altered[1], as: UTF8.self).replacing("gate", with: "yard").utf8)
        #expect(try problem(EntryBatch(start: 0, lines: altered, checkpoint: checkpoint).encoded())?.status == 422)
        let hole = try problem(EntryBatch(start: 2, lines: Array(lines[2...]), checkpoint: checkpoint).encoded())
        #expect(hole?.status == 409 && hole?.field == "0")
        #expect(try problem([1, 2, 3])?.status == 400)
        var other = node.log
        let stranger = try other.seal(with: SampleLog.signer(node.log.log, 9))
        #expect(try problem(EntryBatch(start: 0, lines: lines, checkpoint: stranger).encoded())?.status == 422)
    }

    @Test("A hub with another history, another key or about another node is not believed")
    func foreignAnswers() throws {
        var (node, hub) = try pair([[1]])
        var reply = try hub.hello(node.log.node, node.log.log)
        let stranger = try MemoryHub()
        #expect(throws: SyncFault.forked(hubSize: 0)) {
            var forked = reply
            forked.logRoot = .sha256([1])
            try node.machine.helloAnswered(forked, rootAtSize: node.root)
        }
        var other = stranger
        let foreign = try other.hello(node.log.node, node.log.log).statement
        reply.statement = foreign
        #expect(throws: SyncFault.foreignStatement) { try node.machine.helloAnswered(reply, rootAtSize: node.root) }
        #expect(node.machine.statement == nil)
    }

    @Test("A push ends after its time, within a segment too, and the next one goes on at the byte")
    func timeLimit() throws {
        var (node, hub) = try pair([Array(repeating: 1, count: 500), Array(repeating: 2, count: 500)])
        try contact(&node, &hub, cutAfter: 0)
        try node.machine.helloAnswered(try hub.hello(node.log.node, node.log.log), rootAtSize: node.root)
        let batch = FrameCoding.encode(.entries(try EntryBatch(start: 0, lines: node.log.lines, checkpoint: node.log.checkpoints[0]).encoded()))
        var wire = batch
        node.machine.sentEntries(upTo: 3)
        #expect(node.machine.nextStep(logSize: 3, nowMilliseconds: 0) == .needWork)
        node.machine.offer(node.work)
        guard case .data(let work, 0, let count) = node.machine.nextStep(logSize: 3, nowMilliseconds: 0) else { Issue.record("no data"); return }
        wire += FrameCoding.encode(.data(segment: work.segment, offset: 0, bytes: Array(repeating: 1, count: count)))
        node.machine.sentData(count: count)
        #expect(node.machine.nextStep(logSize: 3, nowMilliseconds: 40_000) == .finish)
        try node.machine.pushAnswered(try #require(try hub.push(wire, isWhole: true)).get(), nowMilliseconds: 40_000)
        _ = node.machine.nextStep(logSize: 3, nowMilliseconds: 40_000)
        node.machine.offer(node.work)
        guard case .data(_, let offset, _) = node.machine.nextStep(logSize: 3, nowMilliseconds: 40_000) else { Issue.record("no data"); return }
        #expect(offset == Int64(count))
    }

    @Test("Numbers that would overflow are refused, not added", arguments: [UInt64.max, UInt64.max - 1, 1 << 60])
    func overflow(start: UInt64) throws {
        let (node, original) = try pair([[1]])
        var hub = original
        _ = try hub.hello(node.log.node, node.log.log)
        let batch = try EntryBatch(start: start, lines: node.log.lines, checkpoint: node.log.checkpoints[0]).encoded()
        guard case .failure(let problem) = try #require(try hub.push(FrameCoding.encode(.entries(batch)), isWhole: true)) else { Issue.record("taken"); return }
        #expect(problem.status == 400)
    }

    @Test("An entry whose times or lengths cannot be is no entry, whoever signed it")
    func implausible() throws {
        for change: (inout SegmentRecord) -> Void in [
            { $0.startBootMilliseconds = .min }, { $0.endBootMilliseconds = -1 }, { $0.startWall.unixMilliseconds = .max }, { $0.bytes = -1 },
            { $0.bytes = 1 << 40 }, { $0.initBytes = $0.bytes + 1 }, { $0.sequence = .max }, { $0.frames = -1 }, { $0.mediaDurationTicks90k = .min },
        ] {
            var log = try SampleLog()
            var record = try SegmentRecord.sample(sequence: 0)
            change(&record)
            try log.append(.segment(record))
            let checkpoint = try log.seal()
            var verifier = LogVerifier(node: log.node, log: log.log)
            #expect(throws: LogFault.malformedEntry(index: 1)) { try verifier.append(log.lines, from: 0, leadingTo: checkpoint) }
        }
    }
}
