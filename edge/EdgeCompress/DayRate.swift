/// The proxies' bit rate of a day: as much as the day's bytes of the links allow. All cameras share it evenly, since nobody knows in
/// the morning at which one something will happen.
package struct DayRate: Hashable, Sendable {
    /// Of a link: what has crossed it today, and what may.
    package struct Link: Hashable, Sendable {
        package var dayBudgetBytes: Int64
        package var usedBytes: Int64
        /// Until its day ends; 0 to 86,400.
        package var secondsLeft: Int64

        package init(dayBudgetBytes: Int64, usedBytes: Int64, secondsLeft: Int64) {
            self.dayBudgetBytes = dayBudgetBytes
            self.usedBytes = usedBytes
            self.secondsLeft = secondsLeft
        }
    }

    /// What else a day brings that goes before proxies, or with them.
    package struct Others: Hashable, Sendable {
        /// Thumbnails of all cameras, as many and as large as they may be.
        package var thumbnailBytesPerDay: Int64
        /// Entries and status.
        package var logBytesPerDay: Int64
        /// Recorded of cameras that have a small stream of their own.
        package var subStreamBitsPerSecond: Int64
        /// Thumbnails and proxies that wait already.
        package var waitingBytes: Int64

        package init(thumbnailBytesPerDay: Int64 = 0, logBytesPerDay: Int64 = 0, subStreamBitsPerSecond: Int64 = 0, waitingBytes: Int64 = 0) {
            self.thumbnailBytesPerDay = thumbnailBytesPerDay
            self.logBytesPerDay = logBytesPerDay
            self.subStreamBitsPerSecond = subStreamBitsPerSecond
            self.waitingBytes = waitingBytes
        }
    }

    /// Of one camera: a multiple of `stepBitsPerSecond`, or an end of the range.
    package var bitsPerSecond: Int
    /// For people: what it was made of, one line.
    package var reason: String

    /// A rate that changes a little with each look would change the picture's size as well.
    package static let stepBitsPerSecond = 8_000
    /// What IP, TCP and TLS take of a link beside each byte that is sent, and for its acknowledgement.
    private static let linkBytesPerHundred: Int64 = 106
    /// In the day's last hour what is left is no rate any more: the next day's budget is near.
    private static let secondsMin: Int64 = 3_600

    /// - Parameters:
    ///   - links: those that carry proxies, each with a budget; none where nothing bounds them.
    ///   - cameras: of how many proxies are made, 1 or more.
    ///   - range: in bit/s.
    package static func fitting(_ links: [Link], _ others: Others, cameras: Int, in range: ClosedRange<Int>) -> DayRate {
        guard !links.isEmpty else { return DayRate(bitsPerSecond: range.upperBound, reason: "no budget bounds the links of the proxies") }
        // Each link's day ends when it does; a second of footage is paid by all of them together.
        var bitsPerSecond = 0.0
        var leftBytes: Int64 = 0
        var secondsLeft: Int64 = secondsMin
        for link in links {
            let left = max(0, link.dayBudgetBytes - link.usedBytes) * 100 / linkBytesPerHundred
            let seconds = min(86_400, max(secondsMin, link.secondsLeft))
            leftBytes += left
            secondsLeft = max(secondsLeft, seconds)
            bitsPerSecond += Double(left) * 8 / Double(seconds)
        }
        bitsPerSecond -= Double(others.thumbnailBytesPerDay + others.logBytesPerDay) * 8 / 86_400 + Double(others.subStreamBitsPerSecond)
        bitsPerSecond -= Double(others.waitingBytes) * 8 / Double(secondsLeft)
        let each = Int(max(0, bitsPerSecond) / Double(max(1, cameras)))
        let fitted = min(max(each / stepBitsPerSecond * stepBitsPerSecond, range.lowerBound), range.upperBound)
        let share = "\(megabytes(leftBytes)) MB of today's budget are left; beside thumbnails, log and what waits that is \(each / 1_000) kbit/s for each of \(cameras) camera\(cameras == 1 ? "" : "s")"
        return DayRate(bitsPerSecond: fitted, reason: each < range.lowerBound ? share + ", less than the least rate: the day's proxies will not all go today" : share)
    }

    private static func megabytes(_ bytes: Int64) -> String {
        let tenths = bytes / 100_000
        return "\(tenths / 10).\(tenths % 10)"
    }
}
