import EvidenceLog
import LogFixtures
import RecordingModel
import Testing

@Suite("The tree of RFC 6962")
struct MerkleTreeTests {
    /// Test vectors of the Certificate Transparency reference implementation.
    static let inputs = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
    static let roots = [
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ]

    @Test("has the published roots for 0 to 8 leaves", arguments: 0...8)
    func publishedRoots(count: Int) throws {
        let leaves = try Self.inputs.prefix(count).map { try #require(Hex.decode($0)) }
        #expect(MerkleTree.root(ofLeafData: leaves).hex == Self.roots[count])
    }

    @Test("has the published audit path of the first of 8 leaves")
    func publishedPath() throws {
        let leaves = try Self.inputs.map { MerkleTree.leafHash(try #require(Hex.decode($0))) }
        let path = try #require(MerkleTree.inclusionProof(of: 0, in: leaves[...]))
        #expect(path.map(\.hex) == [
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ])
    }

    @Test("proves every leaf of every tree up to 64 leaves, and nothing else")
    func allProofs() throws {
        let all = (0..<64).map { MerkleTree.leafHash([UInt8($0)]) }
        for size in 1...64 {
            let leaves = all[..<size]
            let root = MerkleTree.root(of: leaves)
            for index in 0..<size {
                let path = try #require(MerkleTree.inclusionProof(of: index, in: leaves))
                func holds(_ leaf: ContentHash, _ index: Int, _ path: [ContentHash], size: Int = size) -> Bool {
                    MerkleTree.verifyInclusion(leaf: leaf, index: UInt64(index), size: UInt64(size), path: path, root: root)
                }
                #expect(holds(all[index], index, path))
                #expect(!holds(all[(index + 1) % 64], index, path))
                #expect(!holds(all[index], index, path + [root]))
                if !path.isEmpty { #expect(!holds(all[index], index, Array(path.dropLast()))) }
                #expect(!holds(all[index], size + index, path))
                if size > 1 { #expect(!holds(all[index], (index + 1) % size, path)) }
            }
            #expect(MerkleTree.inclusionProof(of: size, in: leaves) == nil)
        }
    }

    @Test("a path proves the same in a slice that does not begin at 0")
    func slices() throws {
        let all = (0..<10).map { MerkleTree.leafHash([UInt8($0)]) }
        let slice = all[3..<8]
        let path = try #require(MerkleTree.inclusionProof(of: 4, in: slice))
        #expect(MerkleTree.verifyInclusion(leaf: all[7], index: 4, size: 5, path: path, root: MerkleTree.root(of: slice)))
    }

    @Test("a growing edge has the root of the whole tree at every size, also after it was stored")
    func frontier() {
        var frontier = MerkleFrontier()
        var leaves: [ContentHash] = []
        #expect(frontier.root == MerkleTree.emptyRoot)
        for value in 0..<64 {
            leaves.append(MerkleTree.leafHash([UInt8(value)]))
            frontier.append(leaves[value])
            #expect(frontier.size == UInt64(value + 1))
            #expect(frontier.root == naiveRoot(leaves[...]))
        }
    }

    /// Section 2.1 as it is written.
    private func naiveRoot(_ leaves: ArraySlice<ContentHash>) -> ContentHash {
        if leaves.count == 1, let only = leaves.first { return only }
        var split = 1
        while split * 2 < leaves.count { split *= 2 }
        let middle = leaves.startIndex + split
        return MerkleTree.nodeHash(naiveRoot(leaves[..<middle]), naiveRoot(leaves[middle...]))
    }
}
