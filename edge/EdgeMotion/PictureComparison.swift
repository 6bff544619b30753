import LibAV

/// Where in the picture somebody wants to know of motion. Percent of the picture's width and height from its upper left.
package struct MotionZone: Hashable, Sendable {
    package var name: String
    package var x: Int
    package var y: Int
    package var width: Int
    package var height: Int

    package init(name: String, x: Int, y: Int, width: Int, height: Int) {
        self.name = name
        self.x = x
        self.y = y
        self.width = width
        self.height = height
    }

    package static let whole = MotionZone(name: "motion", x: 0, y: 0, width: 100, height: 100)
}

/// Compares the key frames that were decoded, one with the one before.
package struct PictureComparison: Sendable {
    /// As 16 by 9: a block of a 1080p picture is 30 by 30 pixels, a person at 20 m some of them.
    static let columns = 64, rows = 36
    /// Of 255 levels of brightness. Noise and a key frame's coarser quantisation move a block's mean by a few.
    static let blockLevels = 10
    /// More of the picture changes with a lamp, a cloud or the infrared filter, and not with what moves in it. One such
    /// change is passed over; the second in a row counts, so that a camera that is turned is an event.
    static let wholePictureShare = 0.8
    /// An older picture differs from this one by the light.
    static let oldestNanoseconds: Int64 = 30_000_000_000

    struct Result: Hashable, Sendable {
        /// Since the picture before.
        var fromNanoseconds: Int64
        /// The zone that changed most; nil when none did.
        var zone: String?
        /// 100 times the root of the share of the zone that changed: 1 % is 10, 4 % is 20, all of it is 100.
        var score: Int
    }

    private let zones: [(name: String, blocks: [Int])]
    private let minimumAreaPercent: Int
    private var reference: (grid: LumaGrid, nanoseconds: Int64)?
    private var wholeChanges = 0

    /// - Parameter zones: empty for the whole picture.
    init(zones: [MotionZone], minimumAreaPercent: Int) {
        self.minimumAreaPercent = minimumAreaPercent
        self.zones = (zones.isEmpty ? [.whole] : zones).map { ($0.name, Self.blocks($0)) }
    }

    /// Another stream, or pictures of another size.
    mutating func reset() {
        reference = nil
        wholeChanges = 0
    }

    /// Nil when there was no picture to compare with, or the light changed.
    mutating func compare(_ grid: LumaGrid, _ nanoseconds: Int64) -> Result? {
        defer { reference = (grid, nanoseconds) }
        guard let reference, nanoseconds - reference.nanoseconds <= Self.oldestNanoseconds, reference.grid.levels.count == grid.levels.count else { return nil }
        let changed = Self.changedBlocks(reference.grid.levels, grid.levels)
        let share = Double(changed.count { $0 }) / Double(changed.count)
        wholeChanges = share >= Self.wholePictureShare ? wholeChanges + 1 : 0
        if wholeChanges == 1 { return nil }
        var best = Result(fromNanoseconds: reference.nanoseconds, zone: nil, score: 0)
        for zone in zones where !zone.blocks.isEmpty {
            let count = zone.blocks.count { changed[$0] }
            guard count > 0, count * 100 >= minimumAreaPercent * zone.blocks.count else { continue }
            let score = Int((100 * (Double(count) / Double(zone.blocks.count)).squareRoot()).rounded())
            if score > best.score { best = Result(fromNanoseconds: reference.nanoseconds, zone: zone.name, score: score) }
        }
        return best
    }

    /// A block changed when it differs by more than the picture as a whole does: exposure control shifts all of it.
    static func changedBlocks(_ before: [UInt8], _ after: [UInt8]) -> [Bool] {
        let shift = median(zip(before, after).map { Int($1) - Int($0) })
        return zip(before, after).map { abs(Int($1) - Int($0) - shift) >= blockLevels }
    }

    private static func median(_ values: [Int]) -> Int { values.isEmpty ? 0 : values.sorted()[values.count / 2] }

    /// Blocks whose centre lies in the zone.
    private static func blocks(_ zone: MotionZone) -> [Int] {
        (0..<(columns * rows)).filter { block in
            let x = (Double(block % columns) + 0.5) * 100 / Double(columns)
            let y = (Double(block / columns) + 0.5) * 100 / Double(rows)
            return x >= Double(zone.x) && x < Double(zone.x + zone.width) && y >= Double(zone.y) && y < Double(zone.y + zone.height)
        }
    }
}

/// When a key frame may be decoded at all.
struct DecodeBudget: Sendable {
    static let intervalNanoseconds: Int64 = 1_000_000_000
    /// A picture that takes long is followed by a longer pause: at most 5 % of one core for a camera.
    static let pauseFactor: Int64 = 20
    /// A damaged packet happens; so many one after another are a stream that this decoder should be spared.
    static let failuresMax = 3
    static let firstRestNanoseconds: Int64 = 60_000_000_000, longestRestNanoseconds: Int64 = 3_600_000_000_000

    private var nextNanoseconds: Int64 = .min
    private var failures = 0
    private var restNanoseconds = DecodeBudget.firstRestNanoseconds
    /// Why nothing is decoded for now, one sentence.
    private(set) var note: String?

    func allows(_ nanoseconds: Int64) -> Bool { nanoseconds >= nextNanoseconds }

    mutating func decoded(_ nanoseconds: Int64, cpuNanoseconds: Int64) {
        failures = 0
        restNanoseconds = Self.firstRestNanoseconds
        note = nil
        nextNanoseconds = nanoseconds + max(Self.intervalNanoseconds, cpuNanoseconds * Self.pauseFactor)
    }

    mutating func failed(_ nanoseconds: Int64, cpuNanoseconds: Int64, _ reason: String) {
        failures += 1
        guard failures >= Self.failuresMax else {
            nextNanoseconds = nanoseconds + max(Self.intervalNanoseconds, cpuNanoseconds * Self.pauseFactor)
            return
        }
        nextNanoseconds = nanoseconds + restNanoseconds
        note = "motion is not looked for in pictures for \(restNanoseconds / 1_000_000_000) s: \(reason)"
        restNanoseconds = min(restNanoseconds * 2, Self.longestRestNanoseconds)
    }
}
