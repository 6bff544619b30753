import Crypto
import EdgeCapture
@testable import EdgeImport
import EdgeJournal
import EvidenceLog
import Foundation
import Logging
import RecordingModel
import StorageIO
import Synchronization
import SystemPackage
import Testing
import TestSupport

/// A card, a node's data directory, and imports from the one into the other.
final class Bench {
    struct Clocks: RecordingModel.Clocks {
        let bootID = "test-boot"
        func now() -> Moment { Moment(bootNanoseconds: 5_000_000_000, wall: WallEstimate(unixMilliseconds: 1_800_000_000_000, source: .ntp, uncertaintyMilliseconds: 10)) }
    }

    let scratch: TemporaryDirectory
    let card: FilePath
    let data: FilePath
    let camera = "dash"
    private let identity = P256.Signing.PrivateKey()

    init() throws {
        scratch = try TemporaryDirectory("import")
        card = FilePath(scratch.path("card"))
        data = FilePath(scratch.path("data"))
        for folder in [card, data] { try RealStorage().makeDirectory(folder) }
    }

    func file(_ name: String) -> String { card.string + "/" + name }

    func settings(_ change: (inout ImportSettings) -> Void = { _ in }) throws -> ImportSettings {
        var settings = ImportSettings(
            camera: try #require(CameraID(camera)), operatorName: "tester", audio: .off, rules: TimeRules(), configVersion: "c1")
        settings.reserveBytes = { _ in 0 }
        change(&settings)
        return settings
    }

    /// Stages what is on the card, and nothing more.
    @discardableResult
    func stage(
        _ path: String? = nil, known: Set<ContentHash> = [], storage: any StorageIO = RealStorage(), now: Int64 = 1_800_000_000_000,
        _ change: (inout ImportSettings) -> Void = { _ in }
    ) throws -> [FileReport] {
        let staging = try StagingArea(dataDirectory: data, storage: storage, nowUnixMilliseconds: now)
        let importer = try Importer(settings(change), staging: staging, known: known)
        let reports = Mutex<[FileReport]>([])
        let summary = try importer.run(importer.ordered(try CardScan(path.map { FilePath(file($0)) } ?? card).entries)) { report in
            reports.withLock { $0.append(report) }
        }
        let result = reports.withLock { $0 }
        #expect(summary.counts.values.reduce(0, +) == result.count)
        return result
    }

    func withJournal<Value>(_ body: (Journal) throws -> Value) throws -> Value {
        let identity = identity
        let journal = try Journal(
            options: Journal.Options(
                dataDirectory: data, node: NodeID(keyHash: .sha256(identity.publicKey.derRepresentation)), software: "test", configVersion: "c1", cameras: []),
            storage: RealStorage(), clocks: Clocks(), randomness: SystemRandomNumberGenerator(),
            attest: { key in
                KeyRecord.Attestation(
                    identityKey: identity.publicKey.derRepresentation,
                    signature: try identity.signature(for: KeyRecord.attestedBytes(key: key)).derRepresentation)
            }, logger: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() }))
        defer { journal.close() }
        return try body(journal)
    }

    func manifests() throws -> [(folder: FilePath, manifest: ImportManifest)] {
        try StagingArea.waiting(dataDirectory: data, storage: RealStorage()).map { folder in
            let bytes = try RealStorage().read(folder.appending(ImportManifest.fileName))
            return (folder, try JSONDecoder().decode(ImportManifest.self, from: Data(bytes)))
        }
    }

    /// Segments of one run in one file: `init` and all fragments.
    func joined(_ folder: FilePath, _ manifest: ImportManifest, run: UInt64 = 0) throws -> String {
        var whole: [UInt8] = []
        for record in manifest.segments where record.run == run {
            let content = try RealStorage().read(folder.appending(SegmentFiles.openName(record.sequence)))
            #expect(ContentHash.sha256(content) == record.sha256)
            #expect(Int64(content.count) == record.bytes)
            whole += whole.isEmpty ? content : Array(content.dropFirst(Int(record.initBytes)))
        }
        let path = scratch.path("joined-\(run).mp4")
        try Data(whole).write(to: URL(fileURLWithPath: path))
        return path
    }
}

enum Footage {
    /// Moving pictures of 25 a second with a key frame every second, and a tone.
    static func make(_ path: String, seconds: Double = 3, video: [String], audio: [String] = ["-an"], container: [String] = [], seed: Int = 0) throws {
        try ffmpeg(
            ["-f", "lavfi", "-i", "testsrc2=size=320x240:rate=25,hue=h=\(seed * 7 % 360)", "-f", "lavfi", "-i", "sine=frequency=\(440 + seed):sample_rate=48000"]
                + ["-t", "\(seconds)"] + video + audio + container + [path])
    }

    static let h264 = ["-c:v", "libx264", "-preset", "ultrafast", "-g", "25", "-pix_fmt", "yuv420p", "-x264-params", "scenecut=0"]
    static let h264WithBFrames = ["-c:v", "libx264", "-preset", "veryfast", "-g", "25", "-bf", "2", "-pix_fmt", "yuv420p"]
    static let h265 = ["-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "keyint=25:log-level=error", "-tag:v", "hvc1"]
    static let motionJPEG = ["-c:v", "mjpeg", "-pix_fmt", "yuvj420p"]
    static let av1 = ["-c:v", "libsvtav1", "-preset", "12", "-g", "25", "-svtav1-params", "lp=2"]
    static let aac = ["-c:a", "aac"]

    static func ffmpeg(_ arguments: [String]) throws {
        let result = try runBlocking("/usr/bin/env", ["ffmpeg", "-v", "error", "-nostdin", "-y"] + arguments)
        guard result.status == 0 else { throw TestFailure("ffmpeg \(arguments.joined(separator: " ")): \(result.errors)") }
    }

    /// Size and hash of each picture's bytes, in order, as MP4 holds them.
    static func pictures(_ path: String, in scratch: TemporaryDirectory) throws -> [String] {
        // Through MP4 on both sides, so that start codes and lengths are no difference.
        let copy = scratch.path("copy-\(UUID().uuidString).mp4")
        try ffmpeg(["-ignore_editlist", "1", "-i", path].filter { path.hasSuffix(".mp4") || path.hasSuffix(".mov") || !["-ignore_editlist", "1"].contains($0) } + ["-map", "0:v:0", "-c", "copy", "-f", "mp4", copy])
        return try hashes(["-ignore_editlist", "1", "-i", copy, "-map", "0:v:0", "-c", "copy"])
    }

    /// The same of the pictures as a decoder shows them.
    static func decoded(_ path: String) throws -> [String] { try hashes(["-i", path, "-map", "0:v:0", "-fps_mode", "passthrough"]) }

    private static func hashes(_ arguments: [String]) throws -> [String] {
        let result = try runBlocking("/usr/bin/env", ["ffmpeg", "-v", "error", "-nostdin"] + arguments + ["-f", "framemd5", "-"])
        return result.output.split(separator: "\n").filter { !$0.hasPrefix("#") }.map { line in
            line.split(separator: ",").suffix(2).map { $0.filter { $0 != " " } }.joined(separator: " ")
        }
    }

    /// What a decoder says against it; empty when all is well.
    static func complaints(_ path: String) throws -> String {
        let result = try runBlocking("/usr/bin/env", ["ffmpeg", "-v", "error", "-nostdin", "-i", path, "-map", "0", "-f", "null", "-"])
        return result.status == 0 ? result.errors : "status \(result.status): \(result.errors)"
    }

    static func truncate(_ path: String, share: Double) throws {
        let bytes = try Data(contentsOf: URL(fileURLWithPath: path))
        try bytes.prefix(Int(Double(bytes.count) * share)).write(to: URL(fileURLWithPath: path))
    }
}
