import EvidenceLog
import GRDB
import RecordingModel
import Synchronization
import SyncProtocol

/// What the open requests of a node come to, kept between hellos: a node that is idle costs one look into a table in memory.
struct WantsCache: Sendable {
    /// An open request, and the segments of its range that the node still has, by its log.
    struct Asked: Sendable {
        var request: FootageRequest
        var footage: [(stream: StreamID, sequences: SequenceRanges)]
    }
    /// Nil: to be asked of the catalogue anew.
    var asked: [Asked]?
    /// Nil: to be made anew from what is held.
    var wants: Wants?
    /// Rises with every change, so that what was computed meanwhile is not kept.
    var version: UInt64 = 0
}

extension HubStore {
    /// Ranges in an answer at most, for pulls and for pins. Of pulls the rest comes when these are here; pins are made
    /// coarser instead: more is kept than was asked for.
    static let wantedRangesMax = 4_096

    /// What is asked of a node. Pulls: what the hub lacks, in the order of the requests, of each the main stream first.
    /// Pins: the same and that of pins; of holds also what the hub has.
    package func wants(node: NodeID, log: LogID, nowUnixMilliseconds now: Int64) throws -> Wants {
        let key = LogKey(node: node, log: log)
        // Its place is made at once, so that a change that comes meanwhile is noted.
        let known = wantsCache.withLock { cache in
            let known = cache[key] ?? WantsCache()
            cache[key] = known
            return known
        }
        if let wants = known.wants { return wants }
        var asked = try known.asked ?? self.asked(node, log)
        let held = try held(node, log)
        // A pull of which nothing is outstanding may be done; the catalogue knows, and then it is asked of no more.
        let settled = Set(asked.filter { $0.request.kind == .pull && Self.outstanding($0, held).isEmpty }.map(\.request.id))
        if !settled.isEmpty {
            let open = try catalogue.write { db in
                try Self.settlePulls(db, node, only: settled, nowUnixMilliseconds: now)
                return Set(try Self.openRequests(db, node).map(\.id))
            }
            asked.removeAll { !open.contains($0.request.id) }
        }
        let wants = Self.wants(asked, held)
        wantsCache.withLock { cache in
            guard cache[key, default: WantsCache()].version == known.version else { return }
            cache[key] = WantsCache(asked: asked, wants: wants, version: known.version)
        }
        return wants
    }

    private static func outstanding(_ asked: WantsCache.Asked, _ held: [StreamID: SequenceRanges]) -> [StreamHoldings] {
        asked.footage.compactMap { footage in
            let rest = footage.sequences.subtracting(held[footage.stream] ?? SequenceRanges())
            return rest.isEmpty ? nil : StreamHoldings(stream: footage.stream, sequences: rest)
        }
    }

    private static func wants(_ asked: [WantsCache.Asked], _ held: [StreamID: SequenceRanges]) -> Wants {
        var pulls: [StreamHoldings] = []
        var pulled: [StreamID: SequenceRanges] = [:]
        var pins: [StreamID: SequenceRanges] = [:]
        var ranges = 0
        for item in asked {
            let outstanding = outstanding(item, held)
            let kept = item.request.kind == .hold ? item.footage.map { StreamHoldings(stream: $0.stream, sequences: $0.sequences) } : outstanding
            for part in kept { pins[part.stream] = (pins[part.stream] ?? SequenceRanges()).union(part.sequences) }
            guard item.request.kind == .pull else { continue }
            for part in outstanding {
                let new = part.sequences.subtracting(pulled[part.stream] ?? SequenceRanges())
                // Ranges in order: each lengthens the list at its end.
                let taken = new.ranges.prefix(wantedRangesMax - ranges).reduce(into: SequenceRanges()) { $0.insert($1) }
                guard !taken.isEmpty else { continue }
                ranges += taken.ranges.count
                pulls.append(StreamHoldings(stream: part.stream, sequences: taken))
                pulled[part.stream] = (pulled[part.stream] ?? SequenceRanges()).union(taken)
            }
        }
        if pins.values.reduce(0, { $0 + $1.ranges.count }) > wantedRangesMax {
            pins = pins.mapValues { ranges in ranges.first.flatMap { first in ranges.last.map { SequenceRanges(closed: first...$0) } } ?? ranges }
        }
        return Wants(pulls: pulls, pins: pins.map { StreamHoldings(stream: $0.key, sequences: $0.value) }.sorted { $0.stream < $1.stream })
    }

    /// Segments of the open requests' ranges that the node has not given up.
    private func asked(_ node: NodeID, _ log: LogID) throws -> [WantsCache.Asked] {
        try catalogue.read { db in
            try Self.openRequests(db, node).map { request in
                let footage = try Self.kinds(request).compactMap { kind -> (stream: StreamID, sequences: SequenceRanges)? in
                    var sequences = try Int64.fetchAll(
                        db, sql: "SELECT sequence FROM segments WHERE \(Self.rangeCondition) AND log = ? AND gone IS NULL",
                        arguments: Self.rangeArguments(request, kind) + [log.description])
                    // In order each lengthens the last range.
                    sequences.sort()
                    let ranges = SequenceRanges(sequences.lazy.map { UInt64(bitPattern: $0) })
                    return ranges.isEmpty ? nil : (StreamID(camera: request.camera, kind: kind), ranges)
                }
                return WantsCache.Asked(request: request, footage: footage)
            }
        }
    }

    // MARK: What makes it old

    /// Requests were made, withdrawn or done.
    func requestsChanged(of node: NodeID) { forgetWants(node) }

    /// The catalogue knows of more footage of the node, of other times, or of footage that is gone.
    func entriesChanged(of node: NodeID) { forgetWants(node) }

    private func forgetWants(_ node: NodeID) {
        wantsCache.withLock { cache in
            for key in cache.keys where key.node == node { cache[key] = WantsCache(version: (cache[key]?.version ?? 0) + 1) }
        }
    }

    /// A segment has become held. Nothing is asked of the catalogue for it.
    func heldChanged(_ key: LogKey) {
        wantsCache.withLock { cache in
            guard var known = cache[key], known.asked?.isEmpty != true else { return }
            known.wants = nil
            known.version += 1
            cache[key] = known
        }
    }
}
