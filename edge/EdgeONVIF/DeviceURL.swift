/// An http or https address of a device, split. Addresses in answers are untrusted: the host in them is never asked, only
/// the host that the answer came from (`at(host:)`). So no answer can make a node scan or call other machines; a camera
/// behind a translated address, or one that still names its factory address, works all the same.
package struct DeviceURL: Sendable, Hashable, CustomStringConvertible {
    package let scheme: String
    /// A name or IPv4 address; an IPv6 address stands in brackets.
    package let host: String
    package let port: Int
    /// Begins with a slash; with the query.
    package let path: String

    package var description: String { "\(scheme)://\(host)\(port == (scheme == "https" ? 443 : 80) ? "" : ":\(port)")\(path)" }

    private init(scheme: String, host: String, port: Int, path: String) {
        (self.scheme, self.host, self.port, self.path) = (scheme, host, port, path)
    }

    /// Nil for anything but `http(s)://host[:port][/path]` in printable ASCII of at most 1,024 bytes, without user and fragment.
    package init?(_ text: String) {
        guard text.utf8.count <= 1024, text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }), let colon = text.firstRange(of: "://") else { return nil }
        let scheme = text[..<colon.lowerBound].lowercased()
        guard scheme == "http" || scheme == "https", !text.contains("#") else { return nil }
        let rest = text[colon.upperBound...]
        let authority = rest.prefix { $0 != "/" && $0 != "?" }
        guard let place = Self.hostAndPort(authority, defaultPort: scheme == "https" ? 443 : 80) else { return nil }
        let path = rest[authority.endIndex...]
        self.init(scheme: scheme, host: place.host, port: place.port, path: path.hasPrefix("/") ? String(path) : "/" + path)
    }

    /// The device service of a camera that a person named: `HOST`, `HOST:PORT` or a whole address. Its path is fixed by the
    /// ONVIF Core Specification, section 5.1.1.
    package init?(deviceAt text: String) {
        if text.contains("://") {
            self.init(text)
        } else {
            guard text.utf8.count <= 300, let place = Self.hostAndPort(text[...], defaultPort: 80) else { return nil }
            self.init(scheme: "http", host: place.host, port: place.port, path: "/onvif/device_service")
        }
    }

    /// The same service at the host that is known to be the device.
    package func at(host: String) -> DeviceURL { DeviceURL(scheme: scheme, host: host, port: port, path: path) }

    static func hostAndPort(_ authority: Substring, defaultPort: Int) -> (host: String, port: Int)? {
        var host = authority
        var port = defaultPort
        if authority.hasPrefix("[") {
            guard let end = authority.firstIndex(of: "]") else { return nil }
            host = authority[...end]
            guard host.dropFirst().dropLast().allSatisfy({ $0.isASCII && ($0.isHexDigit || $0 == ":" || $0 == ".") }) else { return nil }
        } else {
            host = authority.prefix { $0 != ":" }
            guard host.allSatisfy({ $0.isASCII && ($0.isLetter || $0.isNumber || "-._".contains($0)) }) else { return nil }
        }
        let tail = authority[host.endIndex...]
        if !tail.isEmpty {
            guard tail.hasPrefix(":"), tail.dropFirst().allSatisfy({ $0.isASCII && $0.isNumber }), let number = Int(tail.dropFirst()), (1...65_535).contains(number) else { return nil }
            port = number
        }
        return host.isEmpty || host.utf8.count > 255 ? nil : (String(host), port)
    }
}
