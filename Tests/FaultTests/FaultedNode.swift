import EvidenceLog
import Foundation
import RecordingModel
import TestSupport

/// One run of the recorder, from its start to its end. Boot-clock milliseconds.
struct Life: Sendable {
    var spawned: Int64
    /// When it said that it records; nil when it did not live that long.
    var recording: Int64?
    /// When it was asked to stop; nil when it was killed or ended by itself.
    var stopAsked: Int64?
    var ended: Int64 = 0
    var status: Int32 = 0

    var wasClean: Bool { stopAsked != nil && status == 0 }
}

/// A node that faults are brought down on, and what is remembered of it from before each.
final class FaultedNode {
    /// Small pictures and short groups, so that nearly all of a test's time is the recorder's own.
    static let camera = "test:?size=64x64&fps=15&gop=8"
    static let groupMilliseconds: Int64 = 8 * 1_000 / 15

    /// Where the data lies, and what is known of it.
    struct Past: Sendable {
        var cameras: [String]
        /// The data directory as the test sees it.
        var root: String
        var lives: [Life] = []
        /// The log's lines and the sealed files that were there after the last end.
        var knownLines: [[UInt8]] = []
        var knownSegments: Set<SegmentID> = []
    }

    let node: Node
    private(set) var past: Past
    var cameras: [String] { past.cameras }
    var root: String { past.root }
    var lives: [Life] { past.lives }

    init(cameras: [String], data: String? = nil, root: String? = nil) async throws {
        node = try await Node(cameras: Dictionary(uniqueKeysWithValues: cameras.map { ($0, Self.camera) }), segmentSeconds: 2, data: data)
        past = Past(cameras: cameras, root: root ?? node.data)
        // A recorder that has given up says so with its figures: every second.
        let text = try String(contentsOfFile: node.config, encoding: .utf8)
        try text.replacingOccurrences(of: "interval_seconds: 10", with: "interval_seconds: 1").write(toFile: node.config, atomically: true, encoding: .utf8)
    }

    /// A node on a copy of that data directory as it lies now.
    convenience init(copyOf past: Past) async throws {
        try await self.init(cameras: past.cameras)
        let root = root
        try FileManager.default.removeItem(atPath: root)
        try await runSuccessfully("cp", ["-a", past.root, root])
        self.past = past
        self.past.root = root
    }

    func start(environment: [String: String] = [:], through launcher: [String] = []) throws {
        past.lives.append(Life(spawned: bootMilliseconds()))
        try node.start(environment: environment, through: launcher)
    }

    func kill() async throws {
        try await node.kill()
        ended(status: 128 + SIGKILL)
    }

    /// Asks it to stop; it may have ended already.
    func stop() async throws {
        if node.process?.hasExited == false { past.lives[lives.count - 1].stopAsked = bootMilliseconds() }
        node.process?.send(SIGTERM)
        let status = try await node.end(within: .seconds(20))
        ended(status: status)
    }

    private func ended(status: Int32) {
        past.lives[lives.count - 1].ended = bootMilliseconds()
        past.lives[lives.count - 1].status = status
        past.lives[lives.count - 1].recording = Self.recordingTime(in: node.lastLog)
    }

    /// From the log line of that moment.
    private static func recordingTime(in log: String) -> Int64? {
        guard let line = log.split(separator: "\n").first(where: { $0.contains("message=recording ") }) else { return nil }
        let format = ISO8601DateFormatter()
        format.formatOptions = [.withInternetDateTime, .withFractionalSeconds]
        guard let date = line.split(separator: " ").first.flatMap({ format.date(from: String($0)) }) else { return nil }
        return bootMilliseconds() - Int64(Date().timeIntervalSince(date) * 1_000)
    }

    /// Remembers what must never be lost from here on.
    func remember() throws {
        let holdings = try Holdings(root: root)
        past.knownLines = holdings.lines
        past.knownSegments = holdings.sealed
    }

    /// Waits until the recorder has something of every camera under way; false when it ended before that.
    func waitUntilRecording(within limit: Duration = .seconds(20)) async throws -> Bool {
        let start = lives.last?.spawned ?? 0
        return try await eventually("footage of every camera; log: \(node.log.suffix(2_000))", within: limit, every: .milliseconds(20)) {
            if node.process?.hasExited != false { return false }
            let open = files(under: root + "/segments").filter { $0.hasSuffix(".open.mp4") && Self.changed($0) >= start }
            return Set(open.map { $0.split(separator: "/").dropLast(2).last }).count == cameras.count ? true : nil
        }
    }

    private static func changed(_ path: String) -> Int64 {
        guard let date = (try? FileManager.default.attributesOfItem(atPath: path))?[.modificationDate] as? Date else { return 0 }
        return bootMilliseconds() - Int64(Date().timeIntervalSince(date) * 1_000)
    }

    /// A normal run, long enough for footage, with a clean stop.
    func recover(seconds: Double = 1.2) async throws {
        try start()
        if try await waitUntilRecording() { try await Task.sleep(for: .seconds(seconds)) }
        try await stop()
        guard let life = lives.last, life.wasClean else { throw TestFailure("the run after the fault ended with \(lives.last?.status ?? -1): \(node.lastLog.suffix(1_500))") }
    }
}

/// A data directory, read with nothing of the journal's code.
struct Holdings {
    /// Those with an entry: one that broke off before its first is left as an empty folder.
    var logs: [String] = []
    var lines: [[UInt8]] = []
    var sealed: Set<SegmentID> = []

    init(root: String) throws {
        let folder = root + "/log"
        for log in ((try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []).sorted() {
            let names = try FileManager.default.contentsOfDirectory(atPath: "\(folder)/\(log)").filter { LogFolder.firstIndex(ofEntryFile: $0) != nil }
            let found = names.sorted().flatMap { LogFolder.lines(in: Array(FileManager.default.contents(atPath: "\(folder)/\(log)/\($0)") ?? Data())).lines }
            if !found.isEmpty { logs.append(log) }
            lines += found
        }
        for path in files(under: root + "/segments") {
            let parts = path.split(separator: "/").suffix(3).map(String.init)
            guard parts.count == 3, let stream = StreamID("\(parts[0])/\(parts[1])"), let sequence = SegmentFiles.sequence(ofName: parts[2]),
                parts[2] == SegmentFiles.sealedName(sequence)
            else { continue }
            sealed.insert(SegmentID(stream: stream, sequence: sequence))
        }
    }
}
