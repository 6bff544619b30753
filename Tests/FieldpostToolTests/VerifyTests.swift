import EvidenceLog
import Foundation
import RecordingModel
import TestSupport
import Testing

@testable import fieldpost

@Suite struct VerifyTests {
    private func check(_ path: String, _ known: KnownKeys = KnownKeys()) -> Report { FootageCheck(known: known).check(path) }

    private func check(_ path: String, of footage: Footage) -> Report { check(path, footage.known) }

    @Test func aJoinedFileIsIntactWithItsGaps() async throws {
        let folder = try TemporaryDirectory()
        let footage = try await Footage(in: folder.path)
        let path = folder.path + "/joined.mp4"
        try await footage.join(to: path)
        let report = check(path, KnownKeys(node: footage.bundle.node, hubKey: NoteKey(text: footage.bundle.hubKey)))
        #expect(report.verdict == .intactWithGaps)
        #expect(report.missing.isEmpty)
        #expect(report.camera == footage.contents[0].record.stream.camera)
        #expect(report.fromUnixMilliseconds == Footage.start)
        #expect(report.toUnixMilliseconds == Footage.start + 26_000)
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
        #expect(check(path, of: footage).verdict == .unwitnessed)
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
            return check(path, of: footage).verdict
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
        #expect(check(path, of: footage).verdict == .intact)
        #expect(check(path).verdict == .unknownKey)
        #expect(try FolderCheck(known: footage.known).check(folder.path).contains { $0.verdict == .intact })
        #expect(try !FolderCheck(known: KnownKeys()).check(folder.path).contains { $0.verdict.isGood })
        try Data(footage.contents[1].bytes.dropLast()).write(to: URL(fileURLWithPath: path))
        #expect(check(path).verdict == .altered)
    }
}
