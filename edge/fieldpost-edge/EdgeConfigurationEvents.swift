import EdgeEvents
import EdgeMotion
import EdgeONVIF
import RecordingModel
import ServiceSupport

extension EdgeConfiguration {
    /// Where others may post events.
    struct Listener: Sendable, Hashable {
        var host: String
        var port: Int
        var tokenFile: String

        /// - Throws: `ServiceSupportError` when the token cannot be read or is too short.
        func token() throws -> String {
            let token = try SmallFile.text(tokenFile, limitBytes: 4096).split(whereSeparator: \.isNewline).first.map(String.init) ?? ""
            guard token.utf8.count >= EventListener.tokenBytesMin else { throw ServiceSupportError("\(tokenFile) holds no token of at least \(EventListener.tokenBytesMin) bytes; make one with: openssl rand -hex 32 > \(tokenFile)") }
            return token
        }

        /// Nil when nobody may; both keys belong together.
        static func read(_ section: StrictMapping) -> Listener?? {
            let listen = section.optional("listen", .custom("an address and a port, such as 127.0.0.1:8620 or [::1]:8620") { place($0) })
            let tokenFile = section.optional("token_file", .absolutePath)
            guard section.has("listen") || section.has("token_file") else { return .some(nil) }
            if !section.has("listen") { section.refuse("listen", "missing; a token alone takes no events: give listen: 127.0.0.1:8620") }
            if !section.has("token_file") { section.refuse("token_file", "missing; events are taken with a token only: expected an absolute path") }
            guard let listen, let tokenFile else { return nil }
            return Listener(host: listen.host, port: listen.port, tokenFile: tokenFile)
        }

        private static func place(_ text: String) -> (host: String, port: Int)? {
            guard let colon = text.lastIndex(of: ":"), let port = Int(text[text.index(after: colon)...]), (1...65_535).contains(port) else { return nil }
            var host = text[..<colon]
            if host.hasPrefix("["), host.hasSuffix("]") { host = host.dropFirst().dropLast() } else if host.contains(":") { return nil }
            guard (1...64).contains(host.utf8.count), host.utf8.allSatisfy({ (48...57).contains($0) || (97...102).contains($0) || $0 == 46 || $0 == 58 }) else { return nil }
            return (String(host), port)
        }
    }
}

extension EdgeConfiguration.Camera {
    /// When footage is kept, and who says that something happens.
    struct Events: Sendable, Hashable {
        var plan: RecordingPlan
        var motion: MotionSettings?
        var onvif: ONVIF?

        struct ONVIF: Sendable, Hashable {
            var address: String
            var userName: String?
            var passwordFile: String?

            /// - Throws: `ServiceSupportError` when the password cannot be read.
            func credentials() throws -> ONVIFCredentials? {
                let password = try passwordFile.map { try SmallFile.text($0, limitBytes: 4096).split(whereSeparator: \.isNewline).first.map(String.init) ?? "" }
                return userName.map { ONVIFCredentials(userName: $0, password: password ?? "") }
            }
        }

        /// - Parameter listens: events may be posted to the node.
        static func read(_ section: StrictMapping, listens: Bool) -> Events? {
            let mode = section.optional("mode", .choice) ?? RecordingPlan.Mode.continuous
            let preRoll = section.optional("pre_roll_seconds", .integer(0...30, unit: "seconds")) ?? 5
            let postRoll = section.optional("post_roll_seconds", .integer(0...600, unit: "seconds")) ?? 10
            let hours = section.section("schedule", readSchedule)
            let motion = section.section("motion", readMotion)
            let onvif = section.node("onvif_events").map { $0.mapping(readONVIF) }
            guard let hours, let motion else { return nil }
            if mode == .schedule, !hours.isGiven { section.refuse("mode", "schedule needs hours; add schedule: {hours: [\"mon-fri 07:00-19:00\"]}") }
            if mode != .schedule, section.has("schedule") { section.refuse("schedule", "hours count with mode: schedule only") }
            let recordsEvents = mode == .events || mode == .schedule && hours.outside == .events
            if recordsEvents, motion == nil, !section.has("onvif_events"), !listens {
                section.refuse("mode", "nothing would raise an event; add motion: {enabled: true}, onvif_events to this camera, or events with listen to the node")
            }
            let plan = RecordingPlan(
                mode: mode, schedule: hours.schedule, outside: hours.outside, preRollMilliseconds: Int64(preRoll) * 1_000, postRollMilliseconds: Int64(postRoll) * 1_000)
            return Events(plan: plan, motion: motion, onvif: onvif ?? nil)
        }

        private static func readSchedule(_ section: StrictMapping) -> (schedule: WeeklySchedule, outside: RecordingPlan.Outside, isGiven: Bool)? {
            let isGiven = section.has("hours")
            let windows = section.list("hours", isGiven ? 1...WeeklySchedule.windowsMax : 0...0) { item in item.value(.custom(WeeklySchedule.expectation) { WeeklySchedule.Window($0) }) }
            let offset = section.optional("utc_offset", .custom("a distance from UTC, such as \"+01:00\", \"-03:30\" or Z") { WeeklySchedule.utcOffsetMinutes($0) }) ?? 0
            let outside = section.optional("outside", .choice) ?? RecordingPlan.Outside.nothing
            return (WeeklySchedule(windows: windows, utcOffsetMinutes: offset), outside, isGiven)
        }

        private static func readMotion(_ section: StrictMapping) -> MotionSettings?? {
            let isEnabled = section.optional("enabled", .boolean) ?? false
            let threshold = section.optional("threshold", .integer(1...100)) ?? 20
            let area = section.optional("minimum_area_percent", .integer(1...100, unit: "percent")) ?? 1
            let coolDown = section.optional("cool_down_seconds", .integer(1...300, unit: "seconds")) ?? 5
            let zones = section.list("zones", 0...MotionSettings.zonesMax) { item in item.mapping(readZone) }
            guard isEnabled else { return .some(nil) }
            return MotionSettings(zones: zones, threshold: threshold, minimumAreaPercent: area, coolDownMilliseconds: Int64(coolDown) * 1_000)
        }

        private static func readZone(_ section: StrictMapping) -> MotionZone? {
            let name = section.required("name", .text(1...64, "the zone's name, text"))
            let x = section.required("x", .integer(0...95, unit: "percent"))
            let y = section.required("y", .integer(0...95, unit: "percent"))
            let width = section.required("width", .integer(5...100, unit: "percent"))
            let height = section.required("height", .integer(5...100, unit: "percent"))
            guard let name, let x, let y, let width, let height else { return nil }
            if x + width > 100 { section.refuse("width", "the zone ends right of the picture; x and width are at most 100 together") }
            if y + height > 100 { section.refuse("height", "the zone ends below the picture; y and height are at most 100 together") }
            return MotionZone(name: name, x: x, y: y, width: width, height: height)
        }

        private static func readONVIF(_ section: StrictMapping) -> ONVIF? {
            let address = section.required("address", .custom("the camera's host, HOST:PORT, or the address of its device service") { DeviceURL(deviceAt: $0) == nil ? nil : $0 })
            let userName = section.optional("username", .text(1...128))
            let passwordFile = section.optional("password_file", .absolutePath)
            if section.has("password_file"), !section.has("username") { section.refuse("password_file", "a password needs a user name; add username") }
            return address.map { ONVIF(address: $0, userName: userName, passwordFile: passwordFile) }
        }
    }
}

extension EdgeConfiguration {
    /// The boxes of the cameras; nil when nobody outside can raise an event, so that recorders need not look.
    func eventTriggers() -> EventTriggers? {
        let raised = cameras.filter { listener != nil || $0.events.onvif != nil }.map(\.id)
        return raised.isEmpty ? nil : EventTriggers(cameras: raised)
    }
}
