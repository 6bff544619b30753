@testable import EdgeCapture
import EdgeMotion
import LibAV
import Logging
import RecordingModel
import StorageIO
import Testing

@Suite("Pre-roll in memory")
struct EventPreRollTests {
    private func packet(_ bytes: [UInt8], isKey: Bool, stream: Int32 = 0) throws -> Packet {
        let packet = try Packet()
        try packet.fill(bytes, streamIndex: stream, presentationTime: 7, decodeTime: nil, isKey: isKey)
        return packet
    }

    @Test("What is kept begins at a key frame, reaches back as far as asked, and is what came, byte for byte", arguments: 0..<20)
    func property(round: Int) throws {
        let seed = UInt64.random(in: 0...(.max))
        var random = SeededRandomness(state: seed)
        let span = Int64.random(in: 0...3_000_000_000, using: &random)
        let limit = Int.random(in: 2_000...60_000, using: &random)
        var kept = PreRoll(spanNanoseconds: span, bytesMax: limit)
        var all: [(bytes: [UInt8], isKey: Bool, isVideo: Bool, time: Int64)] = []
        var time: Int64 = 0
        for step in 0..<1_500 {
            time += .random(in: 0...80_000_000, using: &random)
            let isVideo = Int.random(in: 0..<4, using: &random) > 0
            let isKey = !isVideo || Int.random(in: 0..<20, using: &random) == 0
            let bytes = (0..<Int.random(in: 1...900, using: &random)).map { UInt8(truncatingIfNeeded: $0 &+ step) }
            all.append((bytes, isKey, isVideo, time))
            kept.append(try packet(bytes, isKey: isKey, stream: isVideo ? 0 : 1), isVideo: isVideo, arrivalNanoseconds: time)
            #expect(kept.byteCount <= limit, "seed \(seed)")
            guard let first = kept.entries.first else { continue }
            #expect(first.isVideo && first.isKey, "seed \(seed)")
            // The newest packets, without a hole.
            let tail = all.suffix(kept.entries.count)
            for (entry, packet) in zip(kept.entries, tail) where step % 50 == 0 {
                #expect(kept.bytes(of: entry).elementsEqual(packet.bytes) && entry.arrivalNanoseconds == packet.time && entry.isKey == packet.isKey, "seed \(seed)")
                #expect(entry.streamIndex == (packet.isVideo ? 0 : 1) && entry.presentationTime == 7 && entry.decodeTime == nil)
            }
            // Back to a key frame at or before the span, unless the bound on bytes took it.
            let starts = all.indices.filter { all[$0].isVideo && all[$0].isKey }
            if kept.overflows == 0, let newest = starts.last, let wanted = starts.last(where: { all[$0].time <= all[newest].time - span }) ?? starts.first {
                #expect(all.count - kept.entries.count <= wanted, "seed \(seed) step \(step)")
            }
        }
        #expect(!kept.entries.isEmpty || kept.overflows > 0, "seed \(seed)")
    }

    @Test("A group that is too large alone is not kept, and the next one is")
    func tooLarge() throws {
        var kept = PreRoll(spanNanoseconds: 0, bytesMax: 1_000)
        kept.append(try packet(Array(repeating: 1, count: 800), isKey: true), isVideo: true, arrivalNanoseconds: 0)
        kept.append(try packet(Array(repeating: 2, count: 300), isKey: false), isVideo: true, arrivalNanoseconds: 1)
        kept.append(try packet(Array(repeating: 3, count: 300), isKey: false), isVideo: true, arrivalNanoseconds: 2)
        #expect(kept.entries.isEmpty && kept.overflows == 1 && kept.startNanoseconds == nil)
        kept.append(try packet(Array(repeating: 4, count: 300), isKey: true), isVideo: true, arrivalNanoseconds: 3)
        #expect(kept.entries.count == 1 && kept.startNanoseconds == 3 && kept.byteCount == 300)
        kept.removeAll()
        #expect(kept.entries.isEmpty && kept.byteCount == 0)
    }

    @Test("A long gap is told in pieces of a minute, but never what may still become footage")
    func heldBack() throws {
        let scratch = try Scratch()
        let sink = CollectingSink()
        let camera = try #require(CameraID("gate"))
        let context = RecorderContext(
            configuration: CameraConfiguration(id: camera, url: "test:", configVersion: "1"), stream: StreamID(camera: camera, kind: .main),
            directory: scratch.path, storage: RealStorage(), sink: sink, clocks: MachineClocks(), logger: Logger(label: "test"))
        func at(_ milliseconds: Int64) -> Moment {
            Moment(bootNanoseconds: milliseconds * 1_000_000, wall: WallEstimate(unixMilliseconds: 1_000_000 + milliseconds, source: .ntp, uncertaintyMilliseconds: 1))
        }
        let ledger = GapLedger(context, start: at(1_000))
        ledger.standby(.noEvent, "none", at(1_400))
        for second in 2...200 {
            ledger.standby(.noEvent, "none", at(Int64(second) * 1_000))
            ledger.heldFrom = Int64(second) * 1_000 - 7_000
            ledger.tick(at(Int64(second) * 1_000))
            let told = sink.gaps.map { $0.startBootMilliseconds + $0.durationMilliseconds }.max() ?? 0
            #expect(told <= max(1_400, Int64(second) * 1_000 - 7_000))
        }
        ledger.footageBegins(at: 193_500, at(200_100))
        #expect(sink.gaps.map(\.cause) == [.starting, .noEvent, .noEvent, .noEvent, .noEvent])
        #expect(sink.gaps.allSatisfy { $0.durationMilliseconds <= 60_000 } && sink.firstHole == nil)
        #expect(sink.spans.first?.start == 1_000 && sink.spans.last?.end == 193_500 && ledger.accountedUntil == 193_500)
    }
}
