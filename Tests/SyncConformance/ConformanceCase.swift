import EvidenceLog
import RecordingModel
import SyncProtocol

/// Something that is done to an exchange, and what must be true then. Each is tried on every pair.
package struct ConformanceCase: Sendable, CustomStringConvertible {
    package let name: String
    /// Bytes of each segment of the node.
    package let segmentBytes: [Int]
    /// Places of segments whose files differ from their entries.
    package let rotten: Set<Int>
    private let course: @Sendable (any SyncPair, inout Findings) async throws -> Void

    package init(_ name: String, _ segmentBytes: [Int], rotten: Set<Int> = [], _ course: @escaping @Sendable (any SyncPair, inout Findings) async throws -> Void) {
        self.name = name
        self.segmentBytes = segmentBytes
        self.rotten = rotten
        self.course = course
    }

    package var description: String { name }

    /// Contents of the segments, all different.
    package var contents: [[UInt8]] {
        segmentBytes.enumerated().map { place, count in (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ place &* 31 &+ $0 / 256) } }
    }

    /// What is wrong after it; empty when all is well.
    package func run(on pair: any SyncPair) async throws -> [String] {
        var findings = Findings()
        try await course(pair, &findings)
        try await findings.judge(pair)
        return findings.problems
    }
}

/// What a case has found wrong.
package struct Findings {
    package private(set) var problems: [String] = []
    package init() {}

    package mutating func expect(_ isTrue: Bool, _ what: @autoclosure () -> String) { if !isTrue { problems.append(what()) } }

    /// What is true after every case, whatever was done.
    package mutating func judge(_ pair: any SyncPair) async throws {
        let hub = try await pair.hubState()
        let footage = pair.footage
        for segment in hub.held {
            guard let promised = footage.segments[segment]?.sha256 else {
                problems.append("the hub holds \(segment), which the node never had")
                continue
            }
            expect(hub.blobs[promised] == promised, "the hub claims \(segment) without its bytes")
        }
        let promised = Set(hub.held.compactMap { footage.segments[$0]?.sha256 })
        expect(hub.blobs.count == promised.count, "\(hub.blobs.count) blobs for \(promised.count) contents that are held")
        expect(Int(hub.logSize) < footage.roots.count && footage.roots[Int(hub.logSize)] == hub.logRoot, "the hub's log at \(hub.logSize) is not the node's")
        for (stream, ranges) in pair.statement?.heldByStream ?? [:] {
            for range in ranges.ranges {
                for sequence in range where !hub.held.contains(SegmentID(stream: stream, sequence: sequence)) {
                    problems.append("the node may delete \(stream) \(sequence), which the hub does not hold")
                }
            }
        }
    }

    /// Everything is at the hub, or set aside because it is not what its entry says.
    package mutating func expectComplete(_ pair: any SyncPair) async throws {
        let hub = try await pair.hubState()
        let footage = pair.footage
        expect(Int(hub.logSize) == footage.roots.count - 1, "the hub has \(hub.logSize) of \(footage.roots.count - 1) entries")
        let missing = Set(footage.ids).subtracting(hub.held)
        expect(missing == footage.rotten, "not at the hub: \(missing.sorted())")
        expect(pair.setAside == footage.rotten, "set aside: \(pair.setAside.sorted())")
        expect(hub.partials == 0, "\(hub.partials) parts of segments are left")
    }
}
