import EdgePower
import RecordingModel
import ServiceSupport
import SystemPackage

extension EdgeConfiguration {
    /// `power:`: the node lives on a battery.
    struct Power: Sendable, Hashable {
        struct Source: Sendable, Hashable {
            var name: String
            var settings: PowerSourceSettings
        }
        var sources: [Source]
        var battery: BatterySettings
        var policy: PowerSettings
        /// In a reduced state these are recorded whole, the others by key frames; in a sparse one these alone.
        var priorityCameras: Set<CameraID>
        /// Programs and their arguments, without a shell: the node's, and those of each camera.
        var hooks: [PowerHookCall: [String]]
        /// Those with hooks of their own, in the order of their names.
        var hookCameras: [CameraID] { Set(hooks.keys.compactMap(\.camera)).sorted { $0.description < $1.description } }
        /// When a state sends footage; one without an entry does so at any time.
        var linkHours: [PowerState: WeeklySchedule]
        /// Ends the machine's work; without one the node stays up, with everything off.
        var haltCommand: [String]?
        /// Where the kernel takes the time to wake at, such as /sys/class/rtc/rtc0/wakealarm.
        var wakeAlarm: String?
        /// So long, at most, the hub is told until when the node will be dark.
        var noticeSeconds: Int
        var clock: DemonstrationClock.Settings
    }
}

extension EdgeConfiguration.Power {
    static let sourcesMax = 8
    private static let argumentsMax = 32

    static func read(_ section: StrictMapping, cameras: [CameraID]) -> Self? {
        let sources = readSources(section)
        let battery = section.section("battery", readBattery)
        let site = section.node("site").map { $0.mapping(readSite) }
        let panel = section.node("panel").map { $0.mapping(readPanel) }
        var policy = PowerSettings()
        _ = section.section("thresholds") { readThresholds($0, &policy) }
        _ = section.section("loads") { readLoads($0, &policy.loads) }
        _ = section.section("sparse") { part in
            policy.sparseRecordSeconds = part.optional("record_seconds", .integer(5...3_600, unit: "seconds")) ?? policy.sparseRecordSeconds
            policy.sparseEverySeconds = part.optional("every_seconds", .integer(10...86_400, unit: "seconds")) ?? policy.sparseEverySeconds
            return ()
        }
        _ = section.section("link_mebibytes_per_day") { part in
            for state in PowerState.allCases {
                policy.linkDayBytes[state] = part.optional(state.rawValue, .integer(1...1_000_000, unit: "MiB")).map { Int64($0) << 20 }
            }
            return ()
        }
        let priority = section.list("priority_cameras", 0...EdgeConfiguration.camerasMax) { item -> CameraID? in
            guard let camera = item.value(.cameraID) else { return nil }
            if !cameras.isEmpty, !cameras.contains(camera) { item.refuse("no camera is called \(camera)") }
            return camera
        }
        let hooks = readHooks(section, cameras)
        let linkHours = section.section("link_hours", readLinkHours) ?? [:]
        let halt = readCommand(section, "halt_command")
        let wakeAlarm = section.optional("wake_alarm", .absolutePath)
        let notice = section.optional("notice_seconds", .integer(0...10, unit: "seconds")) ?? 8
        let speed = section.optional("speed", .number(1...100_000)) ?? 1
        let startsAt = section.optional("starts_at", .custom("a time, such as 2026-12-21T06:00:00Z") { TimeText.unixMilliseconds($0) })
        guard let battery else { return nil }
        if battery.capacityWattHours > 0 { policy.capacityWattHours = battery.capacityWattHours }
        if battery.chemistry != .none { policy.cutoffVolts = battery.cutoffVolts }
        if battery.chemistry == .lifepo4 || battery.chemistry == .liIon { policy.noChargeBelowCelsius = 0 }
        policy.site = site ?? nil
        policy.panel = panel ?? nil
        for problem in battery.problems { section.refuse("battery", problem) }
        for problem in policy.problems { section.refuse("thresholds", problem) }
        return Self(
            sources: sources, battery: battery, policy: policy, priorityCameras: Set(section.has("priority_cameras") ? priority : Array(cameras.prefix(1))), hooks: hooks,
            linkHours: linkHours, haltCommand: halt, wakeAlarm: wakeAlarm, noticeSeconds: notice, clock: .init(speed: speed, startsAtUnixMilliseconds: startsAt))
    }

    // MARK: sources

    private enum Kind: String, CaseIterable {
        case powerSupply = "power-supply"
        case hwmon
        case veDirect = "ve-direct"
        case epever, nut
        case raspberryPi = "raspberry-pi"
        case file, replay
    }

    private static func readSources(_ section: StrictMapping) -> [Source] {
        var names: Set<String> = []
        return section.list("sources", 1...sourcesMax) { item in
            item.mapping { part -> Source? in
                let kind = part.required("kind", StrictType<Kind>.custom("one of \(Kind.allCases.map(\.rawValue).joined(separator: ", "))") { Kind(rawValue: $0) })
                let name = part.optional("name", .text(1...32, "the source's name, text"))
                guard let kind, let settings = readSource(part, kind) else { return nil }
                let source = Source(name: name ?? kind.rawValue, settings: settings)
                if !names.insert(source.name).inserted { part.refuse("name", "two sources are called \(source.name)") }
                for problem in settings.problems { part.refuse("kind", problem) }
                return source
            }
        }
    }

    private static func readSource(_ part: StrictMapping, _ kind: Kind) -> PowerSourceSettings? {
        func path(_ key: String) -> FilePath? { part.required(key, .absolutePath).map { FilePath($0) } }
        switch kind {
        case .powerSupply: return part.required("supply", .text(1...64, "a folder's name in /sys/class/power_supply")).map { .powerSupply(name: $0) }
        case .hwmon:
            let places = PowerPlace.allCases.map(\.rawValue).joined(separator: ", ")
            let place = part.optional("measures", StrictType<PowerPlace>.custom("one of \(places)") { PowerPlace(rawValue: $0) }) ?? .battery
            let isReversed = part.optional("reversed", .boolean) ?? false
            return part.required("chip", .text(1...64, "the sensor's name, such as ina219")).map { .hwmon(chip: $0, measures: place, isReversed: isReversed) }
        case .veDirect: return path("device").map { .veDirect(device: $0) }
        case .epever:
            let unit = part.optional("unit", .integer(1...247)) ?? 1
            return path("device").map { .epever(device: $0, unit: unit) }
        case .nut:
            let host = part.optional("host", .text(1...253)) ?? "127.0.0.1"
            let port = part.optional("port", .integer(1...65_535)) ?? 3_493
            return part.required("ups", .text(1...64, "the name of the UPS")).map { .nut(host: host, port: port, ups: $0) }
        case .raspberryPi: return .raspberryPi
        case .file: return path("path").map { .file(path: $0) }
        case .replay:
            let speed = part.optional("speed", .number(0.001...100_000)) ?? 1
            return path("path").map { .replay(path: $0, speed: speed) }
        }
    }

    // MARK: battery, site, panel, numbers

    private static func readBattery(_ section: StrictMapping) -> BatterySettings? {
        typealias Chemistry = BatterySettings.Chemistry
        let words = Chemistry.allCases.map(\.rawValue).joined(separator: ", ")
        let chemistry = section.optional("chemistry", StrictType<Chemistry>.custom("one of \(words)") { Chemistry(rawValue: $0) }) ?? Chemistry.none
        return BatterySettings(
            chemistry: chemistry, capacityWattHours: section.optional("capacity_watt_hours", .number(1...1_000_000, unit: "Wh")) ?? 0,
            nominalVolts: section.optional("nominal_volts", .number(1...1_000, unit: "V")), cutoffVolts: section.optional("cutoff_volts", .number(1...1_000, unit: "V")))
    }

    private static func readSite(_ section: StrictMapping) -> PowerSite? {
        let latitude = section.required("latitude", .number(-90...90, unit: "degrees"))
        let longitude = section.required("longitude", .number(-180...180, unit: "degrees"))
        let altitude = section.optional("altitude_metres", .number(-500...9_000, unit: "m")) ?? 0
        guard let latitude, let longitude else { return nil }
        return PowerSite(latitudeDegrees: latitude, longitudeDegrees: longitude, altitudeMetres: altitude)
    }

    private static func readPanel(_ section: StrictMapping) -> SolarPanel? {
        let watts = section.required("watts", .number(0.1...100_000, unit: "W"))
        let tilt = section.required("tilt_degrees", .number(0...90, unit: "degrees"))
        let azimuth = section.optional("azimuth_degrees", .number(0...360, unit: "degrees")) ?? 180
        guard let watts, let tilt else { return nil }
        return SolarPanel(watts: watts, tiltDegrees: tilt, azimuthDegrees: azimuth)
    }

    private static func readThresholds(_ section: StrictMapping, _ policy: inout PowerSettings) {
        func rung(_ key: String, _ path: WritableKeyPath<PowerSettings, PowerSettings.Rung>) {
            let given = section.section(key) { part in
                PowerSettings.Rung(
                    enterPercent: part.optional("enter", .number(0...100, unit: "percent")) ?? policy[keyPath: path].enterPercent,
                    leavePercent: part.optional("leave", .number(0...100, unit: "percent")) ?? policy[keyPath: path].leavePercent)
            }
            if let given { policy[keyPath: path] = given }
        }
        rung("full", \.full)
        rung("reduced", \.reduced)
        rung("sparse", \.sparse)
        rung("hibernate", \.hibernate)
        policy.dwellSeconds = section.optional("dwell_seconds", .integer(PowerSettings.dwellSecondsMin...86_400, unit: "seconds")) ?? policy.dwellSeconds
        policy.cutoffPercent = section.optional("cutoff_percent", .number(0...100, unit: "percent")) ?? policy.cutoffPercent
        policy.reservePercent = section.optional("reserve_percent", .number(0...100, unit: "percent")) ?? policy.reservePercent
        policy.planHours = section.optional("plan_hours", .integer(24...72, unit: "hours")) ?? policy.planHours
        policy.values.nightFactor = section.optional("night_value", .number(0.1...100)) ?? policy.values.nightFactor
    }

    private static func readLoads(_ section: StrictMapping, _ loads: inout PowerSettings.Loads) {
        func watts(_ key: String, _ path: WritableKeyPath<PowerSettings.Loads, Double>) {
            loads[keyPath: path] = section.optional(key, .number(0.01...10_000, unit: "W")) ?? loads[keyPath: path]
        }
        watts("surplus_watts", \.surplusWatts)
        watts("full_watts", \.fullWatts)
        watts("reduced_watts", \.reducedWatts)
        watts("sparse_watts", \.sparseWatts)
        watts("hibernate_watts", \.hibernateWatts)
        loads.areLearned = section.optional("learned", .boolean) ?? loads.areLearned
    }

    private static func readLinkHours(_ section: StrictMapping) -> [PowerState: WeeklySchedule] {
        let offset = section.optional("utc_offset", .custom("a distance from UTC, such as \"+01:00\", \"-03:30\" or Z") { WeeklySchedule.utcOffsetMinutes($0) }) ?? 0
        return PowerState.allCases.reduce(into: [:]) { hours, state in
            guard section.has(state.rawValue) else { return }
            let windows = section.list(state.rawValue, 1...WeeklySchedule.windowsMax) { $0.value(.custom(WeeklySchedule.expectation) { WeeklySchedule.Window($0) }) }
            hours[state] = WeeklySchedule(windows: windows, utcOffsetMinutes: offset)
        }
    }

    /// `hooks` of the node, and `camera_hooks` with a section for each camera that has its own.
    private static func readHooks(_ section: StrictMapping, _ cameras: [CameraID]) -> [PowerHookCall: [String]] {
        var commands: [PowerHookCall: [String]] = [:]
        func read(_ part: StrictMapping, _ hooks: [PowerHook], _ camera: CameraID?) {
            for hook in hooks { commands[PowerHookCall(hook: hook, camera: camera)] = readCommand(part, hook.rawValue) }
        }
        _ = section.section("hooks") { read($0, PowerHook.allCases, nil) }
        // Where no camera could be read there are no names to compare with, and the file is refused anyway.
        guard !cameras.isEmpty else {
            _ = section.has("camera_hooks")
            return commands
        }
        _ = section.section("camera_hooks") { part in
            for camera in cameras where part.has(camera.description) { _ = part.section(camera.description) { read($0, PowerHook.ofCameras, camera) } }
        }
        return commands
    }

    private static func readCommand(_ section: StrictMapping, _ key: String) -> [String]? {
        guard section.has(key) else { return nil }
        let words = section.list(key, 1...argumentsMax) { $0.value(.text(1...1_024, "a program or an argument")) }
        guard let program = words.first else { return nil }
        if !program.hasPrefix("/") { section.refuse(key, "the program must be an absolute path, such as /usr/bin/systemctl; no shell is asked") }
        return words
    }

    // MARK: the example

    /// Commented out, for the example configuration.
    static let example = """
        # Energy: for a node on a panel and a battery. Without this section energy is no question.
        # power:
        #   # One to 8 sources of readings. kind: power-supply (supply), hwmon (chip, measures, reversed), ve-direct (device),
        #   # epever (device, unit), nut (host, port, ups), raspberry-pi, file (path), replay (path, speed; for tests).
        #   sources:
        #     - {kind: ve-direct, name: mppt, device: "/dev/serial/by-id/usb-VictronEnergy_BV_VE_Direct_cable-if00-port0"}
        #     - {kind: hwmon, name: shunt, chip: ina219, measures: battery}
        #   # chemistry: lead-acid, lifepo4, li-ion or none (default). Volts default to one 12 V battery of that kind.
        #   battery: {chemistry: lifepo4, capacity_watt_hours: 512, nominal_volts: 12.8, cutoff_volts: 12.0}
        #   # With site, panel and capacity the node plans 24 to 72 hours ahead.
        #   site: {latitude: 40.12, longitude: 70.63, altitude_metres: 870}
        #   panel: {watts: 60, tilt_degrees: 45, azimuth_degrees: 180}
        #   # Percent of the battery at which a state is entered and left again, at least 10 between them. The defaults:
        #   thresholds: {full: {enter: 83, leave: 93}, reduced: {enter: 55, leave: 70}, sparse: {enter: 35, leave: 45}, hibernate: {enter: 12, leave: 25}, dwell_seconds: 300, cutoff_percent: 10, reserve_percent: 35, plan_hours: 72, night_value: 1}
        #   # What the node draws in each state; measured draw takes the place of these numbers unless learned is false.
        #   loads: {surplus_watts: 14, full_watts: 11, reduced_watts: 6, sparse_watts: 2, hibernate_watts: 0.3, learned: true}
        #   # In the sparse state: recorded so long, once in so long, at times chosen by chance. Default 60 and 600.
        #   sparse: {record_seconds: 60, every_seconds: 600}
        #   # At most so much in a day over all links together, by state: surplus, full, reduced, sparse, hibernate, halt, blind. Default: no bound.
        #   link_mebibytes_per_day: {reduced: 200, sparse: 10}
        #   # When a state sends footage (status and log always go), by the same names. Default: at any time; utc_offset Z.
        #   link_hours: {reduced: ["daily 10:00-15:00"], utc_offset: "+05:00"}
        #   # Recorded whole in the reduced state (others: key frames only), and alone in the sparse one. Default: the first camera.
        #   priority_cameras: ["gate"]
        #   # Programs with their arguments, without a shell, 10 s each: ir_on, ir_off, ptz_on, ptz_off, rail_on, rail_off, radio_on, radio_off.
        #   # In the reduced state light burns while any camera may have it, and no motor moves; below it both are off.
        #   hooks: {rail_on: ["/usr/bin/gpioset", "gpiochip0", "17=1"], rail_off: ["/usr/bin/gpioset", "gpiochip0", "17=0"]}
        #   # The same for single cameras: ir_on, ir_off, ptz_on, ptz_off, rail_on, rail_off. In the reduced state those of priority_cameras
        #   # keep light and motors; a camera's rail is off while the camera is.
        #   camera_hooks: {gate: {ir_on: ["/usr/local/bin/gate-light", "on"], ir_off: ["/usr/local/bin/gate-light", "off"]}}
        #   # Ends the machine's work while there is no energy. Default: the node stays up with everything off.
        #   halt_command: ["/usr/bin/systemctl", "poweroff"]
        #   # The clock that wakes the machine. Default: none.
        #   wake_alarm: "/sys/class/rtc/rtc0/wakealarm"
        #   # Before it goes dark the hub is told until when; at most so long. Default 8; 0 (not told) to 10.
        #   notice_seconds: 8
        #   # For tests and demonstrations only: energy is decided by a clock that begins at starts_at and runs so much faster.
        #   # speed: 600
        #   # starts_at: "2026-12-21T06:00:00Z"
        """
}
