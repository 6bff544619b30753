@testable import EdgeCapture
import Foundation
import RecordingModel
import StorageIO
import Synchronization
import SystemPackage
import Testing

@Suite("A journal that has failed")
struct RefusingSinkTests {
    private let url = "test:?size=160x90&fps=20&gop=10&bitrate=50k"

    @Test("No footage is removed or renamed, no segment is begun, and gaps are offered again now and then")
    func refuses() throws {
        let bench = try Bench(url: url)
        bench.recorder.start()
        bench.wait(seconds: 5) { bench.sink.segments.count == 1 }
        bench.sink.refuses.store(true, ordering: .relaxed)
        bench.wait(seconds: 5) { bench.sink.health.last?.state == .waiting }
        let names = try RealStorage().list(bench.directory)
        #expect(names == ["0000000000.fragments", "0000000000.mp4", "0000000001.fragments", "0000000001.open.mp4"])
        let open = try RealStorage().read(bench.directory.appending("0000000001.open.mp4"))
        #expect(open.count > 10_000)
        let offered = bench.sink.gapsOffered.load(ordering: .relaxed)
        usleep(4_500_000)
        bench.recorder.stop()
        // At most one in 1.5 s, and the last one at the end.
        #expect(bench.sink.gapsOffered.load(ordering: .relaxed) - offered <= 5)
        #expect(bench.sink.health.suffix(3).allSatisfy { $0.lastError?.contains("journal refused a segment") == true })
        #expect(bench.sink.health.last?.connects == 1)
        #expect(try RealStorage().list(bench.directory) == names)
        #expect(try RealStorage().read(bench.directory.appending("0000000001.open.mp4")) == open)
        try expectDecodes(bench.directory.appending("0000000001.open.mp4").string)

        // A recorder that starts before anybody recovered them must not lose them either.
        let next = try Bench(url: url, scratch: bench.scratch)
        next.recorder.start()
        next.wait(seconds: 8) { next.sink.segments.count >= 2 }
        next.recorder.stop()
        let left = try RealStorage().list(bench.directory)
        let aside = try #require(left.first { $0.hasPrefix("0000000001.open.mp4.aside-") })
        #expect(try RealStorage().read(bench.directory.appending(aside)) == open)
        #expect(left.contains { $0.hasPrefix("0000000001.fragments.aside-") && $0.split(separator: "-").last == aside.split(separator: "-").last })
    }

    @Test("When disk and journal fail together, what was salvaged stays for recovery")
    func refusesSalvage() throws {
        let storage = FaultyStorage { operation, count in operation == .append && count == 11 }
        let bench = try Bench(url: url, storage: storage, change: { $0.segmentMilliseconds = 60_000 })
        bench.recorder.start()
        bench.wait(seconds: 5) { !bench.sink.gaps.isEmpty }
        bench.sink.refuses.store(true, ordering: .relaxed)
        bench.wait(seconds: 5) { bench.sink.health.last?.lastError?.contains("refused") == true }
        bench.recorder.stop()
        #expect(try RealStorage().list(bench.directory) == ["0000000000.fragments", "0000000000.open.mp4"])
        try expectDecodes(bench.directory.appending("0000000000.open.mp4").string)
    }

    @Test("A gap that was refused is offered again while footage is recorded, and then all is well")
    func gapsOnly() throws {
        let bench = try Bench(url: url)
        bench.sink.refuses.store(true, ordering: .relaxed)
        bench.recorder.start()
        bench.wait(seconds: 4) { bench.sink.gapsOffered.load(ordering: .relaxed) >= 1 }
        bench.sink.refuses.store(false, ordering: .relaxed)
        bench.wait(seconds: 8) { bench.sink.segments.count >= 2 }
        bench.recorder.stop()
        #expect(bench.sink.segments.first?.sequence == 0 && Set(bench.sink.segments.map(\.run)) == [0])
        #expect(bench.sink.gaps.first?.cause == .starting)
        #expect(bench.sink.firstHole == nil)
    }
}
