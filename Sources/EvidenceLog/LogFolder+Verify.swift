import RecordingModel

/// What a replay of a stored log found.
package struct LogVerdict: Hashable, Sendable {
    /// The first batch that does not verify: its entries are `from..<to`. `LogFault` names the entry where it can.
    package struct Fault: Hashable, Sendable, CustomStringConvertible {
        package var from: UInt64
        package var to: UInt64
        package var reason: LogFault

        package init(from: UInt64, to: UInt64, reason: LogFault) {
            self.from = from
            self.to = to
            self.reason = reason
        }

        /// The entry at which trust ends.
        package var index: UInt64 {
            switch reason {
            case .malformedEntry(let index), .misplacedKey(let index): index
            default: from
            }
        }

        package var description: String { "entries \(from) to \(to): \(reason)" }
    }

    /// Whole lines read, and how many of them a checkpoint of their own epoch covers.
    package var entries: UInt64
    package var covered: UInt64
    /// Length of a torn last line; 0 when the log ends with a newline.
    package var tornBytes: Int
    package var fault: Fault?

    package init(entries: UInt64, covered: UInt64, tornBytes: Int = 0, fault: Fault? = nil) {
        self.entries = entries
        self.covered = covered
        self.tornBytes = tornBytes
        self.fault = fault
    }

    /// Trailing entries that no checkpoint covers yet. They are no fault: the next checkpoint will cover them.
    package var uncovered: UInt64 { entries - covered }
}

/// Replays a stored log from entry 0: lines go in with `add`, and at each stored checkpoint `close` verifies the
/// lines since the one before. Only one batch is in memory at a time. After the first fault nothing is judged
/// any more, and lines are only counted.
package struct LogReplay: Sendable {
    private var verifier: LogVerifier
    private var batch: [[UInt8]] = []
    package private(set) var verdict = LogVerdict(entries: 0, covered: 0)

    package init(node: NodeID, log: LogID) {
        verifier = LogVerifier(node: node, log: log)
    }

    package var entries: UInt64 { verdict.entries }

    package mutating func add(_ line: [UInt8]) {
        verdict.entries += 1
        if verdict.fault == nil { batch.append(line) }
    }

    /// - Returns: the entries that this checkpoint newly covers, empty after a fault.
    package mutating func close(with signed: SignedCheckpoint) -> [LogEntry] {
        guard verdict.fault == nil else { return [] }
        do {
            let entries = try verifier.append(batch, from: verifier.size, leadingTo: signed)
            batch.removeAll(keepingCapacity: true)
            verdict.covered = verifier.size
            return entries
        } catch {
            verdict.fault = LogVerdict.Fault(from: verifier.size, to: signed.checkpoint.size, reason: error)
            batch.removeAll()
            return []
        }
    }

    /// The lines after the last checkpoint: not proven yet, but they must be entries.
    package mutating func finish(tornBytes: Int) -> [LogEntry] {
        verdict.tornBytes = tornBytes
        guard verdict.fault == nil else { return [] }
        var entries: [LogEntry] = []
        for (offset, line) in batch.enumerated() {
            let index = verifier.size + UInt64(offset)
            guard let entry = try? LogEntry(line: line) else {
                verdict.fault = LogVerdict.Fault(from: index, to: verdict.entries, reason: .malformedEntry(index: index))
                break
            }
            entries.append(entry)
        }
        return entries
    }
}

extension LogFolder {
    /// Replays a whole log from its lines (without newlines) and its stored checkpoints, in order.
    /// - Parameter tornBytes: length of a torn last line, as `lines(in:)` told; only passed through.
    package static func verify(
        node: NodeID, log: LogID, entryLines: some Sequence<[UInt8]>, checkpoints: some Sequence<SignedCheckpoint>, tornBytes: Int = 0
    ) -> LogVerdict {
        var replay = LogReplay(node: node, log: log)
        var lines = entryLines.makeIterator()
        for signed in checkpoints {
            while replay.entries < signed.checkpoint.size, let line = lines.next() { replay.add(line) }
            _ = replay.close(with: signed)
        }
        while let line = lines.next() { replay.add(line) }
        _ = replay.finish(tornBytes: tornBytes)
        return replay.verdict
    }
}
