#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Does a host accept a connection at all? Asked only after a timeout, to tell an absent camera from a silent one.
enum ConnectionProbe {
    static func accepts(url: String, milliseconds: Int32) -> Bool {
        guard let (host, port) = endpoint(of: url) else { return false }
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        // Names were looked up by FFmpeg a moment ago; this answers from the resolver's memory or fails.
        var list: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(host, String(port), &hints, &list) == 0, let address = list else { return false }
        defer { freeaddrinfo(list) }
        let descriptor = socket(
            address.pointee.ai_family, Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        if connect(descriptor, address.pointee.ai_addr, address.pointee.ai_addrlen) == 0 { return true }
        guard errno == EINPROGRESS else { return false }
        var poller = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        guard poll(&poller, 1, milliseconds) == 1 else { return false }
        var problem: Int32 = 0
        var size = socklen_t(MemoryLayout<Int32>.size)
        return getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &problem, &size) == 0 && problem == 0
    }

    static func endpoint(of url: String) -> (host: String, port: Int)? {
        guard let mark = url.firstRange(of: "://") else { return nil }
        let defaultPort = ["rtsp": 554, "rtsps": 322, "http": 80, "https": 443, "rtmp": 1935, "rtmps": 443][url[..<mark.lowerBound].lowercased()]
        var authority = url[mark.upperBound...].prefix { !"/?#".contains($0) }
        if let at = authority.lastIndex(of: "@") { authority = authority[authority.index(after: at)...] }
        if authority.first == "[", let bracket = authority.firstIndex(of: "]") {
            let port = authority[bracket...].split(separator: ":").last.flatMap { Int($0) } ?? defaultPort
            return port.map { (String(authority[authority.index(after: authority.startIndex)..<bracket]), $0) }
        }
        let parts = authority.split(separator: ":", maxSplits: 1)
        guard let host = parts.first, let port = parts.count == 2 ? Int(parts[1]) : defaultPort else { return nil }
        return (String(host), port)
    }
}

