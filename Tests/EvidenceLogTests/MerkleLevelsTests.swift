import EvidenceLog
import RecordingModel
import Testing

@Suite struct MerkleLevelsTests {
    @Test("Roots and proofs from kept levels are those of the tree itself, for every size and leaf up to 70")
    func same() throws {
        let leaves = (0..<70).map { MerkleTree.leafHash([UInt8($0)]) }
        let levels = MerkleLevels(leaves: leaves)
        for size in 0...70 {
            #expect(levels.root(size: size) == MerkleTree.root(of: leaves[..<size]))
            for index in 0..<size {
                let path = try #require(levels.inclusionProof(of: index, size: size))
                #expect(path == MerkleTree.inclusionProof(of: index, in: leaves[..<size]))
                #expect(MerkleTree.verifyInclusion(leaf: leaves[index], index: UInt64(index), size: UInt64(size), path: path, root: MerkleTree.root(of: leaves[..<size])))
            }
        }
        #expect(levels.root(size: 71) == nil && levels.inclusionProof(of: 5, size: 71) == nil && levels.inclusionProof(of: 5, size: 5) == nil)
    }
}
