import Foundation
import Synchronization

/// A TCP link that fails on command: it forwards to a port on this machine, and can be cut after so many bytes, or paused.
/// Plain sockets, two threads a connection: in a test, what happens when must be plain to see.
public final class FaultProxy: Sendable {
    public enum Direction: Sendable {
        /// From whoever dialled towards the target.
        case outward
        /// From the target back.
        case inward
    }

    public struct Cut: Sendable {
        public let direction: Direction
        /// Counted from the cut before, over all connections.
        public let afterBytes: Int

        public init(_ direction: Direction, afterBytes: Int) {
            self.direction = direction
            self.afterBytes = afterBytes
        }
    }

    private struct State: Sendable {
        var plan: [Cut] = []
        var counted = 0
        var cuts = 0
        var connections: [Int: (Int32, Int32)] = [:]
        var nextConnection = 0
        var accepted = 0
        var forwardedOutward = 0
        var isPaused = false
        /// The link goes silent when so many more bytes have passed outward.
        var stallAfter: Int?
        var isStopped = false
    }

    public let port: Int
    private let targetPort: Int
    private let listener: Int32
    private let state = Watched(State())

    /// Listens on `port` (0 for any) of the loopback interface.
    public init(port: Int = 0, to targetPort: Int) throws {
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var yes: Int32 = 1
        setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, socklen_t(MemoryLayout<Int32>.size))
        let bound = withLoopbackAddress(port: port) { bind(listener, $0, $1) }
        guard listener >= 0, bound == 0, listen(listener, 64) == 0 else {
            throw TestFailure("the proxy cannot listen on port \(port): \(String(cString: strerror(errno)))")
        }
        self.listener = listener
        self.targetPort = targetPort
        self.port = try boundPort(of: listener)
        Thread { [self] in acceptConnections() }.start()
    }

    /// The link goes down at these bytes, one after the other; each cut resets every connection there is.
    public func cut(_ plan: [Cut]) {
        state.update { state in
            state.plan = plan
            state.counted = 0
        }
    }

    public var cuts: Int { state.value.cuts }
    public var accepted: Int { state.value.accepted }
    public var forwardedOutward: Int { state.value.forwardedOutward }

    public func waitForCuts(_ count: Int, within limit: Duration) async throws {
        _ = try await state.wait(for: "\(count) cuts of the link (\(cuts) so far)", within: limit) { $0.cuts >= count ? true : nil }
    }

    /// While paused nothing is forwarded, and connections stay up: a link that has gone silent.
    public func pause() { state.update { $0.isPaused = true } }
    public func resume() { state.update { $0.isPaused = false } }
    public var isPaused: Bool { state.value.isPaused }

    /// Pauses by itself when so many more bytes have gone outward: in the middle of whatever is being sent then.
    public func pause(afterBytes count: Int) { state.update { $0.stallAfter = count } }

    public func waitForPause(within limit: Duration) async throws {
        _ = try await state.wait(for: "the link's silence", within: limit) { $0.isPaused ? true : nil }
    }

    public func dropConnections() {
        state.update { state in
            for (a, b) in state.connections.values { reset(a, b) }
        }
    }

    public func stop() {
        state.update { $0.isStopped = true }
        shutdown(listener, Int32(SHUT_RDWR))
        dropConnections()
    }

    private func acceptConnections() {
        while true {
            let client = accept(listener, nil, nil)
            if client < 0 { break }
            let target = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
            let connected = withLoopbackAddress(port: targetPort) { connect(target, $0, $1) }
            guard connected == 0, !state.value.isStopped else {
                close(client)
                close(target)
                continue
            }
            let id = state.update { state in
                state.accepted += 1
                state.nextConnection += 1
                state.connections[state.nextConnection] = (client, target)
                return state.nextConnection
            }
            let open = Watched(2)
            for (from, to, direction) in [(client, target, Direction.outward), (target, client, .inward)] {
                Thread { [self] in
                    forward(from: from, to: to, direction)
                    let remaining = open.update { count in
                        count -= 1
                        return count
                    }
                    // The second of the two threads closes, so that no descriptor is used again while one still reads it.
                    if remaining == 0 {
                        state.update { _ = $0.connections.removeValue(forKey: id) }
                        close(client)
                        close(target)
                    }
                }.start()
            }
        }
        close(listener)
    }

    private func forward(from: Int32, to: Int32, _ direction: Direction) {
        var buffer = [UInt8](repeating: 0, count: 64 * 1024)
        while true {
            let count = recv(from, &buffer, buffer.count, 0)
            if count <= 0 { break }
            while state.value.isPaused, !state.value.isStopped { usleep(5_000) }
            let allowed = allowance(of: count, direction)
            var sent = 0
            for end in [min(allowed.bytes, bytesBeforeStall(of: allowed.bytes, direction)), allowed.bytes] {
                while state.value.isPaused, !state.value.isStopped { usleep(5_000) }
                while sent < end {
                    let written = buffer[sent..<end].withUnsafeBytes { send(to, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
                    if written <= 0 { break }
                    sent += written
                }
                if sent == end, end < allowed.bytes { pause() }
            }
            if allowed.isCut {
                dropConnections()
                break
            }
            if sent < count { break }
        }
        shutdown(to, Int32(SHUT_WR))
        shutdown(from, Int32(SHUT_RD))
    }

    /// How many of these bytes still pass before the link goes silent.
    private func bytesBeforeStall(of count: Int, _ direction: Direction) -> Int {
        state.update { state in
            guard direction == .outward, let left = state.stallAfter else { return count }
            state.stallAfter = left > count ? left - count : nil
            return min(left, count)
        }
    }

    /// How many of these bytes still pass before the next cut.
    private func allowance(of count: Int, _ direction: Direction) -> (bytes: Int, isCut: Bool) {
        state.update { state in
            if direction == .outward { state.forwardedOutward += count }
            guard let next = state.plan.first, next.direction == direction else { return (count, false) }
            guard state.counted + count >= next.afterBytes else {
                state.counted += count
                return (count, false)
            }
            let bytes = next.afterBytes - state.counted
            state.plan.removeFirst()
            state.counted = 0
            state.cuts += 1
            return (bytes, true)
        }
    }
}

/// A port that was free a moment ago.
public func freePort() throws -> Int {
    let probe = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(probe) }
    guard withLoopbackAddress(port: 0, { bind(probe, $0, $1) }) == 0 else { throw TestFailure("no free port") }
    return try boundPort(of: probe)
}

/// A TCP connection to this machine that is held open, and says nothing unless told to.
public final class IdleConnection: Sendable {
    private let descriptor: Int32

    public init(port: Int) throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        guard withLoopbackAddress(port: port, { connect(descriptor, $0, $1) }) == 0 else {
            throw TestFailure("nothing listens on port \(port)")
        }
    }

    deinit {
        close(descriptor)
    }
}

private func withLoopbackAddress<Result>(port: Int, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Result) -> Result {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = in_port_t(port).bigEndian
    address.sin_addr.s_addr = inet_addr("127.0.0.1")
    return withUnsafePointer(to: address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
    }
}

private func boundPort(of descriptor: Int32) throws -> Int {
    var address = sockaddr_in()
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let result = withUnsafeMutablePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor, $0, &length) }
    }
    guard result == 0 else { throw TestFailure("getsockname: \(String(cString: strerror(errno)))") }
    return Int(in_port_t(bigEndian: address.sin_port))
}

/// Ends both sides at once and without a farewell, as a link that goes away does.
private func reset(_ descriptors: Int32...) {
    for descriptor in descriptors {
        var linger = linger(l_onoff: 1, l_linger: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &linger, socklen_t(MemoryLayout.size(ofValue: linger)))
        shutdown(descriptor, Int32(SHUT_RDWR))
    }
}
