import EdgeJournal
import EvidenceLog
import FoundationEssentials
import RecordingModel
import StorageIO
import SystemPackage
import Testing

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Lives that end at a random call to a disk which forgets what no sync has made durable: contents and names.
/// `FIELDPOST_JOURNAL_SEED=<seed>` replays one.
@Suite("Power cuts that undo names")
struct PowerCutTests {
    static var seeds: [UInt64] {
        if let text = getenv("FIELDPOST_JOURNAL_SEED"), let seed = UInt64(String(cString: text)) { return [seed] }
        return Array(1...200)
    }

    /// What `deliver` and `flush` returned for.
    struct Promised {
        var segments: [SegmentRecord] = []
        var gaps: [GapRecord] = []
    }

    private func live(_ bench: JournalBench, _ storage: FaultyStorage, _ promised: inout Promised, _ random: inout SeededGenerator) {
        guard let journal = try? bench.open(storage) else { return }
        defer { journal.close() }
        do {
            bench.clocks.advance(milliseconds: .random(in: 0...900, using: &random))
            var cameras = [try TestCamera(JournalBench.gate, startingOn: bench.clocks), try TestCamera(JournalBench.yard, startingOn: bench.clocks)]
            for _ in 0..<8 {
                var told = Promised()
                var closed: [ClosedSegment] = []
                bench.clocks.advance(milliseconds: .random(in: 0...2_000, using: &random))
                for camera in cameras.indices where Bool.random(using: &random) {
                    let (segment, gap) = try cameras[camera].begin(journal, bench, through: storage)
                    closed.append(segment)
                    if let gap { told.gaps.append(gap) }
                }
                bench.clocks.advance(milliseconds: 6_000)
                for segment in closed {
                    try journal.deliver(segment)
                    told.segments.append(segment.record)
                }
                if Int.random(in: 0..<8, using: &random) == 0 {
                    bench.clocks.advance(milliseconds: 3_600_000)
                    journal.tick()
                }
                try journal.flush()
                promised.segments += told.segments
                promised.gaps += told.gaps
            }
        } catch {}
    }

    @Test("lose nothing that was promised, and leave no hole, no double and no time unsaid", arguments: seeds)
    func names(seed: UInt64) throws {
        let context: Comment = "seed \(seed): FIELDPOST_JOURNAL_SEED=\(seed)"
        let bench = try JournalBench()
        var random = SeededGenerator(state: seed)
        var promised = Promised()
        var log: LogID?
        for life in 0..<Int.random(in: 1...4, using: &random) {
            let storage = FaultyStorage(diesAt: .random(in: 1...170, using: &random), losesUnsynced: true, undoing: seed &* 31 &+ UInt64(life))
            live(bench, storage, &promised, &random)
            if log == nil, !promised.segments.isEmpty { log = try bench.reader.log }
            // A file is written whole before its time has passed: not before then does the node come back.
            bench.clocks.reboot(as: "boot-\(life + 2)", afterMilliseconds: .random(in: 6_000...90_000, using: &random))
        }
        let journal = try bench.open()
        defer { journal.close() }
        if let log { #expect(journal.logID == log, context) }
        try bench.record(journal, JournalBench.gate)
        try journal.flush()
        #expect(try journal.check(deep: true).findings == [], context)
        let entries = try bench.followed(journal)
        let segments = entries.compactMap(\.segment)
        for stream in Set(segments.map(\.stream)) {
            let sequences = segments.filter { $0.stream == stream }.map(\.sequence)
            #expect(sequences == Array(0..<UInt64(sequences.count)), context)
        }
        let gaps = entries.compactMap(\.gap)
        for record in promised.segments { #expect(segments.filter { $0 == record }.count == 1, context) }
        for gap in promised.gaps { #expect(gaps.filter { $0 == gap }.count == 1, context) }
        expectTiled(entries, context)
    }
}
