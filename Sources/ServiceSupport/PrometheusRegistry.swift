import CoreMetrics
import Synchronization

/// A backend for swift-metrics that keeps everything in memory and writes it as Prometheus text (format 0.0.4).
///
/// Counters end in `_total`; timers are histograms in seconds; recorders are histograms when they aggregate and gauges
/// otherwise. The number of series is bounded: past it, and where one name is used for two kinds, the caller gets a
/// handler that works and is never shown, and `metrics_series_dropped_total` counts it.
package final class PrometheusRegistry: MetricsFactory {
    package static let contentType = "text/plain; version=0.0.4; charset=utf-8"
    /// Upper bounds of a timer's buckets, in seconds.
    package static let timerBucketsSeconds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300]
    /// Upper bounds of a recorder's buckets, in whatever it records.
    package static let recorderBuckets = [1, 10, 100, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9]

    private struct Family {
        var kind: SeriesKind
        var series: [String: any Series] = [:]
    }
    private struct State {
        var families: [String: Family] = [:]
        var seriesCount = 0
        var dropped: Int64 = 0
    }
    private let state = Mutex(State())
    private let seriesMax: Int

    package init(seriesMax: Int = 10_000) { self.seriesMax = max(0, seriesMax) }

    /// All series, families and series in order of name, so that two readings can be compared.
    package func text() -> String {
        // Values are read outside the lock: a scrape must not hold up whoever makes a metric.
        let (families, dropped) = state.withLock { ($0.families, $0.dropped) }
        var text = ""
        for (name, family) in families.sorted(by: { $0.key < $1.key }) where !family.series.isEmpty {
            text += "# TYPE \(name) \(family.kind.rawValue)\n"
            for (labels, series) in family.series.sorted(by: { $0.key < $1.key }) { series.write(name: name, labels: labels, to: &text) }
        }
        return text + "# TYPE metrics_series_dropped_total counter\nmetrics_series_dropped_total \(dropped)\n"
    }

    package func makeCounter(label: String, dimensions: [(String, String)]) -> any CounterHandler {
        series(PrometheusName.counter(label), dimensions, .counter) { NumberSeries(key: $0, isCounter: true) }
    }

    package func makeFloatingPointCounter(label: String, dimensions: [(String, String)]) -> any FloatingPointCounterHandler {
        series(PrometheusName.counter(label), dimensions, .counter) { NumberSeries(key: $0, isCounter: true) }
    }

    package func makeMeter(label: String, dimensions: [(String, String)]) -> any MeterHandler {
        series(PrometheusName.metric(label), dimensions, .gauge) { NumberSeries(key: $0, isCounter: false) }
    }

    package func makeRecorder(label: String, dimensions: [(String, String)], aggregate: Bool) -> any RecorderHandler {
        if aggregate {
            series(PrometheusName.metric(label), dimensions, .histogram) { HistogramSeries(key: $0, bounds: Self.recorderBuckets) }
        } else {
            series(PrometheusName.metric(label), dimensions, .gauge) { NumberSeries(key: $0, isCounter: false) }
        }
    }

    package func makeTimer(label: String, dimensions: [(String, String)]) -> any TimerHandler {
        series(PrometheusName.timer(label), dimensions, .histogram) { HistogramSeries(key: $0, bounds: Self.timerBucketsSeconds) }
    }

    package func destroyCounter(_ handler: any CounterHandler) { remove(handler) }
    package func destroyFloatingPointCounter(_ handler: any FloatingPointCounterHandler) { remove(handler) }
    package func destroyMeter(_ handler: any MeterHandler) { remove(handler) }
    package func destroyRecorder(_ handler: any RecorderHandler) { remove(handler) }
    package func destroyTimer(_ handler: any TimerHandler) { remove(handler) }

    /// The series of that name and those labels: the one that exists, or a new one.
    private func series<Kind: Series>(_ name: String, _ dimensions: [(String, String)], _ kind: SeriesKind, _ make: (SeriesKey) -> Kind) -> Kind {
        let key = SeriesKey(name: name, labels: PrometheusName.labels(dimensions, reserved: kind == .histogram ? "le" : nil))
        return state.withLock { state in
            let family = state.families[name]
            if let existing = family?.series[key.labels] as? Kind, family?.kind == kind { return existing }
            guard state.seriesCount < seriesMax, family == nil || family?.kind == kind else {
                state.dropped += 1
                return make(key)
            }
            let new = make(key)
            state.families[name, default: Family(kind: kind)].series[key.labels] = new
            state.seriesCount += 1
            return new
        }
    }

    private func remove(_ handler: AnyObject) {
        guard let series = handler as? any Series else { return }
        state.withLock { state in
            // A handler that was never shown shares its key with one that is.
            guard state.families[series.key.name]?.series[series.key.labels] === series else { return }
            state.families[series.key.name]?.series[series.key.labels] = nil
            if state.families[series.key.name]?.series.isEmpty == true { state.families[series.key.name] = nil }
            state.seriesCount -= 1
        }
    }
}
