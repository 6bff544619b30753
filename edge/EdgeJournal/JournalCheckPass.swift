import EvidenceLog
import RecordingModel
import StorageIO
import SystemPackage

/// One walk along the log, entry by entry in order, beside the files and the index.
struct JournalCheckPass {
    let reader: JournalReader
    let deep: Bool
    let index: JournalIndex?
    let held: [StreamID: SequenceRanges]
    var findings: [JournalFinding] = []
    var segments = 0
    var bytes: Int64 = 0
    private var named: [StreamID: SequenceRanges] = [:]
    private var removed: [StreamID: [IndexRow.Removal: SequenceRanges]] = [:]
    private var corrections: [String: ClockCorrections] = [:]

    init(reader: JournalReader, deep: Bool, index: JournalIndex?, held: [StreamID: SequenceRanges]) {
        self.reader = reader
        self.deep = deep
        self.index = index
        self.held = held
        if index == nil { findings.append(.indexMissing) }
    }

    mutating func take(_ entries: [LogEntry], from first: UInt64) throws {
        guard !entries.isEmpty else { return }
        for entry in entries {
            if case .segment(let record) = entry.body { try compareFiles(record) }
            switch IndexEffect(entry.body) {
            case .removes(let stream, let sequences, let removal):
                for range in sequences.ranges { removed[stream, default: [:]][removal, default: SequenceRanges()].insert(range) }
            case .redates, nil: break
            }
            if case .clock(let fix) = entry.body { corrections[fix.bootID, default: ClockCorrections()].add(fix) }
        }
        guard let index else { return }
        let rows = try index.rows(first..<(first + UInt64(entries.count))).reduce(into: [UInt64: IndexRow]()) { $0[$1.index] = $1 }
        for (offset, entry) in entries.enumerated() {
            let position = first + UInt64(offset)
            let expected = IndexRow(index: position, entry: entry, held: held)
            // Its time and its file depend on other entries too: `compareDerived` looks at them.
            if rows[position]?.redated(by: ClockCorrections()).withRemoval(nil) != expected { findings.append(.indexRow(position)) }
        }
    }

    private func removal(of stream: String?, _ sequence: UInt64?) -> IndexRow.Removal? {
        guard let stream = stream.flatMap({ StreamID($0) }), let sequence, let removed = removed[stream] else { return nil }
        return removed.first { $0.value.contains(sequence) }?.key
    }

    /// What rows say of the whole log: times put right by clock entries, and files that were given up.
    private mutating func compareDerived(_ index: JournalIndex, entries: UInt64) throws {
        var first: UInt64 = 0
        while first < entries {
            let end = min(entries, first + 1_000)
            for row in try index.rows(first..<end) {
                let expected = row.redated(by: corrections[row.bootID] ?? ClockCorrections())
                    .withRemoval(row.kind == "segment" ? removal(of: row.stream, row.sequence) : nil)
                if row != expected, !findings.contains(.indexRow(row.index)) { findings.append(.indexRow(row.index)) }
            }
            first = end
        }
    }

    /// Of a file that was given up nothing is expected any more; one that is still there goes at the next start.
    private mutating func forgiveRemoved() {
        findings = findings.filter { finding in
            switch finding {
            case .missingFile(let id), .wrongSize(let id, _, _), .missingSideFile(let id), .alteredFile(let id, _), .alteredSideFile(let id):
                removal(of: id.stream.description, id.sequence) == nil
            default: true
            }
        }
    }

    private mutating func compareFiles(_ record: SegmentRecord) throws {
        let id = record.id
        segments += 1
        bytes += record.bytes
        var known = named[id.stream] ?? SequenceRanges()
        let expected = known.last.map { $0 + 1 }
        if known.contains(id.sequence) {
            findings.append(.sequenceUsedTwice(id))
        } else if let expected, expected != id.sequence {
            findings.append(.sequenceHole(id.stream, expected: expected, found: id.sequence))
        }
        known.insert(id.sequence)
        named[id.stream] = known

        guard let size = try reader.storage.size(reader.files.sealed(id)) else {
            findings.append(.missingFile(id))
            return
        }
        if size != record.bytes { findings.append(.wrongSize(id, expected: record.bytes, found: size)) }
        if try reader.storage.size(reader.files.side(id)) == nil { findings.append(.missingSideFile(id)) }
        if deep { try compareContent(record) }
    }

    private mutating func compareContent(_ record: SegmentRecord) throws {
        let id = record.id
        guard let found = try SegmentExamination(data: reader.files.sealed(id), side: reader.files.side(id), storage: reader.storage) else {
            findings.append(.alteredFile(id, firstBadByte: 0))
            return
        }
        if found.keptBytes != record.bytes || found.lostBytes != 0 || found.sha256 != record.sha256 {
            findings.append(.alteredFile(id, firstBadByte: found.keptBytes))
        } else if found.fragmentRoot != record.fragmentRoot || found.keptSideBytes != found.sideBytes {
            findings.append(.alteredSideFile(id))
        }
    }

    /// - Parameter listings: the files as they were before the log was read.
    mutating func finish(_ listings: [StreamListing], verdict: LogVerdict, isRecording: Bool) throws {
        forgiveRemoved()
        if let index, verdict.fault == nil { try compareDerived(index, entries: verdict.entries) }
        // After a fault the entries behind it were not read: nothing can be said of their files.
        for listing in listings where verdict.fault == nil {
            let known = named[listing.stream] ?? SequenceRanges()
            let directory = reader.files.directory(of: listing.stream)
            for sequence in listing.sealed where !known.contains(sequence) {
                findings.append(.orphan(path: reader.files.sealed(SegmentID(stream: listing.stream, sequence: sequence)).string))
            }
            if !isRecording {
                for sequence in listing.open {
                    findings.append(.openFile(path: reader.files.open(SegmentID(stream: listing.stream, sequence: sequence)).string))
                }
            }
            if !isRecording {
                for aside in listing.aside { findings.append(.openFile(path: directory.appending(aside.name).string)) }
                for side in listing.asideSides where !listing.aside.contains(where: { $0.sequence == side.sequence }) {
                    findings.append(.orphan(path: directory.appending(side.name).string))
                }
            }
            for sequence in listing.side where !known.contains(sequence) && !listing.open.contains(sequence) && !listing.sealed.contains(sequence) {
                findings.append(.orphan(path: reader.files.side(SegmentID(stream: listing.stream, sequence: sequence)).string))
            }
            for name in listing.foreign { findings.append(.orphan(path: directory.appending(name).string)) }
        }
        if let index, try !index.rows(verdict.entries..<UInt64.max).isEmpty { findings.append(.indexAhead(of: verdict.entries)) }
    }
}
