@testable import EdgeCapture
import Foundation
import RecordingModel
import Testing
import TestSupport

@Suite("Footage and the time that passed")
struct ArrivalTests {
    private typealias Step = PacedServer.Step

    /// Records for so long from a server that does as the plan says.
    private func record(_ scratch: Scratch, pieces: [String], plan: [[Step]], seconds: Double, segmentMilliseconds: Int = 2_000) async throws -> Bench {
        let server = try PacedServer.start(pieces, plan: plan)
        defer { withExtendedLifetime(server) {} }
        let bench = try Bench(url: "http://127.0.0.1:\(server.port)/", change: { $0.segmentMilliseconds = segmentMilliseconds }, scratch: scratch)
        let start = MachineClocks().now().bootMilliseconds
        bench.recorder.start()
        try await Task.sleep(for: .seconds(seconds))
        let stop = MachineClocks().now().bootMilliseconds
        bench.recorder.stop()
        try expectAccounted(bench, from: start, to: stop)
        for record in bench.sink.segments { try expectDecodes(bench.path(record)) }
        return bench
    }

    @Test("A server that begins with 8 s of what it kept dates nothing into the future, and the run goes on", arguments: [2_000, 60_000])
    func burst(segmentMilliseconds: Int) async throws {
        try await Turns.shared.run {
            let scratch = try Scratch()
            let pieces = try PacedServer.pieces(scratch, seconds: 16)
            let bench = try await record(
                scratch, pieces: pieces, plan: [[Step(pieces: 40, seconds: 0), Step(pieces: 40, seconds: 0.2)]], seconds: 6.5, segmentMilliseconds: segmentMilliseconds)
            #expect(Set(bench.sink.segments.map(\.run)) == [0], "\(bench.sink.segments.map(\.end))")
            // What is kept goes back to when the recorder began, and a group of pictures further.
            let footage = bench.sink.segments.reduce(0) { $0 + $1.durationMilliseconds }
            #expect((5_500...6_600).contains(footage), "\(footage) ms of footage")
            let media = bench.sink.segments.reduce(0) { $0 + $1.mediaDurationTicks90k } / 90
            #expect((0...500).contains(media - footage), "\(media) ms of media")
        }
    }

    @Test("A camera that comes again and again has footage and gaps of the time that passed")
    func dropsAndComesAgain() async throws {
        try await Turns.shared.run {
            let scratch = try Scratch()
            let pieces = try PacedServer.pieces(scratch, seconds: 24)
            let bench = try await record(scratch, pieces: pieces, plan: [[Step(pieces: 25, seconds: 0.2)], [Step(pieces: 15, seconds: 0.2)]], seconds: 14)
            #expect(Set(bench.sink.segments.map(\.run)).count >= 2)
            #expect(bench.sink.gaps.contains { $0.cause == .cameraLost }, "\(bench.sink.gaps)")
            for record in bench.sink.segments { #expect(abs(record.durationMilliseconds - record.mediaDurationTicks90k / 90) <= 300) }
        }
    }

    @Test("A camera that counts its pictures wrong is set right again and again", arguments: [0.4, 0.1])
    func wrongCount(secondsPerPiece: Double) async throws {
        try await Turns.shared.run {
            let scratch = try Scratch()
            let pieces = try PacedServer.pieces(scratch, seconds: secondsPerPiece < 0.2 ? 26 : 9)
            let bench = try await record(
                scratch, pieces: pieces, plan: [[Step(pieces: pieces.count, seconds: secondsPerPiece)]], seconds: 11, segmentMilliseconds: 60_000)
            #expect(bench.sink.segments.contains { $0.end == .discontinuity }, "\(bench.sink.segments.map(\.end))")
            #expect(bench.sink.segments.filter { $0.end == .discontinuity }.allSatisfy { $0.durationMilliseconds <= 9_000 })
            // Nothing is missing between one run and the next.
            #expect(bench.sink.gaps.filter { $0.detail.contains("went apart") }.allSatisfy { $0.durationMilliseconds <= 250 }, "\(bench.sink.gaps)")
        }
    }

    @Test("After a stall a camera that did not count on is set right; one that catches up goes on as if nothing had been", arguments: [false, true])
    func stall(catchesUp: Bool) async throws {
        try await Turns.shared.run {
            let scratch = try Scratch()
            let pieces = try PacedServer.pieces(scratch, seconds: 18)
            let after = catchesUp ? [Step(pieces: 20, seconds: 0), Step(pieces: 30, seconds: 0.2)] : [Step(pieces: 50, seconds: 0.2)]
            let bench = try await record(
                scratch, pieces: pieces, plan: [[Step(pieces: 20, seconds: 0.2), Step(pieces: 0, seconds: 4)] + after], seconds: 14, segmentMilliseconds: 60_000)
            #expect(bench.sink.segments.map(\.end) == (catchesUp ? [.stopped] : [.discontinuity, .stopped]), "\(bench.sink.segments)")
        }
    }

    @Test("The end of a segment leans to the clock as far as a crystal drifts, never beyond what was observed")
    func segmentClock() {
        let clock = SegmentClock(originNanoseconds: 1_000_000_000)
        let minute: Int64 = 60 * 90_000
        #expect(clock.end(mediaTicks: minute, observed: 61_000_000_000) == 61_000_000_000)
        #expect(clock.end(mediaTicks: minute, observed: 61_020_000_000) == 61_020_000_000)
        #expect(clock.end(mediaTicks: minute, observed: 61_500_000_000) == 61_030_000_000)
        #expect(clock.end(mediaTicks: minute, observed: 53_000_000_000) == 53_000_000_000)
        #expect(clock.lastEnd(mediaTicks: minute, observed: 61_500_000_000, latenessNanoseconds: 500_000_000) == 61_030_000_000)
        #expect(clock.lastEnd(mediaTicks: minute, observed: 91_000_000_000, latenessNanoseconds: 30_000_000_000) == 91_000_000_000)
        #expect(clock.lastEnd(mediaTicks: minute, observed: 91_000_000_000, latenessNanoseconds: 0) == 61_030_000_000)
        // Pictures from before what is accounted for count no time, and no segment ends before it begins.
        let late = SegmentClock(originNanoseconds: 1_000_000_000, notBefore: 5_000_000_000)
        #expect(late.startNanoseconds == 5_000_000_000 && late.end(mediaTicks: minute, observed: 61_000_000_000) == 61_000_000_000)
        #expect(late.end(mediaTicks: 90_000, observed: 2_000_000_000) == 5_000_000_000)
    }
}
