import Dispatch
import EvidenceLog
import Logging
import RecordingModel
import StorageIO
import Synchronization
import SystemPackage

extension Journal {
    /// What waits for the serial queue, and what `deliver` must know at once.
    struct Inbox: Sendable {
        var lock: DirectoryLock?
        /// Sequence and run that come next, counting what is delivered but not committed yet.
        var numbers: [StreamID: (sequence: UInt64, run: UInt64)]
        var items: [JournalWriter.Item] = []
        var health: [CameraID: CameraHealth] = [:]
        var failure: JournalError?
        var isClosing = false

        init(lock: DirectoryLock, numbers: [StreamID: (sequence: UInt64, run: UInt64)]) {
            self.lock = lock
            self.numbers = numbers
        }

        func refusal() -> JournalError? { failure ?? (isClosing ? .closed : nil) }
    }

    /// Those who want to hear that something was sealed.
    struct Listeners: Sendable {
        private var next = 0
        private var continuations: [Int: AsyncStream<Void>.Continuation] = [:]
        private var isFinished = false

        mutating func add(_ continuation: AsyncStream<Void>.Continuation) -> Int? {
            guard !isFinished else { return nil }
            next += 1
            continuations[next] = continuation
            return next
        }
        mutating func remove(_ id: Int) { continuations[id] = nil }
        func notify() { for continuation in continuations.values { continuation.yield() } }
        mutating func finish() {
            isFinished = true
            let all = continuations
            continuations = [:]
            for continuation in all.values { continuation.finish() }
        }
    }

    /// A new stream that yields after each commit; several commits that nobody has looked at are one. Ends at `close`.
    package var changes: AsyncStream<Void> {
        let (stream, continuation) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        guard let id = listeners.withLock({ $0.add(continuation) }) else {
            continuation.finish()
            return stream
        }
        continuation.onTermination = { [weak self] _ in
            // `finish` terminates while it holds the lock; it has removed everybody by then.
            guard let self else { return }
            self.queue.async { self.listeners.withLock { $0.remove(id) } }
        }
        return stream
    }

    /// Commits everything that waits, as one group. Runs on the serial queue.
    func drain() {
        let (items, isStopped) = inbox.withLock { inbox in
            defer { inbox.items = [] }
            return (inbox.items, inbox.failure != nil)
        }
        guard !items.isEmpty else { return }
        defer { for _ in items { slots.signal() } }
        guard !isStopped else { return }
        do {
            try writer.withLock { try $0.commit(items) }
            listeners.withLock { $0.notify() }
        } catch {
            fail(error)
        }
        keepSpace()
    }

    /// Nothing is accepted from here on.
    func fail(_ error: any Error) {
        let failure = error as? JournalError ?? .failed(reason: "\(error)", isNoSpace: (error as? StorageError)?.isNoSpace ?? false)
        let isFirst = inbox.withLock { inbox in
            guard inbox.failure == nil else { return false }
            inbox.failure = failure
            return true
        }
        guard isFirst else { return }
        logger.critical("the journal stopped and must be started again", metadata: ["error": "\(error)"])
        listeners.withLock { $0.notify() }
    }

    private func enqueue(_ item: JournalWriter.Item, _ admit: (inout Inbox) throws -> Void) throws {
        slots.wait()
        do {
            try inbox.withLock { inbox in
                if let refusal = inbox.refusal() { throw refusal }
                try admit(&inbox)
                inbox.items.append(item)
            }
        } catch {
            slots.signal()
            throw error
        }
        queue.async { self.drain() }
    }
}

extension Journal: RecordingSink {
    package func nextSequence(for stream: StreamID) -> UInt64 {
        inbox.withLock { $0.numbers[stream]?.sequence ?? 0 }
    }

    package var refusal: RecordingRefusal? {
        if let refusal = inbox.withLock({ $0.refusal() }) { return RecordingRefusal(cause: .diskFault, detail: "\(refusal)") }
        return disk.withLock { $0.mayRecord ? nil : RecordingRefusal(cause: .diskFull, detail: $0.problem ?? "the disk is full") }
    }

    package func nextRun(for stream: StreamID) -> UInt64 {
        inbox.withLock { $0.numbers[stream]?.run ?? 0 }
    }

    /// Takes over a segment whose files are synced. Returns when it is in the queue; `flush` waits for more. A cut in
    /// between loses nothing: recovery finds the files.
    /// - Throws: `JournalError.unexpectedSequence` for a number that is not next; `.closed`, `.failed`.
    package func deliver(_ segment: ClosedSegment) throws {
        let id = segment.record.id
        guard segment.record.isPlausible else { throw JournalError.implausible(id) }
        try enqueue(.segment(segment)) { inbox in
            let expected = inbox.numbers[id.stream]?.sequence ?? 0
            guard id.sequence == expected else { throw JournalError.unexpectedSequence(id, expected: expected) }
            inbox.numbers[id.stream] = (expected + 1, max(inbox.numbers[id.stream]?.run ?? 0, segment.record.run + 1))
        }
    }

    package func deliver(_ gap: GapRecord) throws {
        let gap = gap.plausible
        try enqueue(.gap(gap)) { _ in }
    }

    package func deliver(_ event: EventRecord) throws {
        guard event.isPlausible else { throw JournalError.implausibleEvent(event.camera) }
        try enqueue(.event(event)) { _ in }
    }

    package func report(_ health: CameraHealth) {
        inbox.withLock { $0.health[health.camera] = health }
    }
}

extension GapRecord {
    /// The same gap with its numbers and texts within what may stand in an entry. A clock that was never set may give
    /// times before 1970.
    var plausible: GapRecord {
        func bounded(_ value: Int64) -> Int64 { min(max(0, value), Plausibility.magnitudeMax) }
        func bounded(_ text: String) -> String {
            text.utf8.count <= Plausibility.textBytesMax ? text : String(decoding: text.utf8.prefix(Plausibility.textBytesMax - 3), as: UTF8.self)
        }
        return GapRecord(
            stream: stream, bootID: bounded(bootID), startBootMilliseconds: bounded(startBootMilliseconds),
            startWall: WallEstimate(
                unixMilliseconds: bounded(startWall.unixMilliseconds), source: startWall.source,
                uncertaintyMilliseconds: bounded(startWall.uncertaintyMilliseconds)),
            durationMilliseconds: bounded(durationMilliseconds), cause: cause, detail: bounded(detail))
    }
}
