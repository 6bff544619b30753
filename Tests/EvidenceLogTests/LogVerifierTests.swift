import EvidenceLog
import FoundationEssentials
import LogFixtures
import RecordingModel
import Testing

@Suite("A verifier follows a log")
struct LogVerifierTests {
    private func verifier(at batch: Int, of sample: SampleLog) throws -> LogVerifier {
        var verifier = LogVerifier(node: sample.node, log: sample.log)
        for index in 0..<batch { try take(index, of: sample, &verifier) }
        return verifier
    }

    @discardableResult
    private func take(_ index: Int, of sample: SampleLog, _ verifier: inout LogVerifier) throws -> [LogEntry] {
        let batch = sample.batch(index)
        return try verifier.append(batch.lines, from: batch.start, leadingTo: batch.checkpoint)
    }

    private func fault(_ body: () throws -> Void) -> LogFault? {
        do {
            try body()
            return nil
        } catch { return error as? LogFault }
    }

    @Test("through three epochs, entry by entry, also when it is stored in between")
    func follows() throws {
        let sample = try SampleLog.threeEpochs()
        var verifier = LogVerifier(node: sample.node, log: sample.log)
        var kinds: [String] = []
        for index in sample.batches.indices {
            kinds += try take(index, of: sample, &verifier).map(\.body.kind)
            verifier = try JSONDecoder().decode(LogVerifier.self, from: JSONEncoder().encode(verifier))
        }
        #expect(kinds == ["key", "boot", "segment", "segment", "key", "segment", "segment", "key", "segment"])
        #expect(verifier.size == sample.frontier.size && verifier.root == sample.frontier.root)
        #expect(verifier.epoch == 2 && verifier.key == sample.signer.verifier)
    }

    @Test("and refuses a batch that does not begin where the log ends")
    func wrongStart() throws {
        let sample = try SampleLog.threeEpochs()
        var verifier = try verifier(at: 1, of: sample)
        let before = verifier
        #expect(fault { try take(0, of: sample, &verifier) } == .wrongStart(expected: 3))
        #expect(fault { try take(2, of: sample, &verifier) } == .wrongStart(expected: 3))
        #expect(verifier == before)
    }

    @Test("and refuses an altered, a missing, an added and a swapped line")
    func wrongRoot() throws {
        let sample = try SampleLog.threeEpochs()
        let batch = sample.batch(2)
        var verifier = try verifier(at: 2, of: sample)
        let before = verifier
        var variants = [Array(batch.lines.dropFirst()), batch.lines.reversed()]
        variants.append([batch.lines[1], batch.lines[0], batch.lines[2]])
        variants.append([batch.lines[0], batch.lines[0]] + batch.lines.dropFirst())
        var altered = batch.lines
        altered[0] = Array(String(decoding: altered[0], as: UTF8.self).replacing("\"drops\":0", with: "\"drops\":1").utf8)
        variants.append(altered)
        for lines in variants {
            #expect(throws: LogFault.self) { try verifier.append(lines, from: batch.start, leadingTo: batch.checkpoint) }
            #expect(verifier == before)
        }
        #expect(throws: Never.self) { try take(2, of: sample, &verifier) }
    }

    @Test("and refuses a line that is no entry")
    func malformed() throws {
        var sample = try SampleLog()
        sample.append(line: Array("{}".utf8))
        let signed = try sample.seal()
        var verifier = LogVerifier(node: sample.node, log: sample.log)
        #expect(fault { _ = try verifier.append(sample.lines, from: 0, leadingTo: signed) } == .malformedEntry(index: 1))
        #expect(verifier.size == 0 && verifier.key == nil)
    }

    @Test("and refuses a checkpoint of another log")
    func otherLog() throws {
        let sample = try SampleLog.threeEpochs()
        var verifier = LogVerifier(node: sample.node, log: try #require(LogID(String(repeating: "ab", count: 16))))
        #expect(fault { try take(0, of: sample, &verifier) } == .otherLog)
    }

    @Test("and refuses a first key without the node's attestation, and a log that begins with anything else")
    func unattested() throws {
        var bare = try SampleLog(isAttested: false)
        try bare.seal()
        var verifier = LogVerifier(node: bare.node, log: bare.log)
        #expect(fault { try take(0, of: bare, &verifier) } == .unattested)

        var sample = try SampleLog()
        try sample.seal()
        var other = LogVerifier(node: NodeID(keyHash: .sha256([1])), log: sample.log)
        #expect(fault { try take(0, of: sample, &other) } == .unattested)

        let line = try LogEntry(bootID: "b", at: .sample(milliseconds: 0), body: .boot(BootRecord(software: "x", previousStopWasClean: true))).encoded()
        let root = MerkleTree.root(ofLeafData: [line])
        let signed = try SignedCheckpoint(Checkpoint(log: sample.log, size: 1, root: root), signer: sample.signer)
        var third = LogVerifier(node: sample.node, log: sample.log)
        #expect(fault { _ = try third.append([line], from: 0, leadingTo: signed) } == .unattested)
    }

    @Test("and refuses an old entry that was changed and sealed again with today's key")
    func oldEntryNewKey() throws {
        let sample = try SampleLog.threeEpochs()
        // Whoever takes the node today has its present key only, and rewrites an entry of epoch 0.
        var lines = sample.batch(0).lines
        lines[2] = try LogEntry(bootID: "boot", at: .sample(milliseconds: 2), body: .segment(.sample(sequence: 9))).encoded()
        let forged = try SignedCheckpoint(Checkpoint(log: sample.log, size: 3, root: MerkleTree.root(ofLeafData: lines)), signer: sample.signer)
        var verifier = LogVerifier(node: sample.node, log: sample.log)
        #expect(fault { _ = try verifier.append(lines, from: 0, leadingTo: forged) } == .wrongSigner)
        // Not even unchanged: that key did not exist yet.
        let resealed = try SignedCheckpoint(sample.checkpoints[0].checkpoint, signer: sample.signer)
        #expect(fault { _ = try verifier.append(sample.batch(0).lines, from: 0, leadingTo: resealed) } == .wrongSigner)
        #expect(throws: Never.self) { try take(0, of: sample, &verifier) }
    }

    @Test("and refuses the old key after it was handed over")
    func retiredKey() throws {
        var sample = try SampleLog.threeEpochs()
        let old = try SampleLog.signer(sample.log, 1)
        try sample.append(.segment(.sample(sequence: 5)))
        try sample.seal(with: old)
        var verifier = try verifier(at: sample.batches.count - 1, of: sample)
        #expect(fault { try take(sample.batches.count - 1, of: sample, &verifier) } == .wrongSigner)
    }

    @Test("and refuses a key entry within a batch, one out of order, and one sealed by itself")
    func misplacedKeys() throws {
        var within = try SampleLog()
        let next = try SampleLog.signer(within.log, 1)
        try within.append(.key(KeyRecord(epoch: 1, key: next.verifier.text)))
        try within.append(.segment(.sample(sequence: 0)))
        try within.seal()
        var verifier = LogVerifier(node: within.node, log: within.log)
        #expect(fault { try take(0, of: within, &verifier) } == .misplacedKey(index: 1))

        var skipping = try SampleLog()
        try skipping.append(.key(KeyRecord(epoch: 2, key: next.verifier.text)))
        try skipping.seal()
        verifier = LogVerifier(node: skipping.node, log: skipping.log)
        #expect(fault { try take(0, of: skipping, &verifier) } == .misplacedKey(index: 1))

        var early = try SampleLog()
        try early.append(.key(KeyRecord(epoch: 1, key: next.verifier.text)))
        try early.seal(with: next)
        verifier = LogVerifier(node: early.node, log: early.log)
        #expect(fault { try take(0, of: early, &verifier) } == .wrongSigner)
    }

    @Test("and takes an empty batch at its own size only under the key in force")
    func emptyBatch() throws {
        let sample = try SampleLog.threeEpochs()
        var verifier = try verifier(at: 2, of: sample)
        let present = Checkpoint(log: sample.log, size: verifier.size, root: verifier.root)
        let current = try SignedCheckpoint(present, signer: SampleLog.signer(sample.log, 1))
        #expect(throws: Never.self) { try verifier.append([], from: verifier.size, leadingTo: current) }
        #expect(fault { _ = try verifier.append([], from: verifier.size, leadingTo: sample.checkpoints[1]) } == .wrongSigner)
    }

    @Test("An entry of a later version's kind is kept, and one that is too long is not")
    func entries() throws {
        let line = Array(#"{"bootID":"b","bootMilliseconds":5,"kind":"weather","wall":{"source":"ntp","uncertaintyMilliseconds":1,"unixMilliseconds":2},"weather":{}}"#.utf8)
        #expect(try LogEntry(line: line).body == .other(kind: "weather"))
        #expect(throws: LogFault.entryTooLong) { try LogEntry(line: [UInt8](repeating: 32, count: LogEntry.byteLimit + 1)) }
        #expect(throws: LogFault.entryTooLong) { try LogEntry(line: line + [10]) }
        let entry = LogEntry(bootID: "b", at: .sample(milliseconds: 3), body: .segment(try .sample(sequence: 7)))
        #expect(try LogEntry(line: try entry.encoded()) == entry)
        #expect(try entry.encoded() == entry.encoded())
    }

    @Test("An entry that says a known thing in a later version's word is taken, and the word reads as unrecognised")
    func laterWords() throws {
        func later(_ body: EntryBody, _ word: String, _ replacement: String) throws -> EntryBody {
            let text = String(decoding: try LogEntry(bootID: "b", at: .sample(milliseconds: 3), body: body).encoded(), as: UTF8.self)
            #expect(text.contains("\"\(word)\""))
            return try LogEntry(line: Array(text.replacing("\"\(word)\"", with: "\"\(replacement)\"").utf8)).body
        }
        let segment = try SegmentRecord.sample(sequence: 7)
        guard case .segment(let read) = try later(.segment(segment), segment.end.rawValue, "eclipse") else { Issue.record("no segment"); return }
        #expect(read.end == .unrecognised && read.sha256 == segment.sha256)
        let stream = segment.stream
        let removal = RemovalRecord(stream: stream, sequences: SequenceRanges([3]), bytes: 1, durationMilliseconds: 1, reason: .reduced)
        guard case .evicted(let gone) = try later(.evicted(removal), "reduced", "melted") else { Issue.record("no removal"); return }
        #expect(gone.reason == .unrecognised && gone.sequences == removal.sequences)
        let event = EventRecord(
            camera: stream.camera, source: .onvif, bootID: "b", startBootMilliseconds: 1, startWall: segment.startWall, durationMilliseconds: 5, score: 9, label: "door")
        guard case .event(let heard) = try later(.event(event), "onvif", "drum") else { Issue.record("no event"); return }
        #expect(heard.source == .unrecognised && heard.label == "door")
    }
}
