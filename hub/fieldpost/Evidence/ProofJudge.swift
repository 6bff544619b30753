import EvidenceLog
import FoundationEssentials
import RecordingModel

/// What the person who checks knows already, and the proof does not have to be believed about.
struct KnownKeys {
    var node: NodeID?
    var hubKey: NoteKey?
}

/// The signatures' side of a check: which records does the bundle prove?
struct ProofJudge {
    var records: [SegmentID: ProofBundle.ProvenSegment] = [:]
    var isNodeExpected = false

    struct Refusal: Error {
        var verdict: Verdict
        var reason: String
    }

    init(_ bundle: ProofBundle, _ known: KnownKeys) throws(Refusal) {
        if let node = known.node {
            guard node == bundle.node else { throw Refusal(verdict: .unknownKey, reason: "The proof is of another node: \(bundle.node).") }
            isNodeExpected = true
        }
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
    }

    /// The verdict over intact content: witnessed or not, with gaps or not.
    func verdict(for records: [ProofBundle.ProvenSegment]) -> (verdict: Verdict, reason: String, witnessed: UInt64?, gaps: [String]) {
        let times = records.compactMap(\.witnessedUnixSeconds)
        let ordered = records.map(\.record).sorted { $0.startUnixMilliseconds < $1.startUnixMilliseconds }
        var gaps: [String] = []
        for (left, right) in zip(ordered, ordered.dropFirst()) where left.run != right.run || left.bootID != right.bootID || left.sequence + 1 != right.sequence {
            let length = Words.duration(max(0, right.startUnixMilliseconds - left.endUnixMilliseconds))
            gaps.append("\(Words.time(left.endUnixMilliseconds)) to \(Words.time(right.startUnixMilliseconds)) (\(length))")
        }
        guard times.count == records.count else {
            return (.unwitnessed, "The content is as the node signed it, but no hub has cosigned all of it, so nothing outside bounds its time.", nil, gaps)
        }
        if let last = ordered.last, last.end == .powerCut {
            return (.incompleteTail, "The content is intact up to a power cut at the node.", times.max(), gaps)
        }
        if gaps.isEmpty { return (.intact, "Every byte is as the node recorded it.", times.max(), []) }
        return (.intactWithGaps, "Every byte is as the node recorded it; \(gaps.count) gaps lie between.", times.max(), gaps)
    }
}
