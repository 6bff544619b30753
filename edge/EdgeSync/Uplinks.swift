import Dispatch
import Glibc
import RecordingModel
import Synchronization
import SyncProtocol

/// The node's links: which one a contact takes, what may go over it now, and what has gone. Budgets survive a restart.
package final class Uplinks: Sendable {
    /// What is not yet kept of a link's use is at most a hundredth of its budget, and at least this.
    private static let unsavedBytesMin: Int64 = 64 << 10

    private struct State {
        var plan: UplinkPlan
        var unsavedBytes: Int64 = 0
    }
    private let state: Mutex<State>
    private let wall: @Sendable () -> WallEstimate
    private let nowMilliseconds: @Sendable () -> Int64
    private let isUp: @Sendable (String) -> Bool
    private let save: @Sendable ([String: UplinkUsage]) async -> Void
    /// Nil where energy is no question.
    package let energy: LinkEnergyBox?

    /// - Parameters:
    ///   - usage: what was saved last
    ///   - isUp: whether an interface is there and up
    ///   - save: keeps the use durably; called rarely
    package init(
        _ links: [Uplink] = [], usage: [String: UplinkUsage] = [:], wall: @escaping @Sendable () -> WallEstimate, nowMilliseconds: @escaping @Sendable () -> Int64,
        isUp: @escaping @Sendable (String) -> Bool = Uplinks.isInterfaceUp, energy: LinkEnergyBox? = nil, save: @escaping @Sendable ([String: UplinkUsage]) async -> Void = { _ in }
    ) {
        state = Mutex(State(plan: UplinkPlan(links, usage: usage)))
        self.wall = wall
        self.nowMilliseconds = nowMilliseconds
        self.isUp = isUp
        self.save = save
        self.energy = energy
    }

    func choose() -> (link: Uplink?, reason: String?) {
        let (wall, now, energy) = (wall(), nowMilliseconds(), energy?.energy)
        if let energy, energy.isRadioOff { return (nil, "the radio is off: \(energy.reason ?? "to save energy")") }
        return state.withLock { $0.plan.choose(at: wall, nowMilliseconds: now, isUp: isUp, state: energy?.state) }
    }

    func allowance(of link: Uplink) -> UplinkAllowance {
        let (wall, energy) = (wall(), energy?.energy)
        let (allowance, used) = state.withLock { ($0.plan.allowance(of: link, at: wall, isUp: isUp, state: energy?.state), $0.plan.usedToday(at: wall)) }
        return energy.map { allowance.limited(by: $0, usedTodayBytes: used) } ?? allowance
    }

    func failed(_ link: Uplink) {
        let now = nowMilliseconds()
        state.withLock { $0.plan.failed(link, nowMilliseconds: now) }
    }
    func succeeded(_ link: Uplink) { state.withLock { $0.plan.succeeded(link) } }

    func add(_ bytes: Int64, to link: Uplink) async {
        guard bytes > 0 else { return }
        let wall = wall()
        let due = state.withLock { state -> [String: UplinkUsage]? in
            state.plan.add(bytes, to: link, at: wall)
            guard let budget = [link.leastBudgetBytes, energy?.energy.dayBytesMax].compactMap(\.self).min() else { return nil }
            state.unsavedBytes += bytes
            guard state.unsavedBytes >= max(Self.unsavedBytesMin, budget / 100) else { return nil }
            state.unsavedBytes = 0
            return state.plan.usage
        }
        if let due { await save(due) }
    }

    /// At the end of a contact.
    func settle() async {
        let due = state.withLock { state -> [String: UplinkUsage]? in
            guard state.unsavedBytes > 0 else { return nil }
            state.unsavedBytes = 0
            return state.plan.usage
        }
        if let due { await save(due) }
    }

    package var usage: [String: UplinkUsage] { state.withLock { $0.plan.usage } }
    package var links: [Uplink] { state.withLock { $0.plan.links } }

    /// What the kernel says of an interface (`/sys/class/net/NAME/operstate`); a tunnel or a modem often says `unknown`.
    package static func isInterfaceUp(_ device: String) -> Bool {
        guard isDeviceName(device), let file = fopen("/sys/class/net/\(device)/operstate", "re") else { return false }
        defer { fclose(file) }
        var line = [CChar](repeating: 0, count: 32)
        guard fgets(&line, Int32(line.count), file) != nil else { return false }
        let word = String(decoding: line.prefix { $0 != 0 && $0 != 10 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        return word == "up" || word == "unknown"
    }

    /// At most 15 bytes (IFNAMSIZ), and nothing that is a path.
    package static func isDeviceName(_ name: String) -> Bool {
        (1...15).contains(name.utf8.count) && name != "." && name != ".."
            && name.utf8.allSatisfy { (48...57).contains($0) || (65...90).contains($0) || (97...122).contains($0) || [45, 46, 95].contains($0) }
    }
}

/// Says when a network interface or an address comes or goes (rtnetlink(7)): a link that is back is used at once.
///
/// `@unchecked Sendable`: a dispatch source may be used from any thread; it is only cancelled, once.
package final class LinkChanges: @unchecked Sendable {
    private let source: any DispatchSourceRead
    private let listeners: Mutex<[UInt64: AsyncStream<Void>.Continuation]>
    private let counter = Atomic<UInt64>(0)

    /// Nil where the kernel offers no such socket: links are then found by dialling.
    package init?() {
        // AF_NETLINK, NETLINK_ROUTE; groups for links, IPv4 and IPv6 addresses (linux/rtnetlink.h).
        let descriptor = socket(16, Int32(SOCK_RAW.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0)
        guard descriptor >= 0 else { return nil }
        // struct sockaddr_nl: family, padding, port, groups.
        var address: (UInt16, UInt16, UInt32, UInt32) = (16, 0, 0, 0x1 | 0x10 | 0x100)
        let isBound = withUnsafeMutableBytes(of: &address) { bytes in
            bytes.withMemoryRebound(to: sockaddr.self) { bind(descriptor, $0.baseAddress, 12) == 0 }
        }
        guard isBound else {
            close(descriptor)
            return nil
        }
        listeners = Mutex([:])
        source = DispatchSource.makeReadSource(fileDescriptor: descriptor, queue: DispatchQueue(label: "fieldpost.sync.links"))
        source.setEventHandler { [weak self] in
            // What changed is of no interest, only that something did.
            var waste = [UInt8](repeating: 0, count: 8 << 10)
            while recv(descriptor, &waste, waste.count, 0) > 0 {}
            self?.notify()
        }
        source.setCancelHandler { close(descriptor) }
        source.activate()
    }

    deinit { source.cancel() }

    private func notify() {
        let all = listeners.withLock { Array($0.values) }
        for listener in all { listener.yield() }
    }

    /// Yields at each change; several at once are one.
    package func stream() -> AsyncStream<Void> {
        let (stream, continuation) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        let id = counter.add(1, ordering: .relaxed).newValue
        listeners.withLock { $0[id] = continuation }
        continuation.onTermination = { [weak self] _ in _ = self?.listeners.withLock { $0.removeValue(forKey: id) } }
        return stream
    }
}
