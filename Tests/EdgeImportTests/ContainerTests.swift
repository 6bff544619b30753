import EdgeCapture
@testable import EdgeImport
import EdgeJournal
import EvidenceLog
import Foundation
import RecordingModel
import StorageIO
import SystemPackage
import Testing
import TestSupport

/// Whole files: what is imported is what was recorded, picture for picture and byte for byte.
@Suite struct ContainerTests {
    struct Case: Sendable, CustomTestStringConvertible {
        var name: String
        var video: [String]
        var audio: [String] = Footage.aac
        var container: [String] = []
        var testDescription: String { name }
    }

    static let cases = [
        Case(name: "20260102_030405.mp4", video: Footage.h264WithBFrames),
        Case(name: "moov-last.MP4", video: Footage.h264),
        Case(name: "moov-first.mp4", video: Footage.h264, container: ["-movflags", "+faststart"]),
        Case(name: "fragmented.mp4", video: Footage.h264WithBFrames, container: ["-movflags", "+frag_keyframe+empty_moov"]),
        Case(name: "hevc.mp4", video: Footage.h265),
        Case(name: "phone.mov", video: Footage.h264, audio: ["-c:a", "pcm_s16le"]),
        Case(name: "jpeg.mov", video: Footage.motionJPEG),
        Case(name: "dash.ts", video: Footage.h264WithBFrames),
        Case(name: "hevc.ts", video: Footage.h265),
        Case(name: "body.mkv", video: Footage.h264, audio: ["-c:a", "libopus"]),
        Case(name: "av1.mkv", video: Footage.av1),
        Case(name: "MOVI0001.avi", video: Footage.motionJPEG, audio: ["-c:a", "pcm_s16le"]),
        Case(name: "h264.avi", video: Footage.h264, audio: ["-c:a", "mp3"]),
        Case(name: "dvr.mpg", video: Footage.h264, audio: ["-c:a", "mp2"], container: ["-f", "vob"]),
    ]

    @Test("keeps every picture's bytes", arguments: cases)
    func everyPicture(original: Case) throws {
        let bench = try Bench()
        let path = bench.file(original.name)
        try Footage.make(path, video: original.video, audio: original.audio, container: original.container)
        let reports = try bench.stage { $0.segmentMilliseconds = 2_000 }
        let report = try #require(reports.first)
        #expect(report.status == .imported, "\(report)")
        #expect(report.missing == "sound left out")
        let (folder, manifest) = try #require(try bench.manifests().first)
        #expect(manifest.segments.count == 2)
        #expect(manifest.segments.map(\.end) == [.length, .imported])
        #expect(manifest.segments.map(\.frames).reduce(0, +) == 75)
        let joined = try bench.joined(folder, manifest)
        let (ours, theirs) = (try Footage.pictures(joined, in: bench.scratch), try Footage.pictures(path, in: bench.scratch))
        #expect(ours.count == 75)
        // ffmpeg leaves the zero before a start code of 4 bytes at the end of the picture before it.
        if original.name == "hevc.ts" { #expect(try Footage.decoded(joined) == Footage.decoded(path)) } else { #expect(ours == theirs) }
        for record in manifest.segments {
            #expect(try Footage.complaints(folder.appending(SegmentFiles.openName(record.sequence)).string) == "")
        }
        // The boot clock counts from the first picture, without a hole.
        #expect(manifest.segments[0].startBootMilliseconds == 0)
        #expect(manifest.segments[1].startBootMilliseconds == manifest.segments[0].endBootMilliseconds)
        // ffmpeg puts an empty picture into an AVI for the encoder's delay.
        #expect(abs(manifest.segments[1].endBootMilliseconds - 3_000) <= (original.name == "h264.avi" ? 40 : 1))
        let record = manifest.record
        #expect(record.originalSHA256 == ContentHash.sha256(try RealStorage().read(FilePath(path))))
        #expect(record.bootID == ImportRecord.bootID(of: record.originalSHA256))
        #expect(record.originalName == original.name)
        #expect(record.operatorName == "tester")
        #expect(record.isPlausible && manifest.segments.allSatisfy(\.isPlausible))
    }

    @Test(
        "keeps sound only for a reason",
        arguments: [("a.mp4", Footage.aac), ("b.ts", Footage.aac), ("c.mkv", ["-c:a", "libopus"]), ("d.mov", ["-c:a", "pcm_mulaw", "-ar", "8000", "-ac", "1"])])
    func sound(name: String, audio: [String]) throws {
        let bench = try Bench()
        try Footage.make(bench.file(name), video: Footage.h264, audio: audio)
        let report = try #require(try bench.stage { $0.audio = .record(reason: "traffic stop") }.first)
        #expect(report.status == .imported)
        #expect(report.missing == nil)
        let (folder, manifest) = try #require(try bench.manifests().first)
        #expect(manifest.segments[0].codecs.contains(","))
        let joined = try bench.joined(folder, manifest)
        #expect(try Footage.complaints(joined) == "")
        let probe = try runBlocking("/usr/bin/env", ["ffprobe", "-v", "error", "-select_streams", "a", "-count_packets", "-show_entries", "stream=nb_read_packets", "-of", "csv=p=0", joined])
        let packets = try #require(Int(probe.output.filter(\.isNumber)))
        #expect(packets > (name == "d.mov" ? 20 : 130), "\(packets) packets of sound")
    }

    @Test func soundThatCannotBeKeptIsTold() throws {
        let bench = try Bench()
        try Footage.make(bench.file("a.avi"), video: Footage.motionJPEG, audio: ["-c:a", "mp3"])
        let report = try #require(try bench.stage { $0.audio = .record(reason: "test") }.first)
        #expect(report.status == .imported)
        #expect(report.missing?.contains("sound is not recorded") == true)
    }

    @Test func containersSayWhenTheyWereMade() throws {
        let bench = try Bench()
        for name in ["a.mp4", "b.mov", "c.mkv"] {
            try Footage.make(bench.file(name), seconds: 1, video: Footage.h264, container: ["-metadata", "creation_time=2026-01-02T03:04:05Z"], seed: name.utf8.first.map(Int.init) ?? 0)
        }
        try Footage.make(bench.file("d.avi"), seconds: 1, video: Footage.motionJPEG, container: ["-metadata", "ICRD=2026-01-02"])
        try insertIDIT(bench.file("d.avi"), "Fri Jan 02 03:04:05 2026")
        for report in try bench.stage() {
            #expect(report.containerStartUnixMilliseconds == TimeTests.moment, "\(report)")
            #expect(report.timeSource == .container)
            #expect(report.start?.unixMilliseconds == TimeTests.moment)
        }
        #expect(try bench.manifests().count == 4)
    }

    /// Puts an IDIT chunk into the header list of an AVI, as cameras do and ffmpeg does not.
    private func insertIDIT(_ path: String, _ text: String) throws {
        var bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
        func number(at offset: Int) -> Int { (0..<4).reduce(0) { $0 | Int(bytes[offset + $1]) << ($1 * 8) } }
        func put(_ value: Int, at offset: Int) { for index in 0..<4 { bytes[offset + index] = UInt8(truncatingIfNeeded: value >> (index * 8)) } }
        let content = Array(text.utf8) + [10, 0]
        let chunk = Array("IDIT".utf8) + (0..<4).map { UInt8(truncatingIfNeeded: content.count >> ($0 * 8)) } + content
        let end = 12 + 8 + number(at: 16)
        bytes.insert(contentsOf: chunk, at: end)
        put(number(at: 4) + chunk.count, at: 4)
        put(number(at: 16) + chunk.count, at: 16)
        try Data(bytes).write(to: URL(fileURLWithPath: path))
    }

    @Test func aNewSizeWithinTheFileBeginsANewRun() throws {
        let bench = try Bench()
        // Joined before they are muxed: joined transport streams would also break their packets' count.
        try Footage.make(bench.scratch.path("a.h264"), seconds: 2, video: Footage.h264)
        try Footage.make(bench.scratch.path("b.h264"), seconds: 2, video: ["-s", "640x360"] + Footage.h264)
        let both = try ["a.h264", "b.h264"].flatMap { [UInt8](try Data(contentsOf: URL(fileURLWithPath: bench.scratch.path($0)))) }
        try Data(both).write(to: URL(fileURLWithPath: bench.scratch.path("both.h264")))
        try Footage.ffmpeg(["-fflags", "+genpts", "-r", "25", "-i", bench.scratch.path("both.h264"), "-c", "copy", bench.file("both.ts")])
        try bench.stage()
        let (folder, manifest) = try #require(try bench.manifests().first)
        #expect(manifest.segments.map(\.end) == [.parametersChanged, .imported])
        #expect(manifest.segments.map(\.run) == [0, 1])
        #expect(manifest.segments.map(\.widthPixels) == [320, 640])
        #expect(manifest.segments.map(\.frames).reduce(0, +) >= 98)
        #expect(abs(manifest.segments[1].startBootMilliseconds - manifest.segments[0].endBootMilliseconds) <= 40)
        for record in manifest.segments {
            #expect(try Footage.complaints(folder.appending(SegmentFiles.openName(record.sequence)).string) == "")
        }
    }

    @Test func aClockThatStepsBackWithinTheFileLosesNothing() throws {
        let bench = try Bench()
        try Footage.make(bench.scratch.path("a.ts"), seconds: 2, video: Footage.h264, container: ["-output_ts_offset", "500"])
        try Footage.make(bench.scratch.path("b.ts"), seconds: 2, video: Footage.h264, container: ["-output_ts_offset", "20"])
        let both = try ["a.ts", "b.ts"].flatMap { [UInt8](try Data(contentsOf: URL(fileURLWithPath: bench.scratch.path($0)))) }
        try Data(both).write(to: URL(fileURLWithPath: bench.file("both.ts")))
        let report = try #require(try bench.stage().first)
        #expect(report.missing?.contains("the timestamps step 1 time") == true, "\(report)")
        let (_, manifest) = try #require(try bench.manifests().first)
        #expect(manifest.segments.count == 2)
        #expect(manifest.segments[1].startBootMilliseconds == manifest.segments[0].endBootMilliseconds)
        #expect(manifest.segments.map(\.frames).reduce(0, +) >= 98)
    }

    @Test func anAVIWithBFramesSaysThatItsOrderIsNotKnown() throws {
        let bench = try Bench()
        try Footage.make(bench.file("a.avi"), video: Footage.h264WithBFrames)
        let report = try #require(try bench.stage().first)
        #expect(report.status == .imported)
        #expect(report.missing?.contains("out of order") == true, "\(report)")
    }

    @Test func theNodeTakesOverWhatWasStaged() throws {
        let bench = try Bench()
        try Footage.make(bench.file("20260102_030405.mp4"), video: Footage.h264WithBFrames)
        try Footage.make(bench.file("20260102_030305.mp4"), video: Footage.h264, seed: 3)
        try bench.withJournal { _ in }
        #expect(try bench.stage { $0.segmentMilliseconds = 2_000 }.map(\.name) == ["20260102_030305.mp4", "20260102_030405.mp4"])
        let hashes = Set(try bench.manifests().map(\.manifest.record.originalSHA256))
        try bench.withJournal { journal in
            let adopted = try journal.adoptImports()
            #expect(adopted.map(\.outcome) == [.adopted, .adopted])
            #expect(adopted.map(\.record?.originalName) == ["20260102_030305.mp4", "20260102_030405.mp4"])
            #expect(try journal.importedOriginals() == hashes)
        }
        #expect(try bench.manifests().isEmpty)
        let reader = try JournalReader(dataDirectory: bench.data)
        let report = try reader.check(deep: true)
        #expect(report.isClean, "\(report.findings)")
        #expect(report.segments == 4)
        // The same card again, and a copy of one of its files under another name.
        try FileManager.default.copyItem(atPath: bench.file("20260102_030405.mp4"), toPath: bench.file("copy.mp4"))
        let again = try bench.stage(known: try reader.importedOriginals())
        #expect(again.map(\.status) == [.known, .known, .known])
        #expect(try bench.manifests().isEmpty)
    }
}
