import LogFixtures
import RecordingModel
import Testing

@Suite struct SequenceRangesTests {
    @Test("Ranges behave as a set of numbers, for 200 seeds", arguments: 0..<200)
    func likeASet(seed: Int) throws {
        var generator = SeededNumbers(seed: UInt64(seed))
        var ranges = SequenceRanges()
        var set: Set<UInt64> = []
        for _ in 0..<60 {
            let low = UInt64.random(in: 0..<50, using: &generator)
            let range = low...(low + UInt64.random(in: 0..<6, using: &generator))
            if Bool.random(using: &generator) {
                ranges.insert(range)
                set.formUnion(range)
            } else {
                ranges.remove(range)
                set.subtract(range)
            }
            #expect(ranges.count == UInt64(set.count))
            for number in UInt64(0)...60 { #expect(ranges.contains(number) == set.contains(number)) }
            #expect(zip(ranges.ranges, ranges.ranges.dropFirst()).allSatisfy { $1.lowerBound > $0.upperBound + 1 })
            #expect(SequenceRanges(ranges.description) == ranges)
        }
    }

    @Test("Text that is not in order, overlaps or is no number is refused", arguments: ["5-3", "1,1", "3,2", "1-4,5", "1-", "-1", "a", "1,,2", " 1", "1-2-3"])
    func malformed(text: String) { #expect(SequenceRanges(text) == nil) }

    @Test("172,800 segments with 100 holes are at most 1,500 bytes of text")
    func size() {
        var ranges = SequenceRanges()
        ranges.insert(0...172_799)
        for hole in 0..<100 { ranges.remove(UInt64(hole * 1_700 + 13)...UInt64(hole * 1_700 + 13)) }
        #expect(ranges.description.utf8.count <= 1_500)
    }
}

@Suite struct TimelineTests {
    private func span(_ start: Int64, _ end: Int64, _ state: SpanState) -> TimelineSpan {
        TimelineSpan(startUnixMilliseconds: start, endUnixMilliseconds: end, state: state)
    }

    @Test("Spans tile their window without hole or overlap, for 200 seeds", arguments: 0..<200)
    func tiles(seed: Int) {
        var generator = SeededNumbers(seed: UInt64(seed))
        let spans = (0..<Int.random(in: 0..<30, using: &generator)).map { _ in
            let start = Int64.random(in: -500..<10_500, using: &generator)
            return span(start, start + Int64.random(in: 1..<3_000, using: &generator), SpanState.allCases.randomElement(using: &generator) ?? .lost)
        }
        let tiled = Timeline.tile(spans, from: 0, to: 10_000)
        #expect(tiled.first?.startUnixMilliseconds == 0)
        #expect(tiled.last?.endUnixMilliseconds == 10_000)
        for (left, right) in zip(tiled, tiled.dropFirst()) { #expect(left.endUnixMilliseconds == right.startUnixMilliseconds) }
        #expect(Timeline.totals(tiled).values.reduce(0, +) == 10_000)
    }

    @Test("Footage wins over a gap that claims the same time, and silence is unknown")
    func precedence() {
        let tiled = Timeline.tile([span(0, 5_000, .notRecorded), span(2_000, 3_000, .onHub), span(4_000, 8_000, .onlyOnNode)], from: 0, to: 10_000)
        #expect(tiled.map(\.state) == [.notRecorded, .onHub, .notRecorded, .onlyOnNode, .unknown])
    }

    @Test("A hole as small as rounding is no hole, a second is one")
    func tolerance() {
        #expect(Timeline.tile([span(0, 5_000, .onHub), span(5_004, 10_000, .onHub)], from: 0, to: 10_000).map(\.state) == [.onHub])
        #expect(Timeline.tile([span(0, 5_000, .onHub), span(6_000, 10_000, .onHub)], from: 0, to: 10_000).map(\.state) == [.onHub, .unknown, .onHub])
    }
}

@Suite struct NameTests {
    @Test("Names that could be anything but a name are refused", arguments: ["", "..", "a/b", "A", "-a", "_a", "a b", "a\0", "ä", String(repeating: "a", count: 33), "a.mp4"])
    func cameras(name: String) { #expect(CameraID(name) == nil) }

    @Test("A hash has one spelling")
    func hashes() throws {
        let text = String(repeating: "0f", count: 32)
        let hash = try #require(ContentHash(text))
        #expect(hash.description == text)
        #expect(ContentHash(text.uppercased()) == nil)
        #expect(ContentHash(String(text.dropLast())) == nil)
        #expect(hash != ContentHash.zero)
    }

    @Test("A side file's record comes back as it was, and a torn one is none")
    func fragments() throws {
        let record = FragmentRecord(offset: 812, length: 70_000, sha256: .zero, durationTicks90k: 180_000, frames: 30)
        let bytes = record.encoded
        #expect(bytes.count == FragmentRecord.recordBytes)
        #expect(FragmentRecord(bytes[...]) == record)
        #expect(FragmentRecord(bytes[..<63]) == nil)
    }
}
