import Testing

@testable import EdgeCompress

@Suite("The day's proxy fits the day's bytes")
struct DayRateTests {
    private static let range = 64_000...150_000

    private func rate(_ megabytes: Int64, used: Int64 = 0, secondsLeft: Int64 = 86_400, cameras: Int = 4, _ others: DayRate.Others = .init()) -> DayRate {
        DayRate.fitting([.init(dayBudgetBytes: megabytes * 1_000_000, usedBytes: used * 1_000_000, secondsLeft: secondsLeft)], others, cameras: cameras, in: Self.range)
    }

    @Test func `Where no budget bounds the links the rate is the highest`() {
        #expect(DayRate.fitting([], .init(), cameras: 4, in: Self.range).bitsPerSecond == 150_000)
    }

    @Test(arguments: [Int64(1), 2_900, 3_500, 4_000, 4_300, 4_600, 5_000, 6_000, 7_000, 20_000])
    func `All cameras' proxies of a day are no more than the budget leaves after thumbnails and log, unless that is less than the least rate`(megabytes: Int64) {
        let others = DayRate.Others(thumbnailBytesPerDay: 94_000_000, logBytesPerDay: 5_000_000, subStreamBitsPerSecond: 30_000)
        let found = rate(megabytes, others)
        #expect(Self.range.contains(found.bitsPerSecond))
        let proxies = Int64(found.bitsPerSecond) * 4 * 86_400 / 8
        let all = (proxies + others.thumbnailBytesPerDay + others.logBytesPerDay + others.subStreamBitsPerSecond * 86_400 / 8) * 106 / 100
        let isTooLittle = found.reason.contains("will not all go today")
        #expect(isTooLittle ? found.bitsPerSecond == Self.range.lowerBound : all <= megabytes * 1_000_000, "\(found)")
        // One step more would not fit, where more is allowed at all.
        if !isTooLittle, found.bitsPerSecond < Self.range.upperBound {
            let more = Int64(DayRate.stepBitsPerSecond) * 4 * 86_400 / 8 * 106 / 100
            #expect(all + more > megabytes * 1_000_000 - 1_000_000, "\(found)")
        }
    }

    @Test func `The rate rises with the budget and falls with what was used, what waits and the number of cameras`() {
        let rates = stride(from: Int64(1_000), through: 9_000, by: 500).map { rate($0).bitsPerSecond }
        #expect(rates == rates.sorted() && rates.first == 64_000 && rates.last == 150_000 && Set(rates).count > 5)
        #expect(rate(5_000).bitsPerSecond > rate(5_000, used: 1_000).bitsPerSecond)
        #expect(rate(5_000).bitsPerSecond > rate(5_000, .init(waitingBytes: 1_000_000_000)).bitsPerSecond)
        #expect(rate(5_000).bitsPerSecond > rate(5_000, cameras: 5).bitsPerSecond)
        // At noon half of it is left: the rate of the morning goes on.
        #expect(rate(5_000, used: 2_500, secondsLeft: 43_200).bitsPerSecond == rate(5_000).bitsPerSecond)
    }

    @Test func `Odd figures give a rate of the range`() {
        for budget in [Int64(0), -5, 1 << 50] {
            for seconds in [Int64(-1), 0, 1 << 40] {
                let found = DayRate.fitting(
                    [.init(dayBudgetBytes: budget, usedBytes: 1 << 40, secondsLeft: seconds)], .init(waitingBytes: 1 << 40), cameras: 0, in: Self.range)
                #expect(Self.range.contains(found.bitsPerSecond))
            }
        }
    }

    @Test func `The reason tells the figures`() {
        #expect(rate(4_500).reason == "4245.2 MB of today's budget are left; beside thumbnails, log and what waits that is 98 kbit/s for each of 4 cameras")
        #expect(rate(100, cameras: 1).reason.hasSuffix("8 kbit/s for each of 1 camera, less than the least rate: the day's proxies will not all go today"))
    }

    @Test func `A budget of bits follows a rate that changes, and keeps what was saved and owed`() {
        var budget = RateBudget(bitsPerSecond: 100_000)
        budget.spent(bytes: 2_000_000, seconds: 60)
        budget.aim(at: 64_000)
        #expect(budget.bitsPerSecond == 64_000 && budget.next(seconds: 60) == 32_000)
        for _ in 0..<10 { budget.spent(bytes: 64_000 * 60 / 8 / 2, seconds: 60) }
        #expect(budget.next(seconds: 60) == 96_000)
    }
}
