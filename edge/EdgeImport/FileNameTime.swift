/// When a recording began, as its name and the folders above it say. Names hold a camera's local time; there is no
/// zone in them.
package enum FileNameTime {
    /// Tried in this order: the longer ones first, since a shorter one may fit within.
    private static let names: [DigitPattern] = [
        // Tesla, Axon, Thinkware, most phones: 2026-01-02_03-04-05-front, REC_2026_01_02_03_04_05_F
        DigitPattern("YYYY~MM~DD~hh~mm~ss"),
        // Viofo, Transcend: 2026_0102_030405_001A
        DigitPattern("YYYY~MMDD~hhmmss"),
        // Motorola and Wolfcom body cameras: 2026-01-02_030405
        DigitPattern("YYYY~MM~DD~hhmmss"),
        // BlackVue, Garmin, phones: 20260102_030405_NF, VID_20260102_030405, 20260102T030405
        DigitPattern("YYYYMMDD~hhmmss"),
        // DJI, Novatek, Hikvision: DJI_20260102030405_0001, ch01_20260102030405
        DigitPattern("YYYYMMDDhhmmss"),
        // Nextbase: 260102_030405_001_FH
        DigitPattern("YYMMDD~hhmmss"),
        // Axon's download names: AXON_Body_3_Video_2026-01-02_0304
        DigitPattern("YYYY~MM~DD~hhmm"),
    ]
    /// Dahua and Hikvision: 03.04.05-03.05.05[R][0@0][0] in a folder of the day.
    private static let times = [DigitPattern("hh~mm~ss"), DigitPattern("hhmmss")]
    private static let days = [DigitPattern("YYYY~MM~DD"), DigitPattern("YYYYMMDD")]

    /// - Parameter path: relative to the card; only its parts are looked at, nothing is opened.
    /// - Returns: the local time as if it were UTC; nil when there is none, or none that can be.
    package static func unixMilliseconds(ofPath path: String) -> Int64? {
        var parts = path.split(separator: "/").map { Array($0.utf8) }
        guard let name = parts.popLast() else { return nil }
        let stem = Array(name[..<(name.lastIndex(of: UInt8(ascii: ".")) ?? name.endIndex)])
        for pattern in names {
            if let time = pattern.search(stem)?.unixMilliseconds { return time }
        }
        for pattern in times where stem.count >= pattern.bytes.count {
            // At the beginning only: a number anywhere would be a time too often.
            guard stem.count == pattern.bytes.count || !isDigit(stem[pattern.bytes.count]), let time = pattern.match(stem[..<pattern.bytes.count])
            else { continue }
            for folder in parts.reversed() {
                for day in days {
                    guard var fields = day.search(folder) else { continue }
                    (fields.hour, fields.minute, fields.second) = (time.hour, time.minute, time.second)
                    if let result = fields.unixMilliseconds { return result }
                }
            }
        }
        return nil
    }
}
