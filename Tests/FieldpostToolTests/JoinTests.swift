import EvidenceLog
import Foundation
import NIOCore
import RecordingModel
import TestSupport
import Testing

@testable import fieldpost

@Suite struct JoinTests {
    @Test func aJoinedFileKeepsEveryPacketAndTheGapBetweenRuns() async throws {
        let folder = try TemporaryDirectory()
        let footage = try await Footage(in: folder.path)
        let joined = folder.path + "/joined.mp4"
        try await footage.join(to: joined)

        // The packets that ffprobe finds are those of the two runs, in order.
        let packets = try await hashes(of: joined)
        let expected = try await hashes(of: folder.path + "/run0.mp4") + hashes(of: folder.path + "/run1.mp4")
        #expect(packets == expected)
        #expect(packets.count == 60)

        let times = try await videoTimes(of: joined)
        #expect(times.first.map { abs($0) < 0.1 } == true)
        #expect(zip(times, times.dropFirst()).allSatisfy { $0 < $1 })
        let gap = zip(times, times.dropFirst()).map { $1 - $0 }.max() ?? 0
        // The second run began 24 s after the first, whose last picture is at 3.9 s.
        #expect(abs(gap - 20.1) < 0.05)
        #expect(!FileManager.default.fileExists(atPath: joined + ".part"))
    }

    @Test func aSegmentWithAnotherContentThanItsEntryIsRefused() async throws {
        let folder = try TemporaryDirectory()
        let footage = try await Footage(in: folder.path)
        var (record, bytes) = footage.contents[0]
        bytes[bytes.count - 1] ^= 1
        var file = try JoinedFile(path: folder.path + "/x.mp4", initSHA256: record.initSHA256)
        defer { file.discard() }
        await #expect(throws: Failure.self) { try await file.append(record) { take in try take(ByteBuffer(bytes: bytes)) } }
        record.bytes -= 1
        await #expect(throws: Failure.self) { try await file.append(record) { take in try take(ByteBuffer(bytes: footage.contents[0].bytes)) } }
    }

    @Test func timesShiftThereAndBackToTheSameBytes() async throws {
        let folder = try TemporaryDirectory()
        let footage = try await Footage(in: folder.path)
        let (record, bytes) = footage.contents[1]
        var fragment = Array(bytes[Int(record.initBytes)...])
        let original = fragment
        let moof = try #require(try Box.list(fragment, 0..<fragment.count).first { $0.type == "moof" })
        let scales = try InitSegment.timescales(Array(bytes[..<Int(record.initBytes)]))
        #expect(scales.count == 2)
        let shifts = scales.mapValues { Int64($0) * 1_000_000 }
        try FragmentTimes.shift(&fragment, moof: moof, by: shifts)
        #expect(fragment != original)
        try FragmentTimes.shift(&fragment, moof: moof, by: shifts.mapValues { -$0 })
        #expect(fragment == original)
        #expect(throws: MediaFault.timeOverflow) { try FragmentTimes.shift(&fragment, moof: moof, by: scales.mapValues { -Int64($0) * 1_000_000 }) }
    }

    @Test(arguments: [[], [0, 0, 0, 8], [0, 0, 0, 7, 109, 111, 111, 102], [0, 0, 0, 9, 109, 111, 111, 102], [0, 0, 0, 1, 109, 111, 111, 102, 255, 255, 255, 255, 255, 255, 255, 255]] as [[UInt8]])
    func boxesThatReachTooFarAreMalformed(bytes: [UInt8]) {
        if bytes.isEmpty { #expect((try? Box.list(bytes, 0..<0))?.isEmpty == true) } else { #expect(throws: MediaFault.malformed) { try Box.list(bytes, 0..<bytes.count) } }
    }

    private func hashes(of path: String) async throws -> [String] {
        let outcome = try await runSuccessfully("/usr/bin/ffprobe", ["-v", "error", "-select_streams", "v", "-show_packets", "-show_data_hash", "sha256", "-show_entries", "packet=data_hash", "-of", "csv=p=0", path])
        return outcome.output.split(separator: "\n").map(String.init)
    }

    private func videoTimes(of path: String) async throws -> [Double] {
        let outcome = try await runSuccessfully("/usr/bin/ffprobe", ["-v", "error", "-select_streams", "v", "-show_entries", "packet=pts_time", "-of", "csv=p=0", path])
        return outcome.output.split(separator: "\n").compactMap { Double($0.split(separator: ",")[0]) }
    }
}
