/// What is known of one stretch of a camera's time. Every second is exactly one of these.
package enum SpanState: String, Sendable, Codable, CaseIterable {
    case onHub = "on-hub"
    case onlyOnNode = "only-on-node"
    case requested
    case transferring
    case lost
    /// With its cause.
    case notRecorded = "not-recorded"
    /// The node has not reported this time yet.
    case unknown
}

/// What the hub has in the place of footage that it lacks.
package enum StandIn: String, Sendable, Codable, CaseIterable {
    /// A small picture that moves.
    case proxy
    /// Still pictures, seconds apart.
    case thumbnails
}

package struct TimelineSpan: Hashable, Sendable, Codable {
    package var startUnixMilliseconds: Int64
    package var endUnixMilliseconds: Int64
    package var state: SpanState
    /// For `notRecorded`: why, and a sentence.
    package var cause: GapCause?
    package var detail: String?
    /// A `clock` entry moved it from where the node first thought it was; absent otherwise.
    package var isTimeCorrected: Bool?
    /// For recorded time that is not on the hub: what it has instead; nil where that is nothing.
    package var standIn: StandIn?

    package init(
        startUnixMilliseconds: Int64, endUnixMilliseconds: Int64, state: SpanState, cause: GapCause? = nil, detail: String? = nil,
        isTimeCorrected: Bool? = nil, standIn: StandIn? = nil
    ) {
        self.startUnixMilliseconds = startUnixMilliseconds
        self.endUnixMilliseconds = endUnixMilliseconds
        self.state = state
        self.cause = cause
        self.detail = detail
        self.isTimeCorrected = isTimeCorrected
        self.standIn = standIn
    }

    /// Whether the hub can show anything of it.
    package var isPlayable: Bool { state == .onHub || standIn != nil }
    package var durationMilliseconds: Int64 { endUnixMilliseconds - startUnixMilliseconds }
}

package enum Timeline {
    /// Lays spans over a window: clips them, lets footage win over gaps where both claim a moment, joins equal
    /// neighbours, and fills what nobody spoke of with `unknown`. The result tiles the window exactly.
    /// - Parameter toleranceMilliseconds: holes this small between two spans are rounding, and join.
    package static func tile(_ spans: [TimelineSpan], from start: Int64, to end: Int64, toleranceMilliseconds: Int64 = 100) -> [TimelineSpan] {
        guard end > start else { return [] }
        func rank(_ state: SpanState) -> Int {
            switch state {
            case .onHub: 0
            case .transferring: 1
            case .requested: 2
            case .onlyOnNode: 3
            case .lost: 4
            case .notRecorded: 5
            case .unknown: 6
            }
        }
        // Sweep over all borders; between two borders the best claim wins.
        let clipped = spans.compactMap { span -> TimelineSpan? in
            var span = span
            span.startUnixMilliseconds = max(span.startUnixMilliseconds, start)
            span.endUnixMilliseconds = min(span.endUnixMilliseconds, end)
            return span.durationMilliseconds > 0 ? span : nil
        }.sorted { $0.startUnixMilliseconds < $1.startUnixMilliseconds }
        let borders = Set(clipped.flatMap { [$0.startUnixMilliseconds, $0.endUnixMilliseconds] } + [start, end]).sorted()
        var result: [TimelineSpan] = []
        var active: [TimelineSpan] = []
        var next = 0
        for (low, high) in zip(borders, borders.dropFirst()) {
            while next < clipped.count, clipped[next].startUnixMilliseconds <= low {
                active.append(clipped[next])
                next += 1
            }
            active.removeAll { $0.endUnixMilliseconds <= low }
            var piece = active.min { rank($0.state) < rank($1.state) } ?? TimelineSpan(startUnixMilliseconds: low, endUnixMilliseconds: high, state: .unknown)
            piece.startUnixMilliseconds = low
            piece.endUnixMilliseconds = high
            if piece.state == .unknown, high - low <= toleranceMilliseconds, high < end, let last = result.indices.last {
                result[last].endUnixMilliseconds = high
            } else if let last = result.last, last.state == piece.state, last.cause == piece.cause, last.isTimeCorrected == piece.isTimeCorrected, last.standIn == piece.standIn {
                result[result.count - 1].endUnixMilliseconds = high
            } else {
                result.append(piece)
            }
        }
        return result
    }

    /// Milliseconds per state.
    package static func totals(_ spans: [TimelineSpan]) -> [SpanState: Int64] {
        spans.reduce(into: [:]) { $0[$1.state, default: 0] += $1.durationMilliseconds }
    }

    /// Milliseconds of which the hub has something else.
    package static func standIns(_ spans: [TimelineSpan]) -> [StandIn: Int64] {
        spans.reduce(into: [:]) { sums, span in
            if let standIn = span.standIn { sums[standIn, default: 0] += span.durationMilliseconds }
        }
    }
}
