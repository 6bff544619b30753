import EdgeJournal
import EvidenceLog
import FoundationEssentials
import JournalFixtures
import RecordingModel
import StorageIO
import SystemPackage
import Testing

@Suite("A recorder that dies at any call to the disk")
struct CrashTests {
    /// What the dying process knew.
    struct Memory {
        var log: LogID?
        /// Whole and synced by capture, in order; `flushed` of them were reported durable.
        var written: [SegmentRecord] = []
        var flushed: [SegmentRecord] = []
        var gaps = 0
        var end: (any Error)?
    }

    /// A day in short: two cameras, a gap, an hourly change of keys, a statement, a clean stop.
    private func live(_ bench: JournalBench, _ storage: any StorageIO, _ memory: inout Memory) {
        var journal: Journal?
        do {
            let opened = try bench.open(storage)
            journal = opened
            memory.log = opened.logID
            func record(_ stream: StreamID?) throws {
                let stream = try #require(stream)
                let closed = try bench.write(stream, opened.nextSequence(for: stream), run: opened.nextRun(for: stream), through: storage)
                memory.written.append(closed.record)
                bench.clocks.advance(milliseconds: closed.record.durationMilliseconds)
                try opened.deliver(closed)
                try opened.flush()
                memory.flushed.append(closed.record)
            }
            try record(JournalBench.gate)
            try opened.deliver(try bench.gap(JournalBench.gate, milliseconds: 300))
            try opened.flush()
            memory.gaps += 1
            try record(JournalBench.yard)
            bench.clocks.advance(milliseconds: 3_600_000)
            opened.tick()
            try record(JournalBench.gate)
            let signed = try opened.checkpointNow()
            try opened.recordStatement([1], held: [memory.written[0].stream: SequenceRanges([0])], logSize: signed.checkpoint.size)
            try record(JournalBench.gate)
        } catch {
            memory.end = error
        }
        journal?.close()
    }

    /// The next start finds everything, and the whole directory agrees with itself.
    private func expectRecovered(_ bench: JournalBench, _ memory: Memory, _ context: Comment) throws {
        bench.clocks.reboot(as: "boot-after", afterMilliseconds: 90_000)
        let journal = try bench.open()
        defer { journal.close() }
        if let log = memory.log { #expect(journal.logID == log, context) }
        try bench.record(journal, JournalBench.gate)
        try journal.flush()
        let report = try journal.check(deep: true)
        #expect(report.findings == [], context)
        let entries = try bench.followed(journal)
        let segments = entries.compactMap(\.segment)
        for stream in Set(segments.map(\.stream)) {
            let sequences = segments.filter { $0.stream == stream }.map(\.sequence)
            #expect(sequences == Array(0..<UInt64(sequences.count)), context)
        }
        for record in memory.flushed { #expect(segments.filter { $0 == record }.count == 1, context) }
        for record in memory.written { #expect(segments.filter { $0.sha256 == record.sha256 }.count == 1, context) }
        #expect(entries.compactMap(\.gap).filter { $0.cause == .cameraSilent }.count >= memory.gaps, context)
        // The time that the node was down is accounted for.
        if !memory.flushed.isEmpty { #expect(entries.compactMap(\.gap).contains { $0.cause == .powerCut || $0.cause == .stopped }, context) }
    }

    private static func operationsOfALife() throws -> Int {
        let bench = try JournalBench()
        let storage = FaultyStorage()
        var memory = Memory()
        CrashTests().live(bench, storage, &memory)
        try #require(memory.end == nil, "the undisturbed life ended with \(String(describing: memory.end))")
        try CrashTests().expectRecovered(bench, memory, "undisturbed")
        return storage.operations
    }

    @Test("loses nothing that was delivered, makes no hole and no double", arguments: [false, true])
    func everyOperation(losesUnsynced: Bool) throws {
        let count = try Self.operationsOfALife()
        #expect(count > 60)
        for death in 1...count {
            let bench = try JournalBench()
            let storage = FaultyStorage(diesAt: death, losesUnsynced: losesUnsynced)
            var memory = Memory()
            live(bench, storage, &memory)
            #expect(storage.isDead)
            try expectRecovered(bench, memory, "died at call \(death): \(storage.lastCall)")
        }
    }

    /// Dies once in life and again in the recovery that follows, at each call of it.
    @Test("also when it dies again while it recovers", arguments: ["rename 0000000001.open.mp4", "append entries-", "rename log-signing.next"])
    func duringRecovery(place: String) throws {
        let bench = try JournalBench()
        let whole = FaultyStorage()
        var nothing = Memory()
        live(bench, whole, &nothing)
        let calls = whole.journal
        let death = try #require(calls.lastIndex { $0.hasPrefix(place) }, "no call is \(place): \(Set(calls))") + 1
        var second = 1
        while true {
            let bench = try JournalBench()
            var memory = Memory()
            live(bench, FaultyStorage(diesAt: death, losesUnsynced: true), &memory)
            bench.clocks.reboot(as: "boot-between", afterMilliseconds: 1_000)
            let storage = FaultyStorage(diesAt: second, losesUnsynced: second.isMultiple(of: 2))
            let reopened = try? bench.open(storage)
            if reopened != nil, !storage.isDead {
                reopened?.close()
                break
            }
            reopened?.close()
            try expectRecovered(bench, memory, "died at call \(death), and at \(second) of the recovery: \(storage.lastCall)")
            second += 1
        }
    }
}
