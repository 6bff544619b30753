/// When the hub will have what waits, as a range, and what that is computed from.
package struct SyncEstimate: Hashable, Sendable, Codable {
    package enum Kind: String, Hashable, Sendable, Codable {
        case nothingWaits = "nothing-waits"
        case range
        /// As much is recorded as the link carries, or more.
        case never
        /// Nothing is known of the link yet.
        case unknown
    }
    package var kind: Kind
    package var optimisticSeconds: Int64?
    /// Nil in a range: by the less favourable figures it never ends.
    package var pessimisticSeconds: Int64?
    /// A sentence.
    package var basis: String

    package init(kind: Kind, optimisticSeconds: Int64? = nil, pessimisticSeconds: Int64? = nil, basis: String) {
        self.kind = kind
        self.optimisticSeconds = optimisticSeconds
        self.pessimisticSeconds = pessimisticSeconds
        self.basis = basis
    }

    /// `2.1 h to 3.4 h`
    package var words: String {
        switch kind {
        case .nothingWaits: "nothing waits"
        case .never: "never at this rate"
        case .unknown: "unknown"
        case .range:
            switch (optimisticSeconds.map(AmountText.roughly), pessimisticSeconds.map(AmountText.roughly)) {
            case (let early?, let late?): early == late ? early : "\(early) to \(late)"
            case (let early?, nil): "\(early), or never at this rate"
            default: "unknown"
            }
        }
    }
}

extension SyncReport {
    /// Bytes of all classes; time of footage only, since proxies and thumbnails are of the same time again.
    package var total: Backlog {
        backlog.reduce(into: Backlog()) { sum, item in
            sum.segments += item.segments
            sum.bytes += item.bytes
            if [.event, .main].contains(item.footageClass) { sum.durationMilliseconds += item.durationMilliseconds }
        }
    }

    package var oldestUnixMilliseconds: Int64? { backlog.compactMap(\.oldestUnixMilliseconds).min() }

    private static let daySeconds = 86_400.0

    /// The favourable end takes the better of the last day's and the last week's contact time and the upper quartile of the
    /// throughput, the other end the worse and the lower one. What is recorded meanwhile has to be sent too.
    /// - Parameter darkSeconds: since the report, without any contact: what was recorded in them waits as well.
    package func estimate(darkSeconds: Int64 = 0) -> SyncEstimate {
        let recorded = Double(recordedBytesPerDay ?? 0)
        let added = recorded * Double(max(0, darkSeconds)) / Self.daySeconds
        let waiting = Double(total.bytes) + added
        guard total.segments > 0 || added >= 1 else { return SyncEstimate(kind: .nothingWaits, basis: "the hub has everything that is recorded") }
        guard let throughput else { return SyncEstimate(kind: .unknown, basis: "\(Self.amount(waiting)) wait; no contact has carried any footage yet") }
        let (worse, better) = contactSecondsPerDay
        guard better > 0 else { return SyncEstimate(kind: .unknown, basis: "\(Self.amount(waiting)) wait; there was no contact within the last 7 days") }
        let basis = "\(Self.amount(waiting)) wait; the link carries \(Self.range(throughput.lowBytesPerSecond, throughput.highBytesPerSecond) { AmountText.bytes($0) }) a second while in contact"
            + " (\(throughput.contacts == 1 ? "one contact" : "\(throughput.contacts) contacts")), \(Self.range(Int64(worse), Int64(better), AmountText.roughly)) of contact a day,"
            + " \(recorded > 0 ? "\(AmountText.bytes(Int64(recorded))) recorded a day" : "nothing recorded")\(isClockSet ? "" : "; the node's clock is not set")"
        func seconds(_ contact: Double, _ rate: Int64) -> Int64? {
            let net = contact * Double(rate) - recorded
            guard net > 0 else { return nil }
            let seconds = waiting / net * Self.daySeconds
            return seconds < Double(Plausibility.magnitudeMax) ? Int64(seconds.rounded(.up)) : nil
        }
        guard let optimistic = seconds(better, throughput.highBytesPerSecond) else { return SyncEstimate(kind: .never, basis: basis) }
        return SyncEstimate(
            kind: .range, optimisticSeconds: optimistic, pessimisticSeconds: seconds(worse, throughput.lowBytesPerSecond), basis: basis)
    }

    /// Seconds of contact in a day, by the last day and by the last week; by what was observed of them.
    package var contactSecondsPerDay: (worse: Double, better: Double) {
        func perDay(_ contact: Int64, within seconds: Double) -> Double {
            let observed = min(Double(observedSeconds), seconds)
            return observed > 0 ? min(Self.daySeconds, Double(contact) * Self.daySeconds / observed) : 0
        }
        let (day, week) = (perDay(contactSecondsLastDay, within: Self.daySeconds), perDay(contactSecondsLast7Days, within: 7 * Self.daySeconds))
        return (min(day, week), max(day, week))
    }

    /// Until footage that the hub lacks would be given up, if there were no contact any more. Nil where nothing is recorded.
    package func secondsUntilOverwrite(darkSeconds: Int64 = 0) -> Int64? {
        guard let bytesUntilOverwrite, let recordedBytesPerDay, recordedBytesPerDay > 0 else { return nil }
        let seconds = Double(bytesUntilOverwrite) / Double(recordedBytesPerDay) * Self.daySeconds
        return max(0, Int64(min(seconds, Double(Plausibility.magnitudeMax))) - max(0, darkSeconds))
    }

    private static func amount(_ bytes: Double) -> String { AmountText.bytes(Int64(min(bytes, Double(Plausibility.magnitudeMax)))) }

    private static func range(_ low: Int64, _ high: Int64, _ words: (Int64) -> String) -> String {
        let (low, high) = (words(low), words(high))
        return low == high ? low : "\(low) to \(high)"
    }
}
