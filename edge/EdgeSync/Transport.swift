import NIOCore
import SyncProtocol

/// What Linux's TCP offers beyond NIO's own options (tcp(7), linux/tcp.h).
enum Transport {
    /// `struct tcp_info` as far as it is read here; the kernel fills what it knows, the rest stays zero.
    private struct Info: Sendable {
        typealias Words = (UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64)
        var words: (Words, Words, Words, Words) = (
            (0, 0, 0, 0, 0, 0, 0, 0), (0, 0, 0, 0, 0, 0, 0, 0), (0, 0, 0, 0, 0, 0, 0, 0), (0, 0, 0, 0, 0, 0, 0, 0)
        )

        func load<Value: FixedWidthInteger>(_ offset: Int, as type: Value.Type) -> Value {
            withUnsafeBytes(of: words) { $0.loadUnaligned(fromByteOffset: offset, as: type) }
        }
    }
    private typealias Name = (UInt64, UInt64)

    private static let congestion = NIOBSDSocket.Option(rawValue: 13)
    private static let info = NIOBSDSocket.Option(rawValue: 11)
    private static let userTimeout = NIOBSDSocket.Option(rawValue: 18)
    private static let notSentLowAt = NIOBSDSocket.Option(rawValue: 25)
    /// TCP_RTO_MAX_MS, since Linux 6.15.
    private static let longestRetransmission = NIOBSDSocket.Option(rawValue: 44)
    private static let keepIdle = NIOBSDSocket.Option(rawValue: 4)
    private static let keepInterval = NIOBSDSocket.Option(rawValue: 5)
    private static let keepCount = NIOBSDSocket.Option(rawValue: 6)

    /// Leaves by this interface and no other (SO_BINDTODEVICE, socket(7)).
    /// - Throws: `SyncError.cannotConnect` when the kernel refuses: traffic on a link that was not meant may cost money.
    static func bind(_ channel: any Channel, device: String) async throws {
        guard await set(channel, NIOBSDSocket.Option(rawValue: 25), name(device), level: .socket) else {
            throw SyncError.cannotConnect("the interface \(device) cannot be used; it is not there, or the program may not bind to it (CAP_NET_RAW)")
        }
    }

    /// Asks for what suits a link that comes and goes. What the kernel refuses is left out: where it cannot knock every second,
    /// a silent connection ends after the stall time-out.
    static func prepare(_ channel: any Channel, _ timeouts: SyncTimeouts) async {
        await set(channel, keepInterval, CInt(1))
        await set(channel, keepCount, CInt(timeouts.stallSeconds))
        let isPatient = await set(channel, longestRetransmission, CInt(1_000))
        await set(channel, userTimeout, CInt(1_000 * (isPatient ? timeouts.patienceSeconds : timeouts.stallSeconds)))
    }

    /// Asks for BBR: three to five times CUBIC's rate at 600 ms and 1 % loss. Once connected, because a route may set another as it connects.
    static func askForBBR(_ channel: any Channel) async { await set(channel, congestion, name("bbr")) }

    /// BBR stops almost all sending for a round trip and 200 ms in every 10 s, to see how long the round trip is without
    /// queues (PROBE_RTT): 0.8 s of 10 on a satellite link. Begun anew it takes the kernel's own minimum of five minutes instead.
    /// It then sends faster than it should for a while, which the pacing rate holds down.
    static func renewBBR(_ channel: any Channel) async {
        guard await congestionControl(channel) == "bbr" else { return }
        await set(channel, congestion, name("reno"))
        await set(channel, congestion, name("bbr"))
    }

    /// How many unsent bytes the kernel may hold: what is urgent waits behind no more than these.
    static func setUnsent(_ channel: any Channel, bytes: Int) async { await set(channel, notSentLowAt, CInt(clamping: bytes)) }

    /// The kernel sends no faster (SO_MAX_PACING_RATE, socket(7)).
    static func setPacing(_ channel: any Channel, bytesPerSecond: Int64) async {
        await set(channel, NIOBSDSocket.Option(rawValue: 47), UInt64(clamping: bytesPerSecond), level: .socket)
    }

    /// While an answer is due and nothing is under way, only a probe can tell a dead link from a slow hub.
    static func probe(_ channel: any Channel, afterSeconds seconds: Int) async { await set(channel, keepIdle, CInt(seconds)) }

    /// The congestion control that the kernel uses, such as `bbr` or `cubic`.
    static func congestionControl(_ channel: any Channel) async -> String? {
        guard let provider = channel as? any SocketOptionProvider,
            let name: Name = try? await provider.unsafeGetSocketOption(level: .tcp, name: congestion).get()
        else { return nil }
        return withUnsafeBytes(of: name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    }

    static func reading(_ channel: any Channel) async -> TransportReading? {
        guard let provider = channel as? any SocketOptionProvider,
            let read: Info = try? await provider.unsafeGetSocketOption(level: .tcp, name: info).get()
        else { return nil }
        let acknowledged = read.load(120, as: UInt64.self)
        let (sent, resent) = (read.load(200, as: UInt64.self), read.load(208, as: UInt64.self))
        // Kernels before 4.18 do not count what was sent.
        guard sent > 0 else { return nil }
        // The handshake's SYN is acknowledged, and not among the bytes sent.
        let unacknowledged = Int64(bitPattern: sent &- resent) - Int64(bitPattern: acknowledged) + 1
        let segmentBytes = UInt64(read.load(16, as: UInt32.self))
        return TransportReading(
            acknowledgedBytes: acknowledged, outstandingBytes: UInt64(max(0, unacknowledged)) + UInt64(read.load(144, as: UInt32.self)),
            roundTripMicroseconds: read.load(68, as: UInt32.self), leastRoundTripMicroseconds: read.load(148, as: UInt32.self),
            silenceMilliseconds: min(read.load(56, as: UInt32.self), read.load(52, as: UInt32.self)), deliveryRate: read.load(160, as: UInt64.self),
            isRateOfApplication: read.load(7, as: UInt8.self) & 1 != 0, carriedBytes: sent &+ read.load(128, as: UInt64.self),
            arrivedEarlyBytes: UInt64(read.load(28, as: UInt32.self)) * segmentBytes)
    }

    private static func name(_ text: String) -> Name {
        var name: Name = (0, 0)
        withUnsafeMutableBytes(of: &name) { $0.copyBytes(from: text.utf8.prefix(15)) }
        return name
    }

    @discardableResult
    private static func set<Value: Sendable>(_ channel: any Channel, _ option: NIOBSDSocket.Option, _ value: Value, level: NIOBSDSocket.OptionLevel = .tcp) async -> Bool {
        guard let provider = channel as? any SocketOptionProvider else { return false }
        return (try? await provider.unsafeSetSocketOption(level: level, name: option, value: value).get()) != nil
    }
}
