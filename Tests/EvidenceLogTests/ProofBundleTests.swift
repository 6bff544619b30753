import EvidenceLog
import FoundationEssentials
import LogFixtures
import RecordingModel
import Testing

@Suite("A proof of footage")
struct ProofBundleTests {
    let sample: SampleLog
    let hub: NoteSigner
    let bundle: ProofBundle

    init() throws {
        sample = try SampleLog.threeEpochs()
        hub = try #require(NoteSigner(name: "hub", algorithm: .cosignature, privateKeyBytes: [UInt8](repeating: 9, count: 32)))
        bundle = try Self.bundle(sample, hub, segments: [3, 5, 8])
    }

    /// Each entry under the first checkpoint that covers it.
    static func bundle(_ sample: SampleLog, _ hub: NoteSigner, segments: [Int]) throws -> ProofBundle {
        var checkpoints = sample.checkpoints
        for index in checkpoints.indices { try checkpoints[index].cosign(with: hub, unixSeconds: UInt64(1_700_000_000 + index)) }
        func proven(_ index: Int) throws -> ProvenEntry {
            let batch = try #require(sample.batches.firstIndex { $0.contains(index) })
            let size = Int(checkpoints[batch].checkpoint.size)
            let path = try #require(MerkleTree.inclusionProof(of: index, in: sample.leaves[..<size]))
            return ProvenEntry(index: UInt64(index), line: String(decoding: sample.lines[index], as: UTF8.self), path: path, checkpoint: batch)
        }
        return ProofBundle(
            node: sample.node, log: sample.log, hubKey: hub.verifier.text, checkpoints: checkpoints, keys: try sample.keyIndexes.map(proven),
            segments: try segments.map(proven))
    }

    @Test("names the segments and when the hub vouched for them")
    func verifies() throws {
        let proven = try bundle.verified()
        #expect(proven.map(\.record.sequence) == [1, 2, 4])
        #expect(proven.map(\.witnessedUnixSeconds) == [1_700_000_001, 1_700_000_002, 1_700_000_003])
    }

    @Test("is refused when any byte of it is changed; only the hub's word for it may be lost instead")
    func everyByte() throws {
        let small = try Self.bundle(sample, hub, segments: [3])
        var minimal = small
        minimal.keys = [small.keys[0]]
        minimal.checkpoints = Array(small.checkpoints.prefix(2))
        let original = try minimal.verified()
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        let encoded = Array(try encoder.encode(minimal))
        var accepted: [Int] = []
        for index in encoded.indices {
            var altered = encoded
            altered[index] ^= 1
            guard let read = try? JSONDecoder().decode(ProofBundle.self, from: Data(altered)), let proven = try? read.verified() else { continue }
            if proven.map(\.record) != original.map(\.record) { accepted.append(index) }
            for (segment, before) in zip(proven, original) where segment.witnessedUnixSeconds != nil {
                #expect(segment.witnessedUnixSeconds == before.witnessedUnixSeconds)
            }
        }
        #expect(accepted.isEmpty, "changed bytes at \(accepted) prove something else")
    }

    @Test("is refused when any byte of a segment's entry is changed")
    func everyByteOfTheEntry() throws {
        for index in bundle.segments[0].line.utf8.indices {
            var altered = bundle
            var bytes = Array(bundle.segments[0].line.utf8)
            bytes[bundle.segments[0].line.utf8.distance(from: bundle.segments[0].line.utf8.startIndex, to: index)] ^= 1
            altered.segments = [bundle.segments[0]]
            altered.segments[0].line = String(decoding: bytes, as: UTF8.self)
            #expect(throws: ProofBundle.Fault.segment(index: 3)) { try altered.verified() }
        }
    }

    @Test("is refused for an old entry under a checkpoint of today's key")
    func oldEntryNewKey() throws {
        var forged = bundle
        let path = try #require(MerkleTree.inclusionProof(of: 3, in: sample.leaves[...]))
        forged.segments = [ProvenEntry(index: 3, line: bundle.segments[0].line, path: path, checkpoint: 3)]
        #expect(throws: ProofBundle.Fault.segment(index: 3)) { try forged.verified() }
    }

    @Test("is refused when a link of the key chain is missing, doubled or out of order")
    func keyChain() throws {
        for keys in [[], [bundle.keys[1]], [bundle.keys[0], bundle.keys[2]], [bundle.keys[0], bundle.keys[0]], bundle.keys.reversed()] {
            var broken = bundle
            broken.keys = keys
            #expect(throws: ProofBundle.Fault.self) { try broken.verified() }
        }
        var short = bundle
        short.keys.removeLast()
        #expect(throws: ProofBundle.Fault.segment(index: 8)) { try short.verified() }
    }

    @Test("is refused for another node, another log, another version, and an index out of range")
    func otherNames() throws {
        var other = bundle
        other.node = NodeID(keyHash: .sha256([]))
        #expect(throws: ProofBundle.Fault.keyChain(epoch: 0)) { try other.verified() }
        other = bundle
        other.log = try #require(LogID(String(repeating: "ab", count: 16)))
        #expect(throws: ProofBundle.Fault.keyChain(epoch: 0)) { try other.verified() }
        other = bundle
        other.version = 2
        #expect(throws: ProofBundle.Fault.unknownVersion(2)) { try other.verified() }
        other = bundle
        other.segments[0].checkpoint = 99
        #expect(throws: ProofBundle.Fault.segment(index: 3)) { try other.verified() }
        other = bundle
        other.segments[0] = ProvenEntry(index: 4, line: bundle.keys[1].line, path: bundle.keys[1].path, checkpoint: bundle.keys[1].checkpoint)
        #expect(throws: ProofBundle.Fault.segment(index: 4)) { try other.verified() }
    }
}
