/// What may stand in an entry or a message at all. A signature says who wrote a number, not that it makes sense; within
/// these bounds sums and differences of them cannot overflow.
package enum Plausibility {
    /// Times and durations in milliseconds, and ticks: up to 2^53 (285,000 years), which JSON also carries exactly.
    package static let magnitudeMax: Int64 = 1 << 53
    /// Largest stored segment: what a FAT32 stick can carry.
    package static let segmentBytesMax: Int64 = 4 << 30
    package static let sequenceMax: UInt64 = 1 << 53
    package static let textBytesMax = 1024
    package static let camerasMax = 256

    package static func isOffset(_ value: Int64) -> Bool { (-magnitudeMax...magnitudeMax).contains(value) }
    package static func isCount(_ value: Int64) -> Bool { (0...magnitudeMax).contains(value) }
    static func isCount(_ value: Int) -> Bool { value >= 0 && value <= Int(Int32.max) }
    package static func isText(_ value: String) -> Bool { value.utf8.count <= textBytesMax }
}

extension WallEstimate {
    package var isPlausible: Bool { Plausibility.isCount(unixMilliseconds) && Plausibility.isCount(uncertaintyMilliseconds) }
}

extension SegmentRecord {
    package var isPlausible: Bool {
        startWall.isPlausible && Plausibility.isCount(startBootMilliseconds) && Plausibility.isCount(endBootMilliseconds)
            && endBootMilliseconds >= startBootMilliseconds && Plausibility.isCount(mediaStartTicks90k) && Plausibility.isCount(mediaDurationTicks90k)
            && (0...Plausibility.segmentBytesMax).contains(bytes) && (0...bytes).contains(initBytes)
            && sequence <= Plausibility.sequenceMax && run <= Plausibility.sequenceMax
            && [fragmentCount, widthPixels, heightPixels, frames, drops].allSatisfy { Plausibility.isCount($0) }
            && [bootID, codecs, configVersion].allSatisfy(Plausibility.isText) && made?.isPlausible ?? true && encodedSound?.isPlausible ?? true
    }
}

extension GapRecord {
    package var isPlausible: Bool {
        startWall.isPlausible && Plausibility.isCount(startBootMilliseconds) && Plausibility.isCount(durationMilliseconds)
            && [bootID, detail].allSatisfy(Plausibility.isText)
    }
}

extension EventRecord {
    package var isPlausible: Bool {
        startWall.isPlausible && Plausibility.isCount(startBootMilliseconds) && Plausibility.isCount(durationMilliseconds)
            && (0...100).contains(score) && [bootID, label].allSatisfy(Plausibility.isText)
    }
}

extension ImportRecord {
    package var isPlausible: Bool {
        Plausibility.isCount(originalBytes) && Plausibility.isOffset(clockOffsetMilliseconds)
            && (containerStartUnixMilliseconds.map { Plausibility.isOffset($0) } ?? true)
            && sequences.last ?? 0 <= Plausibility.sequenceMax
            && [bootID, originalName, container, operatorName, missing ?? ""].allSatisfy(Plausibility.isText)
    }
}

extension ClockRecord {
    package var isPlausible: Bool { wall.isPlausible && Plausibility.isCount(bootMilliseconds) && Plausibility.isText(bootID) }
}

extension NodeStatus {
    package var isPlausible: Bool {
        clock.isPlausible && Plausibility.isCount(uptimeMilliseconds) && cameras.count <= Plausibility.camerasMax
            && [software, site ?? "", bootID].allSatisfy(Plausibility.isText)
            && (disk.map { Plausibility.isCount($0.totalBytes) && Plausibility.isCount($0.availableBytes) && Plausibility.isText($0.problem ?? "") } ?? true)
            && (nextContactUnixMilliseconds.map(Plausibility.isCount) ?? true) && (sync?.isPlausible ?? true) && (power?.isPlausible ?? true)
            && cameras.allSatisfy { Plausibility.isCount($0.sinceBootMilliseconds) && Plausibility.isText($0.lastError ?? "") }
    }
}

extension Backlog {
    package var isPlausible: Bool { Plausibility.isCount(segments) && Plausibility.isCount(bytes) && Plausibility.isCount(durationMilliseconds) }
}
