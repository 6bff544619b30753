import EdgeJournal
import EvidenceLog
import FoundationEssentials
import JournalFixtures
import RecordingModel
import StorageIO
import SystemPackage
import Testing

@Suite("A start after a cut")
struct RecoveryTests {
    let bench: JournalBench
    let real = RealStorage()
    init() throws { bench = try JournalBench() }

    private func append(_ text: String, to path: FilePath) throws {
        let file = try real.openForAppending(path)
        try file.append(Array(text.utf8))
        try file.close()
    }
    private func truncate(_ path: FilePath, by count: Int64) throws {
        let file = try real.openForAppending(path)
        try file.truncate(to: max(0, file.length - count))
        try file.close()
    }
    private func leave() throws -> [SegmentRecord] {
        let journal = try bench.open()
        let records = try (0..<2).map { _ in try bench.record(journal, JournalBench.gate) }
        journal.close()
        return records
    }

    @Test("cuts off a torn last line, and nothing else")
    func tornLine() throws {
        _ = try leave()
        let before = try bench.storedLines()
        try append(#"{"bootID":"boot-1","bootMilli"#, to: try bench.logFolder().appending("entries-000000000000.jsonl"))
        #expect(try bench.reader.check(deep: false).findings == [.tornLog(bytes: 29)])
        let journal = try bench.open()
        defer { journal.close() }
        #expect(try Array(bench.storedLines().prefix(before.count)) == before)
        #expect(try journal.check(deep: true).isClean)
        #expect(try bench.followed(journal).compactMap(\.segment).count == 2)
    }

    @Test("keeps a whole entry that no checkpoint covers, and covers it")
    func uncovered() throws {
        _ = try leave()
        let line = try LogEntry(bootID: "boot-1", at: bench.clocks.now(), body: .gap(try bench.gap(JournalBench.gate, milliseconds: 5, .overload))).encoded()
        try append(String(decoding: line, as: UTF8.self) + "\n", to: try bench.logFolder().appending("entries-000000000000.jsonl"))
        #expect(try bench.reader.check(deep: false).verdict.uncovered == 1)
        let journal = try bench.open()
        defer { journal.close() }
        #expect(try bench.followed(journal).compactMap(\.gap).contains { $0.cause == .overload })
    }

    @Test("keeps the longest prefix of whole fragments whose hashes match", arguments: [0, 1, 60, 130, 200, 400, 10_000])
    func openFile(cut: Int) throws {
        _ = try leave()
        let gate = try #require(JournalBench.gate)
        let closed = try bench.write(gate, 2, run: 4, fragments: 4)
        try truncate(FilePath(closed.openPath), by: Int64(cut))
        let journal = try bench.open()
        defer { journal.close() }
        let entries = try bench.followed(journal)
        let recovered = try #require(entries.compactMap(\.recovered).last)
        let segment = entries.compactMap(\.segment).first { $0.sequence == 2 }
        #expect(recovered.segment == closed.record.id && recovered.sealed == (segment != nil))
        let fragmentBytes = (closed.record.bytes - closed.record.initBytes) / 4
        let whole = max(0, (closed.record.bytes - closed.record.initBytes - Int64(cut)) / fragmentBytes)
        #expect((segment?.fragmentCount ?? 0) == Int(whole))
        if let segment {
            #expect(segment.end == .powerCut && segment.run == 4 && segment.bytes == segment.initBytes + whole * fragmentBytes)
            #expect(segment.mediaDurationTicks90k == whole * 180_000 && segment.frames == Int(whole) * 30)
            #expect(journal.nextSequence(for: gate) == 3 && journal.nextRun(for: gate) == 5)
        } else {
            #expect(try journal.nextSequence(for: gate) == 2 && real.size(FilePath(closed.openPath)) == nil && real.size(FilePath(closed.sidePath)) == nil)
        }
        #expect(try journal.check(deep: true).isClean)
    }

    @Test("keeps nothing of a fragment whose bytes were altered, nor of what follows it")
    func alteredFragment() throws {
        try bench.open().close()
        let closed = try bench.write(try #require(JournalBench.gate), 0, fragments: 3)
        var bytes = try real.read(FilePath(closed.openPath))
        bytes[Int(closed.record.initBytes) + (bytes.count - Int(closed.record.initBytes)) / 3 + 5] ^= 1
        try real.replace(FilePath(closed.openPath), with: bytes)
        let journal = try bench.open()
        defer { journal.close() }
        #expect(try bench.followed(journal).compactMap(\.segment).map(\.fragmentCount) == [1])
        #expect(try journal.check(deep: true).isClean)
    }

    @Test("gives the number of a file that came to nothing to the next one")
    func renumbering() throws {
        _ = try leave()
        let gate = try #require(JournalBench.gate)
        let empty = try bench.write(gate, 2, fragments: 1)
        try truncate(FilePath(empty.openPath), by: 20)
        let whole = try bench.write(gate, 3)
        let journal = try bench.open()
        defer { journal.close() }
        let segments = try bench.followed(journal).compactMap(\.segment)
        #expect(segments.map(\.sequence) == [0, 1, 2] && segments[2].sha256 == whole.record.sha256)
        #expect(try journal.check(deep: true).isClean)
    }

    @Test("appends the entry of a sealed file that has none")
    func sealedWithoutEntry() throws {
        _ = try leave()
        let gate = try #require(JournalBench.gate)
        let closed = try bench.write(gate, 2)
        try real.rename(FilePath(closed.openPath), to: bench.path(gate, SegmentFiles.sealedName(2)))
        #expect(try bench.reader.check(deep: false).findings == [.orphan(path: bench.path(gate, SegmentFiles.sealedName(2)).string)])
        let journal = try bench.open()
        defer { journal.close() }
        let entries = try bench.followed(journal)
        #expect(entries.compactMap(\.segment).map(\.sha256).last == closed.record.sha256)
        #expect(entries.compactMap(\.recovered).isEmpty)
        #expect(try journal.check(deep: true).isClean)
    }

    @Test("says how long it was not recording, and whether it had been asked to stop")
    func gaps() throws {
        let records = try leave()
        bench.clocks.advance(milliseconds: 5_000)
        var journal = try bench.open()
        var gap = try #require(try bench.followed(journal).compactMap(\.gap).last)
        #expect(gap.cause == .stopped && gap.durationMilliseconds == 5_000 && gap.startBootMilliseconds == records[1].endBootMilliseconds)
        #expect(gap.startWall.unixMilliseconds == records[1].endUnixMilliseconds)
        // Stopped while the disk refused the mark of a clean stop.
        journal.close()
        try real.remove(bench.directory.appending("stopped.json"))
        bench.clocks.advance(milliseconds: 100)
        journal = try bench.open()
        #expect(try bench.followed(journal).compactMap(\.gap).last?.cause == .powerCut)
        journal.close()
        bench.clocks.reboot(as: "boot-2", afterMilliseconds: 7_000)
        journal = try bench.open()
        defer { journal.close() }
        let entries = try bench.followed(journal)
        gap = try #require(entries.compactMap(\.gap).last)
        #expect(gap.cause == .stopped && gap.durationMilliseconds == 7_000 && gap.bootID == "boot-1")
        let stops = entries.compactMap { entry -> Bool? in if case .boot(let boot) = entry.body { boot.previousStopWasClean } else { nil } }
        #expect(stops == [true, true, false, true])
    }

    @Test("begins another log when the old one was altered, and takes every file into it")
    func damagedLog() throws {
        let records = try leave()
        let old = try bench.reader.log
        let path = try bench.logFolder().appending("entries-000000000000.jsonl")
        var bytes = try real.read(path)
        bytes[bytes.count / 2] ^= 1
        try real.replace(path, with: bytes)
        #expect(try bench.reader.check(deep: false).verdict.fault != nil)
        let journal = try bench.open()
        defer { journal.close() }
        #expect(journal.logID != old)
        #expect(try bench.followed(journal).compactMap(\.segment).map(\.sha256) == records.map(\.sha256))
        #expect(journal.nextSequence(for: records[0].stream) == 2)
        #expect(try journal.check(deep: true).isClean)
        #expect(try real.read(path) == bytes)
    }
}
