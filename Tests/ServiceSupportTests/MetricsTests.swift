import CoreMetrics
import ServiceSupport
import Testing

@Suite struct MetricsTests {
    @Test func `counters and gauges are written as Prometheus text`() {
        let registry = PrometheusRegistry()
        registry.makeCounter(label: "frames.sent", dimensions: [("kind", "da\"ta\n"), ("9x", "\\")]).increment(by: 3)
        registry.makeCounter(label: "frames.sent", dimensions: [("9x", "\\"), ("kind", "da\"ta\n")]).increment(by: 2)
        registry.makeFloatingPointCounter(label: "energy_total", dimensions: []).increment(by: 0.5)
        let gauge = registry.makeMeter(label: "disk-free", dimensions: [])
        gauge.set(Double(10))
        gauge.decrement(by: 2.5)
        #expect(registry.text() == """
            # TYPE disk_free gauge
            disk_free 7.5
            # TYPE energy_total counter
            energy_total 0.5
            # TYPE frames_sent_total counter
            frames_sent_total{_9x="\\\\",kind="da\\"ta\\n"} 5
            # TYPE metrics_series_dropped_total counter
            metrics_series_dropped_total 0

            """)
    }

    @Test func `a timer is a histogram in seconds with cumulative buckets`() {
        let registry = PrometheusRegistry()
        let timer = registry.makeTimer(label: "push", dimensions: [("le", "mine")])
        timer.recordNanoseconds(2_000_000)
        timer.recordNanoseconds(400_000_000_000)
        let lines = registry.text().split(separator: "\n")
        #expect(lines.contains("# TYPE push_seconds histogram"))
        #expect(lines.contains("push_seconds_bucket{le_=\"mine\",le=\"0.001\"} 0"))
        #expect(lines.contains("push_seconds_bucket{le_=\"mine\",le=\"0.0025\"} 1"))
        #expect(lines.contains("push_seconds_bucket{le_=\"mine\",le=\"300\"} 1"))
        #expect(lines.contains("push_seconds_bucket{le_=\"mine\",le=\"+Inf\"} 2"))
        #expect(lines.contains("push_seconds_count{le_=\"mine\"} 2"))
        #expect(lines.contains("push_seconds_sum{le_=\"mine\"} 400.002"))
    }

    @Test func `series are bounded and the ones left out are counted`() {
        let registry = PrometheusRegistry(seriesMax: 10)
        for index in 0..<25 { registry.makeCounter(label: "c", dimensions: [("i", "\(index)")]).increment(by: 1) }
        registry.makeMeter(label: "c_total", dimensions: []).set(Int64(4))  // one name, another kind
        let text = registry.text()
        #expect(text.split(separator: "\n").filter { $0.hasPrefix("c_total{") }.count == 10)
        #expect(text.contains("metrics_series_dropped_total 16\n"))
    }

    @Test func `a destroyed series is gone and makes room`() {
        let registry = PrometheusRegistry(seriesMax: 1)
        let first = registry.makeCounter(label: "a", dimensions: [])
        let hidden = registry.makeCounter(label: "b", dimensions: [])
        registry.destroyCounter(hidden)
        #expect(registry.text().contains("a_total 0"))
        registry.destroyCounter(first)
        registry.makeCounter(label: "b", dimensions: []).increment(by: 1)
        #expect(!registry.text().contains("a_total") && registry.text().contains("b_total 1"))
    }

    @Test func `counting from many tasks at once loses nothing`() async {
        let registry = PrometheusRegistry()
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<8 {
                group.addTask {
                    let counter = registry.makeCounter(label: "n", dimensions: [])
                    let timer = registry.makeTimer(label: "t", dimensions: [])
                    for _ in 0..<1000 {
                        counter.increment(by: 1)
                        timer.recordNanoseconds(1)
                    }
                }
            }
        }
        #expect(registry.text().contains("n_total 8000\n") && registry.text().contains("t_seconds_count 8000\n"))
    }
}
