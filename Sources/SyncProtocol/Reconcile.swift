import EvidenceLog
import FoundationEssentials
import RecordingModel

/// One segment as both sides know it, whatever log it was entered in: when it began by the clock of its recorder, and its content.
package struct ReconcileItem: Hashable, Sendable, Codable, Comparable {
    package var startUnixMilliseconds: Int64
    package var sha256: ContentHash
    package init(startUnixMilliseconds: Int64, sha256: ContentHash) {
        self.startUnixMilliseconds = startUnixMilliseconds
        self.sha256 = sha256
    }
    package static func < (one: Self, other: Self) -> Bool {
        one.startUnixMilliseconds != other.startUnixMilliseconds
            ? one.startUnixMilliseconds < other.startUnixMilliseconds : one.sha256.bytes.lexicographicallyPrecedes(other.sha256.bytes)
    }
}

/// Which of a node's segments the hub has, found by comparing fingerprints of ranges (A. Meyer, "Range-Based Set
/// Reconciliation", 2022): equal sets cost one exchange of some hundred bytes, however large they are. For a node that lost its
/// log, and for a medium of unknown history.
///
/// The node asks about ranges of start times, each with the fingerprint of what it has there. The hub answers `same`, or lists
/// what it has when that is little, or divides the range by its own items and gives each part's fingerprint.
package enum Reconcile {
    /// Ranges in a request, and parts or items in all answers of a reply.
    package static let rangesMax = 256
    package static let itemsMax = 4_096
    /// A range with so few items at the hub is listed.
    package static let listMax = 32
    package static let partsMax = 16

    package struct Range: Hashable, Sendable, Codable {
        /// Start times from `from` on, before `to`.
        package var from: Int64
        package var to: Int64
        package var fingerprint: Fingerprint
        package init(from: Int64, to: Int64, fingerprint: Fingerprint) {
            self.from = from
            self.to = to
            self.fingerprint = fingerprint
        }
    }

    /// The number of items and the first 16 bytes of the SHA-256 over their ordered hashes and start times.
    package struct Fingerprint: Hashable, Sendable, Codable {
        package var count: Int
        package var digest: Data
        private static let itemBytes = 8 + ContentHash.byteCount
        package init(_ items: some Sequence<ReconcileItem>) {
            var bytes: [UInt8] = []
            for item in items {
                withUnsafeBytes(of: item.startUnixMilliseconds.bigEndian) { bytes += $0 }
                bytes += item.sha256.bytes
            }
            count = bytes.count / Self.itemBytes
            digest = Data(ContentHash.sha256(bytes).bytes.prefix(16))
        }
    }

    package struct Request: Hashable, Sendable, Codable {
        package var ranges: [Range]
        package init(ranges: [Range]) { self.ranges = ranges }
    }

    package enum Answer: Hashable, Sendable, Codable {
        case same
        /// All that the hub has in the range.
        case items([ReconcileItem])
        /// What the hub has in the range, divided.
        case parts([Range])
    }

    package struct Reply: Hashable, Sendable, Codable {
        /// One for each range that was asked about, in that order; fewer when there is more to say than a reply holds.
        package var answers: [Answer]
        package init(answers: [Answer]) { self.answers = answers }
    }

    /// The hub's side: what it has, in order.
    /// - Throws: `Problem` 400 for ranges that are none, or too many.
    package static func answer(_ request: Request, from items: [ReconcileItem]) throws -> Reply {
        // In order and apart, so that no request costs more than one pass over all items.
        guard request.ranges.count <= rangesMax, request.ranges.allSatisfy({ $0.from < $0.to && $0.fingerprint.count >= 0 && $0.fingerprint.digest.count == 16 }),
            zip(request.ranges, request.ranges.dropFirst()).allSatisfy({ $0.to <= $1.from })
        else {
            throw Problem(status: 400, title: "At most \(rangesMax) ranges, in order and apart, each with a fingerprint.", field: "ranges")
        }
        var reply = Reply(answers: [])
        var said = 0
        for range in request.ranges {
            let own = items[bounds(of: range.from, range.to, in: items)]
            let answer: Answer
            if Fingerprint(own) == range.fingerprint {
                answer = .same
            } else if own.count <= listMax || own.first?.startUnixMilliseconds == own.last?.startUnixMilliseconds {
                answer = .items(Array(own.prefix(itemsMax)))
            } else {
                answer = .parts(divide(own, from: range.from, to: range.to))
            }
            switch answer {
            case .same: said += 1
            case .items(let list): said += list.count
            case .parts(let parts): said += parts.count
            }
            guard said <= itemsMax || reply.answers.isEmpty else { break }
            reply.answers.append(answer)
        }
        return reply
    }

    /// Parts of about as many items each, divided between start times.
    private static func divide(_ items: ArraySlice<ReconcileItem>, from: Int64, to: Int64) -> [Range] {
        var edges = [from]
        for part in 1..<partsMax {
            let edge = items[items.startIndex + items.count * part / partsMax].startUnixMilliseconds
            if let last = edges.last, edge > last { edges.append(edge) }
        }
        // Where most begin at the same moment, that moment is one part.
        if edges.count == 1, let first = items.first, let next = items.first(where: { $0.startUnixMilliseconds > first.startUnixMilliseconds }) {
            edges.append(next.startUnixMilliseconds)
        }
        edges.append(to)
        return zip(edges, edges.dropFirst()).map { from, to in
            Range(from: from, to: to, fingerprint: Fingerprint(items[bounds(of: from, to, in: items)]))
        }
    }

    /// Where the items of these start times lie.
    static func bounds<Items: RandomAccessCollection>(of from: Int64, _ to: Int64, in items: Items) -> Swift.Range<Int> where Items.Element == ReconcileItem, Items.Index == Int {
        func firstIndex(at time: Int64) -> Int {
            var (low, high) = (items.startIndex, items.endIndex)
            while low < high {
                let middle = (low + high) / 2
                if items[middle].startUnixMilliseconds < time { low = middle + 1 } else { high = middle }
            }
            return low
        }
        let low = firstIndex(at: from)
        return low..<max(low, firstIndex(at: to))
    }
}

/// The node's side, as a value: asks until everything is known.
package struct ReconcileMachine: Sendable {
    private let items: [ReconcileItem]
    private var open: [Reconcile.Range]
    private var asked = 0
    /// What the hub has of this node's items.
    package private(set) var common: Set<ContentHash> = []
    /// What the hub has and this node has not: how many.
    package private(set) var foreignCount = 0
    /// Exchanges so far.
    package private(set) var exchanges = 0
    /// A hub that never comes to an end is left.
    package static let exchangesMax = 64

    package init(_ items: some Sequence<ReconcileItem>) {
        self.items = items.sorted()
        open = [Reconcile.Range(from: .min, to: .max, fingerprint: Reconcile.Fingerprint(self.items))]
    }

    /// What to ask next; nil when everything is known.
    package mutating func request() -> Reconcile.Request? {
        guard !open.isEmpty, exchanges < Self.exchangesMax else { return nil }
        open.sort { $0.from < $1.from }
        let ranges = Array(open.prefix(Reconcile.rangesMax))
        asked = ranges.count
        return Reconcile.Request(ranges: ranges)
    }

    /// - Throws: `SyncFault.unexpectedAnswer` when it does not answer what was asked.
    package mutating func answered(_ reply: Reconcile.Reply) throws {
        guard !reply.answers.isEmpty, reply.answers.count <= asked else { throw SyncFault.unexpectedAnswer }
        exchanges += 1
        asked = 0
        let ranges = open.prefix(reply.answers.count)
        open.removeFirst(reply.answers.count)
        for (range, answer) in zip(ranges, reply.answers) {
            let own = items[Reconcile.bounds(of: range.from, range.to, in: items)]
            switch answer {
            case .same: common.formUnion(own.lazy.map(\.sha256))
            case .items(let list):
                let theirs = Set(list)
                let both = own.filter(theirs.contains)
                common.formUnion(both.lazy.map(\.sha256))
                foreignCount += list.count - both.count
            case .parts(let parts):
                // Parts that are not exactly the range, or not smaller than it, would go on for ever.
                guard parts.count > 1, parts.count <= Reconcile.partsMax, parts.first?.from == range.from, parts.last?.to == range.to,
                    zip(parts, parts.dropFirst()).allSatisfy({ $0.to == $1.from }), parts.allSatisfy({ $0.from < $0.to })
                else { throw SyncFault.unexpectedAnswer }
                for part in parts {
                    let mine = items[Reconcile.bounds(of: part.from, part.to, in: items)]
                    let fingerprint = Reconcile.Fingerprint(mine)
                    if fingerprint == part.fingerprint {
                        common.formUnion(mine.lazy.map(\.sha256))
                    } else if mine.isEmpty {
                        foreignCount += part.fingerprint.count
                    } else if part.fingerprint.count > 0 {
                        open.append(Reconcile.Range(from: part.from, to: part.to, fingerprint: fingerprint))
                    }
                }
            }
        }
    }
}
