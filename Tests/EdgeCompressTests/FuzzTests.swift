import Foundation
import Logging
import RecordingModel
import Testing
import TestSupport

@testable import EdgeCompress

@Suite struct FuzzTests {
    /// Damaged footage of three codecs. Whatever it does to a worker, this process goes on, and a new worker works.
    @Test func mutatedStreamsEndAtMostTheirWorker() throws {
        let count = ProcessInfo.processInfo.environment["FIELDPOST_LONG"] == nil ? 300 : 10_000
        let seed = UInt64(ProcessInfo.processInfo.environment["FIELDPOST_SEED"] ?? "") ?? 1
        let scratch = try TemporaryDirectory("fuzz")
        let sources = [
            try memoryFile(makeFootage(scratch, "a.mp4", source: "testsrc2=size=160x96:rate=10", seconds: 2, framesPerSecond: 10)),
            try memoryFile(makeFootage(scratch, "b.mp4", source: "testsrc2=size=160x96:rate=10", seconds: 2, arguments: ["-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none", "-g", "10"])),
            try memoryFile(makeFootage(scratch, "c.mp4", source: "testsrc2=size=160x96:rate=10", seconds: 1, arguments: ["-c:v", "mjpeg", "-q:v", "10"])),
        ]
        var generator = SeededNumbers(seed: seed)
        var (deaths, refused, done, worker) = (0, 0, 0, WorkerProcess?.none)
        for number in 0..<count {
            let file = MemoryFile(Self.mutated(sources[number % sources.count].bytes, using: &generator))
            let ready = try worker ?? WorkerProcess(workerSettings())
            worker = ready
            do {
                if number % 2 == 0 {
                    _ = try ready.thumbnails(file, dues: [0, 45_000, 90_000])
                } else {
                    let record = sampleRecord(bytes: file.length, seconds: 2)
                    let settings = number % 4 == 1 ? ProxySettings(keyFramesOf: record) : ProxySettings(.init(bitsPerSecond: 64_000), .h264, threads: 1, bitsPerSecond: 64_000, record)
                    _ = try ready.proxy(file, settings.job)
                }
                done += 1
            } catch WorkerFailure.refused {
                refused += 1
            } catch WorkerFailure.died(let how) {
                deaths += 1
                worker = nil
                print("seed \(seed), stream \(number): the worker \(how)")
            }
        }
        print("\(count) mutated streams, seed \(seed): \(done) decoded in part or whole, \(refused) refused, \(deaths) ended their worker")
        #expect(done + refused + deaths == count)
        #expect(done > count / 10 && refused > 0, "the mutations are not what they should be")
        #expect(try WorkerProcess(workerSettings()).thumbnails(sources[0], dues: [0]).images.count == 1)
    }

    /// A few bytes altered, a stretch of noise, a stretch left out, or the file cut.
    private static func mutated(_ bytes: [UInt8], using generator: inout SeededNumbers) -> [UInt8] {
        var result = bytes
        // The header is a small part of the file, and the one with the most to break.
        let limit = Bool.random(using: &generator) ? result.count : min(result.count, 1_500)
        func place(_ generator: inout SeededNumbers) -> Int { Int.random(in: 0..<limit, using: &generator) }
        switch Int.random(in: 0..<4, using: &generator) {
        case 0: for _ in 0..<Int.random(in: 1...20, using: &generator) { result[place(&generator)] = UInt8.random(in: 0...255, using: &generator) }
        case 1:
            let start = place(&generator)
            for index in start..<min(result.count, start + 64) { result[index] = UInt8.random(in: 0...255, using: &generator) }
        case 2:
            let start = place(&generator)
            result.removeSubrange(start..<min(result.count, start + Int.random(in: 1...400, using: &generator)))
        default: result.removeLast(Int.random(in: 1..<result.count, using: &generator))
        }
        return result
    }
}
