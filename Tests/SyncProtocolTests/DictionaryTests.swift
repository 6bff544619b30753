import EvidenceLog
import FoundationEssentials
import LogFixtures
import RecordingModel
import SyncProtocol
import Testing

#if canImport(Glibc)
import Glibc
#endif

/// Dictionaries that no program ships: the shipped one under other ids, with the last 4 KiB of its content turned around, so that what
/// one of them compressed the other would not bring back.
enum OtherDictionaries {
    static let newer = file(id: 32_790, isTurned: true)
    static let foreign = file(id: 32_791, isTurned: true)
    static var shipped: [UInt8] { SharedDictionaries.shippedFiles[0] }

    /// Magic 4, id 4 (little-endian), tables, content (RFC 8878, section 5).
    static func file(id: UInt32, isTurned: Bool) -> [UInt8] {
        var bytes = shipped
        withUnsafeBytes(of: id.littleEndian) { bytes.replaceSubrange(4..<8, with: $0) }
        if isTurned { bytes.replaceSubrange((bytes.count - 4_096)..., with: bytes.suffix(4_096).reversed()) }
        return bytes
    }

    struct Pairing: Sendable, CustomTestStringConvertible {
        var name: String
        var node: SharedDictionaries
        var hub: SharedDictionaries
        /// The one that both may use.
        var common: UInt32?
        var testDescription: String { name }
    }
    static let pairings = [
        Pairing(name: "the same", node: .shipped, hub: .shipped, common: 32_769),
        Pairing(name: "the node has a newer one", node: SharedDictionaries([newer, shipped]), hub: .shipped, common: 32_769),
        Pairing(name: "the hub has a newer one", node: .shipped, hub: SharedDictionaries([newer, shipped]), common: 32_769),
        Pairing(name: "both have a newer one", node: SharedDictionaries([newer, shipped]), hub: SharedDictionaries([newer, shipped]), common: 32_790),
        Pairing(name: "nothing in common", node: SharedDictionaries([newer]), hub: SharedDictionaries([foreign]), common: nil),
        Pairing(name: "the hub has none", node: .shipped, hub: SharedDictionaries([]), common: nil),
    ]
}

@Suite struct DictionaryTests {
    private static let dictionary = SharedDictionaries.shipped.ids.first.flatMap { SharedDictionaries.shipped[$0] }

    @Test("The shipped dictionaries are the ones that the source names, each once")
    func shipped() {
        #expect(SharedDictionaries.shipped.ids == SharedDictionaries.shippedHashes.keys.sorted(by: >))
        #expect(SharedDictionaries.shippedFiles.map { ContentHash.sha256($0).hex } == SharedDictionaries.shipped.ids.map { SharedDictionaries.shippedHashes[$0] })
    }

    @Test("Bytes that are no dictionary are left out, and nothing is compressed with them")
    func noDictionary() {
        #expect(SharedDictionaries([[], [1, 2, 3], Array(OtherDictionaries.shipped.prefix(60)), Array(OtherDictionaries.shipped.dropFirst())]).ids == [])
    }

    @Test("Samples are the same each time: what trained a dictionary can be looked at again")
    func samples() throws {
        #expect(try SampleSite.samples(30).map { ContentHash.sha256($0) } == SampleSite.samples(30).map { ContentHash.sha256($0) })
        // deploy/train-dictionary names a folder to put them in.
        guard let folder = getenv("FIELDPOST_SAMPLES").map({ String(cString: $0) }) else { return }
        for (place, sample) in try SampleSite.samples(4_000).enumerated() {
            try Data(sample).write(to: URL(filePath: "\(folder)/\(10_000 + place)"))
        }
    }

    @Test("Entries of every kind come back from a dictionary as they were, and are smaller by it in every batch")
    func roundTrip() throws {
        let dictionary = try Self.dictionary.orThrow("a dictionary")
        var kinds: Set<String> = []
        for seed in UInt64(1)...20 {
            var site = try SampleSite(seed: seed)
            for count in [1, 3, 40] {
                let batch = try site.batch(count)
                kinds.formUnion(try batch.lines.map { try LogEntry(line: $0).body.kind })
                let encoded = try batch.encoded(with: dictionary)
                #expect(EntryBatch(decoding: encoded) == batch)
                #expect(try encoded.count < batch.encoded().count)
                #expect(EntryBatch(decoding: encoded, knowing: SharedDictionaries([OtherDictionaries.foreign])) == nil)
            }
        }
        #expect(kinds == ["boot", "key", "config", "segment", "gap", "recovered", "clock", "event", "evicted", "released", "import", "power"])
    }

    /// Bytes as they travel: median of 25 nodes of which no dictionary was trained.
    @Test("Small messages are smaller with the dictionary, by the shares that Sources/README.md tells")
    func sizes() throws {
        let dictionary = try Self.dictionary.orThrow("a dictionary")
        var table: [(name: String, plain: Int, without: Int, with: Int)] = []
        func measure(_ name: String, _ sizes: (inout SampleSite) throws -> (Int, Int, Int)) throws {
            var all: [(Int, Int, Int)] = []
            for seed in UInt64(1)...25 {
                var site = try SampleSite(seed: seed)
                all.append(try sizes(&site))
            }
            func median(_ values: [Int]) -> Int { values.sorted()[values.count / 2] }
            table.append((name, median(all.map(\.0)), median(all.map(\.1)), median(all.map(\.2))))
        }
        for count in [1, 10, 100, 1_000] {
            for isFootageOnly in [true, false] {
                try measure("entries, \(count)\(isFootageOnly ? " segments" : " of all kinds")") { site in
                    let batch = try site.batch(count, isFootageOnly: isFootageOnly)
                    return try (batch.plain.count, batch.encoded().count, batch.encoded(with: dictionary).count)
                }
            }
        }
        try measure("answer to a push") { site in
            let reply = try site.pushReply()
            return try (MessageCoding.json(reply).count, MessageCoding.encode(reply).count, MessageCoding.encode(reply, with: dictionary).count)
        }
        try measure("status alone") { site in
            let status = site.status()
            return try (MessageCoding.json(status).count, MessageCoding.encode(status).count, MessageCoding.encode(status, with: dictionary).count)
        }
        try measure("hello without a reference") { site in
            let hello = try site.hello()
            return try (MessageCoding.json(hello).count, MessageCoding.encode(hello).count, MessageCoding.encode(hello, with: dictionary).count)
        }
        for row in table { print("\(row.name): plain \(row.plain), without \(row.without), with \(row.with)") }
        for row in table { #expect(row.with < row.without, "\(row.name)") }
    }

    @Test("A hello that has no other to refer to is smaller with the agreed dictionary than by its template; a first answer takes the smaller")
    func hellos() throws {
        func sizes(_ dictionaries: SharedDictionaries) throws -> (first: Int, answer: Int, second: Int) {
            var site = try SampleSite(seed: 3)
            let (nodeID, hubID) = (NodeID(keyHash: .sha256([1])), HubID(keyHash: .sha256([2])))
            var node = NodeHelloMemory(node: nodeID, hub: hubID, dictionaries: dictionaries)
            var hub = HubHelloMemory(node: nodeID, hub: hubID, dictionaries: dictionaries)
            var long = try site.hello()
            long.dictionaries = dictionaries.ids
            // Too long to be kept as a reference.
            long.holdings[0].sequences = SequenceRanges((0..<3_000).map { UInt64($0 * 7) })
            let first = try node.encode(long)
            let (_, newest) = try hub.decode(first.body)
            var reply = try site.helloReply()
            reply.dictionary = hub.dictionaryID
            let answer = try hub.encode(reply, newestAnswer: newest)
            #expect(try node.decode(answer) == reply)
            let hello = try site.hello()
            let second = try node.encode(hello)
            #expect(try hub.decode(second.body).request == hello)
            return (first.body.count, answer.count, second.body.count)
        }
        let (with, without) = (try sizes(.shipped), try sizes(SharedDictionaries([])))
        print("hello after one that was too long: without \(without.second), with \(with.second); first answer: without \(without.answer), with \(with.answer)")
        // It names the dictionary.
        #expect(with.answer <= without.answer + 20)
        #expect(with.second * 10 < without.second * 8)
    }

    @Test("A hello in a dictionary that the hub does not have is refused by name, and the next is in none")
    func unknownHello() throws {
        var site = try SampleSite(seed: 3)
        let plain = try MessageCoding.json(site.hello())
        let body = try ReferencedMessage(plain, against: nil, orWith: SharedDictionaries([OtherDictionaries.newer])[32_790]).encoded
        var hub = HubHelloMemory(node: NodeID(keyHash: .sha256([1])), hub: HubID(keyHash: .sha256([2])))
        do {
            _ = try hub.decode(body)
            Issue.record("the hub read what it cannot")
        } catch let problem as Problem {
            #expect(problem.status == 412 && problem.field == "dictionary")
        }
    }

    // MARK: Different dictionaries

    /// A node that has said hello.
    private static func pair(_ pairing: OtherDictionaries.Pairing) throws -> (MemoryNode, MemoryHub) {
        var hub = try MemoryHub()
        hub.dictionaries = pairing.hub
        var node = try MemoryNode(segments: [[1, 2, 3], [4, 5]], hub: hub, sealEvery: 1, dictionaries: pairing.node)
        try node.greet(&hub)
        return (node, hub)
    }

    @Test("Hello names what the node has, the answer the newest that both have, and entries are compressed with that", arguments: OtherDictionaries.pairings)
    func agreed(_ pairing: OtherDictionaries.Pairing) throws {
        var (node, hub) = try Self.pair(pairing)
        #expect(node.machine.helloMemory.dictionaryID == pairing.common)
        #expect(hub.hellos?.dictionaryID == pairing.common)
        let wire = try node.push()
        var parser = FrameParser()
        parser.append(wire)
        guard case .entries(let frame)? = try parser.next() else { throw FixtureError(what: "entries") }
        #expect(EntryBatch(decoding: frame, knowing: pairing.hub) != nil)
        #expect((EntryBatch(decoding: frame, knowing: SharedDictionaries([])) != nil) == (pairing.common == nil))
        guard case .success(let reply)? = try hub.push(wire, isWhole: true) else { throw FixtureError(what: "the push was stopped") }
        #expect(reply.logSize == node.logSize)
    }

    @Test("Before a hub has answered nothing is compressed with a dictionary")
    func unasked() throws {
        let hub = try MemoryHub()
        let node = try MemoryNode(segments: [[1]], hub: hub)
        #expect(node.machine.helloMemory.dictionary == nil)
    }

    @Test("A hub that lost the agreed dictionary says so; the node goes on with none, and after the next hello with one that both have", arguments: [false, true])
    func lost(_ hasShipped: Bool) throws {
        let both = SharedDictionaries([OtherDictionaries.newer, OtherDictionaries.shipped])
        var (node, hub) = try Self.pair(OtherDictionaries.Pairing(name: "", node: both, hub: both, common: nil))
        guard case .success(let first)? = try hub.push(node.push(mostSteps: 2), isWhole: true) else { throw FixtureError(what: "the first push") }
        #expect(first.logSize > 0 && first.logSize < node.logSize)
        node.machine.disconnected()
        // The node says hello and does not wait for the answer: by what it knows, the hub has the newer one.
        hub.restart(hasShipped ? .shipped : SharedDictionaries([]))
        node.machine.sentHello()
        guard case .failure(let problem)? = try hub.push(node.push(), isWhole: true) else { throw FixtureError(what: "a push that the hub cannot read was taken") }
        #expect(problem.status == 412 && problem.field == "dictionary")
        node.machine.wasRefused()
        node.machine.disconnected()
        #expect(node.machine.helloMemory.dictionary == nil)
        try node.greet(&hub)
        #expect(node.machine.helloMemory.dictionaryID == (hasShipped ? 32_769 : nil))
        guard case .success(let reply)? = try hub.push(node.push(), isWhole: true) else { throw FixtureError(what: "the push was stopped") }
        #expect(reply.logSize == node.logSize && reply.refusals.isEmpty)
    }

    @Test("An answer that needs a dictionary which is not here says which")
    func unknownAnswer() throws {
        var site = try SampleSite(seed: 1)
        let others = SharedDictionaries([OtherDictionaries.newer])
        let answer = try MessageCoding.encode(site.pushReply(), with: others[32_790])
        #expect(throws: SyncFault.unknownDictionary(32_790)) { try MessageCoding.decode(PushReply.self, from: answer) }
        #expect("\(SyncFault.unknownDictionary(32_790))".contains("32790"))
    }

    // MARK: Hostile frames

    @Test("A frame that names the dictionary and holds more than a batch may is refused, however it says its size")
    func bomb() throws {
        let dictionary = try Self.dictionary.orThrow("a dictionary")
        let checkpoint = try SampleLog.threeEpochs().checkpoints[0]
        let huge = EntryBatch(start: 0, lines: [[UInt8](repeating: 0x20, count: EntryBatch.plainByteLimit)], checkpoint: checkpoint)
        let declared = try huge.encoded(with: dictionary)
        #expect(declared.count < 2_000)
        // Magic, two bytes of id and no size, a window of 8 KiB, the id; then blocks of 128 KiB of one byte each.
        let undeclared: [UInt8] = [0x28, 0xB5, 0x2F, 0xFD, 0x02, 0x18, 0x01, 0x80] + (0..<4_096).flatMap { _ in [0x02, 0x00, 0x10, 0x41] as [UInt8] }
        for frame in [declared, undeclared] {
            #expect(EntryBatch(decoding: frame) == nil)
            var machine = HubPushMachine(verifier: LogVerifier(node: NodeID(keyHash: .sha256([1])), log: try SampleLog().log))
            guard case .stop(let problem) = try machine.receive(.entries(frame), state: { _ in nil }) else { throw FixtureError(what: "a bomb was taken") }
            #expect(problem.status == 400)
        }
    }

    @Test("A thousand damaged frames neither crash nor come back as what was sent")
    func damaged() throws {
        let dictionary = try Self.dictionary.orThrow("a dictionary")
        var site = try SampleSite(seed: 5)
        let batch = try site.batch(2)
        let encoded = try batch.encoded(with: dictionary)
        for length in 0..<encoded.count { #expect(EntryBatch(decoding: Array(encoded[..<length])) == nil) }
        var numbers = SeededNumbers(seed: 6)
        for _ in 0..<1_000 {
            var damaged = encoded
            damaged[Int.random(in: 0..<damaged.count, using: &numbers)] ^= UInt8.random(in: 1...255, using: &numbers)
            // What it decodes to is judged by the log's verifier; here it must only not crash.
            _ = EntryBatch(decoding: damaged)
        }
        #expect(EntryBatch(decoding: encoded) == batch)
    }
}
