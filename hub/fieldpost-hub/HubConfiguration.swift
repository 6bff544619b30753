import HubIngest
import Logging
import ServiceSupport

/// Everything a person decides about a hub: `hub.yaml` in its data directory.
struct HubConfiguration: Sendable, Hashable {
    struct Listener: Sendable, Hashable {
        var host: String
        var port: Int
    }
    /// Where nodes connect (mutual TLS 1.3).
    var nodes: Listener
    /// What join tokens tell nodes; the listener's own address unless the hub is behind a router.
    var nodesAdvertised: Listener
    /// Where people connect (HTTPS).
    var people: Listener
    /// PEM files; nil for the certificate that `init` made.
    var certificateFile: String?
    var privateKeyFile: String?
    /// What one node, one address and all together may ask of the hub.
    var limits: IngestLimits
    var logLevel: Logger.Level
    var logFormat: LogFormat

    static func decode(_ bytes: [UInt8], file: String) throws -> HubConfiguration {
        try StrictYAML.decode(bytes, file: file, read)
    }

    private static func read(_ root: StrictMapping) -> HubConfiguration? {
        var advertised: (host: String?, port: Int?) = (nil, nil)
        let nodes = root.section("nodes") { section -> Listener? in
            advertised = (section.optional("advertised_host", .text(1...253, "a host name or address")), section.optional("advertised_port", .integer(1...65_535)))
            return listener(section)
        }
        var certificateFile: String?
        var privateKeyFile: String?
        let people = root.section("people") { section -> Listener? in
            certificateFile = section.optional("certificate_file", .absolutePath)
            privateKeyFile = section.optional("private_key_file", .absolutePath)
            if (certificateFile == nil) != (privateKeyFile == nil) {
                section.refuse("certificate_file", "certificate_file and private_key_file go together; give both or neither")
            }
            return listener(section)
        }
        let limits = root.section("limits", Self.limits)
        let log = root.section("log") { (level: $0.optional("level", .choice) ?? Logger.Level.info, format: $0.optional("format", .choice) ?? LogFormat.text) }
        guard let nodes, let people, let limits, let log else { return nil }
        return HubConfiguration(
            nodes: nodes, nodesAdvertised: Listener(host: advertised.host ?? nodes.host, port: advertised.port ?? nodes.port), people: people,
            certificateFile: certificateFile, privateKeyFile: privateKeyFile, limits: limits, logLevel: log.level, logFormat: log.format)
    }

    private static func limits(_ section: StrictMapping) -> IngestLimits {
        var limits = IngestLimits()
        limits.connections = section.optional("connections", .integer(10...100_000)) ?? limits.connections
        limits.connectionsPerAddress = section.optional("connections_per_address", .integer(1...100_000)) ?? limits.connectionsPerAddress
        limits.connectionsPerNode = section.optional("connections_per_node", .integer(1...64)) ?? limits.connectionsPerNode
        limits.nodeQuotaBytes = section.optional("node_quota_gigabytes", .integer(1...1_000_000, unit: "GB")).map { Int64($0) * 1_000_000_000 }
        return limits
    }

    private static func listener(_ section: StrictMapping) -> Listener? {
        let host = section.required("host", .text(1...253, "a host name or address"))
        let port = section.required("port", .integer(1...65_535))
        guard let host, let port else { return nil }
        return Listener(host: host, port: port)
    }

    static func text(nodes: Listener, people: Listener) -> String {
        """
        # Fieldpost hub. Unknown keys are refused; lines that begin with # show defaults and options.

        # Where nodes connect: HTTP/1.1 over mutual TLS 1.3, keys pinned.
        nodes:
          host: \(nodes.host)
          port: \(nodes.port)
          # What join tokens tell nodes, when it differs (behind a router, a public name):
          # advertised_host: hub.example.org
          # advertised_port: \(nodes.port)

        # Where people connect: HTTPS for browsers, players and the fieldpost command.
        people:
          host: \(people.host)
          port: \(people.port)
          # Without these two the self-made certificate in keys/ is used.
          # certificate_file: /etc/fieldpost/people.crt
          # private_key_file: /etc/fieldpost/people.key

        # What nodes may ask of the hub:
        # limits:
        #   connections: 3000              # of all nodes
        #   connections_per_address: 64    # that have not shown a joined node's key; raise it for many nodes behind one router
        #   connections_per_node: 4
        #   node_quota_gigabytes: 500      # kept of one node (10^9 bytes); more is answered 507. Default: as there is space

        log:
          level: info      # trace, debug, info, notice, warning, error, critical
          format: text     # text, json

        """
    }
}
