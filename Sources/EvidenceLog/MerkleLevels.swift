import RecordingModel

/// All complete subtrees of a log's leaves, computed once: with them the proof of any leaf in the tree of any earlier
/// size costs a few dozen hashes, and not one for every leaf.
package struct MerkleLevels: Sendable {
    /// `levels[k][i]` is the head over leaves `i * 2^k ..< (i + 1) * 2^k`.
    private let levels: [[ContentHash]]

    package init(leaves: [ContentHash]) {
        var levels = [leaves]
        while let below = levels.last, below.count > 1 {
            levels.append((0..<(below.count / 2)).map { MerkleTree.nodeHash(below[2 * $0], below[2 * $0 + 1]) })
        }
        self.levels = levels
    }

    package var count: Int { levels[0].count }

    /// The root of the first `size` leaves; nil when there are fewer.
    package func root(size: Int) -> ContentHash? {
        guard size >= 0, size <= count else { return nil }
        return size == 0 ? MerkleTree.emptyRoot : root(of: 0..<size)
    }

    /// RFC 6962, section 2.1.1: the path from a leaf to the root of the first `size` leaves.
    package func inclusionProof(of index: Int, size: Int) -> [ContentHash]? {
        guard size <= count, index >= 0, index < size else { return nil }
        var path: [ContentHash] = []
        var range = 0..<size
        while range.count > 1 {
            let middle = range.lowerBound + Self.split(range.count)
            if index < middle {
                path.append(root(of: middle..<range.upperBound))
                range = range.lowerBound..<middle
            } else {
                path.append(root(of: range.lowerBound..<middle))
                range = middle..<range.upperBound
            }
        }
        return path.reversed()
    }

    /// - Precondition: the range is not empty and is one that RFC 6962's splitting makes, so its start is a multiple of
    ///   the power of two that covers its first part.
    private func root(of range: Range<Int>) -> ContentHash {
        let size = range.count
        if size & (size - 1) == 0 { return levels[size.trailingZeroBitCount][range.lowerBound / size] }
        let middle = range.lowerBound + Self.split(size)
        return MerkleTree.nodeHash(root(of: range.lowerBound..<middle), root(of: middle..<range.upperBound))
    }

    /// The largest power of two below the size.
    private static func split(_ size: Int) -> Int { 1 << (Int.bitWidth - 1 - (size - 1).leadingZeroBitCount) }
}
