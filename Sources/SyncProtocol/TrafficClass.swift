import RecordingModel

/// What goes first on a link, the most wanted first. Status and log entries are always before all of these.
package enum TrafficClass: Int, Hashable, Sendable, CaseIterable {
    case thumbnails
    /// Somebody at the hub waits for it.
    case pulled
    /// Overlaps an event.
    case event
    case proxy
    case main

    /// The class of a stream's footage in which nothing happened.
    package init(of kind: StreamKind) {
        self =
            switch kind {
            case .thumbs: .thumbnails
            case .proxy: .proxy
            case .main: .main
            }
    }
}

extension TrafficClass {
    /// The most wanted class that a segment may go in; where its event may not cross the link it goes as what else it is.
    package init(of kind: StreamKind, isPulled: Bool, hasEvent: Bool, among allowed: Set<TrafficClass>) {
        if isPulled, allowed.contains(.pulled) {
            self = .pulled
        } else if hasEvent, allowed.contains(.event) {
            self = .event
        } else {
            self.init(of: kind)
        }
    }
}

/// A segment that waits to be sent.
package struct SegmentWork: Hashable, Sendable {
    package var segment: SegmentID
    package var sha256: ContentHash
    package var bytes: Int64
    /// Index of its entry: the entry must be at the hub before the bytes are.
    package var logIndex: UInt64
    package var trafficClass: TrafficClass
    package init(segment: SegmentID, sha256: ContentHash, bytes: Int64, logIndex: UInt64, trafficClass: TrafficClass = .main) {
        self.segment = segment
        self.sha256 = sha256
        self.bytes = bytes
        self.logIndex = logIndex
        self.trafficClass = trafficClass
    }
}

/// How much is handed to a link at a time, so that what is urgent waits for little, and a cut costs little.
package struct LinkPace: Hashable, Sendable {
    /// Payload of one frame.
    package var frameBytes: Int
    /// Bytes that the socket may hold unsent (TCP_NOTSENT_LOWAT).
    package var unsentBytes: Int

    /// Before the link has shown what it carries: small frames, and enough of them that the link and not the sender
    /// is what is measured.
    package static let unknown = LinkPace(frameBytes: 4 << 10, unsentBytes: 16 << 10)

    package init(frameBytes: Int, unsentBytes: Int) {
        self.frameBytes = frameBytes
        self.unsentBytes = unsentBytes
    }

    /// Half a second of the link's rate in a frame, at most 64 KiB, because a frame that a cut divides is sent again; as much in the socket, up to
    /// 256 KiB; 2 KiB at least.
    package init(bytesPerSecond: Int64) {
        let half = Int(max(2 << 10, min(bytesPerSecond / 2, 256 << 10)))
        self.init(frameBytes: min(half, 64 << 10), unsentBytes: max(4 << 10, half))
    }

    /// Plain bytes of log lines in one batch: they compress to about a fifth.
    package var batchBytes: Int { frameBytes * 4 }
}
