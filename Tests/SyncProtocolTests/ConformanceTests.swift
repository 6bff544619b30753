import EvidenceLog
import LogFixtures
import RecordingModel
import SyncConformance
import SyncProtocol
import Testing

/// The list of cases with both machines in memory.
@Suite struct ConformanceTests {
    @Test("In memory", arguments: ConformanceCase.all)
    func holds(_ conformance: ConformanceCase) async throws {
        let problems = try await conformance.run(on: try InMemoryPair(conformance.contents, rotten: conformance.rotten))
        #expect(problems == [], "\(conformance)")
    }

    @Test("In memory, where node and hub have different dictionaries, or none", arguments: ConformanceCase.all, OtherDictionaries.pairings)
    func holds(_ conformance: ConformanceCase, _ pairing: OtherDictionaries.Pairing) async throws {
        let problems = try await conformance.run(on: try InMemoryPair(conformance.contents, rotten: conformance.rotten, pairing))
        #expect(problems == [], "\(conformance), \(pairing.name)")
    }

    @Test("In memory, cut at every byte of an exchange with entries in several batches, the next contact brings the rest and no byte twice")
    func cutAtEveryByte() async throws {
        let contents: [[UInt8]] = [Array(0..<250), [9], (0..<700).map { UInt8(truncatingIfNeeded: $0 &* 7) }]
        let fresh = try InMemoryPair(contents)
        let whole = InMemoryPair(copyOf: fresh)
        #expect(try await whole.contact(.none) == .settled)
        #expect(whole.pushedBytes > 1_500)
        for bytes in 0..<whole.pushedBytes {
            let pair = InMemoryPair(copyOf: fresh)
            #expect(try await pair.contact(.cut(afterBytes: bytes)) == .lost)
            var findings = Findings()
            try await findings.judge(pair)
            #expect(try await pair.contact(.none) == .settled)
            try await findings.expectComplete(pair)
            try await findings.judge(pair)
            findings.expect(pair.hub.receivedBytes == 951, "the hub wrote \(pair.hub.receivedBytes) bytes")
            findings.expect(pair.hub.commits.values.allSatisfy { $0 == 1 }, "a segment was made whole twice")
            #expect(findings.problems == [], "cut at \(bytes)")
        }
    }
}

/// `MemoryNode` and `MemoryHub`. Bytes of a link count from the push on. There is no operator, and sessions are fenced here as
/// `PushSession` does it.
final class InMemoryPair: SyncPair {
    private var node: MemoryNode
    private(set) var hub: MemoryHub
    private var backup: MemoryHub?
    private var claimed: Set<SegmentID> = []
    private var session = 0
    private(set) var sentBytes = 0
    private(set) var pushedBytes = 0
    let footage: PairFootage

    init(_ contents: [[UInt8]], rotten: Set<Int> = [], _ pairing: OtherDictionaries.Pairing? = nil) throws {
        hub = try MemoryHub()
        hub.dictionaries = pairing?.hub
        node = try MemoryNode(segments: contents, hub: hub, frameBytes: 64, sealEvery: 3, dictionaries: pairing?.node ?? .shipped)
        for id in node.files.keys where rotten.contains(Int(id.sequence)) {
            node.promised[id] = .sha256(node.files[id] ?? [])
            node.files[id] = node.files[id].map { $0.map { $0 ^ 0xFF } }
        }
        footage = PairFootage(node)
    }

    init(copyOf other: InMemoryPair) {
        (hub, node, footage) = (other.hub, other.node, other.footage)
    }

    var statement: HoldingsStatement? { node.machine.statement }
    var setAside: Set<SegmentID> { Set(node.machine.setAside.keys) }

    func contact(_ fault: LinkFault) async throws -> ContactEnd {
        do {
            session += 1
            try node.greet(&hub)
            var left: Int? = if case .cut(let bytes) = fault { bytes } else { nil }
            for _ in 0..<100 {
                let wire = try node.push()
                guard !wire.isEmpty else { return .settled }
                sentBytes += node.pushedData
                pushedBytes += wire.count
                let taken = wire.prefix(left ?? wire.count)
                left = left.map { $0 - taken.count }
                guard taken.count == wire.count, fault != .answerLost else {
                    _ = try hub.push(taken, isWhole: taken.count == wire.count)
                    node.machine.disconnected()
                    return .lost
                }
                guard case .success(let reply)? = try hub.push(taken, isWhole: true) else { return .refused(status: 422) }
                let answer = try MessageCoding.encode(reply, with: hub.hellos?.dictionary)
                try node.machine.pushAnswered(MessageCoding.decode(PushReply.self, from: answer, knowing: node.machine.helloMemory.dictionaries), nowMilliseconds: 0)
            }
            throw FixtureError(what: "an end of the contact")
        } catch SyncFault.forked {
            return .forked
        } catch SyncFault.foreignStatement, SyncFault.oldGeneration {
            node.machine.disconnected()
            return .notBelieved
        }
    }

    func push(_ frames: [Frame], _ session: PushedSession) async throws -> PushEnd {
        switch session {
        case .older: return .refused(status: 409)
        case .next:
            self.session += 1
            _ = try hub.hello(node.log.node, node.log.log)
        case .newest: break
        }
        switch try hub.push(frames.flatMap { FrameCoding.encode($0) }, isWhole: true) {
        case .success(let reply)?: return .taken(reply)
        case .failure(let problem)?: return .refused(status: problem.status)
        case nil: throw FixtureError(what: "an answer")
        }
    }

    func hubState() async throws -> HubState {
        var state = HubState()
        state.logSize = hub.verifier?.size ?? 0
        state.logRoot = hub.verifier?.root ?? MerkleTree.emptyRoot
        state.held = Set(hub.held.flatMap { stream, ranges in ranges.ranges.flatMap { $0.map { SegmentID(stream: stream, sequence: $0) } } }).subtracting(claimed)
        state.blobs = hub.stored.mapValues { ContentHash.sha256($0) }
        state.partials = hub.partials.count
        return state
    }

    func backUp() async throws { backup = hub }
    func restore() async throws {
        hub = try backup.orThrow("a backup")
        hub.generation += 1
        node.machine.disconnected()
    }

    func forgetGeneration() async throws {
        hub.generation -= 1
        node.machine.disconnected()
    }

    func lose(_ segments: Set<SegmentID>) async throws {
        for segment in segments {
            hub.held[segment.stream] = hub.held[segment.stream]?.subtracting(SequenceRanges([segment.sequence]))
            hub.commits[segment] = nil
            if let promised = footage.segments[segment]?.sha256 { hub.stored[promised] = nil }
        }
        node.machine.disconnected()
    }

    func claim(_ segments: Set<SegmentID>) async throws {
        for segment in claimed { hub.held[segment.stream] = hub.held[segment.stream]?.subtracting(SequenceRanges([segment.sequence])) }
        for segment in segments { hub.held[segment.stream, default: SequenceRanges()].insert(segment.sequence) }
        claimed = segments
        node.machine.disconnected()
    }

    func changeKey() async throws {
        hub.signer = try NoteSigner(name: "fieldpost.hub/other", algorithm: .cosignature).orThrow("a signer")
        node.machine.disconnected()
    }

    func contactOfClone() async throws -> ContactEnd {
        var clone = try MemoryNode(segments: [Array(repeating: 5, count: 90)], hub: hub, frameBytes: 64, identity: node.log.identity)
        do {
            try clone.greet(&hub)
            return .settled
        } catch SyncFault.forked {
            return .forked
        }
    }
}

extension PairFootage {
    init(_ node: MemoryNode) {
        self.init(
            segments: node.files.reduce(into: [:]) { $0[$1.key] = (node.promised[$1.key] ?? .sha256($1.value), $1.value) },
            roots: (0...node.log.lines.count).map { MerkleTree.root(of: node.log.leaves[..<$0]) },
            batches: node.log.batches.indices.map { place in
                let (lines, start, checkpoint) = node.log.batch(place)
                return EntryBatch(start: start, lines: lines, checkpoint: checkpoint)
            })
    }
}
