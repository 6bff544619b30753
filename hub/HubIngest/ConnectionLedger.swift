import RecordingModel

/// Who is connected and what the hub waits for from each, as a value: which connections are refused, and which have used
/// up their time. Times are milliseconds of a clock that never goes back.
struct ConnectionLedger<ID: Hashable> {
    enum Phase: Hashable {
        /// Handshake and the first header.
        case greeting
        /// The hub waits for bytes of a body.
        case body
        /// The hub has bytes to work on: nothing is asked of the peer.
        case working
        /// The hub waits for the next request.
        case idle
    }
    enum Overdue: String {
        case greeting, idle, silent, slow
    }
    private struct Entry {
        var address: String
        var node: NodeID?
        var phase = Phase.greeting
        var number: UInt64
        /// When the phase began, or the last byte of a body came.
        var since: Int64
        var windowSince: Int64 = 0
        var windowBytes: Int64 = 0
    }
    private let limits: IngestLimits
    private var entries: [ID: Entry] = [:]
    private var strangers: [String: Int] = [:]
    private var byNode: [NodeID: Set<ID>] = [:]
    private var counter: UInt64 = 0

    init(limits: IngestLimits) { self.limits = limits }

    var count: Int { entries.count }
    var isScarce: Bool { entries.count * 100 > limits.connections * limits.scarcityPercent }
    /// Nodes that have shown their key.
    var nodes: Int { byNode.count }

    /// - Returns: false for one connection too many of this address; it is not noted then.
    mutating func opened(_ id: ID, address: String, now: Int64) -> Bool {
        guard strangers[address, default: 0] < limits.connectionsPerAddress else { return false }
        strangers[address, default: 0] += 1
        counter += 1
        entries[id] = Entry(address: address, number: counter, since: now)
        return true
    }

    mutating func closed(_ id: ID) {
        guard let entry = entries.removeValue(forKey: id) else { return }
        guard let node = entry.node else { return strangerLeft(entry.address) }
        byNode[node]?.remove(id)
        if byNode[node]?.isEmpty == true { byNode[node] = nil }
    }

    /// The connection has shown the key of a node that has joined.
    /// - Returns: the node's oldest connection, when this is one too many.
    mutating func identified(_ id: ID, as node: NodeID) -> ID? {
        guard let entry = entries[id], entry.node == nil else { return nil }
        entries[id]?.node = node
        strangerLeft(entry.address)
        byNode[node, default: []].insert(id)
        guard let all = byNode[node], all.count > limits.connectionsPerNode else { return nil }
        return all.min { (entries[$0]?.number ?? 0) < (entries[$1]?.number ?? 0) }
    }

    mutating func bodyBegan(_ id: ID, now: Int64) {
        entries[id]?.phase = .body
        entries[id]?.since = now
        entries[id]?.windowSince = now
        entries[id]?.windowBytes = 0
    }

    mutating func received(_ id: ID, bytes: Int) {
        entries[id]?.phase = .working
        entries[id]?.windowBytes += Int64(bytes)
    }

    /// The hub is done with what came and waits for more. The time it took itself is not the peer's.
    mutating func awaitsBody(_ id: ID, now: Int64) {
        guard let entry = entries[id], entry.phase == .working else { return }
        entries[id]?.phase = .body
        entries[id]?.since = now
    }

    mutating func requestBegan(_ id: ID) { entries[id]?.phase = .working }

    mutating func requestEnded(_ id: ID, now: Int64) {
        entries[id]?.phase = .idle
        entries[id]?.since = now
    }

    /// The connections whose time is up. Windows that have ended well begin anew.
    mutating func overdue(now: Int64) -> [(id: ID, why: Overdue)] {
        let divisor = isScarce ? limits.scarcityDivisor : 1
        func isOver(_ since: Int64, _ seconds: Int64) -> Bool { now - since >= seconds * 1_000 / divisor }
        var over: [(ID, Overdue)] = []
        var ended: [ID] = []
        for (id, entry) in entries {
            switch entry.phase {
            case .greeting: if isOver(entry.since, limits.greetingSeconds) { over.append((id, .greeting)) }
            case .idle: if isOver(entry.since, limits.idleSeconds) { over.append((id, .idle)) }
            case .body:
                if isOver(entry.since, limits.silenceSeconds) {
                    over.append((id, .silent))
                } else if isOver(entry.windowSince, limits.rateWindowSeconds) {
                    if entry.windowBytes < limits.rateFloorBytes / divisor { over.append((id, .slow)) } else { ended.append(id) }
                }
            case .working: if isOver(entry.windowSince, limits.rateWindowSeconds) { ended.append(id) }
            }
        }
        for id in ended {
            entries[id]?.windowSince = now
            entries[id]?.windowBytes = 0
        }
        return over
    }

    private mutating func strangerLeft(_ address: String) {
        let rest = strangers[address, default: 0] - 1
        strangers[address] = rest > 0 ? rest : nil
    }
}
