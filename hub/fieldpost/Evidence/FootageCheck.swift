import Crypto
import EvidenceLog
import FoundationEssentials
import Glibc
import RecordingModel

/// Checks a file of footage against the proof beside it.
struct FootageCheck {
    private static let proofBytesMax: Int64 = 512 << 20
    private static let chunkBytesMax = 256 << 20
    let known: KnownKeys

    func check(_ path: String) -> Report {
        do {
            let file = try MediaFile.open(path)
            defer { file.close() }
            let proofPath = FootageProof.path(for: path)
            guard access(proofPath, F_OK) == 0 else {
                return Report(file: path, verdict: .unsigned, reason: "There is no proof beside it (\(proofPath)).")
            }
            guard let bytes = try? Data(contentsOf: URL(filePath: proofPath)), Int64(bytes.count) <= Self.proofBytesMax else {
                return Report(file: path, verdict: .unreadable, reason: "The proof \(proofPath) cannot be read.")
            }
            if let proof = try? JSONDecoder().decode(FootageProof.self, from: bytes) { return try checkJoined(file, path, proof) }
            if let bundle = try? JSONDecoder().decode(ProofBundle.self, from: bytes) { return try checkSegment(file, path, bundle) }
            return Report(file: path, verdict: .unreadable, reason: "The proof \(proofPath) is damaged or of a later version.")
        } catch let refusal as ProofJudge.Refusal {
            return Report(file: path, verdict: refusal.verdict, reason: refusal.reason)
        } catch {
            return Report(file: path, verdict: .unreadable, reason: "\(error)")
        }
    }

    /// A segment as the node wrote it, with a bundle that proves it among others.
    private func checkSegment(_ file: MediaFile, _ path: String, _ bundle: ProofBundle) throws -> Report {
        let judge = try ProofJudge(bundle, known)
        let length = try file.length()
        let hash = try Self.hash(file, 0..<length, into: SHA256())
        guard let proven = judge.records.values.first(where: { $0.record.sha256 == hash }) else {
            let damage = Report.Damage(firstByte: 0, endByte: length, what: "the file")
            return Report(file: path, verdict: .altered, reason: "Its content is not what any proven entry says.", damage: damage, node: bundle.node)
        }
        return report(path, bundle, judge, [proven])
    }

    private func checkJoined(_ file: MediaFile, _ path: String, _ proof: FootageProof) throws -> Report {
        let judge = try ProofJudge(proof.bundle, known)
        let length = try file.length()
        func altered(_ range: Range<Int64>, _ what: String) -> Report {
            let damage = Report.Damage(firstByte: range.lowerBound, endByte: range.upperBound, what: what)
            let reason = "\(what) is not as the node recorded it: bytes \(range.lowerBound) to \(range.upperBound) of the file."
            return Report(file: path, verdict: .altered, reason: reason, damage: damage, segments: proof.parts.count, node: proof.bundle.node)
        }
        guard proof.version == FootageProof.currentVersion, proof.initBytes > 0, proof.initBytes <= Self.chunkBytesMax, !proof.parts.isEmpty else {
            return Report(file: path, verdict: .unreadable, reason: "The proof has a version or a shape that this program does not know.")
        }
        guard length >= proof.initBytes else { return altered(0..<length, "The header") }
        let header = try file.read(at: 0, count: Int(proof.initBytes))
        let headerHash = ContentHash.sha256(header)
        var offset = proof.initBytes
        var proven: [ProofBundle.ProvenSegment] = []
        for part in proof.parts {
            guard let segment = judge.records[part.segment] else {
                return Report(file: path, verdict: .altered, reason: "No proven entry speaks of segment \(part.segment).", node: proof.bundle.node)
            }
            let record = segment.record
            guard record.initSHA256 == headerHash, record.initBytes == proof.initBytes else { return altered(0..<proof.initBytes, "The header") }
            guard part.offset == offset, part.length == record.bytes - record.initBytes, part.sha256 == record.sha256 else {
                return altered(offset..<length, "The list of parts")
            }
            guard offset + part.length <= length else { return altered(min(offset, length)..<length, "Segment \(part.segment), which is cut off,") }
            if let damage = try PartCheck(file: file, header: header, part: part, record: record).damage() {
                return altered(damage, "Segment \(part.segment)")
            }
            proven.append(segment)
            offset += part.length
        }
        guard Set(proof.parts.map(\.segment)).count == proof.parts.count else { return altered(0..<length, "The list of parts") }
        guard offset == length else { return altered(offset..<length, "What follows the last segment") }
        return report(path, proof.bundle, judge, proven)
    }

    private func report(_ path: String, _ bundle: ProofBundle, _ judge: ProofJudge, _ proven: [ProofBundle.ProvenSegment]) -> Report {
        let (verdict, reason, witnessed, gaps) = judge.verdict(for: proven)
        return Report(
            file: path, verdict: verdict, reason: reason, segments: proven.count, gaps: gaps, node: bundle.node, isNodeExpected: judge.isNodeExpected,
            witnessedUnixSeconds: witnessed)
    }

    /// The hash of what has been fed already and a stretch of the file.
    static func hash(_ file: MediaFile, _ range: Range<Int64>, into hasher: SHA256) throws -> ContentHash? {
        var hasher = hasher
        var offset = range.lowerBound
        while offset < range.upperBound {
            let bytes = try file.read(at: offset, count: Int(min(1 << 20, range.upperBound - offset)))
            hasher.update(data: bytes)
            offset += Int64(bytes.count)
        }
        return ContentHash(Array(hasher.finalize()))
    }
}

/// One part of a joined file: undoes the shift of its times and compares with the record.
struct PartCheck {
    private static let fragmentBytesMax: Int64 = 256 << 20
    let file: MediaFile
    let header: [UInt8]
    let part: FootageProof.Part
    let record: SegmentRecord

    /// The first bytes that are not as recorded, or nil.
    func damage() throws -> Range<Int64>? {
        let whole = part.offset..<(part.offset + part.length)
        var shifts: [UInt32: Int64] = [:]
        for (track, shift) in part.trackShifts {
            guard let number = UInt32(track), shift != .min else { return whole }
            shifts[number] = -shift
        }
        var hasher = SHA256()
        hasher.update(data: header)
        let isLocated = FootageProof.Part.root(of: part.fragments) == record.fragmentRoot
            && part.fragments.reduce(0) { $0.addingReportingOverflow(max(0, $1.length)).partialValue } == part.length
        var pieces: [Range<Int64>] = []
        if isLocated {
            var offset = part.offset
            for fragment in part.fragments {
                guard fragment.length > 0 else { return whole }
                pieces.append(offset..<(offset + fragment.length))
                offset += fragment.length
            }
        } else {
            guard let scanned = try? FragmentLayout.scan(file, whole) else { return whole }
            pieces = scanned
        }
        for (number, piece) in pieces.enumerated() {
            let damaged = isLocated ? piece : whole
            guard piece.count <= Self.fragmentBytesMax else { return damaged }
            var bytes = try file.read(at: piece.lowerBound, count: piece.count)
            // What cannot be parsed was damaged; what was damaged but parses has the wrong hash.
            guard let boxes = try? Box.list(bytes, 0..<bytes.count) else { return damaged }
            if let moof = boxes.first(where: { $0.type == "moof" }) {
                guard (try? FragmentTimes.shift(&bytes, moof: moof, by: shifts)) != nil else { return damaged }
            }
            if isLocated, ContentHash.sha256(bytes) != part.fragments[number].sha256 { return piece }
            hasher.update(data: bytes)
        }
        return ContentHash(Array(hasher.finalize())) == record.sha256 ? nil : whole
    }
}
