/// A set of sequence numbers, kept as ordered, disjoint, non-adjacent closed ranges: 172,800 segments with
/// 100 holes are 101 ranges. Written as text, `0-57,60,62-70`, which is also how it travels.
package struct SequenceRanges: Hashable, Sendable {
    package private(set) var ranges: [ClosedRange<UInt64>] = []

    package init() {}
    package init(closed range: ClosedRange<UInt64>) { ranges = [range] }
    package init(_ sequences: some Sequence<UInt64>) {
        for sequence in sequences { insert(sequence) }
    }

    package var isEmpty: Bool { ranges.isEmpty }
    package var count: UInt64 { ranges.reduce(0) { $0 + ($1.upperBound - $1.lowerBound) + 1 } }
    package var first: UInt64? { ranges.first?.lowerBound }
    package var last: UInt64? { ranges.last?.upperBound }

    package func contains(_ sequence: UInt64) -> Bool {
        let index = firstIndex(endingAtOrAfter: sequence)
        return index < ranges.count && ranges[index].contains(sequence)
    }

    package mutating func insert(_ sequence: UInt64) { insert(sequence...sequence) }

    package mutating func insert(_ range: ClosedRange<UInt64>) {
        // Everything that touches or overlaps the new range melts into one.
        let start = firstIndex(endingAtOrAfter: range.lowerBound == 0 ? 0 : range.lowerBound - 1)
        var end = start
        var merged = range
        while end < ranges.count, ranges[end].lowerBound <= (merged.upperBound == .max ? .max : merged.upperBound + 1) {
            merged = min(merged.lowerBound, ranges[end].lowerBound)...max(merged.upperBound, ranges[end].upperBound)
            end += 1
        }
        ranges.replaceSubrange(start..<end, with: CollectionOfOne(merged))
    }

    package mutating func remove(_ range: ClosedRange<UInt64>) {
        let start = firstIndex(endingAtOrAfter: range.lowerBound)
        var end = start
        var rest: [ClosedRange<UInt64>] = []
        while end < ranges.count, ranges[end].lowerBound <= range.upperBound {
            let old = ranges[end]
            if old.lowerBound < range.lowerBound { rest.append(old.lowerBound...(range.lowerBound - 1)) }
            if old.upperBound > range.upperBound { rest.append((range.upperBound + 1)...old.upperBound) }
            end += 1
        }
        ranges.replaceSubrange(start..<end, with: rest)
    }

    package func subtracting(_ other: SequenceRanges) -> SequenceRanges {
        var result = self
        for range in other.ranges { result.remove(range) }
        return result
    }

    package func upTo(_ last: UInt64) -> SequenceRanges {
        var result = self
        if last < .max { result.remove(last + 1 ... .max) }
        return result
    }

    package func union(_ other: SequenceRanges) -> SequenceRanges {
        var result = self
        for range in other.ranges { result.insert(range) }
        return result
    }

    private func firstIndex(endingAtOrAfter sequence: UInt64) -> Int {
        var low = 0
        var high = ranges.count
        while low < high {
            let middle = (low + high) / 2
            if ranges[middle].upperBound < sequence { low = middle + 1 } else { high = middle }
        }
        return low
    }
}

extension SequenceRanges: LosslessStringConvertible, Codable {
    /// Refuses ranges out of order or overlapping, and more than 65,536 of them: a peer's text is never trusted.
    package static let rangeLimit = 65_536

    package init?(_ description: String) {
        guard !description.isEmpty else { return }
        let parts = description.split(separator: ",", omittingEmptySubsequences: false)
        guard parts.count <= Self.rangeLimit else { return nil }
        for part in parts {
            let bounds = part.split(separator: "-", omittingEmptySubsequences: false)
            guard let low = bounds.first.flatMap({ UInt64($0) }), bounds.count <= 2 else { return nil }
            var high = low
            if bounds.count == 2 {
                guard let value = UInt64(bounds[1]), value > low else { return nil }
                high = value
            }
            if let last = ranges.last { guard low > last.upperBound, low - last.upperBound > 1 else { return nil } }
            ranges.append(low...high)
        }
    }

    package var description: String {
        ranges.map { $0.lowerBound == $0.upperBound ? "\($0.lowerBound)" : "\($0.lowerBound)-\($0.upperBound)" }.joined(separator: ",")
    }

    package init(from decoder: any Decoder) throws {
        self = try decodeText(from: decoder, expecting: "ordered ranges such as 0-57,60,62-70") { SequenceRanges($0) }
    }
    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}
