import EvidenceLog
import FoundationEssentials
import RecordingModel

/// The signatures' side of a check: which records does the bundle prove, and who says so?
struct ProofJudge {
    /// Beyond what a time, length or size can be; sums of such numbers still fit.
    private static let numberMax: Int64 = 1 << 53

    let bundle: ProofBundle
    let known: KnownKeys
    var records: [SegmentID: ProofBundle.ProvenSegment] = [:]

    struct Refusal: Error {
        var verdict: Verdict
        var reason: String
    }

    init(_ bundle: ProofBundle, _ known: KnownKeys) throws(Refusal) {
        self.bundle = bundle
        self.known = known
        if let node = known.node, node != bundle.node { throw Refusal(verdict: .unknownKey, reason: "The proof is of another node: \(bundle.node).") }
        if let key = known.hubKey, key.text != bundle.hubKey {
            throw Refusal(verdict: .unknownKey, reason: "The proof names another hub's key than the one expected.")
        }
        do throws(ProofBundle.Fault) {
            for proven in try bundle.verified() { records[proven.record.id] = proven }
        } catch {
            switch error {
            case .unknownVersion: throw Refusal(verdict: .unreadable, reason: "This program is too old for the proof: \(error).")
            case .keyChain: throw Refusal(verdict: .unknownKey, reason: "The proof does not lead to the node's key: \(error).")
            case .segment: throw Refusal(verdict: .altered, reason: "The record of a segment was changed: \(error).")
            }
        }
        guard records.values.allSatisfy({ Self.isPossible($0.record) }) else {
            throw Refusal(verdict: .unreadable, reason: "The record of a segment has impossible times or lengths.")
        }
    }

    /// Whoever makes their own key can prove any numbers; they must not make the arithmetic overflow.
    private static func isPossible(_ record: SegmentRecord) -> Bool {
        let numbers = [
            record.startWall.unixMilliseconds, record.startBootMilliseconds, record.endBootMilliseconds, record.bytes, record.initBytes,
            record.mediaStartTicks90k, record.mediaDurationTicks90k,
        ]
        return numbers.allSatisfy(isPossible) && record.initBytes >= 0 && record.bytes >= record.initBytes
    }

    static func isPossible(_ unixMilliseconds: Int64) -> Bool { (-numberMax...numberMax).contains(unixMilliseconds) }

    /// What the parts of one file must be: all of the stream that the proof names, in the order of recording. The
    /// clock does not decide about order, since it may be set back; the sequence does.
    static func check(_ record: SegmentRecord, after previous: SegmentRecord?, in stream: StreamID) throws(Refusal) {
        guard record.stream == stream else {
            throw Refusal(verdict: .altered, reason: "Segment \(record.id) is in the file, which claims to be of \(stream).")
        }
        if let previous, previous.sequence >= record.sequence {
            throw Refusal(verdict: .altered, reason: "The parts are not in the order of recording: \(record.id) comes after \(previous.id).")
        }
    }

    /// The report over intact content, in the order of the file: whose it is, witnessed or not, with gaps or not.
    func report(_ path: String, on proven: [ProofBundle.ProvenSegment], asked: Range<Int64>? = nil) -> Report {
        let records = proven.map(\.record)
        let times = proven.compactMap(\.witnessedUnixSeconds)
        var report = Report(file: path, verdict: .intact, reason: "Every byte is as the node recorded it.", segments: proven.count, node: bundle.node)
        report.isNodeExpected = known.isKnown(bundle.node, with: bundle.hubKey)
        report.isHubKeyExpected = known.isKnown(hubKey: bundle.hubKey)
        report.hubKeyFingerprint = KnownKeys.fingerprint(ofHubKey: bundle.hubKey)
        report.camera = records.first?.stream.camera
        report.fromUnixMilliseconds = records.first?.startUnixMilliseconds
        report.toUnixMilliseconds = records.last?.endUnixMilliseconds
        report.gaps = Self.gaps(in: records)
        report.missing = Self.missing(of: asked, in: records)
        guard report.isNodeExpected, report.isHubKeyExpected else {
            report.verdict = .unknownKey
            report.reason =
                "The content agrees with its proof, but nothing here vouches for both keys behind it: node \(bundle.node.keyHash.fingerprint), hub \(KnownKeys.fingerprint(ofHubKey: bundle.hubKey)). \(KnownKeys.advice)"
            return report
        }
        guard times.count == proven.count else {
            report.verdict = .unwitnessed
            report.reason = "The content is as the node signed it, but no hub has cosigned all of it, so nothing outside bounds its time."
            return report
        }
        report.witnessedUnixSeconds = times.max()
        if records.last?.end == .powerCut {
            report.verdict = .incompleteTail
            report.reason = "The content is intact up to a power cut at the node."
        } else if !report.gaps.isEmpty || !report.missing.isEmpty {
            report.verdict = .intactWithGaps
            report.reason += " \(report.gaps.count) gaps lie between, and \(report.missing.count) spans of what was asked for are not in it."
        }
        return report
    }

    private static func gaps(in records: [SegmentRecord]) -> [String] {
        zip(records, records.dropFirst()).filter { left, right in
            left.run != right.run || left.bootID != right.bootID || left.sequence &+ 1 != right.sequence
        }.map { left, right in span(left.endUnixMilliseconds, right.startUnixMilliseconds) }
    }

    /// Nothing proves why a node recorded nothing before the first or after the last segment, so it is always said.
    private static func missing(of asked: Range<Int64>?, in records: [SegmentRecord]) -> [String] {
        guard let asked, let first = records.first, let last = records.last else { return [] }
        // Times are rounded on their way; a tenth of a second is no gap.
        let tolerance: Int64 = 100
        var missing: [String] = []
        if first.startUnixMilliseconds > asked.lowerBound + tolerance { missing.append(span(asked.lowerBound, min(asked.upperBound, first.startUnixMilliseconds))) }
        if last.endUnixMilliseconds < asked.upperBound - tolerance { missing.append(span(max(asked.lowerBound, last.endUnixMilliseconds), asked.upperBound)) }
        return missing
    }

    private static func span(_ from: Int64, _ to: Int64) -> String {
        "\(Words.time(from)) to \(Words.time(to)) (\(Words.duration(max(0, to - from))))"
    }
}
