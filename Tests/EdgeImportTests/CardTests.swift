import EdgeCapture
@testable import EdgeImport
import EvidenceLog
import Foundation
import RecordingModel
import StorageIO
import SystemPackage
import Testing
import TestSupport

/// The card stays as it is, whatever is on it, and an import may end at any point.
@Suite struct CardTests {
    /// Every name below a folder with its kind, length, times and content.
    private func listing(_ root: String) throws -> [String] {
        let names = try #require(FileManager.default.enumerator(atPath: root)).compactMap { $0 as? String } + [""]
        return try names.sorted().map { name in
            var information = stat()
            try #require(lstat("\(root)/\(name)", &information) == 0)
            let isFile = information.st_mode & S_IFMT == S_IFREG
            let hash = isFile ? ContentHash.sha256([UInt8](try Data(contentsOf: URL(fileURLWithPath: "\(root)/\(name)")))).hex : ""
            let times = [information.st_mtim, information.st_ctim].map { "\($0.tv_sec).\($0.tv_nsec)" }
            return "\(name) \(information.st_mode) \(information.st_size) \(times) \(information.st_ino) \(hash)"
        }
    }

    @Test func theCardIsOnlyRead() throws {
        let bench = try Bench()
        try FileManager.default.createDirectory(atPath: bench.file("DCIM/100MEDIA"), withIntermediateDirectories: true)
        try Footage.make(bench.file("DCIM/100MEDIA/20260102_030405.mp4"), seconds: 1, video: Footage.h264)
        try Footage.make(bench.file("DCIM/MOVI0001.avi"), seconds: 1, video: Footage.motionJPEG)
        try Data("x".utf8).write(to: URL(fileURLWithPath: bench.file("broken.mp4")))
        // Older than a day: then reading is noted even by a file system that spares itself the trouble (relatime).
        let names = ["DCIM/100MEDIA/20260102_030405.mp4", "DCIM/MOVI0001.avi", "broken.mp4", "DCIM/100MEDIA", "DCIM"]
        for name in names {
            var times = [timespec(tv_sec: 1_700_000_000, tv_nsec: 0), timespec(tv_sec: 1_700_000_000, tv_nsec: 0)]
            try #require(utimensat(AT_FDCWD, bench.file(name), &times, 0) == 0)
        }
        let reports = try bench.stage()
        for name in names {
            var information = stat()
            try #require(lstat(bench.file(name), &information) == 0)
            #expect(information.st_atim.tv_sec == 1_700_000_000, "\(name) was read and shows it")
        }
        let before = try listing(bench.card.string)
        #expect(reports.map(\.status).filter { $0 == .imported }.count == 2)
        _ = try bench.stage(now: 1_800_000_100_000)
        #expect(try listing(bench.card.string) == before)
    }

    @Test func aCardThatCannotBeWrittenIsNoObstacle() throws {
        let bench = try Bench()
        try Footage.make(bench.file("a.mp4"), seconds: 1, video: Footage.h264)
        // For root a mode is no obstacle, but a missing write is what counts: the listing stays, see above.
        chmod(bench.file("a.mp4"), 0o400)
        chmod(bench.card.string, 0o500)
        defer { chmod(bench.card.string, 0o700) }
        #expect(try bench.stage().map(\.status) == [.imported])
    }

    @Test func linksAndOtherFilesArePassedOver() throws {
        let bench = try Bench()
        try FileManager.default.createDirectory(atPath: bench.file("DCIM/.Trashes"), withIntermediateDirectories: true)
        for name in ["GX010001.THM", "GX010001.LRV", "track.gpx", "DCIM/.hidden.mp4", "DCIM/._a.mp4", "DCIM/.Trashes/b.mp4", "notes.txt"] {
            try Data("x".utf8).write(to: URL(fileURLWithPath: bench.file(name)))
        }
        try Footage.make(bench.scratch.path("outside.mp4"), seconds: 1, video: Footage.h264)
        try FileManager.default.createSymbolicLink(atPath: bench.file("link.mp4"), withDestinationPath: bench.scratch.path("outside.mp4"))
        try FileManager.default.createSymbolicLink(atPath: bench.file("loop"), withDestinationPath: bench.card.string)
        try #require(mkfifo(bench.file("pipe.mp4"), 0o600) == 0)
        let scan = try CardScan(bench.card)
        #expect(scan.entries.isEmpty)
        #expect(scan.others == 6)
        #expect(scan.links == 2)
        #expect(throws: CardReadFailure.self) { try CardScan(FilePath(bench.file("missing"))) }
    }

    @Test("takes any name for what it is: data", arguments: [
        "-rf.mp4", "--dry-run.mp4", "file:etc-passwd.mp4", "concat:a|b.mp4", "http:evil.mp4", "%2e%2e%2f.mp4", "a\nb\r.mp4", "\u{1b}[2J.mp4", "a'\"$(id)`.mp4",
        "a..mp4", "名前\u{202e}4pm.mp4", "<script>.mp4", "{{x}}.mp4", "a?b=c&d#e.mp4", "\u{7f}.mp4", String(repeating: "n", count: 250) + ".mp4",
    ])
    func hostileName(name: String) throws {
        let bench = try Bench()
        try Footage.make(bench.scratch.path("whole.mp4"), seconds: 1, video: Footage.h264)
        try FileManager.default.moveItem(atPath: bench.scratch.path("whole.mp4"), toPath: bench.file(name))
        let report = try #require(try bench.stage().first)
        #expect(report.status == .imported, "\(report)")
        let (folder, manifest) = try #require(try bench.manifests().first)
        #expect(manifest.record.originalName == name)
        #expect(manifest.record.isPlausible)
        #expect(try RealStorage().list(folder) == ["0000000000.fragments", "0000000000.open.mp4", "manifest.json"])
        #expect(try RealStorage().list(bench.data) == ["imports"])
    }

    @Test func aNameNeedNotBeText() throws {
        let bench = try Bench()
        try Footage.make(bench.scratch.path("whole.mp4"), seconds: 1, video: Footage.h264)
        let path = Array(bench.card.string.utf8) + Array("/a".utf8) + [0xff, 0xfe, 0x80] + Array(".mp4".utf8) + [0]
        try #require(rename(bench.scratch.path("whole.mp4"), path.map { CChar(bitPattern: $0) }) == 0)
        #expect(try bench.stage().map(\.status) == [.imported])
    }

    @Test func aLongPathIsCutInTheRecordOnly() throws {
        let bench = try Bench()
        let folder = (0..<8).map { "\($0)" + String(repeating: "d", count: 200) }.joined(separator: "/")
        try FileManager.default.createDirectory(atPath: bench.file(folder), withIntermediateDirectories: true)
        try Footage.make(bench.scratch.path("whole.mp4"), seconds: 1, video: Footage.h264)
        try FileManager.default.moveItem(atPath: bench.scratch.path("whole.mp4"), toPath: bench.file(folder + "/20260102_030405.mp4"))
        let report = try #require(try bench.stage().first)
        #expect(report.status == .imported)
        #expect(report.name.utf8.count <= 1_000 && report.name.hasPrefix("…") && report.name.hasSuffix("/20260102_030405.mp4"))
    }

    @Test func foldersWithinOneAnotherAreSeen() throws {
        let bench = try Bench()
        #expect(areNested(bench.card, FilePath(bench.file("below"))))
        #expect(areNested(FilePath(bench.scratch.path("card/../data")), bench.data))
        try FileManager.default.createSymbolicLink(atPath: bench.scratch.path("link"), withDestinationPath: bench.data.string)
        #expect(areNested(FilePath(bench.scratch.path("link")), bench.data))
        #expect(!areNested(bench.card, bench.data))
        #expect(!areNested(FilePath(bench.scratch.path("car")), bench.card))
    }

    @Test func whatABrokenOffImportLeftIsRemovedAtTheNext() throws {
        let bench = try Bench()
        try Footage.make(bench.file("a.mp4"), seconds: 1, video: Footage.h264)
        try bench.stage()
        let complete = try #require(try bench.manifests().first).folder
        let imports = bench.data.appending("imports")
        for (folder, name) in [("00000000000000ab", "0000000000.open.mp4"), ("00000000000000cd", "manifest.json.new")] {
            try RealStorage().makeDirectory(imports.appending(folder))
            try Data("half".utf8).write(to: URL(fileURLWithPath: imports.appending(folder).appending(name).string))
        }
        // The complete one stays, and what is in it is known.
        #expect(try bench.stage(now: 1_800_000_001_000).map(\.status) == [.known])
        #expect(try RealStorage().list(imports) == [complete.lastComponent?.string, "lock"])
    }

    @Test func oneImportAtATime() throws {
        let bench = try Bench()
        let first = try StagingArea(dataDirectory: bench.data, storage: RealStorage(), nowUnixMilliseconds: 0)
        #expect(throws: DirectoryIsLocked.self) { try StagingArea(dataDirectory: bench.data, storage: RealStorage(), nowUnixMilliseconds: 0) }
        withExtendedLifetime(first) {}
    }

    @Test func twoFilesOfOneContentAreOneOriginal() throws {
        let bench = try Bench()
        try Footage.make(bench.file("a.mp4"), seconds: 1, video: Footage.h264)
        try FileManager.default.copyItem(atPath: bench.file("a.mp4"), toPath: bench.file("b.mp4"))
        #expect(try bench.stage().map(\.status).sorted { $0.rawValue < $1.rawValue } == [.imported, .known])
        #expect(try bench.manifests().count == 1)
    }

    @Test func aFullDiskStopsTheImportWithASentence() throws {
        let bench = try Bench()
        for number in 0..<4 { try Footage.make(bench.file("\(number).mp4"), seconds: 1, video: Footage.h264, seed: number) }
        let error = #expect(throws: ImportStopped.self) { try bench.stage { $0.reserveBytes = { $0.availableBytes } } }
        #expect(error?.description.contains("make room") == true)
        #expect(try RealStorage().list(bench.data.appending("imports")) == ["lock"])
    }

    @Test func aRunningRecorderIsAskedForRoom() throws {
        let bench = try Bench()
        try Footage.make(bench.file("a.mp4"), seconds: 1, video: Footage.h264)
        let wanted = bench.data.appending(ImportManifest.folderName).appending(ImportManifest.wantedName)
        let recorder = try DirectoryLock(bench.data.appending("lock"), heldSentence: "")
        let report = try withExtendedLifetime(recorder) {
            // The room is there as soon as it was asked for.
            try bench.stage { $0.reserveBytes = { (try? RealStorage().size(wanted)) ?? nil == nil ? $0.availableBytes : 0 } }
        }
        #expect(report.map(\.status) == [.imported])
        #expect(try RealStorage().size(wanted) == nil)
        let error = try withExtendedLifetime(recorder) {
            #expect(throws: ImportStopped.self) {
                try Footage.make(bench.file("b.mp4"), seconds: 1, video: Footage.h264, seed: 1)
                try bench.stage(now: 1_800_000_100_000) {
                    $0.reserveBytes = { $0.availableBytes }
                    $0.roomPatience = 3
                }
            }
        }
        #expect(error?.description.contains("forward") == true)
        #expect(try RealStorage().size(wanted) == nil)
    }

    @Test("keeps what was finished when the disk fails at any write", arguments: 1...12)
    func failingDisk(call: Int) throws {
        let bench = try Bench()
        for number in 0..<3 { try Footage.make(bench.file("2026010\(number + 1)_000000.mp4"), seconds: 1, video: Footage.h264, seed: number) }
        _ = try? bench.stage(storage: FailingStorage(failAt: call * 4))
        let finished = try bench.manifests().map(\.manifest.record.originalSHA256)
        // All that is there is whole, and the rest comes with the next call.
        for (folder, manifest) in try bench.manifests() { _ = try bench.joined(folder, manifest) }
        let again = try bench.stage(now: 1_800_000_100_000)
        #expect(again.filter { $0.status == .known }.count == finished.count)
        #expect(again.filter { $0.status == .imported }.count == 3 - finished.count)
    }

    @Test func aDryRunWritesNoFootage() throws {
        let bench = try Bench()
        try Footage.make(bench.file("20260102_030405.mp4"), seconds: 1, video: Footage.h264)
        let report = try #require(try bench.stage { $0.isDryRun = true }.first)
        #expect(report.status == .new)
        #expect(report.timeSource == .fileName)
        #expect(try RealStorage().list(bench.data.appending("imports")) == ["lock"])
    }

    @Test func filesComeInTheOrderOfTheirStart() throws {
        let bench = try Bench()
        for (number, name) in ["zz/20260102_030405.mp4", "aa/20260102_030605.mp4", "mm/20260102_030505.mp4"].enumerated() {
            try FileManager.default.createDirectory(atPath: bench.file(String(name.prefix(2))), withIntermediateDirectories: true)
            try Footage.make(bench.file(name), seconds: 1, video: Footage.h264, seed: number)
        }
        #expect(try bench.stage().map { $0.name.prefix(2) } == ["zz", "mm", "aa"])
        #expect(try bench.manifests().map { $0.manifest.record.originalName.prefix(2) } == ["zz", "mm", "aa"])
    }
}
