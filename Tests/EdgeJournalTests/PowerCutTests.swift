import EdgeJournal
import EvidenceLog
import FoundationEssentials
import JournalFixtures
import RecordingModel
import StorageIO
import SystemPackage
import Testing

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Lives that end at a random call to a disk which drops, tears and reorders what no sync has made durable, contents and
/// names. `FIELDPOST_JOURNAL_SEED=<seed>` replays one.
@Suite("Power cuts")
struct PowerCutTests {
    static var seeds: [UInt64] {
        if let text = getenv("FIELDPOST_JOURNAL_SEED"), let seed = UInt64(String(cString: text)) { return [seed] }
        return Array(1...(isLong ? 20_000 : 2_000))
    }
    static var isLong: Bool { getenv("FIELDPOST_LONG").map { String(cString: $0) } == "1" }

    @Test("the disk drops, tears and reorders what was not synced, and nothing else")
    func model() throws {
        let bench = try JournalBench()
        try RealStorage().makeDirectory(bench.directory)
        let path = bench.directory.appending("file")
        let synced = [UInt8](repeating: 1, count: 700)
        let later = [UInt8](repeating: 2, count: 6_000)
        var seen: Set<String> = []
        for seed in UInt64(1)...200 {
            try RealStorage().remove(path)
            let storage = FaultyStorage(cutting: seed)
            let file = try storage.openForAppending(path)
            try file.append(synced)
            try file.sync()
            try storage.syncDirectory(bench.directory)
            if seed.isMultiple(of: 2) { try file.truncate(to: 500) }
            try file.append(later)
            storage.cutPower()
            #expect(throws: StorageError.self) { try file.append(later) }
            let left = try RealStorage().read(path)
            let wasTruncated = seed.isMultiple(of: 2) && !left.starts(with: synced)
            let base = wasTruncated ? 500 : 700
            #expect(left.prefix(base) == synced.prefix(base), "seed \(seed): what was synced is gone")
            let rest = left.dropFirst(base)
            let written = rest.filter { $0 == 2 }.count
            if seed.isMultiple(of: 2), !wasTruncated { seen.insert("truncation undone") }
            if rest.isEmpty { seen.insert("dropped") }
            if written == later.count { seen.insert("kept") }
            if written > 0, written < later.count { seen.insert("torn") }
            if let lost = rest.firstIndex(of: 0), let kept = rest.lastIndex(of: 2), lost < kept { seen.insert("reordered") }
        }
        #expect(seen == ["truncation undone", "dropped", "kept", "torn", "reordered"])
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
            for _ in 0..<5 {
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
        let context: Comment = "FIELDPOST_JOURNAL_SEED=\(seed) deploy/test --filter PowerCutTests"
        let bench = try JournalBench()
        var random = SeededGenerator(state: seed)
        var promised = Promised()
        var log: LogID?
        for life in 0..<Int.random(in: 1...3, using: &random) {
            let storage = FaultyStorage(diesAt: .random(in: 1...130, using: &random), cutting: seed &* 31 &+ UInt64(life))
            live(bench, storage, &promised, &random)
            if log == nil, !promised.segments.isEmpty { log = try bench.reader.log }
            // A file is written whole before its time has passed: not before then does the node come back.
            bench.clocks.reboot(as: "boot-\(life + 2)", afterMilliseconds: .random(in: 6_000...90_000, using: &random))
        }
        try judge(bench, promised, log, context)
    }

    /// Two lives of one course, of which the second is cut at each of its calls.
    @Test("at any call lose nothing that was promised", arguments: 1...(isLong ? UInt64(200) : 3))
    func everyCall(seed: UInt64) throws {
        var death = 1
        while true {
            let context: Comment = "seed \(seed), call \(death)"
            let bench = try JournalBench()
            var random = SeededGenerator(state: seed)
            var promised = Promised()
            live(bench, FaultyStorage(cutting: seed), &promised, &random)
            let log = try bench.reader.log
            bench.clocks.reboot(as: "boot-2", afterMilliseconds: 6_000)
            let storage = FaultyStorage(diesAt: death, cutting: seed &* 31 &+ UInt64(death))
            live(bench, storage, &promised, &random)
            guard storage.isDead else { return }
            bench.clocks.reboot(as: "boot-3", afterMilliseconds: 6_000)
            try judge(bench, promised, log, context)
            death += 1
        }
    }

    private func judge(_ bench: JournalBench, _ promised: Promised, _ log: LogID?, _ context: Comment) throws {
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
