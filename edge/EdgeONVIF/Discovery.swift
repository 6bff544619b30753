import NIOCore
import NIOPosix
import Synchronization

/// A device that answered a probe, or that a person named.
package struct DiscoveredDevice: Sendable, Hashable {
    /// What the device calls itself, lastingly: its endpoint reference.
    package var endpoint: String
    /// Its device service, at the address that the answer came from.
    package var url: DeviceURL
    /// From its scopes, empty where it does not say.
    package var name: String
    package var hardware: String

    package init(endpoint: String = "", url: DeviceURL, name: String = "", hardware: String = "") {
        (self.endpoint, self.url, self.name, self.hardware) = (endpoint, url, name, hardware)
    }
}

/// What is made of the answers to one search, without a network.
struct DiscoveryAnswers: Sendable {
    static let devicesMax = 256
    /// A recorder may answer for each of its channels; one sender must not fill the list.
    static let devicesOfOneSenderMax = 16
    /// Datagrams that are looked at, of all kinds: a flood ends the search early.
    static let datagramsMax = 4096

    private(set) var devices: [DiscoveredDevice] = []
    private(set) var datagrams = 0
    /// Why answers were not taken, for the person who misses a camera; the newest few.
    private(set) var refusals: [String] = []
    private let probes: Set<String>
    private var known: Set<String> = []
    private var ofSender: [String: Int] = [:]

    /// - Parameter probes: the message ids that were sent; an answer to anything else is not taken.
    init(probes: Set<String>) { self.probes = probes }

    var isFull: Bool { datagrams >= Self.datagramsMax || devices.count >= Self.devicesMax }

    /// - Parameter sender: the IPv4 address that the datagram came from.
    mutating func take(_ datagram: [UInt8], from sender: String) {
        guard !isFull else { return }
        datagrams += 1
        do {
            try add(try XMLReader.read(datagram, limits: .datagram), sender)
        } catch {
            let refusal = "\(sender): \(error)"
            guard !refusals.contains(refusal) else { return }
            if refusals.count == 8 { refusals.removeFirst() }
            refusals.append(refusal)
        }
    }

    private mutating func add(_ document: XMLElement, _ sender: String) throws {
        guard document.name == "Envelope", let body = document.child("Body"), let relates = document.at("Header", "RelatesTo")?.text, probes.contains(relates) else { return }
        // Devices put ProbeMatch into ProbeMatches, as they should, or directly into the body.
        for match in (body.child("ProbeMatches") ?? body).children("ProbeMatch").prefix(Self.devicesOfOneSenderMax) {
            let types = (match.child("Types")?.text ?? "").split(whereSeparator: \.isWhitespace)
            let scopes = Self.scopes(match.child("Scopes")?.text ?? "")
            // Printers and Windows machines answer the probe without a type, too.
            guard types.contains(where: { $0 == "NetworkVideoTransmitter" || $0.hasSuffix(":NetworkVideoTransmitter") })
                || scopes.contains(where: { $0.lowercased().hasPrefix("onvif://www.onvif.org") }) else { continue }
            let addresses = (match.child("XAddrs")?.text ?? "").split(whereSeparator: \.isWhitespace).prefix(16).compactMap { DeviceURL(String($0)) }
            // Plain HTTP first: cameras' certificates are signed by nobody, and the password is not sent as it is.
            guard let stated = addresses.first(where: { $0.scheme == "http" && $0.host == sender }) ?? addresses.first(where: { $0.scheme == "http" }) ?? addresses.first else {
                throw ONVIFError(.answer, "the answer names no http or https address")
            }
            let endpoint = SOAPAnswer.bounded(match.at("EndpointReference", "Address")?.text ?? "")
            let url = stated.at(host: sender)
            // Answers are sent twice, and to each of our three probes; one service may also answer under several names.
            guard known.insert("\(sender) \(endpoint)").inserted, known.insert(url.description).inserted else { continue }
            guard devices.count < Self.devicesMax, ofSender[sender, default: 0] < Self.devicesOfOneSenderMax else { return }
            ofSender[sender, default: 0] += 1
            devices.append(.init(endpoint: endpoint, url: url, name: Self.scope("name", scopes), hardware: Self.scope("hardware", scopes)))
        }
    }

    /// Scopes are URIs between spaces. Some devices leave the spaces of a name as they are: what has no scheme goes on from the
    /// scope before it.
    private static func scopes(_ text: String) -> [String] {
        text.split(whereSeparator: \.isWhitespace).reduce(into: [String]()) { scopes, word in
            if word.contains(":") || scopes.isEmpty { scopes.append(String(word)) } else { scopes[scopes.count - 1] += " " + word }
        }
    }

    /// `onvif://www.onvif.org/name/North%20gate` (ONVIF Core Specification, section 7.3.2.2).
    private static func scope(_ kind: String, _ scopes: [String]) -> String {
        let start = "onvif://www.onvif.org/\(kind)/"
        guard let scope = scopes.first(where: { $0.lowercased().hasPrefix(start) }) else { return "" }
        var bytes: [UInt8] = []
        var rest = Array(scope.utf8.dropFirst(start.utf8.count))[...]
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "%"), rest.count >= 2, let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16) {
                bytes.append(value)
                rest = rest.dropFirst(2)
            } else {
                bytes.append(byte)
            }
        }
        return SOAPAnswer.bounded(String(decoding: bytes, as: UTF8.self))
    }
}

/// An address of this machine on a network that can be searched.
package struct NetworkInterface: Sendable, Hashable, CustomStringConvertible {
    package let name: String
    package let address: String
    package var description: String { "\(name) (\(address))" }
    var isLoopback: Bool { address.hasPrefix("127.") }

    /// Every IPv4 address; without a name those of all interfaces but the loopback one.
    /// - Throws: `ONVIFError` when there is none.
    package static func find(named name: String?) throws -> [NetworkInterface] {
        let all = try System.enumerateDevices().compactMap { device -> NetworkInterface? in
            guard case .v4 = device.address, let address = device.address?.ipAddress else { return nil }
            return NetworkInterface(name: device.name, address: address)
        }
        let found = all.filter { name == nil ? !$0.isLoopback : $0.name == name }
        guard found.isEmpty else { return Array(found.prefix(16)) }
        let names = Set(all.map(\.name)).sorted().joined(separator: ", ")
        throw ONVIFError(.network, name.map { "there is no interface \($0) with an IPv4 address; there are: \(names)" } ?? "no interface but the loopback one has an IPv4 address; connect the cameras' network, or name a camera with --address")
    }
}

/// WS-Discovery (April 2005) as section 7 of the ONVIF Core Specification uses it: probes by multicast, answers to us alone.
package enum Discovery {
    package struct Findings: Sendable {
        /// Sorted by address.
        package var devices: [DiscoveredDevice]
        /// Answers that were not understood, and interfaces that did not send.
        package var notes: [String]
    }
    static let group = "239.255.255.250"
    static let port = 3702
    /// SOAP-over-UDP asks for a repetition after 50 to 500 ms, since a datagram may be lost.
    private static let repetition = Duration.milliseconds(400)
    private static let types = ["dn:NetworkVideoTransmitter", "tds:Device", ""]

    static func probe(types: String, messageID: String) -> String {
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><s:Envelope xmlns:s=\"\(Namespace.envelope)\" xmlns:a=\"\(Namespace.discoveryAddressing)\" xmlns:d=\"\(Namespace.discovery)\""
            + " xmlns:dn=\"\(Namespace.network)\" xmlns:tds=\"\(Namespace.device)\"><s:Header><a:Action>\(Namespace.discovery)/Probe</a:Action><a:MessageID>\(messageID)</a:MessageID>"
            + "<a:To>urn:schemas-xmlsoap-org:ws:2005:04:discovery</a:To></s:Header><s:Body><d:Probe>\(types.isEmpty ? "" : "<d:Types>\(types)</d:Types>")</d:Probe></s:Body></s:Envelope>"
    }

    /// Asks on every interface at once and collects for `seconds`.
    /// - Throws: `ONVIFError` when nothing could be sent on any interface.
    package static func search(_ interfaces: [NetworkInterface], seconds: Int) async throws -> Findings {
        let probes = types.map { (type: $0, id: "urn:uuid:\(ONVIFClient.uuid())") }
        let datagrams = probes.map { probe(types: $0.type, messageID: $0.id) }
        let shared = SharedAnswers(DiscoveryAnswers(probes: Set(probes.map(\.id))))
        let failures = await withTaskGroup(of: String?.self) { tasks in
            for interface in interfaces {
                tasks.addTask {
                    do {
                        try await ask(on: interface, datagrams, seconds: seconds) { bytes, sender in
                            shared.answers.withLock { answers in
                                answers.take(bytes, from: sender)
                                return !answers.isFull
                            }
                        }
                        return nil
                    } catch {
                        return "\(interface): \(SOAPAnswer.bounded("\(error)"))"
                    }
                }
            }
            return await tasks.reduce(into: [String]()) { if let failure = $1 { $0.append(failure) } }
        }
        guard failures.count < interfaces.count else { throw ONVIFError(.network, "no probe could be sent: \(failures.joined(separator: "; "))") }
        return shared.answers.withLock { answers in
            Findings(devices: answers.devices.sorted { ($0.url.host, $0.endpoint) < ($1.url.host, $1.endpoint) }, notes: failures + answers.refusals)
        }
    }

    /// The answers of all interfaces.
    private final class SharedAnswers: Sendable {
        let answers: Mutex<DiscoveryAnswers>
        init(_ answers: sending DiscoveryAnswers) { self.answers = Mutex(answers) }
    }

    /// - Parameter take: returns false when no more answers are wanted.
    private static func ask(on interface: NetworkInterface, _ datagrams: [String], seconds: Int, take: @escaping @Sendable ([UInt8], String) -> Bool) async throws {
        let destination = try SocketAddress(ipAddress: group, port: port)
        // Bound to an interface's address, Linux sends multicasts by that interface, without IP_MULTICAST_IF and without a
        // route (`ip_route_output_key_hash_rcu`: "user can direct multicasts ... via necessary interface").
        let source = try SocketAddress(ipAddress: interface.address, port: 0)
        let channel = try await DatagramBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            // NIO's usual 2 KiB would cut an answer.
            .channelOption(.recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: XMLLimits.datagram.bytes))
            .bind(to: source) { channel in
                channel.eventLoop.makeCompletedFuture {
                    try NIOAsyncChannel<AddressedEnvelope<ByteBuffer>, AddressedEnvelope<ByteBuffer>>(wrappingChannelSynchronously: channel)
                }
            }
        try await channel.executeThenClose { inbound, outbound in
            try await withThrowingTaskGroup(of: Void.self) { tasks in
                tasks.addTask {
                    for round in 0..<2 {
                        if round > 0 { try await Task.sleep(for: repetition) }
                        for datagram in datagrams { try await outbound.write(AddressedEnvelope(remoteAddress: destination, data: ByteBuffer(string: datagram))) }
                    }
                    try await Task.sleep(for: .seconds(seconds))
                }
                tasks.addTask {
                    for try await envelope in inbound {
                        guard let sender = envelope.remoteAddress.ipAddress, take(Array(envelope.data.readableBytesView), sender) else { return }
                    }
                }
                defer { tasks.cancelAll() }
                try await tasks.next()
            }
        }
    }
}
