import EdgeCapture
import EdgeSync
import Logging
import RecordingModel
import ServiceSupport

extension EdgeConfiguration {
    /// Asks for every key, also after a failure, so that one run names all problems.
    static func read(_ root: StrictMapping, version: String) -> EdgeConfiguration? {
        let dataDirectory = root.required("data_directory", .absolutePath)
        let site = root.optional("site", .text(1...200))
        let segmentSeconds = root.optional("segment_seconds", .integer(segmentSecondsRange, unit: "seconds")) ?? 60
        let storage = root.section("storage", Storage.read)
        let listener = root.section("events", Listener.read)
        let listens = listener.map { $0 != nil } ?? true
        let hub = root.section("hub") { Hub(isEnabled: $0.optional("enabled", .boolean) ?? true) }
        let sync = root.section("sync", Sync.read)
        let links = readLinks(root)
        let log = root.section("log", Log.read)
        let metrics = root.section("metrics") {
            MetricsOutput(intervalSeconds: $0.optional("interval_seconds", .integer(1...300, unit: "seconds")) ?? 10)
        }
        var lines: [CameraID: String] = [:]
        let cameras = root.list("cameras", 1...camerasMax) { item in
            item.mapping { section -> Camera? in
                let camera = Camera.read(section, segmentSeconds: segmentSeconds, listens: listens)
                // Also an item that is refused for another reason occupies its id.
                if let id = section.optional("id", .cameraID) {
                    if let first = lines[id] { section.refuse("id", "camera id \(id) is already used by \(first); each id may be used once") }
                    lines[id] = lines[id] ?? item.path
                }
                return camera
            }
        }
        let compress = root.section("compress") { Compress.read($0, cameras: cameras) }
        let power = root.node("power").map { $0.mapping { Power.read($0, cameras: cameras.map(\.id)) } }
        if power == nil, let link = links.first(where: { !$0.limits.isEmpty }) { root.refuse("links", "\(link.name) goes by power states, and there is no section power:") }
        guard let dataDirectory, let storage, let listener, let hub, let sync, let compress, let log, let metrics else { return nil }
        return EdgeConfiguration(
            dataDirectory: dataDirectory, site: site, segmentSeconds: segmentSeconds, cameras: cameras, storage: storage, listener: listener, hub: hub, sync: sync, compress: compress, links: links,
            power: power ?? nil, log: log, metrics: metrics, version: version)
    }
}

extension EdgeConfiguration.Sync {
    static func read(_ section: StrictMapping) -> Self {
        Self(
            heartbeatSeconds: section.optional("heartbeat_seconds", .integer(1...3600, unit: "seconds")) ?? 30,
            connectTimeoutSeconds: section.optional("connect_timeout_seconds", .integer(1...60, unit: "seconds")) ?? 4,
            stallTimeoutSeconds: section.optional("stall_timeout_seconds", .integer(1...60, unit: "seconds")) ?? 4)
    }
}

extension EdgeConfiguration.Log {
    static func read(_ section: StrictMapping) -> Self {
        Self(level: section.optional("level", .choice) ?? .info, format: section.optional("format", .choice) ?? .text)
    }
}

extension EdgeConfiguration.Camera {
    private enum AudioWord: String, CaseIterable { case off }

    static func read(_ section: StrictMapping, segmentSeconds: Int, listens: Bool) -> Self? {
        let id = section.required("id", .cameraID)
        var source = section.required("url", .explained(CameraSource.expectation) { text throws(ServiceSupportError) in try CameraSource(text) })
        var subStream = section.optional("sub_stream", .explained(CameraSource.expectation) { text throws(ServiceSupportError) in try CameraSource(text) })
        let transport = section.optional("transport", .choice) ?? Transport.tcp
        let ownSegmentSeconds = section.optional("segment_seconds", .integer(EdgeConfiguration.segmentSecondsRange, unit: "seconds"))
        let audioReason = readAudio(section)
        let events = Events.read(section, listens: listens)
        let userName = section.optional("username", .text(1...128))
        let passwordFile = section.optional("password_file", .absolutePath)
        if let found = source {
            if section.has("username") || section.has("password_file"), !found.scheme.takesPassword {
                section.refuse(section.has("username") ? "username" : "password_file", "a \(found.scheme.rawValue) source takes no user name or password")
            } else if section.has("username"), !found.scheme.takesUser {
                section.refuse("username", "an srt source takes no user name; password_file alone holds its passphrase")
            }
            if userName != nil, found.userName != nil { section.refuse("username", "the url already has a user name; give it in one place") }
            if passwordFile != nil, found.hasPassword { section.refuse("password_file", "the url already has a password; give it in one place") }
            if passwordFile != nil, userName == nil, found.userName == nil, !section.has("username"), found.scheme.takesUser {
                section.refuse("password_file", "a password needs a user name; add username")
            }
            source = found.signedIn(as: userName, passwordFile: passwordFile)
            subStream = subStream?.signedIn(like: userName ?? found.userName, passwordFile: passwordFile)
        }
        guard let id, let source, let events else { return nil }
        let camera = Self(id: id, source: source, subStream: subStream, transport: transport, audioReason: audioReason, segmentSeconds: ownSegmentSeconds ?? segmentSeconds, events: events)
        // What capture itself would refuse, such as an option that the test picture does not have.
        for problem in camera.capture(configVersion: "").problems { section.refuse("url", problem.replacing("camera \(id): ", with: "")) }
        for problem in camera.subStreamCapture(configVersion: "")?.problems ?? [] { section.refuse("sub_stream", problem.replacing("camera \(id): ", with: "")) }
        return camera
    }

    /// `audio: off`, or a section with the reason: recording speech is a decision that somebody has to own.
    private static func readAudio(_ section: StrictMapping) -> String? {
        guard let node = section.node("audio") else { return nil }
        if node.isSection { return node.mapping { $0.required("reason", .text(3...200, "the reason for recording sound, text")) } }
        _ = node.value(StrictType<AudioWord>.custom("off, or a section with the key reason") { AudioWord(rawValue: $0) })
        return nil
    }
}

extension StrictType where Value == CameraID {
    static var cameraID: StrictType { custom(CameraID.expectation) { CameraID($0) } }
}
