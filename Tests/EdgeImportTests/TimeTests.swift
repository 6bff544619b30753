@testable import EdgeImport
import RecordingModel
import Testing

@Suite struct TimeTests {
    static let moment: Int64 = 1_767_323_045_000  // 2026-01-02 03:04:05 UTC

    @Test(
        "reads the start from the names that cameras give",
        arguments: [
            "20260102_030405.mp4", "20260102_030405_NF.mp4", "VID_20260102_030405.mp4", "20260102T030405Z.mp4", "DCIM/2026_0102_030405_001A.MP4",
            "REC_2026-01-02 03-04-05.avi", "2026-01-02_03-04-05-front.mp4", "REC_2026_01_02_03_04_05_F.MP4", "DJI_20260102030405_0001_D.MP4",
            "ch01_20260102030405.mp4", "260102_030405_001_FH.MP4", "X81234567_20260102_030405.ts", "2026-01-02/03.04.05-03.05.05[R][0@0][0].dav",
            "20260102/001/030405.mp4", "2026-01-02/001/dav/03/03.04.05-03.14.05[M][0@0][0].dav", "2026-01-02_030405.MOV",
        ])
    func namesWithTime(name: String) {
        #expect(FileNameTime.unixMilliseconds(ofPath: name) == Self.moment)
    }

    @Test func aNameWithoutSecondsGivesTheMinute() {
        #expect(FileNameTime.unixMilliseconds(ofPath: "AXON_Body_3_Video_2026-01-02_0304.mp4") == Self.moment - 5_000)
    }

    @Test(
        "reads no time from names that have none",
        arguments: [
            "MOVI0001.avi", "GH010123.MP4", "GX020123.MP4", "GRMN0001.MP4", "hiv00012.mp4", "FILE0001.MOV", "", "/", "..", "....", "20261302_030405.mp4",
            "20260230_030405.mp4", "20260102_250405.mp4", "20260102_036105.mp4", "00000000_000000.mp4", "120260102_030405.mp4", "20260102_0304051.mp4",
            "99999999999999.mp4", "18500102_030405.mp4", "030405.mp4", "2026-13-02/03.04.05-03.05.05.dav", "20260102.mp4", "٢٠٢٦٠١٠٢_٠٣٠٤٠٥.mp4",
            "../../etc/passwd", "\u{0}\u{1}.mp4",
        ])
    func namesWithoutTime(name: String) {
        #expect(FileNameTime.unixMilliseconds(ofPath: name) == nil)
    }

    @Test func calendarsAreKept() {
        #expect(CivilTime.unixMilliseconds("2000-02-29T00:00:00Z") == 951_782_400_000)
        #expect(CivilTime.unixMilliseconds("2024-02-29 23:59:59") == 1_709_251_199_000)
        #expect(CivilTime.unixMilliseconds("1990-01-01T00:00:00Z") == 631_152_000_000)
        #expect(CivilTime.unixMilliseconds("2023-02-29T00:00:00Z") == nil)
        #expect(CivilTime.unixMilliseconds("2026-01-02T03:04:05.250000Z") == Self.moment + 250)
        #expect(CivilTime.unixMilliseconds("2026-01-02T08:04:05+0500") == Self.moment)
        #expect(CivilTime.unixMilliseconds("2026-01-01T23:34:05-03:30") == Self.moment)
        #expect(CivilTime.unixMilliseconds("2026-01-02T03:04:05 yesterday") == nil)
        #expect(CivilTime.unixMilliseconds("2026-01-02T03:04:05+99:00") == nil)
        // QuickTime counts from 1904: a clock that was never set gives this.
        #expect(CivilTime.unixMilliseconds("1904-01-01T00:00:00.000000Z") == nil)
        #expect(CivilTime.unixMilliseconds("1970-01-01T00:00:00.000000Z") == nil)
    }

    @Test func offsetsAreRead() {
        #expect(CivilTime.durationMilliseconds("+01:02:03") == 3_723_000)
        #expect(CivilTime.durationMilliseconds("-02:30") == -9_000_000)
        #expect(CivilTime.durationMilliseconds("90") == 90_000)
        #expect(CivilTime.durationMilliseconds("-1.5") == -1_500)
        for text in ["", "+", "1:2:3:4", "01:99", "01:02:75", "abc", "1e9", "99999999999", "--1", "-1:-2"] {
            #expect(CivilTime.durationMilliseconds(text) == nil, "\(text)")
        }
        #expect(CivilTime.zoneMilliseconds("+05:30") == 19_800_000)
        #expect(CivilTime.zoneMilliseconds("-0330") == -12_600_000)
        #expect(CivilTime.zoneMilliseconds("Z") == 0)
        for text in ["", "5", "+15", "+5:99", "+", "UTC"] { #expect(CivilTime.zoneMilliseconds(text) == nil, "\(text)") }
    }

    @Test func theMostTrustedSourceWins() {
        var evidence = TimeEvidence(container: 1_767_000_000_000, name: Self.moment, modified: 1_768_000_000_000, durationMilliseconds: 60_000)
        var rules = TimeRules()
        func chosen() -> (ImportRecord.TimeSource, Int64) {
            let time = ChosenTime(evidence, rules: rules)
            return (time.source, time.wall.unixMilliseconds)
        }
        #expect(chosen() == (.container, 1_767_000_000_000))
        evidence.container = -2_082_844_800_000
        #expect(chosen() == (.fileName, Self.moment))
        rules.nameZoneMilliseconds = 5 * 3_600_000
        #expect(chosen() == (.fileName, Self.moment - 5 * 3_600_000))
        evidence.name = nil
        // The camera wrote last when the recording ended.
        #expect(chosen() == (.fileModified, 1_768_000_000_000 - 60_000))
        // 1980-01-01, where FAT's days begin.
        evidence.modified = 315_532_800_000
        #expect(chosen() == (.none, 0))
        #expect(ChosenTime(evidence, rules: rules).wall.source == .none)
        evidence.name = Self.moment
        rules.clockOffsetMilliseconds = -90_000
        #expect(chosen() == (.operatorOffset, Self.moment - 5 * 3_600_000 - 90_000))
        #expect(ChosenTime(evidence, rules: rules).offsetMilliseconds == -5 * 3_600_000 - 90_000)
        rules.startUnixMilliseconds = 1_700_000_000_000
        #expect(chosen() == (.operatorStart, 1_700_000_000_000))
    }

    @Test func trustRisesInTheOrderOfTheRecord() {
        #expect(ImportRecord.TimeSource.allCases == [.none, .fileModified, .fileName, .container, .operatorOffset, .operatorStart])
        let evidence = TimeEvidence(container: Self.moment, name: nil, modified: nil, durationMilliseconds: 0)
        #expect(ChosenTime(evidence, rules: TimeRules()).wall.uncertaintyMilliseconds == 3_600_000)
        #expect(ChosenTime(evidence, rules: TimeRules(clockOffsetMilliseconds: 0)).wall.uncertaintyMilliseconds == 60_000)
    }
}
