import Crypto
import EvidenceLog
import FoundationEssentials
import Glibc
import RecordingModel
import SystemPackage

/// Checks a folder: every `.mp4` with its proof, or a node's data directory with its log.
struct FolderCheck {
    let known: KnownKeys

    func check(_ path: String) throws -> [Report] {
        let folder = FilePath(path)
        let names = try Self.list(folder)
        if names.contains("log") {
            return try Self.list(folder.appending("log")).filter { LogID($0) != nil }.flatMap { try checkLog(folder, $0) }
        }
        let files = names.filter { $0.hasSuffix(".mp4") }
        guard !files.isEmpty else { throw Failure("There is no .mp4 file and no log in \(path).") }
        return files.map { FootageCheck(known: known).check(folder.appending($0).string) }
    }

    private static func list(_ folder: FilePath) throws -> [String] {
        do {
            return try FileManager.default.contentsOfDirectory(atPath: folder.string).sorted()
        } catch {
            throw Failure("The folder \(folder) cannot be read.")
        }
    }

    private static func read(_ path: FilePath, limitBytes: Int) throws -> [UInt8] {
        let file = try MediaFile.open(path.string)
        defer { file.close() }
        let length = try file.length()
        guard length <= limitBytes else { throw Failure("The file \(path) is larger than such a file can be.") }
        return try file.read(at: 0, count: Int(length))
    }

    /// Replays a log from its first entry and then hashes every segment that it names and that is still there.
    private func checkLog(_ folder: FilePath, _ name: String) throws -> [Report] {
        let logFolder = folder.appending("log").appending(name)
        func bad(_ verdict: Verdict, _ reason: String, _ node: NodeID? = nil) -> [Report] {
            [Report(file: logFolder.string, verdict: verdict, reason: reason, node: node)]
        }
        guard let log = LogID(name) else { return [] }
        var lines: [[UInt8]] = []
        var torn = 0
        let files = try Self.list(logFolder).compactMap { name in LogFolder.firstIndex(ofEntryFile: name).map { ($0, name) } }.sorted { $0.0 < $1.0 }
        for (first, file) in files {
            guard first == UInt64(lines.count), torn == 0 else { return bad(.altered, "Entries are missing before entry \(first).") }
            let read = LogFolder.lines(in: try Self.read(logFolder.appending(file), limitBytes: 64 << 20))
            lines += read.lines
            torn = read.tornBytes
        }
        let stored = LogFolder.checkpoints(in: try Self.read(logFolder.appending(LogFolder.checkpointsName), limitBytes: 256 << 20))
        guard let firstLine = lines.first, let entry = try? LogEntry(line: firstLine), case .key(let record) = entry.body, let attestation = record.attestation else {
            return bad(.unsigned, "The log does not begin with a key that a node's identity attests.")
        }
        let node = NodeID(keyHash: .sha256(attestation.identityKey))
        if let expected = known.node, expected != node { return bad(.unknownKey, "The log is of another node.", node) }
        // Faults of the log itself weigh more than a key that is not known, and are said first.
        let verdict = LogFolder.verify(node: node, log: log, entryLines: lines, checkpoints: stored.checkpoints, tornBytes: torn)
        if let fault = verdict.fault { return bad(.altered, "The log does not hold together: \(fault).", node) }
        if let at = stored.malformedAt { return bad(.altered, "\(LogFolder.checkpointsName) is damaged at byte \(at).", node) }
        let report = try checkSegments(folder, logFolder.string, node, lines, verdict)
        return [judged(report, node: node, covered: verdict.covered, stored.checkpoints)]
    }

    private func checkSegments(_ folder: FilePath, _ name: String, _ node: NodeID, _ lines: [[UInt8]], _ verdict: LogVerdict) throws -> Report {
        var gone: [String] = []
        var count = 0
        for line in lines.prefix(Int(verdict.covered)) {
            guard let entry = try? LogEntry(line: line), case .segment(let record) = entry.body else { continue }
            let path = folder.appending("segments").appending(record.stream.camera.description).appending(record.stream.kind.rawValue)
                .appending(SegmentFiles.sealedName(record.sequence))
            guard access(path.string, F_OK) == 0 else {
                gone.append("\(record.id) is not here any more")
                continue
            }
            let file = try MediaFile.open(path.string)
            defer { file.close() }
            let length = try file.length()
            guard try FootageCheck.hash(file, 0..<length, into: SHA256()) == record.sha256 else {
                return Report(
                    file: path.string, verdict: .altered, reason: "Segment \(record.id) is not as the node recorded it.",
                    damage: .init(firstByte: 0, endByte: length, what: "the file"), node: node)
            }
            count += 1
        }
        let uncovered = verdict.uncovered == 0 ? "" : " \(verdict.uncovered) entries at the end await their checkpoint."
        return Report(
            file: name, verdict: gone.isEmpty ? .intact : .intactWithGaps,
            reason: "The log of \(verdict.entries) entries holds together and \(count) segments are as it says.\(uncovered)", segments: count, gaps: gone,
            node: node, isNodeExpected: known.isKnown(node, with: nil))
    }

    /// What holds together is worth as much as the keys behind it: the node's, and that of a hub that saw all of it.
    private func judged(_ report: Report, node: NodeID, covered: UInt64, _ checkpoints: [SignedCheckpoint]) -> Report {
        var report = report
        guard report.verdict.isGood else { return report }
        guard report.isNodeExpected else {
            report.verdict = .unknownKey
            report.reason += " But nothing here vouches for the key of node \(node.keyHash.fingerprint). \(KnownKeys.advice)"
            return report
        }
        let seen = checkpoints.filter { $0.checkpoint.size >= covered }.flatMap { signed in
            known.hubKeys.compactMap { signed.note.cosignatureUnixSeconds(by: $0) }
        }
        guard let first = seen.min() else {
            report.verdict = .unwitnessed
            report.reason += " But no hub that is known here has cosigned all of it, so nothing outside bounds its time."
            return report
        }
        report.witnessedUnixSeconds = first
        return report
    }
}
