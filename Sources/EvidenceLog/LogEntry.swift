import FoundationEssentials
import RecordingModel

package enum EntryBody: Hashable, Sendable {
    case boot(BootRecord)
    case key(KeyRecord)
    case config(ConfigRecord)
    case segment(SegmentRecord)
    case gap(GapRecord)
    case recovered(RecoveredRecord)
    case clock(ClockRecord)
    case event(EventRecord)
    case evicted(RemovalRecord)
    case released(RemovalRecord)
    case imported(ImportRecord)
    case power(PowerRecord)
    /// A kind of a later version: kept, counted and proven, but not understood.
    case other(kind: String)

    package var kind: String {
        switch self {
        case .boot: "boot"
        case .key: "key"
        case .config: "config"
        case .segment: "segment"
        case .gap: "gap"
        case .recovered: "recovered"
        case .clock: "clock"
        case .event: "event"
        case .evicted: "evicted"
        case .released: "released"
        case .imported: "import"
        case .power: "power"
        case .other(let kind): kind
        }
    }
}

/// One line of a node's log. The bytes first written are what is hashed, kept and sent; they are never made again
/// from the value.
package struct LogEntry: Hashable, Sendable {
    package static let byteLimit = 64 << 10

    package var bootID: String
    package var bootMilliseconds: Int64
    package var wall: WallEstimate
    package var body: EntryBody

    package init(bootID: String, at moment: Moment, body: EntryBody) {
        self.bootID = bootID
        bootMilliseconds = moment.bootMilliseconds
        wall = moment.wall
        self.body = body
    }

    /// One JSON object without its newline, keys sorted.
    package func encoded() throws -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return Array(try encoder.encode(self))
    }

    package init(line: some Collection<UInt8>) throws {
        guard line.count <= Self.byteLimit, !line.contains(UInt8(ascii: "\n")) else { throw LogFault.entryTooLong }
        self = try JSONDecoder().decode(LogEntry.self, from: Data(line))
        guard isPlausible else { throw LogFault.implausibleEntry }
    }

    /// Whether its numbers are within `Plausibility`: what is not is no entry, whoever signed it.
    private var isPlausible: Bool {
        guard wall.isPlausible, (0...Plausibility.magnitudeMax).contains(bootMilliseconds) else { return false }
        return switch body {
        case .segment(let record): record.isPlausible
        case .gap(let gap): gap.isPlausible
        case .recovered(let record): record.segment.sequence <= Plausibility.sequenceMax
        case .clock(let record): record.isPlausible
        case .event(let record): record.isPlausible
        case .evicted(let record), .released(let record): record.isPlausible
        case .imported(let record): record.isPlausible
        case .power(let record): record.isPlausible
        case .boot, .key, .config, .other: true
        }
    }
}

extension LogEntry: Codable {
    private enum Key: String, CodingKey {
        case kind, bootID, bootMilliseconds, wall, boot, key, config, segment, gap, recovered, clock, event, evicted, released, power
        case imported = "import"
    }

    package init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: Key.self)
        bootID = try container.decode(String.self, forKey: .bootID)
        bootMilliseconds = try container.decode(Int64.self, forKey: .bootMilliseconds)
        wall = try container.decode(WallEstimate.self, forKey: .wall)
        body = switch try container.decode(String.self, forKey: .kind) {
        case "boot": .boot(try container.decode(BootRecord.self, forKey: .boot))
        case "key": .key(try container.decode(KeyRecord.self, forKey: .key))
        case "config": .config(try container.decode(ConfigRecord.self, forKey: .config))
        case "segment": .segment(try container.decode(SegmentRecord.self, forKey: .segment))
        case "gap": .gap(try container.decode(GapRecord.self, forKey: .gap))
        case "recovered": .recovered(try container.decode(RecoveredRecord.self, forKey: .recovered))
        case "clock": .clock(try container.decode(ClockRecord.self, forKey: .clock))
        case "event": .event(try container.decode(EventRecord.self, forKey: .event))
        case "evicted": .evicted(try container.decode(RemovalRecord.self, forKey: .evicted))
        case "released": .released(try container.decode(RemovalRecord.self, forKey: .released))
        case "import": .imported(try container.decode(ImportRecord.self, forKey: .imported))
        case "power": .power(try container.decode(PowerRecord.self, forKey: .power))
        case let kind: .other(kind: kind)
        }
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: Key.self)
        try container.encode(body.kind, forKey: .kind)
        try container.encode(bootID, forKey: .bootID)
        try container.encode(bootMilliseconds, forKey: .bootMilliseconds)
        try container.encode(wall, forKey: .wall)
        switch body {
        case .boot(let record): try container.encode(record, forKey: .boot)
        case .key(let record): try container.encode(record, forKey: .key)
        case .config(let record): try container.encode(record, forKey: .config)
        case .segment(let record): try container.encode(record, forKey: .segment)
        case .gap(let record): try container.encode(record, forKey: .gap)
        case .recovered(let record): try container.encode(record, forKey: .recovered)
        case .clock(let record): try container.encode(record, forKey: .clock)
        case .event(let record): try container.encode(record, forKey: .event)
        case .evicted(let record): try container.encode(record, forKey: .evicted)
        case .released(let record): try container.encode(record, forKey: .released)
        case .imported(let record): try container.encode(record, forKey: .imported)
        case .power(let record): try container.encode(record, forKey: .power)
        case .other: break
        }
    }
}
