import EdgeJournal
import EdgeSync
import FoundationEssentials
import Logging
import RecordingModel
import ServiceSupport
import StorageIO
import SyncProtocol
import SystemPackage

extension EdgeConfiguration {
    static let linksMax = 8

    /// `links:`: the ways to the hub. Without any, whatever the machine's routes say, without bounds.
    static func readLinks(_ root: StrictMapping) -> [Uplink] {
        var names: Set<String> = []
        return root.list("links", 0...linksMax) { item in
            item.mapping { section -> Uplink? in
                let link = readLink(section)
                if let link, !names.insert(link.name).inserted { section.refuse("name", "two links are called \(link.name)") }
                return link
            }
        }
    }

    private static func readLink(_ section: StrictMapping) -> Uplink? {
        let name = section.required("name", .text(1...32, "the link's name, text"))
        let device = section.optional("device", .custom("a network interface, such as wwan0") { Uplinks.isDeviceName($0) ? $0 : nil })
        let cost = section.optional("cost", .integer(0...1_000)) ?? 0
        let classes = readClasses(section)
        let (day, month) = (readBytes(section, "day_megabytes"), readBytes(section, "month_megabytes"))
        let rate = section.optional("rate_kilobits", .integer(8...10_000_000, unit: "kbit/s")).map { Int64($0) * 125 }
        let windows = readWindows(section)
        let offset = section.optional("utc_offset", .custom("a distance from UTC, such as \"+01:00\", \"-03:30\" or Z") { WeeklySchedule.utcOffsetMinutes($0) }) ?? 0
        let limits = section.section("power") { readLimits($0, utcOffsetMinutes: offset) } ?? [:]
        guard let name else { return nil }
        // The distance from UTC also says when a day's budget begins.
        let always = [WeeklySchedule.Window(days: 0b111_1111, startMinute: 0, endMinute: 1_440)]
        return Uplink(
            name: name, device: device, cost: cost, classes: classes, dayBudgetBytes: day, monthBudgetBytes: month,
            hours: windows.isEmpty && offset == 0 ? nil : WeeklySchedule(windows: windows.isEmpty ? always : windows, utcOffsetMinutes: offset), bytesPerSecondMax: rate, limits: limits)
    }

    /// What each power state asks of a link.
    private static func readLimits(_ section: StrictMapping, utcOffsetMinutes: Int) -> [PowerState: UplinkLimits] {
        PowerState.allCases.reduce(into: [:]) { limits, state in
            guard section.has(state.rawValue) else { return }
            limits[state] = section.section(state.rawValue) { part in
                let isOff = part.optional("off", .boolean) ?? false
                let (classes, windows, day) = (readClasses(part), readWindows(part), readBytes(part, "day_megabytes"))
                if isOff, part.has("send") || part.has("hours") || day != nil { part.refuse("off", "a link that is off sends nothing; leave out the rest") }
                return UplinkLimits(
                    isOff: isOff, classes: classes,
                    hours: windows.isEmpty ? nil : WeeklySchedule(windows: windows, utcOffsetMinutes: utcOffsetMinutes), dayBytesMax: day)
            }
        }
    }

    private static func readClasses(_ section: StrictMapping) -> Set<TrafficClass> {
        let named = section.list("send", 0...TrafficClass.allCases.count) { item in item.value(.trafficClass) }
        return section.has("send") ? Set(named) : Set(TrafficClass.allCases)
    }

    private static func readWindows(_ section: StrictMapping) -> [WeeklySchedule.Window] {
        section.list("hours", 0...WeeklySchedule.windowsMax) { item in item.value(.custom(WeeklySchedule.expectation) { WeeklySchedule.Window($0) }) }
    }

    private static func readBytes(_ section: StrictMapping, _ key: String) -> Int64? {
        section.optional(key, .integer(1...1_000_000_000, unit: "MB")).map { Int64($0) * 1_000_000 }
    }

    /// What has crossed each link is kept in the data directory: a restart opens no budget anew.
    func uplinks(_ folder: NodeFolder, energy: LinkEnergyBox? = nil, clocks: any Clocks, logger: Logger) -> Uplinks {
        let file = folder.root.appending("links.json")
        let storage = folder.storage
        var usage: [String: UplinkUsage] = [:]
        do {
            if try storage.size(file) != nil { usage = try JSONDecoder().decode([String: UplinkUsage].self, from: Data(SmallFile.text(file.string, limitBytes: 64 << 10).utf8)) }
        } catch {
            logger.error("what the links have carried cannot be read; their budgets begin anew", metadata: ["file": "\(file)", "error": "\(error)"])
        }
        return Uplinks(
            links, usage: usage, wall: { clocks.now().wall }, nowMilliseconds: { clocks.now().bootMilliseconds }, energy: energy,
            save: { usage in
                do { try await blocking { try storage.replace(file, with: Array(json(usage).utf8)) } } catch {
                    logger.error("what the links have carried cannot be kept", metadata: ["error": "\(error)"])
                }
            })
    }
}

extension StrictType where Value == TrafficClass {
    static var trafficClass: StrictType {
        custom("thumbnails, pulled, event, proxy or main") { word in TrafficClass.allCases.first { "\($0)" == word } }
    }
}
