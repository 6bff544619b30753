import EvidenceLog
import RecordingModel
import StorageIO
import SystemPackage

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// One disagreement within a data directory.
package enum JournalFinding: Hashable, Sendable, CustomStringConvertible {
    /// Entries that do not verify; nothing after them was judged.
    case log(LogVerdict.Fault)
    case tornLog(bytes: Int)
    case misplacedEntryFile(String)
    case tornCheckpoint(bytes: Int)
    case malformedCheckpoint(offset: Int)
    case missingFile(SegmentID)
    case wrongSize(SegmentID, expected: Int64, found: Int64)
    case missingSideFile(SegmentID)
    /// A file that no entry speaks of.
    case orphan(path: String)
    /// An open file while no recorder is running; the next start recovers it.
    case openFile(path: String)
    case sequenceHole(StreamID, expected: UInt64, found: UInt64)
    case sequenceUsedTwice(SegmentID)
    case indexMissing
    /// Deep: SQLite finds its parts in disagreement.
    case indexDamaged
    case damagedStatement
    /// The index says something else of this entry than the log, or nothing.
    case indexRow(UInt64)
    case indexAhead(of: UInt64)
    /// Deep: the bytes of the file or of its side file are not those of the entry.
    case alteredFile(SegmentID, firstBadByte: Int64)
    case alteredSideFile(SegmentID)

    package var description: String {
        switch self {
        case .log(let fault): "the log does not verify at entry \(fault.index): \(fault)"
        case .tornLog(let bytes): "the log ends with \(bytes) bytes of a torn line"
        case .misplacedEntryFile(let name): "\(name) does not begin where the file before it ends"
        case .tornCheckpoint(let bytes): "the checkpoints end with \(bytes) bytes of a torn one"
        case .malformedCheckpoint(let offset): "the checkpoint at byte \(offset) cannot be read"
        case .missingFile(let id): "segment \(id) has an entry and no file"
        case .wrongSize(let id, let expected, let found): "segment \(id) has \(found) bytes, its entry says \(expected)"
        case .missingSideFile(let id): "segment \(id) has no side file"
        case .orphan(let path): "no entry speaks of \(path)"
        case .openFile(let path): "\(path) was left open; the next start recovers it"
        case .sequenceHole(let stream, let expected, let found): "\(stream) goes from \(expected) on with \(found)"
        case .sequenceUsedTwice(let id): "two entries name segment \(id)"
        case .damagedStatement: "statement.json cannot be read or was changed; the hub repeats it at the next contact"
        case .indexMissing: "the index is missing or of another log; it can be rebuilt"
        case .indexDamaged: "the index is damaged; it can be rebuilt"
        case .indexRow(let index): "the index disagrees with the log about entry \(index)"
        case .indexAhead(let size): "the index speaks of entries beyond the log's \(size)"
        case .alteredFile(let id, let byte): "segment \(id) differs from its entry from byte \(byte) on"
        case .alteredSideFile(let id): "the side file of segment \(id) does not lead to its entry's fragment root"
        }
    }
}

/// What a check found.
package struct JournalReport: Sendable {
    package var verdict: LogVerdict
    package var segments: Int
    package var bytes: Int64
    package var findings: [JournalFinding]
    package var isClean: Bool { findings.isEmpty }
}

extension JournalReader {
    /// Compares the log with its checkpoints, its files and its index. With `deep`, every segment is read and hashed.
    ///
    /// While a recorder runs, what is being written just now can look wrong; whatever is found then is looked at
    /// again a second later, and only what still stands is reported.
    package func check(deep: Bool) throws -> JournalReport {
        var report = try checkOnce(deep: deep)
        if !report.isClean, isRecording {
            sleep(1)
            let again = try checkOnce(deep: deep)
            let before = Set(report.findings)
            report = again
            report.findings.removeAll { !before.contains($0) }
        }
        return report
    }

    private func checkOnce(deep: Bool) throws -> JournalReport {
        // The files are listed before the log is read: whatever is sealed in between is in neither.
        let listings = try files.listStreams(storage)
        let held = try latestStatement()?.held ?? [:]
        let index = openIndex()
        // A row may be right where a query does not find it: what follows compares the rows.
        let isWhole = !deep || index.map { (try? $0.isWhole(held: held)) ?? false } ?? true
        var pass = JournalCheckPass(reader: self, deep: deep, index: isWhole ? index : nil, held: held)
        if !isWhole { pass.findings = [.indexDamaged] }
        if case .damaged = try StatementFile.load(files, storage) { pass.findings.append(.damagedStatement) }
        var stored = try CheckpointReader(checkpointsPath, storage: storage)
        func nextStored() throws -> SignedCheckpoint? {
            switch try stored?.next() {
            case .checkpoint(let signed, _): return signed
            case .malformed: pass.findings.append(.malformedCheckpoint(offset: Int(stored?.offset ?? 0)))
            case .torn(let bytes): pass.findings.append(.tornCheckpoint(bytes: bytes))
            case .end, nil: break
            }
            stored = nil
            return nil
        }

        var replay = LogReplay(node: node, log: log)
        var pending = try nextStored()
        let end = try entryFiles.forEachLine { _, line in
            replay.add(Array(line))
            while let next = pending, next.checkpoint.size <= replay.entries {
                pending = try nextStored()
                let first = replay.verdict.covered
                try pass.take(replay.close(with: next), from: first)
            }
        }
        while let next = pending {
            pending = try nextStored()
            _ = replay.close(with: next)
        }
        let first = replay.verdict.covered
        try pass.take(replay.finish(tornBytes: end.tornBytes), from: first)
        if let name = end.misplaced { pass.findings.append(.misplacedEntryFile(name)) }
        if end.tornBytes > 0 { pass.findings.append(.tornLog(bytes: end.tornBytes)) }
        if let fault = replay.verdict.fault { pass.findings.append(.log(fault)) }
        try pass.finish(listings, verdict: replay.verdict, isRecording: isRecording)
        return JournalReport(verdict: replay.verdict, segments: pass.segments, bytes: pass.bytes, findings: pass.findings)
    }

    private func openIndex() -> JournalIndex? {
        guard let index = try? JournalIndex.openForReading(files.index), (try? index.extent())??.log == log else { return nil }
        return index
    }
}
