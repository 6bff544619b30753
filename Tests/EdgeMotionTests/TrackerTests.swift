@testable import EdgeMotion
import RecordingModel
import Synchronization
import TestSupport
import Testing

@Suite("Events")
struct TrackerTests {
    private func motion(_ from: Int64, _ to: Int64, _ score: Int = 40, mayStart: Bool = true) -> MotionObservation {
        MotionObservation(fromMilliseconds: from, toMilliseconds: to, score: score, label: "motion", mayStart: mayStart)
    }

    private func trigger(_ at: Int64, _ milliseconds: Int64, _ label: String = "door", source: EventRecord.Source = .webhook, score: Int = 100) -> EventTrigger {
        EventTrigger(source: source, label: label, score: score, phase: .lasting(milliseconds: milliseconds), bootMilliseconds: at)
    }

    @Test("Motion begins at its threshold, lasts at half of it, and is over after the cool-down, without it")
    func cycle() {
        var tracker = EventTracker(.init(startScore: 20))
        #expect(tracker.observe(motion(0, 500, 15)) == [] && !tracker.isOpen)
        #expect(
            tracker.observe(motion(500, 1_000, 30)) == [
                .init(source: .motion, label: "motion", startMilliseconds: 500, endMilliseconds: 1_000, score: 30, isBeginning: true)
            ])
        #expect(tracker.isOpen && tracker.openSinceMilliseconds == 500)
        #expect(tracker.observe(motion(3_000, 3_500, 12, mayStart: false)) == [])
        #expect(tracker.observe(motion(3_500, 4_000, 9)) == [])
        #expect(tracker.advance(to: 8_499) == [] && tracker.isOpen)
        #expect(
            tracker.advance(to: 8_500) == [
                .init(source: .motion, label: "motion", startMilliseconds: 500, endMilliseconds: 3_500, score: 30)
            ])
        #expect(!tracker.isOpen && tracker.lastActiveMilliseconds == 3_500)
    }

    @Test("What is shorter than the minimum, or too unsure to begin, is none")
    func tooShort() {
        var tracker = EventTracker(.init(minimumMilliseconds: 1_000))
        #expect(tracker.observe(motion(0, 500)) == [] && !tracker.isOpen)
        #expect(tracker.observe(motion(500, 1_000, 0)) == [])
        #expect(tracker.observe(motion(1_000, 1_500)) == [] && !tracker.isOpen)
        #expect(tracker.observe(motion(1_500, 2_000)).map(\.isBeginning) == [true] && tracker.isOpen)
        var other = EventTracker(.init())
        for step in 0..<20 { _ = other.observe(motion(Int64(step) * 500, Int64(step + 1) * 500, 90, mayStart: false)) }
        #expect(!other.isOpen)
    }

    @Test("Several sources make one event, named after all and begun by the first")
    func merged() {
        var tracker = EventTracker(.init())
        #expect(tracker.take(trigger(1_000, 2_000, "door", score: 50)).map(\.isBeginning) == [true])
        #expect(tracker.observe(motion(1_500, 4_000, 70)) == [])
        #expect(tracker.take(trigger(5_000, 1_000, "LineCrossing", source: .onvif)) == [])
        #expect(
            tracker.advance(to: 20_000) == [
                .init(source: .webhook, label: "door, motion, LineCrossing", startMilliseconds: 1_000, endMilliseconds: 6_000, score: 100)
            ])
    }

    @Test("A source may end what it began, and may say it again")
    func over() {
        var tracker = EventTracker(.init())
        _ = tracker.take(trigger(0, 300_000, "Motion", source: .onvif))
        #expect(tracker.advance(to: 59_000) == [] && tracker.isOpen)
        #expect(tracker.advance(to: 61_000) == [.init(source: .onvif, label: "Motion", startMilliseconds: 0, endMilliseconds: 60_000, score: 100)])
        _ = tracker.take(EventTrigger(source: .onvif, label: "Motion", score: 0, phase: .over, bootMilliseconds: 70_000))
        #expect(tracker.advance(to: 75_000) == [.init(source: .onvif, label: "Motion", startMilliseconds: 60_000, endMilliseconds: 70_000, score: 100)])
        // A moment is told whole as it begins, and not again.
        #expect(
            tracker.take(trigger(80_000, 0, "Motion", source: .onvif)) == [
                .init(source: .onvif, label: "Motion", startMilliseconds: 80_000, endMilliseconds: 80_000, score: 100, isBeginning: true)
            ])
        #expect(tracker.finish(at: 80_001) == [])
    }

    @Test("Whatever comes in whatever order, events follow one another, pieces join, and none is longer than a minute", arguments: 0..<40)
    func property(round: Int) {
        let seed = UInt64.random(in: 0...(.max))
        var random = Numbers(state: seed)
        var tracker = EventTracker(.init(startScore: .random(in: 1...60, using: &random), coolDownMilliseconds: .random(in: 0...9_000, using: &random)))
        var pieces: [EventTracker.Piece] = []
        var now: Int64 = 0
        var highest = 0
        for _ in 0..<600 {
            now += .random(in: -500...4_000, using: &random)
            let score = Int.random(in: 0...100, using: &random)
            switch Int.random(in: 0..<4, using: &random) {
            case 0: pieces += tracker.advance(to: now)
            case 1:
                pieces += tracker.observe(
                    motion(now - .random(in: 0...3_000, using: &random), now, score, mayStart: .random(using: &random)))
            case 2:
                pieces += tracker.take(
                    trigger(now, .random(in: -5...200_000, using: &random), "\(Int.random(in: 0..<12, using: &random))", score: score))
            default:
                pieces += tracker.take(
                    EventTrigger(source: .webhook, label: "\(Int.random(in: 0..<12, using: &random))", score: 0, phase: .over, bootMilliseconds: now))
            }
            highest = max(highest, score)
        }
        pieces += tracker.finish(at: now)
        // What begins is told at once, and what is told again of the same start says no less.
        var settled: [EventTracker.Piece] = []
        for piece in pieces {
            if let last = settled.last, last.isBeginning, last.startMilliseconds == piece.startMilliseconds {
                #expect(!piece.isBeginning && piece.endMilliseconds >= last.endMilliseconds && piece.score >= last.score, "seed \(seed): \(piece)")
                settled.removeLast()
            }
            settled.append(piece)
        }
        pieces = settled
        #expect(!tracker.isOpen && !pieces.isEmpty, "seed \(seed)")
        for piece in pieces {
            #expect(piece.endMilliseconds >= piece.startMilliseconds && piece.endMilliseconds - piece.startMilliseconds <= 60_000, "seed \(seed): \(piece)")
            #expect((0...highest).contains(piece.score) && !piece.label.isEmpty && piece.label.utf8.count <= 300, "seed \(seed): \(piece)")
        }
        for (left, right) in zip(pieces, pieces.dropFirst()) { #expect(left.endMilliseconds <= right.startMilliseconds, "seed \(seed): \(left) \(right)") }
        // Told up to the end of what was seen, and nothing that is still to come.
        #expect(pieces.last?.endMilliseconds ?? 0 <= now + 4_000, "seed \(seed)")
    }

    @Test("A flood of triggers keeps the newest and counts the rest")
    func box() throws {
        let camera = try #require(CameraID("gate"))
        let triggers = EventTriggers(cameras: [camera])
        let box = try #require(triggers[camera])
        #expect(box.isEmpty && box.take().isEmpty)
        for index in 0..<100 { box.put(trigger(Int64(index), 1)) }
        #expect(!box.isEmpty && triggers.dropped == 36)
        #expect(box.take().map(\.bootMilliseconds) == (36..<100).map { Int64($0) } && box.isEmpty)
        let long = trigger(0, 1 << 60, String(repeating: "ü", count: 100), score: 900)
        #expect(long.label == String(repeating: "ü", count: 32) && long.score == 100 && long.phase == .lasting(milliseconds: 3_600_000))
    }
}

struct Numbers: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return state ^ (state >> 29)
    }
}
