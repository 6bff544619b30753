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
        return judge.report(path, on: [proven])
    }

    private func checkJoined(_ file: MediaFile, _ path: String, _ proof: FootageProof) throws -> Report {
        let judge = try ProofJudge(proof.bundle, known)
        let length = try file.length()
        func altered(_ range: Range<Int64>, _ what: String) -> Report {
            let damage = Report.Damage(firstByte: range.lowerBound, endByte: range.upperBound, what: what)
            let reason = "\(what) is not as the node recorded it: bytes \(range.lowerBound) to \(range.upperBound) of the file."
            return Report(file: path, verdict: .altered, reason: reason, damage: damage, segments: proof.parts.count, node: proof.bundle.node)
        }
        let (from, to) = (proof.fromUnixMilliseconds, proof.toUnixMilliseconds)
        guard proof.version == FootageProof.currentVersion, proof.initBytes > 0, proof.initBytes <= Self.chunkBytesMax, !proof.parts.isEmpty,
            from <= to, ProofJudge.isPossible(from), ProofJudge.isPossible(to)
        else {
            return Report(file: path, verdict: .unreadable, reason: "The proof has a version or a shape that this program does not know.")
        }
        guard length >= proof.initBytes else { return altered(0..<length, "The header") }
        let header = try file.read(at: 0, count: Int(proof.initBytes))
        let headerHash = ContentHash.sha256(header)
        // A header that cannot be read is a changed one, and its hash says so below.
        let timescales = (try? InitSegment.timescales(header)) ?? [:]
        var offset = proof.initBytes
        var proven: [ProofBundle.ProvenSegment] = []
        var clock = JoinClock()
        let stream = StreamID(camera: proof.camera, kind: .main)
        for part in proof.parts {
            guard let segment = judge.records[part.segment] else {
                return Report(file: path, verdict: .altered, reason: "No proven entry speaks of segment \(part.segment).", node: proof.bundle.node)
            }
            let record = segment.record
            try ProofJudge.check(record, after: proven.last?.record, in: stream)
            guard record.initSHA256 == headerHash, record.initBytes == proof.initBytes else { return altered(0..<proof.initBytes, "The header") }
            guard part.offset == offset, part.length == record.bytes - record.initBytes, part.sha256 == record.sha256 else {
                return altered(offset..<length, "The list of parts")
            }
            guard offset + part.length <= length else { return altered(min(offset, length)..<length, "Segment \(part.segment), which is cut off,") }
            let outcome = try PartCheck(file: file, header: header, part: part, record: record).outcome()
            if let damage = outcome.damage { return altered(damage, "Segment \(part.segment)") }
            // The proof's shifts were undone to get here; now they must also be the ones that joining makes of the
            // proven records, or else a forger could play the same footage faster, later or over itself.
            let shifts = outcome.first.map { clock.shifts(for: record, first: $0, timescales: timescales) } ?? [:]
            guard part.trackShifts == FootageProof.Part.named(shifts) else { return altered(offset..<(offset + part.length), "The time of segment \(part.segment)") }
            proven.append(segment)
            offset += part.length
        }
        guard offset == length else { return altered(offset..<length, "What follows the last segment") }
        return judge.report(path, on: proven, asked: from..<to)
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

    struct Outcome {
        /// The first bytes that are not as recorded, or nil.
        var damage: Range<Int64>?
        /// When the part began, as the node recorded it.
        var first: FragmentTimes?
    }

    func outcome() throws -> Outcome {
        let whole = part.offset..<(part.offset + part.length)
        var shifts: [UInt32: Int64] = [:]
        for (track, shift) in part.trackShifts {
            guard let number = UInt32(track), shift != .min else { return Outcome(damage: whole) }
            shifts[number] = -shift
        }
        let isLocated = FootageProof.Part.root(of: part.fragments) == record.fragmentRoot
            && part.fragments.reduce(0) { $0.addingReportingOverflow(max(0, $1.length)).partialValue } == part.length
        guard let pieces = pieces(whole, isLocated: isLocated) else { return Outcome(damage: whole) }
        var hasher = SHA256()
        hasher.update(data: header)
        var first: FragmentTimes?
        for (number, piece) in pieces.enumerated() {
            let damaged = Outcome(damage: isLocated ? piece : whole)
            guard piece.count <= Self.fragmentBytesMax else { return damaged }
            var bytes = try file.read(at: piece.lowerBound, count: piece.count)
            // What cannot be parsed was damaged; what was damaged but parses has the wrong hash.
            guard let boxes = try? Box.list(bytes, 0..<bytes.count) else { return damaged }
            if let moof = boxes.first(where: { $0.type == "moof" }) {
                guard (try? FragmentTimes.shift(&bytes, moof: moof, by: shifts)) != nil else { return damaged }
                if first == nil { first = try? FragmentTimes(bytes, moof: moof) }
            }
            if isLocated, ContentHash.sha256(bytes) != part.fragments[number].sha256 { return damaged }
            hasher.update(data: bytes)
        }
        return Outcome(damage: ContentHash(Array(hasher.finalize())) == record.sha256 ? nil : whole, first: first)
    }

    /// Where the fragments lie: by the proof's list where the log proves it, else by their own boxes.
    private func pieces(_ whole: Range<Int64>, isLocated: Bool) -> [Range<Int64>]? {
        guard isLocated else { return try? FragmentLayout.scan(file, whole) }
        var pieces: [Range<Int64>] = []
        var offset = whole.lowerBound
        for fragment in part.fragments {
            guard fragment.length > 0 else { return nil }
            pieces.append(offset..<(offset + fragment.length))
            offset += fragment.length
        }
        return pieces
    }
}
