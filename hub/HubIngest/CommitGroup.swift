/// What waits for the next sync, as a value: when the group is due, and whether more may join.
struct CommitGroup<Item> {
    /// A group is written when its oldest item has waited this long.
    static var lingerMilliseconds: Int64 { 20 }
    /// Or when it holds this many bytes or items; while one group is written, the next may grow beyond it.
    static var dueBytes: Int { 4 << 20 }
    static var dueItems: Int { 256 }
    /// From here on whoever brings more waits until a group is written.
    static var fullBytes: Int { 64 << 20 }
    static var fullItems: Int { 1_024 }

    private(set) var items: [Item] = []
    private(set) var bytes = 0
    private var openedAtMilliseconds: Int64 = 0
    /// Pushes under way, and those of them that wait for the group and can bring nothing meanwhile.
    private(set) var pushes = 0
    private(set) var waiting = 0

    var isFull: Bool { bytes >= Self.fullBytes || items.count >= Self.fullItems }

    mutating func add(_ item: Item, bytes count: Int, nowMilliseconds now: Int64) {
        if items.isEmpty { openedAtMilliseconds = now }
        items.append(item)
        bytes += count
    }

    mutating func pushBegan() { pushes += 1 }
    mutating func pushEnded() { pushes -= 1 }
    mutating func waitBegan() { waiting += 1 }
    mutating func waitEnded() { waiting -= 1 }

    /// Milliseconds until the group is due; 0 when it is; nil when there is nothing to write. When everybody who pushes
    /// waits, nothing more would join it.
    func dueInMilliseconds(nowMilliseconds now: Int64) -> Int64? {
        guard !items.isEmpty else { return nil }
        if bytes >= Self.dueBytes || items.count >= Self.dueItems || waiting >= pushes { return 0 }
        return max(0, openedAtMilliseconds + Self.lingerMilliseconds - now)
    }

    mutating func take() -> [Item] {
        defer {
            items = []
            bytes = 0
        }
        return items
    }
}
