import EvidenceLog
import Foundation
import RecordingModel
import TestSupport
import Testing

@testable import fieldpost

@Suite struct VerifyTests {
    private func check(_ path: String, _ known: KnownKeys = KnownKeys()) -> Report { FootageCheck(known: known).check(path) }

    @Test func aJoinedFileIsIntactWithItsGaps() async throws {
        let folder = try TemporaryDirectory()
        let footage = try await Footage(in: folder.path)
        let path = folder.path + "/joined.mp4"
        try await footage.join(to: path)
        let report = check(path, KnownKeys(node: footage.bundle.node, hubKey: NoteKey(text: footage.bundle.hubKey)))
        #expect(report.verdict == .intactWithGaps)
        #expect(report.segments == 3)
        #expect(report.gaps.count == 1)
        #expect(report.isNodeExpected)
        #expect(report.witnessedUnixSeconds == UInt64(Footage.start / 1_000) + 60)
    }

    /// Every byte of the file, one at a time: none may pass, and the range named must hold it.
    @Test func everyFlippedByteIsFound() async throws {
        let folder = try TemporaryDirectory()
        let footage = try await Footage(in: folder.path)
        let path = folder.path + "/joined.mp4"
        try await footage.join(to: path)
        var bytes = Array(try Data(contentsOf: URL(fileURLWithPath: path)))
        // All of the headers' bytes, and of the rest one in so many that the test stays short.
        let moof = try #require(try Box.list(bytes, 0..<bytes.count).first { $0.type == "moof" })
        let places = Array(0..<(moof.end + 64)) + Array(stride(from: moof.end + 64, to: bytes.count, by: 251)) + [bytes.count - 1]
        for place in places {
            bytes[place] ^= 0x20
            try Data(bytes).write(to: URL(fileURLWithPath: path))
            bytes[place] ^= 0x20
            let report = check(path)
            #expect(report.verdict == .altered, "byte \(place)")
            let damage = try #require(report.damage)
            #expect(damage.firstByte <= Int64(place) && Int64(place) < damage.endByte, "byte \(place): \(damage)")
        }
    }

    @Test func bytesMoreOrLessAreFound() async throws {
        let folder = try TemporaryDirectory()
        let footage = try await Footage(in: folder.path)
        let path = folder.path + "/joined.mp4"
        try await footage.join(to: path)
        let bytes = try Data(contentsOf: URL(fileURLWithPath: path))
        for changed in [bytes + Data([0]), bytes.dropLast(), bytes.prefix(10), Data(), bytes.prefix(bytes.count / 2)] {
            try Data(changed).write(to: URL(fileURLWithPath: path))
            #expect(check(path).verdict == .altered)
        }
    }

    @Test func whatIsNotProvenIsNotCalledIntact() async throws {
        let folder = try TemporaryDirectory()
        let footage = try await Footage(in: folder.path, cosigned: false)
        let path = folder.path + "/joined.mp4"
        try await footage.join(to: path)
        #expect(check(path).verdict == .unwitnessed)
        let stranger = try #require(NodeID(String(repeating: "12", count: 32)))
        #expect(check(path, KnownKeys(node: stranger)).verdict == .unknownKey)

        let proofPath = FootageProof.path(for: path)
        var proof = try JSONDecoder().decode(FootageProof.self, from: Data(contentsOf: URL(fileURLWithPath: proofPath)))
        proof.bundle.segments[1].line = proof.bundle.segments[1].line.replacingOccurrences(of: "yard", with: "barn")
        try JSONEncoder().encode(proof).write(to: URL(fileURLWithPath: proofPath))
        #expect(check(path).verdict == .altered)

        try Data("{}".utf8).write(to: URL(fileURLWithPath: proofPath))
        #expect(check(path).verdict == .unreadable)
        try FileManager.default.removeItem(atPath: proofPath)
        #expect(check(path).verdict == .unsigned)
    }

    @Test func swappedOrLeftOutPartsAreFound() async throws {
        let folder = try TemporaryDirectory()
        let footage = try await Footage(in: folder.path)
        let path = folder.path + "/joined.mp4"
        try await footage.join(to: path)
        let proofPath = FootageProof.path(for: path)
        let original = try JSONDecoder().decode(FootageProof.self, from: Data(contentsOf: URL(fileURLWithPath: proofPath)))
        func verdict(_ change: (inout FootageProof) -> Void) throws -> Verdict {
            var proof = original
            change(&proof)
            try JSONEncoder().encode(proof).write(to: URL(fileURLWithPath: proofPath))
            return check(path).verdict
        }
        #expect(try verdict { $0.parts.swapAt(0, 1) } == .altered)
        #expect(try verdict { _ = $0.parts.removeLast() } == .altered)
        #expect(try verdict { $0.parts[1].trackShifts["1"] = 5 } == .altered)
        #expect(try verdict { $0.parts[0].fragments = [] } == .intactWithGaps)
        #expect(try verdict { $0.parts = [] } == .unreadable)
        #expect(try verdict { $0.initBytes = -1 } == .unreadable)
    }

    @Test func aSegmentAloneIsCheckedAgainstAPlainProof() async throws {
        let folder = try TemporaryDirectory()
        let footage = try await Footage(in: folder.path)
        let path = folder.path + "/segment.mp4"
        try Data(footage.contents[1].bytes).write(to: URL(fileURLWithPath: path))
        try JSONEncoder().encode(footage.bundle).write(to: URL(fileURLWithPath: FootageProof.path(for: path)))
        #expect(check(path).verdict == .intact)
        #expect(try FolderCheck(known: KnownKeys()).check(folder.path).contains { $0.verdict == .intact })
        try Data(footage.contents[1].bytes.dropLast()).write(to: URL(fileURLWithPath: path))
        #expect(check(path).verdict == .altered)
    }
}

@Suite struct WordsTests {
    @Test(arguments: [
        ("2026-11-21T08:30:00Z", 1_795_249_800_000), ("2026-11-21T08:30:00.250Z", 1_795_249_800_250), ("2026-11-21T13:30:00+05:00", 1_795_249_800_000),
        ("2026-11-21 08:30:00", 1_795_249_800_000), ("2026-11-21T08:30", 1_795_249_800_000), ("2026-11-21T08:30Z", 1_795_249_800_000),
    ] as [(String, Int64)])
    func timesAreReadAsUTCUnlessTheyCarryAnOffset(text: String, expected: Int64) {
        #expect(Words.milliseconds(text) == expected)
    }

    @Test(arguments: ["", "yesterday", "2026-13-01T00:00:00Z", "1795249800", "2026-11-21"])
    func whatIsNoTimeIsRefused(text: String) {
        #expect(Words.milliseconds(text) == nil)
    }

    @Test func laterFilesGetANumberBeforeTheirEnding() {
        #expect(Get.name("a.b/clip.mp4", part: 0) == "a.b/clip.mp4")
        #expect(Get.name("a.b/clip.mp4", part: 1) == "a.b/clip-2.mp4")
        #expect(Get.name("a.b/clip", part: 2) == "a.b/clip-3")
    }

    @Test(arguments: ["http://hub", "hub:8443", "https://", "https://hub/path", "https://user@hub", "https://hub?x"])
    func anAddressThatIsNoHubIsRefused(text: String) {
        #expect(throws: Failure.self) { try HubAddress(text) }
    }

    @Test func aHubsAddressIsKeptInOneForm() throws {
        #expect(try HubAddress("https://hub.example/").url == "https://hub.example:443")
        #expect(try HubAddress("https://127.0.0.1:8443").host == "127.0.0.1")
    }
}
