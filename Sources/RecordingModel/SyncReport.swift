/// What a node says of its sync: figures only. What they mean together, `estimate` and `secondsUntilOverwrite` make of them,
/// at the node and at the hub alike. Rates and sums are rounded to three digits: they are estimates, and travel with a hello.
package struct SyncReport: Hashable, Sendable, Codable {
    /// In the order in which they are sent.
    package enum FootageClass: String, Hashable, Sendable, Codable, CaseIterable {
        case thumbnails
        /// Overlaps an event.
        case event
        case proxy, main
    }

    package struct ClassBacklog: Hashable, Sendable, Codable {
        package var footageClass: FootageClass
        package var segments: Int
        package var bytes: Int64
        package var durationMilliseconds: Int64
        /// Start of the oldest that waits.
        package var oldestUnixMilliseconds: Int64?
        package init(footageClass: FootageClass, segments: Int, bytes: Int64, durationMilliseconds: Int64, oldestUnixMilliseconds: Int64?) {
            self.footageClass = footageClass
            self.segments = segments
            self.bytes = bytes
            self.durationMilliseconds = durationMilliseconds
            self.oldestUnixMilliseconds = oldestUnixMilliseconds
        }
    }

    /// What the link carried while something waited to be sent; quartiles over the recent contacts.
    package struct Throughput: Hashable, Sendable, Codable {
        package var lowBytesPerSecond: Int64
        package var medianBytesPerSecond: Int64
        package var highBytesPerSecond: Int64
        package var contacts: Int
        package init(lowBytesPerSecond: Int64, medianBytesPerSecond: Int64, highBytesPerSecond: Int64, contacts: Int) {
            self.lowBytesPerSecond = lowBytesPerSecond
            self.medianBytesPerSecond = medianBytesPerSecond
            self.highBytesPerSecond = highBytesPerSecond
            self.contacts = contacts
        }
    }

    package struct Statement: Hashable, Sendable, Codable {
        package var logSize: UInt64
        package var generation: UInt64
        package var issuedUnixMilliseconds: Int64
        package init(logSize: UInt64, generation: UInt64, issuedUnixMilliseconds: Int64) {
            self.logSize = logSize
            self.generation = generation
            self.issuedUnixMilliseconds = issuedUnixMilliseconds
        }
    }

    /// By the node's clock; with an unset clock it says nothing, and neither do the times of what waits.
    package var asOfUnixMilliseconds: Int64
    package var isClockSet: Bool
    /// The most wanted first, without those of which nothing waits.
    package var backlog: [ClassBacklog]
    /// Nil before a contact has carried anything.
    package var throughput: Throughput?
    package var contactSecondsLastDay: Int64
    package var contactSecondsLast7Days: Int64
    /// For how long contacts have been counted: 7 days at most.
    package var observedSeconds: Int64
    /// Nil while nothing is recorded.
    package var recordedBytesPerDay: Int64?
    /// What may still be recorded before footage that the hub lacks is given up: free space above the low mark, and
    /// footage that a statement covers. Nil where the disk could not be asked.
    package var bytesUntilOverwrite: Int64?
    /// What the hub had already, and what was sent again after a contact had broken.
    package var duplicateBytes: Int64
    package var resentBytes: Int64
    package var statement: Statement?
}

/// One contact as the node saw it, or several of one hour, added up.
package struct ContactRecord: Hashable, Sendable, Codable {
    package var startUnixMilliseconds: Int64
    package var endUnixMilliseconds: Int64
    package var connectedMilliseconds: Int64
    /// Of these, while something was under way.
    package var busyMilliseconds: Int64
    /// Acknowledged by the hub's side.
    package var acknowledgedBytes: Int64
    package init(startUnixMilliseconds: Int64, endUnixMilliseconds: Int64, connectedMilliseconds: Int64, busyMilliseconds: Int64, acknowledgedBytes: Int64) {
        self.startUnixMilliseconds = startUnixMilliseconds
        self.endUnixMilliseconds = endUnixMilliseconds
        self.connectedMilliseconds = connectedMilliseconds
        self.busyMilliseconds = busyMilliseconds
        self.acknowledgedBytes = acknowledgedBytes
    }
}

extension SyncReport {
    /// What a report is made from.
    package struct Inputs: Sendable {
        package struct Disk: Hashable, Sendable {
            package var availableBytes: Int64
            /// Free space below which footage is given up.
            package var lowMarkBytes: Int64
            /// Footage that a statement covers.
            package var releasableBytes: Int64
            package init(availableBytes: Int64, lowMarkBytes: Int64, releasableBytes: Int64) {
                self.availableBytes = availableBytes
                self.lowMarkBytes = lowMarkBytes
                self.releasableBytes = releasableBytes
            }
        }
        package struct Recorded: Hashable, Sendable {
            package var bytes: Int64
            /// The time in which they were recorded, with its gaps.
            package var milliseconds: Int64
            package init(bytes: Int64, milliseconds: Int64) {
                self.bytes = bytes
                self.milliseconds = milliseconds
            }
        }
        package var now: WallEstimate
        package var contacts: [ContactRecord] = []
        /// Since when contacts are counted; nil when they are not.
        package var observedSinceUnixMilliseconds: Int64?
        package var backlog: [ClassBacklog] = []
        package var recorded: Recorded?
        package var disk: Disk?
        package var duplicateBytes: Int64 = 0
        package var resentBytes: Int64 = 0
        package var statement: Statement?
        package init(now: WallEstimate) { self.now = now }
    }

    private static let dayMilliseconds: Int64 = 86_400_000
    private static let contactsForThroughput = 20
    /// A shorter one says more of its handshake than of the link.
    private static let busyMillisecondsMin: Int64 = 1_000
    private static let recordedMillisecondsMin: Int64 = 60_000

    package init(_ inputs: Inputs) {
        let now = inputs.now.unixMilliseconds
        let isClockSet = inputs.now.source > .none
        // Of an earlier boot nobody knows how long ago it was while the clock is unset, and it lies ahead then.
        let contacts = inputs.contacts.filter { $0.startUnixMilliseconds <= now && $0.endUnixMilliseconds > now - 7 * Self.dayMilliseconds }
        asOfUnixMilliseconds = now
        self.isClockSet = isClockSet
        backlog = FootageClass.allCases.compactMap { kind in inputs.backlog.first { $0.footageClass == kind && $0.segments > 0 } }
        let rates = contacts.suffix(Self.contactsForThroughput).filter { $0.busyMilliseconds >= Self.busyMillisecondsMin && $0.acknowledgedBytes > 0 }
            .map { Double($0.acknowledgedBytes) * 1_000 / Double($0.busyMilliseconds) }.sorted()
        throughput = rates.isEmpty ? nil : Throughput(
            lowBytesPerSecond: Self.rounded(rates[(rates.count - 1) / 4]), medianBytesPerSecond: Self.rounded(rates[(rates.count - 1) / 2]),
            highBytesPerSecond: Self.rounded(rates[rates.count - 1 - (rates.count - 1) / 4]), contacts: rates.count)
        func seconds(within milliseconds: Int64) -> Int64 { Self.connected(contacts, from: now - milliseconds, to: now) / 1_000 }
        contactSecondsLastDay = seconds(within: Self.dayMilliseconds)
        contactSecondsLast7Days = seconds(within: 7 * Self.dayMilliseconds)
        let observed = inputs.observedSinceUnixMilliseconds.map { min(max(0, now - $0), 7 * Self.dayMilliseconds) / 1_000 } ?? 0
        observedSeconds = max(observed, contactSecondsLast7Days)
        recordedBytesPerDay = inputs.recorded.flatMap { recorded in
            guard recorded.milliseconds >= Self.recordedMillisecondsMin, recorded.bytes > 0 else { return nil }
            return Self.rounded(Double(recorded.bytes) * Double(Self.dayMilliseconds) / Double(recorded.milliseconds))
        }
        bytesUntilOverwrite = inputs.disk.map { Self.rounded(Double(max(0, $0.availableBytes - $0.lowMarkBytes) + $0.releasableBytes)) }
        (duplicateBytes, resentBytes, statement) = (inputs.duplicateBytes, inputs.resentBytes, inputs.statement)
    }

    /// Of contacts that reach out of the window, the part within it.
    package static func connected(_ contacts: [ContactRecord], from start: Int64, to end: Int64) -> Int64 {
        contacts.reduce(0) { total, contact in
            let length = contact.endUnixMilliseconds - contact.startUnixMilliseconds
            let within = min(contact.endUnixMilliseconds, end) - max(contact.startUnixMilliseconds, start)
            guard within > 0, length > 0 else { return total }
            return total + (within >= length ? contact.connectedMilliseconds : Int64(Double(contact.connectedMilliseconds) * Double(within) / Double(length)))
        }
    }

    /// Three digits.
    static func rounded(_ value: Double) -> Int64 {
        guard value.isFinite, value > 0 else { return 0 }
        var (value, unit) = (min(value, Double(Plausibility.magnitudeMax)), 1.0)
        while value >= 1_000 {
            value /= 10
            unit *= 10
        }
        return Int64(value.rounded() * unit)
    }

    package var isPlausible: Bool {
        ([asOfUnixMilliseconds, contactSecondsLastDay, contactSecondsLast7Days, observedSeconds, recordedBytesPerDay ?? 0, bytesUntilOverwrite ?? 0, duplicateBytes, resentBytes, statement?.issuedUnixMilliseconds ?? 0]
            + [throughput?.lowBytesPerSecond, throughput?.medianBytesPerSecond, throughput?.highBytesPerSecond].compactMap { $0 }
            + backlog.flatMap { [$0.bytes, $0.durationMilliseconds, $0.oldestUnixMilliseconds ?? 0] }).allSatisfy(Plausibility.isCount)
            && backlog.count <= FootageClass.allCases.count && backlog.allSatisfy { Plausibility.isCount($0.segments) }
            && Plausibility.isCount(throughput?.contacts ?? 0) && statement?.logSize ?? 0 <= Plausibility.sequenceMax
    }
}
