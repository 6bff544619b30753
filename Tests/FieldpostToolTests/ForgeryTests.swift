import EvidenceLog
import Foundation
import RecordingModel
import TestSupport
import Testing

@testable import fieldpost

/// A forger changes file and proof together, so that they agree; what was signed must still give them away.
@Suite struct ForgeryTests {
    private func check(_ path: String, of footage: Footage) -> Report { FootageCheck(known: footage.known).check(path) }

    @Test func partsOfTwoStreamsAreNotOneFile() async throws {
        let folder = try TemporaryDirectory()
        var footage = try await Footage(in: folder.path)
        let other = try must(StreamID("barn/main"))
        try footage.change { $0[1].stream = other }
        let path = folder.path + "/joined.mp4"
        var proof = try await footage.join(to: path)
        #expect(check(path, of: footage).verdict == .altered)
        // Nor may all of it be shown as another camera's, or a small stream as the main one.
        try await footage.join(to: path, order: [0])
        #expect(check(path, of: footage).verdict == .intactWithGaps)
        proof = try await footage.join(to: path, order: [0])
        proof.camera = other.camera
        try proof.write(beside: path)
        #expect(check(path, of: footage).verdict == .altered)
        let proxy = try must(StreamID("yard/proxy"))
        try footage.change { $0[0].stream = proxy }
        try await footage.join(to: path, order: [0])
        #expect(check(path, of: footage).verdict == .altered)
    }

    @Test(arguments: [[2, 0, 1], [0, 2, 1], [0, 0, 1]])
    func partsOutOfTheOrderOfRecordingAreFound(order: [Int]) async throws {
        let folder = try TemporaryDirectory()
        let footage = try await Footage(in: folder.path)
        let path = folder.path + "/joined.mp4"
        try await footage.join(to: path, order: order)
        #expect(check(path, of: footage).verdict == .altered)
    }

    @Test func aClockThatWasSetBackIsNoForgery() async throws {
        let folder = try TemporaryDirectory()
        var footage = try await Footage(in: folder.path)
        try footage.change { $0[2].startWall.unixMilliseconds = Footage.start - 60_000 }
        let path = folder.path + "/joined.mp4"
        try await footage.join(to: path)
        #expect(check(path, of: footage).verdict == .intactWithGaps)
    }

    /// The same time is added to the second run in the file and in the proof: everything hashes as it should.
    @Test func aGapThatWasClosedOrStretchedIsFound() async throws {
        let folder = try TemporaryDirectory()
        let footage = try await Footage(in: folder.path)
        let path = folder.path + "/joined.mp4"
        for (tracks, seconds) in [(["1", "2"], -20), (["1", "2"], 3_600), (["2"], 1)] as [([String], Int64)] {
            var proof = try await footage.join(to: path)
            var bytes = Array(try Data(contentsOf: URL(fileURLWithPath: path)))
            let scales = try InitSegment.timescales(Array(bytes[..<Int(proof.initBytes)]))
            let added = Dictionary(uniqueKeysWithValues: scales.map { ($0.key, tracks.contains(String($0.key)) ? Int64($0.value) * seconds : 0) })
            var offset = Int(proof.parts[2].offset)
            for fragment in proof.parts[2].fragments {
                var piece = Array(bytes[offset..<(offset + Int(fragment.length))])
                let moof = try #require(try Box.list(piece, 0..<piece.count).first { $0.type == "moof" })
                try FragmentTimes.shift(&piece, moof: moof, by: added)
                bytes.replaceSubrange(offset..<(offset + piece.count), with: piece)
                offset += piece.count
            }
            for (track, shift) in added { proof.parts[2].trackShifts[String(track)]? += shift }
            try Data(bytes).write(to: URL(fileURLWithPath: path))
            try proof.write(beside: path)
            let report = check(path, of: footage)
            #expect(report.verdict == .altered)
            #expect(report.damage?.firstByte == proof.parts[2].offset, "\(tracks) \(seconds)")
        }
    }

    @Test func firstOrLastPartsThatWereLeftOutAreNamed() async throws {
        let folder = try TemporaryDirectory()
        let footage = try await Footage(in: folder.path)
        let path = folder.path + "/joined.mp4"
        try await footage.join(to: path, order: [1, 2])
        let late = check(path, of: footage)
        #expect(late.verdict == .intactWithGaps)
        #expect(late.missing == ["2026-11-21T00:00:00Z to 2026-11-21T00:00:02Z (2.0 s)"])
        #expect(late.fromUnixMilliseconds == Footage.start + 2_000)

        try await footage.join(to: path, order: [0, 1])
        let early = check(path, of: footage)
        #expect(early.verdict == .intactWithGaps)
        #expect(early.missing == ["2026-11-21T00:00:04Z to 2026-11-21T00:00:26Z (22 s)"])
        #expect(early.toUnixMilliseconds == Footage.start + 4_000)

        try await footage.join(to: path, order: [0, 1], lasting: 4_000)
        #expect(check(path, of: footage).verdict == .intact)
    }

    @Test func impossibleNumbersInAProofAreRefusedAndStopNothing() async throws {
        let folder = try TemporaryDirectory()
        var footage = try await Footage(in: folder.path)
        let path = folder.path + "/joined.mp4"
        var proof = try await footage.join(to: path)
        for time in [Int64.min, .max] {
            proof.fromUnixMilliseconds = time
            try proof.write(beside: path)
            #expect(check(path, of: footage).verdict == .unreadable)
        }
        try footage.change { $0[1].startWall.unixMilliseconds = .max }
        proof.fromUnixMilliseconds = Footage.start
        proof.bundle = footage.bundle
        try proof.write(beside: path)
        #expect(!check(path, of: footage).verdict.isGood)
    }
}
