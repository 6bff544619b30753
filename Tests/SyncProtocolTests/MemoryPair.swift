import Crypto
import EvidenceLog
import LogFixtures
import RecordingModel
import SyncProtocol

/// A node with a log and segment files, in memory.
struct MemoryNode {
    var log: SampleLog
    var files: [SegmentID: [UInt8]] = [:]
    var machine: NodeSyncMachine
    var pace = LinkPace.unknown
    /// Where the frames of the last push end.
    var frameEnds: [Int] = []
    /// Promised hashes, where the file is another.
    var promised: [SegmentID: ContentHash] = [:]

    /// How often the machine wanted a file to be looked at.
    private(set) var examined = 0

    /// Bytes of footage in the last push.
    private(set) var pushedData = 0

    /// - Parameters:
    ///   - segments: contents of the segments, one entry each
    ///   - sealEvery: a checkpoint after so many of them, besides the one at the end
    init(
        segments: [[UInt8]], hub: MemoryHub, frameBytes: Int? = nil, limits: NodeSyncMachine.Limits = .init(), sealEvery: Int = .max,
        identity: P256.Signing.PrivateKey = P256.Signing.PrivateKey(), dictionaries: SharedDictionaries = .shipped
    ) throws {
        if let frameBytes { pace.frameBytes = frameBytes }
        log = try SampleLog(identity: identity)
        for (sequence, content) in segments.enumerated() {
            let record = try SegmentRecord.sample(sequence: UInt64(sequence), bytes: Int64(content.count), sha256: .sha256(content))
            try log.append(.segment(record))
            files[record.id] = content
            if (sequence + 1).isMultiple(of: sealEvery), sequence + 1 < segments.count { try log.seal() }
        }
        try log.seal()
        machine = NodeSyncMachine(hub: hub.id, hubKey: hub.signer.verifier, node: log.node, log: log.log, limits: limits, dictionaries: dictionaries)
    }

    var work: [SegmentWork] {
        files.keys.sorted().map { SegmentWork(segment: $0, sha256: promised[$0] ?? .sha256(files[$0] ?? []), bytes: Int64(files[$0]?.count ?? 0), logIndex: $0.sequence + 1) }
    }

    func root(at size: UInt64) -> ContentHash? {
        guard size <= UInt64(log.lines.count) else { return nil }
        return MerkleTree.root(of: log.leaves[..<Int(size)])
    }

    /// Says hello and feeds the answer in.
    mutating func greet(_ hub: inout MemoryHub, change: (inout HelloReply) -> Void = { _ in }) throws {
        machine.helloIsDue()
        guard machine.nextStep(logSize: logSize, nowMilliseconds: 0, pace: pace) == .hello else { throw FixtureError(what: "no hello") }
        machine.sentHello()
        var reply = try hub.hello(log.node, log.log)
        change(&reply)
        if hub.dictionaries != nil { reply = try exchange(reply, &hub) }
        let root = root
        try machine.helloAnswered(reply, rootAtSize: root)
    }

    /// The hello and its answer as the bytes that travel; after a refusal once more.
    private mutating func exchange(_ reply: HelloReply, _ hub: inout MemoryHub, isRepeated: Bool = false) throws -> HelloReply {
        let status = NodeStatus(software: "test", bootID: "boot", uptimeMilliseconds: 1, clock: Moment.sample(milliseconds: 0).wall, disk: nil, cameras: [])
        var request = HelloRequest(
            session: 1, status: status, log: log.log, logSize: logSize, checkpoint: nil, holdings: [], backlog: Backlog(), statementLogSize: nil, statementGeneration: nil)
        request.dictionaries = machine.helloMemory.dictionaries.ids
        do {
            return try machine.helloMemory.decode(hub.answer(machine.helloMemory.encode(request), reply, log.node))
        } catch let problem as Problem where problem.status == 412 && !isRepeated {
            machine.helloMemory.forget()
            return try exchange(reply, &hub, isRepeated: true)
        }
    }

    var logSize: UInt64 { UInt64(log.lines.count) }

    /// The bytes of a push, as the machine wants it: to its end, or until it waits. Frames are counted in `frameEnds`.
    mutating func push(nowMilliseconds now: Int64 = 0, mostSteps: Int = .max) throws -> [UInt8] {
        var wire: [UInt8] = []
        frameEnds = []
        pushedData = 0
        for _ in 0..<mostSteps {
            switch machine.nextStep(logSize: logSize, nowMilliseconds: now, pace: pace) {
            case .hello: throw FixtureError(what: "hello in a push")
            case .reconcile: machine.reconciled(present: [:], logSize: logSize)
            case .wait: return wire
            case .beginPush: machine.beganPush()
            case .endPush:
                machine.endedPush()
                return wire
            case .needWork: machine.offer(work)
            case .entries(let start, _):
                // The stored checkpoint after `start`.
                let index = try log.checkpoints.firstIndex { $0.checkpoint.size > start }.orThrow("a checkpoint")
                let (_, _, checkpoint) = log.batch(index)
                let lines = Array(log.lines[Int(start)..<Int(checkpoint.checkpoint.size)])
                wire += FrameCoding.encode(.entries(try EntryBatch(start: start, lines: lines, checkpoint: checkpoint).encoded(with: machine.helloMemory.dictionary)))
                machine.sentEntries(upTo: checkpoint.checkpoint.size)
                frameEnds.append(wire.count)
            case .examine(let work):
                examined += 1
                machine.examined(work, isIntact: ContentHash.sha256(files[work.segment] ?? []) == work.sha256, nowMilliseconds: now)
            case .data(let work, let offset, let count):
                let bytes = Array((files[work.segment] ?? [])[Int(offset)..<Int(offset) + count])
                wire += FrameCoding.encode(.data(segment: work.segment, offset: offset, bytes: bytes))
                machine.sentData(work, offset: offset, count: count)
                pushedData += count
                frameEnds.append(wire.count)
            case .end(let work):
                wire += FrameCoding.encode(.end(segment: work.segment, length: work.bytes, sha256: work.sha256))
                machine.sentEnd(work)
                frameEnds.append(wire.count)
            }
        }
        return wire
    }
}

/// A hub whose disk is a dictionary; what frames mean is the real machine's.
struct MemoryHub {
    let id: HubID
    var signer: NoteSigner
    var generation: UInt64 = 1
    var verifier: LogVerifier?
    var known: [SegmentID: (sha256: ContentHash, bytes: Int64)] = [:]
    var partials: [ContentHash: [UInt8]] = [:]
    var stored: [ContentHash: [UInt8]] = [:]
    /// What its disk spoils each time.
    var spoilt: Set<ContentHash> = []
    var held: [StreamID: SequenceRanges] = [:]
    /// How often each segment was made whole: more than once would be a segment stored twice.
    var commits: [SegmentID: Int] = [:]
    var receivedBytes = 0
    /// What it may compress with; nil for a hub with which hellos and answers are exchanged as values.
    var dictionaries: SharedDictionaries?
    private(set) var hellos: HubHelloMemory?

    init() throws {
        id = HubID(keyHash: .sha256(Array("hub".utf8)))
        signer = try NoteSigner(name: "fieldpost.hub/test", algorithm: .cosignature).orThrow("a signer")
    }

    mutating func hello(_ node: NodeID, _ log: LogID) throws -> HelloReply {
        let verifier = self.verifier ?? LogVerifier(node: node, log: log)
        self.verifier = verifier
        return HelloReply(
            version: 1, hubUnixMilliseconds: 0, logSize: verifier.size, logRoot: verifier.root, statement: try statement(), partials: partialList(),
            grant: Grant(bytes: 1 << 30, seconds: 30))
    }

    /// As `IngestService` does it.
    mutating func answer(_ message: NodeHelloMemory.Message, _ reply: HelloReply, _ node: NodeID) throws -> [UInt8] {
        var memory = hellos ?? HubHelloMemory(node: node, hub: id, dictionaries: dictionaries ?? .shipped)
        var (reply, newest): (HelloReply, MessageReference?) = (reply, nil)
        let isReferenced = message.type == SyncRoutes.referencedType
        if isReferenced { newest = try memory.decode(message.body).newestAnswer } else { _ = try memory.take(compressed: message.body) }
        reply.version = ProtocolVersion.supported[0]
        reply.dictionary = memory.dictionaryID
        defer { hellos = memory }
        return isReferenced ? try memory.encode(reply, newestAnswer: newest) : try MessageCoding.encode(reply)
    }

    /// Another program takes its place: what it has on disk stays, what it remembers does not.
    mutating func restart(_ dictionaries: SharedDictionaries) { (self.dictionaries, hellos) = (dictionaries, nil) }

    /// Takes the bytes of a push, which may end anywhere. Nil when they do: the answer is lost with the connection.
    mutating func push(_ wire: some Collection<UInt8>, isWhole: Bool) throws -> Result<PushReply, Problem>? {
        guard let verifier else { throw FixtureError(what: "push before hello") }
        var machine = HubPushMachine(verifier: verifier, dictionaries: dictionaries ?? .shipped)
        var parser = FrameParser()
        parser.append(wire)
        while let frame = try parser.next() {
            let action = try machine.receive(frame) { segment in
                known[segment].map {
                    SegmentState(
                        sha256: $0.sha256, bytes: $0.bytes, isHeld: held[segment.stream]?.contains(segment.sequence) == true,
                        partialBytes: Int64(partials[$0.sha256]?.count ?? 0))
                }
            }
            switch action {
            case .stop(let problem): return .failure(problem)
            case .refuse, .duplicate: break
            case .storeEntries(_, let entries, let next):
                for case .segment(let record) in entries.map(\.body) { known[record.id] = (record.sha256, record.bytes) }
                machine.storedEntries(next)
                self.verifier = next
            case .append(_, let hash, let offset, let skip):
                guard case .data(_, _, let bytes) = frame, offset == partials[hash]?.count ?? 0 else { throw FixtureError(what: "append at a wrong offset") }
                partials[hash, default: []] += bytes[skip...]
                receivedBytes += bytes.count - skip
            case .commit(let segment, let hash, _):
                let content = partials.removeValue(forKey: hash) ?? []
                guard ContentHash.sha256(content) == hash, !spoilt.contains(hash) else {
                    machine.refused(Refusal(frame: 0, reason: .wrongHash, detail: "hash", segment: segment))
                    continue
                }
                stored[hash] = content
                held[segment.stream, default: SequenceRanges()].insert(segment.sequence)
                commits[segment, default: 0] += 1
            }
        }
        guard isWhole else { return nil }
        return .success(
            PushReply(
                logSize: machine.verifier.size, statement: try statement(), partials: partialList(), refusals: machine.refusals,
                grant: Grant(bytes: 1 << 30, seconds: 30), duplicateBytes: machine.duplicateBytes))
    }

    func partialList() -> [PartialSegment] {
        known.compactMap { segment, expected in
            partials[expected.sha256].map { PartialSegment(segment: segment, sha256: expected.sha256, offset: Int64($0.count)) }
        }
    }

    func statement() throws -> SignedStatement {
        let verifier = try verifier.orThrow("a log")
        return try SignedStatement(
            HoldingsStatement(
                hub: id, generation: generation, node: verifier.node, log: verifier.log, logSize: verifier.size, logRoot: verifier.root,
                held: held.map { StreamHoldings(stream: $0.key, sequences: $0.value) }, level: .stored, issuedUnixMilliseconds: 0), signer: signer)
    }
}
