#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// What stands behind the `?` of a `udp:`, `rtp:` or `srt:` address. FFmpeg would take any of its own options there,
/// sizes and time-outs among them, so it never sees the query: only these few keys are known, and each is checked.
/// A query of another scheme is the camera's own and goes to the camera.
package struct AddressOptions: Sendable, Hashable {
    /// An SRT camera calls us.
    package var isListening = false
    package var passphrase: String?
    package var streamID: String?
    /// Of the network card that a multicast group is joined on, or that datagrams are taken from.
    package var localAddress: String?
    /// Datagrams from elsewhere are dropped; empty for any.
    package var sourceAddresses: [String] = []

    package struct Problem: Error, Hashable { package var sentence: String }

    private static let keys: [String: [String]] = [
        "udp": ["localaddr", "sources"], "rtp": ["localaddr", "sources"], "srt": ["mode", "passphrase", "streamid"],
    ]
    private static let sourceLimit = 8

    /// Repeats nothing of the address, which may hold a passphrase.
    package static func parse(_ url: String) -> Result<AddressOptions, Problem> {
        do throws(Problem) { return .success(try AddressOptions(url)) } catch { return .failure(error) }
    }

    private init(_ url: String) throws(Problem) {
        let scheme = url.prefix { $0 != ":" }.lowercased()
        guard let known = Self.keys[scheme] else { return }
        guard let (host, port) = ConnectionProbe.endpoint(of: url), (1...65_535).contains(port) else {
            throw Problem(sentence: "\(scheme):// needs a host and a port")
        }
        guard scheme == "srt" || Self.isIPAddress(host) else {
            throw Problem(sentence: "\(scheme):// names the IP address to listen on: 0.0.0.0 for any, one of this machine, or a multicast group")
        }
        let rest = url.drop { $0 != ":" }.dropFirst(3).drop { !"/?#".contains($0) }
        let path = rest.prefix { $0 != "?" }
        guard path.isEmpty || path == "/" else { throw Problem(sentence: "\(scheme):// takes no path") }
        for pair in rest.dropFirst(path.count + 1).split(separator: "&") {
            let parts = pair.split(separator: "=", maxSplits: 1).map(String.init)
            guard parts.count == 2, known.contains(parts[0]), let value = PercentCoding.decode(parts[1]) else {
                throw Problem(sentence: "\(scheme):// takes only \(known.joined(separator: ", ")) behind its ?, each as key=value")
            }
            try set(parts[0], value)
        }
    }

    private mutating func set(_ key: String, _ value: String) throws(Problem) {
        switch key {
        case "mode":
            guard value == "caller" || value == "listener" else { throw Problem(sentence: "mode is caller or listener") }
            isListening = value == "listener"
        case "passphrase":
            // The limits of libsrt.
            guard (10...79).contains(value.utf8.count) else { throw Problem(sentence: "an SRT passphrase has 10 to 79 bytes") }
            passphrase = value
        case "streamid":
            guard value.utf8.count <= 512 else { throw Problem(sentence: "an SRT stream id has at most 512 bytes") }
            streamID = value
        case "localaddr":
            guard Self.isIPAddress(value) else { throw Problem(sentence: "localaddr is an IP address of this machine") }
            localAddress = value
        default:
            let addresses = value.split(separator: ",").map(String.init)
            guard addresses.count <= Self.sourceLimit, addresses.allSatisfy(Self.isIPAddress) else {
                throw Problem(sentence: "sources are at most \(Self.sourceLimit) IP addresses with commas between")
            }
            sourceAddresses = addresses
        }
    }

    static func isIPAddress(_ text: String) -> Bool {
        var address = in6_addr()
        return inet_pton(AF_INET, text, &address) == 1 || inet_pton(AF_INET6, text, &address) == 1
    }

    static func isMulticast(_ address: String) -> Bool {
        if address.contains(":") { return address.lowercased().hasPrefix("ff") }
        return address.split(separator: ".").first.flatMap { Int($0) }.map { (224...239).contains($0) } ?? false
    }
}
