extension EdgeConfiguration {
    /// A camera for the example's text.
    struct ExampleCamera: Sendable, Hashable {
        var id: String
        var url: String
    }

    /// The text `fieldpost-edge init` writes: every key with its meaning, default and range; what is optional is
    /// commented out. `decode` accepts it as it is.
    static func example(
        dataDirectory: String = "/var/lib/fieldpost", cameras: [ExampleCamera] = [ExampleCamera(id: "test", url: "test:pattern")], segmentSeconds: Int = 60
    ) -> String {
        """
        # Configuration of a Fieldpost node. A key that is not known here, or a value of the wrong kind, is refused at start.

        # Where segments, log, index and keys are kept. Required; an absolute path.
        data_directory: \(quoted(dataDirectory))

        # The site's name for people. Optional; 1 to 200 bytes.
        # site: "North gate"

        # Nominal length of a segment in seconds; segments are cut at key frames. Default 60; 2 to 600.
        segment_seconds: \(segmentSeconds)

        # One to 64 cameras.
        cameras:

        """ + cameras.enumerated().map { camera($0.element, isFirst: $0.offset == 0) }.joined() + """

        storage:
          # Free space in MiB that footage never takes: the log lives on it. Default: 5 % of the disk and 256 MiB, at most a tenth of it.
          # reserve_mebibytes: 2048
          # Footage is given up (forwarded first, then the oldest) when less than this is free above the reserve. Default 2 % of the disk.
          # low_mebibytes: 4096
          # Until this much is free above the reserve. Default 3 % of the disk.
          # high_mebibytes: 6144
          # Footage older than this goes, forwarded or not. Default: kept while there is space; 1 to 36500.
          # keep_days: 30
          # Refuse to run unless data_directory is on another disk than the system. Default false; true or false.
          require_mount: false

        events:
          # Take events by HTTP (POST /events/CAMERA) at this address and port, with the token in token_file. Default: nobody may.
          # listen: "127.0.0.1:8620"
          # File whose first line is the token, at least 16 bytes; posters send it as bearer token or as password. An absolute path.
          # token_file: "/etc/fieldpost/events.token"

        hub:
          # Send to a hub once this node is enrolled (fieldpost-edge enrol TOKEN). Default true; true or false.
          enabled: true

        sync:
          # Longest silence towards the hub, in seconds. Default 30; 1 to 3600.
          heartbeat_seconds: 30
          # Give up a connection attempt after this many seconds. Default 4; 1 to 60.
          connect_timeout_seconds: 4
          # Give up a connection on which nothing moves after this many seconds. Default 4; 1 to 60.
          stall_timeout_seconds: 4

        links:
          # Ways to the hub, the cheapest that works is used. Without any: whatever the machine's routes say, without bounds.
          # - name: lte
          #   # Network interface to leave by. Default: as the routes say.
          #   device: wwan0
          #   # Links of lower cost come first. Default 0; 0 to 1000.
          #   cost: 1
          #   # Footage that may cross it. Default all: [thumbnails, pulled, event, proxy, main]. Status and log always may.
          #   send: [thumbnails, pulled, event]
          #   # What may cross it in a day and a month, both directions, in MB. Default: no bound.
          #   day_megabytes: 200
          #   month_megabytes: 3000
          #   # What it is sent at most, in kbit/s. Default: no bound; 8 to 10000000.
          #   rate_kilobits: 256
          #   # When it may be used. Default: always.
          #   hours: ["daily 22:00-06:00"]
          #   # Where hours and days are. Default Z (UTC).
          #   utc_offset: "+05:00"
          #   # With power: what a state asks of this link beside what it asks of all: off, send, hours, day_megabytes.
          #   # power: {reduced: {off: true}, full: {send: [thumbnails], hours: ["daily 10:00-15:00"], day_megabytes: 20}}

        \(Power.example)

        \(Compress.example)
        log:
          # Least important line to write. Default info; trace, debug, info, notice, warning, error or critical.
          # The environment variable FIELDPOST_LOG_LEVEL overrides it.
          level: info
          # Default text (logfmt); text or json. The environment variable FIELDPOST_LOG_FORMAT overrides it.
          format: text

        metrics:
          # How often the figures for fieldpost-edge status are written, in seconds. Default 10; 1 to 300.
          interval_seconds: 10

        """
    }

    private static func camera(_ camera: ExampleCamera, isFirst: Bool) -> String {
        let lead = """
              # Name of the camera, once per node. Required; 1 to 32 of a-z 0-9 _ -, beginning with a letter or digit.
            - id: \(quoted(camera.id))
              # Address. Required; rtsp://, rtsps://, rtmp://, rtmps://, http://, https:// with a host; file:/path; test:pattern for a
              # built-in picture; srt://HOST:PORT to call a camera, with ?mode=listener to be called (streamid=… if it asks);
              # udp://IP:PORT or rtp://IP:PORT for a transport stream, where IP is 0.0.0.0, this machine's, or a multicast group
              # (?localaddr=IP for the network card, ?sources=IP,IP for whom to trust).
              url: \(quoted(camera.url))

            """
        let optional = """
              # User name, unless the address has one. Optional; 1 to 128 bytes.
              # username: "viewer"
              # File whose first line is the password (SRT: passphrase), unless the address has one. Optional; an absolute path.
              # password_file: "/etc/fieldpost/camera.password"
              # Address of the camera's own small stream, recorded as its proxy: nothing is decoded or encoded for it. User name and password
              # are the camera's, unless the address has its own. Default: none.
              # sub_stream: "rtsp://10.0.0.5/stream2"
              # How RTSP packets come. Default tcp; tcp or udp.
              # transport: tcp
              # Sound. Default off; to record it, give the reason: audio: {reason: "intercom, staff informed"}
              # audio: off
              # This camera's own segment length in seconds. Default: segment_seconds above; 2 to 600.
              # segment_seconds: 10
              # What is kept. Default continuous; continuous, events or schedule.
              # mode: continuous
              # Hours for mode schedule, at a fixed distance from UTC (daylight saving moves nothing), and what is kept outside of
              # them: nothing or events. Without a set clock everything is kept.
              # schedule: {hours: ["mon-fri 07:00-19:00", "sat,sun 22:00-06:00"], utc_offset: "+01:00", outside: nothing}
              # Footage kept from before an event. Default 5; 0 to 30.
              # pre_roll_seconds: 5
              # Footage kept after an event's last activity. Default 10; 0 to 600.
              # post_roll_seconds: 10
              # Motion raises events. Default off. Where packet sizes do not tell, key frames are decoded in this process: the
              # camera's video is then read by libavcodec, unconfined; leave it off for cameras that you do not trust.
              # threshold 1 to 100 (default 20), minimum_area_percent of a zone (default 1), cool_down_seconds 1 to 300 (default 5).
              # motion: {enabled: true, threshold: 20, minimum_area_percent: 1, cool_down_seconds: 5, zones: [{name: "road", x: 0, y: 40, width: 100, height: 60}]}
              # Fetch the events of an ONVIF camera. Default: none.
              # onvif_events: {address: "10.0.0.5", username: "viewer", password_file: "/etc/fieldpost/camera.password"}

            """
        let text = isFirst ? lead + optional : "  - id: \(quoted(camera.id))\n    url: \(quoted(camera.url))\n"
        guard isFirst else { return text }
        return text.split(separator: "\n").map { "  \($0)\n" }.joined()
    }

    /// YAML's double-quoted form: whatever the text is, it stays one value.
    static func quoted(_ text: String) -> String {
        "\"" + text.unicodeScalars.map { scalar in
            switch scalar {
            case "\"", "\\": return "\\\(scalar)"
            default:
                guard scalar.value < 0x20 || (0x7F..<0xA0).contains(scalar.value) || scalar.value == 0xFEFF || scalar.value == 0x2028 || scalar.value == 0x2029 else {
                    return String(scalar)
                }
                let digits = String(scalar.value, radix: 16)
                return "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            }
        }.joined() + "\""
    }
}
