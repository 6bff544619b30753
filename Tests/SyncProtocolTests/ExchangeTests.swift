import EvidenceLog
import LogFixtures
import RecordingModel
import SyncProtocol
import Testing

/// Both state machines talking through bytes, without a network.
@Suite struct ExchangeTests {
    private static let contents: [[UInt8]] = [Array(0..<250), [], [9], (0..<700).map { UInt8(truncatingIfNeeded: $0 &* 7) }]
    private func pair(_ contents: [[UInt8]] = contents) throws -> (MemoryNode, MemoryHub) {
        let hub = try MemoryHub()
        return (try MemoryNode(segments: contents, hub: hub, frameBytes: 64), hub)
    }

    /// Hello, answer, push, answer.
    private func contact(_ node: inout MemoryNode, _ hub: inout MemoryHub, cutAfter cut: Int? = nil) throws {
        try node.greet(&hub)
        let wire = try node.push()
        guard !wire.isEmpty else { return }
        try arrive(wire, cutAfter: cut, &node, &hub)
    }

    /// The hub takes a push, whole or up to a byte; the node hears of it, or of the cut.
    private func arrive(_ wire: [UInt8], cutAfter cut: Int?, _ node: inout MemoryNode, _ hub: inout MemoryHub) throws {
        let taken = wire.prefix(cut ?? wire.count)
        switch try hub.push(taken, isWhole: taken.count == wire.count) {
        case .success(let reply): try node.machine.pushAnswered(reply, nowMilliseconds: 0)
        case .failure(let problem): throw problem
        case nil: node.machine.disconnected()
        }
    }

    /// Hello and push leave together; the answer to the hello comes while the push is under way.
    private func pushBehindHello(_ node: inout MemoryNode, _ original: MemoryHub) throws -> [UInt8] {
        var hub = original
        #expect(node.machine.nextStep(logSize: node.logSize, nowMilliseconds: 0, pace: node.pace) == .hello)
        node.machine.sentHello()
        let answer = try hub.hello(node.log.node, node.log.log)
        let early = try node.push(mostSteps: 5)
        let root = node.root
        try node.machine.helloAnswered(answer, rootAtSize: root)
        return try early + node.push()
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
        try node.greet(&hub)
        #expect(try node.push().isEmpty)
        #expect(node.machine.isSettled(logSize: node.logSize))
        #expect(hub.receivedBytes == received)
    }

    @Test("Cut at every byte, the next contact goes on; nothing is lost, nothing is stored twice, at most a frame is sent again")
    func cutAtEveryByte() throws {
        let contents: [[UInt8]] = [Array(0..<250), [9], (0..<700).map { UInt8(truncatingIfNeeded: $0 &* 7) }]
        let total = contents.reduce(0) { $0 + $1.count }
        var (first, firstHub) = try pair(contents)
        try first.greet(&firstHub)
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
        try node.greet(&hub)
        _ = try hub.push(try node.push(), isWhole: true)
        node.machine.disconnected()
        try contact(&node, &hub)
        expectComplete(node, hub)
        #expect(hub.receivedBytes == 100)
    }

    @Test("The same push twice changes nothing the second time")
    func duplicatePush() throws {
        var (node, hub) = try pair([Array(0..<200), [1, 2, 3]])
        try node.greet(&hub)
        let wire = try node.push()
        let first = try #require(try hub.push(wire, isWhole: true)).get()
        let second = try #require(try hub.push(wire, isWhole: true)).get()
        #expect(second.refusals.isEmpty)
        #expect(second.logSize == first.logSize)
        #expect(hub.receivedBytes == 203)
        #expect(hub.commits.values.allSatisfy { $0 == 1 })
        #expect(second.duplicateBytes > 0)
    }

    @Test("A segment that the hub cannot keep and the node vouches for is refused by name, and set aside after three times")
    func poison() throws {
        var (node, hub) = try pair([Array(0..<100), Array(5..<90)])
        let bad = try #require(node.files.keys.min())
        hub.spoilt = [.sha256(Array(0..<100))]
        try node.greet(&hub)
        for attempt in 1...3 {
            let reply = try #require(try hub.push(try node.push(), isWhole: true)).get()
            #expect(reply.refusals.map(\.reason) == [.wrongHash])
            try node.machine.pushAnswered(reply, nowMilliseconds: 0)
            #expect((node.machine.setAside[bad] != nil) == (attempt == 3) && node.examined == attempt - 1)
        }
        #expect(try node.push().isEmpty)
        #expect(hub.stored.count == 1)
        // An hour later the hub's disk may have been mended.
        #expect(try !node.push(nowMilliseconds: 3_600_000).isEmpty)
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
        #expect(throws: SyncFault.forked(hubSize: 0)) { try node.greet(&hub) { $0.logRoot = .sha256([1]) } }
        (node, hub) = try pair([[1]])
        var stranger = try MemoryHub()
        let foreign = try stranger.hello(node.log.node, node.log.log).statement
        #expect(throws: SyncFault.foreignStatement) { try node.greet(&hub) { $0.statement = foreign } }
        #expect(node.machine.statement == nil)
        (node, hub) = try pair([[1]])
        let unasked = try hub.hello(node.log.node, node.log.log)
        #expect(throws: SyncFault.unexpectedAnswer) { try node.machine.helloAnswered(unasked) { _ in unasked.logRoot } }
    }

    @Test("A push ends after its time, within a segment too, and the next one goes on at the byte before the answer is here")
    func timeLimit() throws {
        var (node, hub) = try pair([Array(repeating: 1, count: 500), Array(repeating: 2, count: 500)])
        try node.greet(&hub)
        // Begin, entries, work and one frame of the first segment; then the time is over.
        let first = try node.push(mostSteps: 4)
        #expect(node.machine.nextStep(logSize: node.logSize, nowMilliseconds: 30_000, pace: node.pace) == .endPush)
        node.machine.endedPush()
        let second = try node.push(nowMilliseconds: 30_000)
        try arrive(first, cutAfter: nil, &node, &hub)
        try arrive(second, cutAfter: nil, &node, &hub)
        expectComplete(node, hub)
        #expect(hub.receivedBytes == 1_000)
    }

    @Test("Of two pushes under way the first one's answer takes nothing back from the second")
    func answersInOrder() throws {
        var (node, hub) = try pair([Array(repeating: 1, count: 500), Array(repeating: 2, count: 300), Array(repeating: 3, count: 200)])
        try node.greet(&hub)
        let first = try node.push(mostSteps: 4)
        _ = node.machine.nextStep(logSize: node.logSize, nowMilliseconds: 30_000, pace: node.pace)
        node.machine.endedPush()
        let begun = try node.push(nowMilliseconds: 30_000, mostSteps: 9)
        try arrive(first, cutAfter: nil, &node, &hub)
        let rest = try node.push(nowMilliseconds: 30_000)
        try arrive(begun + rest, cutAfter: nil, &node, &hub)
        expectComplete(node, hub)
        #expect(hub.receivedBytes == 1_000 && node.machine.duplicateBytes == 0)
    }

    @Test("A new contact goes on where the last one surely arrived, before the hub has said a word; cut at every frame, nothing is sent twice")
    func anticipation() throws {
        let contents: [[UInt8]] = [Array(0..<250), [9], (0..<700).map { UInt8(truncatingIfNeeded: $0 &* 7) }]
        var (first, firstHub) = try pair(contents)
        try first.greet(&firstHub)
        _ = try first.push()
        let frames = first.frameEnds.count
        for cut in 0...frames {
            var (node, hub) = try pair(contents)
            try node.greet(&hub)
            let wire = try node.push()
            node.machine.delivered(frames: cut)
            try arrive(wire, cutAfter: cut == 0 ? 0 : node.frameEnds[cut - 1], &node, &hub)
            node.machine.disconnected()
            let wireAgain = try pushBehindHello(&node, hub)
            if !wireAgain.isEmpty { try arrive(wireAgain, cutAfter: nil, &node, &hub) }
            expectComplete(node, hub)
            #expect(hub.receivedBytes == 951 && node.machine.duplicateBytes == 0, "cut after \(cut) of \(frames) frames")
        }
    }

    @Test("What had arrived and is gone at the hub is sent again once it says so")
    func anticipationWasWrong() throws {
        var (node, hub) = try pair([Array(repeating: 1, count: 640)])
        try node.greet(&hub)
        let wire = try node.push()
        node.machine.delivered(frames: 6)
        try arrive(wire, cutAfter: node.frameEnds[5], &node, &hub)
        #expect(!hub.partials.isEmpty)
        hub.partials = [:]
        try arrive(try pushBehindHello(&node, hub), cutAfter: nil, &node, &hub)
        // What was guessed wrong is no refusal: however often it happens, nothing is set aside for it.
        if hub.stored.isEmpty { try arrive(try node.push(), cutAfter: nil, &node, &hub) }
        expectComplete(node, hub)
        #expect(node.machine.setAside.isEmpty)
    }

    @Test("A hub that refuses all is offered no more than a bounded number, until their time is over")
    func refusesAll() throws {
        let hub = try MemoryHub()
        var limits = NodeSyncMachine.Limits()
        limits.refusalLimit = 1
        limits.setAsideLimit = 2
        var node = try MemoryNode(segments: [[1, 1], [2, 2], [3, 3], [4, 4]], hub: hub, frameBytes: 64, limits: limits)
        var taking = hub
        for segment in node.files.keys { node.promised[segment] = .sha256([9]) }
        try node.greet(&taking)
        let pushed = try node.push()
        try arrive(pushed, cutAfter: nil, &node, &taking)
        #expect(node.machine.setAside.count == 4 && taking.stored.isEmpty)
        let fresh = SegmentWork(segment: SegmentID(stream: try #require(node.files.keys.first).stream, sequence: 99), sha256: .sha256([7]), bytes: 1, logIndex: 0)
        node.machine.offer([fresh])
        #expect(node.machine.nextStep(logSize: node.logSize, nowMilliseconds: 0, pace: node.pace) == .wait)
        #expect(node.machine.nextStep(logSize: node.logSize, nowMilliseconds: 3_600_000, pace: node.pace) == .needWork)
        node.machine.offer([fresh])
        #expect(node.machine.nextStep(logSize: node.logSize, nowMilliseconds: 3_600_000, pace: node.pace) == .beginPush)
    }

    @Test("A segment whose file is not what its entry says crosses the link once: then the node looks at it, each hour, and sends it when it is mended")
    func altered() throws {
        var (node, hub) = try pair([Array(repeating: 1, count: 640), Array(repeating: 2, count: 640)])
        let segment = try #require(node.files.keys.sorted().first)
        let content = try #require(node.files[segment])
        node.promised[segment] = .sha256(content)
        node.files[segment]?[300] ^= 1
        try node.greet(&hub)
        try arrive(try node.push(), cutAfter: nil, &node, &hub)
        #expect(hub.stored.count == 1 && node.machine.setAside.isEmpty && node.examined == 0)
        for hour in Int64(0)...2 {
            let wire = try node.push(nowMilliseconds: hour * 3_600_000)
            #expect(wire.isEmpty && node.examined == Int(hour) + 1)
            #expect(node.machine.setAside.keys.map(\.self) == [segment] && node.machine.setAside[segment]?.detail.contains("not what its entry says") == true)
            #expect(node.machine.nextStep(logSize: node.logSize, nowMilliseconds: hour * 3_600_000 + 3_599_999, pace: node.pace) == .wait)
        }
        node.files[segment] = content
        try arrive(try node.push(nowMilliseconds: 3 * 3_600_000), cutAfter: nil, &node, &hub)
        expectComplete(node, hub)
        #expect(node.machine.setAside.isEmpty && node.examined == 4)
    }

    @Test("More wanted work overtakes a segment within it, and what was begun is ended before its like")
    func overtaking() throws {
        var (node, hub) = try pair([Array(repeating: 1, count: 640), Array(repeating: 2, count: 640), Array(repeating: 3, count: 100)])
        try node.greet(&hub)
        let all = node.work
        let usual = [all[1], all[0]]
        #expect(node.machine.nextStep(logSize: node.logSize, nowMilliseconds: 0, pace: node.pace) == .beginPush)
        node.machine.beganPush()
        node.machine.sentEntries(upTo: node.logSize)
        node.machine.offer(usual)
        guard case .data(let first, 0, let count) = node.machine.nextStep(logSize: node.logSize, nowMilliseconds: 0, pace: node.pace) else { Issue.record("no data"); return }
        #expect(first.segment == all[1].segment)
        node.machine.sentData(first, offset: 0, count: count)
        node.machine.lookAgain()
        #expect(node.machine.nextStep(logSize: node.logSize, nowMilliseconds: 0, pace: node.pace) == .needWork)
        var urgent = all[2]
        urgent.trafficClass = .event
        node.machine.offer([all[0], all[1], urgent])
        guard case .data(let second, 0, _) = node.machine.nextStep(logSize: node.logSize, nowMilliseconds: 0, pace: node.pace) else { Issue.record("no data"); return }
        #expect(second.segment == urgent.segment)
        node.machine.sentData(second, offset: 0, count: 100)
        node.machine.sentEnd(second)
        guard case .data(let third, let offset, _) = node.machine.nextStep(logSize: node.logSize, nowMilliseconds: 0, pace: node.pace) else { Issue.record("no data"); return }
        #expect(third.segment == all[1].segment && offset == Int64(count))
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
