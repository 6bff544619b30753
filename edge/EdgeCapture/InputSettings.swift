import RecordingModel

/// How FFmpeg opens a camera: only the protocols and formats that its scheme needs, so that nothing from the network
/// can open a file or another address, and every wait and buffer with its bound.
struct InputSettings {
    /// What FFmpeg is given: holds no option that the address brought along unchecked.
    let url: String
    let options: [String: String]
    let openMilliseconds: Int
    /// The camera comes to us, so nobody can be asked whether it is there.
    let isListening: Bool

    /// In packets of 188 bytes: 1.5 MB, more than a second of any camera.
    private static let datagramQueuePackets = 8_192
    private static let datagramSocketBytes = 1 << 20
    private static let srtBufferBytes = 2 << 20

    init(_ configuration: CameraConfiguration) throws(CaptureFailure) {
        let address: AddressOptions
        switch AddressOptions.parse(configuration.url) {
        case .success(let parsed): address = parsed
        case .failure(let problem): throw .failed(.unsupported, problem.sentence)
        }
        let scheme = configuration.scheme
        isListening = scheme == "udp" || scheme == "rtp" || address.isListening
        // A camera that calls does not know when we wait: longer than the pause between attempts.
        openMilliseconds = configuration.connectTimeoutMilliseconds * (isListening ? 3 : 1)
        // Later than our own deadline, which tells a timeout from an error and covers every call.
        let stallMicroseconds = String((configuration.stallTimeoutMilliseconds + 2_000) * 1_000)
        switch scheme {
        case "rtsp", "rtsps":
            url = configuration.url
            options = [
                "rtsp_transport": configuration.transport.rawValue, "timeout": stallMicroseconds, "format_whitelist": "rtsp",
                "protocol_whitelist": "rtsp,rtsps,rtp,srtp,tcp,udp,tls,crypto", "analyzeduration": "3000000", "user_agent": "fieldpost",
            ]
        case "http", "https":
            url = configuration.url
            options = [
                "timeout": stallMicroseconds, "protocol_whitelist": "http,https,tcp,tls,crypto", "analyzeduration": "3000000",
                "format_whitelist": "mpjpeg,mjpeg,mpegts,mov,matroska,flv,hls,h264,hevc", "user_agent": "fieldpost",
            ]
        case "rtmp", "rtmps":
            url = configuration.url
            // Not `timeout`, which makes a server of FFmpeg.
            options = [
                "rw_timeout": stallMicroseconds, "rtmp_live": "live", "analyzeduration": "3000000", "format_whitelist": "flv",
                "protocol_whitelist": scheme == "rtmp" ? "rtmp,tcp" : "rtmps,tls,tcp",
            ]
        case "srt":
            url = String(configuration.url.prefix { $0 != "?" })
            var options = [
                "mode": address.isListening ? "listener" : "caller", "timeout": stallMicroseconds, "rcvbuf": String(Self.srtBufferBytes),
                "connect_timeout": String(Self.srtConnectMilliseconds(configuration)),
                // Our own deadline comes first, and says why.
                "listen_timeout": String((openMilliseconds + 2_000) * 1_000), "analyzeduration": "3000000", "protocol_whitelist": "srt",
                "format_whitelist": "mpegts",
            ]
            options["passphrase"] = address.passphrase
            options["streamid"] = address.streamID
            self.options = options
        case "udp", "rtp":
            url = Self.listeningURL(configuration.url, address)
            options = [
                "protocol_whitelist": scheme == "rtp" ? "rtp,udp" : "udp", "format_whitelist": scheme == "rtp" ? "rtp" : "mpegts",
                "timeout": stallMicroseconds, "fifo_size": String(Self.datagramQueuePackets), "overrun_nonfatal": "1",
                "buffer_size": String(Self.datagramSocketBytes), "analyzeduration": "3000000",
            ]
        default:
            url = configuration.url
            options = [
                "protocol_whitelist": "file", "format_whitelist": "mov,matroska,mpegts,mpeg,avi,flv,h264,hevc,mjpeg,mpjpeg,obu,ivf",
            ]
        }
    }

    /// Less than our own deadline: what passes that has connected and says nothing.
    static func srtConnectMilliseconds(_ configuration: CameraConfiguration) -> Int {
        min(3_000, configuration.connectTimeoutMilliseconds / 2)
    }

    /// FFmpeg listens on every address of the machine, whatever the URL says, unless it is told which.
    private static func listeningURL(_ text: String, _ address: AddressOptions) -> String {
        guard let (host, port) = ConnectionProbe.endpoint(of: text) else { return text }
        var query: [String] = []
        let isAny = host == "0.0.0.0" || host == "::"
        if let local = address.localAddress ?? (isAny || AddressOptions.isMulticast(host) ? nil : host) { query.append("localaddr=\(local)") }
        if !address.sourceAddresses.isEmpty { query.append("sources=\(address.sourceAddresses.joined(separator: ","))") }
        let scheme = text.prefix { $0 != ":" }.lowercased()
        return "\(scheme)://\(host.contains(":") ? "[\(host)]" : host):\(port)\(query.isEmpty ? "" : "?")\(query.joined(separator: "&"))"
    }
}
