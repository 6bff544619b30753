import EvidenceLog
import RecordingModel
import Testing

@testable import EdgeCompress

@Suite struct PlanTests {
    @Test func messagesComeBackAsTheyWent() throws {
        let jobs: [WorkerJob] = [
            .thumbnails(ThumbnailJob(sourceBytes: 5, dueTicks90k: [0, 7, 90_000], bytesMax: 8_192)),
            .proxy(
                ProxyJob(
                    sourceBytes: 1 << 33, encoder: "libx264", options: [["preset", "medium"], ["profile", "baseline"]], bitsPerSecond: 100_000,
                    peakBitsPerSecond: 200_000, bufferBits: 400_000, sidePixels: 640, framesPerSecondMax: 15)),
            .trial(
                ProxyJob(
                    sourceBytes: 0, encoder: "libx265", options: [["crf", "28"]], bitsPerSecond: 0, peakBitsPerSecond: 0, bufferBits: 0, sidePixels: 8192,
                    framesPerSecondMax: 25, keepsEveryPicture: true, threads: 2)),
        ]
        for request in jobs.map(WorkerRequest.job) + [.bytes([1, 2, 3]), .bytes([]), .unreadable] {
            #expect(try WorkerRequest(Array(request.message.dropFirst(4))) == request)
        }
        let answers: [WorkerAnswer] = [
            .ready("seccomp"), .read(offset: 1 << 40, count: 4_096), .image(ThumbnailImage(ticks90k: 9, widthPixels: 320, heightPixels: 180, jpeg: [0xFF, 0xD8])),
            .header(ProxyHeader(initBytes: [1], codecs: "avc1.42c01e", widthPixels: 640, heightPixels: 360, startTicks90k: 3, sourcePacketsSHA256: .sha256([1]), soundBitsPerSecond: 64_000, isSoundCopied: true)),
            .fragment([9, 9], frames: 2, durationTicks90k: 6_000), .done(WorkerFigures(pictures: 2, damaged: 1, cpuMilliseconds: 4)), .failed("no video"),
        ]
        for answer in answers { #expect(try WorkerAnswer(Array(answer.message.dropFirst(4))) == answer) }
    }

    @Test func aCutOrAlteredMessageIsRefusedAndNeverCrashes() {
        var generator = SeededNumbers(seed: 7)
        let messages = [
            WorkerAnswer.image(ThumbnailImage(ticks90k: 9, widthPixels: 320, heightPixels: 180, jpeg: Array(repeating: 3, count: 40))).message,
            WorkerAnswer.fragment(Array(repeating: 1, count: 40), frames: 2, durationTicks90k: 6_000).message,
        ]
        var refused = 0
        for message in messages {
            let body = Array(message.dropFirst(4))
            for length in 0..<body.count { #expect(throws: (any Error).self) { try WorkerAnswer(Array(body[..<length])) } }
            for _ in 0..<2_000 {
                var altered = body
                altered[Int.random(in: 0..<altered.count, using: &generator)] = UInt8.random(in: 0...255, using: &generator)
                if (try? WorkerAnswer(altered)) == nil { refused += 1 }
            }
        }
        #expect(refused > 0)
    }

    @Test func whatOneSegmentTookTooMuchTheNextOnesHaveLess() {
        var budget = RateBudget(bitsPerSecond: 100_000)
        #expect(budget.next(seconds: 60) == 100_000)
        budget.spent(bytes: 60 * 15_000, seconds: 60)
        #expect(budget.next(seconds: 60) < 90_000)
        // An encoder that always takes a tenth more than it is asked for: the hour still holds the rate.
        var bytes: Int64 = 0
        budget = RateBudget(bitsPerSecond: 100_000)
        for _ in 0..<60 {
            let taken = Int64(Double(budget.next(seconds: 60)) * 1.1 * 60 / 8)
            budget.spent(bytes: taken, seconds: 60)
            bytes += taken
        }
        let share: Double = Double(bytes * 8) / 360_000_000
        #expect(share > 0.98 && share < 1.02)
        // A quiet night gives no burst.
        for _ in 0..<600 { budget.spent(bytes: 100, seconds: 60) }
        #expect(budget.next(seconds: 60) <= 150_000)
    }

    @Test func aJobThatKillsTwoWorkersIsSetAside() {
        var fates = JobFates()
        let answers = ["a", "b", "a", "b", "c"].map { fates.died($0) }
        #expect(answers == [false, false, true, true, false])
    }

    @Test func theFirstEncoderThatWorksIsUsedAndEachIsTriedOnce() throws {
        var choice = EncoderChoice()
        var tried: [ProxyEncoder] = [], told: [ProxyEncoder: String?] = [:]
        func first(_ wanted: [ProxyEncoder], works: Set<ProxyEncoder>) throws -> ProxyEncoder {
            try choice.first(of: wanted) { encoder in
                tried.append(encoder)
                return works.contains(encoder) ? nil : "\(encoder) is missing"
            } tell: { told[$0] = $1 }
        }
        #expect(try first([.av1, .h265, .h264], works: [.h265, .h264]) == .h265)
        #expect(try first([.h265, .av1], works: []) == .h265)
        #expect(try first([.av1], works: [.h264]) == .h264)
        #expect(tried == [.av1, .h265, .h264])
        #expect(told == [.av1: "av1 is missing", .h265: nil, .h264: nil])
        // Nothing works: the reasons are said, and all are tried again.
        choice = EncoderChoice()
        let error = #expect(throws: NoEncoder.self) { try first([.av1], works: []) }
        #expect(error?.description.contains("libsvtav1: av1 is missing") == true && error?.description.contains("libx264: h264 is missing") == true)
        #expect(try first([.av1], works: [.av1]) == .av1)
    }

    @Test func onlyWhatIsAskedForIsTranscoded() {
        func record(_ codecs: String, bytes: Int64 = 1_000_000) -> SegmentRecord {
            var record = sampleRecord(bytes: bytes)
            record.codecs = codecs
            return record
        }
        let plain = CompressPlan.Transcoding()
        #expect(plain.isWanted(for: record("mp4v.6C")) && plain.isWanted(for: record("mp4v.6C,mp4a.40.2")))
        #expect(!plain.isWanted(for: record("avc1.42c01e", bytes: 1 << 40)) && !plain.isWanted(for: record("mp4v.20")))
        // 60 s at 8 Mbit/s are 60 MB.
        let limited = CompressPlan.Transcoding(aboveBitsPerSecond: 8_000_000)
        #expect(limited.isWanted(for: record("avc1.42c01e", bytes: 60_000_001)) && !limited.isWanted(for: record("avc1.42c01e", bytes: 60_000_000)))
        #expect(CompressPlan.Transcoding(cameras: [CameraID("a")!]).isWanted(for: record("avc1.42c01e")))
        #expect(!CompressPlan.Transcoding(cameras: [CameraID("b")!]).isWanted(for: record("avc1.42c01e")))
    }

    @Test func picturesAreDueOnAGridWhateverTheSegmentsAre() {
        var grid = ThumbnailGrid(everyMilliseconds: 30_000)
        var times: [Int64] = []
        for number in 0..<20 {
            let record = sampleRecord(seconds: 17, sequence: UInt64(number), startMilliseconds: Int64(number) * 17_000)
            times += grid.dues(in: record).map { $0 / 90 }
        }
        #expect(times == Array(stride(from: 0, to: 340_000, by: 30_000)))
        // After a pause there is a picture of the beginning, and so there is after a boot.
        let late = grid.dues(in: sampleRecord(seconds: 10, startMilliseconds: 1_000_000))
        #expect(late == [90_000_000])
        let booted = grid.dues(in: sampleRecord(seconds: 10, startMilliseconds: 5_000, bootID: "next"))
        #expect(booted == [450_000])
    }

    @Test func anObjectHoldsOneHourOfOneBoot() {
        var pack = ThumbnailPack()
        // 2027-01-15 08:00:00 UTC begins an hour.
        let hour: Int64 = 3_600_000
        let first = sampleRecord(sequence: 3, startMilliseconds: hour - 120_000)
        #expect(!pack.mustPack(before: first))
        pack.add(first, [ThumbnailImage(ticks90k: first.mediaStartTicks90k + 90, widthPixels: 2, heightPixels: 2, jpeg: [1])])
        #expect(!pack.mustPack(before: sampleRecord(sequence: 4, startMilliseconds: hour - 60_000)))
        #expect(pack.mustPack(before: sampleRecord(sequence: 5, startMilliseconds: hour)))
        #expect(pack.mustPack(before: sampleRecord(sequence: 4, startMilliseconds: hour - 60_000, bootID: "next")))
        #expect(pack.startWall?.unixMilliseconds == first.startWall.unixMilliseconds + 1)
    }

    @Test func aThinnedStreamIsEvenAndOneAtTheRateIsWhole() {
        func kept(_ framesPerSecond: Double, _ most: Int) -> Int {
            var thinner = FrameThinner(framesPerSecondMax: most)
            var count = 0
            for picture in 0..<Int(framesPerSecond * 100) where thinner.keeps(Int64(Double(picture) * 90_000 / framesPerSecond)) { count += 1 }
            return count
        }
        #expect(kept(15, 15) == 1_500)
        #expect(kept(14.98, 15) == 1_498)
        #expect(kept(8, 15) == 800)
        #expect((1_480...1_520).contains(kept(25, 15)))
        #expect((1_480...1_520).contains(kept(30, 15)))
        #expect((1_480...1_520).contains(kept(60, 15)))
    }
}

/// Numbers that are the same in every run (SplitMix64).
struct SeededNumbers: RandomNumberGenerator {
    private var state: UInt64
    init(seed: UInt64) { state = seed }
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = state
        value = (value ^ value >> 30) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ value >> 27) &* 0x94D0_49BB_1331_11EB
        return value ^ value >> 31
    }
}
