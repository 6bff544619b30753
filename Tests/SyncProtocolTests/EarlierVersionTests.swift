import EvidenceLog
import FoundationEssentials
import LogFixtures
import RecordingModel
import SyncProtocol
import Testing

/// Messages as version 1 of the protocol wrote them, kept as files in `Version1`: a hub and a node of it, one log of seven
/// entries and two segments. They were written by the programs of that version and are never made anew.
@Suite struct EarlierVersionTests {
    static func file(_ name: String) throws -> [UInt8] {
        let folder = #filePath.split(separator: "/").dropLast().joined(separator: "/")
        return Array(try Data(contentsOf: URL(filePath: "/\(folder)/Version1/\(name)")))
    }

    /// The hub's key and id, the node's, and the log's, a line each.
    private static func names() throws -> (key: NoteKey, hub: HubID, node: NodeID, log: LogID) {
        let lines = try String(decoding: file("names"), as: UTF8.self).split(separator: "\n").map(String.init)
        return try (NoteKey(text: lines[0]).orThrow("a key"), HubID(lines[1]).orThrow("a hub"), NodeID(lines[2]).orThrow("a node"), LogID(lines[3]).orThrow("a log"))
    }

    @Test("A hub of today takes what a node of version 1 says, and stores its push")
    func hubOfToday() throws {
        let names = try Self.names()
        var memory = HubHelloMemory(node: names.node, hub: names.hub)
        let request = try memory.take(compressed: Self.file("hello"))
        #expect(request.versions == [1])
        #expect(ProtocolVersion.supported.first(where: request.versions.contains) == 1)
        // Which knows of no dictionary, and is never answered with one.
        #expect(request.dictionaries == nil && memory.dictionaryID == nil)
        #expect(request.log == names.log)
        #expect(request.backlog == Backlog(segments: 2, bytes: 500, durationMilliseconds: 120_000))
        var hub = try MemoryHub()
        _ = try hub.hello(names.node, request.log)
        guard case .success(let reply) = try hub.push(Self.file("push"), isWhole: true) else { throw FixtureError(what: "the push was stopped") }
        #expect(reply.refusals.isEmpty)
        #expect(reply.logSize == request.logSize)
        #expect(hub.stored.count == 2)
    }

    @Test("A node of today understands the answers of a hub of version 1, and goes on in that version")
    func nodeOfToday() throws {
        let names = try Self.names()
        var machine = NodeSyncMachine(hub: names.hub, hubKey: names.key, node: names.node, log: names.log)
        let pace = LinkPace.unknown
        #expect(machine.nextStep(logSize: 3, nowMilliseconds: 0, pace: pace) == .hello)
        let request = try MessageCoding.decode(HelloRequest.self, from: Self.file("hello"))
        // A hub of version 1 does not know what is said first, and says so.
        #expect(try machine.helloMemory.encode(request).type == SyncRoutes.referencedType)
        machine.sentHello()
        machine.wasRefused()
        machine.disconnected()
        #expect(machine.nextStep(logSize: 3, nowMilliseconds: 0, pace: pace) == .hello)
        #expect(try machine.helloMemory.encode(request).type == SyncRoutes.messageType)
        machine.sentHello()
        let answer = try machine.helloMemory.decode(Self.file("hello-answer"))
        #expect(answer.wants == nil)
        #expect(answer.dictionary == nil && machine.helloMemory.dictionary == nil)
        try machine.helloAnswered(answer) { _ in answer.logRoot }
        machine.beganPush()
        machine.sentEntries(upTo: request.logSize)
        machine.endedPush()
        try machine.pushAnswered(MessageCoding.decode(PushReply.self, from: Self.file("push-answer")), nowMilliseconds: 0)
        #expect(machine.statement?.logSize == request.logSize)
        #expect(machine.statement?.held.map(\.sequences) == [SequenceRanges([0, 1])])
        #expect(try machine.helloMemory.encode(request).type == SyncRoutes.messageType)
    }

    @Test("A hub that knows versions to come speaks the newest that both know; one without a common version is not spoken to")
    func versionToCome() throws {
        #expect(ProtocolVersion.supported.first(where: [9, 2].contains) == 2)
        #expect(ProtocolVersion.supported.first(where: [9].contains) == nil)
        let names = try Self.names()
        var machine = NodeSyncMachine(hub: names.hub, hubKey: names.key, node: names.node, log: names.log)
        _ = machine.nextStep(logSize: 3, nowMilliseconds: 0, pace: .unknown)
        machine.wasRefused()
        _ = try machine.helloMemory.encode(MessageCoding.decode(HelloRequest.self, from: Self.file("hello")))
        machine.sentHello()
        var answer = try machine.helloMemory.decode(Self.file("hello-answer"))
        answer.version = 9
        #expect(throws: SyncFault.unknownVersion(9)) { try machine.helloAnswered(answer) { _ in answer.logRoot } }
    }
}

/// Hello and its answer, each compressed against the one before.
@Suite struct HelloMemoryTests {
    private static func request(_ session: UInt64, uptime: Int64) throws -> HelloRequest {
        let camera = CameraHealth(camera: try SegmentRecord.sample(sequence: 0).stream.camera, state: .recording, sinceBootMilliseconds: 5, packets: UInt64(uptime))
        let holes = SequenceRanges((0..<100).map { UInt64($0 * 1_700) })
        return try HelloRequest(
            session: session,
            status: NodeStatus(software: "2", site: "Pass", bootID: "boot", uptimeMilliseconds: uptime, clock: Moment.sample(milliseconds: uptime).wall, disk: nil, cameras: [camera]),
            log: SampleLog().log, logSize: 172_800, checkpoint: nil,
            holdings: [StreamHoldings(stream: SegmentRecord.sample(sequence: 0).stream, sequences: SequenceRanges(closed: 0...172_799).subtracting(holes))],
            backlog: Backlog(), statementLogSize: 172_800, statementGeneration: 1)
    }
    private static func reply(_ hub: MemoryHub, _ now: Int64) throws -> HelloReply {
        let statement = HoldingsStatement(
            hub: hub.id, generation: 1, node: try SampleLog().node, log: try SampleLog().log, logSize: 172_800, logRoot: MerkleTree.emptyRoot, held: [], level: .stored,
            issuedUnixMilliseconds: 0)
        return HelloReply(
            version: 2, hubUnixMilliseconds: now, logSize: 172_800, logRoot: MerkleTree.emptyRoot, statement: try SignedStatement(statement, signer: hub.signer), partials: [],
            grant: Grant(bytes: 1, seconds: 1))
    }

    private static func pair(_ hub: MemoryHub) throws -> (NodeHelloMemory, HubHelloMemory) {
        let node = try SampleLog().node
        return (NodeHelloMemory(node: node, hub: hub.id), HubHelloMemory(node: node, hub: hub.id))
    }

    @Test("A statement with a hundred holes comes out as it was signed, and costs a hello of some hundred bytes")
    func holes() throws {
        let hub = try MemoryHub()
        var (node, known) = try Self.pair(hub)
        var numbers = SeededNumbers(seed: 2)
        let streams = try (0..<4).map { try StreamID("camera\($0)/main").orThrow("a stream") }
        let held = streams.map { stream in
            StreamHoldings(stream: stream, sequences: SequenceRanges(closed: 0...43_199).subtracting(SequenceRanges((0..<25).map { _ in UInt64.random(in: 0...43_199, using: &numbers) })))
        }
        let statement = HoldingsStatement(
            hub: hub.id, generation: 1, node: try SampleLog().node, log: try SampleLog().log, logSize: 172_801, logRoot: .sha256([1]), held: held, level: .stored,
            issuedUnixMilliseconds: 1_795_000_000_000)
        let reply = HelloReply(
            version: 2, hubUnixMilliseconds: 1_795_000_000_000, logSize: 172_801, logRoot: .sha256([1]), statement: try SignedStatement(statement, signer: hub.signer), partials: [],
            grant: Grant(bytes: 1 << 28, seconds: 30))
        let (_, newest) = try known.decode(node.encode(Self.request(1, uptime: 1)).body)
        let body = try known.encode(reply, newestAnswer: newest)
        let whole = try node.decode(body)
        #expect(whole == reply)
        #expect(whole.statement.verified(by: hub.signer.verifier) == statement)
        #expect(body.count <= 560, "\(body.count) bytes")
    }

    @Test("What has not changed costs nothing, in either direction, and both sides read the same")
    func small() throws {
        let hub = try MemoryHub()
        var (node, known) = try Self.pair(hub)
        let answer = try Self.reply(hub, 1)
        var sizes: [(Int, Int)] = []
        for session in UInt64(1)...5 {
            let message = try node.encode(Self.request(session, uptime: Int64(session) * 30_000))
            #expect(message.type == SyncRoutes.referencedType)
            let (request, newest) = try known.decode(message.body)
            #expect(request == (try Self.request(session, uptime: Int64(session) * 30_000)))
            var reply = answer
            reply.hubUnixMilliseconds = Int64(session) * 30_000
            let body = try known.encode(reply, newestAnswer: newest)
            #expect(try node.decode(body) == reply)
            sizes.append((message.body.count, body.count))
        }
        // The first one goes by the template: log, boot and signature are new to the other side, and a hundred holes.
        #expect(sizes[0].0 <= 600 && sizes[0].1 <= 250, "\(sizes)")
        #expect(sizes[4].0 <= 110 && sizes[4].1 <= 80, "\(sizes)")
    }

    @Test("A lost answer leaves both sides able to go on; a hub that forgot says so, and the node begins anew")
    func lost() throws {
        let hub = try MemoryHub()
        var (node, known) = try Self.pair(hub)
        let (_, first) = try known.decode(node.encode(Self.request(1, uptime: 1)).body)
        _ = try node.decode(known.encode(Self.reply(hub, 1), newestAnswer: first))
        // Three hellos arrive, their answers do not.
        for session in UInt64(2)...4 {
            let (_, newest) = try known.decode(node.encode(Self.request(session, uptime: 2)).body)
            _ = try known.encode(Self.reply(hub, 2), newestAnswer: newest)
            node.disconnected()
        }
        let (request, newest) = try known.decode(node.encode(Self.request(5, uptime: 3)).body)
        #expect(request.session == 5)
        let reply = try Self.reply(hub, 3)
        #expect(try node.decode(known.encode(reply, newestAnswer: newest)) == reply)

        var restarted = try Self.pair(hub).1
        let message = try node.encode(Self.request(6, uptime: 4))
        #expect(throws: Problem.self) { try restarted.decode(message.body) }
        node.forget()
        #expect(try restarted.take(compressed: node.encode(Self.request(7, uptime: 5)).body).session == 7)
    }

    @Test("Any other bytes are no hello, and no answer")
    func garbage() throws {
        let hub = try MemoryHub()
        var numbers = SeededNumbers(seed: 4)
        for length in 0..<200 {
            let bytes = (0..<length).map { _ in UInt8.random(in: 0...255, using: &numbers) }
            var (node, known) = try Self.pair(hub)
            #expect(throws: (any Error).self) { try known.decode(bytes) }
            #expect(throws: (any Error).self) { try known.take(compressed: bytes) }
            _ = try node.encode(Self.request(1, uptime: 1))
            #expect(throws: (any Error).self) { try node.decode(bytes) }
        }
    }
}
