import EvidenceLog
import LogFixtures
import RecordingModel
import Testing

@Suite("A log on disk")
struct LogFolderTests {
    @Test("names its files by their first entry")
    func names() {
        #expect(LogFolder.entryFileName(first: 42) == "entries-000000000042.jsonl")
        #expect(LogFolder.firstIndex(ofEntryFile: "entries-000000000042.jsonl") == 42)
        for name in ["entries-42.jsonl", "entries-00000000004x.jsonl", "entries-000000000042.jsonl.new", "checkpoints.txt", "entries--00000000042.jsonl"] {
            #expect(LogFolder.firstIndex(ofEntryFile: name) == nil)
        }
    }

    @Test("tells whole lines from a torn one")
    func lines() {
        let read = LogFolder.lines(in: Array("one\ntwo\nthr".utf8))
        #expect(read.lines == [Array("one".utf8), Array("two".utf8)] && read.tornBytes == 3)
        #expect(LogFolder.lines(in: []).tornBytes == 0)
    }

    @Test("keeps checkpoints one after the other; one that is torn at any byte is told from a whole one")
    func checkpoints() throws {
        let sample = try SampleLog.threeEpochs()
        let bytes = sample.checkpoints.flatMap { LogFolder.encode($0) }
        #expect(LogFolder.checkpoints(in: bytes).checkpoints == sample.checkpoints)
        let last = LogFolder.encode(sample.checkpoints[3]).count
        for cut in 1...last {
            let read = LogFolder.checkpoints(in: Array(bytes.dropLast(cut)))
            #expect(read.checkpoints == Array(sample.checkpoints.dropLast()) && read.tornBytes == last - cut && read.malformedAt == nil)
        }
        let broken = LogFolder.checkpoints(in: LogFolder.encode(sample.checkpoints[0]) + Array("nonsense\n%%\n".utf8))
        #expect(broken.checkpoints.count == 1 && broken.malformedAt == LogFolder.encode(sample.checkpoints[0]).count)
    }

    @Test("replays from its lines and checkpoints, and tells what no checkpoint covers yet")
    func replay() throws {
        var sample = try SampleLog.threeEpochs()
        func verdict() -> LogVerdict {
            LogFolder.verify(node: sample.node, log: sample.log, entryLines: sample.lines, checkpoints: sample.checkpoints, tornBytes: 7)
        }
        #expect(verdict() == LogVerdict(entries: 9, covered: 9, tornBytes: 7))
        try sample.append(.segment(.sample(sequence: 5)))
        #expect(verdict() == LogVerdict(entries: 10, covered: 9, tornBytes: 7))
        #expect(verdict().uncovered == 1)
        sample.append(line: Array("nonsense".utf8))
        #expect(verdict().fault?.index == 10)
    }

    @Test("names the batch in which it was altered")
    func altered() throws {
        let sample = try SampleLog.threeEpochs()
        var lines = sample.lines
        lines[5][lines[5].count - 3] ^= 1
        let verdict = LogFolder.verify(node: sample.node, log: sample.log, entryLines: lines, checkpoints: sample.checkpoints)
        #expect(verdict.fault?.from == 5 && verdict.fault?.to == 8 && verdict.covered == 5)
    }

    @Test("that lost lines which a checkpoint covers does not verify")
    func truncated() throws {
        let sample = try SampleLog.threeEpochs()
        let verdict = LogFolder.verify(node: sample.node, log: sample.log, entryLines: sample.lines.dropLast(), checkpoints: sample.checkpoints)
        #expect(verdict.fault == LogVerdict.Fault(from: 8, to: 9, reason: .wrongRoot))
    }

    @Test("whose checkpoints skip a change of keys does not verify")
    func missingHandover() throws {
        let sample = try SampleLog.threeEpochs()
        let checkpoints = [sample.checkpoints[0], sample.checkpoints[2], sample.checkpoints[3]]
        let verdict = LogFolder.verify(node: sample.node, log: sample.log, entryLines: sample.lines, checkpoints: checkpoints)
        #expect(verdict.fault?.reason == .misplacedKey(index: 4) && verdict.covered == 3)
    }
}
