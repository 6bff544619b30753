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

/// Every byte of a small data directory is changed, one at a time. `check --deep` finds the change, or every answer of the
/// directory is the same as before.
@Suite("A single changed byte is found, or changes no answer")
struct SmallChangeTests {
    /// Everything that is said of a data directory.
    struct Answers: Hashable {
        var rows: [JournalRow]
        var ranges: [JournalRow]
        var statement: JournalStatement?
        var logSize: UInt64
        var checkpoint: Checkpoint?
        var segments: Int
        var bytes: Int64
        var backlog: Backlog
        var newest: [StreamID: JournalStatus.Newest]
        var covered: UInt64

        init(_ reader: JournalReader, covered: UInt64) throws {
            rows = try reader.segments(including: [.gaps], limit: 1_000)
            ranges = try reader.segments(of: JournalBench.gate, fromUnixMilliseconds: 1_700_000_003_000, toUnixMilliseconds: 1_700_000_009_000, limit: 5)
            statement = try reader.latestStatement()
            let status = try reader.status()
            (logSize, checkpoint, segments, bytes) = (status.logSize, status.lastCheckpoint, status.segments, status.bytes)
            (backlog, newest) = (status.backlog, status.newest)
            self.covered = covered
        }
    }

    enum Part: String, CaseIterable {
        case segment, side, entries, checkpoints, index, statement, identity, stopped
    }

    private func path(_ part: Part, _ bench: JournalBench) throws -> FilePath {
        let gate = try #require(JournalBench.gate)
        return switch part {
        case .segment: bench.path(gate, SegmentFiles.sealedName(0))
        case .side: bench.path(gate, SegmentFiles.sideName(0))
        case .entries: try bench.logFolder().appending(LogFolder.entryFileName(first: 0))
        case .checkpoints: try bench.logFolder().appending(LogFolder.checkpointsName)
        case .index: bench.directory.appending("index.sqlite")
        case .statement: bench.directory.appending("statement.json")
        case .identity: bench.directory.appending("fieldpost-node.json")
        case .stopped: bench.directory.appending("stopped.json")
        }
    }

    /// Two cameras, a gap, a change of keys, a statement, a clean stop.
    private func fill(_ bench: JournalBench) throws {
        let journal = try bench.open()
        try bench.record(journal, JournalBench.gate)
        try journal.deliver(try bench.gap(JournalBench.gate, milliseconds: 300))
        try bench.record(journal, JournalBench.yard)
        bench.clocks.advance(milliseconds: 3_600_000)
        journal.tick()
        try bench.record(journal, JournalBench.gate)
        let signed = try journal.checkpointNow()
        try journal.recordStatement([1, 2, 3], held: [try #require(JournalBench.gate): SequenceRanges([0])], logSize: signed.checkpoint.size)
        journal.close()
    }

    @Test("in every file of a data directory", arguments: Part.allCases)
    func everyByte(part: Part) throws {
        let bench = try JournalBench()
        try fill(bench)
        let path = try path(part, bench)
        let original = try RealStorage().read(path)
        let whole = try bench.reader.check(deep: true)
        #expect(whole.findings == [])
        let answers = try Answers(bench.reader, covered: whole.verdict.covered)
        try #require(original.count > 50)

        let descriptor = Glibc.open(path.string, O_WRONLY)
        defer { close(descriptor) }
        try #require(descriptor >= 0)
        var found = 0
        var harmless = 0
        // Of the index, which is by far the largest and only an index, a part: another one in each run.
        let step = part == .index && !PowerCutTests.isLong ? 41 : 1
        for offset in stride(from: Int.random(in: 0..<step), to: original.count, by: step) {
            let byte = original[offset]
            for changed in [byte ^ 1, byte ^ 0xFF] {
                var value = changed
                try #require(pwrite(descriptor, &value, 1, off_t(offset)) == 1)
                forgetWAL(bench)
                if let report = try? bench.reader.check(deep: true), report.isClean {
                    harmless += 1
                    let now = try? Answers(bench.reader, covered: report.verdict.covered)
                    if now != answers { Issue.record("\(part.rawValue): byte \(offset) from \(byte) to \(changed) is not found, and the answers are others; FIELDPOST_LONG=1 deploy/test --filter SmallChangeTests changes every byte") }
                } else {
                    found += 1
                }
            }
            var value = byte
            try #require(pwrite(descriptor, &value, 1, off_t(offset)) == 1)
        }
        print("\(part.rawValue): \(original.count) bytes, \(found) changes found, \(harmless) harmless")
        #expect(try bench.reader.check(deep: true).findings == [])
    }

    /// What a reader left beside the index belongs to the content before the change.
    private func forgetWAL(_ bench: JournalBench) {
        for suffix in ["-wal", "-shm"] { unlink(bench.directory.string + "/index.sqlite" + suffix) }
    }
}
