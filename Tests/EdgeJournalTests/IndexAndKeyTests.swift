import EdgeJournal
import EvidenceLog
import FoundationEssentials
import JournalFixtures
import RecordingModel
import StorageIO
import SystemPackage
import Testing

@Suite("Index, keys and directory")
struct IndexAndKeyTests {
    let bench: JournalBench
    let real = RealStorage()
    init() throws { bench = try JournalBench() }

    private func fill(_ journal: Journal) throws {
        for _ in 0..<3 { try bench.record(journal, JournalBench.gate) }
        try journal.deliver(try bench.gap(JournalBench.yard, milliseconds: 700))
        try bench.record(journal, JournalBench.yard)
        try journal.flush()
    }

    @Test("An index that was deleted is rebuilt row for row, with what the hub holds")
    func rebuilt() throws {
        var journal = try bench.open()
        try fill(journal)
        let gate = try #require(JournalBench.gate)
        try journal.recordStatement([1], held: [gate: SequenceRanges([0, 2])], logSize: journal.logSize)
        let rows = try journal.segments(including: [.gaps], limit: 100)
        #expect(throws: JournalError.self, "a recorder is using it") { try bench.reader.rebuildIndex() }
        journal.close()
        let rebuilt = try bench.reader.rebuildIndex()
        #expect(rebuilt.entries == 8 && rebuilt.changedRows == 0)
        #expect(try bench.reader.segments(including: [.gaps], limit: 100) == rows)
        #expect(try bench.reader.check(deep: false).isClean)
        for name in ["index.sqlite", "index.sqlite-wal", "index.sqlite-shm"] { try real.remove(bench.directory.appending(name)) }
        #expect(try bench.reader.check(deep: false).findings == [.indexMissing])
        #expect(try bench.reader.segments(including: [.gaps], limit: 100) == rows)
        journal = try bench.open()
        defer { journal.close() }
        // The gaps of this start follow the old entries in the log.
        #expect(try journal.segments(including: [.gaps], limit: 100).filter { $0.logIndex < 8 } == rows)
        #expect(try journal.waiting(limit: 10).map(\.record.sequence) == [1, 0])
        #expect(try journal.check(deep: true).isClean)
    }

    @Test("An index that is not a database is made anew")
    func brokenIndex() throws {
        var journal = try bench.open()
        try fill(journal)
        journal.close()
        for name in ["index.sqlite-wal", "index.sqlite-shm"] { try real.remove(bench.directory.appending(name)) }
        try real.replace(bench.directory.appending("index.sqlite"), with: [UInt8](repeating: 7, count: 8_192))
        journal = try bench.open()
        defer { journal.close() }
        #expect(try journal.status().segments == 4 && journal.check(deep: false).isClean)
    }

    @Test("Keys change at each start and each hour, and the log verifies from wherever a hub stands", arguments: [1, 2_000, 1 << 20])
    func rotation(limitBytes: Int) throws {
        var journal = try bench.open()
        let log = journal.logID
        for start in 0..<3 {
            for _ in 0..<2 {
                try fill(journal)
                bench.clocks.advance(milliseconds: 3_600_000)
                journal.tick()
            }
            try fill(journal)
            if start < 2 {
                journal.close()
                bench.clocks.reboot(as: "boot-\(start + 2)", afterMilliseconds: 60_000)
                journal = try bench.open()
            }
        }
        defer { journal.close() }
        #expect(journal.logID == log)
        _ = try journal.checkpointNow()
        let entries = try bench.followed(journal, limitBytes: limitBytes)
        let keys = entries.filter { $0.body.kind == "key" }
        #expect(keys.count == 9)
        #expect(try journal.status().logSize == UInt64(entries.count))
        #expect(try bench.storedLines().count == entries.count)

        // From every size: a verifier that got there on the stored lines goes on with what `batch` gives it.
        let lines = try bench.storedLines()
        var reached = LogVerifier(node: bench.node, log: log)
        for size in 0..<UInt64(lines.count) {
            let batch = try #require(try journal.batch(from: size, limitBytes: limitBytes))
            #expect(batch.start == size && batch.lines == Array(lines[Int(size)..<Int(batch.end)]))
            // Only the last line may change the key.
            let kinds = try batch.lines.map { try LogEntry(line: $0).body.kind }
            #expect(!kinds.dropLast().dropFirst(size == 0 ? 1 : 0).contains("key"))
            if reached.size == size {
                _ = try reached.append(batch.lines, from: size, leadingTo: batch.checkpoint)
            } else {
                // A hub may stand within an epoch; root and signer must still be right.
                #expect(batch.checkpoint.checkpoint.root == MerkleTree.root(ofLeafData: lines[..<Int(batch.end)]))
                var whole = LogVerifier(node: bench.node, log: log)
                while whole.size < size {
                    let next = try #require(try journal.batch(from: whole.size, limitBytes: 1))
                    guard next.end <= size else { break }
                    _ = try whole.append(next.lines, from: next.start, leadingTo: next.checkpoint)
                }
                let rest = Array(lines[Int(whole.size)..<Int(batch.end)])
                #expect(throws: Never.self) { try whole.append(rest, from: whole.size, leadingTo: batch.checkpoint) }
            }
            #expect(try journal.frontier(at: size) == MerkleTree.root(ofLeafData: lines[..<Int(size)]))
        }
        #expect(try journal.batch(from: UInt64(lines.count), limitBytes: limitBytes) == nil)
        #expect(try journal.check(deep: true).isClean)
    }

    @Test("Only one private key is left after a change, and nobody else may read it")
    func privateKeys() throws {
        let journal = try bench.open()
        let path = bench.directory.appending("keys").appending("log-signing.key")
        let first = try real.read(path)
        bench.clocks.advance(milliseconds: 3_600_000)
        journal.tick()
        let second = try real.read(path)
        #expect(first.count == 32 && second.count == 32 && first != second)
        #expect(try real.list(bench.directory.appending("keys")) == ["log-signing.key"])
        journal.close()
    }

    @Test("A log whose private key was lost is left, and another begins")
    func lostKey() throws {
        var journal = try bench.open()
        try fill(journal)
        let old = journal.logID
        journal.close()
        try real.remove(bench.directory.appending("keys").appending("log-signing.key"))
        journal = try bench.open()
        defer { journal.close() }
        #expect(journal.logID != old)
        #expect(try bench.followed(journal).compactMap(\.segment).count == 4)
        #expect(try journal.check(deep: true).isClean)
    }

    @Test("A directory of another node, and one with somebody's files, are refused untouched")
    func foreign() throws {
        let journal = try bench.open()
        journal.close()
        let before = try real.list(bench.directory)
        let stranger = NodeID(keyHash: .sha256([1]))
        #expect(throws: JournalError.otherNode(directory: bench.directory.string, found: bench.node.keyHash.fingerprint)) { try bench.open(node: stranger) }
        #expect(try real.list(bench.directory) == before)

        let other = try JournalBench()
        try real.makeDirectory(other.directory)
        try real.replace(other.directory.appending("holiday.jpg"), with: [1])
        #expect(throws: JournalError.foreignDirectory(directory: other.directory.string, example: "holiday.jpg")) { try other.open() }
        #expect(throws: JournalError.notADataDirectory(directory: other.directory.string)) { try other.reader }
    }

    @Test("A second recorder is refused; a reader is not")
    func lock() throws {
        let journal = try bench.open()
        try fill(journal)
        #expect(throws: JournalError.inUse(directory: bench.directory.string)) { try bench.open() }
        let reader = try bench.reader
        #expect(reader.isRecording)
        #expect(try reader.status().segments == 4 && reader.segments(limit: 10).count == 4)
        #expect(try reader.check(deep: true).isClean)
        journal.close()
        #expect(!reader.isRecording)
    }

    @Test("A check names what is missing, altered and left over")
    func findings() throws {
        let journal = try bench.open()
        try fill(journal)
        journal.close()
        let gate = try #require(JournalBench.gate)
        let ids = (0..<3).map { SegmentID(stream: gate, sequence: $0) }
        try real.remove(bench.path(gate, SegmentFiles.sealedName(0)))
        var bytes = try real.read(bench.path(gate, SegmentFiles.sealedName(1)))
        bytes[bytes.count - 1] ^= 1
        try real.replace(bench.path(gate, SegmentFiles.sealedName(1)), with: bytes)
        try real.remove(bench.path(gate, SegmentFiles.sideName(2)))
        try real.replace(bench.path(gate, "notes.txt"), with: [1])
        _ = try bench.write(gate, 7)
        let shallow = Set(try bench.reader.check(deep: false).findings)
        #expect(shallow == [
            .missingFile(ids[0]), .missingSideFile(ids[2]), .orphan(path: bench.path(gate, "notes.txt").string),
            .openFile(path: bench.path(gate, SegmentFiles.openName(7)).string),
        ])
        let deep = Set(try bench.reader.check(deep: true).findings)
        #expect(deep.subtracting(shallow).count == 2 && deep.contains(.alteredFile(ids[2], firstBadByte: 0)))
        #expect(deep.allSatisfy { !$0.description.isEmpty })
    }
}
