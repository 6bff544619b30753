import EvidenceLog
import Foundation
import HubStore
import LogFixtures
import RecordingModel
import Testing

@Suite struct ProofTests {
    private func bundle() async throws -> (node: PushedNode, bundle: ProofBundle) {
        let node = try PushedNode()
        let folder = try StoreFolder()
        defer { withExtendedLifetime(folder) {} }
        let store = try folder.open()
        try node.join(store)
        try node.contact(store, session: 1)
        return (node, try #require(try await store.proof(node: node.node, segments: node.segments)))
    }

    @Test("The proof of segments of two key epochs verifies, each record as the node wrote it and witnessed by the hub")
    func twoEpochs() async throws {
        let (node, bundle) = try await bundle()
        #expect(bundle.keys.count == 2 && bundle.checkpoints.count == 3)
        let proven = try bundle.verified()
        #expect(proven.map(\.record.id) == node.segments)
        #expect(proven.allSatisfy { $0.record.sha256 == .sha256(node.contents[$0.record.id] ?? []) })
        #expect(proven.allSatisfy { $0.witnessedUnixSeconds == UInt64(PushedNode.now / 1000) })
        // What is written down and read again proves as much.
        let read = try JSONDecoder().decode(ProofBundle.self, from: JSONEncoder().encode(bundle))
        #expect(try read.verified() == proven)
    }

    @Test("A segment of the first epoch alone needs no later key, and what is unknown has no proof")
    func someSegments() async throws {
        let node = try PushedNode()
        let folder = try StoreFolder()
        defer { withExtendedLifetime(folder) {} }
        let store = try folder.open()
        try node.join(store)
        try node.contact(store, session: 1)
        let first = try #require(node.segments.first)
        let bundle = try #require(try await store.proof(node: node.node, segments: [first]))
        #expect(bundle.keys.count == 1 && bundle.checkpoints.count == 1)
        #expect(try bundle.verified().map(\.record.id) == [first])
        #expect(try await store.proof(node: node.node, segments: [first, SegmentID(stream: first.stream, sequence: 99)]) == nil)
        #expect(try await store.proof(node: NodeID(keyHash: .zero), segments: [first]) == nil)
        #expect(try await store.proof(node: node.node, segments: []) == nil)
    }

    @Test("One changed byte anywhere in what is proven breaks the proof")
    func changedBytes() async throws {
        let (_, bundle) = try await bundle()
        func change(_ text: String, at position: Int) -> String {
            var bytes = Array(text.utf8)
            bytes[position] = bytes[position] == UInt8(ascii: "0") ? UInt8(ascii: "1") : UInt8(ascii: "0")
            return String(decoding: bytes, as: UTF8.self)
        }
        for number in bundle.segments.indices {
            for position in stride(from: number, to: bundle.segments[number].line.utf8.count, by: 11) {
                var changed = bundle
                changed.segments[number].line = change(bundle.segments[number].line, at: position)
                if changed != bundle { #expect(throws: ProofBundle.Fault.self, "segment \(number), byte \(position)") { try changed.verified() } }
            }
            for step in bundle.segments[number].path.indices {
                var changed = bundle
                changed.segments[number].path[step] = .sha256([1])
                #expect(throws: ProofBundle.Fault.self) { try changed.verified() }
            }
            var moved = bundle
            moved.segments[number].index += 1
            #expect(throws: ProofBundle.Fault.self) { try moved.verified() }
            // Under another checkpoint: of the other epoch, or of another size.
            for other in bundle.checkpoints.indices where other != bundle.segments[number].checkpoint {
                var sealed = bundle
                sealed.segments[number].checkpoint = other
                #expect(throws: ProofBundle.Fault.self) { try sealed.verified() }
            }
        }
        for number in bundle.keys.indices {
            for position in stride(from: 0, to: bundle.keys[number].line.utf8.count, by: 13) {
                var changed = bundle
                changed.keys[number].line = change(bundle.keys[number].line, at: position)
                if changed != bundle { #expect(throws: ProofBundle.Fault.self, "key \(number), byte \(position)") { try changed.verified() } }
            }
        }
        var shortened = bundle
        shortened.keys.removeLast()
        #expect(throws: ProofBundle.Fault.self) { try shortened.verified() }
        var other = bundle
        other.node = NodeID(keyHash: .sha256([9]))
        #expect(throws: ProofBundle.Fault.self) { try other.verified() }
    }

    @Test("A changed signature of the node breaks the proof; without the hub's cosignature nothing bounds the time")
    func signatures() async throws {
        let (_, bundle) = try await bundle()
        for number in bundle.checkpoints.indices {
            let note = bundle.checkpoints[number].note
            #expect(note.signatures.count == 2)
            for position in note.signatures.indices {
                var changed = note
                changed.signatures[position].bytes[20] ^= 1
                var forged = bundle
                forged.checkpoints[number] = try #require(SignedCheckpoint(encoded: changed.encoded))
                if note.signatures[position].name == bundle.log.origin {
                    #expect(throws: ProofBundle.Fault.self) { try forged.verified() }
                } else {
                    let unwitnessed = try forged.verified().enumerated().filter { $0.element.witnessedUnixSeconds == nil }.map(\.offset)
                    #expect(unwitnessed == bundle.segments.indices.filter { bundle.segments[$0].checkpoint == number })
                }
            }
        }
        var elsewhere = bundle
        elsewhere.hubKey = try NoteSigner(name: "fieldpost.hub/other", algorithm: .cosignature).orThrow("a signer").verifier.text
        #expect(try elsewhere.verified().allSatisfy { $0.witnessedUnixSeconds == nil })
    }
}
