import EvidenceLog
import Foundation
import RecordingModel
import TestSupport

/// What is true of a data directory after a fault and a normal run, or what is not.
struct Judgement: Sendable {
    var problems: [String] = []
    var segments = 0
    var framesDecoded = 0
    var footageMilliseconds: Int64 = 0
    var gapMilliseconds: Int64 = 0
    /// How long the recorder said that it records, for each camera.
    var livedMilliseconds: Int64 = 0
    /// The most that one camera lost in one life that did not end well.
    var worstLossMilliseconds: Int64 = 0
    /// The worst place where footage and gaps do not follow one another.
    var worstSeamMilliseconds: Int64 = 0

    mutating func add(_ other: Judgement) {
        problems += other.problems
        segments += other.segments
        framesDecoded += other.framesDecoded
        footageMilliseconds += other.footageMilliseconds
        gapMilliseconds += other.gapMilliseconds
        livedMilliseconds += other.livedMilliseconds
        worstLossMilliseconds = max(worstLossMilliseconds, other.worstLossMilliseconds)
        worstSeamMilliseconds = max(worstSeamMilliseconds, other.worstSeamMilliseconds)
    }
}

extension FaultedNode {
    /// How well footage and gaps must add up to the time that passed, for each of them.
    static let toleranceMilliseconds: Int64 = 100

    private struct Span {
        var start: Int64
        var end: Int64
        var isFootage: Bool

        func overlap(_ from: Int64, _ to: Int64) -> Int64 { max(0, min(end, to) - max(start, from)) }
    }

    /// Judges the directory after a clean stop.
    /// - Parameters:
    ///   - lossMilliseconds: what one camera may lose in a life that did not end well, beside the open group of pictures.
    ///   - decoded: what need not be decoded again.
    func judge(lossMilliseconds: Int64, decoded: Set<SegmentID> = []) async throws -> Judgement {
        var verdict = Judgement()
        let check = try await node.edge("check", ["--deep", "--json"])
        if !check.succeeded { verdict.problems.append("check: \(check.output)\(check.errors)") }

        let holdings = try Holdings(root: root)
        if holdings.logs.count != 1 { verdict.problems.append("\(holdings.logs.count) logs: \(holdings.logs)") }
        if !holdings.lines.starts(with: past.knownLines) {
            let common = zip(holdings.lines, past.knownLines).prefix { $0 == $1 }.count
            verdict.problems.append("log entries are lost: \(past.knownLines.count) were there, now \(holdings.lines.count), equal up to \(common)")
        }
        let entries = holdings.lines.compactMap { try? LogEntry(line: $0) }
        if entries.count != holdings.lines.count { verdict.problems.append("a line of the log is no entry") }

        var segments: [StreamID: [SegmentRecord]] = [:]
        var spans: [StreamID: [Span]] = [:]
        var removed: [StreamID: SequenceRanges] = [:]
        for entry in entries {
            switch entry.body {
            case .segment(let record):
                segments[record.stream, default: []].append(record)
                spans[record.stream, default: []].append(Span(start: record.startBootMilliseconds, end: record.endBootMilliseconds, isFootage: true))
            case .gap(let gap):
                let end = gap.startBootMilliseconds + gap.durationMilliseconds
                spans[gap.stream, default: []].append(Span(start: gap.startBootMilliseconds, end: end, isFootage: false))
            case .evicted(let removal), .released(let removal):
                for range in removal.sequences.ranges { removed[removal.stream, default: SequenceRanges()].insert(range) }
            default: break
            }
        }
        let logged = Set(segments.values.joined().map(\.id))
        for segment in past.knownSegments.subtracting(logged) { verdict.problems.append("segment \(segment) was finished and has no entry") }

        for camera in cameras {
            guard let stream = StreamID("\(camera)/main") else { throw TestFailure("\(camera) is no camera") }
            let records = segments[stream] ?? []
            let sequences = records.map(\.sequence)
            if sequences != Array(0..<UInt64(sequences.count)) { verdict.problems.append("\(stream): the numbers are \(sequences)") }
            judgeTime(stream, (spans[stream] ?? []).sorted { ($0.start, $0.end) < ($1.start, $1.end) }, lossMilliseconds, &verdict)
            let present = records.filter { removed[stream]?.contains($0.sequence) != true }
            try await decode(present.filter { !decoded.contains($0.id) }, &verdict)
            verdict.segments += records.count
        }
        return verdict
    }

    /// Footage and gaps tile the time from the first known moment to the clean stop, and what was lost keeps the promise.
    private func judgeTime(_ stream: StreamID, _ spans: [Span], _ lossMilliseconds: Int64, _ verdict: inout Judgement) {
        guard let first = spans.first, let last = lives.last, let stopAsked = last.stopAsked else {
            return verdict.problems.append("\(stream): the log says nothing of its time")
        }
        var end = first.start
        for span in spans {
            let seam = abs(span.start - end)
            verdict.worstSeamMilliseconds = max(verdict.worstSeamMilliseconds, seam)
            if seam > Self.toleranceMilliseconds { verdict.problems.append("\(stream): accounted for until \(end), and then from \(span.start)") }
            end = max(end, span.end)
        }
        if first.start < (lives.first?.spawned ?? 0) - Self.toleranceMilliseconds { verdict.problems.append("\(stream): accounted for before the first start") }
        if end < stopAsked - Self.toleranceMilliseconds || end > last.ended + Self.toleranceMilliseconds {
            verdict.problems.append("\(stream): accounted for until \(end), but the clean stop was from \(stopAsked) to \(last.ended)")
        }
        let footage = spans.filter(\.isFootage).reduce(0) { $0 + $1.end - $1.start }
        let gaps = spans.filter { !$0.isFootage }.reduce(0) { $0 + $1.end - $1.start }
        if abs(footage + gaps - (end - first.start)) > Self.toleranceMilliseconds * Int64(lives.count) {
            verdict.problems.append("\(stream): \(footage) ms of footage and \(gaps) ms of gaps in \(end - first.start) ms")
        }
        verdict.footageMilliseconds += footage
        verdict.gapMilliseconds += gaps
        for (number, life) in lives.enumerated() {
            guard let recording = life.recording else { continue }
            verdict.livedMilliseconds += life.ended - recording
            guard !life.wasClean else { continue }
            // What was asked to stop records no more, however long a busy machine takes to end it.
            let until = life.stopAsked.map { max(recording, min($0, life.ended)) } ?? life.ended
            let kept = spans.filter(\.isFootage).reduce(0) { $0 + $1.overlap(recording, until) }
            let lost = until - recording - kept
            verdict.worstLossMilliseconds = max(verdict.worstLossMilliseconds, lost)
            if lost > lossMilliseconds + Self.groupMilliseconds {
                verdict.problems.append("\(stream): life \(number) recorded from \(recording) to \(until) and lost \(lost) ms")
            }
        }
        let lived = spans.filter(\.isFootage).reduce(0) { $0 + $1.overlap(last.spawned, last.ended) }
        if lived < 300 { verdict.problems.append("\(stream): the run after the fault has only \(lived) ms of footage") }
    }

    /// Decodes every frame of these segments, many in one process.
    private func decode(_ records: [SegmentRecord], _ verdict: inout Judgement) async throws {
        var rest = records[...]
        while !rest.isEmpty {
            let batch = rest.prefix(50)
            rest = rest.dropFirst(50)
            let inputs = batch.flatMap { ["-threads", "1", "-i", "\(root)/segments/\($0.stream)/\(SegmentFiles.sealedName($0.sequence))"] }
            let maps = batch.indices.flatMap { ["-map", "\($0 - batch.startIndex):v"] }
            let outcome = try await run(
                "ffmpeg", ["-nostdin", "-v", "error", "-xerror"] + inputs + maps + ["-fps_mode", "passthrough", "-f", "framecrc", "-"], within: .seconds(120))
            if !outcome.succeeded || !outcome.errors.isEmpty { verdict.problems.append("ffmpeg: \(outcome.status) \(outcome.errors.prefix(500))") }
            var frames = [Int](repeating: 0, count: batch.count)
            for line in outcome.output.split(separator: "\n") where !line.hasPrefix("#") {
                if let stream = line.split(separator: ",").first.flatMap({ Int($0.trimmingCharacters(in: .whitespaces)) }), stream < frames.count { frames[stream] += 1 }
            }
            for (record, count) in zip(batch, frames) where record.frames != count {
                verdict.problems.append("segment \(record.id): its entry says \(record.frames) frames, \(count) decode")
            }
            verdict.framesDecoded += frames.reduce(0, +)
        }
    }
}
