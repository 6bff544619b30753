import RecordingModel

/// Segments that the hub did not take or the node could not read: how often, and which are left aside for now.
struct RefusedSegments: Sendable {
    private(set) var aside: [SegmentID: Refusal] = [:]
    private var asideUntil: [SegmentID: Int64] = [:]
    private var counts: [SegmentID: Int] = [:]
    /// What arrived of them was not what their entries say. Before they are sent again the node looks at its own files.
    private var doubted: Set<SegmentID> = []
    private let limits: NodeSyncMachine.Limits

    init(_ limits: NodeSyncMachine.Limits) { self.limits = limits }

    /// One more of a segment; after `refusalLimit` it is set aside.
    mutating func count(_ refusal: Refusal, of segment: SegmentID, _ now: Int64) {
        counts[segment, default: 0] += 1
        if refusal.reason == .wrongHash { doubted.insert(segment) }
        if counts[segment, default: 0] >= limits.refusalLimit { setAside(segment, refusal, now) }
    }

    mutating func setAside(_ segment: SegmentID, _ refusal: Refusal, _ now: Int64) {
        aside[segment] = refusal
        asideUntil[segment] = now + limits.setAsideMilliseconds
    }

    /// What was set aside long enough is tried afresh: the disk, or the hub, may have been mended.
    /// - Returns: whether there is any.
    mutating func release(_ now: Int64) -> Bool {
        let due = asideUntil.filter { $0.value <= now }.keys
        for segment in due { (asideUntil[segment], aside[segment], counts[segment]) = (nil, nil, nil) }
        return !due.isEmpty
    }

    func isDoubted(_ segment: SegmentID) -> Bool { doubted.contains(segment) }

    mutating func vouched(_ segment: SegmentID) { doubted.remove(segment) }

    /// What the hub has now needs no count.
    mutating func forget(_ held: [StreamID: SequenceRanges]) {
        counts = counts.filter { held[$0.key.stream]?.contains($0.key.sequence) != true }
        doubted = doubted.filter { held[$0.stream]?.contains($0.sequence) != true }
    }
}
