/// Amounts as people read them.
package enum AmountText {
    /// `38.2 MB`: powers of ten, as disks and links are sold.
    package static func bytes(_ bytes: Int64) -> String {
        let units = ["kB", "MB", "GB", "TB", "PB"]
        guard bytes >= 1_000 else { return "\(bytes) B" }
        var value = Double(bytes) / 1_000
        var unit = 0
        while value >= 999.95, unit < units.count - 1 {
            value /= 1_000
            unit += 1
        }
        return "\(tenths(value)) \(units[unit])"
    }

    /// `3.9 h`, `12 min`, `45 s`, `2.5 d`: one number, for what is only known roughly.
    package static func roughly(seconds: Int64) -> String {
        switch seconds {
        case ..<120: "\(seconds) s"
        case ..<5_400: "\((seconds + 30) / 60) min"
        case ..<172_800: "\(tenths(Double(seconds) / 3_600)) h"
        default: "\(tenths(Double(seconds) / 86_400)) d"
        }
    }

    /// `-4.2`, or `-4` without decimals.
    /// - Parameter decimals: 0 or 1
    package static func number(_ value: Double, decimals: Int = 1) -> String {
        let bounded = min(max(value, -1e15), 1e15)
        let rounded = decimals == 0 ? bounded.rounded() * 10 : (bounded * 10).rounded()
        return (rounded < 0 ? "-" : "") + (decimals == 0 ? "\(Int64(abs(rounded)) / 10)" : tenths(abs(rounded) / 10))
    }

    private static func tenths(_ value: Double) -> String {
        let tenths = Int64((value * 10).rounded())
        return "\(tenths / 10).\(tenths % 10)"
    }
}
