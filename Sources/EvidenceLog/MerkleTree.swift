import Crypto
import RecordingModel

/// The hash tree of RFC 6962, section 2.1: leaf `SHA-256(0x00 ‖ data)`, node `SHA-256(0x01 ‖ left ‖ right)`,
/// split at the largest power of two below the size.
package enum MerkleTree {
    package static func leafHash(_ data: some Sequence<UInt8>) -> ContentHash {
        digest([0] + Array(data))
    }

    package static func nodeHash(_ left: ContentHash, _ right: ContentHash) -> ContentHash {
        digest([1] + left.bytes + right.bytes)
    }

    /// The head of the empty tree: the hash of nothing.
    package static let emptyRoot = digest([])

    package static func root(ofLeafData leaves: some Sequence<[UInt8]>) -> ContentHash {
        var frontier = MerkleFrontier()
        for leaf in leaves { frontier.append(leafHash(leaf)) }
        return frontier.root
    }

    package static func root(of leaves: ArraySlice<ContentHash>) -> ContentHash {
        var frontier = MerkleFrontier()
        for leaf in leaves { frontier.append(leaf) }
        return frontier.root
    }

    /// The audit path of RFC 6962, section 2.1.1: the hashes that lead from a leaf to the root.
    /// - Precondition: `index` is within `leaves`, else nil.
    package static func inclusionProof(of index: Int, in leaves: ArraySlice<ContentHash>) -> [ContentHash]? {
        guard index >= 0, index < leaves.count else { return nil }
        guard leaves.count > 1 else { return [] }
        let split = largestPowerOfTwo(below: leaves.count)
        let middle = leaves.startIndex + split
        let left = leaves[..<middle]
        let right = leaves[middle...]
        if index < split {
            return inclusionProof(of: index, in: left).map { $0 + [root(of: right)] }
        }
        return inclusionProof(of: index - split, in: right).map { $0 + [root(of: left)] }
    }

    /// RFC 9162, section 2.1.3.2: whether the path leads from the leaf at `index` to the root of a tree of `size`.
    package static func verifyInclusion(leaf: ContentHash, index: UInt64, size: UInt64, path: [ContentHash], root: ContentHash) -> Bool {
        guard index < size else { return false }
        var node = index
        var last = size - 1
        var hash = leaf
        for sibling in path {
            guard last != 0 else { return false }
            if node & 1 == 1 || node == last {
                hash = nodeHash(sibling, hash)
                while node & 1 == 0, node != 0 {
                    node >>= 1
                    last >>= 1
                }
            } else {
                hash = nodeHash(hash, sibling)
            }
            node >>= 1
            last >>= 1
        }
        return last == 0 && hash == root
    }

    private static func largestPowerOfTwo(below count: Int) -> Int {
        var power = 1
        while power * 2 < count { power *= 2 }
        return power
    }

    private static func digest(_ bytes: [UInt8]) -> ContentHash {
        // A SHA-256 digest always has 32 bytes; the fallback is never taken.
        ContentHash(Array(SHA256.hash(data: bytes))) ?? .zero
    }
}

extension ContentHash {
    package static func sha256(_ bytes: some Sequence<UInt8>) -> ContentHash {
        var hasher = SHA256()
        hasher.update(data: Array(bytes))
        return ContentHash(Array(hasher.finalize())) ?? .zero
    }
}

/// The right edge of a growing tree: one hash for each complete subtree, largest first. Appending is cheap, the
/// root costs at most 63 hashes, and it is all that a hub must keep to check the next batch.
package struct MerkleFrontier: Hashable, Sendable, Codable {
    package private(set) var size: UInt64 = 0
    private var subtrees: [ContentHash] = []

    package init() {}

    package mutating func append(_ leaf: ContentHash) {
        var hash = leaf
        var position = size
        while position & 1 == 1, let left = subtrees.popLast() {
            hash = MerkleTree.nodeHash(left, hash)
            position >>= 1
        }
        subtrees.append(hash)
        size += 1
    }

    package var root: ContentHash {
        guard var hash = subtrees.last else { return MerkleTree.emptyRoot }
        for left in subtrees.dropLast().reversed() { hash = MerkleTree.nodeHash(left, hash) }
        return hash
    }
}
