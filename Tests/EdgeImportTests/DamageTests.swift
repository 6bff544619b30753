import EdgeCapture
@testable import EdgeImport
import EdgeJournal
import EvidenceLog
import Foundation
import RecordingModel
import StorageIO
import Synchronization
import SystemPackage
import Testing
import TestSupport

/// Files as cameras leave them that fell, drowned or lost their power.
@Suite struct DamageTests {
    struct Case: Sendable, CustomTestStringConvertible {
        var name: String
        var video: [String] = Footage.h264
        var container: [String] = []
        var share = 0.6
        /// Of 125 pictures.
        var pictures: ClosedRange<Int>
        var says: String
        var testDescription: String { name }
    }

    static let cutFiles = [
        Case(name: "moov-first.mp4", container: ["-movflags", "+faststart"], pictures: 60...80, says: "the file ends after"),
        Case(name: "fragmented.mp4", container: ["-movflags", "+frag_keyframe+empty_moov"], pictures: 50...80, says: "the file breaks off"),
        Case(name: "cut.ts", pictures: 50...80, says: "the file breaks off"),
        Case(name: "cut.mkv", pictures: 60...80, says: "the file ends after"),
        Case(name: "no-index.avi", video: Footage.motionJPEG, pictures: 60...80, says: "the file breaks off after"),
    ]

    @Test("imports what is there of a file that was cut", arguments: cutFiles)
    func cut(original: Case) throws {
        let bench = try Bench()
        let path = bench.file(original.name)
        try Footage.make(path, seconds: 5, video: original.video, container: original.container)
        let whole = try Footage.pictures(path, in: bench.scratch)
        try Footage.truncate(path, share: original.share)
        let report = try #require(try bench.stage().first)
        #expect(report.status == .damaged, "\(report)")
        #expect(report.missing?.contains(original.says) == true, "\(report.missing ?? "nothing")")
        let (folder, manifest) = try #require(try bench.manifests().first)
        #expect(manifest.record.missing == report.missing)
        let joined = try bench.joined(folder, manifest)
        let kept = try Footage.pictures(joined, in: bench.scratch)
        #expect(original.pictures.contains(kept.count), "\(kept.count) pictures")
        #expect(Array(whole.prefix(kept.count)) == kept)
        #expect(try Footage.complaints(joined) == "")
    }

    @Test("imports both sides of a hole", arguments: ["hole.ts", "hole.mkv"])
    func hole(name: String) throws {
        let bench = try Bench()
        let path = bench.file(name)
        try Footage.make(path, seconds: 8, video: Footage.h264)
        var bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
        let packets = bytes.count / 188
        bytes.removeSubrange((packets * 3 / 8 * 188)..<(packets * 5 / 8 * 188))
        try Data(bytes).write(to: URL(fileURLWithPath: path))
        let report = try #require(try bench.stage().first)
        #expect(report.status == .damaged, "\(report)")
        #expect(report.missing?.contains("could not be read") == true, "\(report.missing ?? "nothing")")
        let (folder, manifest) = try #require(try bench.manifests().first)
        #expect(manifest.segments.count == 2)
        #expect(manifest.segments.map(\.run) == [0, 1])
        // The second stretch stands where it was in the file's own time.
        #expect(abs(manifest.segments[1].endBootMilliseconds - 8_000) < 200, "\(manifest.segments.map(\.endBootMilliseconds))")
        #expect(manifest.segments[1].startBootMilliseconds - manifest.segments[0].endBootMilliseconds > 1_000)
        // Matroska has no counters: a block whose end was lost is taken with bytes that are another's.
        for record in manifest.segments where name == "hole.ts" {
            #expect(try Footage.complaints(folder.appending(SegmentFiles.openName(record.sequence)).string) == "")
        }
    }

    @Test func aFileWithoutItsIndexIsUnreadableAndSaysSo() throws {
        let bench = try Bench()
        try Footage.make(bench.file("a.mp4"), video: Footage.h264)
        try Footage.truncate(bench.file("a.mp4"), share: 0.5)
        try Data().write(to: URL(fileURLWithPath: bench.file("b.mp4")))
        try Data(count: 100_000).write(to: URL(fileURLWithPath: bench.file("c.mov")))
        try Data("This is no footage at all, whatever its name says.".utf8).write(to: URL(fileURLWithPath: bench.file("d.avi")))
        let reports = try bench.stage().sorted { $0.name < $1.name }
        #expect(reports.map(\.status) == [.unreadable, .unreadable, .unreadable, .unsupported])
        #expect(reports[0].reason?.contains("before its index (moov)") == true)
        #expect(reports[1].reason == "the file is empty")
        #expect(reports[2].reason?.contains("zeros only") == true)
        #expect(reports[3].reason?.contains("none of MP4") == true)
        #expect(try bench.manifests().isEmpty)
        #expect(try RealStorage().list(bench.data.appending("imports")) == ["lock"])
    }

    @Test func whatBrowsersCannotPlayIsUnsupportedAndTheRestGoesOn() throws {
        let bench = try Bench()
        try Footage.make(bench.file("1-xvid.avi"), video: ["-c:v", "mpeg4"])
        try Footage.make(bench.file("2-wmv.mkv"), video: ["-c:v", "wmv2"])
        try Footage.make(bench.file("3-good.mp4"), video: Footage.h264)
        try Footage.ffmpeg(["-f", "lavfi", "-i", "sine=duration=1", bench.file("4-sound.mp4")])
        let reports = try bench.stage().sorted { $0.name < $1.name }
        #expect(reports.map(\.status) == [.unsupported, .unsupported, .imported, .unsupported])
        #expect(reports[0].reason?.contains("mpeg4") == true)
        #expect(reports[3].reason?.contains("no picture") == true)
    }

    @Test("survives flipped bits and zeroed pages anywhere", arguments: ["a.mp4", "b.mkv", "c.ts", "d.avi", "e.mov", "f.mpg"])
    func flips(name: String) throws {
        let bench = try Bench()
        try bench.withJournal { _ in }
        let whole = bench.scratch.path(name)
        try Footage.make(
            whole, seconds: 2, video: name == "d.avi" ? Footage.motionJPEG : Footage.h264, audio: name == "f.mpg" ? ["-c:a", "mp2"] : Footage.aac,
            container: name == "f.mpg" ? ["-f", "vob"] : [])
        let bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: whole)))
        let seed = UInt64.random(in: 0...UInt64.max)
        var state = seed
        func random(_ bound: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int(state >> 33) % bound
        }
        let ending = name.suffix(4)
        for number in 0..<12 {
            var damaged = bytes
            switch number % 3 {
            case 0: for _ in 0..<20 { damaged[random(damaged.count)] ^= 1 << UInt8(random(8)) }
            // Headers are at the beginning or the end.
            case 1: for _ in 0..<10 { damaged[number % 2 == 0 ? random(600) : damaged.count - 1 - random(3_000)] = UInt8(random(256)) }
            default: let start = random(damaged.count); for index in start..<min(damaged.count, start + 4_096) { damaged[index] = 0 }
            }
            try Data(damaged).write(to: URL(fileURLWithPath: bench.file("\(number)\(ending)")))
        }
        let reports = try bench.stage()
        #expect(reports.count == 12, "seed \(seed)")
        for (folder, manifest) in try bench.manifests() {
            #expect(manifest.record.isPlausible && manifest.segments.allSatisfy(\.isPlausible), "seed \(seed)")
            #expect(!manifest.segments.isEmpty)
            for run in Set(manifest.segments.map(\.run)) { _ = try bench.joined(folder, manifest, run: run) }
        }
        try bench.withJournal { journal in
            for adopted in try journal.adoptImports() { #expect(adopted.outcome == .adopted || adopted.outcome == .alreadyKnown, "seed \(seed): \(adopted)") }
        }
    }

    @Test func whatTheCardCannotReadCountsAsZeros() throws {
        let content = (0..<100_000).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ 1) }
        let bad = 20_000..<30_000
        let file = CardFile(name: "a", length: Int64(content.count)) { offset, buffer in
            let range = Int(offset)..<min(content.count, Int(offset) + buffer.count)
            if range.overlaps(bad) { throw CardReadFailure(description: "Input/output error") }
            content.withUnsafeBytes { buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[range])) }
            return range.count
        }
        var expected = content
        // Blocks of 4,096 bytes that the bad range touches.
        for index in (4 * 4_096)..<(8 * 4_096) { expected[index] = 0 }
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 16, alignment: 16)
        defer { buffer.deallocate() }
        #expect(try file.sha256(buffer: buffer) { _ in } == ContentHash.sha256(expected))
        #expect(file.unreadableBytes == 4 * 4_096)
        #expect(try file.read(at: 0, count: 100_000) == expected)
        #expect(file.unreadableBytes == 4 * 4_096)
    }

    @Test func aCardThatIsPulledOutAfterItsFileWasHashedIsNotImportedWithZeros() throws {
        let bench = try Bench()
        try Footage.make(bench.file("a.mp4"), seconds: 2, video: Footage.h264)
        let content = [UInt8](try Data(contentsOf: URL(fileURLWithPath: bench.file("a.mp4"))))
        let staging = try StagingArea(dataDirectory: bench.data, storage: RealStorage(), nowUnixMilliseconds: 1_800_000_000_000)
        let importer = try Importer(bench.settings(), staging: staging, known: []) { entry in
            var served = 0
            return CardFile(name: entry.name, length: Int64(content.count)) { offset, buffer in
                // Once for the hash, and then the header and half of the pictures.
                let range = Int(offset)..<min(content.count, Int(offset) + buffer.count)
                if served >= content.count, range.upperBound > content.count / 2 { throw CardReadFailure(description: "Input/output error") }
                served += range.count
                content.withUnsafeBytes { buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[range])) }
                return range.count
            }
        }
        let reports = Mutex<[FileReport]>([])
        _ = try importer.run(CardScan(bench.card).entries) { report in reports.withLock { $0.append(report) } }
        let report = try #require(reports.withLock { $0 }.first)
        #expect(report.status == .unreadable && report.reason?.contains("put it in again") == true, "\(report)")
        #expect(try bench.manifests().isEmpty)
        #expect(try RealStorage().list(bench.data.appending("imports")) == ["lock"])
    }

    @Test func aDeadStretchOfACardCostsWhatIsInIt() throws {
        // 16 MiB in the middle of 64, and the last 8.
        let bad = [16 << 20..<32 << 20, 56 << 20..<64 << 20]
        var calls = 0
        let file = CardFile(name: "a", length: 64 << 20) { offset, buffer in
            calls += 1
            let range = Int(offset)..<Int(offset) + buffer.count
            if bad.contains(where: { $0.overlaps(range) }) { throw CardReadFailure(description: "Input/output error") }
            buffer.initializeMemory(as: UInt8.self, repeating: 7)
            return buffer.count
        }
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 16)
        defer { buffer.deallocate() }
        _ = try file.sha256(buffer: buffer) { _ in }
        #expect(file.unreadableBytes == 24 << 20)
        #expect(calls < 3_000, "a dead stretch is not asked for block by block to its end")
        #expect(try file.read(at: 40 << 20, count: 3) == [7, 7, 7])
    }

    @Test func aCardThatIsPulledOutIsGivenUp() throws {
        let file = CardFile(name: "a", length: 1 << 30) { _, _ in throw CardReadFailure(description: "No such device") }
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 16)
        defer { buffer.deallocate() }
        #expect(throws: CardReadFailure.self) { try file.sha256(buffer: buffer) { _ in } }
    }
}
