import Foundation
import RecordingModel
import Testing
import TestSupport

@testable import fieldpost

/// Footage of a node whose clock was put right later.
@Suite struct ClockShiftTests {
    @Test("A run of 1970 and one of today are joined without decades between them, and the check agrees")
    func decades() async throws {
        let folder = try TemporaryDirectory("clock-shift")
        var footage = try await Footage(in: folder.path)
        try footage.change { records in
            for index in records.indices where records[index].run == 0 {
                records[index].bootID = "before"
                records[index].startWall = WallEstimate(unixMilliseconds: records[index].startBootMilliseconds, source: .none, uncertaintyMilliseconds: 1)
            }
        }
        let path = folder.path("clip.mp4")
        try await footage.join(to: path)
        let duration = try await runSuccessfully("/usr/bin/ffprobe", ["-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0", path]).output
        #expect((5.9...6.5).contains(Double(duration.trimmingCharacters(in: .whitespacesAndNewlines)) ?? 0), "\(duration)")
        let report = FootageCheck(known: footage.known).check(path)
        #expect(report.verdict.isGood, "\(report)")
    }

    @Test("The proof of corrected footage asks for the times that the node recorded, and the note says both")
    func shift() async throws {
        let folder = try TemporaryDirectory("clock-shift")
        let footage = try await Footage(in: folder.path)
        let day: Int64 = 86_400_000
        let segments = footage.contents.map(\.record).map {
            PlayableSegment(record: $0, logIndex: $0.sequence, correctedStartUnixMilliseconds: $0.startUnixMilliseconds + day, correctedUncertaintyMilliseconds: 1_500)
        }
        #expect(ClockShift.recorded((Footage.start + day)..<(Footage.start + day + 26_000), of: segments) == Footage.start..<(Footage.start + 26_000))
        #expect(ClockShift.note(segments)?.contains("recorded as 2026-11-21T00:00:00Z was 2026-11-22T00:00:00Z (give or take 1.5 s)") == true)
        let plain = segments.map { PlayableSegment(record: $0.record, logIndex: $0.logIndex) }
        #expect(ClockShift.recorded(5..<9, of: plain) == 5..<9 && ClockShift.note(plain) == nil)
        #expect(ClockShift.recorded(5..<9, of: []) == 5..<9)
    }
}
