import CoreMetrics
import Synchronization

enum SeriesKind: String { case counter, gauge, histogram }

struct SeriesKey: Hashable, Sendable {
    var name: String
    /// `a="1",b="2"`, in order of name; empty for none.
    var labels: String
}

/// One line, or one histogram, of the exposition.
protocol Series: AnyObject, Sendable {
    var key: SeriesKey { get }
    func write(name: String, labels: String, to text: inout String)
}

/// A number that goes up (counter) or anywhere (gauge). Its bits are one atomic: no lock on the paths that count.
/// Integers are exact up to 2^53, the limit of the format's own readers.
final class NumberSeries: Series, CounterHandler, FloatingPointCounterHandler, MeterHandler, RecorderHandler {
    let key: SeriesKey
    private let isCounter: Bool
    private let bits = Atomic<UInt64>(0)

    init(key: SeriesKey, isCounter: Bool) {
        self.key = key
        self.isCounter = isCounter
    }

    func increment(by amount: Int64) { increment(by: Double(amount)) }

    func increment(by amount: Double) {
        // A counter never falls; a reader would take it for a restart.
        guard amount.isFinite, !isCounter || amount > 0 else { return }
        var old = bits.load(ordering: .relaxed)
        while true {
            let new = (Double(bitPattern: old) + amount).bitPattern
            let (exchanged, seen) = bits.weakCompareExchange(expected: old, desired: new, ordering: .relaxed)
            if exchanged { return }
            old = seen
        }
    }

    func decrement(by amount: Double) { if !isCounter { increment(by: -amount) } }
    func set(_ value: Int64) { set(Double(value)) }
    func set(_ value: Double) { bits.store(value.bitPattern, ordering: .relaxed) }
    func record(_ value: Int64) { set(Double(value)) }
    func record(_ value: Double) { set(value) }
    func reset() { set(0.0) }

    func write(name: String, labels: String, to text: inout String) {
        let value = Double(bitPattern: bits.load(ordering: .relaxed))
        text += name + (labels.isEmpty ? "" : "{\(labels)}") + " \(PrometheusName.number(value))\n"
    }
}

/// A distribution over fixed buckets.
final class HistogramSeries: Series, RecorderHandler, TimerHandler {
    private struct State {
        var counts: [UInt64]
        var sum = 0.0
    }
    let key: SeriesKey
    private let bounds: [Double]
    private let state: Mutex<State>

    /// - Parameter bounds: upper bounds, rising; one bucket beyond the last is added.
    init(key: SeriesKey, bounds: [Double]) {
        self.key = key
        self.bounds = bounds
        state = Mutex(State(counts: Array(repeating: 0, count: bounds.count + 1)))
    }

    func record(_ value: Int64) { record(Double(value)) }

    func record(_ value: Double) {
        guard !value.isNaN else { return }
        let bucket = bounds.firstIndex { value <= $0 } ?? bounds.count
        state.withLock {
            $0.counts[bucket] += 1
            $0.sum += value
        }
    }

    func recordNanoseconds(_ duration: Int64) { record(Double(duration) / 1e9) }

    func write(name: String, labels: String, to text: inout String) {
        let state = state.withLock { $0 }
        let prefix = labels.isEmpty ? "" : labels + ","
        var cumulative: UInt64 = 0
        for (bound, count) in zip(bounds + [.infinity], state.counts) {
            cumulative += count
            text += "\(name)_bucket{\(prefix)le=\"\(PrometheusName.number(bound))\"} \(cumulative)\n"
        }
        let suffix = labels.isEmpty ? "" : "{\(labels)}"
        text += "\(name)_sum\(suffix) \(PrometheusName.number(state.sum))\n\(name)_count\(suffix) \(cumulative)\n"
    }
}

/// Names, labels and numbers as the format has them.
enum PrometheusName {
    static func metric(_ label: String) -> String { sanitised(label, colon: true) }
    static func counter(_ label: String) -> String { suffixed(metric(label), "_total") }
    static func timer(_ label: String) -> String { suffixed(metric(label), "_seconds") }

    static func labels(_ dimensions: [(String, String)], reserved: String?) -> String {
        var pairs: [String: String] = [:]
        for (name, value) in dimensions {
            let clean = sanitised(name, colon: false)
            pairs[clean == reserved ? clean + "_" : clean] = escaped(value)
        }
        return pairs.sorted { $0.key < $1.key }.map { "\($0.key)=\"\($0.value)\"" }.joined(separator: ",")
    }

    static func number(_ value: Double) -> String {
        if value.isNaN { return "NaN" }
        if value.isInfinite { return value > 0 ? "+Inf" : "-Inf" }
        return value == value.rounded() && abs(value) < 9_007_199_254_740_992 ? String(Int64(value)) : String(value)
    }

    private static func suffixed(_ name: String, _ suffix: String) -> String { name.hasSuffix(suffix) ? name : name + suffix }

    private static func sanitised(_ name: String, colon: Bool) -> String {
        let clean = name.utf8.prefix(128).map { byte -> UInt8 in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"): byte
            case UInt8(ascii: ":") where colon: byte
            default: UInt8(ascii: "_")
            }
        }
        let startsWithDigit = clean.first.map { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) } ?? true
        return (startsWithDigit ? "_" : "") + String(decoding: clean, as: UTF8.self)
    }

    /// At most 128 characters: a label is a name, not a text.
    private static func escaped(_ value: String) -> String {
        value.unicodeScalars.prefix(128).reduce(into: "") { text, scalar in
            switch scalar {
            case "\\": text += "\\\\"
            case "\"": text += "\\\""
            case "\n": text += "\\n"
            default: text.unicodeScalars.append(scalar)
            }
        }
    }
}
