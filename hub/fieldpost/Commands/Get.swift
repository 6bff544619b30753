import ArgumentParser
import EvidenceLog
import FoundationEssentials
import NIOCore
import RecordingModel

struct Get: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Fetch a camera's footage as one MP4 of the original packets, with its proof.",
        discussion: "Whole segments are fetched, so the file may begin a little before --from and end a little after --to.")

    @Argument(help: "The camera, or NODE/CAMERA where several nodes have one of that name.") var camera: String
    @Option(help: "Start, such as 2026-11-21T08:30:00Z (UTC when no offset is given).") var from: String
    @Option(help: "End, in the same form.") var to: String
    @Option(name: .shortAndLong, help: ArgumentHelp("The file to write; FILE.proof.json is written beside it.", valueName: "file")) var output: String
    @Option(help: "The node's name or id.") var node: String?
    @Flag(help: "Print the result as JSON.") var json = false

    private struct Result: Encodable {
        var files: [String]
        var segments: Int
        var bytes: Int64
        var gaps: [TimelineSpan]
        var isProven: Bool
        var note: String?
        /// What a check on another machine needs: `fieldpost verify FILE --node … --hub-key …`.
        var node: NodeID
        var hubKey: String?
    }

    func run() async throws {
        guard let start = TimeText.unixMilliseconds(from) else { throw Failure("--from must be a time such as 2026-11-21T08:30:00Z, not \(from).") }
        guard let end = TimeText.unixMilliseconds(to) else { throw Failure("--to must be a time such as 2026-11-21T08:30:00Z, not \(to).") }
        guard start < end else { throw Failure("--to must be later than --from.") }
        let result = try await HubClient.with(try Credentials.load()) { try await fetch($0, start..<end) }
        if json { return try Terminal.json(result) }
        print("Wrote \(result.files.joined(separator: ", ")): \(result.segments) segments, \(AmountText.bytes(result.bytes)).")
        if let note = result.note { print(note) }
        if result.gaps.isEmpty { print("Nothing of this time is missing.") } else { print("Not in the file:") }
        for gap in result.gaps { print("  \(Words.span(gap))") }
        print("To check it: fieldpost verify \(output); on another machine with --node \(result.node) --hub-key \(result.hubKey ?? "KEY")")
    }

    private func fetch(_ client: HubClient, _ window: Range<Int64>) async throws -> Result {
        let list = try await client.nodes()
        let identity = try await KnownHubs.refresh(from: client, list)
        let found = try CameraChoice(camera, node: node).find(in: list)
        let timeline = try await client.timeline(node: found.node, camera: found.camera, window)
        let gaps = timeline.spans.filter { $0.state != .onHub }
        // In the order of recording, which a clock that was set back does not change.
        let segments = timeline.segments.filter { $0.record.stream.kind == .main }.sorted { $0.record.sequence < $1.record.sequence }
        let records = segments.map(\.record)
        guard !records.isEmpty else {
            let advice = gaps.contains { $0.standIn != nil } ? " A proxy or thumbnails are no footage; fieldpost pull asks the node for it." : ""
            throw Failure("The hub holds no footage of \(camera) in this time. \(gaps.first.map { "It says: \(Words.span($0))." } ?? "")\(advice)")
        }
        var files: [JoinedFile] = []
        var progress = Progress(totalBytes: records.reduce(0) { $0 + $1.bytes })
        do {
            for (number, record) in records.enumerated() {
                if files.last?.initSHA256 != record.initSHA256 {
                    files.append(try JoinedFile(path: Self.name(output, part: files.count), initSHA256: record.initSHA256))
                }
                try await files[files.count - 1].append(record) { take in
                    try await client.download(record.sha256, node: found.node, camera: found.camera) { chunk in
                        progress.advance(chunk.readableBytes, label: "segment \(number + 1) of \(records.count)")
                        try take(chunk)
                    }
                }
            }
            progress.finish()
            var isProven = true
            let starts = Dictionary(records.map { ($0.id, $0.startUnixMilliseconds) }, uniquingKeysWith: min)
            let asked = ClockShift.recorded(window, of: segments)
            for (number, file) in files.enumerated() {
                let bundle = try await proof(client, found.node, file.parts.map(\.segment))
                isProven = isProven && (try? bundle.verified()) != nil
                // Of several files each answers for its own share of the time, the gap after it included.
                let start = number == 0 ? asked.lowerBound : file.parts.first.flatMap { starts[$0.segment] } ?? asked.lowerBound
                let next = number + 1 < files.count ? files[number + 1].parts.first.flatMap { starts[$0.segment] } : nil
                let proof = FootageProof(
                    nodeName: found.name, camera: found.camera, fromUnixMilliseconds: start, toUnixMilliseconds: max(start, next ?? asked.upperBound),
                    initBytes: file.initBytes, parts: file.parts, gaps: gaps, bundle: bundle)
                try Self.write(proof, for: file.path)
                try file.finish()
            }
            var notes: [String] = []
            if files.count > 1 { notes.append("The camera's settings changed within this time, so there are \(files.count) files.") }
            if let note = ClockShift.note(segments) { notes.append(note) }
            if !isProven { notes.append("The hub's proof does not verify. Run fieldpost verify on the file to see why.") }
            return Result(
                files: files.map(\.path), segments: records.count, bytes: records.reduce(0) { $0 + $1.bytes }, gaps: gaps, isProven: isProven,
                note: notes.isEmpty ? nil : notes.joined(separator: " "), node: found.node, hubKey: identity?.hubKey)
        } catch {
            progress.finish()
            for file in files { file.discard() }
            throw error
        }
    }

    /// The hub proves at most so many segments at a time; a longer range must be fetched in pieces.
    private func proof(_ client: HubClient, _ node: NodeID, _ segments: [SegmentID]) async throws -> ProofBundle {
        guard segments.count <= 5_000 else { throw Failure("This time has \(segments.count) segments; fetch it in pieces of at most 5000.") }
        do {
            return try await client.proof(node: node, segments: segments)
        } catch let refusal as HubRefusal where refusal.status == 404 {
            throw Failure("The hub cannot prove these segments together, since the node began a new log in between. Fetch the times before and after it separately.")
        }
    }

    private static func write(_ proof: FootageProof, for file: String) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        let path = FootageProof.path(for: file)
        do {
            try encoder.encode(proof).write(to: URL(filePath: path), options: .atomic)
        } catch {
            throw Failure("The proof \(path) cannot be written: \(error).")
        }
    }

    /// `clip.mp4`, `clip-2.mp4`, …
    static func name(_ output: String, part: Int) -> String {
        guard part > 0 else { return output }
        guard let dot = output.lastIndex(of: "."), !output[dot...].contains("/") else { return "\(output)-\(part + 1)" }
        return "\(output[..<dot])-\(part + 1)\(output[dot...])"
    }
}

/// A node's clock that was put right later: the hub asks and answers in the true time, while the proof speaks of the
/// times that the node first recorded, since those are what its log entries say.
enum ClockShift {
    static func recorded(_ window: Range<Int64>, of segments: [PlayableSegment]) -> Range<Int64> {
        func shift(_ segment: PlayableSegment?) -> Int64 { segment.map { $0.record.startUnixMilliseconds - $0.startUnixMilliseconds } ?? 0 }
        let lower = window.lowerBound + shift(segments.first)
        return lower..<max(lower, window.upperBound + shift(segments.last))
    }

    static func note(_ segments: [PlayableSegment]) -> String? {
        guard let moved = segments.first(where: \.isTimeCorrected) else { return nil }
        return "The node's clock was corrected later: what it recorded as \(Words.time(moved.record.startUnixMilliseconds)) was \(Words.time(moved.startUnixMilliseconds))\(moved.correctedUncertaintyMilliseconds.map { " (give or take \(Words.duration($0)))" } ?? ""). The proof speaks of the times as recorded."
    }
}
